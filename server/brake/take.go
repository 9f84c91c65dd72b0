package brake

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
)

// Record appends an entry, whose Seq and MAC it makes, and whose At is now where it is
// zero, in the unit of work in ctx. Deliveries and uses are for Take, a Reset for Reanchor.
// A Released of a kind that is not held is a *ward.Error of kind Conflict; a Lifted must
// end within MaxLift.
func (s *Service) Record(ctx context.Context, e Entry) error { return s.RecordAll(ctx, []Entry{e}) }

// RecordAll records several entries, for less than each would cost alone.
func (s *Service) RecordAll(ctx context.Context, entries []Entry) error {
	return s.gated(ctx, func(ctx context.Context, l *Ledger) error {
		for _, e := range entries {
			if e.At.IsZero() {
				e.At = s.c.Now()
			}
			if err := recordable(l, e); err != nil {
				return err
			}
			var err error
			if l, err = s.append(ctx, l, e); err != nil {
				return err
			}
		}
		return nil
	})
}

func recordable(l *Ledger, e Entry) error {
	if !known(e.Kind) {
		return fmt.Errorf("brake: record %s: there is no kind %q", e.Event, e.Kind)
	}
	if e.Order == "" {
		return fmt.Errorf("brake: record %s: it names no order", e.Event)
	}
	switch e.Event {
	case Requested, Approved, Cancelled:
		return nil
	case Issued:
		if e.Enrolment == "" || e.Hash == "" {
			return fmt.Errorf("brake: record %s: it needs an enrolment and a hash", e.Event)
		}
		return nil
	case Released:
		if _, ok := l.Held(e.Kind); !ok {
			_, many := Words(e.Kind)
			return ward.Errorf(ward.Conflict, "The brake does not hold %s, so there is nothing to release.", many)
		}
		return nil
	case Lifted:
		if !e.Until.After(e.At) || e.Until.After(e.At.Add(MaxLift)) {
			return ward.Errorf(ward.Invalid, "The brake may be lifted for %s at most, and no less than nothing.", span(MaxLift))
		}
		return nil
	case Delivered, Used, Held, Reset:
	}
	return fmt.Errorf("brake: record %q: it is not recorded this way", e.Event)
}

// Take counts a deed, now, whatever its At says, in the unit of work in ctx: a Delivered of
// a kind by order, or a Used of one that takes one person. A nil Hold means that it may go
// on. A Hold means that it may not: the unit of work is then to be committed, for a new
// Hold is an entry of its own. A new one is told to OnHeld.
//
// A Delivered of the same order and enrolment counts once: a device that has the command
// may be given it again whatever holds. One that was taken back before is an ErrCancelled.
// A Delivered of a Campaign is held when the kind is, and fills no window. A Used beyond
// what one person may do is a *ward.Error of kind Conflict for that person, and holds
// nothing; its caller audits it. Of a Used whose Note is Self, see there.
func (s *Service) Take(ctx context.Context, e Entry) (held *Hold, err error) {
	return s.TakeWithin(ctx, e, 0)
}

// TakeWithin is Take for a Delivered of a Campaign, of whose order at most perHour may be
// handed out in any hour; past it the error is an ErrTurn, and nothing is counted. A perHour
// of 0 is no limit.
func (s *Service) TakeWithin(ctx context.Context, e Entry, perHour int) (held *Hold, err error) {
	switch {
	case !known(e.Kind):
		return nil, fmt.Errorf("brake: take: there is no kind %q", e.Kind)
	case e.Kind.ByOrder() && (e.Event != Delivered || e.Order == "" || e.Enrolment == ""):
		return nil, fmt.Errorf("brake: take %s: it must be delivered, with an order and an enrolment", e.Kind)
	case !e.Kind.ByOrder() && (e.Event != Used || e.Person == "" || e.Campaign):
		return nil, fmt.Errorf("brake: take %s: it must be used, by a person, and in no campaign", e.Kind)
	}
	err = s.gated(ctx, func(ctx context.Context, l *Ledger) (err error) {
		e.At = exact(s.c.Now())
		if perHour > 0 && !l.Delivered(e.Order, e.Enrolment) && l.Campaign(e.Order, e.At.Add(-time.Hour)) >= perHour {
			return ErrTurn
		}
		held, err = s.take(ctx, l, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	return held, nil
}

func (s *Service) take(ctx context.Context, l *Ledger, e Entry) (*Hold, error) {
	self := e.Event == Used && e.Note == Self
	if e.Event == Delivered {
		if l.Delivered(e.Order, e.Enrolment) {
			return nil, nil
		}
		if l.Cancelled(e.Order, e.Enrolment) {
			return nil, ErrCancelled
		}
	}
	if h, ok := l.Held(e.Kind); ok && !self {
		return &h, nil
	}
	if _, lifted := l.Lifted(e.Kind, e.At); !lifted && !e.Campaign {
		if err := s.person(l, e); err != nil {
			return nil, err
		}
		for _, limit := range s.c.Limits[e.Kind] {
			if self {
				break
			}
			why, err := s.full(ctx, l, e, limit)
			if err != nil {
				return nil, err
			}
			if why != "" {
				return s.hold(ctx, l, e, limit, why)
			}
		}
	}
	_, err := s.append(ctx, l, e)
	return nil, err
}

// person returns the Conflict for one who has done as much as one person may.
func (s *Service) person(l *Ledger, e Entry) error {
	if e.Event != Used {
		return nil
	}
	for _, limit := range s.c.Limits[e.Kind] {
		most := limit.PerPerson
		if most == 0 {
			continue
		}
		if c := l.count(e, limit.Window); c.mine >= most {
			return ward.Errorf(ward.Conflict, "The brake holds this: one person may do %s within %s, and you have. Ask a colleague to do the others, or wait.", count(e.Kind, most), span(limit.Window))
		}
	}
	return nil
}

// tally is how many deeds there were within a window.
type tally struct{ all, here, mine int }

// count counts the deeds like e within a window that ends with it. One that is exactly as
// old as the window no longer counts.
func (l *Ledger) count(e Entry, window time.Duration) (t tally) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.deeds(e.Kind, e.At.Add(-window), func(x *Entry) {
		if x.Event != Delivered && x.Event != Used {
			return
		}
		if x.Person == e.Person {
			t.mine++
		}
		if x.Event == Used && x.Note == Self {
			return
		}
		t.all++
		if x.Site == e.Site {
			t.here++
		}
	})
	return t
}

// full says why a window leaves no room for e; "" if it does.
func (s *Service) full(ctx context.Context, l *Ledger, e Entry, limit Limit) (string, error) {
	t := l.count(e, limit.Window)
	most, err := s.most(ctx, limit.Most, limit.Share, "", t.all)
	if err != nil {
		return "", err
	}
	if t.all >= most {
		return fmt.Sprintf("%s within %s, the most that is allowed here.", thereWere(e.Kind, t.all), span(limit.Window)), nil
	}
	if limit.PerSite == 0 {
		return "", nil
	}
	if most, err = s.mostHere(ctx, limit, e.Site, t.here); err != nil || t.here < most {
		return "", err
	}
	where := "at the site " + e.Site
	if e.Site == "" {
		where = "among devices without a site"
	}
	return fmt.Sprintf("%s within %s %s, the most that is allowed at one site.", thereWere(e.Kind, t.here), span(limit.Window), where), nil
}

// most returns how many deeds a window takes: n, or the share of the devices of a site,
// "" for all, where that is more. The devices are counted only where so many are asked for.
func (s *Service) most(ctx context.Context, n int, share float64, site string, asked int) (int, error) {
	if share == 0 || asked < n {
		return n, nil
	}
	devices, err := s.c.Fleet.Count(ctx, site)
	if err != nil {
		return 0, fmt.Errorf("brake: count devices: %w", err)
	}
	return max(n, int(math.Floor(share*float64(devices)+1e-9))), nil
}

// mostHere is most for one site. Of devices without a site no share is counted.
func (s *Service) mostHere(ctx context.Context, limit Limit, site string, asked int) (int, error) {
	share := limit.Share
	if site == "" {
		share = 0
	}
	return s.most(ctx, limit.PerSite, share, site, asked)
}

// hold begins a hold.
func (s *Service) hold(ctx context.Context, l *Ledger, e Entry, limit Limit, why string) (*Hold, error) {
	h := Hold{Kind: e.Kind, Since: e.At, Why: why, Involved: l.involved(e, limit.Window)}
	list, err := json.Marshal(h.Involved)
	if err != nil {
		return nil, err
	}
	e.Event, e.Note, e.Campaign, e.Hash, e.Until = Held, why+"\n"+string(list), false, "", time.Time{}
	if _, err := s.append(ctx, l, e); err != nil {
		return nil, err
	}
	if s.c.OnHeld != nil {
		if err := s.c.OnHeld(ctx, h); err != nil {
			return nil, fmt.Errorf("brake: tell of the hold: %w", err)
		}
	}
	return &h, nil
}

// involved returns who had part in what filled a window and in e, which is held.
func (l *Ledger) involved(e Entry, window time.Duration) []string {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	who := []string{}
	add := func(x *Entry) {
		if x.Person != "" && !strings.HasPrefix(x.Person, "via ") {
			who = append(who, x.Person)
		}
	}
	order := func(o ward.OrderID) {
		for _, x := range l.m.orders[target{o, ""}] {
			if x.Seq <= l.upTo && (x.Event == Requested || x.Event == Approved) {
				add(x)
			}
		}
	}
	l.deeds(e.Kind, e.At.Add(-window), func(x *Entry) {
		if x.Event == Used && x.Note == Self {
			return
		}
		add(x)
		if x.Order != "" {
			order(x.Order)
		}
	})
	add(&e)
	if e.Order != "" {
		order(e.Order)
	}
	slices.Sort(who)
	return slices.Compact(who)
}

// Words says the hold to people, behind words such as "The brake holds this:".
func (h Hold) Words() string {
	_, many := Words(h.Kind)
	return fmt.Sprintf("%s Since %s all %s wait until two people release them, one of whom had no part in it. If this is an attack, cancel what is open.",
		h.Why, h.Since.UTC().Format("15:04 on 2 January 2006 UTC"), many)
}

// ToRelease is the Note of a Requested by an order that releases the kind.
const ToRelease = "release"

// Asked returns who has asked for or approved orders of the kind at or after a time: those
// whose orders wait behind a hold are involved in it like those who filled the window. To
// have asked for a release is no part in what it releases.
func (l *Ledger) Asked(k Kind, since time.Time) []string {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	who := []string{}
	for t, entries := range l.m.orders {
		if t.enrolment != "" {
			continue
		}
		for _, x := range entries {
			if x.Seq <= l.upTo && x.Kind == k && !x.At.Before(since) && x.Note != ToRelease && (x.Event == Requested || x.Event == Approved) && x.Person != "" && !strings.HasPrefix(x.Person, "via ") {
				who = append(who, x.Person)
			}
		}
	}
	slices.Sort(who)
	return slices.Compact(who)
}
