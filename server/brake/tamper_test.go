package brake_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
)

// history records five entries about an order and returns the brake.
func history(t *testing.T, w *world) *brake.Service {
	t.Helper()
	s := w.server(t, w.anchor)
	e := erase(1)
	whole := with(e, func(e *brake.Entry) { e.Enrolment = "" })
	record(
		t, s,
		with(whole, func(e *brake.Entry) { e.Event, e.Hash = brake.Requested, "h" }),
		with(whole, func(e *brake.Entry) { e.Event, e.Hash = brake.Approved, "h" }),
		with(e, func(e *brake.Entry) { e.Event, e.Hash = brake.Issued, "b" }),
		with(whole, func(e *brake.Entry) { e.Event = brake.Cancelled }),
	)
	take(t, s, erase(2))
	return s
}

// TestTampering: whatever is done to the rows is found, by a server that runs and by one
// that starts; nothing is taken then, and it is told once.
func TestTampering(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(w *world, rows []brake.Entry) []brake.Entry{
		"the last row deleted":  func(_ *world, r []brake.Entry) []brake.Entry { return r[:4] },
		"a middle row deleted":  func(_ *world, r []brake.Entry) []brake.Entry { return slices.Delete(r, 3, 4) },
		"the first row deleted": func(_ *world, r []brake.Entry) []brake.Entry { return r[1:] },
		"all rows deleted":      func(*world, []brake.Entry) []brake.Entry { return nil },
		"a hash changed":        func(_ *world, r []brake.Entry) []brake.Entry { r[1].Hash = "other"; return r },
		"a time changed":        func(_ *world, r []brake.Entry) []brake.Entry { r[4].At = r[4].At.AddDate(-1, 0, 0); return r },
		"the last one's MAC":    func(_ *world, r []brake.Entry) []brake.Entry { r[4].MAC[0]++; return r },
		"a short MAC":           func(_ *world, r []brake.Entry) []brake.Entry { r[4].MAC = nil; return r },
		"the last two swapped":  func(_ *world, r []brake.Entry) []brake.Entry { r[3].Seq, r[4].Seq = 5, 4; return r },
		"a row moved to the end": func(_ *world, r []brake.Entry) []brake.Entry {
			return append(r, with(r[1], func(e *brake.Entry) { e.Seq = 6 }))
		},
		"a forged row at the end": func(_ *world, r []brake.Entry) []brake.Entry {
			return append(r, brake.Entry{Seq: 6, Event: brake.Released, Kind: brake.Erase, Order: "o", MAC: make([]byte, 32)})
		},
		"a forged row far behind": func(_ *world, r []brake.Entry) []brake.Entry {
			return append(r, brake.Entry{Seq: 1 << 40, MAC: make([]byte, 32)})
		},
		"a forged reset": func(_ *world, r []brake.Entry) []brake.Entry {
			return append(r, brake.Entry{Seq: 6, Event: brake.Reset, MAC: make([]byte, 32)})
		},
		"a row twice":      func(_ *world, r []brake.Entry) []brake.Entry { r[0] = r[1]; return r },
		"the gate deleted": func(w *world, r []brake.Entry) []brake.Entry { w.journal.gone = true; return r },
	} {
		for _, running := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld()
				s := history(t, w)
				if !running {
					s = w.server(t, w.anchor)
				}
				w.journal.rows = spoil(w, clone(w.journal.rows))
				kept := len(w.journal.rows)
				errs := map[string]error{"Check": s.Check(t.Context())} // what changed long ago, a running server finds by it
				_, errs["Take"] = s.Take(t.Context(), erase(3))
				_, errs["Take again"] = s.Take(t.Context(), erase(4))
				_, errs["Ledger"] = s.Ledger(t.Context())
				_, errs["Room"] = s.Room(t.Context(), brake.Erase, "")
				errs["Record"] = s.Record(t.Context(), brake.Entry{Event: brake.Requested, Kind: brake.Erase, Order: "o"})
				for what, err := range errs {
					if !errors.Is(err, brake.ErrTampered) || ward.KindOf(err) != ward.Unavailable || !strings.Contains(err.Error(), "ward brake reset --reason") {
						t.Errorf("%s = %v, want it found, with the cure", what, err)
					}
				}
				if len(w.tampered) != 1 || !errors.Is(w.tampered[0], brake.ErrTampered) {
					t.Errorf("told %v, want it once", w.tampered)
				}
				if len(w.journal.rows) != kept {
					t.Error("something was recorded all the same")
				}
			})
		}
	}
}

func clone(rows []brake.Entry) []brake.Entry {
	out := slices.Clone(rows)
	for i := range out {
		out[i].MAC = bytes.Clone(out[i].MAC)
	}
	return out
}

// TestTamperingIsTakenBack: once the rows are again as they were, a check lets the brake
// work on.
func TestTamperingIsTakenBack(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := history(t, w)
	good := w.journal.rows
	w.journal.rows = clone(good)[:4]
	if _, err := s.Take(t.Context(), erase(3)); !errors.Is(err, brake.ErrTampered) {
		t.Fatalf("Take = %v", err)
	}
	w.journal.rows = good
	if _, err := s.Take(t.Context(), erase(3)); !errors.Is(err, brake.ErrTampered) {
		t.Errorf("Take = %v, want it to wait for a check", err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if take(t, s, erase(3)) {
		t.Error("held")
	}
	w.journal.rows = clone(w.journal.rows)[:4]
	if err := s.Check(t.Context()); !errors.Is(err, brake.ErrTampered) || len(w.tampered) != 2 {
		t.Errorf("Check = %v, told %d times; want a new finding", err, len(w.tampered))
	}
}

// TestFoundInAUnitThatFails: what is found within a unit of work is told after it, not
// within; one that fails tells nothing, but a job is woken that will.
func TestFoundInAUnitThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := history(t, w)
	w.journal.rows = clone(w.journal.rows)[:4]
	if err := s.Record(t.Context(), brake.Entry{Event: brake.Requested, Kind: brake.Erase, Order: "o"}); !errors.Is(err, brake.ErrTampered) || len(w.tampered) != 0 {
		t.Fatalf("Record = %v, told %v", err, w.tampered)
	}
	select {
	case <-s.Wanted():
	default:
		t.Fatal("no job is woken")
	}
	err := w.journal.Do(t.Context(), func(ctx context.Context) error { // as a hand-out, which holds the command and commits
		_, err := s.Take(ctx, erase(3))
		if !errors.Is(err, brake.ErrTampered) {
			return err
		}
		return nil
	})
	if err != nil || len(w.tampered) != 1 {
		t.Errorf("Do = %v, told %v; want it once", err, w.tampered)
	}
	if err := s.Check(t.Context()); !errors.Is(err, brake.ErrTampered) || len(w.tampered) != 1 {
		t.Errorf("Check = %v, told %v; want it once", err, w.tampered)
	}
}

// TestOlderCopy: an older copy of the database is as genuine as can be, and is found by the
// anchor alone.
func TestOlderCopy(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := history(t, w)
	old := clone(w.journal.rows)
	take(t, s, erase(3))
	w.journal.rows = old
	if err := w.server(t, w.anchor).Check(t.Context()); !errors.Is(err, brake.ErrTampered) || !strings.Contains(err.Error(), "it ends at entry 5, and entry 6 was written") {
		t.Errorf("Check = %v", err)
	}
	fork := w.server(t, &anchor{there: true, seq: 5, mac: old[4].MAC}) // goes on from the older copy, as another installation
	take(t, fork, erase(4))
	if err := w.server(t, w.anchor).Check(t.Context()); !errors.Is(err, brake.ErrTampered) || !strings.Contains(err.Error(), "entry 6 is another") {
		t.Errorf("Check of a fork = %v", err)
	}
	if err := s.Check(t.Context()); !errors.Is(err, brake.ErrTampered) {
		t.Errorf("Check of a fork by a running server = %v", err)
	}
}

func TestAnchorMissing(t *testing.T) {
	t.Parallel()
	w := newWorld()
	if err := w.server(t, w.anchor).Check(t.Context()); err != nil {
		t.Fatalf("Check at a first start = %v", err)
	}
	if !w.anchor.there {
		t.Error("a first start makes no anchor: a crash after the first entry would look like tampering")
	}
	history(t, w)
	if err := w.server(t, &anchor{}).Check(t.Context()); !errors.Is(err, brake.ErrTampered) || !strings.Contains(err.Error(), "brake.head") {
		t.Errorf("Check = %v, want it to name the file", err)
	}
}

// TestReanchor: the operator begins the chain anew, whatever was done to it. What was
// ordered before is void; what holds goes on holding.
func TestReanchor(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(w *world){
		"nothing wrong":     func(*world) {},
		"a backup restored": func(w *world) { w.journal.rows = w.journal.rows[:len(w.journal.rows)-1] },
		"an anchor lost":    func(w *world) { *w.anchor = anchor{} },
		"a row changed": func(w *world) {
			w.journal.rows = clone(w.journal.rows)
			w.journal.rows[len(w.journal.rows)-1].Note = "x"
		},
		"a row forged": func(w *world) {
			w.journal.rows = append(clone(w.journal.rows), brake.Entry{Seq: 1000, MAC: []byte("x")})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			running := history(t, w)
			for n := 3; len(w.held) == 0; n++ {
				take(t, running, erase(n))
			}
			record(t, running, brake.Entry{Event: brake.Requested, Kind: brake.Lock, Order: "last"})
			other := &anchor{there: true, seq: w.anchor.seq, mac: w.anchor.mac} // of a copy on another machine
			far := w.server(t, other)
			if err := far.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			spoil(w)
			_ = running.Check(t.Context()) // finds it or not, as the table says
			if err := w.server(t, w.anchor).Reanchor(console(t.Context()), "restored on Sunday"); err != nil {
				t.Fatal(err)
			}
			last := w.journal.rows[len(w.journal.rows)-1]
			if last.Event != brake.Reset || last.Note != "restored on Sunday" || w.anchor.at() != last.Seq {
				t.Errorf("the last entry is %+v, the anchor at %d", last, w.anchor.at())
			}
			for which, s := range map[string]*brake.Service{"one that runs": running, "one that starts": w.server(t, w.anchor), "one elsewhere": far, "one that starts elsewhere": w.server(t, other)} {
				if err := s.Check(t.Context()); err != nil {
					t.Fatalf("%s: Check = %v", which, err)
				}
				l := ledger(t, s)
				if _, ok := l.Approved("o1"); ok || l.Delivered("o2", "eo2") {
					t.Errorf("%s: an order from before is not void", which)
				}
				if _, ok := l.Held(brake.Erase); !ok {
					t.Errorf("%s: the hold is gone", which)
				}
			}
			if !take(t, running, erase(100)) {
				t.Error("the hold is gone")
			}
			record(t, running, brake.Entry{Event: brake.Requested, Kind: brake.Erase, Order: "new"})
			if err := far.Check(t.Context()); err != nil || w.anchor.at() != last.Seq+1 {
				t.Errorf("Check = %v, the anchor at %d; want it to go on", err, w.anchor.at())
			}
		})
	}
}

// TestRollback: what a unit of work recorded and did not commit is neither counted nor
// anchored, and is seen by that unit alone.
func TestRollback(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := history(t, w)
	boom := errors.New("boom")
	anchored := w.anchor.at()
	err := w.journal.Do(t.Context(), func(ctx context.Context) error {
		for n := 10; n < 12; n++ {
			if h, err := s.Take(ctx, erase(n)); h != nil || err != nil {
				t.Errorf("Take = %v, %v", h, err)
			}
		}
		inside, err := s.Ledger(ctx)
		if err != nil {
			return err
		}
		if outside := ledger(t, s); outside.Delivered("o10", "eo10") || outside.Head() != 5 || outside.DeliveredCount("o10") != 0 || !inside.Delivered("o11", "eo11") { //nolint:contextcheck // the look is from outside the unit of work
			t.Error("a unit of work is seen from outside, or not from within")
		}
		if !inside.Delivered("o10", "eo10") {
			t.Error("a look from outside took from the unit of work what it recorded")
		}
		if h, err := s.Take(ctx, erase(12)); h == nil || err != nil {
			t.Errorf("Take = %v, %v; want it held, the fourth within the hour", h, err)
		}
		return boom
	})
	if !errors.Is(err, boom) || w.anchor.at() != anchored || ledger(t, s).Delivered("o10", "eo10") {
		t.Errorf("Do = %v; something of it stayed", err)
	}
	if _, ok := ledger(t, s).Held(brake.Erase); ok {
		t.Error("a hold that was rolled back holds")
	}
	for n, want := range []bool{false, false, true} {
		if got := take(t, s, erase(20+n)); got != want {
			t.Errorf("%d: held %v, want %v", n, got, want)
		}
	}
	if n := ledger(t, s).DeliveredCount("o10"); n != 0 {
		t.Errorf("%d deliveries that were rolled back count", n)
	}
	if err := w.server(t, w.anchor).Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestSeenBeyondTheAnchor: where the anchor could not be saved, a server that runs still
// knows what it has seen.
func TestSeenBeyondTheAnchor(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := history(t, w)
	w.anchor.fails = errors.New("disk full")
	take(t, s, erase(3))
	w.journal.rows = clone(w.journal.rows)[:5]
	if _, err := s.Take(t.Context(), erase(4)); !errors.Is(err, brake.ErrTampered) || !strings.Contains(err.Error(), "this server has seen entry 6") {
		t.Errorf("Take = %v", err)
	}
	fork := w.server(t, w.anchor) // knows nothing of it, and goes on
	take(t, fork, erase(5))
	if err := s.Check(t.Context()); !errors.Is(err, brake.ErrTampered) || !strings.Contains(err.Error(), "entry 6 is another than this server has seen") {
		t.Errorf("Check = %v", err)
	}
}

// TestAnchorOncePerUnit: a unit of work that records a thousand entries saves the anchor
// once, and it is at the last of them.
func TestAnchorOncePerUnit(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := history(t, w)
	saves := w.anchor.saves
	err := w.journal.Do(t.Context(), func(ctx context.Context) error {
		for range 1000 {
			if err := s.Record(ctx, brake.Entry{Event: brake.Requested, Kind: brake.Erase, Order: "o"}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || w.anchor.saves != saves+1 || w.anchor.at() != 1005 {
		t.Errorf("Do = %v, %d saves, at %d; want one, at 1005", err, w.anchor.saves-saves, w.anchor.at())
	}
	w.anchor.fails = errors.New("disk full")
	record(t, s, brake.Entry{Event: brake.Requested, Kind: brake.Erase, Order: "o"})
	if len(w.unsaved) != 1 || !errors.Is(w.unsaved[0], w.anchor.fails) {
		t.Errorf("told %v, want that the disk is full", w.unsaved)
	}
	if err := s.Check(t.Context()); !errors.Is(err, w.anchor.fails) {
		t.Errorf("Check = %v", err)
	}
	w.anchor.fails = nil
	if err := s.Check(t.Context()); err != nil || w.anchor.at() != 1006 {
		t.Errorf("Check = %v, the anchor at %d; want it saved", err, w.anchor.at())
	}
}
