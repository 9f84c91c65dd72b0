package estate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
)

// entry is a device in the index. It is not changed once it is there: a newer one takes its
// place.
type entry struct {
	Device
	seq       int64
	enrolment ward.EnrolmentID
	key       string  // orders it by name, see nameOrder
	own       string  // what a search finds of it alone, in lower case
	shared    string  // and with others
	present   *Device // as it is now, in a snapshot of the past; nil where it was deleted since
}

// index is the present of all devices in memory. Its methods are called by one goroutine at a
// time; the lists that it gives out are not changed again.
//
// It follows the record by the sequence numbers that each written posture gets. On PostgreSQL
// a unit of work gets its number before it commits, so that a lower one may become visible
// after a higher one was read: each look therefore begins at the number that was the highest
// one overlap ago, and what is known of what it finds is passed over. A unit of work takes
// much less time than that; what takes longer all the same is found by reading everything
// anew, which Follow does now and then.
type index struct {
	by     map[ward.DeviceID]*entry
	byEnr  map[ward.EnrolmentID]ward.DeviceID
	order  []*entry  // as Snapshot has it
	list   []*Device // of order
	words  map[string]string
	gone   map[ward.DeviceID]int64 // that were deleted, with the numbers of the rows that say so
	high   int64
	marks  []mark
	seenAt time.Time // when the times of contact were read last
	wholly time.Time // when everything was
}

// mark tells which number was the highest at a time.
type mark struct {
	at   time.Time
	high int64
}

// startOverlap is how far back the first looks begin, before there are marks.
const startOverlap = 10_000

// floor returns the number after which the next look begins.
func (x *index) floor(now time.Time, overlap time.Duration) int64 {
	if overlap == 0 {
		return x.high
	}
	last := -1
	for i, m := range x.marks {
		if now.Sub(m.at) >= overlap {
			last = i
		}
	}
	if last >= 0 {
		x.marks = slices.Delete(x.marks, 0, last)
		return x.marks[0].high
	}
	return max(x.high-startOverlap, 0)
}

// note keeps which number is the highest now, at most once a second.
func (x *index) note(now time.Time, overlap time.Duration) {
	if n := len(x.marks); overlap > 0 && (n == 0 || now.Sub(x.marks[n-1].at) >= time.Second) {
		x.marks = append(x.marks, mark{now, x.high})
	}
}

// refresh takes in what was written since the last time, and reports whether anything was.
// whole looks at everything.
func (s *Service) refresh(ctx context.Context, whole bool) (changed bool, err error) {
	x, now := &s.index, s.Now()
	if x.by == nil {
		*x = index{by: map[ward.DeviceID]*entry{}, byEnr: map[ward.EnrolmentID]ward.DeviceID{}, words: map[string]string{}, gone: map[ward.DeviceID]int64{}, wholly: now}
		if err := s.read(ctx, 0); err != nil {
			s.index = index{}
			return false, err
		}
		x.note(now, s.Overlap)
		all, err := s.contacts(ctx)
		s.heard(all, now)
		return true, err
	}
	after := x.floor(now, s.Overlap)
	if whole {
		after, x.wholly = 0, now
	}
	heads, err := s.Store.Heads(ctx, after)
	if err != nil {
		return false, fmt.Errorf("postures: %w", err)
	}
	x.note(now, s.Overlap)
	for _, h := range heads {
		if x.behind(h) {
			return true, s.read(ctx, h.Seq-1)
		}
	}
	return false, nil
}

// behind reports whether a head is not taken in.
func (x *index) behind(h Head) bool {
	if e := x.by[h.Device]; e != nil {
		return e.seq < h.Seq
	}
	return x.gone[h.Device] < h.Seq
}

// read takes in every posture after a number.
func (s *Service) read(ctx context.Context, after int64) error {
	x := &s.index
	out := map[*entry]struct{}{}
	var in []*entry
	err := s.Store.Postures(ctx, after, func(r Row) error {
		x.high = max(x.high, r.Seq)
		if !x.behind(r.Head) {
			return nil
		}
		old := x.by[r.Device]
		if old != nil {
			out[old] = struct{}{}
			delete(x.by, r.Device)
			delete(x.byEnr, old.enrolment)
		}
		if r.Body == "" {
			x.gone[r.Device] = r.Seq
			return nil
		}
		e, err := x.entry(r)
		if err != nil {
			return err
		}
		if old != nil && old.enrolment == e.enrolment && old.LastSeen.After(e.LastSeen) {
			e.LastSeen = old.LastSeen
		}
		x.by[r.Device] = e
		if e.enrolment != "" {
			x.byEnr[e.enrolment] = e.ID
		}
		in = append(in, e)
		return nil
	})
	if err != nil {
		s.index = index{} // what was taken in by half is read anew
		return fmt.Errorf("postures: %w", err)
	}
	in = slices.DeleteFunc(in, func(e *entry) bool { _, dropped := out[e]; return dropped })
	x.merge(in, out)
	return nil
}

// entry makes an entry of a row. Texts that many devices share are kept once.
func (x *index) entry(r Row) (*entry, error) {
	d, enrolment, err := decode(r.Device, r.Body)
	if err != nil {
		return nil, err
	}
	d.Name, d.Serial, d.Owner, d.Email = r.Name, r.Serial, r.Owner, r.Email
	if d.Name == "" {
		d.Name = r.Serial
	}
	if d.Name == "" {
		d.Name = string(r.Device)
	}
	d.Model, d.Role = x.shared(r.Model), x.shared(r.Role)
	d.Site, d.Group, d.OSVersion = x.shared(d.Site), x.shared(d.Group), x.shared(d.OSVersion)
	d.Platform, d.Ownership = ward.Platform(x.shared(string(d.Platform))), ward.Ownership(x.shared(string(d.Ownership)))
	d.Supervised = ward.Supervision(x.shared(string(d.Supervised)))
	d.State = stateOf(d.State)
	for i := range d.Findings {
		f := &d.Findings[i]
		f.State, f.Code, f.Subject, f.Cure = stateOf(f.State), x.shared(f.Code), x.shared(f.Subject), x.shared(f.Cure)
		if text, _ := Words(f.Code, f.Subject); text == f.Text {
			f.Text = x.shared(text)
		}
	}
	for i, a := range d.Apps {
		d.Apps[i] = x.shared(a)
	}
	for i := range d.Approved {
		d.Approved[i].Bundle = x.shared(d.Approved[i].Bundle)
	}
	e := &entry{Device: d, seq: r.Seq, enrolment: enrolment, key: nameOrder(&d)}
	e.own, e.shared = searched(&e.Device)
	e.shared = x.shared(e.shared)
	return e, nil
}

// stateOf returns a state without the memory of the text that it was read from.
func stateOf(s compliance.State) compliance.State {
	if i := slices.Index(Attention, s); i >= 0 {
		return Attention[i]
	}
	return s
}

// shared returns the one copy of a text that many devices have.
func (x *index) shared(s string) string {
	if kept, ok := x.words[s]; ok {
		return kept
	}
	x.words[s] = s
	return s
}

// searched returns what a search looks into, in lower case.
func searched(d *Device) (own, shared string) {
	own = strings.ToLower(strings.Join([]string{d.Name, d.Owner, d.Email, d.Serial, string(d.ID)}, "\n"))
	return own, strings.ToLower(strings.Join([]string{d.Group, d.Site, d.Role, d.Model, d.System()}, "\n"))
}

// merge takes entries out of the order and others in.
func (x *index) merge(in []*entry, out map[*entry]struct{}) {
	type keyed struct {
		key string
		e   *entry
	}
	coming := make([]keyed, len(in))
	for i, e := range in {
		coming[i] = keyed{sortKey(&e.Device), e}
	}
	slices.SortFunc(coming, func(a, b keyed) int { return strings.Compare(a.key, b.key) })
	stay := x.order
	if len(out) > 0 {
		stay = make([]*entry, 0, len(x.order))
		for _, e := range x.order {
			if _, goes := out[e]; !goes {
				stay = append(stay, e)
			}
		}
	}
	order := make([]*entry, 0, len(stay)+len(coming))
	for _, c := range coming {
		i, _ := slices.BinarySearchFunc(stay, c.key, func(e *entry, key string) int { return strings.Compare(sortKey(&e.Device), key) })
		order = append(append(order, stay[:i]...), c.e)
		stay = stay[i:]
	}
	x.put(append(order, stay...))
}

// put makes an order the present one.
func (x *index) put(order []*entry) {
	x.order, x.list = order, make([]*Device, len(order))
	for i, e := range order {
		x.list[i] = &e.Device
	}
}
