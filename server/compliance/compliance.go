// Package compliance says of one device, from what is wanted and what it has told,
// whether it complies and in words why not. It is pure: no database, no clock, and it
// never counts what is not known as compliant.
package compliance

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
)

// State is the verdict on a device; the worst finding decides.
type State string

// The states, from best to worst.
const (
	Compliant    State = "compliant"
	Pending      State = "pending"       // what is wanted is on its way
	Unknown      State = "unknown"       // it never told, or too long ago
	NonCompliant State = "non-compliant" // it told, and it is not as it should be
	Lost         State = "lost"
	Gone         State = "gone" // unenrolled or erased
)

// Finding is one reason, with what would put it right.
type Finding struct {
	State State
	Code  string // stable, for machines: "blocked-app-present"
	Text  string
	Cure  string // empty where nothing is to be done
	Since time.Time
}

// Assessment is the verdict with its reasons, the worst first.
type Assessment struct {
	State    State
	Findings []Finding
}

// Reason returns the first reason's text, or "" for a compliant device.
func (a Assessment) Reason() string {
	if len(a.Findings) == 0 {
		return ""
	}
	return a.Findings[0].Text
}

// TooOld is how long what a device told counts as known.
const TooOld = 72 * time.Hour

var severity = []State{Compliant, Pending, Unknown, NonCompliant, Lost, Gone}

// Assess judges a device. A nil policy wants nothing yet.
func Assess(v reconcile.View, p *profiles.Policy, now time.Time) Assessment {
	a := assessor{v: v, p: p, now: now}
	a.management()
	if v.Enrolment.State == ward.EnrolmentActive && v.Device.State != ward.Erased {
		a.contact()
		a.blockedApps()
		a.profiles()
		a.apps()
		a.passcode()
		a.refused()
	}
	slices.SortStableFunc(a.found, func(x, y Finding) int {
		return slices.Index(severity, y.State) - slices.Index(severity, x.State)
	})
	out := Assessment{State: Compliant, Findings: a.found}
	if len(a.found) > 0 {
		out.State = a.found[0].State
	}
	return out
}

type assessor struct {
	v     reconcile.View
	p     *profiles.Policy
	now   time.Time
	found []Finding
}

func (a *assessor) add(s State, code string, since time.Time, cure, format string, args ...any) {
	a.found = append(a.found, Finding{State: s, Code: code, Text: fmt.Sprintf(format, args...), Cure: cure, Since: since})
}

// Stamp prints a time as people read it everywhere in Ward.
func Stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2 Jan 2006 15:04:05 UTC")
}

func (a *assessor) management() {
	d, e := a.v.Device, a.v.Enrolment
	switch {
	case d.State == ward.Erased:
		a.add(Gone, "erased", a.v.EraseAccepted, "Invite it again if it was found.", "%s", ErasedWords(a.v.EraseAccepted, a.v.Enrolment.LastSeen))
	case a.v.Case != nil:
		a.add(Lost, "lost", a.v.Case.Reported, "Mark it found when it is back.", "Reported %s on %s.", a.v.Case.Kind, Stamp(a.v.Case.Reported))
	}
	switch {
	case e.State == ward.EnrolmentPending:
		a.add(Unknown, "enrolling", e.LastSeen, "", "It is enrolling.")
	case e.State == ward.EnrolmentActive || d.State == ward.Erased:
	case d.State == ward.Invited:
		a.add(Unknown, "not-enrolled", d.Created, "The invitation's link enrols it.", "Invited, not enrolled yet.")
	default:
		a.add(Gone, "unenrolled", e.Ended, "Invite it again to manage it.", "No longer managed: %s.", reason(e.EndReason))
	}
}

func reason(s string) string {
	if s == "" {
		return "its management ended"
	}
	return s
}

// ErasedWords says what is known of a device that accepted an erase at t and was last
// heard from at seen.
func ErasedWords(t, seen time.Time) string {
	if seen.After(t.Add(time.Minute)) {
		return fmt.Sprintf("erase accepted by the device at %s, but it was seen again at %s", Stamp(t), Stamp(seen))
	}
	return fmt.Sprintf("erase accepted by the device at %s, not seen since", Stamp(t))
}

func (a *assessor) contact() {
	e := a.v.Enrolment
	if a.v.Device.Group == fleet.QuarantineGroup {
		a.add(Unknown, "quarantined", e.Enrolled, "Move it to a group, and it gets the policy: ward device move.", "Adopted from another server; it waits for a person to sort it.")
		return
	}
	if a.v.Got.Information == nil {
		a.add(Unknown, "never-told", e.Enrolled, "It is asked and answers when it is next awake.", "It has not told anything about itself yet.")
		return
	}
	if a.now.Sub(e.LastSeen) > TooOld {
		a.add(Unknown, "not-seen", e.LastSeen, "Ask its owner to connect it to a network.", "Not seen since %s.", Stamp(e.LastSeen))
	}
}

func (a *assessor) blockedApps() {
	if a.p == nil || len(a.v.Want.WatchApps) == 0 {
		return
	}
	apps := a.v.Got.Apps
	if apps == nil || a.now.Sub(apps.At) > TooOld {
		a.add(Unknown, "apps-unknown", time.Time{}, "It is asked for its apps when it is next awake.", "Which apps are installed is not known.")
		return
	}
	ids := make([]string, len(apps.Value))
	for i, app := range apps.Value {
		ids[i] = app.BundleID
	}
	present := profiles.Present(ids, a.p)
	if len(present) == 0 {
		return
	}
	names := make([]string, len(present))
	for i, app := range present {
		names[i] = app.Name
	}
	list := strings.Join(names, ", ")
	if a.blocks() {
		return // it is there, but it can't be opened
	}
	a.add(NonCompliant, "blocked-app-present", apps.At, "Ask the person to delete it: Apple lets only supervised iPhones block apps.", "Has %s, which the policy blocks.", list)
}

// blocks reports whether the device enforces the block and has the profile.
func (a *assessor) blocks() bool {
	if a.v.Got.Supervised() != ward.Supervised {
		return false
	}
	for _, w := range a.v.Want.Profiles {
		if w.Identifier == profiles.MessagingProfile {
			return a.v.HasProfile(w)
		}
	}
	return false
}

func (a *assessor) profiles() {
	for _, w := range a.v.Want.Profiles {
		if !a.v.HasProfile(w) {
			a.add(Pending, "profile-missing", time.Time{}, "It is installed when the device is next awake.", "The profile %q is not installed yet.", w.Name)
		}
	}
}

func (a *assessor) apps() {
	for _, w := range a.v.Want.Apps {
		if w.Remove || a.v.Case != nil {
			continue
		}
		if w.Overdue {
			a.add(Pending, "review-overdue", time.Time{}, "Review the app and publish the policy with a new date.", "The review of %s is overdue.", w.Name)
		}
		if !a.manages(w.BundleID) {
			a.add(Pending, "app-missing", time.Time{}, "It is installed when the device is next awake; an unsupervised phone asks its owner first.", "%s is not installed yet.", w.Name)
			continue
		}
		if c := a.v.Got.Credentials[w.BundleID]; w.NeedsCertificate && !c.ValidUntil.After(a.now) {
			a.add(Pending, "app-certificate-missing", c.Revoked, "The app fetches one when it is next opened.", "%s has no valid certificate.", w.Name)
		}
	}
}

func (a *assessor) manages(bundle string) bool {
	return a.v.Got.Managed != nil && slices.ContainsFunc(a.v.Got.Managed.Value, func(m fleet.ManagedApp) bool {
		return m.BundleID == bundle && m.Status == "Managed"
	})
}

func (a *assessor) passcode() {
	s := a.v.Got.Security
	switch {
	case a.v.Got.Information == nil: // said already: it has told nothing
	case s == nil || s.Value.PasscodePresent == nil || a.now.Sub(s.At) > TooOld:
		a.add(Unknown, "passcode-unknown", time.Time{}, "It is asked when it is next awake.", "Whether it has a passcode is not known.")
	case !*s.Value.PasscodePresent:
		a.add(NonCompliant, "no-passcode", s.At, "Ask the person to set one in Settings, Face ID & Passcode.", "It has no passcode, so its storage is not protected.")
	}
}

func (a *assessor) refused() {
	for _, t := range a.v.Attempts {
		if (t.State == command.Refused || t.State == command.Withheld) && a.v.Concerns(t.Key) {
			step, _, _ := strings.Cut(t.Key, ":")
			a.add(NonCompliant, "step-refused", t.Answered, "", "The device refused %s: %s.", strings.ReplaceAll(step, "-", " "), strings.TrimSuffix(t.Error, "."))
		}
	}
}
