package enrollment_test

import (
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestOutside: where identities come from another authority, what stands in a profile is a
// ticket, which is worth something only in the form that Ward's own authority refuses.
func TestOutside(t *testing.T) {
	t.Parallel()
	db, c := storetest.SQLite(t), &clock{t: start}
	s, err := enrollment.New(enrollment.Options{
		Store: db.Invitations(), Unit: db, Devices: db.Fleet(), Profiles: challengeOnly{}, Now: c.now, NewDevice: newID(),
		Attestation: enrollment.AttestationPreferred, Outside: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	in := invite(t, s)
	ticket := open(t, s, in)
	challenge := enrollment.OutsideChallenge(ticket)
	if enrollment.IsOutside(ticket) || !enrollment.IsOutside(challenge) {
		t.Errorf("IsOutside(%s) and IsOutside(%s) are wrong", ticket, challenge)
	}
	if _, err := s.Lookup(t.Context(), ticket); ward.KindOf(err) != ward.Forbidden {
		t.Errorf("Lookup() of a ticket = %v, want a refusal", err)
	}
	if inv, err := s.Redeem(t.Context(), challenge, ""); err != nil || inv.ID != in.ID {
		t.Errorf("Redeem() = %s, %v; want %s", inv.ID, err, in.ID)
	}
	if _, err := s.Redeem(t.Context(), challenge, ""); ward.KindOf(err) != ward.Forbidden {
		t.Errorf("Redeem() again = %v, want a refusal", err)
	}
	// One that attests its key is Ward's own.
	_, profile, err := s.Open(t.Context(), in.Token, enrollment.Attested)
	if err != nil {
		t.Fatal(err)
	}
	if g, err := s.Lookup(t.Context(), string(profile)); err != nil || g.Identifier == "" {
		t.Errorf("Lookup() of an attested challenge = %+v, %v", g, err)
	}
}
