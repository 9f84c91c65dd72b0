package workstation

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward"
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
		{"windows", everything(), target(ward.Windows, ward.Corporate)},
		{"windows-allow-list", allowList(), target(ward.Windows, ward.Corporate)},
		{"linux", everything(), target(ward.Linux, ward.Corporate)},
		{"macos", everything(), target(ward.MacOS, ward.Corporate)},
		{"linux-personal", everything(), target(ward.Linux, ward.Personal)},
		{"windows-nothing", intent.Wanted{}, target(ward.Windows, ward.Corporate)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := compile(t, tt.w, tt.to)
			var all strings.Builder
			for _, d := range Artifacts(r) {
				fmt.Fprintf(&all, "-- %s (%s) --\n%s", d.Name, d.Kind, d.Data)
			}
			golden(t, tt.name+".golden", []byte(all.String()))
			golden(t, tt.name+".outcomes.golden", []byte(told(r.Outcomes)))
		})
	}
}

func agentPolicy(t *testing.T, r Result) Policy {
	t.Helper()
	p, err := Decode(r.Documents[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestOtherPlatforms(t *testing.T) {
	t.Parallel()
	for _, p := range []ward.Platform{ward.IOS, ward.Android, ""} {
		if _, err := Compile(everything(), target(p, ward.Corporate)); err == nil {
			t.Errorf("Compile takes platform %q", p)
		}
		if got := Bands(p); got != nil {
			t.Errorf("Bands(%q) = %v, want none", p, got)
		}
	}
}

// TestBands compiles for many versions: they are all one band.
func TestBands(t *testing.T) {
	t.Parallel()
	for _, p := range platforms {
		if diff := cmp.Diff([]intent.Version{{}}, Bands(p)); diff != "" {
			t.Errorf("Bands(%s) mismatch (-want +got):\n%s", p, diff)
		}
		to := target(p, ward.Corporate)
		to.OS = Band(p, to.OS)
		want := compile(t, everything(), to)
		for major := range 30 {
			to.OS = intent.Version{Major: major}
			if diff := cmp.Diff(want, compile(t, everything(), to)); diff != "" {
				t.Errorf("%s %d differs (-band +version):\n%s", p, major, diff)
			}
		}
	}
}

// TestPersonalComputersStayAsTheyAre: a person's own computer, or one of which it is not
// known whose it is, is asked and not changed.
func TestPersonalComputersStayAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, p := range platforms {
		for _, o := range []ward.Ownership{ward.Personal, ""} {
			r := compile(t, everything(), target(p, o))
			if len(r.Documents) != 1 {
				t.Errorf("%s %q: %d documents, want the agent's alone", p, o, len(r.Documents))
			}
			doc := agentPolicy(t, r)
			if doc.AppLocker != "" || len(doc.Browsers) > 0 || len(doc.Hosts) > 0 || doc.Resolver != nil || slices.Contains(doc.Questions, NameServers) || doc.Mode != DenyList {
				t.Errorf("%s %q: the policy changes something: %+v", p, o, doc)
			}
			for _, rule := range doc.Block {
				if rule.Act != Report {
					t.Errorf("%s %q: %s is to %s, want report", p, o, rule.Identity.text(), rule.Act)
				}
			}
		}
	}
}

// publisherHash is the end of a package family name, computed as Windows does: the first
// 8 bytes of the SHA-256 of the publisher in UTF-16, in Crockford's base 32.
func publisherHash(publisher string) string {
	var utf []byte
	for _, u := range utf16.Encode([]rune(publisher)) {
		utf = binary.LittleEndian.AppendUint16(utf, u)
	}
	sum := sha256.Sum256(utf)
	n := binary.BigEndian.Uint64(sum[:8])
	var out []byte
	for shift := 59; shift >= 0; shift -= 5 {
		out = append(out, "0123456789abcdefghjkmnpqrstvwxyz"[n>>shift&31])
	}
	return string(append(out, "0123456789abcdefghjkmnpqrstvwxyz"[n<<1&31]))
}

func TestPublishersProveThemselves(t *testing.T) {
	t.Parallel()
	for id, publisher := range publishers {
		if got := publisherHash(publisher); got != id {
			t.Errorf("publisher %s has id %s, want %s", publisher, got, id)
		}
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		platform ward.Platform
		id       string
		want     Identity
	}{
		{ward.Windows, "WhatsApp.Root.exe", Identity{Executable: "WhatsApp.Root.exe"}},
		{ward.Windows, "SETUP.EXE", Identity{Executable: "SETUP.EXE"}},
		{ward.Windows, "FACEBOOK.317180B0BB486_8xx8rvfyw5nnt", Identity{PackageFamily: "FACEBOOK.317180B0BB486_8xx8rvfyw5nnt", Publisher: "CN=6E08453F-9BA7-4311-999C-D22FBA2FB1B8"}},
		{ward.Windows, "NAVER.LINEwin8_8ptj331gd3tyt", Identity{PackageFamily: "NAVER.LINEwin8_8ptj331gd3tyt"}},
		{ward.Windows, "Microsoft.GroupMe10", Identity{PackageName: "Microsoft.GroupMe10"}},
		{ward.Windows, `C:\Chat.exe.txt`, Identity{}},
		{ward.Windows, "Name_short", Identity{}},
		{ward.Windows, "", Identity{}},
		{ward.MacOS, "com.apple.iChat", Identity{BundleID: "com.apple.iChat"}},
		{ward.Linux, "flatpak:org.signal.Signal", Identity{Flatpak: "org.signal.Signal"}},
		{ward.Linux, "snap:slack", Identity{Snap: "slack"}},
		{ward.Linux, "exec:Telegram", Identity{Executable: "Telegram"}},
		{ward.Linux, "deb:slack", Identity{}},
		{ward.Linux, "slack", Identity{}},
		{ward.Linux, "snap:", Identity{}},
		{ward.IOS, "net.whatsapp.WhatsApp", Identity{}},
	} {
		if diff := cmp.Diff(tt.want, identity(tt.platform, tt.id)); diff != "" {
			t.Errorf("identity(%s, %q) mismatch (-want +got):\n%s", tt.platform, tt.id, diff)
		}
	}
}

// TestBrowserPolicies reads the documents as the browsers do.
func TestBrowserPolicies(t *testing.T) {
	t.Parallel()
	r := compile(t, everything(), target(ward.Linux, ward.Corporate))
	docs := map[string][]byte{}
	for _, d := range r.Documents {
		docs[d.Name] = d.Data
	}
	for _, name := range []string{ChromeDocument, EdgeDocument} {
		var p struct {
			URLBlocklist            []string
			SSLErrorOverrideAllowed *bool
		}
		if err := json.Unmarshal(docs[name], &p); err != nil {
			t.Fatal(err)
		}
		if want := []string{"web.telegram.org", "web.whatsapp.com", "whatsapp.net"}; !slices.Equal(p.URLBlocklist, want) {
			t.Errorf("%s URLBlocklist = %v, want %v", name, p.URLBlocklist, want)
		}
		if p.SSLErrorOverrideAllowed == nil || *p.SSLErrorOverrideAllowed {
			t.Errorf("%s offers a way past a warning", name)
		}
	}
	var firefox struct {
		Policies struct {
			WebsiteFilter struct{ Block []string }
		} `json:"policies"`
	}
	if err := json.Unmarshal(docs[FirefoxDocument], &firefox); err != nil {
		t.Fatal(err)
	}
	if want := []string{"*://*.web.telegram.org/*", "*://*.web.whatsapp.com/*", "*://*.whatsapp.net/*"}; !slices.Equal(firefox.Policies.WebsiteFilter.Block, want) {
		t.Errorf("Firefox blocks %v, want %v", firefox.Policies.WebsiteFilter.Block, want)
	}
	for _, b := range agentPolicy(t, r).Browsers {
		if docs[b.Document] == nil || len(b.Places) == 0 {
			t.Errorf("%s: document %s is missing or has no place", b.Name, b.Document)
		}
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	doc := func(name, data string) intent.Artifact { return intent.Artifact{Name: name, Data: []byte(data)} }
	seen := map[string]int{}
	for i, docs := range [][]intent.Artifact{
		nil, {doc("a", "")}, {doc("a", "b")}, {doc("b", "a")}, {doc("a", "b"), doc("c", "d")}, {doc("a", "b1 c 1 d")},
	} {
		h := hash(docs)
		if j, taken := seen[h]; taken {
			t.Errorf("documents %d and %d have one hash", i, j)
		}
		seen[h] = i
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	good := string(compile(t, everything(), target(ward.Linux, ward.Corporate)).Documents[0].Data)
	for _, tt := range []struct{ name, doc string }{
		{"nothing", ""},
		{"another format", `{"format": 2}`},
		{"no format", `{}`},
		{"an unknown field", `{"format": 1, "wipe": true}`},
		{"something after", good + `{}`},
		{"a wrong type", `{"format": 1, "block": {}}`},
		{"too much", good + strings.Repeat(" ", MaxPolicy)},
	} {
		if _, err := Decode([]byte(tt.doc)); err == nil {
			t.Errorf("Decode takes %s", tt.name)
		}
	}
	if _, err := Decode([]byte(good)); err != nil {
		t.Errorf("Decode: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, p := range platforms {
		r, err := Compile(everything(), target(p, ward.Corporate))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(r.Documents[0].Data)
	}
	f.Add([]byte(`{"format":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Decode(data)
		if err != nil {
			return
		}
		again, err := canonical(p)
		if err != nil {
			t.Fatal(err)
		}
		q, err := Decode(again)
		if err != nil {
			t.Fatalf("a policy that was read can't be read again: %v", err)
		}
		twice, err := canonical(q)
		if err != nil || string(twice) != string(again) {
			t.Fatalf("read again it differs: %s, %s, %v", again, twice, err)
		}
	})
}
