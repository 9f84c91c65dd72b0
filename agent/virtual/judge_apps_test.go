package virtual_test

import (
	"testing"

	"github.com/wardmdm/ward/agent"
)

func TestOneManagerPerApp(t *testing.T) {
	t.Parallel()
	j := phoneOf("18.6", true)
	app := dict{"AppStoreID": "42", "InstallBehavior": dict{"Install": "Required", "License": dict{"Assignment": "Device"}}, "IncludeInBackup": false}
	if s := stateOf(t, j.ApplyDeclarations(activated(t, "app.managed", app), nil), "c"); !s.Active || s.Valid != "valid" {
		t.Fatalf("app.managed = %+v, want it in force", s)
	}
	if _, managed := j.AppInstalled(approved); !managed || j.BacksUp(approved) || j.RemoveByUser(approved) {
		t.Errorf("managed %v, backs up %v: want a managed app, without backup, that stays", managed, j.BacksUp(approved))
	}
	refused := map[string]dict{
		"InstallApplication": {"iTunesStoreID": int64(42)},
		"RemoveApplication":  {"Identifier": approved},
	}
	for requestType, fields := range refused {
		if got := j.Do(requestType, fields); got.Status != agent.Error {
			t.Errorf("%s of a declared app = %+v, want an error", requestType, got)
		}
	}
	set := j.Do("Settings", dict{"Settings": []any{dict{"Item": "ApplicationConfiguration", "Identifier": approved, "Configuration": dict{"k": "v"}}}})
	if got := set.Fields["Settings"].([]any)[0].(dict)["Status"]; got != "Error" {
		t.Errorf("ApplicationConfiguration of a declared app = %v, want Error", got)
	}
	if list := j.Do("ManagedApplicationList", nil).Fields["ManagedApplicationList"].(dict); len(list) != 0 {
		t.Errorf("ManagedApplicationList = %v, want the declared app left out", list)
	}
	j.ApplyDeclarations(nil, nil)
	if installed, _ := j.AppInstalled(approved); installed {
		t.Error("the app outlived its declaration")
	}
}

func TestAppManagedNeedsALicence(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, version string
		payload       dict
		want          string
	}{
		{"no licence", "18.6", dict{"AppStoreID": "42"}, "Error.ConfigurationIsInvalid"},
		{"two names", "18.6", dict{"AppStoreID": "42", "BundleID": approved}, "Error.ConfigurationIsInvalid"},
		{"unknown to the store", "18.6", dict{"AppStoreID": "7", "InstallBehavior": dict{"License": dict{"Assignment": "Device"}}}, "Error.ConfigurationCannotBeApplied"},
		{"before iOS 17.2", "17.1", dict{"ManifestURL": "https://x"}, "Error.ConfigurationNotSupported"},
		{"configuration before iOS 18.4", "18.3", dict{"ManifestURL": "https://x", "LegacyAppConfigAssetReference": "d"}, "Error.UnknownPayloadKeys"},
		{"wrong type", "18.6", dict{"ManifestURL": 7}, "Error.InvalidPayload"},
		{"wrong word", "18.6", dict{"ManifestURL": "https://x", "InstallBehavior": dict{"Install": "Always"}}, "Error.InvalidPayload"},
		{"asset missing", "18.6", dict{"ManifestURL": "https://x", "LegacyAppConfigAssetReference": "d"}, "Error.MissingAssets"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			fetch := func(string) ([]byte, error) { return manifest(t), nil }
			s := stateOf(t, phoneOf(tc.version, true).ApplyDeclarations(activated(t, "app.managed", tc.payload), fetch), "c")
			if code(s) != tc.want || s.Active || s.Valid != "invalid" {
				t.Errorf("state = %+v, want %s", s, tc.want)
			}
		})
	}
}

// manifest describes the approved app.
func manifest(t *testing.T) []byte {
	t.Helper()
	b, err := agent.EncodePlist(dict{"items": []any{dict{"metadata": dict{"bundle-identifier": approved, "bundle-version": "3.1", "title": "Messages for staff"}}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
