package apple_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/micromdm/plist"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/apple"
	"github.com/wardmdm/ward/profiles/intent"
)

func mustCompile(t testing.TB, w intent.Wanted, at intent.Target) apple.Result {
	t.Helper()
	r, err := apple.Compile(w, at)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// parts are wanted one by one, so that nothing hides behind something else.
func parts() map[string]intent.Wanted {
	f := full()
	all := map[string]intent.Wanted{
		"everything": f, "allow list": allowList(), "nothing": {Name: "Nothing"},
		"apps":      {Apps: f.Apps},
		"block":     {Block: intent.Block{Apps: f.Block.Apps}},
		"web":       {Block: intent.Block{Web: f.Block.Web}},
		"network":   {Block: intent.Block{Network: f.Block.Network}},
		"stores":    {Block: intent.Block{Stores: true}},
		"only":      {Block: intent.Block{AllowOnly: true, Allow: f.Block.Allow}},
		"passcode":  {Passcode: f.Passcode},
		"encrypted": {Encryption: true},
		"update":    {Update: f.Update},
		"some day":  {Update: intent.Update{Version: "26.2"}},
		"wifi":      {WiFi: f.WiFi}, "vpn": {VPN: f.VPN}, "relay": {Relays: f.Relays},
		"dns":        {DNS: f.DNS, Block: intent.Block{Network: f.Block.Network}},
		"dns by TLS": {DNS: intent.DNS{Name: "TLS", ServerName: "dns.example.org", Only: []string{"example.org", "whatsapp.com"}}, Block: intent.Block{Network: []string{"g.whatsapp.com", "whatsapp.net"}}},
		"dns only":   {DNS: intent.DNS{Name: "Some", ServerURL: f.DNS.ServerURL, Only: []string{"example.org"}}, Block: f.Block},
		"clips":      {WebClips: f.WebClips}, "staff": {StaffPage: f.StaffPage}, "own": {Own: f.Own},
	}
	for _, s := range intent.Switches() {
		all["switch "+string(s.ID)] = intent.Wanted{On: map[intent.ID]bool{s.ID: true}, Apps: f.Apps}
	}
	return all
}

func TestEveryTargetTakesEverything(t *testing.T) {
	t.Parallel()
	s := loadSchema(t)
	for name, w := range parts() {
		for _, at := range allTargets() {
			if wrong := s.result(onTarget(at.Target), mustCompile(t, w, at.Target)); len(wrong) > 0 {
				t.Errorf("%s on %s breaks Apple's rules:\n%s", name, at.name, strings.Join(wrong, "\n"))
			}
		}
	}
}

// Whatever is wanted is answered, on every target.
func TestEverythingIsAnswered(t *testing.T) {
	t.Parallel()
	for name, w := range parts() {
		for _, at := range allTargets() {
			for _, wrong := range unanswered(w, at.Target, mustCompile(t, w, at.Target)) {
				t.Errorf("%s on %s: %s", name, at.name, wrong)
			}
		}
	}
}

// unanswered counts on its own what a policy wants and holds the outcomes against it.
func unanswered(w intent.Wanted, at intent.Target, r apple.Result) []string {
	want := map[intent.ID]int{intent.LoseDevice: 1}
	maps.Copy(want, map[intent.ID]int{
		intent.BlockApps: min(len(w.Block.Apps), 1), intent.BlockWeb: min(len(w.Block.Web), 1),
		intent.BlockNetwork: min(len(w.Block.Network), 1), intent.InstallApp: len(w.Apps), intent.JoinWiFi: len(w.WiFi),
		intent.ConnectVPN: len(w.VPN), intent.UseRelay: len(w.Relays), intent.WebClips: len(w.WebClips),
	})
	one := func(id intent.ID, wanted bool) {
		if wanted {
			want[id]++
		}
	}
	for _, a := range w.Apps {
		one(intent.CertifyApp, a.NeedsCertificate)
	}
	one(intent.AllowOnly, w.Block.AllowOnly)
	one(intent.BlockStores, w.Block.Stores)
	one(intent.Passcode, w.Passcode != intent.PasscodeRule{})
	one(intent.Encryption, w.Encryption)
	one(intent.UpdateOS, w.Update.Version != "")
	one(intent.StaffPage, w.StaffPage != "")
	one(intent.UseDNS, w.DNS.Wanted())
	for _, p := range w.Own {
		one(intent.OwnProfile, p.Platform == at.Platform)
	}
	for id, on := range w.On {
		one(id, on)
	}
	if at.UserChannel {
		delete(want, intent.LoseDevice)
	}
	var wrong []string
	for _, o := range r.Outcomes {
		want[o.ID]--
		if o.Intent == "" || o.Verdict == "" {
			wrong = append(wrong, fmt.Sprintf("%s %s says nothing", o.ID, o.Subject))
		}
		if o.Verdict != intent.Enforced && o.Why == "" {
			wrong = append(wrong, fmt.Sprintf("%s %s is %s and does not say why", o.ID, o.Subject, o.Verdict))
		}
		for _, text := range []string{o.Why, o.Cure} {
			if text != "" && !strings.HasSuffix(text, ".") {
				wrong = append(wrong, fmt.Sprintf("%s: %q is no sentence", o.ID, text))
			}
		}
		if at.Ownership != ward.Corporate && strings.Contains(o.Cure, "Supervise the phone") {
			wrong = append(wrong, fmt.Sprintf("%s would have a personal phone supervised", o.ID))
		}
	}
	for id, n := range want {
		if n > 0 {
			wrong = append(wrong, fmt.Sprintf("%d outcomes for %s are missing", n, id))
		}
	}
	return wrong
}

// What an outcome names as its mechanism is there, and what is there is named.
func TestMechanismsAreThere(t *testing.T) {
	t.Parallel()
	for name, w := range parts() {
		for _, at := range allTargets() {
			r := mustCompile(t, w, at.Target)
			there := emitted(t, r)
			for _, o := range r.Outcomes {
				if strings.HasPrefix(o.Mechanism, "com.apple.") {
					for m := range strings.SplitSeq(o.Mechanism, ", ") {
						if !there[m] {
							t.Errorf("%s on %s: %s claims %s, which is not there", name, at.name, o.ID, m)
						}
					}
				}
				if o.Verdict == intent.Impossible && o.Mechanism != "" {
					t.Errorf("%s on %s: %s is impossible by %s", name, at.name, o.ID, o.Mechanism)
				}
			}
		}
	}
}

// emitted lists types, and types with each of their keys.
func emitted(t *testing.T, r apple.Result) map[string]bool {
	t.Helper()
	there := map[string]bool{}
	var keys func(kind string, v any)
	keys = func(kind string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, x := range v {
				there[kind+" "+k] = true
				keys(kind, x)
			}
		case []any:
			for _, x := range v {
				keys(kind, x)
			}
		}
	}
	for _, p := range r.Profiles {
		var doc map[string]any
		if err := plist.Unmarshal(p.Data, &doc); err != nil {
			t.Fatal(err)
		}
		for _, x := range doc["PayloadContent"].([]any) {
			kind := x.(map[string]any)["PayloadType"].(string)
			there[kind] = true
			keys(kind, x)
		}
	}
	for _, d := range r.Declarations {
		var doc map[string]any
		if err := json.Unmarshal(d.Payload, &doc); err != nil {
			t.Fatal(err)
		}
		there[d.Type] = true
		keys(d.Type, doc)
	}
	return there
}

func TestNothingWantedGivesNothing(t *testing.T) {
	t.Parallel()
	for _, at := range allTargets() {
		r := mustCompile(t, intent.Wanted{Name: "Nothing", Notice: "words"}, at.Target)
		if len(r.Profiles)+len(r.Declarations)+len(r.Apps) > 0 {
			t.Errorf("%s gets %d profiles, %d declarations and %d apps", at.name, len(r.Profiles), len(r.Declarations), len(r.Apps))
		}
	}
}

func TestOtherPlatformsAreErrors(t *testing.T) {
	t.Parallel()
	if r, err := apple.Compile(full(), intent.Target{Platform: ward.Android}); err == nil {
		t.Errorf("Android compiled to %d profiles", len(r.Profiles))
	}
	w := intent.Wanted{Own: []intent.Own{{Name: "x", Platform: ward.IOS, Data: []byte("no plist")}}}
	if _, err := apple.Compile(w, intent.Target{Platform: ward.IOS}); err == nil {
		t.Error("an own profile that is none compiled")
	}
}

// A band stands for all its versions: every version gets what its band gets.
func TestBandsAreUniform(t *testing.T) {
	t.Parallel()
	wanted := []intent.Wanted{full(), allowList()}
	ways := []intent.Target{
		{Enrolment: intent.ByUser},
		{Enrolment: intent.ByDevice, Ownership: ward.Corporate},
		{Enrolment: intent.ByAutomation, Supervised: true, Ownership: ward.Corporate},
	}
	majors := map[ward.Platform][]int{
		ward.IOS: {3, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 26, 27, 28}, ward.MacOS: {10, 11, 12, 13, 14, 15, 26, 27, 28},
	}
	for p, list := range majors {
		for _, way := range ways {
			way.Platform = p
			for i, w := range wanted {
				band, same := intent.Version{Major: -1}, ""
				for _, major := range list {
					for minor := range 7 {
						way.OS = intent.Version{Major: major, Minor: minor}
						exact := fingerprint(mustCompile(t, w, way))
						if b := apple.Band(p, way.OS); b != band {
							at := way
							at.OS = b
							band, same = b, fingerprint(mustCompile(t, w, at))
						}
						if diff := cmp.Diff(same, exact); diff != "" {
							t.Fatalf("%+v and its band %s differ for policy %d:\n%s", way, band, i, diff)
						}
					}
				}
			}
		}
	}
}

// fingerprint is short and the same for the same result.
func fingerprint(r apple.Result) string {
	var b strings.Builder
	for _, p := range r.Profiles {
		fmt.Fprintln(&b, p.Identifier, p.Hash, p.Declared, p.Types)
	}
	for _, d := range r.Declarations {
		fmt.Fprintln(&b, d.Identifier, d.Token)
	}
	for _, a := range r.Apps {
		fmt.Fprintln(&b, a.BundleID, a.Hash, a.Declared)
	}
	for _, o := range r.Outcomes {
		fmt.Fprintln(&b, o)
	}
	return b.String()
}

// No band is there for nothing: each differs from the one before for some target.
func TestBandsAreNeeded(t *testing.T) {
	t.Parallel()
	for _, p := range []ward.Platform{ward.IOS, ward.MacOS} {
		bands := apple.Bands(p)
		for i := 1; i < len(bands); i++ {
			differs := false
			for _, e := range []intent.Target{{Enrolment: intent.ByUser}, {Enrolment: intent.ByAutomation, Supervised: true, Ownership: ward.Corporate}} {
				before, after := e, e
				before.Platform, after.Platform = p, p
				before.OS, after.OS = bands[i-1], bands[i]
				differs = differs || fingerprint(mustCompile(t, full(), before)) != fingerprint(mustCompile(t, full(), after))
			}
			if !differs {
				t.Errorf("%s: nothing changes with band %s", p, bands[i])
			}
		}
	}
}

func TestBandOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		platform ward.Platform
		os, want string
	}{
		{ward.IOS, "18.3.1", "18.1"},
		{ward.IOS, "18.6.1", "18.4"},
		{ward.IOS, "27.1", "27"},
		{ward.IOS, "26.4", "18.4"},
		{ward.IOS, "", ""},
		{ward.IOS, "8.4", "1"},
		{ward.MacOS, "10.15", "1"},
		{ward.MacOS, "14.7", "14"},
		{ward.MacOS, "26", "15"},
		{ward.Android, "15", ""},
	} {
		if got := apple.Band(tt.platform, intent.ParseVersion(tt.os)).String(); got != tt.want {
			t.Errorf("Band(%s, %q) = %q, want %q", tt.platform, tt.os, got, tt.want)
		}
	}
}

// goldens are a handful of targets whose every artefact and word is kept.
func goldens() map[string]intent.Target {
	return map[string]intent.Target{
		"ios27-supervised": {Platform: ward.IOS, OS: intent.Version{Major: 27}, Supervised: true, Ownership: ward.Corporate, Enrolment: intent.ByAutomation},
		"ios18-supervised": {Platform: ward.IOS, OS: intent.Version{Major: 18, Minor: 1}, Supervised: true, Ownership: ward.Corporate, Enrolment: intent.ByAutomation},
		"ios15-supervised": {Platform: ward.IOS, OS: intent.Version{Major: 15}, Supervised: true, Ownership: ward.Corporate, Enrolment: intent.ByAutomation},
		"ios18-personal":   {Platform: ward.IOS, OS: intent.Version{Major: 18, Minor: 1}, Ownership: ward.Personal, Enrolment: intent.ByDevice},
		"ios18-user":       {Platform: ward.IOS, OS: intent.Version{Major: 18, Minor: 1}, Ownership: ward.Personal, Enrolment: intent.ByUser},
		"ios18-attested":   {Platform: ward.IOS, OS: intent.Version{Major: 18, Minor: 4}, Supervised: true, Ownership: ward.Corporate, Enrolment: intent.ByAutomation, Attests: true},
		"ios18-loose":      {Platform: ward.IOS, OS: intent.Version{Major: 18, Minor: 4}, Ownership: ward.Corporate, Enrolment: intent.ByDevice},
		"ios-unknown":      {Platform: ward.IOS, Supervised: true, Ownership: ward.Corporate, Enrolment: intent.ByAutomation},
		"macos15-work":     {Platform: ward.MacOS, OS: intent.Version{Major: 15}, Ownership: ward.Corporate, Enrolment: intent.ByAutomation},
		"macos27-work":     {Platform: ward.MacOS, OS: intent.Version{Major: 27}, Ownership: ward.Corporate, Enrolment: intent.ByAutomation},
		"macos15-user":     {Platform: ward.MacOS, OS: intent.Version{Major: 15}, Ownership: ward.Personal, Enrolment: intent.ByUser},
		"macos15-person":   {Platform: ward.MacOS, OS: intent.Version{Major: 15}, Ownership: ward.Corporate, Enrolment: intent.ByAutomation, UserChannel: true},
	}
}

func TestCompileGolden(t *testing.T) {
	t.Parallel()
	for name, at := range goldens() {
		r := mustCompile(t, full(), at)
		var b strings.Builder
		for _, o := range r.Outcomes {
			fmt.Fprintf(&b, "%s: %s\n", o.Intent, o.Verdict)
			for _, line := range []struct{ word, text string }{
				{"by", o.Mechanism}, {"since", o.Since}, {"why", o.Why}, {"cure", o.Cure}, {"covers", strings.Join(o.Covers, " ")},
			} {
				if line.text != "" {
					fmt.Fprintf(&b, "    %s: %s\n", line.word, line.text)
				}
			}
		}
		for _, a := range apple.Artifacts(r) {
			fmt.Fprintf(&b, "\n== %s (%s)\n%s", a.Name, a.Kind, a.Data)
		}
		path := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("%s mismatch (-want +got):\n%s", name, diff)
		}
	}
}

func TestArtifactNamesAreUnique(t *testing.T) {
	t.Parallel()
	for _, at := range allTargets() {
		seen := map[string]bool{}
		for _, a := range apple.Artifacts(mustCompile(t, full(), at.Target)) {
			if seen[a.Name] || a.Name == "" || len(a.Data) == 0 {
				t.Errorf("%s: the file %q is there twice or empty", at.name, a.Name)
			}
			seen[a.Name] = true
		}
	}
}
