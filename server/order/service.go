package order

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/unit"
)

// Store keeps orders. Methods join the unit of work in ctx; a missing order is a
// *ward.Error of kind NotFound.
type Store interface {
	unit.Unit
	Add(ctx context.Context, o Order) error
	Order(ctx context.Context, id ward.OrderID) (Order, error)
	// Lock returns the order and keeps every other unit of work from changing it until the
	// one in ctx ends.
	Lock(ctx context.Context, id ward.OrderID) (Order, error)
	List(ctx context.Context, f Filter) ([]Order, error)
	// AddApproval keeps a signature. It fails where the person or another account of the
	// same human being has signed the order.
	AddApproval(ctx context.Context, a Approval) error
	// CountOpen counts the orders that wait for signatures: those of one who asked, and all.
	CountOpen(ctx context.Context, by ward.PersonID) (mine, all int, err error)
	// Move takes the order from one state to another, or leaves it there, and sets when it
	// is due. It reports false, and changes nothing, if the order is in another state.
	Move(ctx context.Context, id ward.OrderID, from, to State, due time.Time) (bool, error)
	// Close moves the order from one state to another, ended by c, so that nothing of it is
	// due any more. It reports false, and changes nothing, if the order is in another state.
	Close(ctx context.Context, id ward.OrderID, from, to State, c Closing) (bool, error)
	// SetTarget keeps the outcome of the order on one enrolment. It reports false, and
	// changes nothing, if the outcome kept is final.
	SetTarget(ctx context.Context, id ward.OrderID, t Target) (bool, error)
	// EndTargets gives the outcome, with its time and reason, to the targets of the order
	// for which nothing was queued, and to those whose command was taken back for the reason
	// taken; it returns how many.
	EndTargets(ctx context.Context, id ward.OrderID, o Outcome, at time.Time, reason, taken string) (int, error)
	// Due returns up to limit orders that wait for signatures and have expired at t.
	Due(ctx context.Context, t time.Time, limit int) ([]ward.OrderID, error)
	// Ready returns up to limit orders, approved or issued in part, that are due at t.
	Ready(ctx context.Context, t time.Time, limit int) ([]ward.OrderID, error)
	// LockOpen returns, without targets and approvals, every order that is not carried out
	// yet, also those whose commands are open in the queue, and keeps other units of work
	// from them until the one in ctx ends.
	LockOpen(ctx context.Context) ([]Order, error)
	// Glass returns the orders that were approved by break glass since t.
	Glass(ctx context.Context, t time.Time) ([]Order, error)
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

// Approvers proves signatures. *approver.Service meets it.
type Approvers interface {
	// Begin returns what the passkey of the person in ctx is asked; Forbidden if they are no
	// approver.
	Begin(ctx context.Context, p approver.Purpose, hash string) (requestOptionsJSON []byte, err error)
	// Finish takes the answer to Begin, once.
	Finish(ctx context.Context, p approver.Purpose, hash string, response []byte) (approver.Approver, approver.Assertion, error)
	// Verify proves a signature that Finish returned, at any later time. It must be quick.
	Verify(ctx context.Context, a approver.Assertion, p approver.Purpose, hash string) (approver.Approver, error)
	// ByPerson returns the person's approver who stands now; NotFound if there is none.
	ByPerson(ctx context.Context, person ward.PersonID) (approver.Approver, error)
	VerifyGlass(ctx context.Context, hash string, sig []byte) error
}

// Journal is the journal of dangerous deeds, and the brake, which counts by it.
// *brake.Service meets it. Its methods join the unit of work in ctx, and fail with
// brake.ErrTampered once the journal does not verify.
type Journal interface {
	RecordAll(ctx context.Context, entries []brake.Entry) error
	// Ledger is the journal as it was verified, with what the unit of work appended to it.
	Ledger(ctx context.Context) (*brake.Ledger, error)
	// Take counts a delivery, or holds its kind and returns the hold.
	TakeWithin(ctx context.Context, e brake.Entry, perHour int) (*brake.Hold, error)
}

// Queue is the part of the command queue that orders need.
type Queue interface {
	Enqueue(ctx context.Context, c command.New) (string, error)
	// TakeBack closes as cancelled every open command of the order that no device holds,
	// and returns how many. An empty id stands for every order.
	TakeBack(ctx context.Context, id ward.OrderID, reason string) (int, error)
	// TakeBackIf does so with every open command of a dangerous request type that match
	// accepts; body is nil for one that fails its seal. tooLate is how many devices hold.
	TakeBackIf(ctx context.Context, reason string, match func(r command.Record, body []byte) bool) (taken, tooLate int, err error)
	// OweHeld owes a push to every enrolment that a command is held for, and returns how
	// many there are.
	OweHeld(ctx context.Context) (int, error)
}

// Compiler makes the commands that carry orders out; the UUID stands in the body. A
// *ward.Error says why that can't be done: a personal device is refused by the compiler
// too. All are called within a unit of work and must be quick.
type Compiler interface {
	Erase(ctx context.Context, d ward.Device, e ward.Enrolment, o Options) (uuid, requestType string, body []byte, err error)
	// ClearPasscode needs the unlock token that the enrolment left with Ward.
	ClearPasscode(ctx context.Context, d ward.Device, e ward.Enrolment) (uuid, requestType string, body []byte, err error)
	RemoveManagement(ctx context.Context, d ward.Device, e ward.Enrolment) (uuid, requestType string, body []byte, err error)
	// LockPIN makes a PIN and keeps it for those who may read it. It is called only to issue.
	LockPIN(ctx context.Context, d ward.Device, e ward.Enrolment, o Options) (uuid, requestType string, body []byte, err error)
}

// Recorder keeps the audit log, within the unit of work in ctx.
type Recorder interface {
	Record(ctx context.Context, action, subject string, detail map[string]string) error
}

// Notify tells the people on call, within the unit of work in ctx.
type Notify interface {
	Tell(ctx context.Context, m notify.Message) error
}

// The actions that stand in the audit log.
const (
	ActionRequested    = "order.requested"
	ActionDenied       = "order.denied" // an attempt that the rules forbid
	ActionSigned       = "order.signed" // the first of two signatures
	ActionApproved     = "order.approved"
	ActionGlass        = "order.break-glass"
	ActionIssued       = "order.issued"
	ActionRefused      = "order.refused"
	ActionCancelled    = "order.cancelled"
	ActionCancelledAll = "orders.cancelled-all"
	ActionExpired      = "order.expired"
	ActionAnswered     = "order.answered"
)

// Config is what a Service needs. The fields of the first group must be set; those of the
// second have the defaults named.
type Config struct {
	Store     Store
	Fleet     Fleet
	Cases     Cases
	Approvers Approvers
	Journal   Journal
	Queue     Queue
	Compiler  Compiler
	Notify    Notify
	Audit     Recorder
	Now       func() time.Time
	// TypeOf reads a command's real request type from its body, and whether it is
	// destructive: one that must not reach a device without an order.
	TypeOf func(body []byte) (requestType string, destructive bool, err error)
	// OpenCase returns the open lost case of a device, "" if there is none, and whether it is a
	// drill. A rehearsal in which nothing is sent is not open.
	OpenCase func(ctx context.Context, d ward.DeviceID) (c ward.CaseID, drill bool, err error)
	// Subject returns who the human being behind an account is, folded by approver.Subject;
	// "" if that is not known.
	Subject func(ctx context.Context, p ward.PersonID) (string, error)

	// WiFi says in words what the Wi-Fi profile of a return to service holds; an error says why
	// it can't be used. Nil: none is looked at.
	WiFi func(profile []byte) ([]string, error)

	MaxDevices  int           // of one order; 10
	MaxCampaign int           // of one campaign; 5,000
	Lifetime    time.Duration // for which an order waits for its signatures; 24 h
	SeenWithin  time.Duration // a device seen within it is in use: its erase waits; 1 h
	Cooling     time.Duration // for which it waits; 10 min
	Notice      time.Duration // between the announcement of a campaign and its start; 24 h
	CommandLife time.Duration // after which a command outside a case lapses, and a campaign ends; 30 days
	GlassGap    time.Duration // between two uses of break glass; 1 h
	NewID       func() ward.OrderID
}

// Service runs orders. It may be used by several goroutines. An attempt that is
// denied is audited in a unit of work of its own, so its methods are to be called
// outside one, except Answered, CancelCase and Deliverable, which join.
type Service struct{ Config }

// New returns a service.
func New(c Config) (*Service, error) {
	if c.Store == nil || c.Fleet == nil || c.Cases == nil || c.Approvers == nil || c.Journal == nil || c.Queue == nil || c.Compiler == nil || c.Notify == nil || c.Audit == nil ||
		c.Now == nil || c.TypeOf == nil || c.OpenCase == nil || c.Subject == nil {
		return nil, errors.New("order service: Store, Fleet, Cases, Approvers, Journal, Queue, Compiler, Notify, Audit, Now, TypeOf, OpenCase and Subject are needed")
	}
	for _, n := range []*int{&c.MaxDevices, &c.MaxCampaign} {
		if *n < 0 {
			return nil, errors.New("order service: MaxDevices and MaxCampaign can't be negative")
		}
	}
	orElse(&c.MaxDevices, 10)
	orElse(&c.MaxCampaign, 5000)
	for _, d := range []struct {
		is   *time.Duration
		then time.Duration
	}{
		{&c.Lifetime, 24 * time.Hour},
		{&c.SeenWithin, time.Hour},
		{&c.Cooling, 10 * time.Minute},
		{&c.Notice, 24 * time.Hour},
		{&c.CommandLife, 30 * 24 * time.Hour},
		{&c.GlassGap, time.Hour},
	} {
		if *d.is < 0 {
			return nil, errors.New("order service: its times can't be negative")
		}
		orElse(d.is, d.then)
	}
	if c.NewID == nil {
		c.NewID = func() ward.OrderID { return ward.OrderID(strings.ToLower(rand.Text())) }
	}
	return &Service{c}, nil
}

func orElse[T comparable](v *T, then T) {
	var zero T
	if *v == zero {
		*v = then
	}
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
	out, err := s.Store.List(ctx, f)
	for i := range out {
		out[i].Why = out[i].why()
	}
	return out, err
}

// Order returns one order.
func (s *Service) Order(ctx context.Context, id ward.OrderID) (Order, error) {
	o, err := s.Store.Order(ctx, id)
	o.Why = o.why()
	return o, err
}

// why says what an order waits for besides its devices.
func (o Order) why() string {
	at := o.Due.UTC().Format(time.RFC3339)
	switch {
	case o.State == Requested && o.Needs() == 1:
		return "it waits for one more signature, by another person"
	case o.State == Requested:
		return "it waits for the signatures of two people"
	case o.State == Approved && o.Kind == LiftBrake:
		return "the brake is lifted at " + at + " unless somebody cancels it"
	case o.State == Approved && o.Options.Campaign != nil:
		return "the campaign begins at " + at
	case o.State == Approved:
		return "a device of it was in use: it is carried out at " + at + " unless it is cancelled"
	}
	for _, t := range o.Targets {
		if t.Outcome == Held {
			return t.Error
		}
	}
	if o.State == Issued && !o.Due.IsZero() {
		return "the campaign's next devices follow at " + at
	}
	return ""
}

// now is the time as finely as it is kept.
func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// asker returns who asks for something: a person, by session or token, the console, or
// Ward itself, but neither a device nor nobody.
func asker(ctx context.Context) (ward.Actor, error) {
	a := ward.ActorFrom(ctx)
	switch a.Via {
	case ward.ViaSession, ward.ViaToken:
		if a.Person != "" {
			return a, nil
		}
	case ward.ViaConsole, ward.ViaSystem:
		return a, nil
	}
	return a, ward.Errorf(ward.Forbidden, "Only a person who has signed in, a token, the console or Ward itself can do this to an order.")
}

// name is who acted, for records: a person's id, or "via …" of what is none.
func name(a ward.Actor) ward.PersonID {
	if a.Person != "" {
		return a.Person
	}
	return ward.PersonID(via + string(a.Via))
}

// via begins the name of who is no person. No person's id holds a space.
const via = "via "

// person returns who acts, who must be a person that signed in: neither Ward, nor a
// device, nor the console, where whoever holds the server could be anyone.
func person(ctx context.Context) (ward.Actor, error) {
	a := ward.ActorFrom(ctx)
	if a.Person == "" || (a.Via != ward.ViaSession && a.Via != ward.ViaToken) {
		return a, ward.Errorf(ward.Forbidden, "Only a person who has signed in can do this to an order.")
	}
	return a, nil
}

// signer returns who acts, who must be able to use a passkey.
func signer(ctx context.Context) (ward.Actor, error) {
	a, err := person(ctx)
	if err == nil && a.Via != ward.ViaSession {
		err = ward.Errorf(ward.Forbidden, "A token can't approve an order: two people sign it, each with their own passkey, in a browser, on the order's page. A token may ask for it.")
	}
	return a, err
}

func mayCancel(a ward.Actor, o Order) bool {
	return a.Via == ward.ViaConsole || (a.Person != "" && a.Person == o.RequestedBy) || slices.Contains(a.Roles, ward.RoleAdmin)
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
