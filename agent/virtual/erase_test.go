package virtual_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/agent/internal/trialserver"
	"github.com/wardmdm/ward/agent/virtual"
)

// TestErasure: an erase does what its options say, as far as the system knows them, and a
// malformed one does nothing.
func TestErasure(t *testing.T) {
	t.Parallel()
	back := dict{"Enabled": true, "MDMProfileData": []byte("profile")}
	phone := func(os string) virtual.Options {
		return virtual.Options{OSVersion: os, Supervised: true}
	}
	mac := virtual.Options{Platform: ward.MacOS}
	for _, tc := range []struct {
		name   string
		o      virtual.Options
		fields dict
		want   virtual.Erasure
		code   int // 0: acknowledged
	}{
		{"plain", phone("18.6"), nil, virtual.Erasure{}, 0},
		{"all options", phone("18.6"), dict{"PreserveDataPlan": true, "DisallowProximitySetup": true, "ReturnToService": back, "PIN": "1", "ObliterationBehavior": "x"}, virtual.Erasure{PreserveDataPlan: true, DisallowProximitySetup: true, Returns: true}, 0},
		{"too old for a way back", phone("16.7"), dict{"ReturnToService": back}, virtual.Erasure{}, 0},
		{"a way back that is off", phone("18.6"), dict{"ReturnToService": dict{"Enabled": false}}, virtual.Erasure{}, 0},
		{"a way back to nowhere", phone("18.6"), dict{"ReturnToService": dict{"Enabled": true}}, virtual.Erasure{}, 12008},
		{"a way back without Enabled", phone("18.6"), dict{"ReturnToService": dict{"MDMProfileData": []byte("x")}}, virtual.Erasure{}, 12008},
		{"a network that is none", phone("18.6"), dict{"ReturnToService": dict{"Enabled": true, "MDMProfileData": []byte("x"), "WiFiProfileData": []byte("x")}}, virtual.Erasure{}, 12008},
		{"an option of another type", phone("18.6"), dict{"PreserveDataPlan": "yes"}, virtual.Erasure{}, 12008},
		{"a Mac", mac, dict{"PIN": "123456", "ObliterationBehavior": "DoNotObliterate", "PreserveDataPlan": true}, virtual.Erasure{PIN: "123456", Obliteration: "DoNotObliterate"}, 0},
		{"a Mac without a PIN", mac, nil, virtual.Erasure{}, 12008},
		{"a Mac obliterated in a strange way", mac, dict{"PIN": "123456", "ObliterationBehavior": "never"}, virtual.Erasure{}, 12008},
	} {
		j := virtual.NewJudge(tc.o)
		r, code := j.Do("EraseDevice", tc.fields), 0
		if len(r.ErrorChain) > 0 {
			code = r.ErrorChain[0].ErrorCode
		}
		got, ok := j.Erasure()
		if code != tc.code || ok != (tc.code == 0) || got != tc.want {
			t.Errorf("%s: %d, erased %v by %+v; want %d by %+v", tc.name, code, ok, got, tc.code, tc.want)
		}
		if want := j.Erasures(); want != 1 && tc.code == 0 || want != 0 && tc.code != 0 {
			t.Errorf("%s: it was erased %d times", tc.name, want)
		}
	}
}

// TestDestructiveCommandsAreCounted: each by its UUID, whether the device did it or not, and
// through all its lives.
func TestDestructiveCommandsAreCounted(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	p := enrolled(t, s, nil)
	s.Do(t, udid, "DeviceLock", nil)
	s.Do(t, udid, "SecurityInfo", nil)
	if got := p.Destructive(); len(got) != 0 || p.Erasures() != 0 {
		t.Errorf("%v after a lock and a question, want nothing destructive", got)
	}
	s.Do(t, udid, "ClearPasscode", map[string]any{"UnlockToken": []byte("another device's")})
	s.Do(t, udid, "SetFirmwarePassword", map[string]any{"NewPassword": "x"})
	s.Do(t, udid, "InstallProfile", map[string]any{"Payload": mobileconfig(t, "test.w", "com.apple.mobiledevice.passwordpolicy", map[string]any{"maxFailedAttempts": 4})})
	s.Do(t, udid, "EraseDevice", nil)
	if err := p.Await(t.Context(), (*virtual.Phone).Erased); err != nil {
		t.Fatal(err)
	}
	next, err := p.Reset(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	switchOn(t, s, next)
	s.Do(t, udid, "RemoveProfile", map[string]any{"Identifier": trialserver.EnrolmentProfile})
	want := []virtual.Destruction{
		{RequestType: "ClearPasscode", Received: 1},
		{RequestType: "SetFirmwarePassword", Received: 1},
		{RequestType: "InstallProfile", Received: 1, Obeyed: 1},
		{RequestType: "EraseDevice", Received: 1, Obeyed: 1},
		{RequestType: "RemoveProfile", Received: 1, Obeyed: 1},
	}
	if diff := cmp.Diff(want, next.Destructive(), cmpopts.IgnoreFields(virtual.Destruction{}, "UUID", "At")); diff != "" {
		t.Errorf("destructive commands mismatch (-want +got):\n%s", diff)
	}
	if next.Erasures() != 1 || p.Erasures() != 1 {
		t.Errorf("erased %d times, want once", next.Erasures())
	}
	for _, d := range next.Destructive() {
		if d.UUID == "" || d.At.IsZero() {
			t.Errorf("%s has no UUID or time", d.RequestType)
		}
	}
}

// TestRepeatedCommandIsOne: the same command that comes twice is one, received twice.
func TestRepeatedCommandIsOne(t *testing.T) {
	t.Parallel()
	j := virtual.NewJudge(virtual.Options{Platform: ward.MacOS})
	raw := []byte(`<plist><dict><key>CommandUUID</key><string>U1</string><key>Command</key><dict><key>RequestType</key><string>DeviceLock</string><key>PIN</key><string>123456</string></dict></dict></plist>`)
	for range 2 {
		if _, err := j.Command(raw); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]virtual.Destruction{{UUID: "U1", RequestType: "DeviceLock", Received: 2, Obeyed: 2}}, j.Destructive()); diff != "" {
		t.Errorf("destructive commands mismatch (-want +got):\n%s", diff)
	}
}

// TestReturnToService: a phone of a fleet that is erased so comes back by itself, enrolled
// afresh and empty, and takes its own place.
func TestReturnToService(t *testing.T) {
	t.Parallel()
	s := trialserver.New(t)
	o := options(t, s)
	o.ProfileRoots = s.Roots
	o.SIMs = []virtual.SIM{{ICCID: "89441"}, {Slot: "CTSubscriptionSlotTwo", ICCID: "89442", EID: "89049"}}
	f, err := virtual.NewFleet(t.Context(), []virtual.Options{o})
	if err != nil {
		t.Fatal(err)
	}
	old := f.Phones()[0]
	if err := old.Enrol(t.Context(), s.URL+"/enrol"); err != nil {
		t.Fatal(err)
	}
	f.Start(t.Context())
	s.AwaitListening(t, udid)
	s.Do(t, udid, "InstallProfile", map[string]any{"Payload": restrictions(t, "test.r", nil)})
	profile, err := s.SignedProfile()
	if err != nil {
		t.Fatal(err)
	}
	wifi := mobileconfig(t, "test.wifi", "com.apple.wifi.managed", map[string]any{"SSID_STR": "Staff"})
	s.Do(t, udid, "EraseDevice", map[string]any{"PreserveDataPlan": false, "ReturnToService": map[string]any{"Enabled": true, "MDMProfileData": profile, "WiFiProfileData": wifi}})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := old.Await(ctx, (*virtual.Phone).Erased); err != nil {
		t.Fatal(err)
	}
	s.AwaitCheckins(t, udid, 4)
	s.AwaitListening(t, udid)
	if got := s.Do(t, udid, "ProfileList", nil)["Status"]; got != "Acknowledged" { // it runs, so it has taken its place
		t.Errorf("the phone that came back answered %v, want Acknowledged", got)
	}
	next := f.Phones()[0]
	if !next.Enrolled() || next.Erased() || len(next.Profiles()) != 0 || next.Erasures() != 1 || f.Erasures() != 1 {
		t.Errorf("the phone that came back: enrolled %v, erased %v, profiles %v, erased %d times", next.Enrolled(), next.Erased(), next.Profiles(), next.Erasures())
	}
	if diff := cmp.Diff([]virtual.SIM{{Slot: "CTSubscriptionSlotOne", ICCID: "89441"}}, next.SIMs()); diff != "" {
		t.Errorf("the plan of the eSIM went with the erase, the card did not (-want +got):\n%s", diff)
	}
	if err := f.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := next.Return(t.Context()); err == nil {
		t.Error("a phone came back that was not erased")
	}
}

// TestLostDevice: what a device in a lost case obeys and tells.
func TestLostDevice(t *testing.T) {
	t.Parallel()
	code := func(r agent.Response) int {
		if len(r.ErrorChain) > 0 {
			return r.ErrorChain[0].ErrorCode
		}
		return 0
	}
	j := virtual.NewJudge(virtual.Options{Supervised: true, PasscodeSet: true, Serial: "SN1", LostModeRefuses: []string{"SecurityInfo"}})
	if got := code(j.Do("PlayLostModeSound", nil)); got != 12067 {
		t.Errorf("a sound outside lost mode = %d, want 12067", got)
	}
	j.Do("EnableLostMode", dict{"Message": "x"})
	if got := code(j.Do("PlayLostModeSound", nil)); got != 0 || j.Sounds() != 1 {
		t.Errorf("a sound in lost mode = %d, played %d times; want 0, once", got, j.Sounds())
	}
	mute := virtual.NewJudge(virtual.Options{Supervised: true, Mute: true})
	mute.Do("EnableLostMode", dict{"Message": "x"})
	if got := code(mute.Do("PlayLostModeSound", nil)); got != 12080 || mute.Sounds() != 0 {
		t.Errorf("a phone without sound = %d, played %d times; want 12080, never", got, mute.Sounds())
	}
	if got := code(j.Do("SecurityInfo", nil)); got != 12078 {
		t.Errorf("what it refuses in lost mode = %d, want 12078", got)
	}
	j.Do("DisableLostMode", nil)
	present := func() any {
		return j.Do("SecurityInfo", nil).Fields["SecurityInfo"].(dict)["PasscodePresent"]
	}
	if present() != true {
		t.Error("a phone with a passcode tells of none")
	}
	j.TakePasscodeOff()
	if present() != false {
		t.Error("a phone without a passcode tells of one")
	}
	if got := code(j.Do("RestartDevice", nil)); got != 0 || j.Restarts() != 1 {
		t.Errorf("a restart = %d, %d times; want 0, once", got, j.Restarts())
	}
	loose := virtual.NewJudge(virtual.Options{})
	if got := code(loose.Do("RestartDevice", nil)); got != 29000 || loose.Restarts() != 0 {
		t.Errorf("a restart without supervision = %d, %d times; want 29000, never", got, loose.Restarts())
	}
}

// TestSIM: the query tells of the cards that are there, and nothing where it is forbidden.
func TestSIM(t *testing.T) {
	t.Parallel()
	ask := func(j *virtual.Judge) any {
		answers := j.Do("DeviceInformation", dict{"Queries": []any{"ServiceSubscriptions"}}).Fields["QueryResponses"].(map[string]any)
		return answers["ServiceSubscriptions"]
	}
	iccid := func(j *virtual.Judge) any {
		list, _ := ask(j).([]any)
		if len(list) != 1 {
			return len(list)
		}
		return list[0].(map[string]any)["ICCID"]
	}
	j := virtual.NewJudge(virtual.Options{Serial: "SN1"})
	first := iccid(j)
	if s, ok := first.(string); !ok || len(s) != 19 || iccid(virtual.NewJudge(virtual.Options{Serial: "SN1"})) != first || iccid(virtual.NewJudge(virtual.Options{Serial: "SN2"})) == first {
		t.Errorf("the card of SN1 is %v, want 19 digits of its own", first)
	}
	j.SwapSIM("89440000")
	if got := iccid(j); got != "89440000" {
		t.Errorf("after the swap it is %v", got)
	}
	j.SwapSIM("")
	if got := iccid(j); got != nil {
		t.Errorf("without a card it is %v", got)
	}
	for name, o := range map[string]virtual.Options{
		"an iPad": {Model: "iPad14,1"}, "a Mac": {Platform: ward.MacOS}, "user enrolment": {UserEnrolment: true}, "iOS 11": {OSVersion: "11.4"},
	} {
		if got := ask(virtual.NewJudge(o)); got != nil {
			t.Errorf("%s tells of %v, want nothing", name, got)
		}
	}
	s := trialserver.New(t)
	s.Rights = ward.RightsAll &^ ward.RightNetworkInformation
	enrolled(t, s, nil)
	if got := s.Do(t, udid, "DeviceInformation", map[string]any{"Queries": []any{"ServiceSubscriptions"}})["QueryResponses"]; !cmp.Equal(got, any(map[string]any{})) {
		t.Errorf("without the right it tells %v", got)
	}
}

// TestMacLock: only the PIN opens a locked Mac, and the lock deactivates an old one with
// Apple silicon.
func TestMacLock(t *testing.T) {
	t.Parallel()
	app := virtual.Installed{BundleID: "org.example.a"}
	mac := func(model, os string) *virtual.Judge {
		return virtual.NewJudge(virtual.Options{Platform: ward.MacOS, Model: model, OSVersion: os, Apps: []virtual.Installed{app}})
	}
	j := mac("Mac15,12", "15.6")
	if r := j.Do("DeviceLock", dict{"PIN": "048151", "Message": "Lost"}); r.Fields["MessageResult"] != "Success" || !j.LockedByPIN() {
		t.Errorf("DeviceLock = %+v, locked %v", r, j.LockedByPIN())
	}
	j.Unlock()
	if err := j.CanLaunch(app.BundleID); !errors.Is(err, virtual.ErrLocked) {
		t.Errorf("after Unlock: %v, want ErrLocked", err)
	}
	if err := j.UnlockPIN("048152"); !errors.Is(err, virtual.ErrPIN) || !j.LockedByPIN() {
		t.Errorf("another PIN: %v, want ErrPIN", err)
	}
	if err := j.UnlockPIN("048151"); err != nil || j.LockedByPIN() || j.CanLaunch(app.BundleID) != nil {
		t.Errorf("the PIN: %v, locked %v, launch %v", err, j.LockedByPIN(), j.CanLaunch(app.BundleID))
	}
	if err := j.UnlockPIN("any"); err != nil {
		t.Errorf("a PIN where none locks: %v", err)
	}
	for _, tc := range []struct {
		model, os string
		want      error
	}{
		{"MacBookAir10,1", "11.4", virtual.ErrDeactivated}, {"MacBookAir10,1", "11.5", virtual.ErrLocked}, {"MacBookPro16,1", "11.4", virtual.ErrLocked},
	} {
		j := mac(tc.model, tc.os)
		j.Do("DeviceLock", dict{"PIN": "048151"})
		if err := j.CanLaunch(app.BundleID); !errors.Is(err, tc.want) {
			t.Errorf("%s with macOS %s after a lock: %v, want %v", tc.model, tc.os, err, tc.want)
		}
	}
}
