package profiles

import (
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/intent"
)

// ProfilePrefix begins the PayloadIdentifier of every profile that Desired can name:
// an installed profile with it that is not desired is Ward's own and is to be removed.
const ProfilePrefix = "org.wardmdm.policy."

// MessagingProfile is the PayloadIdentifier of the messaging profile, the same on
// every device, so that a changed one replaces its predecessor.
const MessagingProfile = ProfilePrefix + "messaging"

// Subject is what Desired needs to know of a device. It stands for the device channel.
type Subject struct {
	Device     ward.Device
	Supervised ward.Supervision
	Rights     ward.AccessRights // zero: not known, taken as all
	Kind       string            // Apple's enrolment type, or an intent.Enrolment of Android; empty means "Device"
	OSVersion  string            // empty: Device.OSVersion is used
	Attests    bool              // its hardware attested the key of its management identity
	Case       *Case             // the open lost case, nil for none
}

// CaseKind says how a device went missing.
type CaseKind string

// The kinds of case.
const (
	CaseLost   CaseKind = "lost"
	CaseStolen CaseKind = "stolen"
)

// Case is an open lost-device case. Empty words fall back to the policy's, then to
// Otherwise, then to Ward's own.
type Case struct {
	ID       ward.CaseID
	Kind     CaseKind
	Message  string
	Phone    string
	Footnote string
	Reported time.Time

	Otherwise LostMode // what the installation says where neither the report nor the policy does
}

// State is what should be true on a device. Its slices and maps are shared between
// devices of a class: callers must not change them.
type State struct {
	// Class is the hash of all that a device of this kind gets, per-device values and an
	// open case apart; "" where no policy is published. Equal hashes are the same result.
	Class string

	Profiles []Profile
	// Declarations are what a device with declarative management holds instead of most
	// profiles; DeclarationsToken names the set, "" for none.
	Declarations      []Declaration
	DeclarationsToken string
	Documents         []Document // what declarations refer to
	Apps              []App
	// Blocked are the apps that the policy keeps off this device, exceptions apart.
	Blocked []catalogue.App
	// WatchApps are the bundle ids to ask about by name in InstalledApplicationList:
	// what is blocked and what is approved, never all that a person has. It is empty
	// where the phone would not answer.
	WatchApps []string
	Posture   intent.Posture
	Excepted  []intent.Exception

	LostMode         *LostMode // supervised phones; nil: lost mode is off
	Lock             *Lock     // other phones, and Macs: one DeviceLock for the case
	Locate           bool      // while in lost mode: once, and every LocateEvery for LocateFor
	RemoveManagement bool      // after the lock was acknowledged
	RevokeApps       bool      // app certificates are void while the case is open
	// LocateEvery is how often a phone in lost mode is asked where it is, for LocateFor after
	// it accepted lost mode. Zero: once.
	LocateEvery, LocateFor time.Duration
	// Signs are what the device is asked about itself while the case is open, to learn
	// whether somebody else uses it.
	Signs []intent.Sign

	Limits []intent.Outcome
}

// Present returns the blocked apps that are among the installed identifiers, compared in
// exact case, in the catalogue's order.
func (s State) Present(installed []string) []catalogue.App {
	if len(s.Blocked) == 0 {
		return nil
	}
	have := make(map[string]bool, len(installed))
	for _, id := range installed {
		have[id] = true
	}
	var found []catalogue.App
	for _, a := range s.Blocked {
		held := func(id catalogue.Identifier) bool { return have[id.ID] }
		if slices.ContainsFunc(a.IOS, held) || slices.ContainsFunc(a.MacOS, held) {
			found = append(found, a)
		}
	}
	return found
}

// Blocks reports whether the device keeps the app with this identifier from running, by
// what the compilers say of its kind.
func (s State) Blocks(identifier string) bool {
	return slices.ContainsFunc(s.Limits, func(o intent.Outcome) bool {
		if o.Verdict != intent.Enforced && o.Verdict != intent.Partly {
			return false
		}
		_, named := slices.BinarySearch(o.Covers, identifier)
		return o.ID == intent.BlockApps && named || o.ID == intent.AllowOnly
	})
}

// Profile is a configuration profile as it is installed. Payload is the same for every
// device of a class, with variables for a device's own values; Hash is the SHA-256 of
// Payload in hexadecimal.
type Profile struct {
	Identifier string
	Hash       string
	Name       string
	Payload    []byte
	// Declared is set for a profile that a declaration brings: no command installs it.
	Declared bool
}

// Declaration is one declaration as a device should hold it. Payload is JSON with
// variables; Token changes exactly when the content does.
type Declaration struct {
	Identifier string
	Type       string
	Token      string
	Payload    []byte
	// App is the bundle id of the app to whose identity the declaration belongs, empty for
	// most. A device that may not have the identity gets Bare for its payload, or where that
	// is nil the declaration not at all.
	App  string
	Bare []byte
}

// Document is what a declaration refers to by {{document:<Hash>}}: a device fetches it, and
// its own values are put in then.
type Document struct {
	Hash        string
	ContentType string
	Data        []byte // with variables
	App         string // bundle id
	// Identity is set for what brings the app's identity, Attested if its key has to be
	// attested by hardware.
	Identity, Attested bool
}

// Document returns the wanted document with this hash.
func (s State) Document(hash string) (Document, bool) {
	i := slices.IndexFunc(s.Documents, func(d Document) bool { return d.Hash == hash })
	if i < 0 {
		return Document{}, false
	}
	return s.Documents[i], true
}

// App returns the wanted app with this bundle id.
func (s State) App(bundle string) (App, bool) {
	i := slices.IndexFunc(s.Apps, func(a App) bool { return a.BundleID == bundle && !a.Remove })
	if i < 0 {
		return App{}, false
	}
	return s.Apps[i], true
}

// Names reports whether the declaration brings the profile with this hash.
func (d Declaration) Names(hash string) bool {
	return strings.Contains(string(d.Payload), "{{profile:"+hash+"}}")
}

// Refers reports whether the declaration refers to the document with this hash.
func (d Declaration) Refers(hash string) bool {
	return strings.Contains(string(d.Payload), "{{document:"+hash+"}}")
}

// LostMode is what EnableLostMode shows. Message is never empty.
type LostMode struct {
	Message, Phone, Footnote string
}

// Lock is what DeviceLock shows, which Apple does only where a passcode is set. A Mac is
// locked with a PIN, which is made for the case and never part of what is wanted.
type Lock struct {
	Message, Phone string
	NeedsPIN       bool
}

// Desired returns what should be true on a device under a policy at a time. A nil
// policy means that none is published: then only a lost case asks for anything. The
// policy must come from Parse.
func Desired(s Subject, p *Policy, now time.Time) State {
	var st State
	if p != nil {
		class := ClassOf(s, p, now)
		st = p.forClass(class, s, now).state
		st.Apps = p.dated(st.Apps, now)
		withinRights(&st, s, class)
	}
	if s.Case != nil {
		missing(&st, s, p)
	}
	return st
}

// dated marks the apps whose review is overdue, in a copy.
func (p *Policy) dated(apps []App, now time.Time) []App {
	for _, a := range p.Register {
		if !a.Overdue(now) {
			continue
		}
		apps = slices.Clone(apps)
		for i := range apps {
			apps[i].Overdue = p.overdue(apps[i].Name, now)
		}
		return apps
	}
	return apps
}

func (p *Policy) overdue(app string, now time.Time) bool {
	for _, a := range p.Register {
		if a.Name == app {
			return a.Overdue(now)
		}
	}
	return false
}
