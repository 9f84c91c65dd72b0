package api_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/approver/approvertest"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/casefile"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/order"
)

// deeds stands for the protocol where orders and cases use it: bodies that no device reads,
// each its own request type.
type deeds struct{ n *atomic.Int64 }

func (d deeds) made(requestType string) (string, string, []byte, error) {
	return fmt.Sprintf("DEED-%d", d.n.Add(1)), requestType, []byte(requestType), nil
}

func (d deeds) Erase(context.Context, ward.Device, ward.Enrolment, order.Options) (string, string, []byte, error) {
	return d.made("EraseDevice")
}

func (d deeds) ClearPasscode(context.Context, ward.Device, ward.Enrolment) (string, string, []byte, error) {
	return d.made("ClearPasscode")
}

func (d deeds) RemoveManagement(context.Context, ward.Device, ward.Enrolment) (string, string, []byte, error) {
	return d.made("RemoveProfile")
}

func (d deeds) LockPIN(context.Context, ward.Device, ward.Enrolment, order.Options) (string, string, []byte, error) {
	return d.made("SetRecoveryLock")
}

// typeOf reads what deeds and the compiler make.
func typeOf(body []byte) (requestType string, destructive bool, err error) {
	switch is := string(body); is {
	case "EraseDevice", "ClearPasscode", "RemoveProfile", "SetRecoveryLock":
		return is, true, nil
	default:
		return is, false, nil
	}
}

// moments makes the commands of lost cases.
type moments struct{}

func (moments) Lock(ward.Device, string, string) (string, []byte, error) {
	return "DeviceLock", []byte("DeviceLock"), nil
}

func (moments) Sound() (string, []byte, error) {
	return "PlayLostModeSound", []byte("PlayLostModeSound"), nil
}

func (moments) Locate() (string, []byte, error) {
	return "DeviceLocation", []byte("DeviceLocation"), nil
}

func (moments) Restart(ward.Device) (string, []byte, error) {
	return "RestartDevice", []byte("RestartDevice"), nil
}

// emails knows whom a message to everyone goes to.
type emails struct{ s *access.Service }

func (e emails) Emails(context.Context) ([]string, error) { return nil, nil }

func (e emails) Email(ctx context.Context, id ward.PersonID) (string, error) {
	p, err := e.s.Person(ctx, id)
	return p.Email, err
}

// relay takes every message.
type relay struct{}

func (relay) Send(context.Context, notify.Delivery) error { return nil }

// engine is what dangerous orders stand on.
type engine struct {
	approvers *approver.Service
	brake     *brake.Service
	notify    *notify.Service
	orders    *order.Service
	cases     *lost.Service
	files     atomic.Int64 // that were made
	pins      map[ward.DeviceID]map[string]string
}

const publicURL = "https://ward.example"

// newEngine makes the services of a world. certificates and planner are what a case acts by.
func newEngine(t *testing.T, w *world, rec recorder, c lost.Certificates, planner lost.Planner) *engine {
	t.Helper()
	e := &engine{pins: map[ward.DeviceID]map[string]string{}}
	rpID, origin, err := approver.RelyingParty(publicURL)
	if err != nil {
		t.Fatal(err)
	}
	e.approvers = must(approver.New(approver.Config{Store: w.db.Approvers(), Root: &approvertest.Root{}, Audit: rec, Now: w.clock, RPID: rpID, Origin: origin}))(t)
	e.brake = must(brake.New(brake.Config{
		Journal: w.db.Journal(), Anchor: brake.FileAnchor(filepath.Join(t.TempDir(), "brake.head")), Fleet: w.db.Journal(), Key: bytes.Repeat([]byte{7}, 32), Now: w.clock,
	}))(t)
	e.notify = must(notify.New(notify.Config{
		Store: w.db.Notifications(), People: emails{w.access}, Audit: rec, Now: w.clock, Logger: w.zap, PublicURL: publicURL, Email: relay{}, To: []string{"oncall@trust.example"},
	}))(t)
	e.orders = must(order.New(order.Config{
		Store: w.db.Orders(), Fleet: w.db.Fleet(), Cases: w.db.Cases(), Approvers: e.approvers, Journal: e.brake, Queue: w.db.Commands(), Compiler: deeds{&atomic.Int64{}},
		Notify: e.notify, Audit: rec, Now: w.clock, TypeOf: typeOf,
		OpenCase: func(ctx context.Context, id ward.DeviceID) (ward.CaseID, bool, error) {
			k, err := w.db.Cases().OpenCase(ctx, id)
			if ward.KindOf(err) == ward.NotFound {
				return "", false, nil
			}
			return k.ID, k.Drill != lost.Real, err
		},
		Subject: func(ctx context.Context, id ward.PersonID) (string, error) {
			a, err := e.approvers.ByPerson(ctx, id)
			if ward.KindOf(err) == ward.NotFound {
				return "", nil
			}
			return a.Subject, err
		},
	}))(t)
	w.db.SetGuard(e.orders.Deliverable)
	e.cases = must(lost.New(lost.Config{
		Store: w.db.Cases(), Fleet: w.db.Fleet(), Brake: e.brake, Certificates: c, Planner: planner, Orders: proposals{e.orders}, Queue: w.db.Commands(),
		Compiler: moments{}, Audit: rec, Now: w.clock, Notify: e.notify, People: emails{w.access},
	}))(t)
	return e
}

// proposals lets a case ask for an order as Ward.
type proposals struct{ *order.Service }

func (p proposals) Propose(ctx context.Context, id ward.CaseID, device ward.DeviceID, reason string) (ward.OrderID, error) {
	o, err := p.Request(ward.WithActor(ctx, ward.System), order.Request{Kind: order.Erase, Devices: []ward.DeviceID{device}, Case: id, Reason: reason, Options: order.Options{PreserveDataPlan: true}})
	return o.ID, err
}

// file makes a file whose parts say which making they are of.
func (e *engine) file(id string) (casefile.Pack, error) {
	if id == "x" || strings.Contains(id, "Canary") {
		return casefile.Pack{}, ward.Errorf(ward.NotFound, "There is no %s.", id)
	}
	n := e.files.Add(1)
	return casefile.Pack{ID: id, JSON: fmt.Appendf(nil, `{"file":%d}`, n), PDF: fmt.Appendf(nil, "%%PDF %d", n), P7S: fmt.Appendf(nil, "signature of %d", n)}, nil
}

func (e *engine) caseFile(ctx context.Context, id ward.CaseID) (casefile.Pack, error) {
	if _, err := e.cases.Case(ctx, id); err != nil && !ward.ActorFrom(ctx).Scope.All() {
		return casefile.Pack{}, err
	}
	return e.file(string(id))
}

func (e *engine) orderFile(ctx context.Context, id ward.OrderID) (casefile.Pack, error) {
	if _, err := e.orders.Order(ctx, id); err != nil && !ward.ActorFrom(ctx).Scope.All() {
		return casefile.Pack{}, err
	}
	return e.file(string(id))
}

func (e *engine) macPIN(_ context.Context, id ward.DeviceID) (map[string]string, error) {
	if len(e.pins[id]) == 0 {
		return nil, ward.Errorf(ward.NotFound, "Ward has locked this device with no PIN.")
	}
	return e.pins[id], nil
}

// signers makes approvers of people who are there, with a token of each.
func (w *world) signers(names ...string) (people []*approvertest.Person, tokens []string) {
	w.t.Helper()
	var who []approvertest.Who
	for _, name := range names {
		p, token := w.person(name, ward.RoleApprover)
		tokens = append(tokens, token)
		who = append(who, approvertest.Who{Person: p.ID, Name: name, Subject: name + "@trust.example"})
	}
	return must(approvertest.Seed(w.t.Context(), w.engine.approvers, who...))(w.t), tokens
}

// sign has people sign an order with their passkeys, as they do in a browser.
func (w *world) sign(o api.Order, people ...*approvertest.Person) {
	w.t.Helper()
	for _, p := range people {
		ctx := p.As(w.t.Context())
		options, hash, err := w.engine.orders.Begin(ctx, o.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		answer := must(p.Passkey.Sign(options))(w.t)
		if _, err := w.engine.orders.Approve(ctx, o.ID, hash, answer); err != nil {
			w.t.Fatal(err)
		}
	}
}

// pass lets time go by.
func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}
