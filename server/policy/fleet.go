package policy

import (
	"context"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
)

// Subject is one enrolled device as policies see it.
type Subject struct {
	// Device has what policies tell apart: id, platform, version, ownership, group, site,
	// role and e-mail, and its state; its other fields are empty.
	Device     ward.Device
	Supervised ward.Supervision
	Rights     ward.AccessRights
	Kind       string    // Apple's enrolment type
	LastSeen   time.Time // zero if never
	Apps       []byte    // the fact of that kind, JSON; nil unless it was asked for and told
}

// Attempt is the newest attempt of a step on a device.
type Attempt struct {
	Device ward.DeviceID
	Key    string // such as profile:IDENTIFIER:HASH
	State  string // of the command
	// Tries counts the attempts since the step last succeeded.
	Tries    int
	Answered time.Time // zero while it is open
	Error    string
}

// Fleet reads all enrolled devices at once.
type Fleet interface {
	// Subjects calls fn for every device with an active enrolment, in order of their ids,
	// as of one moment. apps says whether their apps are wanted too. An error of fn ends it.
	Subjects(ctx context.Context, apps bool, fn func(Subject) error) error
	// Attempts calls fn for the newest attempt of every step of a policy on every device
	// with an active enrolment: those with keys that begin with profile:, app: and
	// declarations:.
	Attempts(ctx context.Context, fn func(Attempt) error) error
	// Refusals calls fn with what each device with an active enrolment says of its
	// declarations, the fact of that kind in JSON, where one of them is invalid.
	Refusals(ctx context.Context, fn func(d ward.DeviceID, declarations []byte) error) error
}

// subject is what package profiles needs to know of the device.
func (s Subject) subject() profiles.Subject {
	return profiles.Subject{Device: s.Device, Supervised: s.Supervised, Rights: s.Rights, Kind: s.Kind, OSVersion: s.Device.OSVersion}
}

// alike is all on which it depends what a device should have under a policy at a time,
// a lost case apart. The zero value is no policy.
type alike struct {
	policy *profiles.Policy
	class  profiles.Class
	rights ward.AccessRights
	kind   string
}

// states works out what devices should have at one time, once for those that are alike.
type states struct {
	now   time.Time
	known map[alike]*profiles.State
}

func newStates(now time.Time) *states { return &states{now: now, known: map[alike]*profiles.State{}} }

// of returns what a device should have under a policy, which may be nil, and with which
// other devices it shares that. The state is shared: nobody changes it.
func (m *states) of(s profiles.Subject, p *profiles.Policy) (*profiles.State, alike) {
	var a alike
	if p != nil {
		a = alike{p, profiles.ClassOf(s, p, m.now), s.Rights, s.Kind}
	}
	st := m.known[a]
	if st == nil {
		made := profiles.Desired(s, p, m.now)
		st = &made
		m.known[a] = st
	}
	return st, a
}

// parse reads a policy with the files that it names.
func parse(text []byte, files map[string][]byte) (*profiles.Policy, error) {
	return profiles.Parse(text, files)
}

// steps returns the keys of the steps that bring a state to a device, as package
// reconcile names them.
func steps(st *profiles.State) []string {
	var keys []string
	for _, p := range st.Profiles {
		if !p.Declared {
			keys = append(keys, "profile:"+p.Identifier+":"+p.Hash)
		}
	}
	for _, a := range st.Apps {
		if !a.Declared && !a.Remove {
			keys = append(keys, "app:"+a.BundleID+":"+a.Hash)
		}
	}
	if st.DeclarationsToken != "" {
		keys = append(keys, "declarations:"+st.DeclarationsToken)
	}
	return keys
}

// fresh returns the steps of a state that another one has not.
func fresh(now, before *profiles.State) map[string]bool {
	out := map[string]bool{}
	for _, k := range steps(now) {
		out[k] = true
	}
	for _, k := range steps(before) {
		delete(out, k)
	}
	return out
}

// step says a step's key in words.
func step(key string) string {
	kind, rest, _ := strings.Cut(key, ":")
	name, _, _ := strings.Cut(rest, ":")
	switch kind {
	case "profile", "app":
		return kind + " " + name
	case "declaration":
		return "declaration " + name
	}
	return "declarations"
}
