package estate

import (
	"net/url"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
)

// Filter says which devices are meant. The zero Filter means all. It is written into
// addresses by Values and read from them by ParseFilter, so that every number can lead to
// exactly what it counts.
type Filter struct {
	Search    string // every word of it has to be in a device's name, owner, serial number…
	States    []compliance.State
	Sites     []string
	Groups    []string
	Platforms []ward.Platform
	Ownership ward.Ownership // empty: either
	OS        string         // a version or the beginning of one: "26" or "26.1"; "old" is below the policy's minimum
	Findings  []string       // codes: a device with at least one of them
	App       string         // the slug of a messaging app that is on it
	Blocked   bool           // at least one blocked app is on it; with App, that one is blocked there
	Approved  string         // "ready", "not-ready" or "" for either: every approved app that it should have
	NotSeen   int            // for at least so many days; 0: whenever
	Enrolled  bool           // leaves out devices that are retired or never enrolled
	Scope     ward.Scope     // of who asks; it stands in no address
	AsOf      time.Time      // zero is now
}

// ParseFilter reads a filter from the query of an address; its mistakes are a *ward.Error of
// kind Invalid that names each of them. Keys that it does not know are left to others.
func ParseFilter(q url.Values) (Filter, error) { return Filter{}, errUnbuilt }

// Values is the inverse of ParseFilter, without what is zero.
func (f Filter) Values() url.Values { return nil }

// Words says what the filter means, a phrase for each part, such as "at Royal Infirmary".
func (f Filter) Words() []string { return nil }

// Match returns the devices that are meant, in the order of the snapshot.
func (s *Snapshot) Match(f Filter) []*Device { return nil }

// Counts returns how many devices of each state are meant, whatever states the filter names.
func (s *Snapshot) Counts(f Filter) map[compliance.State]int { return nil }

// Page returns up to limit of the devices meant that come after one of them, with how many
// come before and how many there are. after may be a device that is meant no more.
func (s *Snapshot) Page(f Filter, after ward.DeviceID, limit int) (page []*Device, first, total int) {
	return nil, 0, 0
}

// Choices are what a filter can be narrowed to: the values there are among the devices of a
// scope, each in the order in which people look for them.
type Choices struct {
	Sites, Groups, OS []string
	Platforms         []ward.Platform
	Findings          []string // codes
	Apps              []string // slugs
}

// Choices returns what there is to choose from.
func (s *Snapshot) Choices(scope ward.Scope) Choices { return Choices{} }

// Words says what a finding with this code and subject is and what cures it, without the
// particulars of one device. An unknown code is its own words.
func Words(code, subject string) (text, cure string) { return code, "" }
