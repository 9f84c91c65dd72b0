package virtual_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward/agent/internal/trialserver"
	"github.com/wardmdm/ward/agent/virtual"
)

func TestLockScreen(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, version string
		setting       dict
		shown         bool
	}{
		{"always", "18.6", dict{"BundleIdentifier": approved, "PreviewType": 0}, true},
		{"when unlocked", "18.6", dict{"BundleIdentifier": approved, "PreviewType": 1}, false},
		{"never", "18.6", dict{"BundleIdentifier": approved, "PreviewType": 2}, false},
		{"never, before iOS 14", "13.7", dict{"BundleIdentifier": approved, "PreviewType": 2}, true},
		{"not on the lock screen", "13.7", dict{"BundleIdentifier": approved, "ShowInLockScreen": false}, false},
		{"another app", "18.6", dict{"BundleIdentifier": whatsApp, "PreviewType": 2}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			j := phoneOf(tc.version, true)
			give(t, j, "n", "com.apple.notificationsettings", dict{"NotificationSettings": []any{tc.setting}})
			if got := j.LockScreenText(approved); got != tc.shown {
				t.Errorf("LockScreenText() = %v, want %v", got, tc.shown)
			}
		})
	}
	j := phoneOf("18.6", false)
	restrict(t, j, dict{"allowLockScreenNotificationsView": false})
	if !j.LockScreenText(approved) || j.LockScreenHistory() {
		t.Errorf("text %v, history %v; want the key to take away the history only", j.LockScreenText(approved), j.LockScreenHistory())
	}
}

func TestBackup(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		device  *virtual.Judge
		flags   int64 // -1: the app is the user's own
		content dict
		backup  bool
		cloud   bool
	}{
		{"the user's own", phoneOf("18.6", true), -1, nil, true, true},
		{"managed", phoneOf("18.6", true), 1, nil, true, true},
		{"managed without backup", phoneOf("18.6", false), 5, nil, false, true},
		{"managed without iCloud", phoneOf("18.6", false), 5, dict{"allowManagedAppsCloudSync": false}, false, false},
		{"no iCloud backup leaves the computer's", phoneOf("18.6", true), 1, dict{"allowCloudBackup": false}, true, true},
		{"neither iCloud nor a computer", phoneOf("18.6", true), 1, dict{"allowCloudBackup": false, "allowHostPairing": false}, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			app := whatsApp
			if tc.flags >= 0 {
				app = approved
				tc.device.Do("InstallApplication", dict{"iTunesStoreID": int64(42), "ManagementFlags": tc.flags, "ChangeManagementState": "Managed"})
			}
			restrict(t, tc.device, tc.content)
			if b, c := tc.device.BacksUp(app), tc.device.SyncsToCloud(app); b != tc.backup || c != tc.cloud {
				t.Errorf("backs up %v, syncs %v; want %v, %v", b, c, tc.backup, tc.cloud)
			}
		})
	}
}

func TestNetworksAndClips(t *testing.T) {
	t.Parallel()
	j := phoneOf("18.6", true)
	give(t, j, "clip", "com.apple.webClip.managed", dict{"URL": "https://staff.example", "Label": "Staff", "IsRemovable": false})
	if diff := cmp.Diff([]virtual.WebClip{{Label: "Staff", URL: "https://staff.example", Shown: true}}, j.WebClips()); diff != "" {
		t.Errorf("WebClips() mismatch (-want +got):\n%s", diff)
	}
	restrict(t, j, dict{"allowListedAppBundleIDs": []any{approved}})
	if j.WebClips()[0].Shown {
		t.Error("the web clip is shown, though com.apple.webapp is on no list")
	}
	give(t, j, "vpn", "com.apple.vpn.managed", dict{"VPNType": "IKEv2", "UserDefinedName": "Trust", "IKEv2": dict{"RemoteAddress": "vpn.example"}})
	if diff := cmp.Diff([]virtual.Tunnel{{Name: "Trust", Server: "vpn.example"}}, j.VPNs()); diff != "" {
		t.Errorf("VPNs() mismatch (-want +got):\n%s", diff)
	}
	give(t, j, "relay", "com.apple.relay.managed", dict{"Relays": []any{dict{"HTTP3RelayURL": "https://relay.example"}}, "MatchDomains": []any{"b.example", "a.example"}, "RelayUUID": "u"})
	if diff := cmp.Diff([]virtual.Tunnel{{Server: "https://relay.example", PerApp: true, Domains: []string{"a.example", "b.example"}}}, j.Relays()); diff != "" {
		t.Errorf("Relays() mismatch (-want +got):\n%s", diff)
	}
	old := phoneOf("16.7", true)
	give(t, old, "relay", "com.apple.relay.managed", dict{"Relays": []any{dict{"HTTP3RelayURL": "https://relay.example"}}})
	if got := old.Relays(); len(got) != 0 {
		t.Errorf("iOS 16 has relays %v, want none: they came with 17", got)
	}
}

func TestUpdateEnforced(t *testing.T) {
	t.Parallel()
	update := func(version, at string) dict { return dict{"TargetOSVersion": version, "TargetLocalDateTime": at} }
	for _, tc := range []struct {
		name   string
		device *virtual.Judge
		list   []dict
		want   virtual.Update
	}{
		{"newer", phoneOf("18.6", true), []dict{update("18.7", "2026-12-01T03:00:00")}, virtual.Update{Version: "18.7", By: "2026-12-01T03:00:00"}},
		{"there already", phoneOf("18.6", true), []dict{update("18.6", "2026-12-01T03:00:00")}, virtual.Update{}},
		{"the first deadline counts", phoneOf("18.6", true), []dict{update("26.1", "2027-01-01T03:00:00"), update("18.7", "2026-12-01T03:00:00")}, virtual.Update{Version: "18.7", By: "2026-12-01T03:00:00"}},
		{"iOS 16", phoneOf("16.7", true), []dict{update("18.7", "2026-12-01T03:00:00")}, virtual.Update{}},
		{"unsupervised", phoneOf("18.6", false), []dict{update("18.7", "2026-12-01T03:00:00")}, virtual.Update{Version: "18.7", By: "2026-12-01T03:00:00"}},
		{"user enrolment", byodOf("18.6"), []dict{update("18.7", "2026-12-01T03:00:00")}, virtual.Update{}},
		{"a Mac", macOf("15.6", false), []dict{update("15.7", "2026-12-01T03:00:00")}, virtual.Update{Version: "15.7", By: "2026-12-01T03:00:00"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var ids []any
			var list [][]byte
			for i, p := range tc.list {
				id := string(rune('b' + i))
				ids, list = append(ids, id), append(list, decl(t, id, "configuration.softwareupdate.enforcement.specific", p))
			}
			tc.device.ApplyDeclarations(append(list, decl(t, "a", "activation.simple", dict{"StandardConfigurations": ids})), nil)
			if got, ok := tc.device.UpdateEnforced(); got != tc.want || ok != (tc.want != virtual.Update{}) {
				t.Errorf("UpdateEnforced() = %+v, %v, want %+v", got, ok, tc.want)
			}
		})
	}
}

func TestDeclaredIdentity(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	p := enrolled(t, s, nil)
	doc, err := json.Marshal(dict{"URL": s.URL + "/scep", "Challenge": s.Challenge, "Keysize": 2048, "Subject": []any{[]any{[]any{"CN", "app"}}}})
	if err != nil {
		t.Fatal(err)
	}
	s.Serve("/credential", doc)
	s.Serve("/manifest", manifest(t))
	asset := trialserver.Declaration{Identifier: "cred", Type: "com.apple.asset.credential.scep", Payload: dict{"Reference": dict{"DataURL": s.URL + "/credential", "ContentType": "application/json"}}}
	s.Declare(t, udid, activate("a", "", "id", "app"), asset,
		configure("id", "security.identity", dict{"CredentialAssetReference": "cred"}),
		configure("app", "app.managed", dict{
			"ManifestURL": s.URL + "/manifest", "InstallBehavior": dict{"Install": "Required"},
			"AppConfig": dict{"Identities": []any{dict{"Identifier": "tls", "AssetReference": "cred"}}},
		}))
	if got := p.Identities(); len(got) != 1 || got[0].Subject.CommonName != "app" {
		t.Errorf("Identities() = %v, want the one that was declared", got)
	}
	if diff := cmp.Diff([]string{"tls"}, slices.Sorted(maps.Keys(p.AppIdentities(approved)))); diff != "" {
		t.Errorf("AppIdentities() mismatch (-want +got):\n%s", diff)
	}
}

func TestProfilesByHand(t *testing.T) {
	t.Parallel()
	j := phoneOf("18.6", true)
	own := mobileconfig(t, "own", "com.apple.wifi.managed", dict{"SSID_STR": "Home"})
	restrict(t, j, dict{"allowUIConfigurationProfileInstallation": false})
	if err := j.InstallProfileByHand(t.Context(), own); err == nil {
		t.Error("the user installed a profile against the restriction")
	}
	if err := j.RemoveProfileByHand("test.restrictions"); err == nil {
		t.Error("the user removed a profile of management")
	}
	if err := j.RemoveProfileByHand("none"); err == nil {
		t.Error("the user removed a profile that is not there")
	}
	free := byodOf("18.6")
	if err := free.InstallProfileByHand(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	if list := free.Do("ProfileList", nil).Fields["ProfileList"].([]any); len(list) != 0 {
		t.Errorf("ProfileList in user enrolment = %v, want the user's own left out", list)
	}
	if r := free.Do("RemoveProfile", dict{"Identifier": "own"}); len(r.ErrorChain) == 0 || r.ErrorChain[0].ErrorCode != 12013 {
		t.Errorf("RemoveProfile of the user's own = %+v, want 12013", r)
	}
}

func TestUpdateSystemChangesWhatIsTaken(t *testing.T) {
	t.Parallel()
	j := phoneOf("26.4", true)
	list := activated(t, "app.settings", dict{"Allowed": dict{"DeniedApps": []any{whatsApp}}})
	j.ApplyDeclarations(list, nil)
	if err := j.CanLaunch(whatsApp); err != nil {
		t.Errorf("iOS 26: %v, want nil", err)
	}
	j.UpdateSystem("27.0")
	j.Reconsider()
	if j.CanLaunch(whatsApp) == nil {
		t.Error("iOS 27: WhatsApp launches, want the declaration in force")
	}
}

func TestGatekeeper(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name            string
		control         dict
		fixed           bool
		web, enterprise bool // can install
	}{
		{"nothing", nil, false, true, true},
		{"identified developers", dict{"EnableAssessment": true, "AllowIdentifiedDevelopers": true}, true, true, false},
		{"the App Store alone", dict{"EnableAssessment": true, "AllowIdentifiedDevelopers": false}, true, false, false},
		{"which a person can pass by", dict{"EnableAssessment": true, "AllowIdentifiedDevelopers": false}, false, true, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			j := macOf("15.6", false)
			if tc.control != nil {
				give(t, j, "control", "com.apple.systempolicy.control", tc.control)
			}
			if tc.fixed {
				give(t, j, "managed", "com.apple.systempolicy.managed", dict{"DisableOverride": true})
			}
			if web, own := j.CanInstallFrom("web"), j.CanInstallFrom("enterprise"); (web == nil) != tc.web || (own == nil) != tc.enterprise {
				t.Errorf("web %v, enterprise %v; want open %v, %v", web, own, tc.web, tc.enterprise)
			}
		})
	}
	j := macOf("15.6", false)
	give(t, j, "fv", "com.apple.MCX", dict{"dontAllowFDEDisable": true})
	if !j.FileVaultKept() || macOf("15.6", true).FileVaultKept() {
		t.Error("FileVaultKept() does not follow the profile")
	}
}
