package brake_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/unit"
)

// journal is a Journal in memory: one unit of work after another, each on a copy.
type journal struct {
	writing sync.Mutex
	mu      sync.Mutex
	rows    []brake.Entry
	gone    bool // the gate
}

type unitRows struct{ rows []brake.Entry }

type unitKey struct{}

func (j *journal) Do(ctx context.Context, fn func(ctx context.Context) error) error {
	if ctx.Value(unitKey{}) != nil {
		return fn(ctx)
	}
	j.writing.Lock()
	u := &unitRows{slices.Clone(j.committed())}
	inner, hooks := unit.With(context.WithValue(ctx, unitKey{}, u))
	err := fn(inner)
	if err == nil {
		j.set(u.rows)
	}
	j.writing.Unlock()
	if err == nil {
		hooks.Run()
	}
	return err
}

func (j *journal) committed() []brake.Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.rows
}

func (j *journal) set(rows []brake.Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.rows = rows
}

func (j *journal) CloseGate(context.Context) error {
	if j.gone {
		return fmt.Errorf("the gate is gone: %w", brake.ErrTampered)
	}
	return nil
}

func (j *journal) Append(ctx context.Context, e brake.Entry) error {
	u, ok := ctx.Value(unitKey{}).(*unitRows)
	if !ok {
		return errors.New("append outside a unit of work")
	}
	if slices.ContainsFunc(u.rows, func(x brake.Entry) bool { return x.Seq == e.Seq }) {
		return fmt.Errorf("entry %d is there already", e.Seq)
	}
	u.rows = append(u.rows, e)
	return nil
}

func (j *journal) Since(ctx context.Context, seq int64, limit int) (out []brake.Entry, _ error) {
	rows := j.committed()
	if u, ok := ctx.Value(unitKey{}).(*unitRows); ok {
		rows = u.rows
	}
	for _, r := range slices.SortedFunc(slices.Values(rows), func(a, b brake.Entry) int { return int(a.Seq - b.Seq) }) {
		if r.Seq > seq && len(out) < limit {
			r.MAC = bytes.Clone(r.MAC)
			out = append(out, r)
		}
	}
	return out, nil
}

// anchor is an Anchor in memory.
type anchor struct {
	mu    sync.Mutex
	seq   int64
	mac   []byte
	there bool
	saves int
	fails error
}

func (a *anchor) Load() (int64, []byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.there {
		return 0, nil, fs.ErrNotExist
	}
	return a.seq, a.mac, nil
}

func (a *anchor) Save(seq int64, mac []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fails != nil {
		return a.fails
	}
	if a.there && seq <= a.seq {
		return nil
	}
	a.seq, a.mac, a.there = seq, bytes.Clone(mac), true
	a.saves++
	return nil
}

func (a *anchor) at() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seq
}

// fleet counts 100 devices at each site, and as many in all as it says.
type fleet int

func (f fleet) Count(_ context.Context, site string) (int, error) {
	if site != "" {
		return 100, nil
	}
	return int(f), nil
}

// world is a brake and what it stands on.
type world struct {
	journal  *journal
	anchor   *anchor
	now      time.Time
	limits   map[brake.Kind][]brake.Limit
	devices  fleet
	held     []brake.Hold
	tampered []error
	unsaved  []error
}

func newWorld() *world {
	return &world{journal: &journal{}, anchor: &anchor{}, now: time.Date(2026, 11, 3, 3, 0, 0, 0, time.UTC), devices: 100}
}

// TB is what a test and a property test have in common.
type TB interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// server starts a copy of the server over the journal, with the anchor given.
func (w *world) server(t TB, a *anchor) *brake.Service {
	t.Helper()
	s, err := brake.New(brake.Config{
		Journal: w.journal, Anchor: a, Fleet: w.devices, Key: bytes.Repeat([]byte{7}, 32), Limits: w.limits, Now: func() time.Time { return w.now },
		OnHeld: func(ctx context.Context, h brake.Hold) error {
			if ctx.Value(unitKey{}) == nil {
				return errors.New("told of a hold outside its unit of work")
			}
			w.held = append(w.held, h)
			return nil
		},
		OnTampered: func(ctx context.Context, err error) {
			if ctx.Value(unitKey{}) != nil {
				err = errors.New("told of tampering within a unit of work")
			}
			w.tampered = append(w.tampered, err)
		},
		OnUnsaved: func(err error) { w.unsaved = append(w.unsaved, err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// erase returns the delivery of order n, to a device that it alone names.
func erase(n int) brake.Entry {
	o := fmt.Sprintf("o%d", n)
	return brake.Entry{Event: brake.Delivered, Kind: brake.Erase, Order: ward.OrderID(o), Enrolment: ward.EnrolmentID("e" + o), Device: ward.DeviceID("d" + o)}
}

// take takes e and reports whether it was held.
func take(t TB, s *brake.Service, e brake.Entry) bool {
	t.Helper()
	h, err := s.Take(context.Background(), e)
	if err != nil {
		t.Fatalf("Take(%s %s) = %v", e.Kind, e.Order, err)
	}
	return h != nil
}

func record(t TB, s *brake.Service, entries ...brake.Entry) {
	t.Helper()
	for _, e := range entries {
		if err := s.Record(context.Background(), e); err != nil {
			t.Fatalf("Record(%s) = %v", e.Event, err)
		}
	}
}

func ledger(t TB, s *brake.Service) *brake.Ledger {
	t.Helper()
	l, err := s.Ledger(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var _ TB = (*testing.T)(nil)
