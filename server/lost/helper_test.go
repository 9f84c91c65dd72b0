package lost_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micromdm/nanomdm/mdm"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

var start = time.Date(2026, 11, 3, 3, 0, 0, 0, time.UTC)

type compiler struct{}

func (compiler) Lock(d ward.Device, message, phone string) (string, []byte, error) {
	if d.Platform != ward.IOS {
		return "", nil, ward.Errorf(ward.Invalid, "Only an iPhone can be locked.")
	}
	return "DeviceLock", fmt.Appendf(nil, "lock %s, %s", message, phone), nil
}

func (compiler) Erase(order.Options) (string, []byte, error) {
	return "EraseDevice", []byte("erase"), nil
}

func (compiler) ClearPasscode(context.Context, ward.EnrolmentID) (string, []byte, error) {
	return "ClearPasscode", []byte("clear"), nil
}

// journal is an audit log in memory.
type journal struct {
	mu      sync.Mutex
	actions []string
}

func (j *journal) Record(_ context.Context, action, _ string, _ map[string]string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.actions = append(j.actions, action)
	return nil
}

func (j *journal) count(action string) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, a := range j.actions {
		if a == action {
			n++
		}
	}
	return n
}

// certificates revokes one app certificate of each device, once.
type certificates struct{ revoked sync.Map }

func (c *certificates) RevokeApps(_ context.Context, d ward.DeviceID, _ string) ([]string, error) {
	if _, again := c.revoked.LoadOrStore(d, true); again {
		return nil, nil
	}
	return []string{"5e11a1"}, nil
}

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

// world is both services on a real database with real devices and a real queue.
type world struct {
	*lost.Service
	orders  *order.Service
	t       *testing.T
	db      *store.DB
	audit   *journal
	plan    *planner
	revoked atomic.Int64 // how often the list of revoked certificates was to be made
	mu      sync.Mutex
	now     time.Time
}

func newWorld(t *testing.T, db *store.DB, l lost.Limits) *world {
	t.Helper()
	w := &world{t: t, db: db, audit: &journal{}, now: start}
	w.plan = &planner{w: w}
	now := func() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now }
	var err error
	w.orders, err = order.New(order.Config{Store: db.Orders(), Fleet: db.Fleet(), Cases: db.Cases(), Queue: db.Commands(), Compiler: compiler{}, Audit: w.audit, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	w.Service, err = lost.New(lost.Config{
		Store: db.Cases(), Fleet: db.Fleet(), Certificates: &certificates{}, Planner: w.plan, Orders: w.orders, Queue: db.Commands(), Compiler: compiler{}, Audit: w.audit,
		Now: now, AfterRevoke: func() { w.revoked.Add(1) }, Limits: l, Phone: "0113 496 0000",
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) device(id ward.DeviceID) ward.Enrolment {
	w.t.Helper()
	err := w.db.Fleet().InsertDevice(w.t.Context(), ward.Device{ID: id, Platform: ward.IOS, Ownership: ward.Corporate, State: ward.Managed, Created: start})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.enrol(id)
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

// erase has two persons order an erase for a case.
func (w *world) erase(c lost.Case) order.Order {
	w.t.Helper()
	o, err := w.orders.Request(w.as("ada"), order.Request{Kind: order.Erase, Devices: []ward.DeviceID{c.Device}, Reason: "not found", Case: c.ID})
	if err != nil {
		w.t.Fatal(err)
	}
	if o, err = w.orders.Approve(w.as("ben"), o.ID, o.Hash); err != nil {
		w.t.Fatal(err)
	}
	return o
}

// wantKind checks the kind of an error; the empty kind is none.
func wantKind(t *testing.T, what string, err error, want ward.Kind) {
	t.Helper()
	if got := ward.KindOf(err); got != want {
		t.Errorf("%s: error %v of kind %q, want %q", what, err, got, want)
	}
}
