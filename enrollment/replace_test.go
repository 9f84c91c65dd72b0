package enrollment_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
)

// TestInviteAgain: a new invitation for a serial number takes the place of the open one, and
// the device that was made for that one.
func TestInviteAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t, enrollment.AttestationPreferred, nil)
	serial := func(name string) func(*enrollment.Request) {
		return func(r *enrollment.Request) { r.Name, r.Serial, r.Group = name, adas, name+"'s" }
	}
	first := s.invite(serial("Ada"))
	challenge := s.ticket(first, enrollment.SCEP).Challenge
	if len(first.Warnings) != 0 || len(first.Replaced) != 0 {
		t.Errorf("the first: warnings %q, replaced %v; want none", first.Warnings, first.Replaced)
	}
	second := s.invite(serial("Grace"))
	if len(second.Replaced) != 1 || second.Replaced[0].ID != first.ID || len(second.Warnings) != 1 || !strings.Contains(second.Warnings[0], first.ID+" for Ada") {
		t.Errorf("replaced %v, warnings %q; want the first", second.Replaced, second.Warnings)
	}
	_, err := s.Find(t.Context(), first.Token)
	wantForbidden(t, "the first link", err, "taken back")
	_, err = s.Lookup(t.Context(), challenge)
	wantForbidden(t, "the first profile", err, "taken back")
	if _, err := s.Find(t.Context(), second.Token); err != nil {
		t.Errorf("the second link: %v", err)
	}
	s.c.add(30 * 24 * time.Hour)
	third := s.invite(serial("Joan"))
	if len(third.Replaced) != 0 {
		t.Errorf("replaced %v, want none: it had expired", third.Replaced)
	}
	all, err := s.db.Fleet().DevicesBySerial(t.Context(), adas)
	if err != nil {
		t.Fatal(err)
	}
	want := []ward.Device{{
		ID: first.Device, Serial: adas, Name: "Joan's iPhone", Platform: ward.IOS, Ownership: ward.Corporate, Group: "Joan's", Owner: "Joan", State: ward.Invited, Created: start,
	}}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("devices mismatch (-want +got):\n%s", diff)
	}
	if other := s.invite(func(r *enrollment.Request) { r.Serial = graces }); other.Device == first.Device || len(other.Warnings) != 0 {
		t.Errorf("another serial number: device %s, warnings %q; want a device of its own", other.Device, other.Warnings)
	}
}

// TestInviteUnlisted: where only listed devices may enrol, who invites without a serial
// number is told.
func TestInviteUnlisted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		rule     enrollment.Attestation
		unlisted bool
		serial   string
		warns    bool
	}{
		{"required", enrollment.AttestationRequired, false, "", true},
		{"required, named", enrollment.AttestationRequired, false, adas, false},
		{"required, any", enrollment.AttestationRequired, true, "", false},
		{"preferred", enrollment.AttestationPreferred, false, "", false},
	} {
		s := newSite(t, tt.rule, func(o *enrollment.Options) { o.AllowUnlisted = tt.unlisted })
		in := s.invite(func(r *enrollment.Request) { r.Serial = tt.serial })
		if got := strings.Contains(strings.Join(in.Warnings, ""), "only a device that is in the list"); got != tt.warns {
			t.Errorf("%s: warnings %q, want one: %t", tt.name, in.Warnings, tt.warns)
		}
	}
}
