package virtual_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/agent/virtual"
)

func TestCanOpenURL(t *testing.T) {
	t.Parallel()
	const web = "https://web.whatsapp.com/"
	for _, tc := range []struct {
		name    string
		device  *virtual.Judge
		filters []dict
		url     string
		open    bool
	}{
		{"no filter", phoneOf("18.6", true), nil, web, true},
		{"denied", phoneOf("18.6", true), []dict{{"DenyListURLs": []any{"https://web.whatsapp.com"}}}, web, false},
		{"denied, other scheme", phoneOf("18.6", true), []dict{{"DenyListURLs": []any{"http://web.whatsapp.com"}}}, web, true},
		{"denied by its root", phoneOf("18.6", true), []dict{{"DenyListURLs": []any{"https://x.com/a"}}}, "https://x.com/a/b", false},
		{"beside the root", phoneOf("18.6", true), []dict{{"DenyListURLs": []any{"https://x.com/a"}}}, "https://x.com/b", true},
		{"www does not count", phoneOf("18.6", true), []dict{{"DenyListURLs": []any{"https://signal.org"}}}, "https://www.signal.org/x", false},
		{"a subdomain is another root", phoneOf("18.6", true), []dict{{"DenyListURLs": []any{"https://signal.org"}}}, "https://web.signal.org/", true},
		{"new key on an old phone", phoneOf("14.4", true), []dict{{"DenyListURLs": []any{"https://web.whatsapp.com"}}}, web, true},
		{"old key on an old phone", phoneOf("12.5", true), []dict{{"BlacklistedURLs": []any{"https://web.whatsapp.com"}}}, web, false},
		{"old key on a new phone", phoneOf("26.1", true), []dict{{"BlacklistedURLs": []any{"https://web.whatsapp.com"}}}, web, false},
		{"two filters add up", phoneOf("18.6", true), []dict{{"DenyListURLs": []any{"https://a"}}, {"DenyListURLs": []any{"https://web.whatsapp.com"}}}, web, false},
		{"permitted goes first", phoneOf("18.6", true), []dict{{"AutoFilterEnabled": true, "PermittedURLs": []any{web}, "DenyListURLs": []any{"https://web.whatsapp.com"}}}, web, true},
		{"permitted without the automatic filter", phoneOf("18.6", true), []dict{{"PermittedURLs": []any{web}, "DenyListURLs": []any{"https://web.whatsapp.com"}}}, web, false},
		{"bookmarks only", phoneOf("18.6", true), []dict{{"AllowListBookmarks": []any{dict{"URL": "https://staff.example", "Title": "Staff"}}}}, web, false},
		{"a bookmark", phoneOf("18.6", true), []dict{{"AllowListBookmarks": []any{dict{"URL": "https://staff.example", "Title": "Staff"}}}}, "https://staff.example/page", true},
		{"per-app plug-in leaves browsers alone", phoneOf("18.6", false), []dict{{"FilterType": "Plugin", "PluginBundleID": "p", "ContentFilterUUID": "u", "DenyListURLs": []any{"https://web.whatsapp.com"}}}, web, true},
		{"plug-in on a Mac", macOf("15.6", false), []dict{{"FilterType": "Plugin", "PluginBundleID": "p"}}, web, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for i, f := range tc.filters {
				give(t, tc.device, fmt.Sprintf("f%d", i), "com.apple.webcontent-filter", f)
			}
			if err := tc.device.CanOpenURL(tc.url); (err == nil) != tc.open || err != nil && !errors.Is(err, virtual.ErrBlocked) {
				t.Errorf("CanOpenURL(%s) = %v, want open %v", tc.url, err, tc.open)
			}
		})
	}
	if err := macOf("15.6", false).InstallProfile(mobileconfig(t, "x", "com.apple.webcontent-filter", dict{"DenyListURLs": []any{web}})); err == nil {
		t.Error("a Mac took a built-in filter")
	}
	if err := phoneOf("15.8", false).InstallProfile(mobileconfig(t, "x", "com.apple.webcontent-filter", dict{"FilterType": "Plugin", "PluginBundleID": "p", "ContentFilterUUID": "u"})); err == nil {
		t.Error("iOS 15 without supervision took a filter")
	}
}

func TestPasscodeRules(t *testing.T) {
	t.Parallel()
	profile := dict{"forcePIN": true, "minLength": 6, "allowSimple": false, "maxInactivity": 5}
	declared := dict{"RequirePasscode": true, "MinimumLength": 8, "MaximumInactivityInMinutes": 2, "MaximumFailedAttempts": 10}
	for _, tc := range []struct {
		name     string
		device   *virtual.Judge
		profile  dict
		declared dict
		want     virtual.PasscodeRules
	}{
		{"profile", phoneOf("14.8", false), profile, nil, virtual.PasscodeRules{Required: true, NotSimple: true, MinimumLength: 6, MaximumInactivity: 5}},
		{"declaration", phoneOf("18.6", false), nil, declared, virtual.PasscodeRules{Required: true, MinimumLength: 8, MaximumInactivity: 2, MaximumFailed: 10}},
		{"the stricter of both", phoneOf("18.6", true), profile, declared, virtual.PasscodeRules{Required: true, NotSimple: true, MinimumLength: 8, MaximumInactivity: 2, MaximumFailed: 10}},
		{"user enrolment ignores the profile", byodOf("18.6"), profile, nil, virtual.PasscodeRules{}},
		{"and obeys the declaration", byodOf("18.6"), profile, declared, virtual.PasscodeRules{Required: true, MinimumLength: 8, MaximumInactivity: 2, MaximumFailed: 10}},
		{"a length asks for a passcode", phoneOf("18.6", true), nil, dict{"MinimumLength": 4}, virtual.PasscodeRules{Required: true, MinimumLength: 4}},
		{"out of range", phoneOf("18.6", true), nil, dict{"MinimumLength": 17}, virtual.PasscodeRules{}},
		{"a key of iOS 16.2", phoneOf("16.1", true), nil, dict{"RequireAlphanumericPasscode": true}, virtual.PasscodeRules{}},
		{"a Mac's own account", macOf("15.6", true), nil, declared, virtual.PasscodeRules{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if tc.profile != nil {
				give(t, tc.device, "p", "com.apple.mobiledevice.passwordpolicy", tc.profile)
			}
			if tc.declared != nil {
				tc.device.ApplyDeclarations(activated(t, "passcode.settings", tc.declared), nil)
			}
			if diff := cmp.Diff(tc.want, tc.device.PasscodeRules()); diff != "" {
				t.Errorf("PasscodeRules() mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPasscodeCompliance(t *testing.T) {
	t.Parallel()
	j := virtual.NewJudge(virtual.Options{OSVersion: "18.6"})
	if !j.PasscodeCompliant() {
		t.Error("without rules no passcode is compliant too")
	}
	j.ApplyDeclarations(activated(t, "passcode.settings", dict{"RequireComplexPasscode": true, "MinimumLength": 6}), nil)
	if j.PasscodeCompliant() {
		t.Error("no passcode is not compliant")
	}
	for _, bad := range []string{"", "1234", "123456", "111111", "654321"} {
		if err := j.SetPasscode(bad); !errors.Is(err, virtual.ErrPasscode) {
			t.Errorf("SetPasscode(%q) = %v, want ErrPasscode", bad, err)
		}
	}
	if err := j.SetPasscode("739126"); err != nil || !j.PasscodeCompliant() || !j.PasscodeSet() {
		t.Errorf("SetPasscode() = %v, compliant %v", err, j.PasscodeCompliant())
	}
}

func TestPredicateTakesBackWhatItGave(t *testing.T) {
	t.Parallel()
	j := virtual.NewJudge(virtual.Options{OSVersion: "18.6", Supervised: true})
	wifi := mobileconfig(t, "wifi", "com.apple.wifi.managed", dict{"SSID_STR": "Staff"})
	fetched := 0
	fetch := func(string) ([]byte, error) {
		fetched++
		return wifi, nil
	}
	list := [][]byte{
		decl(t, "a1", "activation.simple", dict{"StandardConfigurations": []any{"passcode"}}),
		decl(t, "a2", "activation.simple", dict{"StandardConfigurations": []any{"wifi"}, "Predicate": "@status(passcode.is-compliant) == TRUE"}),
		decl(t, "passcode", "configuration.passcode.settings", dict{"RequirePasscode": true}),
		decl(t, "wifi", "configuration.legacy", dict{"ProfileURL": "https://ward.example/wifi"}),
	}
	states := j.ApplyDeclarations(list, fetch)
	if s := stateOf(t, states, "a2"); s.Active || code(s) != "Info.Predicate" || s.Valid != "valid" {
		t.Errorf("a2 = %+v, want inactive by its predicate", s)
	}
	if len(j.WiFi()) != 0 {
		t.Errorf("WiFi() = %v, want none before there is a passcode", j.WiFi())
	}
	if err := j.SetPasscode("739126"); err != nil {
		t.Fatal(err)
	}
	if s := stateOf(t, j.Reconsider(), "a2"); !s.Active || len(j.WiFi()) != 1 || j.WiFi()[0].SSID != "Staff" {
		t.Errorf("a2 = %+v, WiFi() = %v, want both in force", s, j.WiFi())
	}
	if got := j.Do("ClearPasscode", dict{"UnlockToken": []byte{}}); got.Status != agent.Acknowledged {
		t.Fatalf("ClearPasscode = %+v", got)
	}
	j.Reconsider()
	if len(j.WiFi()) != 0 {
		t.Errorf("WiFi() = %v, want it gone with the passcode", j.WiFi())
	}
	j.ApplyDeclarations(list, fetch)
	if fetched != 1 {
		t.Errorf("fetched %d times, want once: the ServerToken did not change", fetched)
	}
}

func TestDeclarationFaults(t *testing.T) {
	t.Parallel()
	on := decl(t, "a", "activation.simple", dict{"StandardConfigurations": []any{"c"}})
	test := decl(t, "c", "configuration.management.test", dict{"Echo": "x"})
	for _, tc := range []struct {
		name, version string
		list          [][]byte
		id, valid     string
		code          string
	}{
		{"in force", "18.6", [][]byte{on, test}, "c", "valid", ""},
		{"no activation", "18.6", [][]byte{test}, "c", "unknown", "Info.NotReferencedByActivation"},
		{"no configuration", "18.6", [][]byte{on}, "a", "invalid", "Error.MissingConfigurations"},
		{"predicate that cannot be read", "18.6", [][]byte{decl(t, "a", "activation.simple", dict{"StandardConfigurations": []any{"c"}, "Predicate": "what"}), test}, "a", "invalid", "Error.UnableToParsePredicate"},
		{"its configuration", "18.6", [][]byte{decl(t, "a", "activation.simple", dict{"StandardConfigurations": []any{"c"}, "Predicate": "what"}), test}, "c", "unknown", "Error.ActivationFailed"},
		{"predicate about nothing", "18.6", [][]byte{decl(t, "a", "activation.simple", dict{"StandardConfigurations": []any{"c"}, "Predicate": "@status(x.y) == 1"}), test}, "a", "invalid", "Error.UnableToEvaluatePredicate"},
		{"unknown configuration", "18.6", [][]byte{on, decl(t, "c", "configuration.tea", dict{})}, "c", "invalid", "Error.ConfigurationNotSupported"},
		{"unknown asset", "18.6", [][]byte{decl(t, "x", "asset.tea", dict{})}, "x", "invalid", "Error.UnknownDeclarationType"},
		{"asset before iOS 17", "16.7", [][]byte{decl(t, "x", "asset.data", dict{"Reference": dict{"DataURL": "https://x"}})}, "x", "invalid", "Error.ConfigurationNotSupported"},
		{"unused asset", "18.6", [][]byte{decl(t, "x", "asset.data", dict{"Reference": dict{"DataURL": "https://x"}})}, "x", "unknown", "Info.NotReferencedByConfiguration"},
		{"key missing", "18.6", [][]byte{on, decl(t, "c", "configuration.legacy", dict{})}, "c", "invalid", "Error.InvalidPayload"},
		{"profile without TLS", "18.6", [][]byte{on, decl(t, "c", "configuration.legacy", dict{"ProfileURL": "http://x"})}, "c", "invalid", "Error.ConfigurationIsInvalid"},
		{"update without a time", "18.6", [][]byte{on, decl(t, "c", "configuration.softwareupdate.enforcement.specific", dict{"TargetOSVersion": "19.0", "TargetLocalDateTime": "soon"})}, "c", "invalid", "Error.ConfigurationIsInvalid"},
		{"no such profile", "18.6", [][]byte{on, decl(t, "c", "configuration.legacy", dict{"ProfileURL": "https://x"})}, "c", "invalid", "Error.ConfigurationCannotBeApplied"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := stateOf(t, phoneOf(tc.version, true).ApplyDeclarations(tc.list, nil), tc.id)
			if s.Valid != tc.valid || code(s) != tc.code || s.Active != (tc.code == "") {
				t.Errorf("state = %+v, want %s %s", s, tc.valid, tc.code)
			}
		})
	}
	got := phoneOf("14.8", true).ApplyDeclarations([][]byte{on, test}, nil)
	if len(got) != 1 || code(got[0]) != "Error.ConfigurationNotSupported" {
		t.Errorf("iOS 14: %+v, want that it knows no declarations", got)
	}
	got = phoneOf("18.6", true).ApplyDeclarations([][]byte{[]byte("no JSON")}, nil)
	if len(got) != 1 || code(got[0]) != "Error.InvalidPayload" {
		t.Errorf("no JSON: %+v, want Error.InvalidPayload", got)
	}
}
