package lost

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

// Store keeps cases. Methods join the unit of work in ctx; a missing row is a
// *ward.Error of kind NotFound.
type Store interface {
	unit.Unit
	Brakes
	Locations
	// Add keeps a new case. It reports false, and changes nothing, if the device has an
	// open case.
	Add(ctx context.Context, c Case) (bool, error)
	Case(ctx context.Context, id ward.CaseID) (Case, error)
	OpenCase(ctx context.Context, device ward.DeviceID) (Case, error)
	List(ctx context.Context, f Filter) ([]Case, error)
	// Move moves the case from one state to another at t. It reports false, and changes
	// nothing, if the case is in another state than from.
	Move(ctx context.Context, id ward.CaseID, from, to State, t time.Time) (bool, error)
	AddEvent(ctx context.Context, id ward.CaseID, e Event) error
	Events(ctx context.Context, id ward.CaseID) ([]Event, error)
	// CaseCommands returns every command of the case, the oldest first.
	CaseCommands(ctx context.Context, id ward.CaseID) ([]command.Record, error)
}

// Fleet knows devices and their enrolments. NotFound means that there is none.
type Fleet interface {
	Device(ctx context.Context, id ward.DeviceID) (ward.Device, error)
	SetDeviceState(ctx context.Context, id ward.DeviceID, s ward.DeviceState) error
	Current(ctx context.Context, id ward.DeviceID) (ward.Enrolment, error)
	Enrolment(ctx context.Context, id ward.EnrolmentID) (ward.Enrolment, error)
	// Afresh reports whether an enrolment proves itself by another identity than the older
	// one did, and by none that followed it. Where that can't be told it is false.
	Afresh(ctx context.Context, id, than ward.EnrolmentID) (bool, error)
}

// Certificates revokes what a device proves itself by to apps, never its management
// identity: that must still fetch the command that locks it. It returns the serial
// numbers of the certificates that it revoked.
type Certificates interface {
	RevokeApps(ctx context.Context, device ward.DeviceID, reason string) (serials []string, err error)
}

// Planner queues what is left to do for a device, now that its case has changed.
type Planner interface {
	Replan(ctx context.Context, device ward.DeviceID) error
}

// Orders takes back the orders of a case that no device holds yet.
type Orders interface {
	CancelCase(ctx context.Context, id ward.CaseID, reason string) (int, error)
}

// Compiler makes the command that locks a device. A *ward.Error says why it can't.
type Compiler interface {
	Lock(d ward.Device, message, phone string) (requestType string, body []byte, err error)
}

// Recorder keeps the audit log, within the unit of work in ctx.
type Recorder interface {
	Record(ctx context.Context, action, subject string, detail map[string]string) error
}

// The actions that stand in the audit log. The subject of the first five is the
// device, of the others the case.
const (
	ActionLost             = "device.lost"
	ActionFound            = "device.found"
	ActionNotErased        = "device.not-erased" // it had accepted an erase, and came back as it was
	ActionLock             = "device.lock"
	ActionHeld             = "brake.held"
	ActionClosed           = "case.closed"
	ActionLocated          = "location.received"
	ActionLocationDropped  = "location.dropped" // it came when the case was no longer open
	ActionLocationViewed   = "location.viewed"
	ActionLocationsDeleted = "location.deleted"
)

// Config is what a Service needs. Everything up to Now must be set.
type Config struct {
	Store        Store
	Fleet        Fleet
	Certificates Certificates
	Planner      Planner
	Orders       Orders
	Queue        command.Queue
	Compiler     Compiler
	Audit        Recorder
	Now          func() time.Time

	// AfterRevoke is called after the commit of a unit of work that revoked
	// certificates, to have the revocation list made anew. It must not block. May be nil.
	AfterRevoke func()
	Limits      Limits
	// Message, Phone and Footnote are what a lost device shows when the reporter says
	// nothing else. An empty Message becomes a plain sentence, for Apple's lost mode
	// needs a message or a number.
	Message, Phone, Footnote string
	NewID                    func() ward.CaseID
}

// Service runs cases. It may be used by several goroutines. Report, Lock and Found
// are units of work of their own: called within one, an attempt that the brake holds
// is not audited if that unit fails.
type Service struct {
	Config
	Brake *Brake
}

// New returns a service.
func New(c Config) (*Service, error) {
	if c.Store == nil || c.Fleet == nil || c.Certificates == nil || c.Planner == nil || c.Orders == nil || c.Queue == nil || c.Compiler == nil || c.Audit == nil || c.Now == nil {
		return nil, errors.New("lost service: Store, Fleet, Certificates, Planner, Orders, Queue, Compiler, Audit and Now are needed")
	}
	if c.Message == "" {
		c.Message = "This device has been lost. Please hand it in."
	}
	if c.NewID == nil {
		c.NewID = func() ward.CaseID { return ward.CaseID(strings.ToLower(rand.Text())) }
	}
	if c.AfterRevoke == nil {
		c.AfterRevoke = func() {}
	}
	b, err := NewBrake(c.Store, c.Audit, c.Now, c.Limits)
	if err != nil {
		return nil, err
	}
	return &Service{c, b}, nil
}

// Filter selects cases; empty fields select all.
type Filter struct {
	State  State
	Device ward.DeviceID
	After  ward.CaseID // the last case of the page before
	Limit  int         // at most 100; 50 if zero
}

// List returns one page of cases, the newest first.
func (s *Service) List(ctx context.Context, f Filter) ([]Case, error) {
	if f.Limit <= 0 {
		f.Limit = 50
	}
	f.Limit = min(f.Limit, 100)
	return s.Store.List(ctx, f)
}

// Case returns one case.
func (s *Service) Case(ctx context.Context, id ward.CaseID) (Case, error) {
	return s.Store.Case(ctx, id)
}

// OpenCase returns the open case of a device; NotFound means that it has none. It is
// one look-up in a small index, fit for every check-in.
func (s *Service) OpenCase(ctx context.Context, device ward.DeviceID) (Case, error) {
	return s.Store.OpenCase(ctx, device)
}

// actor returns who acts: a person, the console of the server or Ward itself.
func actor(ctx context.Context) (ward.Actor, error) {
	a := ward.ActorFrom(ctx)
	if a.Person == "" && a.Via != ward.ViaConsole && a.Via != ward.ViaSystem {
		return a, ward.Errorf(ward.Forbidden, "Only a person who has signed in can do this.")
	}
	return a, nil
}

// note keeps an entry of a case's timeline, by who acts now.
func (s *Service) note(ctx context.Context, id ward.CaseID, k EventKind, text string) error {
	a := ward.ActorFrom(ctx)
	return s.Store.AddEvent(ctx, id, Event{At: s.Now(), Kind: k, Text: text, Person: a.Person, Name: a.Name})
}
