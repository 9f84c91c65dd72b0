// Package lost runs the case of a lost or stolen device: the report that locks it,
// the brake on such reports, the timeline of what truly happened, and the end of the
// case. It decides no command: a case changes what is desired of the device, and
// the planner does the rest. It never erases.
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

// The states of a case. A device has at most one open case.
const (
	Open   State = "open"
	Found  State = "found"
	Closed State = "closed"
)

// Answer is what a reporter knows: yes, no, or nothing.
type Answer string

// The answers.
const (
	Unknown Answer = ""
	Yes     Answer = "yes"
	No      Answer = "no"
)

// Case is one device that is missing, or was.
type Case struct {
	ID            ward.CaseID
	Device        ward.DeviceID
	Kind          Kind
	State         State
	ReportedBy    ward.PersonID // empty when no person reported it
	ReportedName  string
	Reported      time.Time
	LastSeenWhere string    // in the reporter's words
	LastSeenAt    time.Time // by a person; zero if not told
	WasUnlocked   Answer
	Note          string
	Found         time.Time // zero until found
	Closed        time.Time // zero until closed

	Message  string // what the lost device shows
	Phone    string
	Footnote string

	Located time.Time // when a location was last received; zero if none is kept. See ViewLocation
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
	EventLocated       EventKind = "location received"
	EventLooked        EventKind = "location looked at"
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

	// Of EventCommand only:
	Command     string // UUID
	RequestType string
	State       command.State
	Answered    time.Time // zero while open
}
