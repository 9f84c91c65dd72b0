package intent

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/wardmdm/ward"
)

// Enrolment is how a device is managed, which decides what it takes.
type Enrolment string

// The kinds of enrolment.
const (
	ByDevice     Enrolment = "device"        // Apple device enrolment, by a profile or an account
	ByUser       Enrolment = "user"          // Apple user enrolment: the work side of a personal device
	ByAutomation Enrolment = "ade"           // Apple automated device enrolment
	FullyManaged Enrolment = "fully-managed" // Android, company-owned
	CompanyOwned Enrolment = "cope"          // Android, company-owned with a personal side
	WorkProfile  Enrolment = "work-profile"  // Android, personal with a work side
	ByAgent      Enrolment = "agent"         // a workstation with Ward's agent
)

// Target is what decides what a device takes. Where something is not known it is the
// zero value, for which less is promised.
type Target struct {
	Platform   ward.Platform
	OS         Version
	Supervised bool
	Ownership  ward.Ownership
	Enrolment  Enrolment
	// UserChannel is the channel of a person on a Mac or a shared iPad.
	UserChannel bool
	// Attests is set where the device's hardware has attested the key of its management
	// identity, and so can attest others.
	Attests bool
}

// Personal reports whether the device is a person's own. Unknown ownership is personal.
func (t Target) Personal() bool { return t.Ownership != ward.Corporate }

// Version is an operating system's version to the precision at which keys appear. The
// zero Version is an unknown one: nothing is promised for it.
type Version struct {
	Major, Minor int
}

// ParseVersion reads "18.6.1" or "18". What it can't read is the zero Version.
func ParseVersion(s string) Version {
	major, rest, _ := strings.Cut(strings.TrimSpace(s), ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, err := strconv.Atoi(major)
	if err != nil || a <= 0 {
		return Version{}
	}
	if minor == "" {
		return Version{Major: a}
	}
	b, err := strconv.Atoi(minor)
	if err != nil || b < 0 {
		return Version{}
	}
	return Version{Major: a, Minor: b}
}

// Known reports whether v is a version at all.
func (v Version) Known() bool { return v.Major > 0 }

// AtLeast reports whether v is known and not older than w.
func (v Version) AtLeast(w Version) bool {
	return v.Known() && (v.Major > w.Major || v.Major == w.Major && v.Minor >= w.Minor)
}

// String writes the version as "18" for 18.0 and "18.1"; "" if unknown.
func (v Version) String() string {
	switch {
	case !v.Known():
		return ""
	case v.Minor == 0:
		return strconv.Itoa(v.Major)
	}
	return fmt.Sprintf("%d.%d", v.Major, v.Minor)
}
