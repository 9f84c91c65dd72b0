package order

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/unit"
)

// Store keeps orders. Methods join the unit of work in ctx; a missing order is a
// *ward.Error of kind NotFound.
type Store interface {
	unit.Unit
	Add(ctx context.Context, o Order) error
	Order(ctx context.Context, id ward.OrderID) (Order, error)
	List(ctx context.Context, f Filter) ([]Order, error)
	// Issue keeps the approval and moves the order from Requested to Issued. It reports
	// false, and changes nothing, unless the order waits for an approval, has the
	// approval's hash, was asked for by someone else and has not expired.
	Issue(ctx context.Context, a Approval) (bool, error)
	// Close moves the order from one state to another, ended by c. It reports false, and
	// changes nothing, if the order is in another state than from.
	Close(ctx context.Context, id ward.OrderID, from, to State, c Closing) (bool, error)
	// SetTarget keeps the outcome of the order on one enrolment. It reports false, and
	// changes nothing, if the outcome kept is final.
	SetTarget(ctx context.Context, id ward.OrderID, t Target) (bool, error)
	// Due returns up to limit orders that wait for an approval and have expired at t.
	Due(ctx context.Context, t time.Time, limit int) ([]ward.OrderID, error)
}

// Fleet knows devices and their enrolments. NotFound means that there is none.
type Fleet interface {
	Device(ctx context.Context, id ward.DeviceID) (ward.Device, error)
	Current(ctx context.Context, id ward.DeviceID) (ward.Enrolment, error)
}

// Cases knows which device a lost-device case is about.
type Cases interface {
	CaseDevice(ctx context.Context, id ward.CaseID) (ward.DeviceID, error)
}

// Compiler makes the commands that carry orders out. A *ward.Error says why that
// can't be done. Both are called within a unit of work and must be quick.
type Compiler interface {
	Erase(o Options) (requestType string, body []byte, err error)
	// ClearPasscode needs the unlock token that the enrolment left with Ward.
	ClearPasscode(ctx context.Context, id ward.EnrolmentID) (requestType string, body []byte, err error)
}

// Recorder keeps the audit log, within the unit of work in ctx.
type Recorder interface {
	Record(ctx context.Context, action, subject string, detail map[string]string) error
}

// The actions that stand in the audit log.
const (
	ActionRequested = "order.requested"
	ActionDenied    = "order.denied" // an attempt that the rules forbid
	ActionApproved  = "order.approved"
	ActionRefused   = "order.refused"
	ActionCancelled = "order.cancelled"
	ActionExpired   = "order.expired"
	ActionAnswered  = "order.answered"
)

// Config is what a Service needs. All but the last three fields must be set.
type Config struct {
	Store    Store
	Fleet    Fleet
	Cases    Cases
	Queue    command.Queue
	Compiler Compiler
	Audit    Recorder
	Now      func() time.Time

	MaxDevices int           // of one order; 10 if zero
	Lifetime   time.Duration // for which an order waits for its approval; 24 h if zero
	NewID      func() ward.OrderID
}

// Service runs orders. It may be used by several goroutines. An attempt that is
// denied is audited in a unit of work of its own, so its methods are to be called
// outside one, except Answered and CancelCase, which join.
type Service struct{ Config }

// New returns a service.
func New(c Config) (*Service, error) {
	if c.Store == nil || c.Fleet == nil || c.Cases == nil || c.Queue == nil || c.Compiler == nil || c.Audit == nil || c.Now == nil {
		return nil, errors.New("order service: Store, Fleet, Cases, Queue, Compiler, Audit and Now are needed")
	}
	if c.MaxDevices < 0 || c.Lifetime < 0 {
		return nil, errors.New("order service: MaxDevices and Lifetime can't be negative")
	}
	if c.MaxDevices == 0 {
		c.MaxDevices = 10
	}
	if c.Lifetime == 0 {
		c.Lifetime = 24 * time.Hour
	}
	if c.NewID == nil {
		c.NewID = func() ward.OrderID { return ward.OrderID(strings.ToLower(rand.Text())) }
	}
	return &Service{c}, nil
}

// Filter selects orders; empty fields select all.
type Filter struct {
	State  State
	Device ward.DeviceID
	Case   ward.CaseID
	After  ward.OrderID // the last order of the page before
	Limit  int          // at most 100; 50 if zero
}

// List returns one page of orders, the newest first.
func (s *Service) List(ctx context.Context, f Filter) ([]Order, error) {
	if f.Limit <= 0 {
		f.Limit = 50
	}
	f.Limit = min(f.Limit, 100)
	return s.Store.List(ctx, f)
}

// Order returns one order.
func (s *Service) Order(ctx context.Context, id ward.OrderID) (Order, error) {
	return s.Store.Order(ctx, id)
}

// person returns who acts, who must be a person that signed in: neither Ward, nor a
// device, nor the console, where whoever holds the server could be anyone.
func person(ctx context.Context) (ward.Actor, error) {
	a := ward.ActorFrom(ctx)
	if a.Person == "" || (a.Via != ward.ViaSession && a.Via != ward.ViaToken) {
		return a, ward.Errorf(ward.Forbidden, "Only a person who has signed in can ask for, approve, refuse or cancel an order.")
	}
	return a, nil
}

// deny audits an attempt that the rules forbid and returns why. Errors of other
// kinds, such as a mistake in the request, are returned as they are.
func (s *Service) deny(ctx context.Context, subject string, why error) error {
	if k := ward.KindOf(why); k != ward.Forbidden && k != ward.Conflict {
		return why
	}
	err := s.Store.Do(ctx, func(ctx context.Context) error {
		return s.Audit.Record(ctx, ActionDenied, subject, map[string]string{"why": why.Error()})
	})
	if err != nil {
		return errors.Join(why, err)
	}
	return why
}
