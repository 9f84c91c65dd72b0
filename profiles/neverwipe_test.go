package profiles_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/profiles/source"
)

// wiping finds the words by which a platform has a device erase itself: Apple's
// maxFailedAttempts and MaximumFailedAttempts, Google's maximumFailedPasswordsForWipe and
// wipeAction, Windows' MaxDevicePasswordFailedAttempts and doWipe.
// Source: Apple's schema, mdm/profiles/com.apple.mobiledevice.passwordpolicy.yaml and
// declarative/declarations/configurations/passcode.settings.yaml;
// https://developers.google.com/android/management/reference/rest/v1/enterprises.policies;
// https://learn.microsoft.com/windows/client-management/mdm/devicelock-csp and remotewipe-csp.
var wiping = regexp.MustCompile(`(?i)failed[ _]?(attempts|password)|wipe`)

// ownProfile is a profile of the organisation's own.
const ownProfile = `<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict>
<key>PayloadType</key><string>Configuration</string><key>PayloadVersion</key><integer>1</integer>
<key>PayloadIdentifier</key><string>org.example.fonts</string><key>PayloadUUID</key><string>7C6E8E4C-3C4B-4E55-9D41-111111111111</string>
<key>PayloadContent</key><array><dict><key>PayloadType</key><string>com.apple.font</string><key>PayloadVersion</key><integer>1</integer>
<key>PayloadIdentifier</key><string>org.example.fonts.1</string><key>PayloadUUID</key><string>7C6E8E4C-3C4B-4E55-9D41-222222222222</string>%s</dict></array></dict></plist>`

// everyPolicy returns every policy that the tests of this module know, and some that nobody
// wrote.
func everyPolicy(t *testing.T) map[string]*profiles.Policy {
	t.Helper()
	site, err := os.ReadFile(filepath.Join("source", "testdata", "site.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{
		"root.pem": rootCertificate(t), "site.yaml": site, "icons/rota.png": []byte("\x89PNG\r\n\x1a\nrest"),
		"own/printers.mobileconfig": fmt.Appendf(nil, ownProfile, ""),
	}
	out := map[string]*profiles.Policy{}
	add := func(name, text string) {
		if out[name], err = profiles.Parse([]byte(text), files); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for _, pattern := range []string{"testdata/*.yaml", "source/testdata/*.yaml"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Base(name) != "site.yaml" { // a catalogue
				add(name, string(text))
			}
		}
	}
	for _, b := range source.Baselines() {
		add("baseline "+b, record+"baseline: "+b+"\nposture: {passcode: {minimum_length: 8, complex: true, lock_after: 5m}, encryption: {}}")
	}
	for i := range 10 {
		rng := rand.New(rand.NewPCG(5, uint64(i)))
		add(fmt.Sprintf("random policy %d", i), randomPolicy(rng))
	}
	return out
}

// anySubjects are devices of every class that a compiler tells apart.
func anySubjects(platforms ...ward.Platform) (out []profiles.Subject) {
	kinds := map[ward.Platform][]string{
		ward.IOS: {"Device", "User Enrollment (Device)"}, ward.MacOS: {"Device", "User Enrollment (Device)"},
		ward.Android: {string(intent.FullyManaged), string(intent.CompanyOwned), string(intent.WorkProfile)}, ward.Windows: {""}, ward.Linux: {""},
	}
	for _, p := range platforms {
		for _, os := range []string{"", "9.2", "10", "11", "12.1", "14", "15.8", "16.1", "17", "18.6", "26.4", "27.0"} {
			for _, o := range []ward.Ownership{ward.Corporate, ward.Personal, ""} {
				for _, k := range kinds[p] {
					for _, s := range []ward.Supervision{ward.Supervised, ward.Unsupervised} {
						out = append(out, profiles.Subject{Device: ward.Device{Platform: p, OSVersion: os, Ownership: o, Site: "North", Group: "Ward 7"}, Supervised: s, Rights: ward.RightsAll, Kind: k, Attests: s == ward.Supervised})
					}
				}
			}
		}
	}
	return out
}

// TestNoDeviceErasesItself: of all policies that are known, nothing that any compiler makes
// for any class of device holds a word by which the device would erase itself, in a case of
// loss or without one.
func TestNoDeviceErasesItself(t *testing.T) {
	t.Parallel()
	policies := everyPolicy(t)
	for compiler, platforms := range map[string][]ward.Platform{
		"apple": {ward.IOS, ward.MacOS}, "android": {ward.Android}, "workstation": {ward.Windows, ward.Linux, ward.MacOS},
	} {
		t.Run(compiler, func(t *testing.T) {
			t.Parallel()
			looked := 0
			check := func(p *profiles.Policy, s profiles.Subject, what string, data []byte) {
				looked += len(data)
				if found := wiping.Find(data); found != nil {
					t.Errorf("%s of a %s holds %q", what, profiles.ClassOf(s, p, now), found)
				}
			}
			for name, p := range policies {
				seen := map[profiles.Class]bool{}
				for _, s := range anySubjects(platforms...) {
					class := profiles.ClassOf(s, p, now)
					if seen[class] {
						continue
					}
					seen[class] = true
					for _, a := range p.Artifacts(s, now) {
						check(p, s, name+": "+a.Name, a.Data)
					}
					s.Case = &profiles.Case{ID: "c1", Kind: profiles.CaseStolen, Reported: now}
					st := profiles.Desired(s, p, now)
					for _, f := range st.Profiles {
						check(p, s, name+": profile "+f.Identifier, f.Payload)
					}
					for _, d := range st.Declarations {
						check(p, s, name+": declaration "+d.Identifier, slices.Concat(d.Payload, d.Bare))
					}
					for _, d := range st.Documents {
						check(p, s, name+": document "+d.Hash, d.Data)
					}
					for _, a := range st.Apps {
						check(p, s, name+": app "+a.BundleID, fmt.Appendf(nil, "%v", a.Command))
					}
				}
			}
			if looked < 1<<20 {
				t.Errorf("only %d bytes were looked at: the test proves nothing", looked)
			}
		})
	}
}

// TestNoPolicyAsksForAWipe: a file that asks for it in the words of any platform is refused,
// in a field or in a profile of the organisation's own, for whoever's device.
func TestNoPolicyAsksForAWipe(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"maxFailedAttempts", "MaximumFailedAttempts", "MAXFAILEDATTEMPTS"} {
		for _, ownership := range []string{"corporate", "personal"} {
			text := record + "groups: [{name: g, match: {ownership: " + ownership + "}, profiles: [{name: P, platform: ios, file: own.mobileconfig}]}]"
			_, err := profiles.Parse([]byte(text), map[string][]byte{"own.mobileconfig": fmt.Appendf(nil, ownProfile, "<key>a</key><dict><key>"+key+"</key><integer>10</integer></dict>")})
			if ward.KindOf(err) != ward.Invalid || !strings.Contains(err.Error(), "a device would erase itself") {
				t.Errorf("an own profile with %s for %s devices: %v, want it refused", key, ownership, err)
			}
		}
	}
	for _, section := range []string{"posture: {passcode: {%s: 10}}", "hardening: {%s: 10}", "containment: {%s: 10}", "%s: 10", "lost: {escalation: {%s: 10}}"} {
		for _, key := range []string{"maximum_failed_attempts", "maxFailedAttempts", "maximumFailedPasswordsForWipe", "MaxDevicePasswordFailedAttempts", "wipe_after", "erase_after"} {
			text := record + fmt.Sprintf(section, key)
			if _, err := profiles.Parse([]byte(text), nil); ward.KindOf(err) != ward.Invalid {
				t.Errorf("%s: %v, want it refused", text[len(record):], err)
			}
		}
	}
	for _, sample := range []string{`"maximumFailedPasswordsForWipe": 10`, `<key>maxFailedAttempts</key>`, `"MaximumFailedAttempts":4`, `wipeAction`, `MaxDevicePasswordFailedAttempts`, `./Device/Vendor/MSFT/RemoteWipe/doWipe`} {
		if !wiping.MatchString(sample) {
			t.Errorf("the test does not find %s", sample)
		}
	}
}
