// Package brake keeps the journal of dangerous deeds, which nobody can change unseen, and
// holds deeds back that come too fast. Every entry carries a MAC over itself and the one
// before it, under a key that is not in the database; the newest is remembered outside the
// database too, so that rows taken away at the end are missed. It decides nothing about who
// may do what: that is for the parts that record here.
package brake

import (
	"errors"
	"time"

	"github.com/wardmdm/ward"
)

// Kind is a kind of deed. Each has windows of its own.
type Kind string

// The kinds. The first four are carried out by orders, which two people approve; the others
// take one person.
const (
	Erase            Kind = "erase"
	ClearPasscode    Kind = "clear_passcode"
	RemoveManagement Kind = "remove_management"
	LockPIN          Kind = "lock_pin" // lock a Mac with a PIN, outside a case
	Lock             Kind = "lock"
	Report           Kind = "report" // a device reported lost by somebody else than its holder
	Revoke           Kind = "revoke"
	MakeCode         Kind = "recovery_code" // a code by which a holder reports a device without signing in
)

// Kinds lists every kind.
var Kinds = []Kind{Erase, ClearPasscode, RemoveManagement, LockPIN, Lock, Report, Revoke, MakeCode}

// Self is the Note of a Used by which a member of staff reports a device of their own. It
// fills no window of the organisation and is held by none: only PerPerson bounds it, for
// whoever lost a phone must be able to say so while the brake holds an attack.
const Self = "self"

// MaxLift bounds how long windows may be lifted at a time.
const MaxLift = 24 * time.Hour

// ErrTampered is wrapped by every error that says that the journal is not as it was
// written. While it stands nothing is taken, so that destructive commands stay where they
// are.
var ErrTampered = errors.New("brake: the journal is not as it was written")

// ErrCancelled is what Take returns for a delivery that was taken back before.
var ErrCancelled = errors.New("brake: the order was taken back for this device")

// ErrTurn is what TakeWithin returns while a campaign has had its devices of the hour.
var ErrTurn = errors.New("brake: the campaign has had its devices of this hour")

// Event is what an entry of the journal tells.
type Event string

// The events. Requested to Delivered are of orders, Used of deeds by one person.
const (
	Requested Event = "requested" // an order was asked for; Hash is its digest
	Approved  Event = "approved"  // by two people; Hash is the order's digest
	Issued    Event = "issued"    // a command was queued for Enrolment; Hash is the SHA-256 of its body
	Delivered Event = "delivered" // and handed out, for the first time: this is what windows count
	Cancelled Event = "cancelled" // taken back for Enrolment, or as a whole where that is empty
	Used      Event = "used"      // a deed by one person
	Held      Event = "held"      // past a window: everything of the kind holds from here
	Released  Event = "released"  // by the order that Order names; deeds before it no longer count
	Lifted    Event = "lifted"    // the kind's windows do not count until Until, by the order that Order names
	Reset     Event = "reset"     // the operator at the server's console began the chain anew; orders before it are void
)

// Entry is one row of the journal. Its MAC is over every other field and the MAC of the
// entry before.
type Entry struct {
	Seq       int64 // from 1, without a gap
	Event     Event
	Kind      Kind
	At        time.Time // to the microsecond
	Order     ward.OrderID
	Device    ward.DeviceID
	Enrolment ward.EnrolmentID
	Site      string    // of the device at that time
	Person    string    // who did it: a person's id, or "via …" of what is none
	Campaign  bool      // counted against its order's own limit, not the windows
	Hash      string    // of a Used of kind Report: the id of the case that it opened
	Until     time.Time // of Lifted
	Note      string    // for people
	MAC       []byte
}

// Limit bounds how many deeds of a kind there may be within a window.
type Limit struct {
	Window    time.Duration
	Most      int     // deeds
	Share     float64 // of the devices, 0 to 1: where it is more than Most, it counts instead
	PerSite   int     // deeds within one site; 0 for as many as Most
	PerPerson int     // by one person, of those that take one; 0 for as many as Most
}

// Hold says that everything of a kind waits until two people release it.
type Hold struct {
	Kind  Kind
	Since time.Time
	Why   string
	// Involved are the persons who asked for or approved what filled the window, and who
	// asked for or approved what was held.
	Involved []string
}
