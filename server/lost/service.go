package lost

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/unit"
)

// Store keeps cases. Methods join the unit of work in ctx; a missing row is a
// *ward.Error of kind NotFound.
type Store interface {
	unit.Unit
	Locations
	Codes
	Assessments
	// CloseGate makes every other unit of work that opens a case, or that the brake
	// counts, wait until this one ends. A gate that is gone is a brake.ErrTampered.
	CloseGate(ctx context.Context, now time.Time) error
	// Add keeps a new case. It reports false, and changes nothing, if it is to be open and
	// the device has an open case.
	Add(ctx context.Context, c Case) (bool, error)
	Case(ctx context.Context, id ward.CaseID) (Case, error)
	OpenCase(ctx context.Context, device ward.DeviceID) (Case, error)
	List(ctx context.Context, f Filter) ([]Case, error)
	// Learn keeps what a later report told of an open case: its kind, what the reporter knew of
	// the device, and where and when it was last seen.
	Learn(ctx context.Context, c Case) error
	// Move moves the case from one state to another at t. It reports false, and changes
	// nothing, if the case is in another state than from.
	Move(ctx context.Context, id ward.CaseID, from, to State, t time.Time) (bool, error)
	// SetReal makes an open drill a real case, of which the organisation is aware since t.
	SetReal(ctx context.Context, id ward.CaseID, t time.Time) error
	AddEvent(ctx context.Context, id ward.CaseID, e Event) error
	Events(ctx context.Context, id ward.CaseID) ([]Event, error)
	// Once keeps that a step of a case was taken. It reports false if it was before,
	// whichever copy of the server took it.
	Once(ctx context.Context, id ward.CaseID, step string, at time.Time) (bool, error)
	// Steps returns the steps of a case that were taken.
	Steps(ctx context.Context, id ward.CaseID) (map[string]time.Time, error)
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

// Brake counts a deed within the unit of work in ctx, or holds it. A *ward.Error of kind
// Conflict means that the person has done too many; nothing is held by it.
type Brake interface {
	Take(ctx context.Context, e brake.Entry) (*brake.Hold, error)
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

// Orders are for what two people must approve.
type Orders interface {
	// CancelCase takes back the orders of a case that no device holds yet.
	CancelCase(ctx context.Context, id ward.CaseID, reason string) (int, error)
	// Propose asks, as Ward, for an order to erase the device of a case. A *ward.Error
	// says why there can't be one.
	Propose(ctx context.Context, id ward.CaseID, device ward.DeviceID, reason string) (ward.OrderID, error)
}

// Compiler makes commands. A *ward.Error says why it can't.
type Compiler interface {
	Lock(d ward.Device, message, phone string) (requestType string, body []byte, err error)
	Sound() (requestType string, body []byte, err error)
	Locate() (requestType string, body []byte, err error)
	Restart(d ward.Device) (requestType string, body []byte, err error)
}

// Recorder keeps the audit log, within the unit of work in ctx.
type Recorder interface {
	Record(ctx context.Context, action, subject string, detail map[string]string) error
}

// Notifier tells the people on call, within the unit of work in ctx.
type Notifier interface {
	Tell(ctx context.Context, m notify.Message) error
}

// People knows who may sign in. Email may be empty; NotFound means that there is no such
// person.
type People interface {
	Email(ctx context.Context, id ward.PersonID) (string, error)
}

// The actions that stand in the audit log. The subject of those called device is the
// device, of the others the case.
const (
	ActionLost             = "device.lost"
	ActionFound            = "device.found"
	ActionNotErased        = "device.not-erased" // it had accepted an erase, and came back as it was
	ActionLock             = "device.lock"
	ActionRestart          = "device.restart"
	ActionCodeMade         = "device.recovery-code" // a recovery code was made
	ActionCodeDropped      = "device.recovery-code-dropped"
	ActionHeld             = "brake.held"
	ActionUncounted        = "brake.uncounted" // done though the brake could not count it
	ActionRehearsed        = "case.rehearsed"  // a dry run
	ActionReal             = "case.real"       // a drill has become a real loss
	ActionSound            = "case.sound"
	ActionLocate           = "case.locate"
	ActionProposed         = "case.erase-proposed"
	ActionNotProposed      = "case.erase-not-proposed"
	ActionReminded         = "case.reminded"
	ActionAware            = "case.aware"
	ActionDecided          = "case.decided"
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
	Brake        Brake
	Certificates Certificates
	Planner      Planner
	Orders       Orders
	Queue        command.Queue
	Compiler     Compiler
	Audit        Recorder
	Now          func() time.Time

	Notify      Notifier    // nil: nobody is told
	People      People      // nil: nobody who signs in is known as the holder of a device
	Facts       Facts       // nil: nothing is known of devices
	Escalations Escalations // nil: DefaultEscalation for every device
	Rehearsal   Rehearser   // nil: what Apple lets be done to such a device
	Answers     Answers     // nil: no raw answers are kept

	// AfterRevoke is called after the commit of a unit of work that revoked
	// certificates, to have the revocation list made anew. It must not block. May be nil.
	AfterRevoke func()
	// DrillEvery is how often a drill is due; 90 days if zero.
	DrillEvery time.Duration
	NewID      func() ward.CaseID
}

// Service runs cases. It may be used by several goroutines. Report, Lock, Restart, Found and
// Counted are units of work of their own: called within one, an attempt that the brake
// holds is not audited if that unit fails.
type Service struct{ Config }

// New returns a service.
func New(c Config) (*Service, error) {
	if c.Store == nil || c.Fleet == nil || c.Brake == nil || c.Certificates == nil || c.Planner == nil || c.Orders == nil || c.Queue == nil || c.Compiler == nil || c.Audit == nil || c.Now == nil {
		return nil, errors.New("lost service: Store, Fleet, Brake, Certificates, Planner, Orders, Queue, Compiler, Audit and Now are needed")
	}
	if c.DrillEvery < 0 {
		return nil, errors.New("lost service: DrillEvery can't be negative")
	}
	if c.DrillEvery == 0 {
		c.DrillEvery = 90 * 24 * time.Hour
	}
	if c.NewID == nil {
		c.NewID = func() ward.CaseID { return ward.CaseID(strings.ToLower(rand.Text())) }
	}
	if c.AfterRevoke == nil {
		c.AfterRevoke = func() {}
	}
	return &Service{c}, nil
}

// Which says which cases a filter selects by whether they are drills.
type Which string

// The choices.
const (
	All        Which = ""
	OnlyReal   Which = "real"
	OnlyDrills Which = "drills"
)

// Filter selects cases; empty fields select all.
type Filter struct {
	State  State
	Device ward.DeviceID
	Which  Which
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
// one look-up in a small index, fit for every check-in. A dry rehearsal is not open.
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
	return s.keep(ctx, id, Event{Kind: k, Text: text})
}

// keep is note for an entry that tells more than a text.
func (s *Service) keep(ctx context.Context, id ward.CaseID, e Event) error {
	a := ward.ActorFrom(ctx)
	e.At, e.Person, e.Name = s.Now(), a.Person, a.Name
	return s.Store.AddEvent(ctx, id, e)
}

// tell tells the people on call.
func (s *Service) tell(ctx context.Context, c Case, m notify.Message) error {
	if s.Notify == nil {
		return nil
	}
	if w := c.Drill.Words(); w != "" {
		m.Subject, m.Body = w+": "+m.Subject, "This is a rehearsal. "+m.Body
	}
	m.Case, m.Device, m.At, m.Link = c.ID, c.Device, s.Now(), "/cases/"+string(c.ID)
	return s.Notify.Tell(ctx, m)
}
