// Package order is the engine of destructive orders: deeds that can't be undone,
// such as erasing a phone. One person asks, a second person approves exactly that
// order, and only then is a command queued, for the enrolments that were named. It
// speaks no protocol, and it never acts for one person alone.
package order

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
)

// Kind is the deed that an order is for.
type Kind string

// The kinds of orders.
const (
	Erase         Kind = "erase"
	ClearPasscode Kind = "clear_passcode"
)

// State is where an order stands.
type State string

// The states of an order. Only Requested can still be approved; only Requested and
// Issued can be cancelled.
const (
	Requested State = "requested"
	Issued    State = "issued" // approved, and its commands are queued
	Refused   State = "refused"
	Cancelled State = "cancelled"
	Expired   State = "expired"
)

// Outcome is what became of an order on one device, in words that are true: a
// device accepts an erase before it does it.
type Outcome string

// The outcomes. The empty outcome means that nothing was queued yet.
const (
	Waiting    Outcome = "waiting"    // queued, not yet fetched
	Delivered  Outcome = "delivered"  // fetched, not yet answered
	Deferred   Outcome = "not now"    // the device asked to be asked later
	Accepted   Outcome = "accepted"   // by the device, at Target.Answered
	Declined   Outcome = "refused"    // by the device, for the reason in Target.Error
	Superseded Outcome = "superseded" // the enrolment that the order named is gone
	TakenBack  Outcome = "cancelled"  // before the device had fetched it
	Withheld   Outcome = "withheld"   // its row in the queue failed its seal
)

// Final reports whether the outcome can't change any more.
func (o Outcome) Final() bool {
	switch o {
	case "", Waiting, Delivered, Deferred:
		return false
	}
	return true
}

// Options of an order. Source: Apple, command EraseDevice.
type Options struct {
	PreserveDataPlan       bool // keep the mobile data plan of an eSIM; kind Erase, iOS
	DisallowProximitySetup bool // no set-up by a phone held near it; kind Erase, iOS
}

// Target is one device of an order.
type Target struct {
	Device    ward.DeviceID
	Enrolment ward.EnrolmentID // the epoch at the time of the request: no other is reached
	Name      string           // of the device at the time of the request

	Outcome   Outcome
	Command   string    // UUID of the queued command; empty if none was
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
	if t.Outcome.Final() {
		t.Answered, t.Error = answered, reason
	}
}

// outcomeOf says a command's state as an outcome.
func outcomeOf(s command.State) Outcome { return Outcome(s) }

// Approval is one person's yes to one order.
type Approval struct {
	Order  ward.OrderID
	Hash   string // of the order that the person was shown
	Person ward.PersonID
	Name   string
	Via    ward.Via
	Token  string // id of the token it came by; empty for a session
	At     time.Time
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
// approvals and the outcomes of its targets: a change is a new order.
type Order struct {
	ID            ward.OrderID
	Kind          Kind
	Targets       []Target // in order of their device ids
	Options       Options
	Reason        string
	Case          ward.CaseID // empty outside a case
	Hash          string      // see Digest
	RequestedBy   ward.PersonID
	RequestedName string
	State         State
	Created       time.Time
	Expires       time.Time // it can't be approved from then on
	Approvals     []Approval
	Closing       Closing
}

// Digest returns the lower-case hexadecimal SHA-256 of the order's canonical JSON: id,
// kind, targets (device, enrolment, name), options, reason, case and requester, in that
// order, without white space. An approval is for this value. The id makes it unique, so
// that a yes to one order is never a yes to its twin.
func (o Order) Digest() (string, error) {
	type target struct {
		Device    ward.DeviceID    `json:"device"`
		Enrolment ward.EnrolmentID `json:"enrolment"`
		Name      string           `json:"name"`
	}
	type options struct {
		PreserveDataPlan       bool `json:"preserve_data_plan"`
		DisallowProximitySetup bool `json:"disallow_proximity_setup"`
	}
	targets := make([]target, len(o.Targets))
	for i, t := range o.Targets {
		targets[i] = target{t.Device, t.Enrolment, t.Name}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(struct {
		ID          ward.OrderID  `json:"id"`
		Kind        Kind          `json:"kind"`
		Targets     []target      `json:"targets"`
		Options     options       `json:"options"`
		Reason      string        `json:"reason"`
		Case        ward.CaseID   `json:"case"`
		RequestedBy ward.PersonID `json:"requested_by"`
	}{o.ID, o.Kind, targets, options(o.Options), o.Reason, o.Case, o.RequestedBy})
	if err != nil {
		return "", fmt.Errorf("digest of order %s: %w", o.ID, err)
	}
	sum := sha256.Sum256(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	return hex.EncodeToString(sum[:]), nil
}
