// Package ward holds the words that every part shares: identifiers, devices and
// their enrolments, who is acting, and the error that people may read. It stands
// on the standard library alone, does no I/O, and knows no JSON or SQL.
package ward

import "time"

// DeviceID names a device, the asset that has an owner. It never changes.
type DeviceID string

// EnrolmentID names one enrolment epoch of a device: what was queued for one
// epoch can never reach another.
type EnrolmentID string

// PersonID names a person. Approvals count these, never accounts or tokens.
type PersonID string

// CaseID names a lost-device case.
type CaseID string

// OrderID names an order for a destructive deed.
type OrderID string

// Platform is an operating system family.
type Platform string

// The platforms Ward knows.
const (
	IOS     Platform = "ios"
	MacOS   Platform = "macos"
	Android Platform = "android"
	Windows Platform = "windows"
	Linux   Platform = "linux"
)

// Ownership says whose device it is. A personal device is never erased.
type Ownership string

// The two kinds of ownership.
const (
	Corporate Ownership = "corporate"
	Personal  Ownership = "personal"
)

// Valid reports whether o is one of the two kinds.
func (o Ownership) Valid() bool { return o == Corporate || o == Personal }

// DeviceState is the management state of a device, in words shown to people.
type DeviceState string

// The states of a device.
const (
	Invited    DeviceState = "invited"    // an invitation is out, no enrolment yet
	Managed    DeviceState = "managed"    // enrolled, commands can reach it
	Lost       DeviceState = "lost"       // an open case says so
	Unenrolled DeviceState = "unenrolled" // it checked out or its management was removed
	Erased     DeviceState = "erased"     // an erase was accepted and it has not been seen since
)

// Device is the asset: it outlives every enrolment.
type Device struct {
	ID        DeviceID
	Serial    string // empty until the device has told it
	Name      string
	Platform  Platform
	Model     string // Apple's product name, such as iPhone15,4; empty if unknown
	OSVersion string // as last reported; empty if unknown
	Ownership Ownership
	Group     string // the ward or team it works in; empty if none was given
	Site      string // the building or campus it belongs to; empty if none was given
	Role      string // the staff role it is meant for, such as "nurse"; empty if none was given
	Owner     string // display name of the member of staff; empty for a shared device
	Email     string
	State     DeviceState
	Created   time.Time
}

// EnrolmentState is the state of one channel to a device.
type EnrolmentState string

// The states of an enrolment.
const (
	EnrolmentPending EnrolmentState = "pending" // Authenticate seen, TokenUpdate not yet
	EnrolmentActive  EnrolmentState = "active"  // commands are delivered
	EnrolmentEnded   EnrolmentState = "ended"   // checked out, erased, replaced or retired
)

// Enrolment is one channel to a device for one epoch.
type Enrolment struct {
	ID         EnrolmentID
	Device     DeviceID // empty for a channel that no device is bound to yet
	Channel    string   // UDID or EnrollmentID, with ":user" for a user channel
	Kind       string   // Apple's enrolment type, such as "Device"
	Epoch      int64    // counts enrolments of the same channel from 1
	State      EnrolmentState
	Supervised Supervision
	Rights     AccessRights
	Invitation string // the invitation it came by; empty for an adopted device
	Topic      string
	Enrolled   time.Time // first TokenUpdate; zero while pending
	Ended      time.Time // zero while it lives
	EndReason  string
	LastSeen   time.Time // zero if never
}

// Supervision is what is known of an Apple device's supervision.
type Supervision string

// Unknown supervision is treated as unsupervised: less is then promised.
const (
	SupervisionUnknown Supervision = ""
	Supervised         Supervision = "supervised"
	Unsupervised       Supervision = "unsupervised"
)
