package order_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver/approvertest"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given { // few in the suite, more by the flag: -rapid.checks=2000
		if err := errors.Join(flag.Set("rapid.checks", "30"), flag.Set("rapid.steps", "80")); err != nil {
			panic(err)
		}
	}
	os.Exit(storetest.Main(m))
}

var errCrash = errors.New("the server crashed here")

// fuse crashes the server at one of its next steps.
type fuse struct{ left int } // 0 for never

func (f *fuse) burn() error {
	if f.left == 0 {
		return nil
	}
	f.left--
	if f.left == 0 {
		return errCrash
	}
	return nil
}

// Each of the following does what it wraps, unless the server crashes before or after.
type (
	crashStore struct {
		order.Store
		*fuse
	}
	crashQueue struct {
		order.Queue
		*fuse
	}
	crashJournal struct {
		order.Journal
		*fuse
	}
	crashAudit  struct{ *fuse }
	crashNotify struct{ *fuse }
)

func (c crashStore) Do(ctx context.Context, fn func(context.Context) error) error {
	return c.Store.Do(ctx, func(ctx context.Context) error {
		if err := fn(ctx); err != nil {
			return err
		}
		return c.burn()
	})
}

func (c crashStore) Move(ctx context.Context, id ward.OrderID, from, to order.State, due time.Time) (bool, error) {
	ok, err := c.Store.Move(ctx, id, from, to, due)
	return ok, errors.Join(err, c.burn())
}

func (c crashStore) SetTarget(ctx context.Context, id ward.OrderID, t order.Target) (bool, error) {
	ok, err := c.Store.SetTarget(ctx, id, t)
	return ok, errors.Join(err, c.burn())
}

func (c crashStore) AddApproval(ctx context.Context, a order.Approval) error {
	return errors.Join(c.Store.AddApproval(ctx, a), c.burn())
}

func (c crashStore) Close(ctx context.Context, id ward.OrderID, from, to order.State, x order.Closing) (bool, error) {
	ok, err := c.Store.Close(ctx, id, from, to, x)
	return ok, errors.Join(err, c.burn())
}

func (c crashQueue) Enqueue(ctx context.Context, n command.New) (string, error) {
	id, err := c.Queue.Enqueue(ctx, n)
	return id, errors.Join(err, c.burn())
}

func (c crashQueue) TakeBack(ctx context.Context, id ward.OrderID, reason string) (int, error) {
	n, err := c.Queue.TakeBack(ctx, id, reason)
	return n, errors.Join(err, c.burn())
}

func (c crashJournal) RecordAll(ctx context.Context, es []brake.Entry) error {
	return errors.Join(c.Journal.RecordAll(ctx, es), c.burn())
}

func (c crashJournal) TakeWithin(ctx context.Context, e brake.Entry, perHour int) (*brake.Hold, error) {
	h, err := c.Journal.TakeWithin(ctx, e, perHour)
	return h, errors.Join(err, c.burn())
}

func (c crashAudit) Record(context.Context, string, string, map[string]string) error { return c.burn() }

func (c crashNotify) Tell(context.Context, notify.Message) error { return c.burn() }

// memoryFolder is a folder without a disk beneath it, where there is one.
func memoryFolder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "ward") //nolint:usetesting // its folders are on a disk
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return dir
}

// template is a world with approvers and devices, to begin others from.
type template struct {
	*world
	root    *approvertest.Root
	file    []byte
	devices []ward.DeviceID
	tally   map[string]int // what happened, over all machines
}

func newTemplate(t testing.TB) *template {
	t.Helper()
	root := &approvertest.Root{}
	w := emptyWorld(t, filepath.Join(memoryFolder(t), "ward.db"), root)
	w.pass(-48 * time.Hour)
	people, err := approvertest.Seed(t.Context(), w.approvers, approvertest.Who{Person: "ben"}, approvertest.Who{Person: "cyd"}, approvertest.Who{Person: "dan"}, approvertest.Who{Person: "fay"})
	must(t, err)
	w.pass(48 * time.Hour)
	for _, p := range people {
		w.people[p.Person] = p
	}
	tm := &template{world: w, root: root, tally: map[string]int{}}
	for i := range 6 {
		d := ward.DeviceID(fmt.Sprint("d", i))
		o := ward.Corporate
		if i == 5 {
			o = ward.Personal
		}
		w.device(d, o)
		tm.devices = append(tm.devices, d)
	}
	whole := filepath.Join(memoryFolder(t), "whole.db")
	w.sql(`VACUUM INTO '` + whole + `'`)
	tm.file, err = os.ReadFile(whole)
	must(t, err)
	return tm
}

// machine is a world in which anything may happen next.
type machine struct {
	*world
	fuse    *fuse
	copies  [2]*order.Service
	devices []ward.DeviceID
	now     map[ward.DeviceID]ward.Enrolment // the current epochs
	orders  []ward.OrderID
	oracle  *oracle
	tally   map[string]int
}

func (tm *template) machine(t testing.TB) *machine {
	t.Helper()
	dir := memoryFolder(t)
	url := filepath.Join(dir, "ward.db")
	must(t, os.WriteFile(url, tm.file, 0o600))
	w := emptyWorld(t, url, tm.root)
	w.people = tm.people
	w.clock.now = tm.Now().Add(2 * time.Hour)
	m := &machine{world: w, fuse: &fuse{}, devices: tm.devices, tally: tm.tally, now: map[ward.DeviceID]ward.Enrolment{}}
	m.oracle = newOracle(m)
	for i := range m.copies {
		b, err := brake.New(brake.Config{Journal: w.db.Journal(), Anchor: brake.FileAnchor(filepath.Join(dir, fmt.Sprint("head", i))), Fleet: w.db.Journal(), Key: make([]byte, 32), Now: w.Now})
		must(t, err)
		must(t, b.Check(t.Context())) // as at a start
		c := w.config(crashStore{w.db.Orders(), m.fuse}, crashJournal{b, m.fuse})
		c.Queue, c.Audit, c.Notify, c.SeenWithin = crashQueue{w.db.Commands(), m.fuse}, crashAudit{m.fuse}, crashNotify{m.fuse}, time.Hour
		m.copies[i], err = order.New(c)
		must(t, err)
	}
	m.Service = m.copies[0]
	for _, d := range m.devices {
		e, err := w.db.Fleet().Current(t.Context(), d)
		must(t, err)
		m.now[d] = e
	}
	return m
}

// TestMachine lets two people, a thief with an administrator's session, a token and the
// database's password, two copies of the server, devices and crashes do anything in any
// order, and asks an oracle that knows nothing of the engine's inside.
func TestMachine(t *testing.T) {
	t.Parallel()
	tm := newTemplate(t)
	rapid.Check(t, func(rt *rapid.T) {
		m := tm.machine(t)
		defer m.shut()
		rt.Repeat(map[string]func(*rapid.T){
			"request": m.doRequest, "sign": m.doSign, "order": m.doOrder, "order again": m.doOrder, "order anew": m.doOrder, "connect": m.doConnect, "connect all": m.doConnectAll, "pass": m.doPass, "advance": m.doAdvance,
			"cancel": m.doCancel, "enrol": m.doEnrol, "own": m.doOwn, "steal": m.doSteal, "release": m.doRelease,
		})
		m.oracle.settle(rt)
	})
	t.Logf("what happened: %v", tm.tally)
	if testing.Short() { // so few rounds need not meet everything; the whole number has to
		return
	}
	for _, what := range []string{"approved", "given", "given again", "held", "withheld", "cancelled", "released", "campaign", "crash"} {
		if tm.tally[what] == 0 && !t.Failed() {
			t.Errorf("in all this nothing was ever %s: the machine tests too little", what)
		}
	}
}

// with picks a copy of the server, which may crash soon, and runs f on it.
func (m *machine) with(t *rapid.T, f func(s *order.Service) error) error {
	s := m.copies[rapid.IntRange(0, 1).Draw(t, "copy")]
	m.fuse.left = max(0, rapid.IntRange(-30, 12).Draw(t, "crash"))
	m.Service = s
	m.db.SetGuard(func(ctx context.Context, r command.Record, body []byte) (command.Verdict, error) {
		v, err := s.Deliverable(ctx, r, body)
		return v, errors.Join(err, m.fuse.burn())
	})
	err := f(s)
	m.fuse.left = 0
	if errors.Is(err, errCrash) {
		m.tally["crash"]++
	}
	if err != nil && !errors.Is(err, errCrash) && ward.KindOf(err) == ward.Internal {
		t.Fatalf("an error that nobody expects: %v", err)
	}
	return err
}

func (m *machine) doRequest(t *rapid.T) {
	r := order.Request{
		Kind: rapid.SampledFrom([]order.Kind{order.Erase, order.Erase, order.ClearPasscode, order.RemoveManagement}).Draw(t, "kind"), Reason: "why",
		Devices: rapid.SliceOfNDistinct(rapid.SampledFrom(m.devices), 1, 4, rapid.ID).Draw(t, "devices"),
	}
	if (r.Kind == order.Erase || r.Kind == order.RemoveManagement) && rapid.IntRange(0, 3).Draw(t, "campaign") == 0 {
		r.Options.Campaign = &order.Campaign{Start: m.Now().Add(24 * time.Hour), PerHour: rapid.IntRange(1, 2).Draw(t, "per hour")}
	}
	by := rapid.SampledFrom([]context.Context{m.token("eve", ward.RoleAdmin), m.as("ben"), ward.WithActor(m.t.Context(), ward.System)}).Draw(t, "by")
	var o order.Order
	err := m.with(t, func(s *order.Service) (err error) { o, err = s.Request(by, r); return err })
	if err == nil {
		m.orders = append(m.orders, o.ID)
		m.oracle.asked(o)
	}
}

// doOrder is a request that two people sign at once.
func (m *machine) doOrder(t *rapid.T) {
	n := len(m.orders)
	m.doRequest(t)
	for _, p := range []ward.PersonID{"ben", "cyd"} {
		if len(m.orders) > n {
			m.signAs(t, m.orders[n], p)
		}
	}
}

func (m *machine) pick(t *rapid.T) (ward.OrderID, bool) {
	if len(m.orders) == 0 {
		return "", false
	}
	n := len(m.orders)
	return m.orders[max(0, n-1-rapid.IntRange(0, 5).Draw(t, "order"))], true
}

// doSign has a person sign, or the thief, who holds no passkey but ben's token.
func (m *machine) doSign(t *rapid.T) {
	id, ok := m.pick(t)
	if !ok {
		return
	}
	p := rapid.SampledFrom([]ward.PersonID{"ben", "cyd", "dan", "eve"}).Draw(t, "signer")
	m.signAs(t, id, p)
}

func (m *machine) signAs(t *rapid.T, id ward.OrderID, p ward.PersonID) {
	o := m.look(id)
	_ = m.with(t, func(s *order.Service) error {
		if p == "eve" {
			_, err := s.Approve(m.token("ben", ward.Roles...), id, o.Hash, []byte("{}"))
			return err
		}
		m.oracle.signs(id, p)
		_, err := m.signBy(s, p, o)
		return err
	})
	m.oracle.approved(t, id)
}

func (m *machine) doPass(t *rapid.T) {
	m.pass(rapid.SampledFrom([]time.Duration{time.Minute, 10 * time.Minute, time.Hour, 13 * time.Hour, 25 * time.Hour}).Draw(t, "time"))
}

func (m *machine) doAdvance(t *rapid.T) {
	_ = m.with(t, func(s *order.Service) error {
		_, err := s.Advance(m.t.Context())
		_, err2 := s.Expire(m.t.Context())
		return errors.Join(err, err2)
	})
}

func (m *machine) doCancel(t *rapid.T) {
	id, ok := m.pick(t)
	if !ok {
		return
	}
	admin, cyd := m.as("eve", ward.RoleAdmin), m.as("cyd")
	how := rapid.IntRange(0, 15).Draw(t, "how")
	err := m.with(t, func(s *order.Service) (err error) {
		switch how {
		case 0:
			_, err = s.CancelAll(admin, "stop")
		case 1:
			_, err = s.Refuse(cyd, id, "no")
		default:
			_, err = s.Cancel(admin, id, "stop")
		}
		return err
	})
	if err != nil {
		return
	}
	if how == 0 {
		for _, id := range m.orders {
			m.oracle.cancelled(id)
		}
		return
	}
	m.oracle.cancelled(id)
}

// doEnrol begins a new epoch of a device.
func (m *machine) doEnrol(t *rapid.T) {
	d := rapid.SampledFrom(m.devices).Draw(t, "device")
	rights := ward.RightsAll
	if m.now[d].Rights == ward.RightsPersonal {
		rights = ward.RightsPersonal
	}
	m.now[d] = m.enrol(d, rights)
	m.oracle.seen[d] = m.Now()
}

func (m *machine) doOwn(t *rapid.T) {
	d := rapid.SampledFrom(m.devices[:2]).Draw(t, "device")
	m.own(d, rapid.SampledFrom([]ward.Ownership{ward.Corporate, ward.Corporate, ward.Corporate, ward.Personal}).Draw(t, "ownership"))
}

// doSteal is the thief at the database and at the queue.
func (m *machine) doSteal(t *rapid.T) {
	d := rapid.SampledFrom(m.devices).Draw(t, "device")
	id, ok := m.pick(t)
	how := rapid.IntRange(0, 6).Draw(t, "theft")
	if how > 0 && !ok {
		return
	}
	if how > 0 {
		m.oracle.tampered[id] = true
	}
	switch how {
	case 0:
		m.put(m.now[d], "EraseDevice", eraseBody, "", "")
	case 1:
		m.put(m.now[d], "EraseDevice", eraseBody+" more", id, "")
	case 2:
		m.sql(`UPDATE orders SET state = 'issued', due_at = 1 WHERE id = $1`, string(id))
	case 3:
		m.sql(`UPDATE orders SET due_at = 1 WHERE id = $1`, string(id))
	case 4:
		m.sql(`UPDATE order_target SET outcome = '', command = '', answered_at = 0 WHERE order_id = $1`, string(id))
		m.sql(`UPDATE orders SET state = 'approved', due_at = 1 WHERE id = $1`, string(id))
	case 5:
		m.sql(`INSERT INTO order_approval (order_id, hash, person, name, subject, approver, assertion, glass, at)
			SELECT order_id, hash, 'eve', '', 'eve', approver, assertion, glass, at FROM order_approval WHERE order_id = $1 AND person <> 'eve' LIMIT 1 ON CONFLICT DO NOTHING`, string(id))
	case 6:
		m.sql(`UPDATE order_target SET enrolment_id = $2 WHERE order_id = $1 AND device_id = (SELECT MIN(device_id) FROM order_target WHERE order_id = $1)`, string(id), string(m.now[d].ID))
	}
}

// doRelease has two people release what is held; dan is involved in little.
func (m *machine) doRelease(t *rapid.T) {
	k := rapid.SampledFrom([]brake.Kind{brake.Erase, brake.ClearPasscode}).Draw(t, "kind")
	signers := rapid.Permutation([]ward.PersonID{"ben", "cyd", "dan"}).Draw(t, "signers")[:2]
	_ = m.with(t, func(s *order.Service) error {
		before := m.oracle.releases(k)
		defer func() { m.oracle.released(k, m.oracle.releases(k) > before) }()
		return m.release(s, k, signers...)
	})
}

func (m *machine) release(s *order.Service, k brake.Kind, signers ...ward.PersonID) error {
	o, err := s.Request(m.as("ben"), order.Request{Kind: order.ReleaseBrake, Reason: "ok", Options: order.Options{Brake: &order.Brake{Kind: k}}})
	for _, p := range signers {
		if err == nil {
			_, err = m.signBy(s, p, o)
		}
	}
	return err
}

// doConnect has a device come, fetch, and answer or not, as devices do.
func (m *machine) doConnect(t *rapid.T) {
	m.comes(t, rapid.SampledFrom(m.devices).Draw(t, "device"))
}

func (m *machine) doConnectAll(t *rapid.T) {
	for _, d := range m.devices {
		m.comes(t, d)
	}
}

func (m *machine) comes(t *rapid.T, d ward.DeviceID) {
	e := m.now[d]
	m.db.Seen(e.ID, m.Now())
	m.oracle.seen[d] = m.Now()
	must(m.t, m.db.Commands().Resume(m.t.Context(), e.ID))
	for range 6 {
		var r command.Record
		var body []byte
		err := m.with(t, func(*order.Service) (err error) {
			var forged []command.Record
			if r, body, forged, err = m.db.Commands().Next(m.t.Context(), e.ID); err == nil {
				m.withheld(forged)
			}
			return err
		})
		if err != nil || body == nil {
			return
		}
		m.oracle.delivered(t, d, e, r, string(body))
		s := rapid.SampledFrom([]command.State{command.Accepted, command.Accepted, command.Refused, command.Deferred, ""}).Draw(t, "answer")
		if s == "" {
			return // the answer is lost, or the command was
		}
		_ = m.with(t, func(*order.Service) error { return m.reply(e, r, s) })
	}
}

// reply has a device answer a command; a crash undoes it.
func (m *machine) reply(e ward.Enrolment, r command.Record, s command.State) error {
	return m.db.Do(m.t.Context(), func(ctx context.Context) error {
		if _, known, err := m.db.Commands().Report(ctx, e.ID, store.Answer{UUID: r.UUID, State: s}); err != nil || !known || r.Order == "" {
			return err
		}
		return m.Answered(ctx, r.Order, e.ID, s, m.Now(), "")
	})
}

// withheld tells orders what the guard refused, as the server does.
func (m *machine) withheld(forged []command.Record) {
	for _, r := range forged {
		m.tally["withheld"]++
		if r.Order == "" {
			continue
		}
		err := m.Answered(m.t.Context(), r.Order, r.Enrolment, command.Withheld, m.Now(), r.Error)
		if err != nil && !errors.Is(err, errCrash) && ward.KindOf(err) != ward.NotFound {
			m.t.Errorf("withheld: %v", err)
		}
	}
}
