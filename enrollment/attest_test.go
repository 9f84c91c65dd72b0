package enrollment_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/micromdm/nanomdm/mdm"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

const (
	adas   = "C39ADA0001"
	graces = "C39GRACE02"
)

// site is a service of one rule, whose profiles tell their tickets.
type site struct {
	*enrollment.Service
	t  *testing.T
	db *store.DB
	c  *clock
}

// tickets is a profile builder whose profile is its ticket.
type tickets struct{}

func (tickets) Profile(_ context.Context, _ enrollment.Invitation, t enrollment.Ticket) ([]byte, error) {
	return []byte(t.Challenge + " " + t.Identifier), nil
}

func newSite(t *testing.T, rule enrollment.Attestation, change func(*enrollment.Options)) site {
	t.Helper()
	s := site{t: t, db: storetest.SQLite(t), c: &clock{t: start}}
	o := enrollment.Options{
		Store: s.db.Invitations(), Unit: s.db, Devices: s.db.Fleet(), Profiles: tickets{}, Now: s.c.now, NewDevice: newID(), Attestation: rule,
	}
	if change != nil {
		change(&o)
	}
	var err error
	if s.Service, err = enrollment.New(o); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s site) invite(change func(*enrollment.Request)) enrollment.Invited {
	s.t.Helper()
	r := enrollment.Request{Name: "Ada Byron", Ownership: ward.Corporate}
	if change != nil {
		change(&r)
	}
	in, err := s.Create(s.t.Context(), r)
	if err != nil {
		s.t.Fatal(err)
	}
	return in
}

// ticket opens a link and returns what stands in its profile.
func (s site) ticket(in enrollment.Invited, wish enrollment.Identity) enrollment.Ticket {
	s.t.Helper()
	_, profile, err := s.Open(s.t.Context(), in.Token, wish)
	if err != nil {
		s.t.Fatal(err)
	}
	challenge, identifier, _ := strings.Cut(string(profile), " ")
	return enrollment.Ticket{Challenge: challenge, Identifier: identifier}
}

// listed puts a device into the list of devices.
func (s site) listed(id ward.DeviceID, serial string) {
	s.t.Helper()
	err := s.db.Fleet().InsertDevice(s.t.Context(), ward.Device{ID: id, Serial: serial, Name: "Phone of " + string(id), Platform: ward.IOS, Ownership: ward.Corporate, State: ward.Unenrolled, Created: start})
	if err != nil {
		s.t.Fatal(err)
	}
}

func serial(n string) func(*enrollment.Request) {
	return func(r *enrollment.Request) { r.Serial = n }
}

func pinned(i enrollment.Identity) func(*enrollment.Request) {
	return func(r *enrollment.Request) { r.Identity = i }
}

// TestIdentity: the rule comes before the invitation, the invitation before the wish.
func TestIdentity(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule         enrollment.Attestation
		pinned, wish enrollment.Identity
		want         enrollment.Identity
	}{
		{enrollment.AttestationOff, "", "", enrollment.SCEP},
		{enrollment.AttestationOff, "", enrollment.Attested, enrollment.SCEP},
		{enrollment.AttestationOff, enrollment.SCEP, "", enrollment.SCEP},
		{enrollment.AttestationPreferred, "", "", enrollment.SCEP},
		{enrollment.AttestationPreferred, "", enrollment.Attested, enrollment.Attested},
		{enrollment.AttestationPreferred, "", enrollment.SCEP, enrollment.SCEP},
		{enrollment.AttestationPreferred, enrollment.Attested, enrollment.SCEP, enrollment.Attested},
		{enrollment.AttestationPreferred, enrollment.Attested, "", enrollment.Attested},
		{enrollment.AttestationPreferred, enrollment.SCEP, enrollment.Attested, enrollment.SCEP},
		{enrollment.AttestationRequired, "", "", enrollment.Attested},
		{enrollment.AttestationRequired, "", enrollment.SCEP, enrollment.Attested},
		{enrollment.AttestationRequired, enrollment.Attested, enrollment.SCEP, enrollment.Attested},
	} {
		s := newSite(t, tt.rule, nil)
		in := s.invite(pinned(tt.pinned))
		got := enrollment.SCEP
		if k := s.ticket(in, tt.wish); k.Identifier != "" {
			got = enrollment.Attested
			if k.Identifier != in.ID {
				t.Errorf("identifier = %s, want the invitation's id %s", k.Identifier, in.ID)
			}
		}
		if got != tt.want {
			t.Errorf("%s, pinned %q, wish %q: %s, want %s", tt.rule, tt.pinned, tt.wish, got, tt.want)
		}
	}
}

// TestRuleAgainstPin: an invitation never asks for what the rule forbids, also where the
// rule changed after it was made.
func TestRuleAgainstPin(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule   enrollment.Attestation
		pin    enrollment.Identity
		before enrollment.Attestation // a rule that allows it
		why    string
	}{
		{enrollment.AttestationRequired, enrollment.SCEP, enrollment.AttestationPreferred, "attestation is required"},
		{enrollment.AttestationOff, enrollment.Attested, enrollment.AttestationPreferred, "attestation is off"},
	} {
		s := newSite(t, tt.rule, nil)
		r := enrollment.Request{Name: "Ada", Ownership: ward.Corporate, Identity: tt.pin}
		_, err := s.Create(t.Context(), r)
		if ward.KindOf(err) != ward.Invalid || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("Create() pinned to %s under %s = %v, want invalid: %s", tt.pin, tt.rule, err, tt.why)
		}
		_, err = s.CreateMany(t.Context(), []enrollment.Request{r})
		if ward.KindOf(err) != ward.Invalid || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("CreateMany() = %v, want invalid: %s", err, tt.why)
		}
		old := ruled(t, s.db, s.c, tt.before)
		in, err := old.Create(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = s.Open(t.Context(), in.Token, "")
		wantForbidden(t, "an invitation of another rule", err, tt.why)
	}
	_, err := newSite(t, "", nil).Create(t.Context(), enrollment.Request{Name: "Ada", Ownership: ward.Corporate, Identity: "tpm"})
	if ward.KindOf(err) != ward.Invalid || !strings.Contains(err.Error(), `"tpm" is not known`) {
		t.Errorf("Create() with an unknown identity = %v, want invalid", err)
	}
	if _, err := enrollment.New(enrollment.Options{}); err == nil {
		t.Error("New() = nil, want an error")
	}
}

// TestChangedRule: a profile that was handed out before the rule changed is worth nothing
// after it, whichever way it goes.
func TestChangedRule(t *testing.T) {
	t.Parallel()
	s := newSite(t, enrollment.AttestationPreferred, nil)
	in := s.invite(nil)
	scep := s.ticket(in, enrollment.SCEP)
	strict := ruled(t, s.db, s.c, enrollment.AttestationRequired)
	_, err := strict.Lookup(t.Context(), scep.Challenge)
	wantForbidden(t, "SCEP once attestation is required", err, "Open the link again")
	_, err = strict.Redeem(t.Context(), scep.Challenge, "")
	wantForbidden(t, "SCEP once attestation is required", err, "not allowed any more")
	if _, err := s.Lookup(t.Context(), scep.Challenge); err != nil {
		t.Errorf("Lookup() under the old rule = %v, want it to be as before", err)
	}

	attested := s.ticket(in, enrollment.Attested)
	lax := ruled(t, s.db, s.c, enrollment.AttestationOff)
	_, err = lax.Lookup(t.Context(), attested.Challenge)
	wantForbidden(t, "ACME once attestation is off", err, "switched off")
	wantForbidden(t, "ACME once attestation is off", lax.Permit(t.Context(), attested.Challenge, adas), "switched off")
	_, err = lax.Redeem(t.Context(), attested.Challenge, adas)
	wantForbidden(t, "ACME once attestation is off", err, "switched off")
}

// TestNeverBoth: a challenge for an attested key buys none that nothing was proven of, and
// the other way round.
func TestNeverBoth(t *testing.T) {
	t.Parallel()
	s := newSite(t, enrollment.AttestationPreferred, nil)
	in := s.invite(nil)
	attested := s.ticket(in, enrollment.Attested).Challenge
	_, err := s.Redeem(t.Context(), attested, "")
	wantForbidden(t, "an attested challenge by SCEP", err, "names no serial number")
	wantForbidden(t, "an attestation without a serial number", s.Permit(t.Context(), attested, ""), "names no serial number")
	scep := s.ticket(in, enrollment.SCEP).Challenge
	wantForbidden(t, "a password for SCEP", s.Permit(t.Context(), scep, adas), "asks for no attestation")
	wantForbidden(t, "a password for SCEP", s.Permit(t.Context(), scep, ""), "asks for no attestation")
	_, err = s.Redeem(t.Context(), scep, adas)
	wantForbidden(t, "a password for SCEP by ACME", err, "asks for no attestation")
	wantForbidden(t, "a challenge that was replaced", s.Permit(t.Context(), attested, adas), "newer profile")
}

// TestPreferredBinds: an invitation that names nobody belongs to the first device that
// attests, and to that one alone from then on, by attestation alone.
func TestPreferredBinds(t *testing.T) {
	t.Parallel()
	s := newSite(t, enrollment.AttestationPreferred, nil)
	in := s.invite(nil)
	first := s.ticket(in, enrollment.Attested)
	if err := s.Permit(t.Context(), first.Challenge, adas); err != nil {
		t.Fatal(err)
	}
	if err := s.Permit(t.Context(), first.Challenge, graces); err != nil {
		t.Fatalf("asking binds nothing: %v", err)
	}
	got, err := s.Redeem(t.Context(), first.Challenge, adas)
	if err != nil || got.Serial != adas || got.Identity != enrollment.Attested {
		t.Fatalf("Redeem() = %+v, %v; want it bound to %s", got, err, adas)
	}
	next := s.ticket(in, enrollment.SCEP)
	if next.Identifier != adas {
		t.Errorf("the next profile is for %q, want an attested one for %s", next.Identifier, adas)
	}
	wantForbidden(t, "another device", s.Permit(t.Context(), next.Challenge, graces), "for the device with the serial number "+adas)
	_, err = s.Redeem(t.Context(), next.Challenge, graces)
	wantForbidden(t, "another device", err, "for the device with the serial number "+adas)
	if _, err := s.Redeem(t.Context(), next.Challenge, adas); err != nil {
		t.Errorf("the same device again: %v", err)
	}
	if !s.MustAttest(got) || s.MayChoose(got) {
		t.Error("a bound invitation can be used without attestation")
	}
}

// TestNamed: an invitation for a serial number is for that device under every rule.
func TestNamed(t *testing.T) {
	t.Parallel()
	for _, rule := range []enrollment.Attestation{enrollment.AttestationPreferred, enrollment.AttestationRequired} {
		s := newSite(t, rule, nil)
		in := s.invite(serial(" c39ada0001 "))
		if in.Serial != adas {
			t.Errorf("serial = %q, want %s", in.Serial, adas)
		}
		d, err := s.db.Fleet().Device(t.Context(), in.Device)
		if err != nil || d.Serial != adas {
			t.Errorf("device = %+v, %v; want it to carry %s", d, err, adas)
		}
		k := s.ticket(in, enrollment.Attested)
		if k.Identifier != adas {
			t.Errorf("%s: identifier = %s, want %s", rule, k.Identifier, adas)
		}
		wantForbidden(t, "another device", s.Permit(t.Context(), k.Challenge, graces), "for the device with the serial number "+adas+", not for "+graces)
		if err := s.Permit(t.Context(), k.Challenge, adas); err != nil {
			t.Errorf("%s: the device itself: %v", rule, err)
		}
	}
}

// TestUnlisted: where attestation is required, a device that nobody named is let in only
// if the configuration says so.
func TestUnlisted(t *testing.T) {
	t.Parallel()
	s := newSite(t, enrollment.AttestationRequired, nil)
	s.listed("d-grace", graces)
	k := s.ticket(s.invite(nil), "")
	wantForbidden(t, "an unlisted device", s.Permit(t.Context(), k.Challenge, adas), "not in the list of devices")
	_, err := s.Redeem(t.Context(), k.Challenge, adas)
	wantForbidden(t, "an unlisted device", err, "not in the list of devices")
	if _, err := s.Redeem(t.Context(), k.Challenge, graces); err != nil {
		t.Errorf("a device of the list: %v", err)
	}
	open := newSite(t, enrollment.AttestationRequired, func(o *enrollment.Options) { o.AllowUnlisted = true })
	k = open.ticket(open.invite(nil), "")
	if got, err := open.Redeem(t.Context(), k.Challenge, adas); err != nil || got.Serial != adas {
		t.Errorf("Redeem() with unlisted devices allowed = %+v, %v; want it bound to %s", got, err, adas)
	}
}

// TestEnrolledSerial: no invitation is made for, and no key certified for, a device that is
// enrolled, until a person releases it.
func TestEnrolledSerial(t *testing.T) {
	t.Parallel()
	s := newSite(t, enrollment.AttestationPreferred, nil)
	free := s.invite(nil)
	s.listed("d-ada", adas)
	enrol(t, s.db, "d-ada", "UDID-ada")
	r := enrollment.Request{Name: "Bob", Ownership: ward.Corporate, Serial: adas}
	_, err := s.Create(t.Context(), r)
	if ward.KindOf(err) != ward.Conflict || !strings.Contains(err.Error(), "ward device release "+adas) {
		t.Errorf("Create() for an enrolled device = %v, want a conflict with the cure", err)
	}
	_, err = s.CreateMany(t.Context(), []enrollment.Request{{Name: "Grace", Ownership: ward.Corporate, Serial: graces}, r})
	e, ok := errors.AsType[*ward.Error](err)
	if !ok || e.Kind != ward.Conflict || len(e.Details) != 1 || !strings.HasPrefix(e.Details[0], "Invitation 2: ") {
		t.Errorf("CreateMany() = %v, want a conflict of the second", err)
	}
	k := s.ticket(free, enrollment.Attested)
	wantForbidden(t, "an enrolled device", s.Permit(t.Context(), k.Challenge, adas), "enrolled already")
	if err := s.db.Fleet().SetReenrol(t.Context(), "d-ada", true); err != nil {
		t.Fatal(err)
	}
	if err := s.Permit(t.Context(), k.Challenge, adas); err != nil {
		t.Errorf("a released device: %v", err)
	}
	in, err := s.Create(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	// The device of the list keeps its number: the invitation's own takes none.
	if d, err := s.db.Fleet().Device(t.Context(), in.Device); err != nil || d.Serial != "" || in.Serial != adas {
		t.Errorf("device %+v, invitation for %q, %v; want the number in the invitation alone", d, in.Serial, err)
	}
}

// TestSerialOfAKnownDevice: an invitation for a device of the list is for its number.
func TestSerialOfAKnownDevice(t *testing.T) {
	t.Parallel()
	s := newSite(t, enrollment.AttestationRequired, nil)
	s.listed("d-ada", adas)
	in := s.invite(func(r *enrollment.Request) { r.Device = "d-ada" })
	if in.Serial != adas {
		t.Errorf("serial = %q, want %s", in.Serial, adas)
	}
	_, err := s.Create(t.Context(), enrollment.Request{Name: "Ada", Ownership: ward.Corporate, Device: "d-ada", Serial: graces})
	if ward.KindOf(err) != ward.Conflict || !strings.Contains(err.Error(), "has the serial number "+adas) {
		t.Errorf("Create() with another number = %v, want a conflict", err)
	}
	_, err = s.CreateMany(t.Context(), []enrollment.Request{
		{Name: "A", Ownership: ward.Corporate, Serial: graces},
		{Name: "B", Ownership: ward.Corporate},
		{Name: "C", Ownership: ward.Corporate},
		{Name: "D", Ownership: ward.Corporate, Serial: strings.ToLower(graces)},
	})
	e, ok := errors.AsType[*ward.Error](err)
	if !ok {
		t.Fatalf("CreateMany() = %v, want a mistake", err)
	}
	if diff := cmp.Diff([]string{"Invitation 4: It has the serial number " + graces + ", as invitation 1 has."}, e.Details); diff != "" {
		t.Errorf("mistakes mismatch (-want +got):\n%s", diff)
	}
}

func TestSerialForm(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", nil)
	for number, good := range map[string]bool{
		"C39ABCDEFG": true, "F17XK2ABCDEF": true, "ABCD1234": true, "ABCDEFGH123456": true, "dx3abcdefgh1": true,
		"SHORT12": false, "ABCDEFGH1234567": false, "C39-ABCDEF": false, "C39 ABCDEF": false, "ÄBCDEFGH12": false, "355555555555555": false,
	} {
		_, err := s.Create(t.Context(), enrollment.Request{Name: "Ada", Ownership: ward.Corporate, Serial: number, Life: time.Hour})
		if (err == nil) != good || (!good && !strings.Contains(err.Error(), "General, About")) {
			t.Errorf("Create() for %q = %v, want it to be good: %v", number, err, good)
		}
	}
}

// enrol makes an active enrolment of a device.
func enrol(t *testing.T, db *store.DB, id ward.DeviceID, udid string) {
	t.Helper()
	r := &mdm.Request{EnrollID: &mdm.EnrollID{Type: mdm.Device, ID: udid}}
	r = r.WithContext(fleet.WithAdmission(t.Context(), fleet.Admission{Device: id}))
	if err := db.MDM().StoreAuthenticate(r, &mdm.Authenticate{Enrollment: mdm.Enrollment{UDID: udid}, Topic: "t", Raw: []byte("a")}); err != nil {
		t.Fatal(err)
	}
}
