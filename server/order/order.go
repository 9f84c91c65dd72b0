// Package order is the engine of destructive orders: deeds that can't be undone, such as
// erasing a phone. Somebody asks; two different people sign exactly that order with their
// passkeys; only then is a command queued, for the enrolments that were named, and every
// signature is verified again when a device fetches it. It speaks no protocol, and it never
// acts for one person alone.
package order

import (
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/command"
)

// Kind is the deed that an order is for.
type Kind string

// The kinds of orders. Those of the first group are for devices.
const (
	Erase            Kind = "erase"
	ClearPasscode    Kind = "clear_passcode"
	RemoveManagement Kind = "remove_management" // takes away what Ward put there, and the enrolment
	LockPIN          Kind = "lock_pin"          // lock a Mac with a PIN

	ReleaseBrake Kind = "release_brake" // let a kind of deeds go on that the brake holds
	LiftBrake    Kind = "lift_brake"    // have the brake not count a kind for some hours
)

// Kinds lists every kind.
var Kinds = []Kind{Erase, ClearPasscode, RemoveManagement, LockPIN, ReleaseBrake, LiftBrake}

// Devices reports whether orders of the kind are for devices.
func (k Kind) Devices() bool { return slices.Contains(Kinds[:4], k) }

// brake returns the kind of deed as the brake counts it.
func (k Kind) brake() brake.Kind { return brake.Kind(k) }

// State is where an order stands.
type State string

// The states of an order.
const (
	Requested State = "requested" // it waits for signatures
	Approved  State = "approved"  // by two people; it waits for Order.Due
	Issued    State = "issued"    // its commands are queued, or it is carried out
	Refused   State = "refused"
	Cancelled State = "cancelled"
	Expired   State = "expired"
)

// Open reports whether an order of this state can still be cancelled as a whole.
func (s State) Open() bool { return s == Requested || s == Approved }

// Outcome is what became of an order on one device, in words that are true: a
// device accepts an erase before it does it.
type Outcome string

// The outcomes. The empty outcome means that nothing was queued yet.
const (
	Waiting    Outcome = "waiting"    // queued, not yet fetched
	Delivered  Outcome = "delivered"  // fetched, not yet answered
	Deferred   Outcome = "not now"    // the device asked to be asked later
	Held       Outcome = "held"       // the guard keeps it back, for the reason in Target.Error
	Accepted   Outcome = "accepted"   // by the device, at Target.Answered
	Declined   Outcome = "refused"    // by the device, for the reason in Target.Error
	Superseded Outcome = "superseded" // the enrolment that the order named is gone, or a rule forbids it now
	TakenBack  Outcome = "cancelled"  // before the device had fetched it
	Withheld   Outcome = "withheld"   // its row failed its seal, or the guard refused it
	Rehearsed  Outcome = "rehearsed"  // a drill: nothing was queued
	Lapsed     Outcome = "expired"    // its time passed before the device fetched it
)

// Final reports whether the outcome can't change any more.
func (o Outcome) Final() bool {
	switch o {
	case "", Waiting, Delivered, Deferred, Held:
		return false
	}
	return true
}

// Target is one device of an order.
type Target struct {
	Device    ward.DeviceID
	Enrolment ward.EnrolmentID // the epoch at the time of the request: no other is reached
	Name      string           // of the device at the time of the request

	Outcome   Outcome
	Command   string    // UUID of the queued command; empty if none was
	Issued    time.Time // when it was queued; zero if it was not
	Delivered time.Time // last hand-out; zero if never
	Answered  time.Time // when the outcome became final; zero before
	Error     string    // why, for an outcome that is not Accepted
}

// Follow takes over what the queue knows of the target's command. A final outcome
// stays. A command that the queue dropped although nobody took the order back died
// with its enrolment.
func (t *Target) Follow(s command.State, delivered, answered time.Time, reason string) {
	t.Delivered = delivered
	if t.Outcome.Final() {
		return
	}
	t.Outcome = outcomeOf(s)
	if t.Outcome == TakenBack {
		t.Outcome = Superseded
	}
	t.Error = reason
	if t.Outcome.Final() {
		t.Answered = answered
	}
}

// outcomeOf says a command's state as an outcome.
func outcomeOf(s command.State) Outcome { return Outcome(s) }

// Approval is one person's yes to one order, by a signature over its hash.
type Approval struct {
	Order     ward.OrderID
	Hash      string // of the order that the person was shown
	Person    ward.PersonID
	Name      string
	Subject   string // who the human being is; see approver.Approver
	Approver  string // id of the approver; empty for break glass
	Assertion approver.Assertion
	At        time.Time
	// Glass says that the sealed key signed, which stands for two people: Person is
	// "via glass", Name who used it, and the signature stands in Assertion.Signature.
	Glass bool
}

// Closing says who ended an order, when and why. It is zero for one that was issued
// or is open. Person is empty when Ward did it.
type Closing struct {
	Person ward.PersonID
	Name   string
	At     time.Time
	Reason string
}

// Order is a request for a destructive deed. It is immutable but for its state, its
// approvals, when it is due and the outcomes of its targets: a change is a new order.
type Order struct {
	ID            ward.OrderID
	Kind          Kind
	Targets       []Target // in order of their device ids
	Options       Options
	Reason        string
	Case          ward.CaseID   // empty outside a case
	Hash          string        // see Digest
	RequestedBy   ward.PersonID // "via system" or "via console" where no person asked
	RequestedName string
	State         State
	Created       time.Time
	Expires       time.Time // it can't be approved from then on; a campaign ends then
	Due           time.Time // when it may be issued, or a campaign's next batch may; zero if it waits for no time
	Approvals     []Approval
	Closing       Closing
	Why           string // what it waits for, for people; empty if for nothing but devices
}

// signatures is how many different people must sign an order.
const signatures = 2

// Needs returns how many signatures are missing.
func (o Order) Needs() int {
	if o.State != Requested {
		return 0
	}
	return max(0, signatures-len(o.Approvals))
}
