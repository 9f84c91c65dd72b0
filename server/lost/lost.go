// Package lost runs the case of a lost or stolen device: the report that locks it, the
// timeline of what truly happened, the deeds that one person may do meanwhile, the
// proposal of an erase when its time has come, the assessment of what the loss put at risk,
// rehearsals, and the end of the case. It decides no command of the loop: a case changes
// what is desired of the device, and the planner does the rest. It never erases: that is
// for orders, which two people approve.
package lost

import (
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
)

// Kind says how a device went missing.
type Kind string

// The kinds of cases.
const (
	Lost   Kind = "lost"
	Stolen Kind = "stolen"
)

// State is where a case stands.
type State string

// The states of a case. A device has at most one open case; a dry rehearsal is never open,
// so that it stands in no real case's way.
const (
	Open      State = "open"
	Rehearsal State = "rehearsal" // of a dry drill: nothing is sent or revoked
	Found     State = "found"
	Closed    State = "closed"
)

// Answer is what a reporter knows: yes, no, or nothing.
type Answer string

// The answers.
const (
	Unknown Answer = ""
	Yes     Answer = "yes"
	No      Answer = "no"
)

// Drill says whether a case is a rehearsal.
type Drill string

// The kinds of rehearsals.
const (
	Real Drill = ""     // a device is missing
	Dry  Drill = "dry"  // nothing is sent or revoked: the timeline says what would be
	Live Drill = "live" // everything is done, on a device that is kept for rehearsals
)

// How the reporter of a case was known.
const (
	BySignIn    = "signed in"
	ByCode      = "recovery code"
	NotRecorded = "not recorded"
)

// Case is one device that is missing, or was.
type Case struct {
	ID            ward.CaseID
	Device        ward.DeviceID
	Kind          Kind
	State         State
	ReportedBy    ward.PersonID // empty when no person reported it
	ReportedName  string
	Identified    string // how the reporter was known, in words; NotRecorded if nobody said
	Reported      time.Time
	LastSeenWhere string    // in the reporter's words
	LastSeenAt    time.Time // by a person; zero if not told
	WasUnlocked   Answer
	DataOpen      Answer // whether patient data was open on it
	Note          string
	Drill         Drill
	Found         time.Time // zero until found
	Closed        time.Time // zero until closed

	// Aware is when the organisation became aware of the loss: Reported, unless a person
	// set it otherwise. The 72 hours of the assessment run from it.
	Aware time.Time

	Message  string // what the lost device shows; empty: what the policy or the installation says
	Phone    string
	Footnote string

	Located time.Time // when a location was last received; zero if none is kept. See ViewLocation
}

// Words says of a drill that it is one; it is empty for a real case.
func (d Drill) Words() string {
	switch d {
	case Dry:
		return "Dry run"
	case Live:
		return "Drill"
	case Real:
	}
	return ""
}

// Location is where a lost device said it was. It is personal data: it is taken only
// while a case is open, each look is audited, and it is deleted by retention.
type Location struct {
	Lat      float64 // degrees north
	Lon      float64 // degrees east
	Accuracy float64 // metres; negative if the device could not tell
	At       time.Time
	Received time.Time
}

// EventKind says what an entry of a timeline is about.
type EventKind string

// The kinds of entries. EventCommand is made from the queue, the others are kept.
const (
	EventReported      EventKind = "reported"
	EventReportedAgain EventKind = "reported again"
	EventRevoked       EventKind = "certificates revoked"
	EventWould         EventKind = "would be done" // of a dry run
	EventAsked         EventKind = "asked of the device"
	EventLocateAsked   EventKind = "location asked for"
	EventLocated       EventKind = "location received"
	EventLooked        EventKind = "location looked at"
	EventProposed      EventKind = "erase proposed"
	EventNotProposed   EventKind = "erase not proposed"
	EventReminded      EventKind = "reminder"
	EventAware         EventKind = "time of awareness set"
	EventDecided       EventKind = "decided"
	EventNotErased     EventKind = "not erased"
	EventFound         EventKind = "found"
	EventClosed        EventKind = "closed"
	EventCommand       EventKind = "command"
)

// Event is one entry of a case's timeline.
type Event struct {
	At     time.Time
	Kind   EventKind
	Text   string        // for people; British English, never a location
	Person ward.PersonID // who did it; empty for Ward or a device
	Name   string

	Command string       // UUID; of EventCommand, and of what asked for one
	Purpose string       // why a location was asked for or looked at
	Serials []string     // of the certificates that were revoked
	Order   ward.OrderID // that was proposed

	// Of EventCommand only:
	RequestType string
	State       command.State
	Answered    time.Time // zero while open
}
