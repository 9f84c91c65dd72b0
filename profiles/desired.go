package profiles

import (
	"strings"
	"time"

	"github.com/wardmdm/ward"
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
	Kind       string            // Apple's enrolment type; empty means "Device"
	OSVersion  string            // empty: Device.OSVersion is used
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
// Ward's own.
type Case struct {
	ID       ward.CaseID
	Kind     CaseKind
	Message  string
	Phone    string
	Footnote string
	Reported time.Time
}

// State is what should be true on a device. Its slices and maps are shared between
// devices of a class: callers must not change them.
type State struct {
	Profiles []Profile
	Apps     []App
	// WatchApps are the bundle ids to ask about by name in InstalledApplicationList:
	// what is blocked and what is approved, never all that a person has. It is empty
	// where the phone would not answer.
	WatchApps []string

	LostMode         *LostMode // supervised phones; nil: lost mode is off
	Lock             *Lock     // other phones: one DeviceLock for the case
	Locate           bool      // once, while in lost mode
	RemoveManagement bool      // after the lock was acknowledged
	RevokeApps       bool      // app certificates are void while the case is open

	Limits []Limit
}

// Profile is a configuration profile as it is installed. Payload is the same for every
// device of a class; Hash is the SHA-256 of Payload in hexadecimal.
type Profile struct {
	Identifier string
	Hash       string
	Name       string
	Payload    []byte
}

// App is an approved app as a device should have it.
type App struct {
	Name     string
	BundleID string
	// StoreID or ManifestURL says where it comes from; ManifestURL is a template for
	// RenderText.
	StoreID     int64
	ManifestURL string
	Config      map[string]any // template for Render; nil for none
	// Hash covers all that the policy says of the app, never rendered values: a new
	// token does not change it.
	Hash             string
	Required         bool // the person can't remove it
	NeedsCertificate bool
	NoBackup         bool // kept out of backups: ManagementFlags 4
	Overdue          bool // past its review date
	Remove           bool // to be removed with its data instead of installed
}

// LostMode is what EnableLostMode shows. Message is never empty.
type LostMode struct {
	Message, Phone, Footnote string
}

// Lock is what DeviceLock shows, which Apple does only where a passcode is set.
type Lock struct {
	Message, Phone string
}

// Words for a finder when neither the case nor the policy has any.
const defaultMessage = "This phone has been reported lost. It can't be used. Please hand it in to the organisation it belongs to."

// Desired returns what should be true on a device under a policy at a time. A nil
// policy means that none is published: then only a lost case asks for anything. The
// policy must come from Parse.
func Desired(s Subject, p *Policy, now time.Time) State {
	var st State
	class := ClassOf(s)
	if p != nil {
		c := p.forClass(class)
		st.Profiles, st.Limits, st.WatchApps = c.profiles, c.limits, p.watch
		st.Apps = dated(p, now)
		if class.Platform != ward.IOS {
			st.Apps, st.WatchApps = nil, nil
		}
		if class.UserEnrolment {
			st.WatchApps = nil
		}
		withinRights(&st, s, class)
	}
	if s.Case != nil && class.Platform == ward.IOS {
		missing(&st, s, class, p)
	}
	return st
}

// dated returns the policy's apps, marked where the review is overdue.
func dated(p *Policy, now time.Time) []App {
	for i := range p.Approved {
		if !p.Approved[i].Overdue(now) {
			continue
		}
		apps := append([]App(nil), p.apps...)
		for j := range apps {
			apps[j].Overdue = p.Approved[j].Overdue(now)
		}
		return apps
	}
	return p.apps
}

// missing adds what an open case asks for. A personal phone is locked and let go, and
// never located; a work phone keeps its management, so that it stays within reach.
func missing(st *State, s Subject, class Class, p *Policy) {
	st.RevokeApps = true
	words := caseWords(s.Case, p)
	lock := &Lock{Message: words.Message, Phone: words.Phone}
	switch {
	case class.Ownership == ward.Personal || class.UserEnrolment:
		st.Lock, st.RemoveManagement = lock, true
	case class.Supervised:
		st.LostMode, st.Locate = &words, true
	default:
		st.Lock = lock
		if s.Case.Kind == CaseStolen {
			st.Apps = removed(st.Apps)
		}
	}
}

// removed takes the apps and their data off a stolen phone that has no lost mode.
func removed(apps []App) []App {
	out := make([]App, len(apps))
	for i, a := range apps {
		a.Remove = true
		out[i] = a
	}
	return out
}

func caseWords(c *Case, p *Policy) LostMode {
	var of LostWords
	if p != nil {
		of = p.Lost
	}
	return LostMode{
		Message:  first(c.Message, of.Message, defaultMessage),
		Phone:    first(c.Phone, of.Phone),
		Footnote: first(c.Footnote, of.Footnote),
	}
}

func first(words ...string) string {
	for _, w := range words {
		if w = strings.TrimSpace(w); w != "" {
			return w
		}
	}
	return ""
}
