package policy

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
)

// Subject is one enrolled device as policies see it.
type Subject struct {
	// Device has what policies tell apart: id, serial number, platform, version, ownership,
	// group, site, role and e-mail, and its state; its other fields are empty.
	Device     ward.Device
	Supervised ward.Supervision
	Rights     ward.AccessRights
	Kind       string    // Apple's enrolment type
	Enrolled   time.Time // when this enrolment began
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

// Revocation says that a network certificate of a device was revoked.
type Revocation struct {
	Device  ward.DeviceID
	Profile string // the hash of the profile that brought it
	At      time.Time
}

// Fleet reads all enrolled devices at once.
type Fleet interface {
	// Subjects calls fn for every device with an active enrolment, in order of their ids,
	// as of one moment. apps says whether their apps are wanted too. An error of fn ends it.
	Subjects(ctx context.Context, apps bool, fn func(Subject) error) error
	// Attempts calls fn for the newest attempt of every step on the active enrolments of
	// these devices, in no order.
	Attempts(ctx context.Context, devices []ward.DeviceID, fn func(Attempt) error) error
	// Declared calls fn with what the active enrolments of these devices say of their
	// declarations: the fact of that kind, a JSON list. The bytes hold until fn returns.
	Declared(ctx context.Context, devices []ward.DeviceID, fn func(d ward.DeviceID, declarations []byte) error) error
	// Revoked calls fn for the network certificates of active enrolments that were revoked.
	Revoked(ctx context.Context, fn func(Revocation) error) error
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

// states works out what devices should have, once for those that are alike.
type states struct{ known map[alike]*profiles.State }

func newStates() *states { return &states{known: map[alike]*profiles.State{}} }

// of returns what a device should have at a time under a policy, which may be nil, and
// with which other devices it shares that. The state is shared: nobody changes it.
func (m *states) of(s profiles.Subject, p *profiles.Policy, t time.Time) (*profiles.State, alike) {
	var a alike
	if p != nil {
		a = alike{p, profiles.ClassOf(s, p, t), s.Rights, s.Kind}
	}
	st := m.known[a]
	if st == nil {
		made := profiles.Desired(s, p, t)
		st = &made
		m.known[a] = st
	}
	return st, a
}

// parse reads a policy with the files that it names.
func parse(text []byte, files map[string][]byte) (*profiles.Policy, error) {
	return profiles.Parse(text, files)
}
