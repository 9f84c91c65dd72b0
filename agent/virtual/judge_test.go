package virtual_test

import (
	"encoding/json"
	"errors"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/agent/virtual"
)

const messages, faceTime = "com.apple.MobileSMS", "com.apple.facetime"

type dict = map[string]any

// phoneOf returns a judge for a phone with WhatsApp and the approved app.
func phoneOf(version string, supervised bool) *virtual.Judge {
	return virtual.NewJudge(virtual.Options{
		OSVersion: version, Supervised: supervised, PasscodeSet: true,
		Apps:  []virtual.Installed{{BundleID: whatsApp, Name: "WhatsApp"}, {BundleID: approved, Name: "Messages for staff"}},
		Store: []virtual.StoreApp{{ID: 42, Installed: virtual.Installed{BundleID: approved, Name: "Messages for staff", Version: "2.0"}}},
	})
}

// byodOf returns a judge for the work side of a personal phone.
func byodOf(version string) *virtual.Judge {
	return virtual.NewJudge(virtual.Options{OSVersion: version, UserEnrolment: true, Apps: []virtual.Installed{{BundleID: whatsApp}}})
}

// macOf returns a judge for a Mac.
func macOf(version string, user bool) *virtual.Judge {
	return virtual.NewJudge(virtual.Options{
		Platform: ward.MacOS, OSVersion: version, UserEnrolment: user,
		Apps: []virtual.Installed{{BundleID: whatsApp, Name: "WhatsApp", TeamID: "57T9237FN3"}, {BundleID: approved, Name: "Messages", TeamID: "TEAM"}},
	})
}

// give installs a profile with one payload and fails the test if it is refused.
func give(t *testing.T, j *virtual.Judge, id, payloadType string, content dict) {
	t.Helper()
	if err := j.InstallProfile(mobileconfig(t, id, payloadType, content)); err != nil {
		t.Fatalf("InstallProfile(%s) = %v", payloadType, err)
	}
}

// restrict installs restrictions.
func restrict(t *testing.T, j *virtual.Judge, content dict) {
	t.Helper()
	give(t, j, "test.restrictions", "com.apple.applicationaccess", content)
}

// decl is a declaration in JSON.
func decl(t testing.TB, id, name string, payload dict) []byte {
	t.Helper()
	b, err := json.Marshal(dict{"Identifier": id, "Type": "com.apple." + name, "ServerToken": "1", "Payload": payload})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// activated is one configuration with an activation for it.
func activated(t testing.TB, name string, payload dict) [][]byte {
	t.Helper()
	return [][]byte{decl(t, "a", "activation.simple", dict{"StandardConfigurations": []any{"c"}}), decl(t, "c", "configuration."+name, payload)}
}

// stateOf finds a declaration in what ApplyDeclarations returned.
func stateOf(t *testing.T, list []virtual.DeclarationState, id string) virtual.DeclarationState {
	t.Helper()
	for _, s := range list {
		if s.Identifier == id {
			return s
		}
	}
	t.Fatalf("no declaration %s in %+v", id, list)
	return virtual.DeclarationState{}
}

// code is the code of the first reason, or "".
func code(s virtual.DeclarationState) string {
	if len(s.Reasons) == 0 {
		return ""
	}
	return s.Reasons[0].Code
}

func TestCanLaunchByVersion(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, version string
		supervised    bool
		content       dict
		app           string
		want          error
	}{
		{"blocked, iOS 15", "15.0", true, dict{"blockedAppBundleIDs": []any{whatsApp}}, whatsApp, virtual.ErrBlocked},
		{"blocked key is new, iOS 14", "14.8", true, dict{"blockedAppBundleIDs": []any{whatsApp}}, whatsApp, nil},
		{"blacklisted, iOS 12", "12.5", true, dict{"blacklistedAppBundleIDs": []any{whatsApp}}, whatsApp, virtual.ErrBlocked},
		{"blacklisted, iOS 26", "26.1", true, dict{"blacklistedAppBundleIDs": []any{whatsApp}}, whatsApp, virtual.ErrBlocked},
		{"blocked, iOS 27: deprecated and not removed", "27.0", true, dict{"blockedAppBundleIDs": []any{whatsApp}}, whatsApp, virtual.ErrBlocked},
		{"unsupervised", "26.1", false, dict{"blockedAppBundleIDs": []any{whatsApp}}, whatsApp, nil},
		{"allow list without web clips", "18.6", true, dict{"allowListedAppBundleIDs": []any{approved}}, "com.apple.webapp", virtual.ErrBlocked},
		{"allow list with web clips", "18.6", true, dict{"allowListedAppBundleIDs": []any{"com.apple.webapp"}}, "com.apple.webapp", nil},
		{"web clips blocked", "18.6", true, dict{"blockedAppBundleIDs": []any{"com.apple.webapp"}}, "com.apple.webapp", virtual.ErrBlocked},
		{"Settings can't be blocked", "18.6", true, dict{"blockedAppBundleIDs": []any{"com.apple.Preferences"}}, "com.apple.Preferences", nil},
		{"Phone is on every allow list", "18.6", true, dict{"allowListedAppBundleIDs": []any{approved}}, "com.apple.mobilephone", nil},
		{"Messages is not", "18.6", true, dict{"allowListedAppBundleIDs": []any{approved}}, messages, virtual.ErrBlocked},
		{"FaceTime hidden by its key", "18.6", true, dict{"allowVideoConferencing": false}, faceTime, virtual.ErrBlocked},
		{"not installed", "18.6", true, nil, "org.example.other", virtual.ErrNotInstalled},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			j := phoneOf(tc.version, tc.supervised)
			restrict(t, j, tc.content)
			if err := j.CanLaunch(tc.app); !errors.Is(err, tc.want) || tc.want == nil && err != nil {
				t.Errorf("CanLaunch(%s) = %v, want %v", tc.app, err, tc.want)
			}
		})
	}
}

func TestAppSettings(t *testing.T) {
	t.Parallel()
	denied := dict{"Allowed": dict{"DeniedApps": []any{whatsApp}}}
	binary := dict{"Allowed": dict{"DeniedBinaries": []any{dict{"SigningID": whatsApp, "TeamID": "57T9237FN3"}}}}
	byod := func() *virtual.Judge { return byodOf("27.0") }
	for _, tc := range []struct {
		name    string
		device  *virtual.Judge
		payload dict
		code    string
		want    error // for WhatsApp
	}{
		{"denied, iOS 27", phoneOf("27.0", true), denied, "", virtual.ErrBlocked},
		{"iOS 26 has no such declaration", phoneOf("26.4", true), denied, "Error.ConfigurationNotSupported", nil},
		{"unsupervised", phoneOf("27.0", false), denied, "Error.ConfigurationNotSupported", nil},
		{"user enrolment", byod(), denied, "Error.ConfigurationNotSupported", nil},
		{"allowed only", phoneOf("27.0", true), dict{"Allowed": dict{"AllowedApps": []any{approved}}}, "", virtual.ErrBlocked},
		{"allowed", phoneOf("27.0", true), dict{"Allowed": dict{"AllowedApps": []any{whatsApp}}}, "", nil},
		{"unknown key", phoneOf("27.0", true), dict{"Denied": []any{whatsApp}}, "Error.UnknownPayloadKeys", nil},
		{"binaries are a Mac's", phoneOf("27.0", true), binary, "Error.UnknownPayloadKeys", nil},
		{"binary denied on a Mac", macOf("27.0", false), binary, "", virtual.ErrBlocked},
		{"apps are a phone's", macOf("27.0", false), denied, "Error.UnknownPayloadKeys", nil},
		{"binary of another team", macOf("27.0", false), dict{"Allowed": dict{"DeniedBinaries": []any{dict{"SigningID": whatsApp, "TeamID": "X"}}}}, "", nil},
		{"only one team on a Mac", macOf("27.0", false), dict{"Allowed": dict{"AllowedBinaries": []any{dict{"TeamID": "TEAM"}}}}, "", virtual.ErrBlocked},
		{"macOS 26 has none", macOf("26.1", false), binary, "Error.ConfigurationNotSupported", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := stateOf(t, tc.device.ApplyDeclarations(activated(t, "app.settings", tc.payload), nil), "c")
			if code(s) != tc.code || s.Active != (tc.code == "") {
				t.Errorf("declaration = %+v, want code %q", s, tc.code)
			}
			if err := tc.device.CanLaunch(whatsApp); !errors.Is(err, tc.want) || tc.want == nil && err != nil {
				t.Errorf("CanLaunch() = %v, want %v", err, tc.want)
			}
			if tc.want != nil && tc.device.CanLaunch(approved) != nil {
				t.Errorf("the approved app: %v, want nil", tc.device.CanLaunch(approved))
			}
		})
	}
}

func TestAppSettingsCombine(t *testing.T) {
	t.Parallel()
	j := phoneOf("27.0", true)
	list := [][]byte{
		decl(t, "a", "activation.simple", dict{"StandardConfigurations": []any{"c1", "c2"}}),
		decl(t, "c1", "configuration.app.settings", dict{"Allowed": dict{"DeniedApps": []any{messages}, "AllowedApps": []any{whatsApp, approved, messages}}}),
		decl(t, "c2", "configuration.app.settings", dict{"Allowed": dict{"AllowedApps": []any{approved, messages}}}),
	}
	j.ApplyDeclarations(list, nil)
	for app, want := range map[string]error{whatsApp: virtual.ErrBlocked, messages: virtual.ErrBlocked, approved: nil} {
		if err := j.CanLaunch(app); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("CanLaunch(%s) = %v, want %v: denied adds up, allowed intersects", app, err, want)
		}
	}
}

// answers are the questions that are asked of every device in TestQuestions.
func answers(j *virtual.Judge) map[string]error {
	return map[string]error{
		"share out": j.CanShare(true, false), "share in": j.CanShare(false, true), "paste out": j.CanPaste(true, false), "airdrop": j.CanAirDrop(true),
		"own airdrop": j.CanAirDrop(false), "screenshot": j.CanScreenshot(), "contacts": j.CanReadContacts(),
		"app-store": j.CanInstallFrom("app-store"), "marketplace": j.CanInstallFrom("marketplace"), "web": j.CanInstallFrom("web"), "enterprise": j.CanInstallFrom("enterprise"),
		"imessage": j.CanMessage("imessage"), "rcs": j.CanMessage("rcs"), "sms": j.CanMessage("sms"), "facetime": j.CanMessage("facetime"),
	}
}

func TestQuestions(t *testing.T) {
	t.Parallel()
	openIn := dict{"allowOpenFromManagedToUnmanaged": false, "allowOpenFromUnmanagedToManaged": false}
	with := func(more dict) dict {
		maps.Copy(more, openIn)
		return more
	}
	for _, tc := range []struct {
		name    string
		device  *virtual.Judge
		content dict
		blocked []string
		absent  []string
	}{
		{"nothing", phoneOf("18.6", true), nil, nil, nil},
		{"an old phone", phoneOf("16.7", true), nil, nil, []string{"marketplace", "web", "rcs"}},
		{"open-in, unsupervised", phoneOf("18.6", false), openIn, []string{"share out", "share in", "contacts"}, nil},
		{"pasteboard needs open-in", phoneOf("18.6", false), dict{"requireManagedPasteboard": true}, nil, nil},
		{"pasteboard with open-in", phoneOf("18.6", false), with(dict{"requireManagedPasteboard": true}), []string{"share out", "share in", "paste out", "contacts"}, nil},
		{"pasteboard before iOS 15", phoneOf("14.8", false), with(dict{"requireManagedPasteboard": true}), []string{"share out", "share in", "contacts"}, []string{"marketplace", "web", "rcs"}},
		{"AirDrop counts as outside", phoneOf("18.6", false), with(dict{"forceAirDropUnmanaged": true}), []string{"share out", "share in", "airdrop", "contacts"}, nil},
		{"AirDrop outside without open-in", phoneOf("18.6", false), dict{"forceAirDropUnmanaged": true}, nil, nil},
		{"AirDrop off needs supervision", phoneOf("18.6", false), dict{"allowAirDrop": false}, nil, nil},
		{"AirDrop off", phoneOf("18.6", true), dict{"allowAirDrop": false}, []string{"airdrop", "own airdrop"}, nil},
		{"in user enrolment", byodOf("18.6"), with(dict{"requireManagedPasteboard": true, "allowScreenShot": false}), []string{"share out", "share in", "paste out", "screenshot", "contacts"}, nil},
		{"stores", phoneOf("18.6", true), dict{"allowUIAppInstallation": false, "allowMarketplaceAppInstallation": false, "allowWebDistributionAppInstallation": false, "allowEnterpriseAppTrust": false}, []string{"app-store", "marketplace", "web", "enterprise"}, nil},
		{"UI installation leaves marketplaces", phoneOf("18.6", true), dict{"allowUIAppInstallation": false}, []string{"app-store"}, nil},
		{"no installation at all", phoneOf("18.6", true), dict{"allowAppInstallation": false}, []string{"app-store", "marketplace", "web"}, nil},
		{"stores, unsupervised", phoneOf("18.6", false), dict{"allowUIAppInstallation": false, "allowMarketplaceAppInstallation": false, "allowEnterpriseAppTrust": false}, []string{"enterprise"}, nil},
		{"messages", phoneOf("18.6", true), dict{"allowChat": false, "allowRCSMessaging": false, "allowVideoConferencing": false}, []string{"imessage", "rcs", "facetime"}, nil},
		{"messages, unsupervised", phoneOf("18.6", false), dict{"allowChat": false, "allowRCSMessaging": false}, nil, nil},
		{"RCS is older than its key", phoneOf("18.0", true), dict{"allowRCSMessaging": false}, nil, nil},
		{"Messages blocked", phoneOf("18.6", true), dict{"blockedAppBundleIDs": []any{messages}}, []string{"imessage", "rcs", "sms"}, nil},
		{"a Mac has no open-in", macOf("15.6", false), with(dict{"allowChat": false, "allowScreenShot": false}), []string{"screenshot"}, []string{"marketplace", "rcs"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			restrict(t, tc.device, tc.content)
			want := map[string]error{}
			for _, q := range tc.blocked {
				want[q] = virtual.ErrBlocked
			}
			for _, q := range tc.absent {
				want[q] = virtual.ErrAbsent
			}
			for q, got := range answers(tc.device) {
				if !errors.Is(got, want[q]) || want[q] == nil && got != nil {
					t.Errorf("%s: %v, want %v", q, got, want[q])
				}
			}
		})
	}
}

func TestPersonalPhoneRefusesWholeProfile(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, payloadType string
		content           dict
		want              int // 0: taken
	}{
		{"a key that is forbidden", "com.apple.applicationaccess", dict{"allowScreenShot": false, "allowChat": false}, 4023},
		{"keys that are allowed", "com.apple.applicationaccess", dict{"allowScreenShot": false, "requireManagedPasteboard": true}, 0},
		{"VPN", "com.apple.vpn.managed", dict{"VPNType": "IKEv2", "UserDefinedName": "x"}, 4023},
		{"VPN per app", "com.apple.vpn.managed.applayer", dict{"VPNUUID": "x"}, 0},
		{"DNS settings", "com.apple.dnsSettings.managed", dict{"DNSSettings": dict{}}, 4023},
		{"domains", "com.apple.domains", dict{"WebDomains": []any{"x"}}, 4023},
		{"notifications", "com.apple.notificationsettings", dict{"NotificationSettings": []any{}}, 4023},
		{"Wi-Fi", "com.apple.wifi.managed", dict{"SSID_STR": "x"}, 0},
		{"Wi-Fi with a proxy", "com.apple.wifi.managed", dict{"SSID_STR": "x", "ProxyType": "Manual"}, 4023},
		{"Wi-Fi by the real address", "com.apple.wifi.managed", dict{"SSID_STR": "x", "DisableAssociationMACRandomization": true}, 4023},
		{"web filter for everything", "com.apple.webcontent-filter", dict{"FilterType": "BuiltIn"}, 4025},
		{"web filter per app", "com.apple.webcontent-filter", dict{"FilterType": "Plugin", "PluginBundleID": "p", "ContentFilterUUID": "u"}, 0},
		{"relay for everything", "com.apple.relay.managed", dict{"Relays": []any{}}, 4023},
		{"relay per app", "com.apple.relay.managed", dict{"Relays": []any{}, "RelayUUID": "u"}, 0},
		{"web clip", "com.apple.webClip.managed", dict{"URL": "https://x", "Label": "x"}, 0},
		{"web clip without a label", "com.apple.webClip.managed", dict{"URL": "https://x"}, 2002},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			j := byodOf("18.6")
			err := j.InstallProfile(mobileconfig(t, "x", tc.payloadType, tc.content))
			got := 0
			if pe, ok := errors.AsType[*agent.ProfileError](err); ok {
				got = pe.Code
			}
			if got != tc.want || (len(j.Profiles()) == 1) != (tc.want == 0) {
				t.Errorf("InstallProfile() = %v, profiles %v, want code %d", err, j.Profiles(), tc.want)
			}
		})
	}
}

func TestMacTrimsInUserEnrolment(t *testing.T) {
	t.Parallel()
	j := macOf("15.6", true)
	restrict(t, j, dict{"allowScreenShot": false, "allowCamera": false})
	if _, ok := j.Restriction("allowCamera"); ok {
		t.Error("allowCamera is in force, want it trimmed")
	}
	if j.CanScreenshot() == nil {
		t.Error("allowScreenShot was trimmed too")
	}
	give(t, j, "vpn", "com.apple.vpn.managed", dict{"VPNType": "IKEv2", "UserDefinedName": "x"})
	if got := j.VPNs(); len(got) != 0 {
		t.Errorf("VPNs() = %v, want none: the payload is forbidden and trimmed", got)
	}
}

func TestSupervisedPayloads(t *testing.T) {
	t.Parallel()
	for _, payloadType := range []string{"com.apple.notificationsettings", "com.apple.homescreenlayout", "com.apple.app.lock", "com.apple.proxy.http.global"} {
		content := dict{"NotificationSettings": []any{}, "Pages": []any{}, "App": dict{}}
		err := phoneOf("18.6", false).InstallProfile(mobileconfig(t, "x", payloadType, content))
		if pe, ok := errors.AsType[*agent.ProfileError](err); !ok || pe.Code != 4025 {
			t.Errorf("%s without supervision: %v, want 4025", payloadType, err)
		}
		if err := phoneOf("18.6", true).InstallProfile(mobileconfig(t, "x", payloadType, content)); err != nil {
			t.Errorf("%s with supervision: %v, want nil", payloadType, err)
		}
	}
	j := phoneOf("18.6", true)
	give(t, j, "one", "com.apple.notificationsettings", dict{"NotificationSettings": []any{}})
	if err := j.InstallProfile(mobileconfig(t, "two", "com.apple.notificationsettings", dict{"NotificationSettings": []any{}})); err == nil {
		t.Error("a second notificationsettings payload was taken, want one per phone")
	}
}

func TestMixedFleetIsMixed(t *testing.T) {
	t.Parallel()
	list := virtual.MixedFleet(200, virtual.Options{PasscodeSet: true})
	if diff := cmp.Diff(list, virtual.MixedFleet(200, virtual.Options{PasscodeSet: true})); diff != "" {
		t.Errorf("two fleets differ:\n%s", diff)
	}
	seen, udids := map[string]int{}, map[string]bool{}
	for _, o := range list {
		udids[o.UDID] = true
		seen[string(o.Platform)]++
		seen[string(o.Ownership)]++
		if o.UserEnrolment {
			seen["user enrolment"]++
		}
		if o.Supervised && o.UserEnrolment || !o.PasscodeSet {
			t.Errorf("%+v: user enrolment is not supervised, and base is kept", o)
		}
	}
	if len(udids) != 200 || seen["ios"] == 0 || seen["macos"] == 0 || seen["personal"] == 0 || seen["user enrolment"] == 0 {
		t.Errorf("fleet has %d devices, %v", len(udids), seen)
	}
}
