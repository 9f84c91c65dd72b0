package estate

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
)

// Match returns the devices that are meant, in the order of the snapshot. The list must not
// be changed.
func (s *Snapshot) Match(f Filter) []*Device {
	m := s.matcher(f)
	if m.all {
		return s.Devices
	}
	return s.memo.matched(f, func() []*Device { return s.match(m) })
}

func (s *Snapshot) match(m *matcher) (out []*Device) {
	for i, d := range s.Devices {
		if m.means(i, d) {
			out = append(out, d)
		}
	}
	return out
}

// Counts returns how many devices of each state are meant, whatever states the filter names.
func (s *Snapshot) Counts(f Filter) map[compliance.State]int {
	f.States = nil
	var n [8]int
	for _, d := range s.Match(f) {
		n[min(attention(d.State), len(n)-1)]++
	}
	out := map[compliance.State]int{}
	for i, st := range Attention {
		if n[i] > 0 {
			out[st] = n[i]
		}
	}
	return out
}

// Page returns up to limit of the devices meant that come after one of them, with how many
// come before and how many there are. after may be a device that is meant no more; one that
// is not there any more begins at the top, and so does one after which none is meant.
func (s *Snapshot) Page(f Filter, after ward.DeviceID, limit int) (page []*Device, first, total int) {
	all := s.Match(f)
	if after == "" {
		return all[:min(limit, len(all)):min(limit, len(all))], 0, len(all)
	}
	passed := slices.IndexFunc(all, func(d *Device) bool { return d.ID == after }) + 1
	if passed == 0 { // it is meant no more: those that stand before it are passed
		for _, d := range s.Devices {
			if passed < len(all) && d == all[passed] {
				passed++
			}
			if d.ID == after {
				return pageOf(all, passed, limit)
			}
		}
		return s.Page(f, "", limit)
	}
	return pageOf(all, passed, limit)
}

// pageOf is up to limit of all but those passed; it begins anew where none is left.
func pageOf(all []*Device, passed, limit int) ([]*Device, int, int) {
	if passed == len(all) {
		passed = 0
	}
	end := min(passed+limit, len(all))
	return all[passed:end:end], passed, len(all)
}

// matcher is a filter that is ready to be asked of many devices.
type matcher struct {
	Filter
	snap    *Snapshot
	entries []*entry // of the snapshot's devices, nil where it has none
	all     bool     // everything is meant
	words   []string // of the search, in lower case
	states  [8]bool
	lists   bool // some lists are not empty
	unseen  time.Time
	cost    []string // codes of findings, with those that have another name
}

func (s *Snapshot) matcher(f Filter) *matcher {
	m := &matcher{Filter: f, snap: s, words: strings.Fields(strings.ToLower(f.Search)), cost: slices.Clone(f.Findings)}
	if len(s.entries) == len(s.Devices) {
		m.entries = s.entries
	}
	for _, st := range f.States {
		m.states[min(attention(st), len(m.states)-1)] = true
	}
	if f.NotSeen > 0 {
		m.unseen = s.At.AddDate(0, 0, -f.NotSeen)
	}
	m.lists = len(f.Sites)+len(f.Groups)+len(f.Platforms) > 0
	f.AsOf = time.Time{}
	m.all = len(f.Values()) == 0 && f.Scope.All()
	return m
}

// within reports whether a device of the snapshot lies in a scope. One of the past has to lie
// there now, too: it is called by what it is called now, and who has it now may be somebody
// beyond the scope.
func (s *Snapshot) within(scope ward.Scope, i int) bool {
	d := s.Devices[i]
	if !scope.Includes(d.Site, d.Group) {
		return false
	}
	if len(s.entries) != len(s.Devices) || s.entries[i].present == nil {
		return true
	}
	return scope.Includes(s.entries[i].present.Site, s.entries[i].present.Group)
}

// means reports whether a device of the snapshot is meant. What is cheap to tell comes first.
func (m *matcher) means(i int, d *Device) bool {
	if len(m.States) > 0 && !m.states[min(attention(d.State), len(m.states)-1)] {
		return false
	}
	if m.lists && !m.listed(d) || !m.Scope.All() && !m.snap.within(m.Scope, i) {
		return false
	}
	if m.Ownership != "" && d.Ownership != m.Ownership || m.Enrolled && !d.Counted() {
		return false
	}
	if !m.unseen.IsZero() && d.LastSeen.After(m.unseen) {
		return false
	}
	return m.system(d) && m.apps(d) && m.found(d) && m.search(i, d)
}

func (m *matcher) listed(d *Device) bool {
	return (len(m.Sites) == 0 || slices.Contains(m.Sites, d.Site)) && (len(m.Groups) == 0 || slices.Contains(m.Groups, d.Group)) &&
		(len(m.Platforms) == 0 || slices.Contains(m.Platforms, d.Platform))
}

func (m *matcher) system(d *Device) bool {
	switch m.OS {
	case "":
		return true
	case OldOS:
		return d.Has(codeOldSystem, "")
	}
	rest, ok := strings.CutPrefix(d.OSVersion, strings.TrimRight(m.OS, "."))
	return ok && (rest == "" || rest[0] == '.')
}

func (m *matcher) apps(d *Device) bool {
	if m.App != "" && !m.Blocked && !slices.Contains(d.Apps, m.App) || m.Blocked && !d.Has(codeBlocked, m.App) {
		return false
	}
	switch m.Approved {
	case Ready:
		return len(d.Approved) > 0 && d.Ready()
	case NotReady:
		return !d.Ready()
	}
	return true
}

func (m *matcher) found(d *Device) bool {
	if len(m.cost) == 0 {
		return true
	}
	for i := range d.Findings {
		if slices.Contains(m.cost, d.Findings[i].Code) {
			return true
		}
	}
	return false
}

func (m *matcher) search(i int, d *Device) bool {
	if len(m.words) == 0 {
		return true
	}
	var own, shared string
	if m.entries != nil {
		own, shared = m.entries[i].own, m.entries[i].shared
	} else {
		own, shared = searched(d)
	}
	for _, w := range m.words {
		if !strings.Contains(own, w) && !strings.Contains(shared, w) {
			return false
		}
	}
	return true
}

// Has reports whether a device has a finding of a code, about a subject or, for "", about any.
func (d *Device) Has(code, subject string) bool {
	for i := range d.Findings {
		if f := &d.Findings[i]; f.Code == code && (subject == "" || f.Subject == subject) {
			return true
		}
	}
	return false
}

// Ready reports whether every approved app that the device should have is there with what it
// needs. It is true of one that should have none.
func (d *Device) Ready() bool {
	return !slices.ContainsFunc(d.Approved, func(a AppStanding) bool { return !a.Ready() })
}

// Counted reports whether a device is one of those that Filter.Enrolled leaves: it enrolled,
// and is not retired.
func (d *Device) Counted() bool { return d.State != compliance.Retired && !d.Enrolled.IsZero() }

// Choices are what a filter can be narrowed to: the values there are among the devices of a
// scope, each in the order in which people look for them.
type Choices struct {
	Sites, Groups, OS []string
	Platforms         []ward.Platform
	Findings          []string // codes
	Apps              []string // slugs
}

// Choices returns what there is to choose from.
func (s *Snapshot) Choices(scope ward.Scope) Choices {
	return s.memo.chosen(scope, func() Choices { return s.choices(scope) })
}

func (s *Snapshot) choices(scope ward.Scope) Choices {
	sites, groups, systems, platforms := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[ward.Platform]bool{}
	findings, apps := map[string]bool{}, map[string]bool{}
	for i, d := range s.Devices {
		if !scope.All() && !s.within(scope, i) {
			continue
		}
		sites[d.Site], groups[d.Group], systems[d.OSVersion], platforms[d.Platform] = true, true, true, true
		for i := range d.Findings {
			findings[d.Findings[i].Code] = true
		}
		for _, a := range d.Apps {
			apps[a] = true
		}
	}
	delete(sites, "")
	delete(groups, "")
	delete(systems, "")
	c := Choices{
		Sites: named(sites), Groups: named(groups), OS: named(systems), Platforms: slices.Sorted(maps.Keys(platforms)),
		Findings: slices.Sorted(maps.Keys(findings)), Apps: slices.Collect(maps.Keys(apps)),
	}
	slices.Reverse(c.OS) // the newest first
	slices.SortFunc(c.Apps, func(a, b string) int {
		return cmp.Or(CompareNames(AppName(a), AppName(b)), strings.Compare(a, b))
	})
	return c
}

// named returns names as people order them.
func named(all map[string]bool) []string {
	return slices.SortedFunc(maps.Keys(all), func(a, b string) int { return cmp.Or(CompareNames(a, b), strings.Compare(a, b)) })
}
