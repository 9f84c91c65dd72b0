package applemdm

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/reconcile"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s mismatch (-want +got):\n%s", name, diff)
	}
}

// The devices of these tests, with an enrolment each.
func workPhone() (ward.Device, ward.Enrolment) {
	return ward.Device{ID: "d1", Name: "Ward 7", Platform: ward.IOS, Model: "iPhone15,4", OSVersion: "18.6", Ownership: ward.Corporate},
		ward.Enrolment{ID: "e1", Device: "d1", Kind: "Device", Rights: ward.RightsAll, Supervised: ward.Supervised, State: ward.EnrolmentActive}
}

func workMac() (ward.Device, ward.Enrolment) {
	d, e := workPhone()
	d.Name, d.Platform, d.Model, d.OSVersion = "Reception", ward.MacOS, "Mac15,12", "15.6"
	return d, e
}

// deed makes a command of a device.
type deed func(c *Compiler, d ward.Device, e ward.Enrolment) (uuid, requestType string, body []byte, err error)

func erase(o EraseOptions) deed {
	return func(c *Compiler, d ward.Device, e ward.Enrolment) (string, string, []byte, error) {
		return c.Erase(context.Background(), d, e, o)
	}
}

func without(f func() (string, []byte, error)) (string, string, []byte, error) {
	requestType, body, err := f()
	return "", requestType, body, err
}

const macPIN = "048151"

func lockPIN(c *Compiler, d ward.Device, e ward.Enrolment) (string, string, []byte, error) {
	return c.LockPIN(d, e, macPIN, "Lost", "020")
}

func clearPasscode(c *Compiler, d ward.Device, e ward.Enrolment) (string, string, []byte, error) {
	return c.ClearPasscode(d, e, []byte("secret"))
}

func (c *Compiler) back(context.Context, ward.Device, ward.Enrolment) ([]byte, error) {
	return []byte("the way back"), nil
}

var (
	restart deed = func(c *Compiler, d ward.Device, _ ward.Enrolment) (string, string, []byte, error) {
		return without(func() (string, []byte, error) { return c.Restart(d) })
	}
	removeManagement deed = func(c *Compiler, d ward.Device, e ward.Enrolment) (string, string, []byte, error) {
		return c.RemoveManagement(d, e)
	}
	lockOnly deed = func(c *Compiler, d ward.Device, _ ward.Enrolment) (string, string, []byte, error) {
		return without(func() (string, []byte, error) { return c.Lock(d, "Lost", "020") })
	}
)

// TestDeeds: the command of each deed, byte for byte, and as a device's engine reads it.
func TestDeeds(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		of   func() (ward.Device, ward.Enrolment)
		make deed
		want map[string]any
	}{
		"erase-phone": {workPhone, erase(EraseOptions{PreserveDataPlan: true}), map[string]any{"RequestType": "EraseDevice", "PreserveDataPlan": true}},
		"erase-phone-wholly": {workPhone, erase(EraseOptions{DisallowProximitySetup: true, PIN: macPIN, Obliteration: "Always"}), map[string]any{
			"RequestType": "EraseDevice", "PreserveDataPlan": false, "DisallowProximitySetup": true,
		}},
		"erase-phone-returns": {workPhone, erase(EraseOptions{PreserveDataPlan: true, ReturnToService: &ReturnToService{WiFiProfile: []byte(wifi)}}), map[string]any{
			"RequestType": "EraseDevice", "PreserveDataPlan": true,
			"ReturnToService": map[string]any{"Enabled": true, "WiFiProfileData": []byte(wifi), "MDMProfileData": []byte("the way back")},
		}},
		"erase-mac": {workMac, erase(EraseOptions{PreserveDataPlan: true, DisallowProximitySetup: true, PIN: macPIN, Obliteration: "DoNotObliterate"}), map[string]any{
			"RequestType": "EraseDevice", "PIN": macPIN, "ObliterationBehavior": "DoNotObliterate",
		}},
		"lock-phone":        {workPhone, lockOnly, map[string]any{"RequestType": "DeviceLock", "Message": "Lost", "PhoneNumber": "020"}},
		"lock-mac":          {workMac, lockPIN, map[string]any{"RequestType": "DeviceLock", "Message": "Lost", "PhoneNumber": "020", "PIN": macPIN}},
		"clear-passcode":    {workPhone, clearPasscode, map[string]any{"RequestType": "ClearPasscode", "UnlockToken": []byte("secret")}},
		"restart-phone":     {workPhone, restart, map[string]any{"RequestType": "RestartDevice"}},
		"restart-mac":       {workMac, restart, map[string]any{"RequestType": "RestartDevice", "NotifyUser": true}},
		"remove-management": {workPhone, removeManagement, map[string]any{"RequestType": "RemoveProfile", "Identifier": "org.example.enrolment"}},
		"sound": {workPhone, func(c *Compiler, _ ward.Device, _ ward.Enrolment) (string, string, []byte, error) {
			return without(c.Sound)
		}, map[string]any{"RequestType": "PlayLostModeSound"}},
		"locate": {workPhone, func(c *Compiler, _ ward.Device, _ ward.Enrolment) (string, string, []byte, error) {
			return without(c.Locate)
		}, map[string]any{"RequestType": "DeviceLocation"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := compiler(new(int))
			c.ReturnProfile = c.back
			d, e := tc.of()
			uuid, requestType, body, err := tc.make(c, d, e)
			if err != nil {
				t.Fatal(err)
			}
			got, err := agent.ParseCommand(body)
			if err != nil || got.RequestType != requestType || uuid != "" && got.UUID != uuid {
				t.Errorf("command %s of type %s, %v; want %s of %s", got.UUID, got.RequestType, err, uuid, requestType)
			}
			if diff := cmp.Diff(tc.want, got.Payload); diff != "" {
				t.Errorf("the command mismatch (-want +got):\n%s", diff)
			}
			golden(t, "commands/"+name+".golden", []byte(strings.ReplaceAll(string(body), got.UUID, "UUID")))
		})
	}
}

const wifi = head + `<plist version="1.0"><dict><key>PayloadType</key><string>Configuration</string><key>PayloadContent</key><array>` +
	`<dict><key>PayloadType</key><string>com.apple.wifi.managed</string><key>SSID_STR</key><string>Ward</string></dict></array></dict></plist>`

// TestNeverErased: whatever is asked and by whomever, no command destroys on, opens or binds
// a device that is not the organisation's own, or one whose enrolment does not carry it.
func TestNeverErased(t *testing.T) {
	t.Parallel()
	harm := map[string]struct {
		of   func() (ward.Device, ward.Enrolment)
		make deed
	}{
		"erase a phone":           {workPhone, erase(EraseOptions{})},
		"erase a phone, options":  {workPhone, erase(EraseOptions{PreserveDataPlan: true, ReturnToService: &ReturnToService{}})},
		"erase a Mac":             {workMac, erase(EraseOptions{PIN: macPIN})},
		"erase a Mac, obliterate": {workMac, erase(EraseOptions{PIN: macPIN, Obliteration: "Always"})},
		"clear a passcode":        {workPhone, clearPasscode},
		"lock a Mac":              {workMac, lockPIN},
	}
	spoil := map[string]func(*ward.Device, *ward.Enrolment){
		"personal":               func(d *ward.Device, _ *ward.Enrolment) { d.Ownership = ward.Personal },
		"of unknown ownership":   func(d *ward.Device, _ *ward.Enrolment) { d.Ownership = "" },
		"of no known ownership":  func(d *ward.Device, _ *ward.Enrolment) { d.Ownership = "Corporate" },
		"user-enrolled":          func(_ *ward.Device, e *ward.Enrolment) { e.Kind = "User Enrollment (Device)" },
		"user-enrolled, channel": func(_ *ward.Device, e *ward.Enrolment) { e.Kind = "User Enrollment" },
		"without rights":         func(_ *ward.Device, e *ward.Enrolment) { e.Rights = 0 },
		"without the right": func(_ *ward.Device, e *ward.Enrolment) {
			e.Rights &^= ward.RightErase | ward.RightLockAndPasscode
		},
	}
	for deed, h := range harm {
		for state, change := range spoil {
			c := compiler(new(int))
			c.ReturnProfile = c.back
			d, e := h.of()
			change(&d, &e)
			if uuid, requestType, body, err := h.make(c, d, e); ward.KindOf(err) != ward.Forbidden || body != nil || uuid != "" || requestType != "" {
				t.Errorf("%s, %s: %s of %d bytes, %v; want Forbidden", deed, state, requestType, len(body), err)
			}
		}
		c := compiler(new(int))
		d, e := h.of()
		e.Device = "another"
		if _, _, body, err := h.make(c, d, e); err == nil || body != nil {
			t.Errorf("%s, by another device's enrolment: %d bytes, %v; want an error", deed, len(body), err)
		}
	}
	d, e := workPhone()
	d.Ownership, e.Rights = ward.Personal, ward.RightsPersonal
	if _, _, body, err := compiler(new(int)).RemoveManagement(d, e); err != nil || body == nil {
		t.Errorf("RemoveManagement of a personal phone: %v; want a command", err)
	}
	if _, _, body, err := restart(compiler(new(int)), d, e); ward.KindOf(err) != ward.Forbidden || body != nil {
		t.Errorf("Restart of a personal phone: %v; want Forbidden", err)
	}
}

func TestDeedsRefuse(t *testing.T) {
	t.Parallel()
	old := func() (ward.Device, ward.Enrolment) { d, e := workPhone(); d.OSVersion = "16.7"; return d, e }
	unknown := func() (ward.Device, ward.Enrolment) { d, e := workPhone(); d.OSVersion = ""; return d, e }
	oldMac := func() (ward.Device, ward.Enrolment) { d, e := workMac(); d.OSVersion = "11.4"; return d, e }
	android := func() (ward.Device, ward.Enrolment) { d, e := workPhone(); d.Platform = ward.Android; return d, e }
	pin := func(p string) deed {
		return func(c *Compiler, d ward.Device, e ward.Enrolment) (string, string, []byte, error) {
			return c.LockPIN(d, e, p, "", "")
		}
	}
	back := func(profile string) deed {
		return erase(EraseOptions{ReturnToService: &ReturnToService{WiFiProfile: []byte(profile)}})
	}
	for name, tc := range map[string]struct {
		of   func() (ward.Device, ward.Enrolment)
		make deed
		want ward.Kind
	}{
		"a way back on iOS 16":               {old, back(""), ward.Invalid},
		"a way back on an unknown version":   {unknown, back(""), ward.Invalid},
		"a way back of a Mac":                {workMac, erase(EraseOptions{PIN: macPIN, ReturnToService: &ReturnToService{}}), ward.Invalid},
		"a way back by a wipe":               {workPhone, back(head + `<plist version="1.0"><dict><key>maxFailedAttempts</key><integer>4</integer></dict></plist>`), ward.Invalid},
		"a way back to another server":       {workPhone, back(head + `<plist version="1.0"><dict><key>a</key><array><dict><key>PayloadType</key><string>com.apple.mdm</string></dict></array></dict></plist>`), ward.Invalid},
		"a way back by what is no profile":   {workPhone, back("signed"), ward.Invalid},
		"a way back with a VPN":              {workPhone, back(strings.Replace(wifi, "</array>", "<dict><key>PayloadType</key><string>com.apple.vpn.managed</string></dict></array>", 1)), ward.Invalid},
		"a Mac without a PIN":                {workMac, erase(EraseOptions{}), ward.Invalid},
		"a Mac with letters":                 {workMac, erase(EraseOptions{PIN: "12345a"}), ward.Invalid},
		"a Mac obliterated in a strange way": {workMac, erase(EraseOptions{PIN: macPIN, Obliteration: "always"}), ward.Invalid},
		"an Android phone":                   {android, erase(EraseOptions{}), ward.Conflict},
		"a lock with a short PIN":            {workMac, pin("12345"), ward.Invalid},
		"a lock with other digits":           {workMac, pin("１２"), ward.Invalid},
		"a lock of a phone with a PIN":       {workPhone, pin(macPIN), ward.Conflict},
		"a lock that deactivates":            {oldMac, pin(macPIN), ward.Forbidden},
		"a lock of a Mac without a PIN":      {workMac, lockOnly, ward.Conflict},
		"a Mac's passcode":                   {workMac, clearPasscode, ward.Conflict},
		"no unlock token": {workPhone, func(c *Compiler, d ward.Device, e ward.Enrolment) (string, string, []byte, error) {
			return c.ClearPasscode(d, e, nil)
		}, ward.Conflict},
		"a restart of an Android phone": {android, restart, ward.Conflict},
		"management of an Android":      {android, removeManagement, ward.Conflict},
	} {
		c := compiler(new(int))
		c.ReturnProfile = c.back
		d, e := tc.of()
		if _, _, body, err := tc.make(c, d, e); ward.KindOf(err) != tc.want || body != nil {
			t.Errorf("%s: %d bytes, %v; want the kind %s", name, len(body), err, tc.want)
		}
	}
	d, e := workPhone()
	if _, _, _, err := back("")(compiler(new(int)), d, e); ward.KindOf(err) != ward.Conflict {
		t.Errorf("a way back that nobody makes: %v, want a conflict", err)
	}
}

// TestLockOfACase: a Mac's PIN is made for the case, and a phone gets none.
func TestLockOfACase(t *testing.T) {
	t.Parallel()
	var asked []ward.CaseID
	c := compiler(new(int))
	c.PIN = func(_ context.Context, _ ward.Device, _ ward.Enrolment, id ward.CaseID) (string, error) {
		asked = append(asked, id)
		return macPIN, nil
	}
	step := reconcile.Step{Key: "lock:c1", Deed: reconcile.Lock, Case: "c1", Lock: &profiles.Lock{Message: "Lost", Phone: "020", NeedsPIN: true}}
	d, e := workMac()
	_, body, err := c.Compile(t.Context(), step, d, e, "U")
	if err != nil {
		t.Fatal(err)
	}
	got, err := agent.ParseCommand(body)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"RequestType": "DeviceLock", "Message": "Lost", "PhoneNumber": "020", "PIN": macPIN}, got.Payload); diff != "" {
		t.Errorf("the lock of a Mac mismatch (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]ward.CaseID{"c1"}, asked); diff != "" {
		t.Errorf("PINs that were made (-want +got):\n%s", diff)
	}
	personal := d
	personal.Ownership = ward.Personal
	if _, _, err := c.Compile(t.Context(), step, personal, e, "U"); ward.KindOf(err) != ward.Forbidden {
		t.Errorf("a personal Mac: %v, want Forbidden", err)
	}
	boom := errors.New("boom")
	c.PIN = func(context.Context, ward.Device, ward.Enrolment, ward.CaseID) (string, error) { return "", boom }
	if _, _, err := c.Compile(t.Context(), step, d, e, "U"); !errors.Is(err, boom) {
		t.Errorf("without a PIN: %v, want %v", err, boom)
	}
	c.PIN = nil
	if _, _, err := c.Compile(t.Context(), step, d, e, "U"); err == nil {
		t.Error("a Mac was locked without a PIN")
	}
}

// TestCards: what a phone tells of its SIM cards is read, and nothing of it becomes a fact
// here.
func TestCards(t *testing.T) {
	t.Parallel()
	reply := func(responses string) []byte {
		return []byte(head + `<plist version="1.0"><dict><key>Status</key><string>Acknowledged</string><key>QueryResponses</key>` + responses + `</dict></plist>`)
	}
	told, err := readAnswer(reply(`<dict><key>ServiceSubscriptions</key><array>
		<dict><key>ICCID</key><string>8944 1000 3020 1234 567</string><key>IMEI</key><string>35 0</string><key>PhoneNumber</key><string>+447700900123</string><key>Slot</key><string>CTSubscriptionSlotOne</string></dict>
		<dict><key>Slot</key><string>CTSubscriptionSlotTwo</string></dict></array></dict>`), now)
	if err != nil {
		t.Fatal(err)
	}
	want := []reconcile.Card{{Slot: "CTSubscriptionSlotOne", ICCID: "8944100030201234567"}, {Slot: "CTSubscriptionSlotTwo"}}
	if diff := cmp.Diff(want, told.Cards); diff != "" {
		t.Errorf("the cards mismatch (-want +got):\n%s", diff)
	}
	for _, f := range told.Facts {
		if strings.Contains(string(f.Value), "8944") || strings.Contains(string(f.Value), "7700900123") {
			t.Errorf("the fact %s holds the card: %s", f.Kind, f.Value)
		}
	}
	if told, err = readAnswer(reply(`<dict><key>ServiceSubscriptions</key><array/></dict>`), now); err != nil || told.Cards == nil || len(told.Cards) != 0 {
		t.Errorf("a phone without a card: %v, %v; want a list of none", told.Cards, err)
	}
	if told, err = readAnswer(reply(`<dict/>`), now); err != nil || told.Cards != nil {
		t.Errorf("a phone that tells nothing: %v, %v; want nothing", told.Cards, err)
	}
}

// TestDestructive: every type of Apple's is on one side, what is not known is destructive,
// and what may be queued raw is not.
func TestDestructive(t *testing.T) {
	t.Parallel()
	for requestType, why := range DestructiveTypes() {
		if !Destructive(requestType, false, false) || why == "" {
			t.Errorf("%s is not destructive, or nobody knows why", requestType)
		}
		if slices.Contains(mild, requestType) {
			t.Errorf("%s stands on both sides", requestType)
		}
		if harmless[requestType] {
			t.Errorf("%s may be queued raw", requestType)
		}
	}
	for requestType := range harmless {
		if Destructive(requestType, false, false) {
			t.Errorf("%s may be queued raw and is destructive", requestType)
		}
	}
	for _, requestType := range requestTypes {
		if Destructive(requestType, false, false) {
			t.Errorf("the loop's own %s is destructive", requestType)
		}
	}
	for _, requestType := range []string{"", "erasedevice", "EraseDevice ", "EraseDisk"} {
		if !Destructive(requestType, false, false) {
			t.Errorf("%q, which nobody knows, is not destructive", requestType)
		}
	}
	for _, tc := range []struct {
		requestType     string
		management, pin bool
		want            bool
	}{
		{"RemoveProfile", false, false, false},
		{"RemoveProfile", true, false, true},
		{"DeviceLock", false, false, false},
		{"DeviceLock", false, true, true},
		{"EnableLostMode", false, false, false},
	} {
		if got := Destructive(tc.requestType, tc.management, tc.pin); got != tc.want {
			t.Errorf("Destructive(%s, %v, %v) = %v, want %v", tc.requestType, tc.management, tc.pin, got, tc.want)
		}
	}
}
