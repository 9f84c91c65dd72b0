package order_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/micromdm/nanomdm/mdm"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/approver/approvertest"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

var start = time.Date(2026, 11, 3, 3, 0, 0, 0, time.UTC)

// clock is the time of a world and its database.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) pass(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

// compiler makes bodies that show what they were made of.
type compiler struct{}

func made(requestType string, rest ...any) (string, string, []byte, error) {
	id := uuid.NewString()
	return id, requestType, fmt.Appendf(nil, "<string>%s</string> %s %v", requestType, id, rest), nil
}

func (compiler) Erase(_ context.Context, _ ward.Device, _ ward.Enrolment, o order.Options) (string, string, []byte, error) {
	return made("EraseDevice", o.PreserveDataPlan, o.DisallowProximitySetup)
}

func (compiler) ClearPasscode(context.Context, ward.Device, ward.Enrolment) (string, string, []byte, error) {
	return made("ClearPasscode")
}

func (compiler) RemoveManagement(context.Context, ward.Device, ward.Enrolment) (string, string, []byte, error) {
	return made("RemoveProfile", "management")
}

func (compiler) LockPIN(_ context.Context, _ ward.Device, _ ward.Enrolment, o order.Options) (string, string, []byte, error) {
	return made("DeviceLock", "PIN", o.Message)
}

// typeOf reads what the compiler made.
func typeOf(body []byte) (string, bool, error) {
	rest, ok := strings.CutPrefix(string(body), "<string>")
	is, rest, found := strings.Cut(rest, "</string>")
	if !ok || !found {
		return "", false, errors.New("no property list")
	}
	switch is {
	case "EraseDevice", "ClearPasscode":
		return is, true, nil
	case "RemoveProfile":
		return is, strings.Contains(rest, "management"), nil
	case "DeviceLock":
		return is, strings.Contains(rest, "PIN"), nil
	}
	return is, false, nil
}

// auditLog is an audit log in memory.
type auditLog struct {
	mu      sync.Mutex
	actions []string
	fail    string // the action that can't be recorded
}

func (j *auditLog) Record(_ context.Context, action, _ string, _ map[string]string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if action == j.fail {
		return errors.New("the audit log is full")
	}
	j.actions = append(j.actions, action)
	return nil
}

func (j *auditLog) count(action string) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, a := range j.actions {
		if a == action {
			n++
		}
	}
	return n
}

// pager keeps what people on call were told.
type pager struct {
	mu   sync.Mutex
	told []notify.Message
}

func (p *pager) Tell(_ context.Context, m notify.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = append(p.told, m)
	return nil
}

func (p *pager) about(t notify.Topic) (out []notify.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.told {
		if m.Topic == t {
			out = append(out, m)
		}
	}
	return out
}

// cases are the lost cases, by their devices.
type cases struct {
	mu   sync.Mutex
	open map[ward.DeviceID]ward.CaseID
	all  map[ward.CaseID]ward.DeviceID
}

func (c *cases) CaseDevice(_ context.Context, id ward.CaseID) (ward.DeviceID, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d, ok := c.all[id]; ok {
		return d, nil
	}
	return "", ward.Errorf(ward.NotFound, "There is no case %s.", id)
}

func (c *cases) openCase(_ context.Context, d ward.DeviceID) (ward.CaseID, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open[d], false, nil
}

func (c *cases) report(id ward.CaseID, d ward.DeviceID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[d], c.all[id] = id, d
}

// reported opens a case as a report does, which stands in the journal.
func (w *world) reported(id ward.CaseID, d ward.DeviceID) {
	w.t.Helper()
	w.cases.report(id, d)
	_, err := w.brake.Take(w.t.Context(), brake.Entry{Event: brake.Used, Kind: brake.Report, Person: "reporter of " + string(d), Device: d, Hash: string(id)})
	must(w.t, err)
}

// world is a service on a real database, with a real journal, real signatures, real
// devices and a real queue.
type world struct {
	*order.Service
	*clock
	t         testing.TB
	url       string
	shut      func() // closes the database; once
	db        *store.DB
	audit     *auditLog
	pager     *pager
	cases     *cases
	approvers *approver.Service
	brake     *brake.Service
	people    map[ward.PersonID]*approvertest.Person
	subjects  map[ward.PersonID]string // of people who are no approvers
	glass     [2]string
}

// each runs f on each engine, in a world of its own.
func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); f(t, newWorld(t, filepath.Join(t.TempDir(), "ward.db"))) })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); f(t, newWorld(t, storetest.PostgresURL(t))) })
}

func sqlite(t *testing.T) *world {
	t.Helper()
	return newWorld(t, filepath.Join(t.TempDir(), "ward.db"))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t testing.TB, url string) *world {
	t.Helper()
	w := emptyWorld(t, url, &approvertest.Root{})
	w.pass(-48 * time.Hour) // whoever may release has been an approver for a while
	people, err := approvertest.Seed(t.Context(), w.approvers, approvertest.Who{Person: "ben"}, approvertest.Who{Person: "cyd"},
		approvertest.Who{Person: "ada", Roles: []ward.Role{ward.RoleSupport, ward.RoleApprover}}, approvertest.Who{Person: "dan"})
	must(t, err)
	w.pass(48 * time.Hour)
	for _, p := range people {
		w.people[p.Person] = p
	}
	w.glass, err = w.approvers.MakeGlass(ward.WithActor(t.Context(), ward.Actor{Via: ward.ViaConsole}))
	must(t, err)
	w.Service, w.brake = w.copy(filepath.Join(t.TempDir(), "brake.head"), w.db.Orders())
	return w
}

// emptyWorld opens a database and knows nobody but those whom the root trusts.
func emptyWorld(t testing.TB, url string, root approver.Root) *world {
	t.Helper()
	w := &world{
		t: t, url: url, clock: &clock{now: start}, audit: &auditLog{}, pager: &pager{}, people: map[ward.PersonID]*approvertest.Person{}, subjects: map[ward.PersonID]string{},
		cases: &cases{open: map[ward.DeviceID]ward.CaseID{}, all: map[ward.CaseID]ward.DeviceID{}},
	}
	var err error
	w.db, err = store.Open(t.Context(), store.Options{URL: url, Master: storetest.Master(), Now: w.Now})
	must(t, err)
	w.shut = sync.OnceFunc(func() { must(t, w.db.Close()) })
	t.Cleanup(w.shut)
	w.approvers, err = approver.New(approver.Config{
		Store: w.db.Approvers(), Root: root, Audit: &auditLog{}, Now: w.Now, RPID: "ward.example.org", Origin: "https://ward.example.org",
	})
	must(t, err)
	return w
}

// copy returns another copy of the service on the same database.
func (w *world) copy(head string, orders order.Store) (*order.Service, *brake.Service) {
	w.t.Helper()
	b, err := brake.New(brake.Config{Journal: w.db.Journal(), Anchor: brake.FileAnchor(head), Fleet: w.db.Journal(), Key: bytes.Repeat([]byte{7}, 32), Now: w.Now})
	must(w.t, err)
	s, err := order.New(w.config(orders, b))
	must(w.t, err)
	w.db.SetGuard(s.Deliverable)
	return s, b
}

func (w *world) config(orders order.Store, j order.Journal) order.Config {
	return order.Config{
		Store: orders, Fleet: w.db.Fleet(), Cases: w.cases, Approvers: w.approvers, Journal: j, Queue: w.db.Commands(), Compiler: compiler{}, Notify: w.pager, Audit: w.audit,
		Now: w.Now, TypeOf: typeOf, OpenCase: w.cases.openCase,
		Subject: func(_ context.Context, p ward.PersonID) (string, error) {
			if a, ok := w.people[p]; ok {
				return a.Subject, nil
			}
			return w.subjects[p], nil
		},
		SeenWithin: time.Nanosecond, // a test that is about devices in use sets it
	}
}

// device adds an enrolled iPhone.
func (w *world) device(id ward.DeviceID, o ward.Ownership) ward.Enrolment {
	w.t.Helper()
	return w.platform(id, o, ward.IOS)
}

func (w *world) platform(id ward.DeviceID, o ward.Ownership, p ward.Platform) ward.Enrolment {
	w.t.Helper()
	must(w.t, w.db.Fleet().InsertDevice(w.t.Context(), ward.Device{ID: id, Name: "Phone " + string(id), Platform: p, Ownership: o, State: ward.Managed, Created: start}))
	return w.enrol(id, ward.RightsFor(o))
}

// enrol begins a new epoch of a device, which was seen a moment ago.
func (w *world) enrol(id ward.DeviceID, rights ward.AccessRights) ward.Enrolment {
	w.t.Helper()
	ctx := fleet.WithAdmission(w.t.Context(), fleet.Admission{Device: id, Rights: rights})
	r := mdm.NewRequestWithContext(ctx, nil)
	r.EnrollID = &mdm.EnrollID{Type: mdm.Device, ID: "udid-" + string(id)}
	topic := mdm.Enrollment{UDID: r.EnrollID.ID}
	must(w.t, w.db.MDM().StoreAuthenticate(r, &mdm.Authenticate{Enrollment: topic, Topic: "t", Raw: []byte("raw")}))
	must(w.t, w.db.MDM().StoreTokenUpdate(r, &mdm.TokenUpdate{Enrollment: topic, Push: mdm.Push{Topic: "t", PushMagic: "m", Token: []byte{1}}, Raw: []byte("raw")}))
	w.pass(time.Microsecond)
	e, err := w.db.Fleet().Current(w.t.Context(), id)
	must(w.t, err)
	return e
}

func (w *world) own(id ward.DeviceID, o ward.Ownership) {
	w.t.Helper()
	d, err := w.db.Fleet().Device(w.t.Context(), id)
	must(w.t, err)
	d.Ownership = o
	must(w.t, w.db.Fleet().UpdateDevice(w.t.Context(), d))
}

// token returns a context in which a person acts by a token.
func (w *world) token(p ward.PersonID, roles ...ward.Role) context.Context {
	return ward.WithActor(w.t.Context(), ward.Actor{Person: p, Name: "Name of " + string(p), Via: ward.ViaToken, Token: "token of " + string(p), Roles: roles})
}

// as returns a context in which a person acts by a session.
func (w *world) as(p ward.PersonID, roles ...ward.Role) context.Context {
	return ward.WithActor(w.t.Context(), ward.Actor{Person: p, Name: "Name of " + string(p), Via: ward.ViaSession, Roles: roles})
}

func erase(ids ...ward.DeviceID) order.Request {
	return order.Request{Kind: order.Erase, Devices: ids, Reason: "stolen", Options: order.Options{PreserveDataPlan: true}}
}

// request has eve, who is no approver, ask for an erase, by a token.
func (w *world) request(ids ...ward.DeviceID) order.Order {
	w.t.Helper()
	return w.ask(erase(ids...))
}

func (w *world) ask(r order.Request) order.Order {
	w.t.Helper()
	o, err := w.Request(w.token("eve"), r)
	must(w.t, err)
	return o
}

// sign has a person look at the order, touch their passkey and send the answer.
func (w *world) sign(p ward.PersonID, o order.Order) (order.Order, error) {
	return w.signBy(w.Service, p, o)
}

func (w *world) signBy(s *order.Service, p ward.PersonID, o order.Order) (order.Order, error) {
	ctx := w.as(p, ward.RoleApprover)
	options, hash, err := s.Begin(ctx, o.ID)
	if err != nil {
		return order.Order{}, err
	}
	answer, err := w.people[p].Passkey.Sign(options)
	if err != nil {
		return order.Order{}, err
	}
	return s.Approve(ctx, o.ID, hash, answer)
}

// approve has two people sign the order.
func (w *world) approve(o order.Order) order.Order {
	w.t.Helper()
	_, err := w.sign("ben", o)
	must(w.t, err)
	o, err = w.sign("cyd", o)
	must(w.t, err)
	return o
}

// connect has a device come, take all it is given and accept it; it returns the request
// types, and what was withheld with the reasons.
func (w *world) connect(e ward.Enrolment) (got []string, forged []command.Record) {
	w.t.Helper()
	must(w.t, w.db.Commands().Resume(w.t.Context(), e.ID))
	for {
		r, bad := w.take(e)
		forged = append(forged, bad...)
		if r.UUID == "" {
			return got, forged
		}
		got = append(got, r.RequestType)
		w.answer(e, r, command.Accepted)
	}
}

// take has a device fetch one command; its record is zero if there is none.
func (w *world) take(e ward.Enrolment) (command.Record, []command.Record) {
	w.t.Helper()
	r, body, forged, err := w.db.Commands().Next(w.t.Context(), e.ID)
	must(w.t, err)
	if body == nil {
		return command.Record{}, forged
	}
	return r, forged
}

// answer has a device answer a command, as one request does.
func (w *world) answer(e ward.Enrolment, r command.Record, s command.State) {
	w.t.Helper()
	must(w.t, w.db.Do(w.t.Context(), func(ctx context.Context) error {
		if _, _, err := w.db.Commands().Report(ctx, e.ID, store.Answer{UUID: r.UUID, State: s}); err != nil || r.Order == "" {
			return err
		}
		return w.Answered(ctx, r.Order, e.ID, s, w.Now(), "")
	}))
}

// open returns what waits for an enrolment, as "type state".
func (w *world) open(e ward.Enrolment) []string {
	w.t.Helper()
	rs, err := w.db.Commands().Open(w.t.Context(), e.ID)
	must(w.t, err)
	var out []string
	for _, r := range rs {
		out = append(out, r.RequestType+" "+string(r.State))
	}
	return out
}

func (w *world) look(id ward.OrderID) order.Order {
	w.t.Helper()
	o, err := w.Order(w.t.Context(), id)
	must(w.t, err)
	return o
}

func (w *world) outcome(id ward.OrderID) order.Target {
	w.t.Helper()
	return w.look(id).Targets[0]
}

// wantKind checks the kind of an error; the empty kind is none.
func wantKind(t testing.TB, what string, err error, want ward.Kind) {
	t.Helper()
	if got := ward.KindOf(err); got != want {
		t.Errorf("%s: error %v of kind %q, want %q", what, err, got, want)
	}
}

// sql changes the database behind everybody's back, as a thief would.
func (w *world) sql(q string, args ...any) {
	w.t.Helper()
	driver, source := "sqlite", "file:"+w.url+"?_pragma=busy_timeout(10000)"
	if store.IsServer(w.url) {
		driver, source = "pgx", w.url
	}
	raw, err := sql.Open(driver, source)
	must(w.t, err)
	defer raw.Close()
	_, err = raw.ExecContext(w.t.Context(), q, args...)
	must(w.t, err)
}
