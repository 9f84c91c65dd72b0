package applemdm

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/reconcile"
)

func compiler(tokens *int) *Compiler {
	return &Compiler{
		ServerURL: "https://mdm.example", ManagementProfile: "org.example.enrolment",
		Token: func(_ context.Context, d ward.DeviceID, e ward.EnrolmentID, bundle string) (string, error) {
			*tokens++
			return "token-of-" + string(d) + "-" + string(e) + "-" + bundle, nil
		},
		Renewal: func(_ context.Context, d ward.Device, e ward.Enrolment) ([]byte, error) {
			return []byte("anew for " + string(d.ID) + " " + string(e.ID)), nil
		},
	}
}

var (
	device = ward.Device{ID: "d1", Name: "Ward 7", Email: "ada@hospital.example"}
	enrol  = ward.Enrolment{ID: "e1"}
	app    = &profiles.App{
		Name: "Messenger", BundleID: "org.example.m", ManifestURL: "{{server.url}}/m.plist", Required: true, NeedsCertificate: true, NoBackup: true,
		Config: map[string]any{"token": "{{enrolment_token}}", "device": "{{device.id}}", "n": 7},
		Command: map[string]any{
			"ManifestURL": "{{server.url}}/m.plist", "ManagementFlags": 5, "ChangeManagementState": "Managed", "Attributes": map[string]any{"Removable": false},
			"Configuration": map[string]any{"token": "{{enrolment_token}}", "device": "{{device.id}}", "n": 7},
		},
	}
	storeApp = &profiles.App{
		Name: "Store", BundleID: "org.example.s", StoreID: 42,
		Command: map[string]any{"iTunesStoreID": 42, "ManagementFlags": 1, "ChangeManagementState": "Managed"},
	}
)

// TestCompile: every deed becomes the command that Apple documents, and a device's
// engine reads it.
func TestCompile(t *testing.T) {
	t.Parallel()
	config := map[string]any{"token": "token-of-d1-e1-org.example.m", "device": "d1", "n": uint64(7)}
	for _, tc := range []struct {
		step   reconcile.Step
		want   map[string]any
		tokens int
	}{
		{reconcile.Step{Deed: reconcile.AskInformation}, map[string]any{
			"RequestType": "DeviceInformation",
			"Queries":     []any{"DeviceName", "OSVersion", "BuildVersion", "ProductName", "SerialNumber", "IsSupervised", "IsMDMLostModeEnabled", "BatteryLevel"},
		}, 0},
		{reconcile.Step{Deed: reconcile.AskSecurity}, map[string]any{"RequestType": "SecurityInfo"}, 0},
		{reconcile.Step{Deed: reconcile.AskApps, Watch: []string{"a", "b"}}, map[string]any{
			"RequestType": "InstalledApplicationList",
			"Identifiers": []any{"a", "b"}, "Items": []any{"Identifier", "Name", "ShortVersion"},
		}, 0},
		{reconcile.Step{Deed: reconcile.AskManagedApps}, map[string]any{"RequestType": "ManagedApplicationList"}, 0},
		{reconcile.Step{Deed: reconcile.AskProfiles}, map[string]any{"RequestType": "ProfileList"}, 0},
		{reconcile.Step{Deed: reconcile.InstallProfile, Profile: &profiles.Profile{Payload: []byte("<plist/>")}}, map[string]any{"RequestType": "InstallProfile", "Payload": []byte("<plist/>")}, 0},
		{reconcile.Step{Deed: reconcile.RemoveProfile, Target: "p"}, map[string]any{"RequestType": "RemoveProfile", "Identifier": "p"}, 0},
		{reconcile.Step{Deed: reconcile.InstallApp, App: app}, map[string]any{
			"RequestType": "InstallApplication", "ManifestURL": "https://mdm.example/m.plist",
			"ManagementFlags": uint64(5), "ChangeManagementState": "Managed", "Configuration": config, "Attributes": map[string]any{"Removable": false},
		}, 1},
		{reconcile.Step{Deed: reconcile.InstallApp, App: storeApp}, map[string]any{
			"RequestType": "InstallApplication", "iTunesStoreID": uint64(42),
			"ManagementFlags": uint64(1), "ChangeManagementState": "Managed",
		}, 0},
		{reconcile.Step{Deed: reconcile.ConfigureApp, App: app}, map[string]any{
			"RequestType": "Settings",
			"Settings":    []any{map[string]any{"Item": "ApplicationConfiguration", "Identifier": "org.example.m", "Configuration": config}},
		}, 1},
		{reconcile.Step{Deed: reconcile.RemoveApp, App: app}, map[string]any{"RequestType": "RemoveApplication", "Identifier": "org.example.m"}, 0},
		{reconcile.Step{Deed: reconcile.EnableLostMode, LostMode: &profiles.LostMode{Message: "Lost", Phone: "020"}}, map[string]any{"RequestType": "EnableLostMode", "Message": "Lost", "PhoneNumber": "020"}, 0},
		{reconcile.Step{Deed: reconcile.DisableLostMode}, map[string]any{"RequestType": "DisableLostMode"}, 0},
		{reconcile.Step{Deed: reconcile.Locate}, map[string]any{"RequestType": "DeviceLocation"}, 0},
		{reconcile.Step{Deed: reconcile.Lock, Lock: &profiles.Lock{Message: "Lost"}}, map[string]any{"RequestType": "DeviceLock", "Message": "Lost"}, 0},
		{reconcile.Step{Deed: reconcile.AskSIM}, map[string]any{"RequestType": "DeviceInformation", "Queries": []any{"ServiceSubscriptions"}}, 0},
		{reconcile.Step{Deed: reconcile.AskCertificates}, map[string]any{"RequestType": "CertificateList"}, 0},
		{reconcile.Step{Deed: reconcile.RemoveManagement}, map[string]any{"RequestType": "RemoveProfile", "Identifier": "org.example.enrolment"}, 0},
		{reconcile.Step{Deed: reconcile.RenewIdentity, Key: "identity"}, map[string]any{"RequestType": "InstallProfile", "Payload": []byte("anew for d1 e1")}, 0},
		{reconcile.Step{Deed: reconcile.Declare, Key: "declarations:"}, map[string]any{"RequestType": "DeclarativeManagement"}, 0},
	} {
		t.Run(string(tc.step.Deed), func(t *testing.T) {
			t.Parallel()
			tokens := 0
			requestType, body, err := compiler(&tokens).Compile(t.Context(), tc.step, device, enrol, "UUID-1")
			if err != nil {
				t.Fatal(err)
			}
			c, err := agent.ParseCommand(body)
			if err != nil {
				t.Fatal(err)
			}
			if c.UUID != "UUID-1" || c.RequestType != requestType {
				t.Errorf("command %s of type %s, want UUID-1 of %s", c.UUID, c.RequestType, requestType)
			}
			if diff := cmp.Diff(tc.want, c.Payload); diff != "" {
				t.Errorf("Compile(%s) mismatch (-want +got):\n%s", tc.step.Deed, diff)
			}
			if tokens != tc.tokens {
				t.Errorf("%d tokens were issued, want %d", tokens, tc.tokens)
			}
		})
	}
	if len(requestTypes) != 19 {
		t.Errorf("%d deeds have a request type, and 19 are tested", len(requestTypes))
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	tokens := 0
	c := compiler(&tokens)
	if _, _, err := c.Compile(t.Context(), reconcile.Step{Deed: "dance"}, device, enrol, "U"); err == nil {
		t.Error("an unknown deed was compiled")
	}
	boom := errors.New("boom")
	c.Token = func(context.Context, ward.DeviceID, ward.EnrolmentID, string) (string, error) { return "", boom }
	if _, _, err := c.Compile(t.Context(), reconcile.Step{Deed: reconcile.InstallProfile, Profile: &profiles.Profile{Payload: []byte("<plist><dict><key>MaxFailedAttempts</key><integer>10</integer></dict></plist>")}}, device, enrol, "U"); err == nil {
		t.Error("a profile was compiled by which a device erases itself")
	}
	if _, _, err := c.Compile(t.Context(), reconcile.Step{Deed: reconcile.InstallApp, App: app}, device, enrol, "U"); !errors.Is(err, boom) {
		t.Errorf("without a token: %v, want %v", err, boom)
	}
}

func TestManifest(t *testing.T) {
	t.Parallel()
	b, err := Manifest("org.example.m", "https://h/p.ipa")
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := agent.DecodePlist(b, 1<<20, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"items": []any{map[string]any{
		"assets":   []any{map[string]any{"kind": "software-package", "url": "https://h/p.ipa"}},
		"metadata": map[string]any{"bundle-identifier": "org.example.m", "bundle-version": "1.0", "kind": "software", "title": "org.example.m"},
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Manifest() mismatch (-want +got):\n%s", diff)
	}
}
