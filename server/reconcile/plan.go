package reconcile

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/command"
)

// Deed is what a step does.
type Deed string

// The deeds of steps.
const (
	AskInformation   Deed = "ask for device information"
	AskSecurity      Deed = "ask for security"
	AskApps          Deed = "ask for apps"
	AskManagedApps   Deed = "ask for managed apps"
	AskProfiles      Deed = "ask for profiles"
	AskCertificates  Deed = "ask for certificates"
	InstallProfile   Deed = "install profile"
	RemoveProfile    Deed = "remove profile"
	InstallApp       Deed = "install app"
	ConfigureApp     Deed = "configure app"
	RemoveApp        Deed = "remove app"
	EnableLostMode   Deed = "turn lost mode on"
	DisableLostMode  Deed = "turn lost mode off"
	Locate           Deed = "ask for the location"
	Lock             Deed = "lock"
	RemoveManagement Deed = "remove management"
	AskSIM           Deed = "ask for the SIM" // which one is in it, in a lost case
	Declare          Deed = "declare"         // tell the device to compare its declarations
)

// Step is one thing left to do. Key tells it from every other step of the device:
// what was attempted under a key is not issued again while the attempt is open.
type Step struct {
	Key      string
	Deed     Deed
	Urgent   bool
	First    bool               // goes before everything else
	Profile  *profiles.Profile  // InstallProfile
	App      *profiles.App      // InstallApp, ConfigureApp, RemoveApp
	Target   string             // RemoveProfile: the identifier
	Watch    []string           // AskApps: bundle ids to ask about
	LostMode *profiles.LostMode // EnableLostMode
	Lock     *profiles.Lock     // Lock
	Case     ward.CaseID        // Lock: the open case, for which a Mac's PIN is made; DisableLostMode: the one that is over
}

// How often a fact is asked for again, at moments that askAgain spreads, and how a refused step is retried.
const (
	refreshApps     = 6 * time.Hour
	refreshFacts    = 24 * time.Hour
	refreshSettling = 5 * time.Minute // while an app is on its way
	retryFirst      = time.Minute
	retryFactor     = 4
	maxTries        = 6
	tokenPatience   = time.Hour // an app that did not use its token gets another
	longestInterval = 7 * 24 * time.Hour
)

// Case is what planning needs to know of the device's lost case.
type Case struct {
	ID ward.CaseID // the open case, or "" when there is none
}

// Plan returns what is left to do on a device, in order, and when to plan again if
// nothing happens before. It is pure: the same values give the same steps.
func Plan(want profiles.State, got Observed, attempts []Attempt, c Case, now time.Time) ([]Step, time.Time) {
	p := planner{want: want, got: got, c: c, now: now, next: now.Add(longestInterval), tried: make(map[string]Attempt, len(attempts))}
	for _, a := range attempts {
		p.tried[a.Key] = a
	}
	if c.ID != "" {
		p.lost()
		return p.steps, p.next
	}
	p.found()
	p.facts()
	if got.Information == nil {
		return p.steps, p.next // what a phone may be asked depends on its supervision
	}
	p.declarations()
	p.profiles()
	p.apps()
	return p.steps, p.next
}

type planner struct {
	want  profiles.State
	got   Observed
	c     Case
	now   time.Time
	next  time.Time
	tried map[string]Attempt
	steps []Step
}

// at notes a time at which to plan again.
func (p *planner) at(t time.Time) {
	if t.After(p.now) && t.Before(p.next) {
		p.next = t
	}
}

// issue adds a step unless its attempt is open, or was refused too lately or too often.
func (p *planner) issue(s Step) {
	a, ok := p.tried[s.Key]
	if ok && a.State.Open() {
		return
	}
	if ok && (a.State == command.Refused || a.State == command.Withheld) {
		if a.Tries >= maxTries {
			return
		}
		wait := retryFirst
		for range min(a.Tries, maxTries) - 1 {
			wait *= retryFactor
		}
		if due := a.Answered.Add(wait); due.After(p.now) {
			p.at(due)
			return
		}
	}
	p.steps = append(p.steps, s)
}

// done reports whether the step was accepted.
func (p *planner) done(key string) bool { return p.tried[key].State == command.Accepted }

// settled reports whether the step has had its answer, whatever it was, or was
// refused for good.
func (p *planner) settled(key string) bool {
	a, ok := p.tried[key]
	return ok && !a.State.Open()
}

// once issues a step until it has been accepted.
func (p *planner) once(s Step) {
	if !p.done(s.Key) {
		p.issue(s)
	}
}

// found turns lost mode off when it is on and no case is open.
func (p *planner) found() {
	on, okOn := p.newest("lost-mode:")
	off, okOff := p.newest("lost-mode-off:")
	if !okOn || (okOff && off.Queued.After(on.Queued) && (off.State == command.Accepted || off.State.Open())) {
		return
	}
	if i := p.got.Information; i != nil && i.Value.LostMode != nil && !*i.Value.LostMode && i.At.After(on.Answered) && !on.State.Open() {
		return // the phone says that it is off
	}
	if on.State == command.Refused || on.State == command.Cancelled {
		return
	}
	id := strings.TrimPrefix(on.Key, "lost-mode:")
	p.issue(Step{Key: "lost-mode-off:" + id, Deed: DisableLostMode, Urgent: true, Case: ward.CaseID(id)})
}

// newest returns the attempt queued last among those whose key has the prefix.
func (p *planner) newest(prefix string) (best Attempt, ok bool) {
	for key, a := range p.tried {
		if strings.HasPrefix(key, prefix) && (!ok || a.Queued.After(best.Queued) || (a.Queued.Equal(best.Queued) && key > best.Key)) {
			best, ok = a, true
		}
	}
	return best, ok
}

// facts asks for what was never told or is too old.
func (p *planner) facts() {
	p.ask(Step{Key: "information", Deed: AskInformation}, toldAt(p.got.Information), refreshFacts, time.Time{})
	p.ask(Step{Key: "security", Deed: AskSecurity}, toldAt(p.got.Security), refreshFacts, time.Time{})
	if len(p.want.WatchApps) > 0 {
		key := "apps:" + digest(p.want.WatchApps)
		told := toldAt(p.got.Apps)
		if _, asked := p.tried[key]; !asked {
			told = time.Time{} // another list of apps: what was told does not answer it
		}
		p.ask(Step{Key: key, Deed: AskApps, Watch: p.want.WatchApps}, told, refreshApps, time.Time{})
	}
	if p.got.Information == nil {
		return
	}
	p.ask(Step{Key: "profiles", Deed: AskProfiles}, toldAt(p.got.Profiles), refreshFacts, p.changed("profile:", "remove-profile:"))
	if commanded(p.want.Apps) || p.managesDropped() {
		every := refreshFacts
		if p.settling() {
			every = refreshSettling
		}
		p.ask(Step{Key: "managed-apps", Deed: AskManagedApps}, toldAt(p.got.Managed), every, p.changed("app:", "remove-app:", "drop-app:"))
	}
}

// ask asks for a fact that was never told, that is too old, or that something has
// changed since it was told.
func (p *planner) ask(s Step, told time.Time, every time.Duration, changed time.Time) {
	if a := p.tried[s.Key]; a.State == command.Accepted && a.Answered.After(told) {
		told = a.Answered // it was asked and had nothing to tell
	}
	if due := askAgain(p.got.Of, told, every); !told.IsZero() && !changed.After(told) && due.After(p.now) {
		p.at(due)
		return
	}
	p.issue(s)
}

// changed returns when a step with one of the prefixes was last accepted, zero if never.
func (p *planner) changed(prefixes ...string) (last time.Time) {
	for key, a := range p.tried {
		for _, prefix := range prefixes {
			if strings.HasPrefix(key, prefix) && a.State == command.Accepted && a.Answered.After(last) {
				last = a.Answered
			}
		}
	}
	return last
}

// settling reports whether a wanted app is on its way: the device accepted it and has not
// finished, for it may be loading, or asking its owner.
func (p *planner) settling() bool {
	for i := range p.want.Apps {
		a := &p.want.Apps[i]
		if last, ok := p.lastAccepted("app:" + a.BundleID + ":"); ok && !a.Remove && p.now.Sub(last.Answered) < reinstallApp && p.status(a.BundleID) != managed {
			return true
		}
	}
	return false
}

func toldAt[T any](k *Known[T]) time.Time {
	if k == nil {
		return time.Time{}
	}
	return k.At
}

// digest names a list in a key.
func digest(list []string) string {
	sum := sha256.Sum256([]byte(strings.Join(slices.Sorted(slices.Values(list)), "\n")))
	return hex.EncodeToString(sum[:6])
}
