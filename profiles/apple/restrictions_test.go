package apple_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/micromdm/plist"

	"github.com/wardmdm/ward/profiles/apple"
)

var update = flag.Bool("update", false, "write the golden files anew")

var everyWish = []apple.Wish{
	apple.ManagedOpenIn, apple.ManagedPasteboard, apple.AirDropUnmanaged, apple.NoScreenshots,
	apple.NoLockScreenPreviews, apple.NoBackup, apple.NoIMessage, apple.NoRCS,
}

func everything() apple.Wanted {
	w := apple.Wanted{
		BlockedApps: []string{"net.whatsapp.WhatsApp", "org.whispersystems.signal", "imoimiphone"},
		Previews:    []string{"org.example.wardmessenger"},
		On:          map[apple.Wish]bool{},
	}
	for _, wish := range everyWish {
		w.On[wish] = true
	}
	return w
}

// targets are one device for each band and enrolment, and one past the last band.
func targets() []apple.Target {
	var all []apple.Target
	for _, os := range append(apple.Bands(), apple.Version{Major: 27}) {
		all = append(all, apple.Target{OS: os}, apple.Target{OS: os, Supervised: true}, apple.Target{OS: os, UserEnrolment: true})
	}
	return all
}

func compile(t *testing.T, payloads []apple.Payload) []byte {
	t.Helper()
	raw, err := apple.Mobileconfig(apple.Document{Identifier: "org.example.test", Name: "Test", Payloads: payloads})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func decode(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := plist.Unmarshal(raw, &doc); err != nil {
		t.Fatalf("decode profile: %v", err)
	}
	return doc
}

func TestEveryTargetTakesEveryCombination(t *testing.T) {
	t.Parallel()
	c := newChecker(t)
	full := everything()
	for _, target := range targets() {
		for bits := range 1 << (len(everyWish) + 1) {
			w := apple.Wanted{Previews: full.Previews, On: map[apple.Wish]bool{}}
			if bits&1 == 1 {
				w.BlockedApps = full.BlockedApps
			}
			for i, wish := range everyWish {
				w.On[wish] = bits>>(i+1)&1 == 1
			}
			payloads, outcomes := apple.Restrict(target, w)
			if len(payloads) == 0 {
				for _, o := range outcomes {
					if len(o.Set) > 0 {
						t.Fatalf("%+v: %s claims %v but nothing is emitted", target, o.Wish, o.Set)
					}
				}
				continue
			}
			if wrong := c.profile(target, decode(t, compile(t, payloads))); len(wrong) > 0 {
				t.Fatalf("%+v: a profile that breaks Apple's rules: %v", target, wrong)
			}
		}
	}
}

// What an outcome claims must be what the payloads hold, key for key.
func TestOutcomesMatchPayloads(t *testing.T) {
	t.Parallel()
	for _, target := range targets() {
		payloads, outcomes := apple.Restrict(target, everything())
		emitted := map[string]bool{}
		for _, p := range payloads {
			for key := range p.Keys {
				if key == "NotificationSettings" {
					key = "PreviewType"
				}
				emitted[key] = true
			}
		}
		claimed := map[string]bool{}
		for _, o := range outcomes {
			for _, key := range o.Set {
				claimed[key] = true
			}
			for _, left := range o.Left {
				if emitted[left.Key] {
					t.Errorf("%+v: %s is emitted and said to be left out", target, left.Key)
				}
			}
			if len(o.Set)+len(o.Left) == 0 {
				t.Errorf("%+v: nothing is said of %s", target, o.Wish)
			}
		}
		if diff := cmp.Diff(emitted, claimed); diff != "" {
			t.Errorf("%+v: outcomes mismatch (-emitted +claimed):\n%s", target, diff)
		}
	}
}

func TestRestrict(t *testing.T) {
	t.Parallel()
	ios := func(major, minor int) apple.Version { return apple.Version{Major: major, Minor: minor} }
	tests := []struct {
		name   string
		target apple.Target
		wish   apple.Wish
		want   apple.Outcome
	}{
		{
			"supervised blocks",
			apple.Target{OS: ios(18, 6), Supervised: true},
			apple.BlockApps,
			apple.Outcome{Wish: apple.BlockApps, Set: []string{"blockedAppBundleIDs"}},
		},
		{
			"unsupervised can't block",
			apple.Target{OS: ios(18, 6)},
			apple.BlockApps,
			apple.Outcome{Wish: apple.BlockApps, Left: []apple.LeftOut{{Key: "blockedAppBundleIDs", Reason: apple.NeedsSupervision, Since: ios(15, 0)}}},
		},
		{
			"iOS 14 can't block",
			apple.Target{OS: ios(14, 8), Supervised: true},
			apple.BlockApps,
			apple.Outcome{Wish: apple.BlockApps, Left: []apple.LeftOut{{Key: "blockedAppBundleIDs", Reason: apple.NeedsNewerOS, Since: ios(15, 0)}}},
		},
		{
			"user enrolment can't block",
			apple.Target{OS: ios(18, 6), UserEnrolment: true},
			apple.BlockApps,
			apple.Outcome{Wish: apple.BlockApps, Left: []apple.LeftOut{{Key: "blockedAppBundleIDs", Reason: apple.NotForUserEnrol, Since: ios(15, 0)}}},
		},
		{
			"unknown version",
			apple.Target{Supervised: true},
			apple.NoIMessage,
			apple.Outcome{Wish: apple.NoIMessage, Left: []apple.LeftOut{{Key: "allowChat", Reason: apple.UnknownOS, Since: ios(5, 0)}}},
		},
		{
			"RCS needs 18.1",
			apple.Target{OS: ios(18, 0), Supervised: true},
			apple.NoRCS,
			apple.Outcome{Wish: apple.NoRCS, Left: []apple.LeftOut{{Key: "allowRCSMessaging", Reason: apple.NeedsNewerOS, Since: ios(18, 1)}}},
		},
		{
			"no mirroring to forbid before iOS 18",
			apple.Target{OS: ios(17, 6)},
			apple.NoScreenshots,
			apple.Outcome{Wish: apple.NoScreenshots, Set: []string{"allowScreenShot"}},
		},
		{
			"pasteboard unsupervised",
			apple.Target{OS: ios(17, 6)},
			apple.ManagedPasteboard,
			apple.Outcome{Wish: apple.ManagedPasteboard, Set: []string{"requireManagedPasteboard"}},
		},
	}
	for _, tt := range tests {
		w := apple.Wanted{On: map[apple.Wish]bool{tt.wish: true}}
		if tt.wish == apple.BlockApps {
			w.BlockedApps = []string{"net.whatsapp.WhatsApp"}
		}
		_, outcomes := apple.Restrict(tt.target, w)
		if diff := cmp.Diff([]apple.Outcome{tt.want}, outcomes); diff != "" {
			t.Errorf("%s: Restrict mismatch (-want +got):\n%s", tt.name, diff)
		}
	}
}

// The checker is worth only what it catches: break a right profile in every way that
// matters and see each break reported.
func TestCheckerCatchesMutations(t *testing.T) {
	t.Parallel()
	c := newChecker(t)
	good := apple.Target{OS: apple.Version{Major: 18, Minor: 6}, Supervised: true}
	payloads, _ := apple.Restrict(good, everything())
	raw := compile(t, payloads)
	if wrong := c.profile(good, decode(t, raw)); len(wrong) > 0 {
		t.Fatalf("the unbroken profile is refused: %v", wrong)
	}
	caught := 0
	broken := func(what string, target apple.Target, mutate func(payload map[string]any)) {
		for i := range payloads {
			doc := decode(t, raw)
			mutate(doc["PayloadContent"].([]any)[i].(map[string]any))
			if len(c.profile(target, doc)) == 0 {
				t.Errorf("payload %d, %s: not caught", i, what)
			}
			caught++
		}
	}
	for i := range payloads {
		for key := range decode(t, raw)["PayloadContent"].([]any)[i].(map[string]any) {
			doc := decode(t, raw)
			dict := doc["PayloadContent"].([]any)[i].(map[string]any)
			dict[key+"X"] = dict[key]
			delete(dict, key)
			if len(c.profile(good, doc)) == 0 {
				t.Errorf("%s renamed: not caught", key)
			}
			doc = decode(t, raw)
			doc["PayloadContent"].([]any)[i].(map[string]any)[key] = 1.5
			if len(c.profile(good, doc)) == 0 {
				t.Errorf("%s of the wrong type: not caught", key)
			}
			caught += 2
		}
	}
	same := func(map[string]any) {}
	for _, target := range []apple.Target{{OS: good.OS}, {OS: good.OS, UserEnrolment: true}, {Supervised: true}, {OS: apple.Version{Major: 8}, Supervised: true}} {
		if len(c.profile(target, decode(t, raw))) == 0 {
			t.Errorf("%+v takes what is made for %+v: not caught", target, good)
		}
		caught++
	}
	broken("taken UUID", good, func(p map[string]any) { p["PayloadUUID"] = decode(t, raw)["PayloadUUID"] })
	broken("unknown type", good, func(p map[string]any) { p["PayloadType"] = "com.apple.nothing" })
	broken("too old", apple.Target{OS: apple.Version{Major: 9, Minor: 2}, Supervised: true}, same)
	if caught < 40 {
		t.Errorf("only %d mutations were tried", caught)
	}
}

// Whoever adds a key to the compiler must write its rule down in the table too.
func TestTableHasNoUnusedRule(t *testing.T) {
	t.Parallel()
	payloads, _ := apple.Restrict(apple.Target{OS: apple.Version{Major: 18, Minor: 6}, Supervised: true}, everything())
	emitted := map[string]bool{"PreviewType": true}
	for _, p := range payloads {
		for key := range p.Keys {
			emitted[key] = true
		}
	}
	for kind, rules := range newChecker(t) {
		for key := range rules {
			if !emitted[key] {
				t.Errorf("the table has %s %s, which is never emitted", kind, key)
			}
		}
	}
}

func TestMobileconfigGolden(t *testing.T) {
	t.Parallel()
	for name, target := range map[string]apple.Target{
		"supervised-18.6":    {OS: apple.Version{Major: 18, Minor: 6}, Supervised: true},
		"supervised-15.0":    {OS: apple.Version{Major: 15}, Supervised: true},
		"unsupervised-18.6":  {OS: apple.Version{Major: 18, Minor: 6}},
		"user-enrolled-18.6": {OS: apple.Version{Major: 18, Minor: 6}, UserEnrolment: true},
	} {
		payloads, _ := apple.Restrict(target, everything())
		got := compile(t, payloads)
		path := filepath.Join("testdata", name+".mobileconfig.golden")
		if *update {
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
}

func TestMobileconfigIsDeterministic(t *testing.T) {
	t.Parallel()
	target := apple.Target{OS: apple.Version{Major: 18, Minor: 6}, Supervised: true}
	payloads, _ := apple.Restrict(target, everything())
	want := compile(t, payloads)
	for range 1000 {
		w := everything()
		w.BlockedApps = append(w.BlockedApps, w.BlockedApps...)
		rand.Shuffle(len(w.BlockedApps), func(i, j int) { w.BlockedApps[i], w.BlockedApps[j] = w.BlockedApps[j], w.BlockedApps[i] })
		payloads, _ := apple.Restrict(target, w)
		if !bytes.Equal(want, compile(t, payloads)) {
			t.Fatalf("the order %v gives other bytes", w.BlockedApps)
		}
	}
}

func TestMobileconfigChangesItsUUIDs(t *testing.T) {
	t.Parallel()
	w := everything()
	target := apple.Target{OS: apple.Version{Major: 18, Minor: 6}, Supervised: true}
	before, _ := apple.Restrict(target, w)
	w.BlockedApps = w.BlockedApps[1:]
	after, _ := apple.Restrict(target, w)
	a, b := decode(t, compile(t, before)), decode(t, compile(t, after))
	if a["PayloadUUID"] == b["PayloadUUID"] {
		t.Error("the profile changed and kept its PayloadUUID")
	}
	if a["PayloadIdentifier"] != b["PayloadIdentifier"] {
		t.Error("the profile changed and lost its PayloadIdentifier")
	}
}

func TestMobileconfigRefusesEmpty(t *testing.T) {
	t.Parallel()
	if _, err := apple.Mobileconfig(apple.Document{Identifier: "org.example.test"}); err == nil {
		t.Error("a profile without payloads was written")
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]apple.Version{
		"18.6.1": {Major: 18, Minor: 6}, "18": {Major: 18}, " 26.0 ": {Major: 26}, "": {}, "x": {}, "-1": {},
		"18.x": {}, "0.9": {},
	} {
		if got := apple.ParseVersion(text); got != want {
			t.Errorf("ParseVersion(%q) = %+v, want %+v", text, got, want)
		}
	}
	for text, want := range map[string]string{"18.6": "18.1", "18.0": "18", "17.9": "15", "27.2": "18.1", "": "", "1": ""} {
		if got := apple.Band(apple.ParseVersion(text)).String(); got != want {
			t.Errorf("Band(%q) = %q, want %q", text, got, want)
		}
	}
}

// A band stands for all its versions: the newest and the oldest get the same bytes.
func TestBandsAreUniform(t *testing.T) {
	t.Parallel()
	for major := 1; major <= 30; major++ {
		for minor := range 10 {
			v := apple.Version{Major: major, Minor: minor}
			for _, target := range []apple.Target{{}, {Supervised: true}, {UserEnrolment: true}} {
				exact, band := target, target
				exact.OS, band.OS = v, apple.Band(v)
				a, _ := apple.Restrict(exact, everything())
				b, _ := apple.Restrict(band, everything())
				if diff := cmp.Diff(a, b); diff != "" {
					t.Fatalf("%+v and its band differ:\n%s", exact, diff)
				}
			}
		}
	}
}

func FuzzParseVersion(f *testing.F) {
	for _, s := range []string{"18.6.1", "", ".", "9999999999999999999.1", "18.-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v := apple.ParseVersion(s)
		if v.Known() && apple.ParseVersion(v.String()) != v {
			t.Errorf("%q reads as %+v, which is written %q", s, v, v)
		}
		if v.Major < 0 || v.Minor < 0 || !v.Known() && v != (apple.Version{}) {
			t.Errorf("%q reads as %+v", s, v)
		}
	})
}

func ExampleRestrict() {
	target := apple.Target{OS: apple.ParseVersion("18.6")}
	_, outcomes := apple.Restrict(target, apple.Wanted{BlockedApps: []string{"net.whatsapp.WhatsApp"}})
	for _, o := range outcomes {
		fmt.Println(o.Wish, o.Set, o.Left[0].Reason)
	}
	// Output: block apps [] needs supervision
}
