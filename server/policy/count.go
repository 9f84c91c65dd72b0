package policy

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/source"
)

// Later says for how many devices more a policy would change something from a time on,
// because an exception begins or ends then.
type Later struct {
	At      time.Time
	Devices int
}

// counter counts for how many devices a draft would change something, device by device.
type counter struct {
	f      *InForce
	draft  *profiles.Policy
	past   history
	dates  *calendar
	states *states
	pairs  map[groupKey]bool
	seen   []*held // of one device, kept to save allocations

	devices  int
	changed  int // at once or later
	together int // with what was changed without a second person since the window began
	later    map[time.Time]int
}

func (s *Service) newCounter(ctx context.Context, f *InForce, draft *profiles.Policy) (*counter, error) {
	now := s.now()
	past, err := s.history(ctx, f, now)
	if err != nil {
		return nil, err
	}
	all := []*profiles.Policy{draft}
	for _, e := range []*edition{f.base, f.next} {
		if e != nil {
			all = append(all, e.policy)
		}
	}
	for _, h := range past.past {
		all = append(all, h.policy)
	}
	return &counter{
		f: f, draft: draft, past: past, dates: newCalendar(now, all), states: newStates(), pairs: map[groupKey]bool{}, later: map[time.Time]int{},
	}, nil
}

// count counts every enrolled device.
func (s *Service) count(ctx context.Context, f *InForce, draft *profiles.Policy) (*counter, error) {
	c, err := s.newCounter(ctx, f, draft)
	if err != nil {
		return nil, err
	}
	return c, s.store.Subjects(ctx, false, func(d Subject) error {
		c.add(d)
		return nil
	})
}

func (c *counter) add(d Subject) {
	c.devices++
	was, _ := c.f.For(d.Device)
	times := c.dates.of(d.Device)
	i := c.differ(d.subject(), was, c.draft, times)
	switch {
	case i >= 0:
		c.changed++
		c.together++
		if i > 0 {
			c.later[times[i]]++
		}
	case c.past.many || c.touched(d, times):
		c.together++
	}
}

// needsTwo reports whether a rule asks for a second person. What changes nothing on any
// device never does.
func (c *counter) needsTwo(r Rule) bool { return c.changed > 0 && r.needs(c.together, c.devices) }

// differ returns the index of the first of times at which a device would get something
// else under b than under a, -1 for none.
func (c *counter) differ(s profiles.Subject, a, b *profiles.Policy, times []time.Time) int {
	if a == b {
		return -1
	}
	for i, t := range times {
		was, k := c.states.of(s, a, t)
		is, l := c.states.of(s, b, t)
		differ, ok := c.pairs[groupKey{k, l}]
		if !ok {
			differ = len(changes(was, is)) > 0
			c.pairs[groupKey{k, l}] = differ
		}
		if differ {
			return i
		}
	}
	return -1
}

// touched reports whether one person alone changed something for a device since the
// window began, or would now: measured against what it had then, what two persons gave it
// since, or what it had when it enrolled.
func (c *counter) touched(d Subject, times []time.Time) bool {
	c.seen = append(c.seen[:0], &c.past.past[0])
	for i := 1; i < len(c.past.past); i++ {
		h := &c.past.past[i]
		switch {
		case !h.reached(d.Device):
		case h.approved, !h.since.After(d.Enrolled):
			c.seen = append(c.seen[:0], h)
		case h.undoes > 0 && len(c.seen) == 1 && c.seen[0].generation == h.undoes:
			c.seen[0] = h // going back is no change of one person's own
		default:
			c.seen = append(c.seen, h)
		}
	}
	from := c.seen[0]
	for _, h := range c.seen[1:] {
		if from.unreadable || h.unreadable || c.differ(d.subject(), from.policy, h.policy, times) >= 0 {
			return true
		}
	}
	return from.unreadable || c.differ(d.subject(), from.policy, c.draft, times) >= 0
}

// laters lists what changes later, the soonest first.
func (c *counter) laters() []Later {
	var out []Later
	for t, n := range c.later {
		out = append(out, Later{t, n})
	}
	slices.SortFunc(out, func(a, b Later) int { return a.At.Compare(b.At) })
	return out
}

// calendar tells at which times what a device should have may change by itself: now, and
// whenever an exception that may concern it begins or ends.
type calendar struct {
	now    time.Time
	device map[string][]time.Time // by id or serial number
	owner  map[string][]time.Time // by e-mail address in lower case
	wide   map[source.Scope][]time.Time
	places map[[2]string][]time.Time // worked out, by group and site
}

func newCalendar(now time.Time, all []*profiles.Policy) *calendar {
	c := &calendar{now: now, device: map[string][]time.Time{}, owner: map[string][]time.Time{}, wide: map[source.Scope][]time.Time{}, places: map[[2]string][]time.Time{}}
	done := map[*profiles.Policy]bool{nil: true}
	for _, p := range all {
		if done[p] {
			continue
		}
		done[p] = true
		for _, e := range p.Exceptions {
			for _, t := range []time.Time{e.From, e.Ends()} {
				if t.After(now) {
					c.note(e.For, t)
				}
			}
		}
	}
	return c
}

func (c *calendar) note(s source.Scope, t time.Time) {
	switch s.Kind {
	case source.ForDevice:
		c.device[s.Value] = append(c.device[s.Value], t)
	case source.ForOwner:
		owner := strings.ToLower(s.Value)
		c.owner[owner] = append(c.owner[owner], t)
	case source.ForGroup, source.ForWard, source.ForSite:
		c.wide[s] = append(c.wide[s], t)
	}
}

// of returns the times for a device, now first. They are shared: nobody changes them.
func (c *calendar) of(d ward.Device) []time.Time {
	place := [2]string{d.Group, d.Site}
	times, ok := c.places[place]
	if !ok {
		times = c.wideTimes(d)
		c.places[place] = times
	}
	if len(c.device) == 0 && len(c.owner) == 0 {
		return times
	}
	own := slices.Concat(c.device[string(d.ID)], c.owner[strings.ToLower(d.Email)])
	if d.Serial != "" && d.Serial != string(d.ID) {
		own = append(own, c.device[d.Serial]...)
	}
	if len(own) == 0 {
		return times
	}
	return sorted(append(own, times...))
}

// wideTimes are those of exceptions for the places of a device. A group of a policy may
// hold any device.
func (c *calendar) wideTimes(d ward.Device) []time.Time {
	times := []time.Time{c.now}
	for s, more := range c.wide {
		if s.Kind == source.ForGroup || s.Kind == source.ForWard && strings.EqualFold(s.Value, d.Group) || s.Kind == source.ForSite && strings.EqualFold(s.Value, d.Site) {
			times = append(times, more...)
		}
	}
	return sorted(times)
}

func sorted(times []time.Time) []time.Time {
	slices.SortFunc(times, time.Time.Compare)
	return slices.CompactFunc(times, time.Time.Equal)
}
