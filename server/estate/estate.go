// Package estate knows the posture of every device: now, and at any past time. It keeps each
// change of a posture for good, and an index of the present in memory that follows the
// record, so that lists, counts and trends of a large fleet agree with each other and cost
// little. It judges nothing: that is for package compliance; and it sends no command.
package estate

import (
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
)

// Device is a device with its posture at one time.
type Device struct {
	ID ward.DeviceID

	// What the device is called, whose it is and what it is, always of now: history keeps
	// no name of a person.
	Name   string
	Serial string
	Owner  string
	Email  string
	Model  string
	Role   string // of the staff it is meant for

	// Where it belonged and what it was at that time.
	Site       string
	Group      string // the ward or team
	Platform   ward.Platform
	OSVersion  string
	Ownership  ward.Ownership
	Supervised ward.Supervision
	Managed    bool // an enrolment was active

	State    compliance.State
	Since    time.Time // since when it is in this state
	Findings []Finding // the worst first
	Apps     []string  // slugs of the catalogue's messaging apps on it, blocked or not, sorted
	Approved []AppStanding
	LastSeen time.Time // of a past time: as known at the last change or midnight before it
	Enrolled time.Time // zero if never
	Told     time.Time // the oldest fact that the judgement rests on; zero if there is none
}

// Finding is one reason for a state. Of a past time, Text and Cure may be those of Words.
type Finding struct {
	State   compliance.State `json:"state"`
	Code    string           `json:"code"`
	Subject string           `json:"subject,omitempty"`
	Text    string           `json:"text,omitempty"`
	Cure    string           `json:"cure,omitempty"`
	Since   time.Time        `json:"since,omitzero"` // since when it was found here
	Until   time.Time        `json:"until,omitzero"` // when its grace ends; zero where it has none
}

// AppStanding is how an approved app that the policy wants stands on a device.
type AppStanding struct {
	Bundle      string `json:"bundle"`
	Installed   bool   `json:"installed,omitempty"`
	Certificate bool   `json:"certificate,omitempty"` // it has a valid one, or needs none
}

// Ready reports whether the app is there with what it needs.
func (a AppStanding) Ready() bool { return a.Installed && a.Certificate }

// Reason returns the text of the worst finding, "" for a compliant device.
func (d *Device) Reason() string {
	if len(d.Findings) == 0 {
		return ""
	}
	f := d.Findings[0]
	if f.Text == "" {
		f.Text, _ = Words(f.Code, f.Subject)
	}
	return f.Text
}

// Attention orders the states by how soon somebody should look.
var Attention = []compliance.State{
	compliance.Lost, compliance.NonCompliant, compliance.InGrace, compliance.Unknown, compliance.Pending, compliance.Compliant, compliance.Retired,
}

// Snapshot is every device at one time, in the order of Attention, then by name as people
// order names, then by id. It is not changed after it was made; counts and lists that are
// taken from the same one agree.
type Snapshot struct {
	At      time.Time
	Now     bool // At is the present
	Devices []*Device

	entries []*entry // the same devices with what a search looks into; nil where it is not at hand
	memo    *memo    // what was found among them; nil keeps nothing
}

// Change is one change of a device's posture: the whole posture after it.
type Change struct {
	Seq    int64
	At     time.Time
	Device Device
}

// Day is what the devices of a cut came to at the end of one day, UTC.
type Day struct {
	Day                        time.Time // midnight at which it began
	Devices                    int       // all but those retired or never enrolled
	States                     map[compliance.State]int
	Blocked                    int // devices on which at least one blocked app is
	AppReady                   int // devices on which every approved app they should have is ready
	AppWant                    int // devices that should have one
	NotSeen7, NotSeen30, OldOS int
}

// Cut says of which devices a trend or a statistic is: of all for the zero Cut, else of
// those with this value of one dimension.
type Cut struct {
	By    Dimension
	Value string
}

// Dimension is what devices are divided by.
type Dimension string

// The dimensions.
const (
	Everything Dimension = ""
	BySite     Dimension = "site"
	ByGroup    Dimension = "group"
	ByPlatform Dimension = "platform"
	ByOwner    Dimension = "ownership"
	ByApp      Dimension = "app" // a blocked app, by its slug: Day.Blocked is of that app alone
)

// Removal tells how long blocked apps stayed, of those that went in a span of time.
type Removal struct {
	Removed  int           // how many times one went
	P50, P95 time.Duration // from when it was first seen to when it was seen to be gone
	Present  int           // where one is still there at the end of the span
	Oldest   time.Time     // since when the longest of these is there; zero where none is
}
