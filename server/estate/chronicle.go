package estate

import (
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/reconcile"
)

// Chronicle makes what a server would have written of a fleet over a span of time, without a
// record: it is for filling an empty one. Devices are known by their places, from 0; different
// devices may be told of by several goroutines, each device in the order of time.
type Chronicle struct {
	lives []life
}

// life is what the chronicle knows of one device.
type life struct {
	told  bool
	is    Device
	enr   ward.EnrolmentID
	spans map[spanKey]Span
	ended []Span // those that stand no more and were followed by others
}

// NewChronicle returns the chronicle of as many devices.
func NewChronicle(devices int) *Chronicle { return &Chronicle{lives: make([]life, devices)} }

// Judge judges a device as Record does. The change is what is to be kept for good; ok is false
// where nothing changed.
func (c *Chronicle) Judge(i int, v reconcile.View, now time.Time) (change KeptChange, ok bool, err error) {
	l := &c.lives[i]
	is := Of(v, compliance.Assess(v, now), now)
	var was *Device
	if l.told {
		was = &l.is
	}
	is.follow(was, now)
	changed := was == nil || !same(was, &is)
	if changed {
		if change.Body, err = encode(&is, v.Enrolment.ID, false); err != nil {
			return change, false, err
		}
		change.Device, change.At = is.ID, now
		l.turn(was, &is, now)
	}
	l.told, l.is, l.enr = true, is, v.Enrolment.ID
	return change, changed, nil
}

// turn keeps what a change does to the spans, as settleSpans does.
func (l *life) turn(was, is *Device, at time.Time) {
	t := turnOf(was, is, at)
	for k, why := range t.end {
		s := l.spans[k]
		s.To, s.Ended = at, why
		l.spans[k] = s
	}
	for _, s := range t.begin {
		k := spanKey{s.Code, s.Subject}
		last, before := l.spans[k]
		switch {
		case before && last.Ended == Forgotten:
			s.From = last.From
		case before:
			if s.From.Before(last.To) {
				s.From = at
			}
			l.ended = append(l.ended, last)
		}
		if l.spans == nil {
			l.spans = map[spanKey]Span{}
		}
		l.spans[k] = s
	}
}

// Midnight returns the frame and the days of a midnight; seen says when a device was heard
// from last as of then.
func (c *Chronicle) Midnight(at time.Time, seen func(i int) time.Time) ([]byte, map[Cut]Day, error) {
	ds := make([]*Device, 0, len(c.lives))
	for i := range c.lives {
		l := &c.lives[i]
		if !l.told {
			continue
		}
		if l.is.Managed {
			l.is.LastSeen = whole(seen(i))
		}
		ds = append(ds, &l.is)
	}
	byID(ds)
	f, err := newFrame(ds)
	if err != nil {
		return nil, nil, err
	}
	body, err := f.pack()
	return body, daysOf(ds, at), err
}

// Posture returns how a device stands at the end, as the record keeps it, and its spans.
func (c *Chronicle) Posture(i int) (id ward.DeviceID, body string, spans []Span, err error) {
	l := &c.lives[i]
	body, err = encode(&l.is, l.enr, true)
	spans = l.ended
	for _, s := range l.spans {
		spans = append(spans, s)
	}
	return l.is.ID, body, spans, err
}

// State returns how a device stands, "" for one that was not judged yet.
func (c *Chronicle) State(i int) compliance.State { return c.lives[i].is.State }
