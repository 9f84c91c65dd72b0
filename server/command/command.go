// Package command says what a command to a device is and which states it passes
// through. It decides nothing about which command is sent, and knows no protocol.
package command

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
)

// State is where a command stands, in words that are true: a device accepts a
// command before it has carried it out.
type State string

// The states of a command.
const (
	Waiting   State = "waiting"   // queued, not yet fetched
	Delivered State = "delivered" // fetched, not yet answered
	Deferred  State = "not now"   // the device asked to be asked later
	Accepted  State = "accepted"  // answered Acknowledged
	Refused   State = "refused"   // answered Error or CommandFormatError
	Cancelled State = "cancelled" // taken back before it was answered
	Held      State = "held"      // the guard keeps it back; it is tried again when the device connects
	Withheld  State = "withheld"  // its row fails its seal, or the guard refused it; it is not delivered
	Expired   State = "expired"   // its time passed before the device took it
)

// Open reports whether the device may still be given or answer the command.
func (s State) Open() bool {
	return s == Waiting || s == Delivered || s == Deferred || s == Held
}

// New is a command to queue.
type New struct {
	UUID        string // made when empty
	Enrolment   ward.EnrolmentID
	RequestType string
	Body        []byte // the command property list
	Urgent      bool   // goes before all that is not
	First       bool   // goes before all others, urgent ones too
	StepKey     string // the step of the loop that it carries out; empty for a one-shot deed
	Case        ward.CaseID
	Order       ward.OrderID
	By          ward.PersonID // who asked; empty for Ward itself
	NoPush      bool
	Expires     time.Time // from then on it is closed as Expired instead of handed out; zero for never
}

// Record is what is known of a command.
type Record struct {
	Seq         int64
	UUID        string
	Enrolment   ward.EnrolmentID
	RequestType string
	Urgent      bool
	State       State
	StepKey     string
	Case        ward.CaseID
	Order       ward.OrderID
	By          ward.PersonID
	Created     time.Time
	Delivered   time.Time // last hand-out; zero if never
	Deliveries  int
	NotNow      time.Time // last NotNow; zero if never
	Answered    time.Time // zero while open
	Expires     time.Time // zero for never
	Error       string    // the device's reason when refused, or why it was held, withheld or cancelled
}

// Do is what becomes of a command at the moment of its hand-out.
type Do string

// The three things that a guard may say.
const (
	Deliver  Do = "deliver"
	Hold     Do = "hold"     // skip it; it is asked about again when the device connects next
	Withhold Do = "withhold" // close it for good and report it
)

// Verdict is what a guard says of a command. Why is empty for Deliver.
type Verdict struct {
	Do  Do
	Why string // for people
}

// Guard judges a dangerous command at its hand-out, within the unit of work of the
// hand-out: what it writes is kept only if the command is handed out, held or withheld as
// it said. r is the command's record, whose State is Delivered already and whose Deliveries
// count this hand-out. body is what the device would be given.
type Guard func(ctx context.Context, r Record, body []byte) (Verdict, error)

// Queue takes commands for devices. Every method joins the unit of work in ctx.
type Queue interface {
	// Enqueue queues c and owes its enrolment a push unless NoPush is set. It returns
	// the command's UUID. A *ward.Error of kind Conflict means that the enrolment
	// already has a command of that UUID, NotFound that it is unknown or has ended.
	Enqueue(ctx context.Context, c New) (string, error)
	// CancelOpen takes back every open command of the enrolment that match, which may
	// be nil, accepts; it returns how many.
	CancelOpen(ctx context.Context, id ward.EnrolmentID, reason string, match func(Record) bool) (int, error)
}
