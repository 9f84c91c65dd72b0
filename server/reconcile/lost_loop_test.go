package reconcile_test

import (
	"strings"
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

// TestLostPhoneIsFollowed: a lost phone that answers is located, and asked for signs behind
// that; what it tells of its SIM is kept as a mark, and nothing of it once it is found.
func TestLostPhoneIsFollowed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		at := time.Now().UTC()
		f.Now = func() time.Time { return at }
		e := f.enrol(t, "d1", "g")
		d, err := f.Fleet.Device(t.Context(), "d1")
		if err != nil {
			t.Fatal(err)
		}
		d.OSVersion = "18.6"
		if err := f.Fleet.UpdateDevice(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		if err := f.Fleet.SetFact(t.Context(), e.ID, fleet.Fact{Kind: fleet.Information, Value: []byte(`{"supervised":true}`), Observed: at}); err != nil {
			t.Fatal(err)
		}
		f.cases["d1"] = &profiles.Case{ID: "c1", Kind: profiles.CaseLost, Reported: at.Add(-time.Minute)}
		f.replan(t, "d1")
		answer := func(want string, told reconcile.Told) {
			t.Helper()
			r, body, _, err := db.Commands().Next(t.Context(), e.ID)
			if err != nil || string(body) != want {
				t.Fatalf("it was given %q, %v; want %s", body, err, want)
			}
			if r, _, err = db.Commands().Report(t.Context(), e.ID, store.Answer{UUID: r.UUID, State: command.Accepted}); err != nil {
				t.Fatal(err)
			}
			if r.Case != "c1" {
				t.Errorf("%s belongs to the case %q, want c1", want, r.Case)
			}
			if err := f.Answered(t.Context(), e, r, true, told); err != nil {
				t.Fatal(err)
			}
		}
		answer("lost-mode:c1", reconcile.Told{})
		if diff := cmp.Diff([]string{"locate:c1:0", "sim:c1", "passcode:c1"}, f.steps(t, e)); diff != "" {
			t.Fatalf("steps of a phone in lost mode mismatch (-want +got):\n%s", diff)
		}
		cards := []reconcile.Card{{Slot: "CTSubscriptionSlotOne", ICCID: "8944100030201234567"}}
		answer("locate:c1:0", reconcile.Told{})
		answer("sim:c1", reconcile.Told{Cards: cards})
		answer("passcode:c1", reconcile.Told{Facts: []fleet.Fact{{Kind: fleet.Security, Value: []byte(`{"passcode_present":true}`), Observed: at}}})
		if got := f.steps(t, e); len(got) != 0 {
			t.Errorf("steps %v while nothing is due, want none", got)
		}
		at = time.Now().UTC().Add(31 * time.Minute)
		f.replan(t, "d1")
		if diff := cmp.Diff([]string{"locate:c1:2", "sim:c1", "passcode:c1"}, f.steps(t, e)); diff != "" {
			t.Fatalf("steps half an hour later mismatch (-want +got):\n%s", diff)
		}
		answer("locate:c1:2", reconcile.Told{})
		cards[0].ICCID = "8944100030207654321"
		answer("sim:c1", reconcile.Told{Cards: cards})
		v, err := f.View(t.Context(), d, e)
		if err != nil {
			t.Fatal(err)
		}
		if changed, known := v.Got.SIMChanged(f.cases["d1"].Reported); !changed || !known {
			t.Errorf("another SIM: %v, known %v; want both", changed, known)
		}
		if off, known := v.Got.PasscodeOff(f.cases["d1"].Reported); off || !known {
			t.Errorf("no passcode: %v, known %v; want it there", off, known)
		}
		if v.Got.Information == nil || v.Got.Supervised() != ward.Supervised {
			t.Error("the question about the SIM took what else was known")
		}
		delete(f.cases, "d1")
		f.replan(t, "d1")
		for _, key := range f.steps(t, e) {
			if strings.HasPrefix(key, "locate:") || strings.HasPrefix(key, "sim:") || strings.HasPrefix(key, "passcode:") {
				t.Errorf("a phone that was found still has the step %s", key)
			}
		}
	})
}
