package estate

import (
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
)

// dress makes a snapshot of how devices stood at a time, with what they are called in the
// present. The devices become those of the snapshot.
func dress(devices []entry, present *Snapshot, t time.Time) *Snapshot {
	at := make(map[ward.DeviceID]int32, len(devices))
	for i := range devices {
		at[devices[i].ID] = int32(i)
	}
	said := map[spanKey][2]string{}
	named := make([]bool, len(devices))
	// In the present the devices of one state stand in the order of their names; so, in each
	// state of the past, do those that are in one state now.
	var runs [8][8][]*entry
	for i, d := range present.Devices {
		k, there := at[d.ID]
		if !there {
			continue
		}
		e := &devices[k]
		named[k] = true
		e.called(d)
		e.present = d
		e.key, e.own, e.shared = present.searches(i)
		if e.Site != d.Site || e.Group != d.Group || e.Platform != d.Platform || e.OSVersion != d.OSVersion {
			_, e.shared = searched(&e.Device)
		}
		e.say(said)
		then, now := attention(e.State), attention(d.State)
		runs[then][now] = append(runs[then][now], e)
	}
	for k := range devices {
		if named[k] {
			continue
		}
		e := &devices[k] // it was deleted since, and what it was called is forgotten
		e.Name = string(e.ID)
		e.key = nameOrder(&e.Device)
		e.own, e.shared = searched(&e.Device)
		e.say(said)
		then := attention(e.State)
		last := &runs[then][len(runs[then])-1]
		*last = append(*last, e)
	}
	out := &Snapshot{At: t, Devices: make([]*Device, 0, len(devices)), entries: make([]*entry, 0, len(devices))}
	for _, of := range runs {
		for _, e := range merged(of[:]) {
			out.Devices, out.entries = append(out.Devices, &e.Device), append(out.entries, e)
		}
	}
	return out
}

// merged puts runs that stand in order into one; the last need not.
func merged(runs [][]*entry) []*entry {
	byKey := func(a, b *entry) int { return strings.Compare(a.key, b.key) }
	slices.SortFunc(runs[len(runs)-1], byKey)
	slices.SortFunc(runs, func(a, b []*entry) int { return len(a) - len(b) })
	var all []*entry
	for _, run := range runs {
		if len(all) == 0 {
			all = run
			continue
		}
		both := make([]*entry, 0, len(all)+len(run))
		for len(all) > 0 && len(run) > 0 {
			from := &all
			if byKey(run[0], all[0]) < 0 {
				from = &run
			}
			both, *from = append(both, (*from)[0]), (*from)[1:]
		}
		all = append(append(both, all...), run...)
	}
	return all
}

// searches returns what orders one of the snapshot's devices by name, and what a search looks
// into.
func (s *Snapshot) searches(i int) (key, own, shared string) {
	if len(s.entries) == len(s.Devices) {
		e := s.entries[i]
		return e.key, e.own, e.shared
	}
	own, shared = searched(s.Devices[i])
	return nameOrder(s.Devices[i]), own, shared
}

// say gives the findings of a device their general words, of which said keeps those that were
// looked up: history keeps none.
func (d *Device) say(said map[spanKey][2]string) {
	for i := range d.Findings {
		f := &d.Findings[i]
		k := spanKey{f.Code, f.Subject}
		w, ok := said[k]
		if !ok {
			w[0], w[1] = Words(f.Code, f.Subject)
			said[k] = w
		}
		f.Text, f.Cure = w[0], w[1]
	}
}
