package order_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/micromdm/nanomdm/mdm"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

var start = time.Date(2026, 11, 3, 3, 0, 0, 0, time.UTC)

// compiler makes bodies that show what they were made of.
type compiler struct{}

func (compiler) Erase(o order.Options) (string, []byte, error) {
	return "EraseDevice", fmt.Appendf(nil, "erase %+v", o), nil
}

func (compiler) ClearPasscode(_ context.Context, e ward.EnrolmentID) (string, []byte, error) {
	return "ClearPasscode", []byte("clear " + e), nil
}

// journal is an audit log in memory.
type journal struct {
	mu      sync.Mutex
	actions []string
	fail    string // the action that can't be recorded
}

func (j *journal) Record(_ context.Context, action, _ string, _ map[string]string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if action == j.fail {
		return errors.New("the audit log is full")
	}
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

// world is a service on a real database, with real devices and a real queue.
type world struct {
	*order.Service
	t     *testing.T
	db    *store.DB
	audit *journal
	mu    sync.Mutex
	now   time.Time
}

func newWorld(t *testing.T, db *store.DB) *world {
	t.Helper()
	w := &world{t: t, db: db, audit: &journal{}, now: start}
	var err error
	w.Service, err = order.New(order.Config{
		Store: db.Orders(), Fleet: db.Fleet(), Cases: db.Cases(), Queue: db.Commands(), Compiler: compiler{}, Audit: w.audit,
		Now: func() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now },
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

// device adds an enrolled device.
func (w *world) device(id ward.DeviceID, o ward.Ownership) ward.Enrolment {
	w.t.Helper()
	err := w.db.Fleet().InsertDevice(w.t.Context(), ward.Device{ID: id, Name: "Phone " + string(id), Platform: ward.IOS, Ownership: o, State: ward.Managed, Created: start})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.enrol(id, ward.RightsFor(o))
}

// enrol begins a new epoch of a device.
func (w *world) enrol(id ward.DeviceID, rights ward.AccessRights) ward.Enrolment {
	w.t.Helper()
	ctx := fleet.WithAdmission(w.t.Context(), fleet.Admission{Device: id, Rights: rights})
	r := mdm.NewRequestWithContext(ctx, nil)
	r.EnrollID = &mdm.EnrollID{Type: mdm.Device, ID: "udid-" + string(id)}
	topic := mdm.Enrollment{UDID: r.EnrollID.ID}
	if err := w.db.MDM().StoreAuthenticate(r, &mdm.Authenticate{Enrollment: topic, Topic: "t", Raw: []byte("raw")}); err != nil {
		w.t.Fatal(err)
	}
	if err := w.db.MDM().StoreTokenUpdate(r, &mdm.TokenUpdate{Enrollment: topic, Push: mdm.Push{Topic: "t", PushMagic: "m", Token: []byte{1}}, Raw: []byte("raw")}); err != nil {
		w.t.Fatal(err)
	}
	e, err := w.db.Fleet().Current(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

// as returns a context in which a person acts.
func (w *world) as(p ward.PersonID, roles ...ward.Role) context.Context {
	return ward.WithActor(w.t.Context(), ward.Actor{Person: p, Name: "Name of " + string(p), Via: ward.ViaToken, Token: "token of " + string(p), Roles: roles})
}

func erase(ids ...ward.DeviceID) order.Request {
	return order.Request{Kind: order.Erase, Devices: ids, Reason: "stolen", Options: order.Options{PreserveDataPlan: true}}
}

// request has ada ask for an erase.
func (w *world) request(ids ...ward.DeviceID) order.Order {
	w.t.Helper()
	o, err := w.Request(w.as("ada"), erase(ids...))
	if err != nil {
		w.t.Fatal(err)
	}
	return o
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

func (w *world) outcome(id ward.OrderID) order.Target {
	w.t.Helper()
	o, err := w.Order(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return o.Targets[0]
}

// wantKind checks the kind of an error; the empty kind is none.
func wantKind(t *testing.T, what string, err error, want ward.Kind) {
	t.Helper()
	if got := ward.KindOf(err); got != want {
		t.Errorf("%s: error %v of kind %q, want %q", what, err, got, want)
	}
}
