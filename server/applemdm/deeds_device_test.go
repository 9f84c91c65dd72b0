package applemdm

import (
	"context"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/reconcile"
)

// do gives a command to a device and returns its answer.
func do(t *testing.T, j *virtual.Judge, body []byte) agent.Response {
	t.Helper()
	r, err := j.Command(body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestDevicesObeyTheDeeds: a device, which shares no code with the compiler, does what each
// command is for, and counts as destructive what the compiler calls so.
func TestDevicesObeyTheDeeds(t *testing.T) {
	t.Parallel()
	c := compiler(new(int))
	c.ReturnProfile = c.back
	phone, phoneEnrol := workPhone()
	mac, macEnrol := workMac()
	for name, tc := range map[string]struct {
		o    virtual.Options
		d    ward.Device
		e    ward.Enrolment
		make deed
		done func(*virtual.Judge) bool
	}{
		"erase a phone": {virtual.Options{}, phone, phoneEnrol, erase(EraseOptions{PreserveDataPlan: true, DisallowProximitySetup: true, ReturnToService: &ReturnToService{}}), func(j *virtual.Judge) bool {
			e, ok := j.Erasure()
			return ok && e == (virtual.Erasure{PreserveDataPlan: true, DisallowProximitySetup: true, Returns: true}) && j.Erasures() == 1
		}},
		"erase a Mac": {virtual.Options{Platform: ward.MacOS}, mac, macEnrol, erase(EraseOptions{PIN: macPIN, Obliteration: "Always"}), func(j *virtual.Judge) bool {
			e, ok := j.Erasure()
			return ok && e == (virtual.Erasure{PIN: macPIN, Obliteration: "Always"}) && j.Erasures() == 1
		}},
		"lock a Mac": {virtual.Options{Platform: ward.MacOS}, mac, macEnrol, lockPIN, func(j *virtual.Judge) bool {
			return j.LockedByPIN() && j.UnlockPIN(macPIN) == nil && !j.LockedByPIN()
		}},
		"lock a phone":    {virtual.Options{PasscodeSet: true}, phone, phoneEnrol, lockOnly, (*virtual.Judge).Locked},
		"restart a phone": {virtual.Options{Supervised: true}, phone, phoneEnrol, restart, func(j *virtual.Judge) bool { return j.Restarts() == 1 }},
		"restart a Mac":   {virtual.Options{Platform: ward.MacOS}, mac, macEnrol, restart, func(j *virtual.Judge) bool { return j.Restarts() == 1 }},
	} {
		_, _, body, err := tc.make(c, tc.d, tc.e)
		if err != nil {
			t.Fatal(err)
		}
		j := virtual.NewJudge(tc.o)
		if r := do(t, j, body); r.Status != agent.Acknowledged || !tc.done(j) {
			t.Errorf("%s: %+v, and it is not done", name, r)
		}
		_, destructive, err := c.Dangerous(body)
		if err != nil || destructive != (len(j.Destructive()) == 1) {
			t.Errorf("%s: destructive %v, %v; the device counted %v", name, destructive, err, j.Destructive())
		}
	}
}

// TestLostPhoneTells: the questions of a lost case are understood, and what the phone answers
// is read: that somebody changed the SIM card and took the passcode off.
func TestLostPhoneTells(t *testing.T) {
	t.Parallel()
	c := compiler(new(int))
	d, e := workPhone()
	j := virtual.NewJudge(virtual.Options{Supervised: true, PasscodeSet: true, SIMs: []virtual.SIM{{ICCID: "8944100030201234567", PhoneNumber: "+447700900123"}}})
	ask := func(s reconcile.Step) reconcile.Told {
		t.Helper()
		_, body, err := c.Compile(t.Context(), s, d, e, "U")
		if err != nil {
			t.Fatal(err)
		}
		r := do(t, j, body)
		fields := map[string]any{"Status": string(r.Status)}
		maps.Copy(fields, r.Fields)
		told, err := readAnswer(answerOf(t, fields), now)
		if err != nil {
			t.Fatal(err)
		}
		return told
	}
	ask(reconcile.Step{Deed: reconcile.EnableLostMode, LostMode: &profiles.LostMode{Message: "Lost"}})
	for _, iccid := range []string{"8944100030201234567", "8944100030207654321", ""} {
		if iccid != "8944100030201234567" {
			j.SwapSIM(iccid)
		}
		want := []reconcile.Card{{Slot: "CTSubscriptionSlotOne", ICCID: iccid}}
		if diff := cmp.Diff(want, ask(reconcile.Step{Deed: reconcile.AskSIM}).Cards); diff != "" {
			t.Errorf("the cards mismatch (-want +got):\n%s", diff)
		}
	}
	for _, present := range []bool{true, false} {
		if !present {
			j.TakePasscodeOff()
		}
		o, err := reconcile.Observe(ask(reconcile.Step{Deed: reconcile.AskSecurity}).Facts)
		if err != nil {
			t.Fatal(err)
		}
		if off, known := o.PasscodeOff(now); off == present || !known {
			t.Errorf("with a passcode %v: off %v, known %v", present, off, known)
		}
	}
	_, body, err := c.Sound()
	if err != nil {
		t.Fatal(err)
	}
	if r := do(t, j, body); r.Status != agent.Acknowledged || j.Sounds() != 1 {
		t.Errorf("the sound: %+v, played %d times", r, j.Sounds())
	}
}

// TestLostMacIsLocked: from the policy to the Mac: a work Mac in a case is locked by the PIN
// that was made for it.
func TestLostMacIsLocked(t *testing.T) {
	t.Parallel()
	c := compiler(new(int))
	c.PIN = func(context.Context, ward.Device, ward.Enrolment, ward.CaseID) (string, error) { return macPIN, nil }
	d, e := workMac()
	want := profiles.Desired(profiles.Subject{Device: d, Rights: e.Rights, Kind: e.Kind, Case: &profiles.Case{ID: "c1", Kind: profiles.CaseLost}}, nil, now)
	steps, _ := reconcile.Plan(want, reconcile.Observed{}, nil, reconcile.Case{ID: "c1"}, now)
	if len(steps) != 1 {
		t.Fatalf("the steps of a lost Mac are %+v, want a lock", steps)
	}
	_, body, err := c.Compile(t.Context(), steps[0], d, e, "U")
	if err != nil {
		t.Fatal(err)
	}
	j := virtual.NewJudge(virtual.Options{Platform: ward.MacOS, Model: d.Model, OSVersion: d.OSVersion})
	if r := do(t, j, body); r.Status != agent.Acknowledged || !j.LockedByPIN() {
		t.Errorf("the lock: %+v, locked %v", r, j.LockedByPIN())
	}
	if err := j.UnlockPIN(macPIN); err != nil {
		t.Errorf("the PIN: %v", err)
	}
}
