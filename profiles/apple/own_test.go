package apple_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/micromdm/plist"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/apple"
	"github.com/wardmdm/ward/profiles/intent"
)

// ownWith is a profile of one payload.
func ownWith(t *testing.T, p ward.Platform, kind string, keys map[string]any) intent.Own {
	t.Helper()
	payload := map[string]any{"PayloadType": kind, "PayloadVersion": 1, "PayloadIdentifier": "org.example.x." + kind, "PayloadUUID": "0D2C9B7E-58C5-4C0B-8E0A-3C6D3F0B1A12"}
	maps.Copy(payload, keys)
	raw, err := plist.Marshal(map[string]any{
		"PayloadType": "Configuration", "PayloadVersion": 1, "PayloadIdentifier": "org.example.x", "PayloadUUID": "0D2C9B7E-58C5-4C0B-8E0A-3C6D3F0B1A11",
		"PayloadContent": []any{payload}, "PayloadRemovalDisallowed": true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return intent.Own{Name: "Own", Platform: p, Data: raw, Types: []string{kind}}
}

func TestOwnProfiles(t *testing.T) {
	t.Parallel()
	none := map[string]any{}
	for _, tt := range []struct {
		name   string
		kind   string
		keys   map[string]any
		target intent.Target
		why    string // part of the reason; empty: it is installed
	}{
		{"printers", "com.apple.airprint", none, phone("18.0", byUser), ""},
		{"single app, supervised", "com.apple.app.lock", none, phone("18.0"), ""},
		{"single app, unsupervised", "com.apple.app.lock", none, phone("18.0", loose), "only supervised"},
		{"single app, user enrolment", "com.apple.app.lock", none, phone("18.0", byUser), "forbids this under user enrolment"},
		{"Mac's payload on a phone", "com.apple.dock", none, phone("18.0"), "does not have it on iPhones"},
		{"unknown on a phone", "com.apple.nothing", none, phone("18.0"), "does not know whether"},
		{"an app's settings on a Mac", "com.example.app", none, mac("15.0"), ""},
		{"an app's settings in user enrolment", "com.example.app", none, mac("15.0", byUser), "does not know whether"},
		{"Apple's but unknown on a Mac", "com.apple.nothing", none, mac("15.0"), "does not know whether"},
		{"mail on a Mac's own channel", "com.apple.mail.managed", none, mac("15.0"), "channel of the person"},
		{"too new", "com.apple.security.acme", none, phone("15.0"), "needs iOS 16"},
		{"filter without supervision", "com.apple.webcontent-filter", none, phone("18.0", loose), "ContentFilterUUID"},
		{"filter for managed apps", "com.apple.webcontent-filter", map[string]any{"ContentFilterUUID": "x"}, phone("18.0", loose), ""},
		{"relay in user enrolment", "com.apple.relay.managed", none, phone("18.0", byUser), "RelayUUID"},
		{"DNS proxy in user enrolment", "com.apple.dnsProxy.managed", none, phone("18.0", byUser), "DNSProxyUUID"},
		{"camera in user enrolment", "com.apple.applicationaccess", map[string]any{"allowCamera": false}, phone("18.0", byUser), "forbids allowCamera"},
		{"Wi-Fi proxy in user enrolment", "com.apple.wifi.managed", map[string]any{"ProxyType": "None"}, phone("18.0", byUser), "forbids ProxyType"},
		{"a key that Ward sets", "com.apple.applicationaccess", map[string]any{"allowScreenShot": true}, phone("18.0"), "Ward sets too"},
		{"another key", "com.apple.applicationaccess", map[string]any{"allowCamera": false}, phone("18.0"), ""},
		{"notifications that Ward sets", "com.apple.notificationsettings", none, phone("18.0"), "Ward sets one already"},
		{"passcode in user enrolment", "com.apple.mobiledevice.passwordpolicy", none, phone("18.0", byUser), "ignores it"},
		{"resolver beside Ward's profile", "com.apple.dnsSettings.managed", none, phone("18.0"), "Ward sets a resolver too"},
		{"resolver beside Ward's declaration", "com.apple.dnsSettings.managed", none, phone("27.0"), "Ward sets a resolver too"},
		{"declarations", "com.apple.declarations", none, phone("18.0"), "does not know whether"},
		{"unknown system", "com.apple.airprint", none, phone(""), "not known"},
	} {
		w := intent.Wanted{On: map[intent.ID]bool{intent.NoScreenshots: true, intent.NoLockScreenPreviews: true}, Apps: approved(), DNS: full().DNS}
		w.Own = []intent.Own{ownWith(t, tt.target.Platform, tt.kind, tt.keys)}
		r := mustCompile(t, w, tt.target)
		o, _ := find(r.Outcomes, intent.OwnProfile, "Own")
		var doc map[string]any
		for _, p := range r.Profiles {
			if strings.HasPrefix(p.Identifier, apple.ProfileIdentifiers+"own.") {
				if err := plist.Unmarshal(p.Data, &doc); err != nil {
					t.Fatal(err)
				}
			}
		}
		switch {
		case tt.why == "" && (o.Verdict != intent.Enforced || doc == nil):
			t.Errorf("%s: %s, because: %s", tt.name, o.Verdict, o.Why)
		case tt.why != "" && (o.Verdict != intent.Impossible || !strings.Contains(o.Why, tt.why) || doc != nil):
			t.Errorf("%s: %s, because: %s; want %q", tt.name, o.Verdict, o.Why, tt.why)
		case doc != nil && tt.target.Platform == ward.IOS && doc["PayloadRemovalDisallowed"] != nil:
			t.Errorf("%s: PayloadRemovalDisallowed is still there", tt.name)
		}
	}
}

// The table of payload types agrees with Apple's schema.
func TestOwnPayloadTypesAgreeWithTheSchema(t *testing.T) {
	t.Parallel()
	s := loadSchema(t)
	for name, items := range s.byType {
		kind, ok := strings.CutPrefix(name, "profile com.apple.")
		if kind = "com.apple." + kind; !ok || kind == "com.apple.mdm" || kind == "com.apple.declarations" {
			continue
		}
		for _, at := range allTargets() {
			if at.UserChannel || at.Ownership != ward.Corporate || at.OS.Major > 0 && at.OS.Major < 9 || !at.OS.Known() {
				continue
			}
			w := intent.Wanted{Own: []intent.Own{ownWith(t, at.Platform, kind, map[string]any{"ContentFilterUUID": "x", "RelayUUID": "x", "DNSProxyUUID": "x"})}}
			if kind == "com.apple.applicationaccess" || kind == "com.apple.mobiledevice.passwordpolicy" {
				w.Own[0] = ownWith(t, at.Platform, kind, nil)
			}
			o, _ := find(mustCompile(t, w, at.Target).Outcomes, intent.OwnProfile, "Own")
			if o.Verdict != intent.Enforced {
				continue
			}
			for _, it := range items {
				if _, there := it.OS[onTarget(at.Target).platform]; !there {
					t.Errorf("%s: installs %s, which Apple does not have there", at.name, kind)
				}
				// What Apple deprecates still works, and the profile is not of Ward's making.
				wrong := slices.DeleteFunc(onTarget(at.Target).allows(kind, it.OS), func(w string) bool { return strings.Contains(w, "deprecated") })
				if len(items) == 1 && len(wrong) > 0 {
					t.Errorf("%s: installs %s: %v", at.name, kind, wrong)
				}
			}
		}
	}
}
