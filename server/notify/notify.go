// Package notify tells the people on call what can't wait: a brake that holds, an erase of
// a device in use, a forged command, a deadline. A message is kept in the unit of work of
// what it tells of, and sent after it by e-mail and webhook until it arrives or is given up.
// It says nothing to devices.
package notify

import (
	"slices"
	"time"

	"github.com/wardmdm/ward"
)

// Topic is what a message is about.
type Topic string

// The topics.
const (
	BrakeHeld     Topic = "brake.held"
	BrakeReleased Topic = "brake.released"
	OrderWaiting  Topic = "order.waiting"  // an order waits for approval
	OrderCooling  Topic = "order.cooling"  // an erase of a device in use was approved and waits
	OrderIssued   Topic = "order.issued"   // it was carried out
	BreakGlass    Topic = "break-glass"    // the sealed key was used: told to everyone
	Forged        Topic = "command.forged" // something stood in the queue that nobody ordered
	Tampered      Topic = "journal.tampered"
	CaseOpened    Topic = "case.opened"
	CaseFound     Topic = "case.found"     // somebody says that a lost device was found
	CaseEscalated Topic = "case.escalated" // a wipe is proposed
	CaseDeadline  Topic = "case.deadline"  // of the breach assessment
	ApproverAdded Topic = "approver.added"
	ApproverEnded Topic = "approver.ended"
	Cancelled     Topic = "orders.cancelled" // cancel-all was used
	Expiry        Topic = "expiry"           // a certificate that the server lives on ends soon
	NonCompliant  Topic = "device.noncompliant"
	Compliant     Topic = "device.compliant" // it was non-compliant, and is no more
	Test          Topic = "test"
)

// Topics lists every topic, in the order in which they are shown.
func Topics() []Topic {
	return []Topic{
		BrakeHeld, BrakeReleased, OrderWaiting, OrderCooling, OrderIssued, BreakGlass, Forged, Tampered,
		CaseOpened, CaseFound, CaseEscalated, CaseDeadline, ApproverAdded, ApproverEnded, Cancelled, Expiry, NonCompliant, Compliant, Test,
	}
}

// Valid reports whether t is a topic that exists.
func (t Topic) Valid() bool { return slices.Contains(Topics(), t) }

// Asked reports whether t is told to those webhooks alone that name it: what happens all day
// long wakes nobody, and fills no chat that did not ask for it.
func (t Topic) Asked() bool { return t == NonCompliant || t == Compliant }

// Message is one thing to tell. Its texts hold no location and no patient data.
type Message struct {
	ID       string // made when empty; what was told once under an id is not told again
	Topic    Topic
	Subject  string // one line
	Body     string // plain text, a few sentences
	Link     string // path of the page that tells more, such as /orders/x; empty for none
	Order    ward.OrderID
	Case     ward.CaseID
	Device   ward.DeviceID
	Urgent   bool // wakes people: the subject says so
	Everyone bool // also to every person with an e-mail address who may sign in
	At       time.Time
}
