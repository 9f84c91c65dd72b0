package virtual_test

import (
	"errors"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/agent/internal/trialserver"
	"github.com/wardmdm/ward/agent/virtual"
)

// mobileconfig returns a profile with one payload.
func mobileconfig(t testing.TB, identifier, payloadType string, content map[string]any) []byte {
	t.Helper()
	payload := map[string]any{"PayloadType": payloadType, "PayloadVersion": 1, "PayloadIdentifier": identifier + ".1", "PayloadUUID": identifier + "-U1"}
	maps.Copy(payload, content)
	b, err := agent.EncodePlist(map[string]any{
		"PayloadType": "Configuration", "PayloadVersion": 1, "PayloadIdentifier": identifier, "PayloadUUID": identifier + "-U0", "PayloadContent": []any{payload},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func restrictions(t testing.TB, identifier string, content map[string]any) []byte {
	t.Helper()
	return mobileconfig(t, identifier, "com.apple.applicationaccess", content)
}

func TestRestrictions(t *testing.T) {
	t.Parallel()
	type set = map[string]any
	for _, tc := range []struct {
		name       string
		supervised bool
		version    string
		profiles   []set
		key        string
		want       any // nil: nothing in force
	}{
		{"supervised key, supervised", true, "18.6", []set{{"allowChat": false}}, "allowChat", false},
		{"supervised key, unsupervised", false, "18.6", []set{{"allowChat": false}}, "allowChat", nil},
		{"block list, supervised", true, "18.6", []set{{"blockedAppBundleIDs": []any{"b", "a"}}}, "blockedAppBundleIDs", []string{"a", "b"}},
		{"block list, unsupervised", false, "18.6", []set{{"blockedAppBundleIDs": []any{"a"}}}, "blockedAppBundleIDs", nil},
		{"block lists add up", true, "18.6", []set{{"blockedAppBundleIDs": []any{"a"}}, {"blockedAppBundleIDs": []any{"a", "b"}}}, "blockedAppBundleIDs", []string{"a", "b"}},
		{"allow lists intersect", true, "18.6", []set{{"allowListedAppBundleIDs": []any{"a", "b"}}, {"allowListedAppBundleIDs": []any{"b", "c"}}}, "allowListedAppBundleIDs", []string{"b"}},
		{"empty intersection is in force", true, "18.6", []set{{"allowListedAppBundleIDs": []any{"a"}}, {"allowListedAppBundleIDs": []any{"c"}}}, "allowListedAppBundleIDs", []string{}},
		{"false wins", false, "18.6", []set{{"allowScreenShot": true}, {"allowScreenShot": false}}, "allowScreenShot", false},
		{"true wins where it forces", false, "18.6", []set{{"forceAirDropUnmanaged": true}, {"forceAirDropUnmanaged": false}}, "forceAirDropUnmanaged", true},
		{"managed pasteboard, unsupervised", false, "18.6", []set{{"requireManagedPasteboard": true}}, "requireManagedPasteboard", true},
		{"open-in, unsupervised", false, "18.6", []set{{"allowOpenFromManagedToUnmanaged": false}}, "allowOpenFromManagedToUnmanaged", false},
		{"lock screen previews, unsupervised", false, "18.6", []set{{"allowLockScreenNotificationsView": false}}, "allowLockScreenNotificationsView", false},
		{"smallest rating", false, "18.6", []set{{"ratingApps": 600}, {"ratingApps": 200}}, "ratingApps", int64(200)},
		{"key newer than the phone", true, "18.0", []set{{"allowRCSMessaging": false}}, "allowRCSMessaging", nil},
		{"key as old as the phone", true, "18.1", []set{{"allowRCSMessaging": false}}, "allowRCSMessaging", false},
		{"unknown key", true, "18.6", []set{{"allowTelepathy": false}}, "allowTelepathy", nil},
		{"not set", true, "18.6", nil, "allowChat", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := trialserver.New(t)
			p := enrolled(t, s, func(o *virtual.Options) { o.Supervised, o.OSVersion = tc.supervised, tc.version })
			for i, content := range tc.profiles {
				b := restrictions(t, string(rune('a'+i)), content)
				if got := s.Do(t, udid, "InstallProfile", map[string]any{"Payload": b})["Status"]; got != "Acknowledged" {
					t.Fatalf("InstallProfile = %v, want Acknowledged", got)
				}
			}
			got, ok := p.Restriction(tc.key)
			if diff := cmp.Diff(tc.want, got); diff != "" || ok != (tc.want != nil) {
				t.Errorf("Restriction(%s) = %v, %v mismatch (-want +got):\n%s", tc.key, got, ok, diff)
			}
		})
	}
}

func TestBlockedAppDoesNotLaunch(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name       string
		supervised bool
		content    map[string]any
		want       error
	}{
		{"blocked", true, map[string]any{"blockedAppBundleIDs": []any{whatsApp}}, virtual.ErrBlocked},
		{"blocked by the old key", true, map[string]any{"blacklistedAppBundleIDs": []any{whatsApp}}, virtual.ErrBlocked},
		{"not on the allow list", true, map[string]any{"allowListedAppBundleIDs": []any{approved}}, virtual.ErrBlocked},
		{"on the allow list", true, map[string]any{"allowListedAppBundleIDs": []any{whatsApp}}, nil},
		{"case matters", true, map[string]any{"blockedAppBundleIDs": []any{"net.whatsapp.whatsapp"}}, nil},
		{"unsupervised", false, map[string]any{"blockedAppBundleIDs": []any{whatsApp}}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := trialserver.New(t)
			p := enrolled(t, s, func(o *virtual.Options) { o.Supervised = tc.supervised })
			s.Do(t, udid, "InstallProfile", map[string]any{"Payload": restrictions(t, "test.r", tc.content)})
			if err := p.CanLaunch(whatsApp); !errors.Is(err, tc.want) {
				t.Errorf("CanLaunch() = %v, want %v", err, tc.want)
			}
			s.Do(t, udid, "RemoveProfile", map[string]any{"Identifier": "test.r"})
			if err := p.CanLaunch(whatsApp); err != nil {
				t.Errorf("CanLaunch() after removal = %v, want nil", err)
			}
		})
	}
}

func TestProfilesRefused(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	p := enrolled(t, s, func(o *virtual.Options) { o.Supervised = false })
	for _, tc := range []struct {
		name    string
		payload []byte
		want    uint64
	}{
		{"wrong type of value", restrictions(t, "x", map[string]any{"allowChat": "no"}), 2003},
		{"list with a number", restrictions(t, "x", map[string]any{"blockedAppBundleIDs": []any{1}}), 2003},
		{"no payload type", mobileconfig(t, "x", "", nil), 2002},
		{"no identifier", mobileconfig(t, "", "t", nil), 1002},
		{"declarations by MDM", mobileconfig(t, "x", "com.apple.declarations", nil), 4023},
		{"filter without supervision", mobileconfig(t, "x", "com.apple.webcontent-filter", nil), 4025},
		{"a second manager", mobileconfig(t, "x", "com.apple.mdm", nil), 4023},
		{"the management profile without management", mobileconfig(t, trialserver.EnrolmentProfile, "t", nil), 4015},
		{"a broken certificate", mobileconfig(t, "x", "com.apple.security.root", map[string]any{"PayloadContent": []byte("x")}), 2000},
	} {
		t.Run(tc.name, func(t *testing.T) { //nolint:paralleltest // one phone for all
			if got := verdict(s.Do(t, udid, "InstallProfile", map[string]any{"Payload": tc.payload})); got != tc.want {
				t.Errorf("InstallProfile = %v, want %d", got, tc.want)
			}
			if len(p.Profiles()) != 0 {
				t.Errorf("profiles = %v, want none", p.Profiles())
			}
		})
	}
}

func TestProfileReplacesItself(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	p := enrolled(t, s, nil)
	signed, err := s.Sign(restrictions(t, "test.r", map[string]any{"allowChat": false}))
	if err != nil {
		t.Fatal(err)
	}
	s.Do(t, udid, "InstallProfile", map[string]any{"Payload": restrictions(t, "test.r", map[string]any{"allowCamera": false})})
	s.Do(t, udid, "InstallProfile", map[string]any{"Payload": signed})
	if diff := cmp.Diff([]string{"test.r"}, p.Profiles()); diff != "" {
		t.Errorf("Profiles() mismatch (-want +got):\n%s", diff)
	}
	if _, ok := p.Restriction("allowCamera"); ok {
		t.Error("the replaced profile is still in force")
	}
	list := s.Do(t, udid, "ProfileList", nil)["ProfileList"].([]any)
	if len(list) != 2 {
		t.Errorf("ProfileList has %d, want 2: the management profile and this one", len(list))
	}
	if got := len(s.Do(t, udid, "CertificateList", nil)["CertificateList"].([]any)); got != 2 {
		t.Errorf("CertificateList has %d, want 2: the identity and the authority", got)
	}
}

func TestManagementProfileUpdate(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		rights ward.AccessRights
		key    string
		want   any
	}{
		{"fewer rights", ward.RightsPersonal, "", "Acknowledged"},
		{"another topic", ward.RightsAll, "Topic", uint64(12012)},
		{"another server", ward.RightsAll, "ServerURL", uint64(12012)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := trialserver.New(t)
			p := enrolled(t, s, nil)
			next := s.Profile()
			mdm := next["PayloadContent"].([]any)[2].(map[string]any)
			mdm["AccessRights"] = int(tc.rights)
			if tc.key != "" {
				mdm[tc.key] = map[string]string{"Topic": "com.apple.mgmt.other", "ServerURL": "https://127.0.0.1/other"}[tc.key]
			}
			b, err := agent.EncodePlist(next)
			if err != nil {
				t.Fatal(err)
			}
			if got := verdict(s.Do(t, udid, "InstallProfile", map[string]any{"Payload": b})); got != tc.want {
				t.Errorf("InstallProfile = %v, want %v", got, tc.want)
			}
			if p.AccessRights() != tc.rights {
				t.Errorf("rights = %d, want %d", p.AccessRights(), tc.rights)
			}
		})
	}
}

func TestRemovingManagementTakesEverythingAlong(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	s.Rights = ward.RightsPersonal
	p := enrolled(t, s, func(o *virtual.Options) { o.Supervised = false })
	s.Do(t, udid, "InstallProfile", map[string]any{"Payload": restrictions(t, "test.r", map[string]any{"allowScreenShot": false})})
	s.Do(t, udid, "InstallApplication", map[string]any{"iTunesStoreID": 42, "ManagementFlags": 1, "Configuration": map[string]any{"k": "v"}})
	if got := s.Do(t, udid, "RemoveProfile", map[string]any{"Identifier": trialserver.EnrolmentProfile})["Status"]; got != "Acknowledged" {
		t.Errorf("RemoveProfile = %v, want Acknowledged", got)
	}
	if got := s.AwaitCheckins(t, udid, 3); got[2] != "CheckOut" {
		t.Errorf("check-ins = %v, want CheckOut at the end", got)
	}
	if err := p.Await(t.Context(), func(p *virtual.Phone) bool {
		gone, _ := p.AppInstalled(approved)
		return !p.Enrolled() && len(p.Profiles()) == 0 && !gone
	}); err != nil {
		t.Fatal(err)
	}
	if err := p.CanLaunch(whatsApp); err != nil {
		t.Errorf("the user's own app: %v, want it untouched", err)
	}
	if p.Erased() {
		t.Error("the phone was erased")
	}
}
