package virtual_test

import (
	"context"
	"crypto/rsa"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/agent/internal/trialserver"
	"github.com/wardmdm/ward/agent/virtual"
)

const (
	udid     = "UDID-1"
	whatsApp = "net.whatsapp.WhatsApp"
	approved = "org.example.messages"
)

var keys = sync.OnceValues(func() (*rsa.PrivateKey, error) { return agent.NewKey(context.Background()) })

func oneKey(context.Context) (*rsa.PrivateKey, error) { return keys() }

func options(t *testing.T, s *trialserver.Server) virtual.Options {
	t.Helper()
	tr := agent.NewTransport(s.Roots)
	t.Cleanup(tr.Close)
	return virtual.Options{
		UDID: udid, Serial: "SN1", Name: "Ward 7 phone", Supervised: true, PasscodeSet: true,
		Apps:     []virtual.Installed{{BundleID: whatsApp, Name: "WhatsApp", Version: "25.1"}},
		Store:    []virtual.StoreApp{{ID: 42, Installed: virtual.Installed{BundleID: approved, Name: "Messages for staff", Version: "1.0"}}, {ID: 43, Installed: virtual.Installed{BundleID: whatsApp, Name: "WhatsApp", Version: "25.2"}}},
		Latitude: 51.5, Longitude: -0.12,
		Clock: time.Now, Transport: tr, PushURL: s.URL, Keys: oneKey, RetryMin: time.Millisecond, RetryMax: 20 * time.Millisecond,
	}
}

// enrolled returns a phone that is enrolled and on.
func enrolled(t *testing.T, s *trialserver.Server, change func(*virtual.Options)) *virtual.Phone {
	t.Helper()
	o := options(t, s)
	if change != nil {
		change(&o)
	}
	p, err := virtual.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	switchOn(t, s, p)
	return p
}

func switchOn(t *testing.T, s *trialserver.Server, p *virtual.Phone) {
	t.Helper()
	if err := p.Enrol(t.Context(), s.URL+"/enrol"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	end := make(chan error, 1)
	go func() { end <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-end; err != nil {
			t.Errorf("Run() = %v, want nil", err)
		}
	})
	s.AwaitListening(t, channelOf(p))
}

// verdict is an answer in short: its status, or the code of its first error.
func verdict(a map[string]any) any {
	list, _ := a["ErrorChain"].([]any)
	if len(list) == 0 {
		return a["Status"]
	}
	return list[0].(map[string]any)["ErrorCode"]
}

func TestAccessRights(t *testing.T) {
	t.Parallel()
	profile := restrictions(t, "test.r", nil)
	for _, tc := range []struct {
		requestType string
		right       ward.AccessRights
		fields      map[string]any
	}{
		{"ProfileList", ward.RightInspectProfiles, nil},
		{"CertificateList", ward.RightInspectProfiles, nil},
		{"InstallProfile", ward.RightInstallProfiles, map[string]any{"Payload": profile}},
		{"DeviceLock", ward.RightLockAndPasscode, nil},
		{"RestartDevice", ward.RightLockAndPasscode, nil},
		{"EraseDevice", ward.RightErase, nil},
		{"InstalledApplicationList", ward.RightInspectApps, nil},
		{"Restrictions", ward.RightRestrictions, nil},
		{"SecurityInfo", ward.RightSecurity, nil},
		{"Settings", ward.RightSettings, map[string]any{"Settings": []any{}}},
		{"InstallApplication", ward.RightManageApps, map[string]any{"iTunesStoreID": 42}},
		{"ManagedApplicationList", ward.RightManageApps, nil},
	} {
		t.Run(tc.requestType, func(t *testing.T) {
			t.Parallel()
			s := trialserver.New(t)
			s.Rights = ward.RightsAll &^ tc.right
			if tc.right == ward.RightInspectProfiles {
				s.Rights &^= ward.RightInstallProfiles // which needs it
			}
			enrolled(t, s, nil)
			if got := verdict(s.Do(t, udid, tc.requestType, tc.fields)); got != uint64(12007) {
				t.Errorf("without right %d: %v, want 12007", tc.right, got)
			}
			s = trialserver.New(t)
			enrolled(t, s, nil)
			if got := verdict(s.Do(t, udid, tc.requestType, tc.fields)); got != "Acknowledged" {
				t.Errorf("with right %d: %v, want Acknowledged", tc.right, got)
			}
		})
	}
}

func TestDeviceInformationDropsWhatTheRightsForbid(t *testing.T) {
	t.Parallel()
	queries := map[string]any{"Queries": []any{"UDID", "SerialNumber", "IsSupervised", "WiFiMAC", "NoSuchQuery"}}
	for _, tc := range []struct {
		name   string
		rights ward.AccessRights
		want   []string
	}{
		{"all", ward.RightsAll, []string{"UDID", "SerialNumber", "IsSupervised", "WiFiMAC"}},
		{"without network", ward.RightsAll &^ ward.RightNetworkInformation, []string{"UDID", "SerialNumber", "IsSupervised"}},
		{"without device", ward.RightsAll &^ ward.RightDeviceInformation, []string{"UDID", "WiFiMAC"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := trialserver.New(t)
			s.Rights = tc.rights
			enrolled(t, s, nil)
			got := s.Do(t, udid, "DeviceInformation", queries)["QueryResponses"].(map[string]any)
			want := map[string]bool{}
			for _, q := range tc.want {
				want[q] = true
			}
			have := map[string]bool{}
			for q := range got {
				have[q] = true
			}
			if diff := cmp.Diff(want, have); diff != "" {
				t.Errorf("answered queries mismatch (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	enrolled(t, s, nil)
	for _, tc := range []struct {
		name, requestType string
		fields            map[string]any
		want              any
	}{
		{"unknown type", "MakeTea", nil, uint64(12021)},
		{"no payload", "InstallProfile", nil, uint64(12008)},
		{"payload is no profile", "InstallProfile", map[string]any{"Payload": []byte("junk")}, uint64(1000)},
		{"remove a profile that is not there", "RemoveProfile", map[string]any{"Identifier": "x"}, uint64(12075)},
		{"app unknown to the store", "InstallApplication", map[string]any{"iTunesStoreID": 7}, uint64(12023)},
		{"two names for an app", "InstallApplication", map[string]any{"iTunesStoreID": 42, "Identifier": approved}, uint64(12008)},
		{"manifest without TLS", "InstallApplication", map[string]any{"ManifestURL": "http://127.0.0.1/m"}, uint64(12034)},
		{"app of the user", "InstallApplication", map[string]any{"Identifier": whatsApp}, uint64(12025)},
		{"remove an app of the user", "RemoveApplication", map[string]any{"Identifier": whatsApp}, uint64(12029)},
		{"queries missing", "DeviceInformation", nil, uint64(12008)},
		{"wrong unlock token", "ClearPasscode", map[string]any{"UnlockToken": []byte("x")}, uint64(5013)},
		{"location outside lost mode", "DeviceLocation", nil, uint64(12067)},
		{"sound outside lost mode", "PlayLostModeSound", nil, uint64(12067)},
		{"lost mode without a word", "EnableLostMode", nil, uint64(12008)},
		{"end of lost mode that is not on", "DisableLostMode", nil, uint64(12069)},
	} {
		t.Run(tc.name, func(t *testing.T) { //nolint:paralleltest // one phone for all
			if got := verdict(s.Do(t, udid, tc.requestType, tc.fields)); got != tc.want {
				t.Errorf("%s(%v) = %v, want %v", tc.requestType, tc.fields, got, tc.want)
			}
		})
	}
}

func TestNotNow(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	p := enrolled(t, s, nil)
	p.SetNotNow(func(string) bool { return true })
	install := s.Enqueue(t, udid, "InstallProfile", map[string]any{"Payload": restrictions(t, "test.r", nil)})
	s.Await(t, func() bool { return len(p.Log()) == 1 })
	if got := s.Do(t, udid, "DeviceLock", nil)["Status"]; got != "Acknowledged" {
		t.Errorf("DeviceLock = %v, want Acknowledged: it is never put off", got)
	}
	if err := p.Await(t.Context(), func(p *virtual.Phone) bool {
		l := p.Log()
		return l[len(l)-1].Answer.Status == agent.NotNow
	}); err != nil {
		t.Fatal(err)
	}
	if p.ProfileInstalled("test.r") {
		t.Error("the profile is installed although the phone said NotNow")
	}
	p.SetNotNow(nil) // the phone comes back without a push
	if got := s.Answer(t, udid, install)["Status"]; got != "Acknowledged" {
		t.Errorf("InstallProfile = %v, want Acknowledged", got)
	}
}

func TestEraseAndReset(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	p := enrolled(t, s, nil)
	s.Do(t, udid, "InstallProfile", map[string]any{"Payload": restrictions(t, "test.r", nil)})
	first := p.AccessRights()
	if got := s.Do(t, udid, "EraseDevice", nil)["Status"]; got != "Acknowledged" {
		t.Fatalf("EraseDevice = %v, want Acknowledged before the phone is gone", got)
	}
	if err := p.Await(t.Context(), (*virtual.Phone).Erased); err != nil {
		t.Fatal(err)
	}

	if p.Enrolled() || len(p.Profiles()) != 0 || !errors.Is(p.CanLaunch(whatsApp), virtual.ErrErased) || !s.TokenDead(udid) {
		t.Errorf("after the erase: enrolled %v, profiles %v, WhatsApp %v, token dead %v", p.Enrolled(), p.Profiles(), p.CanLaunch(whatsApp), s.TokenDead(udid))
	}
	if err := p.CheckIn(t.Context()); !errors.Is(err, agent.ErrNotEnrolled) {
		t.Errorf("CheckIn() = %v, want ErrNotEnrolled", err)
	}
	if err := p.Enrol(t.Context(), s.URL+"/enrol"); err == nil {
		t.Error("Enrol() of an erased phone worked, want an error")
	}
	fresh, err := p.Reset(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	switchOn(t, s, fresh)
	if fresh.UDID() != p.UDID() || fresh.Serial() != p.Serial() || fresh.AccessRights() != first || fresh.Erased() {
		t.Errorf("fresh phone: %s %s %d erased %v", fresh.UDID(), fresh.Serial(), fresh.AccessRights(), fresh.Erased())
	}
	if len(fresh.Log()) != 0 {
		t.Errorf("fresh phone has a log of %d commands, want none", len(fresh.Log()))
	}
}

func TestPersonalPhoneRefusesErase(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	s.Rights = ward.RightsPersonal
	p := enrolled(t, s, func(o *virtual.Options) { o.Supervised = false })
	if got := verdict(s.Do(t, udid, "EraseDevice", nil)); got != uint64(12007) {
		t.Errorf("EraseDevice = %v, want 12007", got)
	}
	if p.Erased() || p.CanLaunch(whatsApp) != nil {
		t.Errorf("erased %v, WhatsApp %v; want the phone as it was", p.Erased(), p.CanLaunch(whatsApp))
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		passcode bool
		fields   map[string]any
		want     any
		launch   error
	}{
		{"message", true, map[string]any{"Message": "Lost"}, "Success", virtual.ErrLocked},
		{"no message", true, nil, nil, virtual.ErrLocked},
		{"no passcode", false, map[string]any{"Message": "Lost"}, "NoPasscodeSet", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := trialserver.New(t)
			p := enrolled(t, s, func(o *virtual.Options) { o.PasscodeSet = tc.passcode })
			if got := s.Do(t, udid, "DeviceLock", tc.fields)["MessageResult"]; got != tc.want {
				t.Errorf("MessageResult = %v, want %v", got, tc.want)
			}
			if !p.Locked() || !errors.Is(p.CanLaunch(whatsApp), tc.launch) {
				t.Errorf("locked %v, WhatsApp %v; want true, %v", p.Locked(), p.CanLaunch(whatsApp), tc.launch)
			}
			if p.Unlock(); p.CanLaunch(whatsApp) != nil {
				t.Errorf("after Unlock: %v, want nil", p.CanLaunch(whatsApp))
			}
		})
	}
}

func TestClearPasscode(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	p := enrolled(t, s, nil)
	token := s.Checkin(udid, "TokenUpdate")["UnlockToken"]
	if got := s.Do(t, udid, "ClearPasscode", map[string]any{"UnlockToken": token})["Status"]; got != "Acknowledged" || p.PasscodeSet() {
		t.Errorf("ClearPasscode = %v with passcode %v, want Acknowledged without", got, p.PasscodeSet())
	}
	s = trialserver.New(t)
	enrolled(t, s, func(o *virtual.Options) { o.WithholdUnlockToken = true })
	if got := s.Checkin(udid, "TokenUpdate")["UnlockToken"]; got != nil {
		t.Errorf("a withheld unlock token was sent: %v", got)
	}
}

func TestLostMode(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	p := enrolled(t, s, nil)
	if got := s.Do(t, udid, "EnableLostMode", map[string]any{"Message": "Please call", "PhoneNumber": "020"})["Status"]; got != "Acknowledged" {
		t.Fatalf("EnableLostMode = %v, want Acknowledged", got)
	}
	if l, ok := p.InLostMode(); !ok || l.Message != "Please call" {
		t.Errorf("InLostMode() = %v %v", l, ok)
	}
	if err := p.CanLaunch(whatsApp); !errors.Is(err, virtual.ErrLost) {
		t.Errorf("CanLaunch() = %v, want ErrLost", err)
	}
	where := s.Do(t, udid, "DeviceLocation", nil)
	if where["Latitude"] != 51.5 || where["Longitude"] != -0.12 {
		t.Errorf("location = %v %v, want 51.5 -0.12", where["Latitude"], where["Longitude"])
	}
	if got := s.Do(t, udid, "DeviceLock", nil)["MessageResult"]; got != "DeviceInLostMode" {
		t.Errorf("DeviceLock = %v, want DeviceInLostMode", got)
	}
	for _, requestType := range []string{"InstallApplication", "InstallProfile"} {
		if got := verdict(s.Do(t, udid, requestType, nil)); got != uint64(12078) {
			t.Errorf("%s in lost mode = %v, want 12078", requestType, got)
		}
	}
	if got := s.Do(t, udid, "DeviceInformation", map[string]any{"Queries": []any{"IsMDMLostModeEnabled"}}); !cmp.Equal(got["QueryResponses"], any(map[string]any{"IsMDMLostModeEnabled": true})) {
		t.Errorf("DeviceInformation in lost mode = %v", got)
	}
	s.Do(t, udid, "DisableLostMode", nil)
	if _, ok := p.InLostMode(); ok {
		t.Error("still in lost mode")
	}

	s = trialserver.New(t)
	enrolled(t, s, func(o *virtual.Options) { o.Supervised = false })
	if got := verdict(s.Do(t, udid, "EnableLostMode", map[string]any{"Message": "x"})); got != uint64(12066) {
		t.Errorf("EnableLostMode unsupervised = %v, want 12066", got)
	}
}
