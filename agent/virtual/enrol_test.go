package virtual_test

import (
	"errors"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/agent/internal/trialserver"
	"github.com/wardmdm/ward/agent/virtual"
)

// scepProfile is a Wi-Fi network with an identity of its own.
func scepProfile(t *testing.T, s *trialserver.Server, challenge string) []byte {
	t.Helper()
	payload := func(id, payloadType string, more dict) dict {
		more["PayloadType"], more["PayloadVersion"], more["PayloadIdentifier"], more["PayloadUUID"] = payloadType, 1, "wifi."+id, "U-"+id
		return more
	}
	b, err := agent.EncodePlist(dict{
		"PayloadType": "Configuration", "PayloadVersion": 1, "PayloadIdentifier": "wifi", "PayloadUUID": "U", "PayloadContent": []any{
			payload("root", "com.apple.security.root", dict{"PayloadContent": s.CA.Raw}),
			payload("scep", "com.apple.security.scep", dict{"PayloadContent": dict{
				"URL": s.URL + "/scep", "Challenge": challenge, "Keysize": 2048, "Subject": []any{[]any{[]any{"CN", "ward-7-phone"}}},
			}}),
			payload("wifi", "com.apple.wifi.managed", dict{"SSID_STR": "Clinical", "PayloadCertificateUUID": "U-scep", "EAPClientConfiguration": dict{
				"AcceptEAPTypes": []any{13}, "TLSTrustedServerNames": []any{"radius.example"}, "PayloadCertificateAnchorUUID": []any{"U-root"},
			}}),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestProfileGetsItsIdentity(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	p := enrolled(t, s, nil)
	if got := verdict(s.Do(t, udid, "InstallProfile", dict{"Payload": scepProfile(t, s, "guess")})); got != uint64(22013) {
		t.Errorf("InstallProfile with a wrong challenge = %v, want 22013", got)
	}
	if len(p.Profiles()) != 0 || len(p.WiFi()) != 0 {
		t.Errorf("profiles %v, networks %v; want none", p.Profiles(), p.WiFi())
	}
	if got := verdict(s.Do(t, udid, "InstallProfile", dict{"Payload": scepProfile(t, s, s.Challenge)})); got != "Acknowledged" {
		t.Fatalf("InstallProfile = %v, want Acknowledged", got)
	}
	if got := p.WiFi(); len(got) != 1 || got[0].SSID != "Clinical" || !got[0].EAPTLS || !got[0].Identity || got[0].Roots != 1 || !got[0].PrivateAddr {
		t.Errorf("WiFi() = %+v, want Clinical by EAP-TLS with an identity", got)
	}
	if got := p.Identities(); len(got) != 1 || got[0].Subject.CommonName != "ward-7-phone" {
		t.Errorf("Identities() = %v, want ward-7-phone", got)
	}
	if got := len(s.Do(t, udid, "CertificateList", nil)["CertificateList"].([]any)); got != 4 {
		t.Errorf("CertificateList has %d, want 4: two identities and two authorities", got)
	}
	s.Do(t, udid, "RemoveProfile", dict{"Identifier": "wifi"})
	if len(p.Identities()) != 0 || len(p.WiFi()) != 0 {
		t.Errorf("identities %v, networks %v; want them gone with the profile", p.Identities(), p.WiFi())
	}
}

func TestProfileNamesItsCertificates(t *testing.T) {
	t.Parallel()
	for _, content := range []dict{
		{"SSID_STR": "x", "PayloadCertificateUUID": "elsewhere"},
		{"SSID_STR": "x", "EAPClientConfiguration": dict{"PayloadCertificateAnchorUUID": []any{"elsewhere"}}},
	} {
		err := phoneOf("18.6", true).InstallProfile(mobileconfig(t, "x", "com.apple.wifi.managed", content))
		if pe, ok := errors.AsType[*agent.ProfileError](err); !ok || pe.Code != 2003 {
			t.Errorf("InstallProfile(%v) = %v, want 2003", content, err)
		}
	}
}

func TestUserEnrolment(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	s.Edit = func(p map[string]any) {
		mdm := p["PayloadContent"].([]any)[2].(map[string]any)
		delete(mdm, "AccessRights")
		mdm["EnrollmentMode"], mdm["AssignedManagedAppleID"] = "BYOD", "nurse@example.org"
	}
	p := enrolled(t, s, func(o *virtual.Options) { o.UserEnrolment = true })
	id := channelOf(p)
	first := s.Checkin(id, "Authenticate")
	if first == nil || first["UDID"] != nil || first["SerialNumber"] != nil || s.Checkin(id, "TokenUpdate")["UnlockToken"] != nil {
		t.Errorf("Authenticate = %v, want neither UDID, serial number nor unlock token", first)
	}
	got := s.Do(t, id, "DeviceInformation", dict{"Queries": []any{"UDID", "SerialNumber", "OSVersion", "WiFiMAC"}})["QueryResponses"].(dict)
	if len(got) != 1 || got["OSVersion"] != "18.6" {
		t.Errorf("DeviceInformation = %v, want OSVersion alone", got)
	}
	for _, requestType := range []string{"EraseDevice", "EnableLostMode", "RestartDevice", "ClearPasscode", "Restrictions"} {
		if got := verdict(s.Do(t, id, requestType, nil)); got != uint64(12007) {
			t.Errorf("%s = %v, want 12007", requestType, got)
		}
	}
	if got := verdict(s.Do(t, id, "DeviceLock", nil)); got != "Acknowledged" {
		t.Errorf("DeviceLock = %v, want Acknowledged: it is allowed", got)
	}
	if list := s.Do(t, id, "InstalledApplicationList", nil)["InstalledApplicationList"].([]any); len(list) != 0 {
		t.Errorf("InstalledApplicationList = %v, want managed apps only", list)
	}
	if got := s.Do(t, id, "InstallApplication", dict{"iTunesStoreID": 42})["RejectionReason"]; got != "PurchaseMethodNotSupported" {
		t.Errorf("InstallApplication without a licence = %v, want PurchaseMethodNotSupported", got)
	}
	if got := verdict(s.Do(t, id, "InstallApplication", dict{"iTunesStoreID": 42, "Options": dict{"PurchaseMethod": 1}})); got != "Acknowledged" {
		t.Errorf("InstallApplication with a licence = %v, want Acknowledged", got)
	}
	if got := s.Do(t, id, "InstallApplication", dict{"Identifier": whatsApp, "ChangeManagementState": "Managed"})["RejectionReason"]; got != "ManagementChangeNotSupported" {
		t.Errorf("taking over an app = %v, want ManagementChangeNotSupported", got)
	}
}

func TestMacCommands(t *testing.T) {
	t.Parallel()
	mac := macOf("15.6", false)
	for _, tc := range []struct {
		requestType string
		fields      dict
		want        int // 0: acknowledged
	}{
		{"DeviceLock", nil, 12008},
		{"DeviceLock", dict{"PIN": "123456"}, 0},
		{"EraseDevice", nil, 12008},
		{"EnableLostMode", dict{"Message": "x"}, 12021},
		{"ClearPasscode", nil, 12021},
		{"Restrictions", nil, 12021},
		{"InstalledApplicationList", nil, 0},
	} {
		got := 0
		if r := mac.Do(tc.requestType, tc.fields); len(r.ErrorChain) > 0 {
			got = r.ErrorChain[0].ErrorCode
		}
		if got != tc.want {
			t.Errorf("%s(%v) = %d, want %d", tc.requestType, tc.fields, got, tc.want)
		}
	}
	encrypted := virtual.NewJudge(virtual.Options{Platform: ward.MacOS, FileVault: true})
	if got := encrypted.Do("SecurityInfo", nil).Fields["SecurityInfo"].(dict)["FDE_Enabled"]; got != true {
		t.Errorf("FDE_Enabled = %v, want true", got)
	}
	if r := macOf("15.6", true).Do("InstalledApplicationList", nil); r.Status != agent.Error {
		t.Errorf("InstalledApplicationList on a personal Mac = %+v, want an error", r)
	}
	if err := mac.InstallProfile(mobileconfig(t, "x", "com.apple.webClip.managed", dict{"URL": "https://x", "Label": "x"})); err == nil {
		t.Error("a Mac took a web clip on its device channel")
	}
}
