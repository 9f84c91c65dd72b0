package policy_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

const pause = 30 * time.Minute

// rolling is a fleet of two canaries and four others with one policy in force, and a
// second one that has reached the canaries.
func rolling(t *testing.T, db *store.DB, rings policy.Rings) (*world, policy.Version) {
	t.Helper()
	w := newWorld(t, db)
	for _, id := range []ward.DeviceID{"a1", "a2", "b1", "b2", "b3", "b4"} {
		w.device(id, map[byte]string{'a': "Canaries", 'b': "Ward 7"}[id[0]], true)
	}
	if _, err := w.Publish(w.as("ada", "1"), version("first")); err != nil {
		t.Fatal(err)
	}
	for id := range w.rows {
		w.answers(id, command.Accepted)
	}
	v, err := w.Submit(w.as("ada", "1"), policy.Draft{Text: version("second", "signal"), Rings: rings})
	if err != nil || v.State != policy.Rolling || v.Changed != 6 {
		t.Fatalf("Submit() = %+v, %v; want it to roll over 6 devices", v, err)
	}
	return w, v
}

func canaries(percent ...int) policy.Rings {
	return policy.Rings{Canary: []string{"Canaries"}, Percent: percent, Pause: pause}
}

func TestRollout(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, v := rolling(t, db, canaries())
		at := time.Now()
		if diff := cmp.Diff([]ward.DeviceID{"a1", "a2"}, w.under(2)); diff != "" || w.epoch() != 2 {
			t.Fatalf("epoch %d, the open ring mismatch (-want +got)\n%s", w.epoch(), diff)
		}
		p, err := w.Rollout(t.Context())
		want := []policy.RingProgress{{Name: "Canaries", Open: true, Devices: 2, Waiting: 2}, {Name: "to 100 %", Devices: 4}}
		if diff := cmp.Diff(want, p.Rings); diff != "" || err != nil {
			t.Errorf("Rollout() %v, mismatch (-want +got)\n%s", err, diff)
		}
		w.advance(at.Add(pause / 2))
		if w.epoch() != 2 {
			t.Error("a ring opened within the pause")
		}
		w.answers("a1", command.Accepted)
		w.seen("a2", at.Add(10*time.Second))
		w.advance(at.Add(pause + time.Minute))
		if w.epoch() != 2 {
			t.Error("a ring opened although a device that was heard from is still waiting")
		}
		w.answers("a2", command.Accepted)
		w.advance(at.Add(pause + 2*time.Minute))
		if n := len(w.under(2)); n != 6 || w.epoch() != 3 || w.state(2) != policy.Rolling {
			t.Fatalf("after the pause %d devices have it, epoch %d, %s", n, w.epoch(), w.state(2))
		}
		w.advance(at.Add(2*pause + 3*time.Minute)) // nobody else was heard from
		if w.state(2) != policy.Current || w.state(1) != policy.Superseded || w.epoch() != 3 {
			t.Errorf("at the end 2 is %s, 1 is %s, epoch %d: want no device planned anew", w.state(2), w.state(1), w.epoch())
		}
		if n := len(w.under(v.Generation)); n != 6 {
			t.Errorf("at the end %d devices have it", n)
		}
		_, err = w.Rollout(t.Context())
		wantKind(t, "progress after the end", err, ward.NotFound)
		w.advance(at.Add(24 * time.Hour))
		if n := w.audit.count(policy.ActionOpened); n != 1 {
			t.Errorf("%d openings are audited, want 1", n)
		}
	})
}

// TestLaggard: one device that was heard from and does not finish holds the others up
// for one more pause, not for ever.
func TestLaggard(t *testing.T) {
	t.Parallel()
	w, _ := rolling(t, storetest.SQLite(t), canaries())
	at := time.Now()
	w.seen("a1", at.Add(time.Minute))
	w.advance(at.Add(2*pause - time.Minute))
	if w.epoch() != 2 {
		t.Error("the ring opened while a device lags")
	}
	w.advance(at.Add(2*pause + time.Minute))
	if w.epoch() != 3 {
		t.Error("the ring did not open after twice the pause")
	}
}

func TestRolloutStops(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, _ := rolling(t, db, canaries(50))
		at := time.Now()
		w.answers("a1", command.Refused)
		w.advance(at.Add(time.Minute))
		if w.state(2) != policy.Rolling {
			t.Fatal("one failure stopped it")
		}
		w.answers("a2", command.Refused)
		w.advance(at.Add(2 * time.Minute))
		p, err := w.Rollout(t.Context())
		if err != nil || p.Version.State != policy.Stopped || p.Rollout.Failed != 2 || p.Rollout.Reason != "2 of 2 devices failed" || len(p.Failures) != 2 {
			t.Fatalf("Rollout() = %+v, %v; want it stopped by two failures", p, err)
		}
		if f := p.Failures[0]; f.Device != "a1" || f.Step == "" || f.Error != "because" {
			t.Errorf("failure = %+v, want the device, the step and its words", f)
		}
		epoch := w.epoch()
		w.advance(at.Add(24 * time.Hour))
		if got := w.under(2); w.epoch() != epoch || len(got) != 2 {
			t.Errorf("a stopped rollout went on: %v", got)
		}
		_, err = w.Stop(w.as("ada", "1"), "again")
		wantKind(t, "stopping what is stopped", err, ward.Conflict)
		if v, err := w.Resume(w.as("ada", "1")); err != nil || v.State != policy.Rolling {
			t.Fatalf("Resume() = %s, %v", v.State, err)
		}
		_, err = w.Resume(w.as("ada", "1"))
		wantKind(t, "resuming what goes on", err, ward.Conflict)
		w.advance(at.Add(3 * time.Minute))
		if w.state(2) != policy.Stopped {
			t.Error("failures that stand did not stop it again")
		}
	})
}

// TestInvalidDeclaration: a device that accepts the command and then calls a declaration
// of the new version invalid has failed; one of the version before is no matter.
func TestInvalidDeclaration(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, _ := rolling(t, db, canaries())
		w.answers("a1", command.Accepted)
		w.answers("a2", command.Accepted)
		w.invalid("a1")
		w.invalid("b1") // its ring is closed
		p, err := w.Rollout(t.Context())
		if err != nil || p.Rings[0].Done != 1 || p.Rings[0].Failed != 1 || len(p.Failures) != 1 {
			t.Fatalf("Rollout() = %+v, %+v, %v; want one that failed", p.Rings, p.Failures, err)
		}
		if f := p.Failures[0]; f.Device != "a1" || !strings.HasPrefix(f.Step, "declaration ") || f.Error != "Error.Some: words" {
			t.Errorf("failure = %+v", f)
		}
	})
}

func TestStopByHand(t *testing.T) {
	t.Parallel()
	w, _ := rolling(t, storetest.SQLite(t), canaries())
	_, err := w.Stop(w.as("ada", "1"), "")
	wantKind(t, "without a reason", err, ward.Invalid)
	v, err := w.Stop(w.as("ben", "1"), "the helpdesk is flooded")
	if err != nil || v.State != policy.Stopped {
		t.Fatal(v.State, err)
	}
	_, err = w.Publish(w.as("ada", "1"), version("third"))
	wantKind(t, "another version beside a rollout", err, ward.Conflict)
	v, err = w.Submit(w.as("ada", "1"), policy.Draft{Text: version("third"), Replace: true})
	if err != nil || v.State != policy.Current || w.state(2) != policy.Withdrawn || w.state(1) != policy.Superseded || len(w.under(3)) != 6 {
		t.Errorf("in its place: %s, %v, 2 is %s, 1 is %s", v.State, err, w.state(2), w.state(1))
	}
	_, err = w.Stop(w.as("ada", "1"), "x")
	wantKind(t, "nothing to stop", err, ward.NotFound)
}

func TestRollback(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, _ := rolling(t, db, canaries())
		w.Rule = strict() // going back needs no second person
		_, err := w.Rollback(w.as("ada", "1"), 0, "")
		wantKind(t, "without a reason", err, ward.Invalid)
		v, err := w.Rollback(w.as("ada", "1"), 0, "pagers fell silent")
		if err != nil || v.Generation != 3 || v.State != policy.Current || v.Reason != "pagers fell silent" || v.Text != string(version("first")) {
			t.Fatalf("Rollback() = %+v, %v", v, err)
		}
		if w.state(2) != policy.Withdrawn || w.state(1) != policy.Superseded || len(w.under(3)) != 6 {
			t.Errorf("2 is %s, 1 is %s, %v have 3", w.state(2), w.state(1), w.under(3))
		}
		_, err = w.Rollback(w.as("ada", "1"), 0, "further")
		wantKind(t, "further than the first", err, ward.Conflict)
		_, err = w.Rollback(w.as("ada", "1"), 2, "to one that never held")
		wantKind(t, "to one that never held", err, ward.Conflict)
		_, err = w.Rollback(w.as("ada", "1"), 3, "to the current one")
		wantKind(t, "to the current one", err, ward.Conflict)
		_, err = w.Rollback(w.as("ada", "1"), 9, "to none")
		wantKind(t, "to none", err, ward.NotFound)

		w.Rule = policy.Rule{Above: 1}
		for i, note := range []string{"fourth", "fifth"} {
			if _, err := w.Publish(w.as("ada", "1"), version(note)); err != nil {
				t.Fatal(i, err)
			}
		}
		for _, note := range []string{"fourth", "first"} { // going back twice goes back further
			if v, err := w.Rollback(w.as("ada", "1"), 0, "back"); err != nil || v.Text != string(version(note)) {
				t.Errorf("went back to %q, %v; want %s", v.Note, err, note)
			}
		}
		if v, err := w.Rollback(w.as("ada", "1"), 5, "by its number"); err != nil || v.Note != "fifth" {
			t.Errorf("by its number: %q, %v", v.Note, err)
		}
	})
}

// TestAdvanceTogether: several copies of the server open one ring, not several.
func TestAdvanceTogether(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, _ := rolling(t, db, canaries(10, 20, 30, 40))
		at := time.Now().Add(pause + time.Minute)
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				if err := policy.New(db.Policies(), w.audit, now, nil).Advance(t.Context(), at); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if p, err := w.Rollout(t.Context()); err != nil || p.Rollout.Ring != 1 || w.epoch() != 3 {
			t.Errorf("ring %d is open, epoch %d, %v; want 1 and 3", p.Rollout.Ring, w.epoch(), err)
		}
	})
}

// TestNothingLeaks: what was read within a unit of work that came to nothing is not
// taken for what another one of the same epoch wrote.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, boom := newWorld(t, db), errors.New("boom")
		w.device("d1", "", true)
		var s *policy.Service
		audit := recordFunc(func(ctx context.Context) error {
			if _, g, err := s.For(ctx, ward.Device{ID: "d1"}); g != 1 || err != nil {
				t.Errorf("within the unit of work %d holds, %v", g, err)
			}
			return boom
		})
		s = policy.New(db.Policies(), audit, now, nil)
		if _, err := s.Publish(w.as("ada", "1"), version("lost")); !errors.Is(err, boom) {
			t.Fatal(err)
		}
		if p, g, err := s.For(t.Context(), ward.Device{ID: "d1"}); p != nil || g != 0 || err != nil {
			t.Errorf("after it came to nothing %d holds, %v", g, err)
		}
		if _, err := w.Publish(w.as("ada", "1"), version("kept")); err != nil {
			t.Fatal(err)
		}
		if p, g, err := s.For(t.Context(), ward.Device{ID: "d1"}); err != nil || g != 1 || p.Note != "kept" {
			t.Errorf("generation %d holds, %v; want the one that was kept", g, err)
		}
	})
}

type recordFunc func(ctx context.Context) error

func (f recordFunc) Record(ctx context.Context, _, _ string, _ map[string]string) error {
	return f(ctx)
}

func TestVersions(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.device("a1", "Canaries", true)
		files := map[string][]byte{"wifi.mobileconfig": {0, 1, 2}}
		for i, d := range []policy.Draft{{Text: version("one"), Reason: "go"}, {Text: version("two"), Files: files}, {Text: version("three"), Rings: canaries(10)}} {
			if _, err := w.Submit(w.as("ada", "1"), d); err != nil {
				t.Fatal(i, err)
			}
		}
		vs, err := w.Versions(t.Context(), 0, 2)
		if err != nil || len(vs) != 2 || vs[0].Generation != 3 || vs[0].Text != "" || vs[0].Rings.Percent[1] != 100 || vs[1].AuthorName != "Name of ada" {
			t.Errorf("Versions() = %+v, %v", vs, err)
		}
		if vs, err = w.Versions(t.Context(), 2, 5); err != nil || len(vs) != 1 || vs[0].Reason != "go" || vs[0].State != policy.Superseded {
			t.Errorf("the page after = %+v, %v", vs, err)
		}
		v, err := w.Version(t.Context(), 2)
		if err != nil || !slices.Equal(v.Files["wifi.mobileconfig"], []byte{0, 1, 2}) {
			t.Errorf("files = %v, %v", v.Files, err)
		}
	})
}
