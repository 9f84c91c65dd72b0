package android

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/intent"
)

func compile(t *testing.T, w intent.Wanted, to intent.Target) Result {
	t.Helper()
	r, err := Compile(w, to)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func told(outcomes []intent.Outcome) string {
	var b strings.Builder
	for _, o := range outcomes {
		fmt.Fprintf(&b, "%s %q: %s: %s\n", o.ID, o.Subject, o.Intent, o.Verdict)
		for _, line := range []struct{ name, text string }{
			{"by", o.Mechanism}, {"since", o.Since}, {"why", o.Why}, {"cure", o.Cure}, {"covers", strings.Join(o.Covers, " ")},
		} {
			if line.text != "" {
				fmt.Fprintf(&b, "    %s: %s\n", line.name, line.text)
			}
		}
	}
	return b.String()
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s mismatch (-want +got):\n%s", name, diff)
	}
}

func TestCompileGolden(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		w    intent.Wanted
		to   intent.Target
	}{
		{"full-16", everything(), target(intent.FullyManaged, 16)},
		{"cope-15", everything(), target(intent.CompanyOwned, 15)},
		{"work-profile-11", everything(), target(intent.WorkProfile, 11)},
		{"work-profile-unknown", everything(), target(intent.WorkProfile, 0)},
		{"cope-14-allow-list", allowList(), target(intent.CompanyOwned, 14)},
		{"full-nothing", intent.Wanted{}, target(intent.FullyManaged, 15)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := compile(t, tt.w, tt.to)
			golden(t, tt.name+".json.golden", r.Document)
			golden(t, tt.name+".outcomes.golden", []byte(told(r.Outcomes)))
			sum := sha256.Sum256(r.Document)
			if want := hex.EncodeToString(sum[:]); r.Hash != want {
				t.Errorf("Hash = %s, want %s", r.Hash, want)
			}
			want := []intent.Artifact{{Name: "android-policy.json", Kind: "android-policy", Data: r.Document}}
			if diff := cmp.Diff(want, Artifacts(r)); diff != "" {
				t.Errorf("Artifacts mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func document(t *testing.T, r Result) policy {
	t.Helper()
	var p policy
	if err := json.Unmarshal(r.Document, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestBands compiles for every version and compares with the version's band.
func TestBands(t *testing.T) {
	t.Parallel()
	bands := Bands(ward.Android)
	if !slices.IsSortedFunc(bands, func(a, b intent.Version) int { return a.Major - b.Major }) || bands[0].Known() {
		t.Errorf("Bands = %v, want the zero Version first and the rest in order", bands)
	}
	changes := map[intent.Version]bool{}
	for _, e := range enrolments {
		var before Result
		for major := range 25 {
			if major > 0 && major < oldest {
				continue
			}
			to := target(e, major)
			band := to
			band.OS = Band(ward.Android, to.OS)
			if diff := cmp.Diff(compile(t, everything(), band), compile(t, everything(), to)); diff != "" {
				t.Errorf("%s %d differs from its band %v (-band +version):\n%s", e, major, band.OS, diff)
			}
			r := compile(t, everything(), to)
			if string(r.Document) != string(before.Document) || told(r.Outcomes) != told(before.Outcomes) {
				changes[band.OS] = true
			}
			before = r
		}
	}
	for _, b := range bands {
		if !changes[b] {
			t.Errorf("band %v changes nothing", b)
		}
	}
	if got := Bands(ward.IOS); got != nil {
		t.Errorf("Bands(ios) = %v, want none", got)
	}
	if got := Band(ward.Windows, intent.Version{Major: 11}); got.Known() {
		t.Errorf("Band(windows) = %v, want the zero Version", got)
	}
}

func TestNeverErasesByItself(t *testing.T) {
	t.Parallel()
	for _, e := range enrolments {
		doc := string(compile(t, everything(), target(e, 16)).Document)
		for _, word := range []string{"policyEnforcementRules", "maximumFailedPasswordsForWipe", "wipeDataFlags", "complianceRules"} {
			if strings.Contains(doc, word) {
				t.Errorf("%s: the policy holds %s", e, word)
			}
		}
	}
}

func TestNeverBlocksTextMessages(t *testing.T) {
	t.Parallel()
	w := intent.Wanted{Block: intent.Block{Apps: []catalogue.App{{Name: "Texts", Android: id(catalogue.GradeA, textApps...)}}}}
	r := compile(t, w, target(intent.FullyManaged, 15))
	if apps := document(t, r).Applications; len(apps) > 0 {
		t.Errorf("applications = %v, want none", apps)
	}
	if o := r.Outcomes[0]; o.Verdict != intent.NotEnforced || !slices.Equal(o.Covers, intent.Sorted(textApps)) {
		t.Errorf("outcome = %+v, want not enforced for all of %v", o, textApps)
	}
}

func TestApprovedIsNeverBlocked(t *testing.T) {
	t.Parallel()
	w := intent.Wanted{
		Apps:  []intent.App{{Name: "Chat", Android: intent.AndroidApp{Package: "org.example.chat"}}},
		Block: intent.Block{Apps: []catalogue.App{{Name: "Chat", Android: id(catalogue.GradeA, "org.example.chat")}}},
	}
	r := compile(t, w, target(intent.FullyManaged, 15))
	want := []application{{PackageName: "org.example.chat", InstallType: "AVAILABLE"}}
	if diff := cmp.Diff(want, document(t, r).Applications); diff != "" {
		t.Errorf("applications mismatch (-want +got):\n%s", diff)
	}
	if o := r.Outcomes[0]; o.ID != intent.BlockApps || o.Verdict != intent.NotEnforced {
		t.Errorf("outcome = %+v, want the block not enforced", o)
	}
}

func TestCaseOfPackagesIsKept(t *testing.T) {
	t.Parallel()
	w := intent.Wanted{Block: intent.Block{Apps: []catalogue.App{{Name: "Slack", Android: id(catalogue.GradeA, "com.Slack")}}}}
	if got := document(t, compile(t, w, target(intent.FullyManaged, 15))).Applications[0].PackageName; got != "com.Slack" {
		t.Errorf("packageName = %q, want com.Slack", got)
	}
}

func TestTooManyApps(t *testing.T) {
	t.Parallel()
	w := everything()
	many := catalogue.App{Name: "Many"}
	for i := range mostApps + 10 {
		many.Android = append(many.Android, catalogue.Identifier{ID: fmt.Sprintf("org.many.n%04d", i), Grade: catalogue.GradeA})
	}
	w.Block.Apps = append(w.Block.Apps, many)
	r := compile(t, w, target(intent.CompanyOwned, 15))
	apps := document(t, r).Applications
	if len(apps) != mostApps {
		t.Errorf("%d applications, want %d", len(apps), mostApps)
	}
	blocked := map[string]bool{}
	for _, a := range apps {
		blocked[a.PackageName] = a.InstallType == "BLOCKED"
	}
	for _, o := range r.Outcomes {
		for _, id := range o.Covers {
			switch {
			case o.ID != intent.BlockApps || o.Subject == "text messages":
			case o.Verdict == intent.NotEnforced && blocked[id]:
				t.Errorf("%s is told as left out, but is blocked", id)
			case o.Verdict == intent.Enforced && !blocked[id]:
				t.Errorf("%s is told as blocked, but is left out", id)
			}
		}
	}
	if !blocked["com.whatsapp"] && !strings.Contains(told(r.Outcomes), "too many") {
		t.Error("nothing tells that apps were left out")
	}
}

func TestTwentyMinimumVersions(t *testing.T) {
	t.Parallel()
	var w intent.Wanted
	for i := range mostMinimumCode + 1 {
		w.Apps = append(w.Apps, intent.App{Name: fmt.Sprint("App ", i), Required: true, Android: intent.AndroidApp{Package: fmt.Sprintf("org.example.a%02d", i), MinimumVersionCode: 7}})
	}
	r := compile(t, w, target(intent.FullyManaged, 15))
	var with int
	for _, a := range document(t, r).Applications {
		if a.MinimumVersionCode > 0 {
			with++
		}
	}
	if with != mostMinimumCode {
		t.Errorf("%d minimum versions, want %d", with, mostMinimumCode)
	}
	if got := r.Outcomes[mostMinimumCode].Verdict; got != intent.Partly {
		t.Errorf("verdict of the last app = %s, want partly", got)
	}
}

// TestSharedValuesStay makes sure that a policy's own maps are not written to.
func TestSharedValuesStay(t *testing.T) {
	t.Parallel()
	config := map[string]any{"URLBlocklist": "[]", "Home": "x"}
	w := everything()
	w.Apps = append(w.Apps, intent.App{Name: "Chrome", Android: intent.AndroidApp{Package: chrome}, Config: config})
	r := compile(t, w, target(intent.FullyManaged, 15))
	if diff := cmp.Diff(map[string]any{"URLBlocklist": "[]", "Home": "x"}, config); diff != "" {
		t.Errorf("the policy's own configuration changed (-want +got):\n%s", diff)
	}
	for _, a := range document(t, r).Applications {
		if a.PackageName == chrome && (a.ManagedConfiguration["Home"] != "x" || a.ManagedConfiguration["URLBlocklist"] == "[]") {
			t.Errorf("Chrome's configuration = %v, want Home kept and URLBlocklist replaced", a.ManagedConfiguration)
		}
	}
	if !strings.Contains(told(r.Outcomes), "Ward sets URLBlocklist itself") {
		t.Error("nothing tells that Chrome's own list gives way")
	}
}

func TestConfigurationWithoutJSONForm(t *testing.T) {
	t.Parallel()
	w := intent.Wanted{Apps: []intent.App{{Name: "Chat", Android: intent.AndroidApp{Package: "org.example.chat"}, Config: map[string]any{"f": func() {}}}}}
	if _, err := Compile(w, target(intent.FullyManaged, 15)); err == nil {
		t.Error("Compile took a function as configuration")
	}
}
