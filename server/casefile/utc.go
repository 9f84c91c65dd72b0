package casefile

import (
	"slices"
	"time"
)

// utc is t as the pack writes it: in UTC, to the microsecond.
func utc(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// placeless returns a copy of src in which no answer tells where the device was, whatever
// the caller put there.
func (src Source) placeless() Source {
	src.Commands = each(src.Commands, func(c *Command) {
		if c.RequestType == deviceLocation && len(c.RawAnswer) > 0 {
			c.RawAnswer, c.Withheld = nil, "what tells a place stands in no case file."
		}
	})
	return src
}

// proven returns a copy of src in which no approval that is not proven has a key, and each
// says why, whatever the caller put there.
func (src Source) proven() Source {
	src.Orders = each(src.Orders, func(o *Order) {
		o.Approvals = each(o.Approvals, func(a *Approval) {
			if a.Proven {
				a.Unproven = ""
				return
			}
			a.PublicKey, a.Unproven = nil, or(a.Unproven, "Ward did not check it.")
		})
	})
	return src
}

// inUTC returns a copy of src whose times are as the pack writes them. What it points to
// is copied, so that the caller's values stay as they are.
func (src Source) inUTC() Source {
	var at []*time.Time
	see := func(all ...*time.Time) { at = append(at, all...) }
	see(&src.MadeAt)
	if src.Case != nil {
		c := *src.Case
		src.Case = &c
		see(&c.Reported, &c.LastSeen, &c.Aware, &c.Found, &c.Closed)
	}
	if src.Device != nil {
		d := *src.Device
		src.Device = &d
		see(&d.Enrolled, &d.LastSeen, &d.AsOf)
	}
	if src.Assessment != nil {
		a := *src.Assessment
		src.Assessment = &a
		a.Facts = each(a.Facts, func(f *Fact) { see(&f.At) })
		see(&a.Aware, &a.Deadline)
	}
	src.Commands = each(src.Commands, func(c *Command) {
		see(&c.Queued, &c.Delivered, &c.Deferred, &c.Answered, &c.Expires, &c.LastSeen, &c.Afresh)
	})
	src.Orders = each(src.Orders, func(o *Order) {
		see(&o.Requested, &o.Due, &o.Expires)
		o.Targets = each(o.Targets, func(t *Target) { see(&t.Delivered, &t.Answered) })
		o.Approvals = each(o.Approvals, func(a *Approval) { see(&a.At) })
		if o.Closing != nil {
			c := *o.Closing
			o.Closing = &c
			see(&c.At)
		}
	})
	src.Locations = each(src.Locations, func(l *Look) { see(&l.At) })
	src.Certificates = each(src.Certificates, func(c *Certificate) { see(&c.Revoked, &c.Listed) })
	src.Timeline = each(src.Timeline, func(e *Event) { see(&e.At) })
	src.Decisions = each(src.Decisions, func(d *Decision) { see(&d.At) })
	src.Audit.Entries = each(src.Audit.Entries, func(e *Entry) { see(&e.Time) })
	src.Audit.Pending = each(src.Audit.Pending, func(p *Pending) { see(&p.Time) })
	for _, t := range at {
		if !t.IsZero() {
			*t = utc(*t)
		}
	}
	return src
}

// each copies all and lets change work on the copies.
func each[T any](all []T, change func(*T)) []T {
	all = slices.Clone(all)
	for i := range all {
		change(&all[i])
	}
	return all
}
