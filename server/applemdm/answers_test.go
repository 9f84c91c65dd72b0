package applemdm

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/micromdm/plist"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func answerOf(t testing.TB, m map[string]any) []byte {
	t.Helper()
	b, err := plist.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

//go:fix inline
func TestReadAnswer(t *testing.T) {
	t.Parallel()
	information := &reconcile.Information{Supervised: new(true), LostMode: new(false), OSVersion: "18.6", Model: "iPhone15,4", Serial: "SN1", Name: "Ward 7", Battery: 0.5}
	fact := func(kind fleet.FactKind, v any) fleet.Fact {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return fleet.Fact{Kind: kind, Value: b, Observed: now}
	}
	for _, tc := range []struct {
		name string
		in   map[string]any
		want reconcile.Told
	}{
		{"nothing", map[string]any{"Status": "Acknowledged"}, reconcile.Told{}},
		{"information", map[string]any{"QueryResponses": map[string]any{
			"IsSupervised": true, "IsMDMLostModeEnabled": false, "OSVersion": " 18.6 ", "ProductName": "iPhone15,4", "SerialNumber": "SN1", "DeviceName": "Ward 7", "BatteryLevel": 0.5, "Unknown": 7,
		}}, reconcile.Told{Information: information, Facts: []fleet.Fact{fact(fleet.Information, information)}}},
		{
			"information that tells nothing",
			map[string]any{"QueryResponses": map[string]any{}},
			reconcile.Told{Information: &reconcile.Information{}, Facts: []fleet.Fact{fact(fleet.Information, reconcile.Information{})}},
		},
		{
			"encrypted",
			map[string]any{"SecurityInfo": map[string]any{"HardwareEncryptionCaps": 3, "PasscodePresent": true, "PasscodeCompliant": true}},
			reconcile.Told{Facts: []fleet.Fact{fact(fleet.Security, reconcile.Security{PasscodePresent: new(true), PasscodeCompliant: new(true), Encrypted: new(true)})}},
		},
		{
			"without a passcode nothing is",
			map[string]any{"SecurityInfo": map[string]any{"HardwareEncryptionCaps": 3, "PasscodePresent": false}},
			reconcile.Told{Facts: []fleet.Fact{fact(fleet.Security, reconcile.Security{PasscodePresent: new(false), Encrypted: new(false)})}},
		},
		{
			"encryption that is not told is not known",
			map[string]any{"SecurityInfo": map[string]any{"PasscodePresent": true}},
			reconcile.Told{Facts: []fleet.Fact{fact(fleet.Security, reconcile.Security{PasscodePresent: new(true)})}},
		},
		{
			"apps",
			map[string]any{"InstalledApplicationList": []any{map[string]any{"Identifier": "a", "Name": "A", "Version": "7"}, map[string]any{"Identifier": "b", "ShortVersion": "1.2", "Version": "9"}}},
			reconcile.Told{Facts: []fleet.Fact{fact(fleet.Apps, []fleet.App{{BundleID: "a", Name: "A", Version: "7"}, {BundleID: "b", Version: "1.2"}})}},
		},
		{"no apps is a fact too", map[string]any{"InstalledApplicationList": []any{}}, reconcile.Told{Facts: []fleet.Fact{fact(fleet.Apps, []fleet.App{})}}},
		{
			"managed apps",
			map[string]any{"ManagedApplicationList": map[string]any{"a": map[string]any{"Status": "Managed", "HasConfiguration": true}}},
			reconcile.Told{Facts: []fleet.Fact{fact(fleet.ManagedApps, []fleet.ManagedApp{{BundleID: "a", Status: "Managed", HasConfiguration: true}})}},
		},
		{
			"profiles",
			map[string]any{"ProfileList": []any{map[string]any{"PayloadIdentifier": "p", "PayloadUUID": "u", "PayloadDisplayName": "P", "IsManaged": true}}},
			reconcile.Told{Facts: []fleet.Fact{fact(fleet.Profiles, []fleet.Profile{{Identifier: "p", UUID: "u", Name: "P", Managed: true}})}},
		},
		{
			"certificates",
			map[string]any{"CertificateList": []any{map[string]any{"CommonName": "c", "IsIdentity": true}}},
			reconcile.Told{Facts: []fleet.Fact{fact(fleet.Certificates, []fleet.Certificate{{CommonName: "c", Identity: true}})}},
		},
		{
			"a location",
			map[string]any{"Latitude": 55.7, "Longitude": -4.0, "HorizontalAccuracy": 12.0, "Timestamp": "2026-11-21T10:00:00Z"},
			reconcile.Told{Location: &reconcile.Location{Latitude: 55.7, Longitude: -4, Accuracy: 12, At: now.Add(-2 * time.Hour)}},
		},
		{"a location without its time is of now", map[string]any{"Latitude": 1.0, "Longitude": 2.0, "Timestamp": "noon"}, reconcile.Told{Location: &reconcile.Location{Latitude: 1, Longitude: 2, At: now}}},
		{"half a location is none", map[string]any{"Latitude": 1.0}, reconcile.Told{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := readAnswer(answerOf(t, tc.in), now)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("readAnswer() mismatch (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := readAnswer(answerOf(t, map[string]any{"ProfileList": "none"}), now); err == nil {
		t.Error("an answer of another form was read")
	}
}

// FuzzAnswer: whatever a device answers, it is read or refused; what is read can be
// read again by the loop.
func FuzzAnswer(f *testing.F) {
	for _, m := range []map[string]any{
		{"QueryResponses": map[string]any{"IsSupervised": true, "BatteryLevel": 0.5}},
		{"SecurityInfo": map[string]any{"HardwareEncryptionCaps": 3, "PasscodePresent": true}},
		{"InstalledApplicationList": []any{map[string]any{"Identifier": "a"}}},
		{"ManagedApplicationList": map[string]any{"a": map[string]any{"Status": "Managed"}}},
		{"ProfileList": []any{map[string]any{"PayloadIdentifier": "p"}}},
		{"Latitude": 1.0, "Longitude": 2.0},
	} {
		f.Add(answerOf(f, m))
	}
	f.Add([]byte(`<plist><dict><key>QueryResponses</key><dict><key>BatteryLevel</key><real>nan</real></dict></dict></plist>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if guard(b) != nil {
			return
		}
		told, err := readAnswer(b, now)
		if err != nil {
			return
		}
		if _, err := reconcile.Observe(told.Facts); err != nil {
			t.Errorf("Observe of what was read: %v", err)
		}
	})
}

func TestReadRaw(t *testing.T) {
	t.Parallel()
	command := func(uuid, requestType string) string {
		return `<plist><dict><key>CommandUUID</key><string>` + uuid + `</string><key>Command</key><dict><key>RequestType</key><string>` + requestType + `</string></dict></dict></plist>`
	}
	for requestType := range harmless {
		if c, err := ReadRaw([]byte(command("U", requestType))); err != nil || c.CommandUUID != "U" || c.Command.RequestType != requestType {
			t.Errorf("ReadRaw(%s) = %+v, %v", requestType, c, err)
		}
	}
	for name, tc := range map[string]struct {
		body string
		want ward.Kind
	}{
		"an erase":              {command("U", "EraseDevice"), ward.Forbidden},
		"an unknown type":       {command("U", "Frobnicate"), ward.Forbidden},
		"another spelling":      {command("U", "profilelist"), ward.Forbidden},
		"no type":               {command("U", ""), ward.Invalid},
		"no UUID":               {command("", "ProfileList"), ward.Invalid},
		"space around its UUID": {command(" U", "ProfileList"), ward.Invalid},
		"a long UUID":           {command(longText(129), "ProfileList"), ward.Invalid},
		"too large":             {command("U", "ProfileList") + longText(maxRaw), ward.Invalid},
		"the cyclic list":       {string(cyclic()), ward.Invalid},
		"nested deep":           {"<plist>" + nested(1000) + "</plist>", ward.Invalid},
		"nothing":               {"", ward.Invalid},
	} {
		if _, err := ReadRaw([]byte(tc.body)); ward.KindOf(err) != tc.want {
			t.Errorf("ReadRaw of %s = %v, want %s", name, err, tc.want)
		}
	}
}

func longText(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'x'
	}
	return string(b)
}
