package lost_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micromdm/nanomdm/mdm"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

var start = time.Date(2026, 11, 3, 3, 0, 0, 0, time.UTC)

// planner turns lost mode on and off, as the loop does for a supervised phone.
type planner struct {
	w    *world
	fail atomic.Bool
	runs atomic.Int64
}

func (p *planner) Replan(ctx context.Context, d ward.DeviceID) error {
	p.runs.Add(1)
	e, err := p.w.db.Fleet().Current(ctx, d)
	if ward.KindOf(err) == ward.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	requestType := "EnableLostMode"
	c, err := p.w.OpenCase(ctx, d)
	if ward.KindOf(err) == ward.NotFound {
		requestType = "DisableLostMode"
	} else if err != nil {
		return err
	}
	if _, err := p.w.db.Commands().Enqueue(ctx, command.New{Enrolment: e.ID, RequestType: requestType, Body: []byte("x"), Urgent: true, Case: c.ID}); err != nil {
		return err
	}
	if p.fail.Load() {
		return errors.New("the plan can't be made")
	}
	return nil
}

// world is the service on a real database with real devices, a real queue and a real brake.
type world struct {
	*lost.Service
	t       *testing.T
	db      *store.DB
	orders  *orders
	audit   *journal
	post    *post
	facts   *facts
	plan    *planner
	revoked atomic.Int64 // how often the list of revoked certificates was to be made
	cases   lost.Store   // nil: the database's
	mu      sync.Mutex
	now     time.Time
}

type count int

func (n count) Count(context.Context, string) (int, error) { return int(n), nil }

// limits returns the default limits with others for what one person may do.
func limits(person, all int) map[brake.Kind][]brake.Limit {
	l := brake.DefaultLimits()
	if all == 0 {
		return l
	}
	for _, k := range []brake.Kind{brake.Lock, brake.Report, brake.Revoke} {
		l[k] = []brake.Limit{{Window: time.Hour, Most: all, PerPerson: person}}
	}
	return l
}

// newWorld makes a world in which one person may do so many deeds an hour, and all
// persons so many; zero for the default.
func newWorld(t *testing.T, db *store.DB, person, all int) *world {
	t.Helper()
	w := &world{t: t, db: db, audit: &journal{}, post: &post{}, facts: &facts{}, now: start}
	w.orders = &orders{queue: db.Commands(), fleet: db.Fleet()}
	w.plan = &planner{w: w}
	w.Service = w.copy(limits(person, all))
	return w
}

// copy returns another copy of the server on the same database.
func (w *world) copy(l map[brake.Kind][]brake.Limit) *lost.Service {
	w.t.Helper()
	now := func() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now }
	b, err := brake.New(brake.Config{
		Journal: w.db.Journal(), Anchor: brake.FileAnchor(filepath.Join(w.t.TempDir(), "brake.head")), Fleet: count(100), Key: make([]byte, 32), Limits: l, Now: now,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	var cases lost.Store = w.db.Cases()
	if w.cases != nil {
		cases = w.cases
	}
	s, err := lost.New(lost.Config{
		Store: cases, Fleet: w.db.Fleet(), Brake: b, Certificates: &certificates{}, Planner: w.plan, Orders: w.orders, Queue: patient{w.db.Commands()}, Compiler: compiler{},
		Audit: w.audit, Now: now, Notify: w.post, Facts: w.facts, People: people{"nurse": "Nurse@hospital.example", "ada": "ada@hospital.example"},
		AfterRevoke: func() { w.revoked.Add(1) },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) device(id ward.DeviceID) ward.Enrolment {
	w.t.Helper()
	return w.add(ward.Device{ID: id, Platform: ward.IOS, Ownership: ward.Corporate, State: ward.Managed, Created: start})
}

// add adds a device and enrols it.
func (w *world) add(d ward.Device) ward.Enrolment {
	w.t.Helper()
	if err := w.db.Fleet().InsertDevice(w.t.Context(), d); err != nil {
		w.t.Fatal(err)
	}
	return w.enrol(d.ID)
}

// enrol begins a new epoch of a device, by a new identity.
func (w *world) enrol(id ward.DeviceID) ward.Enrolment {
	w.t.Helper()
	if err := w.db.Fleet().Bind(w.t.Context(), rand.Text(), "udid-"+string(id)); err != nil {
		w.t.Fatal(err)
	}
	return w.enrolAgain(id)
}

// enrolAgain begins a new epoch of a device, by the identity that it has.
func (w *world) enrolAgain(id ward.DeviceID) ward.Enrolment {
	w.t.Helper()
	ctx := fleet.WithAdmission(w.t.Context(), fleet.Admission{Device: id, Rights: ward.RightsAll})
	r := mdm.NewRequestWithContext(ctx, nil)
	r.EnrollID = &mdm.EnrollID{Type: mdm.Device, ID: "udid-" + string(id)}
	from := mdm.Enrollment{UDID: r.EnrollID.ID}
	if err := w.db.MDM().StoreAuthenticate(r, &mdm.Authenticate{Enrollment: from, Topic: "t", Raw: []byte("raw")}); err != nil {
		w.t.Fatal(err)
	}
	if err := w.db.MDM().StoreTokenUpdate(r, &mdm.TokenUpdate{Enrollment: from, Push: mdm.Push{Topic: "t", PushMagic: "m", Token: []byte{1}}, Raw: []byte("raw")}); err != nil {
		w.t.Fatal(err)
	}
	e, err := w.db.Fleet().Current(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

func (w *world) as(p ward.PersonID) context.Context {
	return ward.WithActor(w.t.Context(), ward.Actor{Person: p, Name: "Name of " + string(p), Via: ward.ViaSession})
}

// report has ada report a device lost.
func (w *world) report(id ward.DeviceID) lost.Case {
	w.t.Helper()
	cs, err := w.Report(w.as("ada"), lost.Report{Devices: []ward.DeviceID{id}})
	if err != nil || len(cs) != 1 {
		w.t.Fatalf("Report(%s) = %d cases, %v", id, len(cs), err)
	}
	return cs[0]
}

func (w *world) state(id ward.DeviceID) ward.DeviceState {
	w.t.Helper()
	d, err := w.db.Fleet().Device(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return d.State
}

func (w *world) setState(id ward.DeviceID, s ward.DeviceState) {
	w.t.Helper()
	if err := w.db.Fleet().SetDeviceState(w.t.Context(), id, s); err != nil {
		w.t.Fatal(err)
	}
}

// open returns the request types that wait for an enrolment.
func (w *world) open(e ward.Enrolment) []string {
	w.t.Helper()
	rs, err := w.db.Commands().Open(w.t.Context(), e.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, r := range rs {
		out = append(out, r.RequestType)
	}
	return out
}

// accept has the device fetch its next command and accept it.
func (w *world) accept(e ward.Enrolment) string {
	w.t.Helper()
	r, _, _, err := w.db.Commands().Next(w.t.Context(), e.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, known, err := w.db.Commands().Report(w.t.Context(), e.ID, store.Answer{UUID: r.UUID, State: command.Accepted}); err != nil || !known {
		w.t.Fatalf("accept %s: known %v, %v", r.UUID, known, err)
	}
	return r.RequestType
}

// erase puts an erase that an order brought into the queue of the case's device.
func (w *world) erase(c lost.Case) {
	w.t.Helper()
	e, err := w.db.Fleet().Current(w.t.Context(), c.Device)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.db.Commands().Enqueue(w.t.Context(), command.New{Enrolment: e.ID, RequestType: "EraseDevice", Body: []byte("erase"), Urgent: true, First: true, Case: c.ID, Order: "o1"}); err != nil {
		w.t.Fatal(err)
	}
}

// decide has ada decide that a loss is not reportable.
func (w *world) decide(c lost.Case) {
	w.t.Helper()
	if _, err := w.Decide(w.as("ada"), c.ID, lost.Decision{Reasoning: "It was encrypted and locked."}); err != nil {
		w.t.Fatal(err)
	}
}

// wantKind checks the kind of an error; the empty kind is none.
func wantKind(t *testing.T, what string, err error, want ward.Kind) {
	t.Helper()
	if got := ward.KindOf(err); got != want {
		t.Errorf("%s: error %v of kind %q, want %q", what, err, got, want)
	}
}

// sorted returns a sorted copy.
func sorted[T any](all []T, cmp func(a, b T) int) []T {
	return slices.SortedStableFunc(slices.Values(all), cmp)
}
