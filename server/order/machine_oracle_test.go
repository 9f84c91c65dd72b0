package order_test

import (
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/order"
	"pgregory.net/rapid"
)

// oracle knows from outside who asked for, signed and took back what, and judges every
// delivery by it.
type oracle struct {
	m        *machine
	known    map[ward.OrderID]*fate
	seen     map[ward.DeviceID]time.Time
	tampered map[ward.OrderID]bool
	times    map[order.Kind][]time.Time // deliveries that a window counts
}

// fate is one order as it was asked for, and what may still come of it.
type fate struct {
	order.Order
	signed    map[ward.PersonID]bool
	approved  bool
	notBefore time.Time
	first     map[ward.EnrolmentID]time.Time // the first delivery
	never     map[ward.EnrolmentID]bool      // taken back before it
}

// windows are how many deeds the brake allows, by default.
var windows = map[order.Kind][2]int{order.Erase: {3, 10}, order.ClearPasscode: {5, 20}, order.RemoveManagement: {20, 50}}

func newOracle(m *machine) *oracle {
	return &oracle{m: m, known: map[ward.OrderID]*fate{}, seen: map[ward.DeviceID]time.Time{}, tampered: map[ward.OrderID]bool{}, times: map[order.Kind][]time.Time{}}
}

func (o *oracle) asked(x order.Order) {
	o.known[x.ID] = &fate{Order: x, signed: map[ward.PersonID]bool{}, first: map[ward.EnrolmentID]time.Time{}, never: map[ward.EnrolmentID]bool{}}
}

func (o *oracle) signs(id ward.OrderID, p ward.PersonID) { o.known[id].signed[p] = true }

// approved looks whether an order was approved by now, and until when it has to wait.
func (o *oracle) approved(t *rapid.T, id ward.OrderID) {
	f, x := o.known[id], o.m.look(id)
	if f.approved || o.tampered[id] || (x.State != order.Approved && x.State != order.Issued) {
		return
	}
	f.approved = true
	o.m.tally["approved"]++
	if len(f.signed) < 2 {
		t.Fatalf("order %s is %s, signed by %v only", id, x.State, f.signed)
	}
	now := o.m.Now()
	if c := f.Options.Campaign; c != nil {
		f.notBefore = c.Start
		return
	}
	for _, d := range f.Targets {
		if s, ok := o.seen[d.Device]; ok && f.Kind == order.Erase && now.Sub(s) < time.Hour {
			f.notBefore = now.Add(10 * time.Minute)
		}
	}
}

func (o *oracle) cancelled(id ward.OrderID) {
	f := o.known[id]
	for _, x := range f.Targets {
		if _, ok := f.first[x.Enrolment]; !ok {
			f.never[x.Enrolment] = true
			o.m.tally["cancelled"]++
		}
	}
}

// releases counts the releases in the journal.
func (o *oracle) releases(k brake.Kind) (n int) {
	all, err := o.m.db.Journal().Since(o.m.t.Context(), 0, 100000)
	must(o.m.t, err)
	for _, e := range all {
		if e.Kind == k && e.Event == brake.Released {
			n++
		}
	}
	return n
}

func (o *oracle) released(k brake.Kind, yes bool) {
	if yes {
		o.m.tally["released"]++
		o.times[order.Kind(k)] = nil
	}
}

// delivered judges what a device was given.
func (o *oracle) delivered(t *rapid.T, d ward.DeviceID, e ward.Enrolment, r command.Record, body string) {
	f, ok := o.known[r.Order]
	if !ok {
		t.Fatalf("%s was given %q, which nobody ordered: %+v", d, body, r)
	}
	named := false
	for _, x := range f.Targets {
		named = named || (x.Device == d && x.Enrolment == e.ID)
	}
	device, err := o.m.db.Fleet().Device(o.m.t.Context(), d)
	must(o.m.t, err)
	now := o.m.Now()
	switch {
	case !named:
		t.Fatalf("%s was given a command of order %s, which does not name it", d, f.ID)
	case len(f.signed) < 2:
		t.Fatalf("%s was given order %s, which %v signed", d, f.ID, f.signed)
	case f.never[e.ID]:
		t.Fatalf("%s was given order %s, which was taken back before", d, f.ID)
	case now.Before(f.notBefore):
		t.Fatalf("%s was given order %s before %s", d, f.ID, f.notBefore)
	case device.Ownership == ward.Personal && f.Kind != order.RemoveManagement:
		t.Fatalf("%s is personal and was given order %s", d, f.ID)
	case strings.Contains(body, "more"):
		t.Fatalf("%s was given the thief's command", d)
	}
	o.m.tally["given"]++
	if r.Deliveries > 1 {
		o.m.tally["given again"]++
		if _, ok := f.first[e.ID]; !ok {
			t.Fatalf("%s was given %+v again, and never before", d, r)
		}
		return
	}
	if at, ok := f.first[e.ID]; ok {
		t.Fatalf("%s was given order %s for the first time twice: at %s", d, f.ID, at)
	}
	f.first[e.ID] = now
	o.count(t, f, now)
}

// count holds the windows, or a campaign's own limit, against a delivery.
func (o *oracle) count(t *rapid.T, f *fate, now time.Time) {
	within := func(times []time.Time, d time.Duration) (n int) {
		for _, x := range times {
			if now.Sub(x) < d {
				n++
			}
		}
		return n
	}
	if c := f.Options.Campaign; c != nil {
		var times []time.Time
		for _, x := range f.first {
			times = append(times, x)
		}
		o.m.tally["campaign"]++
		if n := within(times, time.Hour); n > c.PerHour {
			t.Fatalf("%d devices of campaign %s within an hour", n, f.ID)
		}
		return
	}
	o.times[f.Kind] = append(o.times[f.Kind], now)
	if hour, day := within(o.times[f.Kind], time.Hour), within(o.times[f.Kind], 24*time.Hour); hour > windows[f.Kind][0] || day > windows[f.Kind][1] {
		t.Fatalf("%d of %s within an hour, %d within a day", hour, f.Kind, day)
	}
}

// settle lets everything come to rest, without crashes and thieves, and looks for what was
// forgotten.
func (o *oracle) settle(t *rapid.T) {
	m := o.m
	s := m.copies[0]
	m.Service = s
	m.db.SetGuard(s.Deliverable)
	for range 20 {
		m.pass(30*time.Minute + time.Second)
		_, err := s.Advance(m.t.Context())
		must(m.t, err)
		for _, d := range m.devices {
			o.empty(t, d)
		}
		ledger, err := m.copies[1].Journal.Ledger(m.t.Context())
		must(m.t, err)
		for _, k := range []brake.Kind{brake.Erase, brake.ClearPasscode, brake.RemoveManagement} {
			if _, held := ledger.Held(k); held {
				o.m.tally["held"]++
				o.let(t, k)
			}
		}
		m.pass(12 * time.Hour)
	}
	for _, id := range m.orders {
		f, x := o.known[id], m.look(id)
		if !f.approved || o.tampered[id] {
			continue
		}
		for _, target := range x.Targets {
			_, given := f.first[target.Enrolment]
			rests := x.State == order.Cancelled && (target.Outcome == "" || (given && (target.Outcome == order.Delivered || target.Outcome == order.Deferred)))
			if !target.Outcome.Final() && !rests {
				t.Fatalf("order %s, approved and %s, is forgotten for %s: %+v", id, x.State, target.Device, target)
			}
			if target.Outcome == order.Accepted && !given {
				t.Fatalf("order %s is accepted by %s, which was never given it", id, target.Device)
			}
		}
	}
}

// empty has a device take and accept all that there is for it.
func (o *oracle) empty(t *rapid.T, d ward.DeviceID) {
	e := o.m.now[d]
	must(o.m.t, o.m.db.Commands().Resume(o.m.t.Context(), e.ID))
	for {
		r, body, forged, err := o.m.db.Commands().Next(o.m.t.Context(), e.ID)
		must(o.m.t, err)
		o.m.withheld(forged)
		if body == nil {
			return
		}
		o.delivered(t, d, e, r, string(body))
		must(o.m.t, o.m.reply(e, r, command.Accepted))
	}
}

// let has two people release a hold; fay has had a part in nothing.
func (o *oracle) let(t *rapid.T, k brake.Kind) {
	if err := o.m.release(o.m.copies[0], k, "ben", "fay"); err != nil {
		t.Fatalf("release %s: %v", k, err)
	}
	o.released(k, true)
}
