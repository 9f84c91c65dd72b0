// Package compliance says of one device, from what is wanted and what it has told,
// whether it complies and in words why not. It is pure: no database, no clock, and it
// never counts what is not known as compliant.
package compliance

import (
	"fmt"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/reconcile"
)

// State is the verdict on a device; the worst finding decides.
type State string

// The states, from best to worst.
const (
	Compliant    State = "compliant"
	Pending      State = "pending"       // what is wanted is on its way
	InGrace      State = "in grace"      // it is not as it should be, and has time left to become so
	Unknown      State = "unknown"       // it never told, or too long ago
	NonCompliant State = "non-compliant" // it told, and it is not as it should be
	Lost         State = "lost"
	Retired      State = "retired" // unenrolled or erased
)

// CodeBlockedApp is the code of the finding that an app is there which the policy blocks; its
// subject is the app.
const CodeBlockedApp = "blocked-app-present"

// Finding is one reason, with what would put it right.
type Finding struct {
	State State
	Code  string // stable, for machines: "blocked-app-present"
	// Subject is what it is about: the slug of a blocked app, the bundle of an approved one,
	// the identifier of a profile or declaration; empty where it is the device itself.
	Subject string
	Text    string
	Cure    string    // empty where nothing is to be done
	Since   time.Time // zero where it is not recorded
	Until   time.Time // when its grace ends; zero where it has none
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

var severity = []State{Compliant, Pending, InGrace, Unknown, NonCompliant, Lost, Retired}

// Assess judges a device by what is wanted of it in the view.
func Assess(v reconcile.View, now time.Time) Assessment {
	a := assessor{v: v, now: now}
	a.management()
	if v.Enrolment.State == ward.EnrolmentActive && v.Device.State != ward.Erased {
		a.contact()
		a.blockedApps()
		a.profiles()
		a.apps()
		a.passcode()
		a.system()
		a.refused()
	}
	slices.SortStableFunc(a.found, func(x, y Finding) int {
		return slices.Index(severity, y.State) - slices.Index(severity, x.State)
	})
	out := Assessment{State: Compliant, Findings: a.found}
	if len(a.found) > 0 {
		out.State = a.found[0].State
	}
	return a.withheld(out)
}

type assessor struct {
	v     reconcile.View
	now   time.Time
	found []Finding
	// deviant are the deviations, once asked for; empty and not nil if there are none.
	deviant []reconcile.Deviation
}

func (a *assessor) add(s State, code string, since time.Time, cure, format string, args ...any) {
	a.about("", s, code, since, cure, format, args...)
}

// about adds a finding that has a subject.
func (a *assessor) about(subject string, s State, code string, since time.Time, cure, format string, args ...any) {
	a.found = append(a.found, Finding{State: s, Code: code, Subject: subject, Text: fmt.Sprintf(format, args...), Cure: cure, Since: since})
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
		a.add(Retired, "erased", a.v.EraseAccepted, "Invite it again if it was found.", "%s", ErasedWords(a.v.EraseAccepted, a.v.Enrolment.LastSeen))
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
		a.add(Retired, "unenrolled", e.Ended, "Invite it again to manage it.", "No longer managed: %s.", reason(e.EndReason))
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
