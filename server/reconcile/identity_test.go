package reconcile_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// identities are what enrolments prove themselves by.
type identities map[ward.EnrolmentID]reconcile.Identity

func (i identities) Identity(_ context.Context, id ward.EnrolmentID) (reconcile.Identity, error) {
	if found, ok := i[id]; ok {
		return found, nil
	}
	return reconcile.Identity{}, ward.Errorf(ward.NotFound, "none of ours")
}

const year = 365 * 24 * time.Hour

// with enrols a device whose identity has lived for so long of two years.
func (f *fixture) with(t *testing.T, id ward.DeviceID, group string, lived time.Duration) ward.Enrolment {
	t.Helper()
	e := f.enrol(t, id, group)
	from := f.Now().Add(-lived)
	f.Identities.(identities)[e.ID] = reconcile.Identity{Serial: "7", From: from, Until: from.Add(2 * year)}
	return e
}

// there plans a device that waits for an answer.
func (f *fixture) there(t *testing.T, e ward.Enrolment) {
	t.Helper()
	if err := f.Replan(fleet.WithContact(t.Context(), fleet.Contact{Enrolment: e}), e.Device); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) renewals(t *testing.T, e ward.Enrolment) (open []command.Record) {
	t.Helper()
	all, err := f.db.Commands().Open(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(r command.Record) bool { return r.StepKey != "identity" })
}

func (f *fixture) answer(t *testing.T, r command.Record, s command.State) {
	t.Helper()
	if _, known, err := f.db.Commands().Report(t.Context(), r.Enrolment, store.Answer{UUID: r.UUID, State: s, Raw: []byte("x")}); err != nil || !known {
		t.Fatalf("the answer to %s is known: %v, %v", r.UUID, known, err)
	}
}

// TestRenewIdentity: an identity past the half of its life is renewed when its device is
// there, one at a time, whatever else is the matter with the device.
func TestRenewIdentity(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		f.Identities = identities{}
		var woken []ward.EnrolmentID
		f.Wake = func(_ context.Context, id ward.EnrolmentID) error {
			woken = append(woken, id)
			return nil
		}
		ahead := time.Duration(0)
		f.Now = func() time.Time { return time.Now().UTC().Add(ahead) }

		young, foreign := f.with(t, "young", "g", year/2), f.enrol(t, "foreign", "g")
		f.there(t, young)
		f.there(t, foreign)
		if n := len(f.renewals(t, young)) + len(f.renewals(t, foreign)); n != 0 {
			t.Errorf("%d identities were renewed that are young or another's", n)
		}

		for _, group := range []string{"g", fleet.QuarantineGroup} {
			e := f.with(t, ward.DeviceID("old-"+group), group, year)
			woken = nil
			f.replan(t, e.Device)
			if len(f.renewals(t, e)) != 0 || !slices.Equal(woken, []ward.EnrolmentID{e.ID}) {
				t.Errorf("%s, away: %d renewals are queued and %v are woken; want none and %s", e.Device, len(f.renewals(t, e)), woken, e.ID)
			}
			f.there(t, e)
			f.there(t, e)
			open := f.renewals(t, e)
			if len(open) != 1 || open[0].Urgent || open[0].RequestType != string(reconcile.RenewIdentity) {
				t.Fatalf("%s, there: the renewals %+v are open, want one that is not urgent", e.Device, open)
			}
			for range 12 { // it is never given up
				f.answer(t, open[0], command.Refused)
				f.there(t, e)
				if n := len(f.renewals(t, e)); n != 0 {
					t.Fatalf("%s refused, and %d renewals are queued at once", e.Device, n)
				}
				ahead = 25 * time.Hour
				f.there(t, e)
				if open = f.renewals(t, e); len(open) != 1 {
					t.Fatalf("%s refused, and a day later %d renewals are queued, want one", e.Device, len(open))
				}
				ahead = 0
			}
			f.answer(t, open[0], command.Deferred)
			f.there(t, e)
			if got := f.renewals(t, e); len(got) != 1 || got[0].UUID != open[0].UUID {
				t.Errorf("%s said not now: %+v, want the same command", e.Device, got)
			}
			ahead = 6 * 24 * time.Hour
			f.there(t, e)
			if got := f.renewals(t, e); len(got) != 1 || got[0].UUID == open[0].UUID {
				t.Errorf("%s, six days later: %+v, want another command in its place", e.Device, got)
			}
			ahead = 0
		}
	})
}

// TestRenewLostIdentity: a case neither keeps an identity from being renewed nor takes the
// renewal back, and the renewal does not stand before the lock, unless the identity ended.
func TestRenewLostIdentity(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, tc := range []struct {
			name  string
			lived time.Duration
			want  []string
		}{
			{"living", year, []string{"lock:c1", "identity"}},
			{"ended", 3 * year, []string{"identity", "lock:c1"}},
		} {
			f := newFixture(t, db)
			f.Identities = identities{}
			e := f.with(t, ward.DeviceID(tc.name), "g", tc.lived)
			f.there(t, e)
			before := f.renewals(t, e)
			f.cases[e.Device] = &profiles.Case{ID: "c1", Kind: profiles.CaseLost, Message: "m", Phone: "1", Reported: f.Now()}
			f.there(t, e)
			if diff := cmp.Diff(tc.want, f.steps(t, e)); diff != "" {
				t.Errorf("%s: a lost device's steps (-want +got):\n%s", tc.name, diff)
			}
			if after := f.renewals(t, e); len(before) != 1 || len(after) != 1 || before[0].UUID != after[0].UUID {
				t.Errorf("%s: the renewals were %+v before and %+v in the case, want the same", tc.name, before, after)
			}
			delete(f.cases, e.Device)
			f.there(t, e)
			if after := f.renewals(t, e); len(after) != 1 || before[0].UUID != after[0].UUID {
				t.Errorf("%s: the renewals were %+v before and %+v after the case, want the same", tc.name, before, after)
			}
		}
	})
}
