package brake

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
)

// Ledger is what the verified journal says, up to the entry that was its last when it was
// read. It does not change, and may be used by several goroutines.
type Ledger struct {
	m    *memory
	upTo int64
}

// Head returns the number of the last entry, 0 of an empty journal.
func (l *Ledger) Head() int64 { return l.upTo }

// last returns the newest entry of event about an order and an enrolment, which is empty
// for the order as a whole.
func (l *Ledger) last(ev Event, o ward.OrderID, e ward.EnrolmentID) (Entry, bool) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	for _, x := range slices.Backward(l.m.orders[target{o, e}]) {
		if x.Seq <= l.upTo && x.Event == ev {
			return *x, true
		}
	}
	return Entry{}, false
}

// IssuedEntry returns the entry by which a command was queued for the enrolment, without
// its MAC; ok is false if none was, or before a Reset.
func (l *Ledger) IssuedEntry(o ward.OrderID, e ward.EnrolmentID) (Entry, bool) {
	return l.last(Issued, o, e)
}

// ApprovedEntry returns the entry by which two people approved the order, without its MAC;
// ok is false if none is there, or before a Reset.
func (l *Ledger) ApprovedEntry(o ward.OrderID) (Entry, bool) { return l.last(Approved, o, "") }

// RequestedEntry returns the entry by which the order was asked for, without its MAC; ok is
// false if none is there, or before a Reset.
func (l *Ledger) RequestedEntry(o ward.OrderID) (Entry, bool) { return l.last(Requested, o, "") }

// Issued returns the SHA-256 of the command that was queued for the enrolment; see
// IssuedEntry.
func (l *Ledger) Issued(o ward.OrderID, e ward.EnrolmentID) (hash string, ok bool) {
	x, ok := l.IssuedEntry(o, e)
	return x.Hash, ok
}

// Approved returns the digest that two people approved; see ApprovedEntry.
func (l *Ledger) Approved(o ward.OrderID) (hash string, ok bool) {
	x, ok := l.ApprovedEntry(o)
	return x.Hash, ok
}

// Cancelled reports whether the order was taken back, as a whole or for the enrolment.
func (l *Ledger) Cancelled(o ward.OrderID, e ward.EnrolmentID) bool {
	_, whole := l.last(Cancelled, o, "")
	_, one := l.last(Cancelled, o, e)
	return whole || one
}

// Delivered reports whether the order's command was handed out to the enrolment.
func (l *Ledger) Delivered(o ward.OrderID, e ward.EnrolmentID) bool {
	_, ok := l.last(Delivered, o, e)
	return ok
}

// DeliveredCount returns to how many enrolments the order's commands were handed out.
func (l *Ledger) DeliveredCount(o ward.OrderID) int { return l.Campaign(o, time.Time{}) }

// Campaign returns to how many enrolments the order's commands were handed out after
// since: what a campaign's own limit is held against.
func (l *Ledger) Campaign(o ward.OrderID, since time.Time) int {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	n := 0
	for _, e := range l.m.delivered[o] {
		if e.Seq <= l.upTo && e.At.After(since) {
			n++
		}
	}
	return n
}

// Held returns the hold that stands for the kind; ok is false if none does.
func (l *Ledger) Held(k Kind) (Hold, bool) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	return l.held(k)
}

// Lifted returns until when the kind's windows do not count; ok is false if they count at
// the time given.
func (l *Ledger) Lifted(k Kind, at time.Time) (until time.Time, ok bool) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if e := l.control(k, l.upTo+1, Lifted); e != nil && e.Until.After(at) {
		return e.Until, true
	}
	return time.Time{}, false
}

// The methods below are called with the memory's lock held.

// control returns the newest of the events about a kind before the entry seq, which is none
// that the ledger does not see; nil if there is none.
func (l *Ledger) control(k Kind, seq int64, events ...Event) *Entry {
	for _, e := range slices.Backward(l.m.controls[k]) {
		if e.Seq < seq && slices.Contains(events, e.Event) {
			return e
		}
	}
	return nil
}

func (l *Ledger) held(k Kind) (Hold, bool) {
	e := l.control(k, l.upTo+1, Held, Released)
	if e == nil || e.Event != Held {
		return Hold{}, false
	}
	h := Hold{Kind: k, Since: e.At}
	why, list, _ := strings.Cut(e.Note, "\n")
	h.Why = why
	if err := json.Unmarshal([]byte(list), &h.Involved); err != nil {
		h.Involved = nil // the note is our own and under the MAC; without a list nobody is known
	}
	return h, true
}

// deeds calls visit with the entries of a kind that may fill a window which began at from:
// those after it that no release and no lift has set aside. The latest comes first.
func (l *Ledger) deeds(k Kind, from time.Time, visit func(*Entry)) {
	var released int64
	if e := l.control(k, l.upTo+1, Released); e != nil {
		released = e.Seq
	}
	for _, e := range slices.Backward(l.m.kinds[k]) {
		if e.Seq <= released || !e.high.After(from) {
			return // and so are all before it
		}
		if e.Seq > l.upTo || !e.At.After(from) {
			continue
		}
		if lift := l.control(k, e.Seq, Lifted); lift != nil && lift.Until.After(e.At) {
			continue
		}
		visit(e.Entry)
	}
}

// Reported returns the entry by which the device's case was opened; ok is false if none was:
// a row of a case that nobody reported stands in no journal.
func (l *Ledger) Reported(d ward.DeviceID, c ward.CaseID) (e Entry, ok bool) {
	if c == "" {
		return e, false
	}
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	for _, x := range slices.Backward(l.m.kinds[Report]) {
		if x.Seq <= l.upTo && x.Event == Used && x.Device == d && x.Hash == string(c) {
			return *x.Entry, true
		}
	}
	return e, false
}
