package apple

import (
	"fmt"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// device is a target with its doubts settled.
type device struct {
	intent.Target
	user bool // Apple's user enrolment
}

func newDevice(t intent.Target) device {
	d := device{Target: t}
	switch t.Enrolment {
	case intent.ByDevice, intent.ByAutomation:
	case intent.ByUser:
		d.user = true
	default:
		d.user = !t.Supervised
	}
	if d.user {
		d.Supervised = false // Apple has no supervised user enrolment
	}
	return d
}

func (d device) ios() bool { return d.Platform == ward.IOS }

// ver writes a version shortly.
func ver(major, minor int) intent.Version { return intent.Version{Major: major, Minor: minor} }

// oldest is the oldest system for which anything is promised. What Apple introduced
// before is not told apart.
func oldest(p ward.Platform) intent.Version {
	if p == ward.IOS {
		return ver(9, 3)
	}
	return ver(11, 0)
}

// declares reports whether the device is managed by declarations. Apple has them from
// iOS 15 in some enrolments; from 16 they are there in all and with their status items.
func (d device) declares() bool {
	since := ver(16, 0)
	if !d.ios() {
		since = ver(13, 0)
	}
	return !d.UserChannel && d.OS.AtLeast(since)
}

// need is what a key, a payload or a declaration asks of a device.
type need struct {
	since      intent.Version // zero: every supported version
	supervised bool           // on iOS
	noUser     bool           // Apple forbids it under user enrolment
	// whole marks what reaches beyond work data: on iOS Apple deprecates it without
	// supervision, on a Mac Ward sets it on the organisation's own only.
	whole bool
}

// reason says why something is left out.
type reason int

const (
	takes reason = iota // it is not left out
	unknownOS
	forbiddenForUser
	needsNewerOS
	needsSupervision
	notOnPersonal
)

// lacks returns what keeps the device from taking something.
func (d device) lacks(n need) reason {
	since := oldest(d.Platform)
	if n.since.AtLeast(since) {
		since = n.since
	}
	switch {
	case !d.OS.Known():
		return unknownOS
	case d.user && (n.noUser || n.supervised && d.ios()):
		return forbiddenForUser
	case !d.OS.AtLeast(since):
		return needsNewerOS
	case d.ios() && (n.supervised || n.whole) && !d.Supervised:
		return needsSupervision
	case !d.ios() && n.whole && d.Personal():
		return notOnPersonal
	}
	return takes
}

func (d device) takes(n need) bool { return d.lacks(n) == takes }

// since is the version to name for a need: empty where every supported one has it.
func (d device) since(n need) string {
	if !n.since.AtLeast(oldest(d.Platform)) || n.since == oldest(d.Platform) {
		return ""
	}
	return n.since.String()
}

// one and many name devices of this kind, os its system.
func (d device) one() string {
	if d.ios() {
		return "phone"
	}
	return "Mac"
}

func (d device) many() string {
	if d.ios() {
		return "iPhones"
	}
	return "Macs"
}

func (d device) os() string {
	if d.ios() {
		return "iOS"
	}
	return "macOS"
}

// workOne names what a person needs instead of their own device.
func (d device) workOne() string {
	if d.ios() {
		return "supervised work phone"
	}
	return "work Mac"
}

// superviseCure says what helps where supervision is missing. Supervising is no cure
// for a personal phone: it would erase it first and hand it to the employer.
func (d device) superviseCure() string {
	if d.Personal() || d.user {
		return "Give the person a " + d.workOne() + "."
	}
	return "Supervise the phone with Apple Configurator or automated enrolment."
}

func (d device) updateCure(v intent.Version) string {
	return fmt.Sprintf("Update the %s to %s %s or later.", d.one(), d.os(), v)
}

func (d device) askedCure() string {
	return "Ward asks the " + d.one() + " for its version; nothing is to be done."
}

// refusal puts what lacks returned into words.
func (d device) refusal(r reason, n need) (why, cure string) {
	switch r {
	case unknownOS:
		return fmt.Sprintf("The %s's %s version is not known.", d.one(), d.os()), d.askedCure()
	case forbiddenForUser:
		why = "Apple forbids this under user enrolment."
		if d.ios() && (n.supervised || n.whole) || n.whole {
			return why, "Give the person a " + d.workOne() + "."
		}
		return why, "Enrol the " + d.one() + " as a device."
	case needsNewerOS:
		since := n.since
		if !since.AtLeast(oldest(d.Platform)) {
			since = oldest(d.Platform)
		}
		cure = d.updateCure(since)
		if d.ios() && (n.supervised || n.whole) && !d.Supervised {
			cure += " That alone is not enough: only supervised iPhones can do this."
		}
		return fmt.Sprintf("This needs %s %s.", d.os(), since), cure
	case needsSupervision:
		if n.whole && !n.supervised {
			return "This reaches beyond work data, and Apple deprecates it without supervision, so Ward sets it on supervised phones only.", d.superviseCure()
		}
		return "Apple lets only supervised iPhones do this.", d.superviseCure()
	case notOnPersonal:
		return "This would reach the person's own data, so Ward sets it on the organisation's Macs only.", "Give the person a work Mac."
	}
	return "", ""
}
