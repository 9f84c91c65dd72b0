package evidence

import (
	"context"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/source"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/policy"
)

// month is what is reported of one.
type month struct {
	Period
	end      time.Time    // the last moment that is reported on: now, for the month that runs
	days     []estate.Day // as far as recorded, the oldest first
	last     estate.Day   // the last of them; ok is false where there is none
	ok       bool
	removals estate.Removal
	enrolled int
	cases    []loss
	drills   int
	orders   map[order.State]int
	erased   int // orders to erase that were issued
	glass    int // approvals by the sealed key

	version    policy.Version // in force at the end
	policy     *profiles.Policy
	exceptions []source.Exception // in force at the end
}

// loss is one lost device of a month.
type loss struct {
	lost.Case
	device   string
	lock     time.Duration // from the report to the first accepted lock; negative: none
	erased   bool          // the device accepted an erase
	assessed time.Time     // when it was first decided whether to report it; zero: not yet
	deadline time.Time
	reported bool // it is to be reported to the regulator
}

// inTime reports whether it was decided within 72 hours.
func (l loss) inTime() bool { return !l.assessed.IsZero() && !l.assessed.After(l.deadline) }

func (s *Service) month(ctx context.Context, p Period) (m month, err error) {
	m = month{Period: p, end: p.To(), orders: map[order.State]int{}}
	if now := s.Now(); m.end.After(now) {
		m.end = now
	}
	if err = s.monthDays(ctx, &m); err != nil {
		return m, err
	}
	all, err := s.Estate.Removals(ctx, "", estate.Everything, m.From(), m.end)
	if err != nil {
		return m, fmt.Errorf("removals: %w", err)
	}
	m.removals = all[""]
	if m.cases, err = s.losses(ctx, p); err != nil {
		return m, err
	}
	if m.drills, err = s.drills(ctx, p); err != nil {
		return m, err
	}
	if err = s.monthOrders(ctx, &m); err != nil {
		return m, err
	}
	return m, s.monthPolicy(ctx, &m)
}

// monthDays takes the recorded days, and of the month that runs what is so now.
func (s *Service) monthDays(ctx context.Context, m *month) error {
	back := int(s.Now().Sub(m.From())/(24*time.Hour)) + 2
	days, err := s.Estate.Trend(ctx, estate.Cut{}, back)
	if err != nil {
		return fmt.Errorf("trend: %w", err)
	}
	for _, d := range days {
		if m.Has(d.Day) {
			m.days = append(m.days, d)
		}
	}
	current, err := s.Estate.Current(ctx)
	if err != nil {
		return err
	}
	for _, d := range current.Devices {
		if m.Has(d.Enrolled) {
			m.enrolled++
		}
	}
	if m.Has(s.Now()) {
		m.days = append(m.days, dayOf(current, s.Now()))
	}
	if n := len(m.days); n > 0 {
		m.last, m.ok = m.days[n-1], true
	}
	return nil
}

// dayOf counts a snapshot as the record counts the end of a day.
func dayOf(snap *estate.Snapshot, now time.Time) estate.Day {
	d := estate.Day{Day: now.UTC().Truncate(24 * time.Hour), States: map[compliance.State]int{}}
	for _, x := range snap.Devices {
		if x.State == compliance.Retired || x.Enrolled.IsZero() {
			continue
		}
		d.Devices++
		d.States[x.State]++
		away := now.Sub(x.LastSeen)
		if away >= 7*24*time.Hour {
			d.NotSeen7++
		}
		if away >= 30*24*time.Hour {
			d.NotSeen30++
		}
		blocked, old := false, false
		for _, f := range x.Findings {
			blocked, old = blocked || f.Code == codeBlocked, old || f.Code == codeOld
		}
		d.Blocked += one(blocked)
		d.OldOS += one(old)
		ready := len(x.Approved) > 0
		for _, a := range x.Approved {
			ready = ready && a.Ready()
		}
		d.AppWant += one(len(x.Approved) > 0)
		d.AppReady += one(ready)
	}
	return d
}

// Codes of findings, of package compliance.
const (
	codeBlocked = "blocked-app-present"
	codeOld     = "old-system"
)

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// losses returns the real cases that were reported in a month, the oldest first.
func (s *Service) losses(ctx context.Context, p Period) (out []loss, err error) {
	list, err := s.casesSince(ctx, p.From(), lost.OnlyReal)
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		if !p.Has(c.Reported) {
			continue
		}
		f, err := s.Cases.File(ctx, c.ID)
		if err != nil {
			return nil, fmt.Errorf("case %s: %w", c.ID, err)
		}
		out = append([]loss{lossOf(c, f)}, out...)
	}
	return out, nil
}

// casesSince returns cases, the newest first, as far back as a time.
func (s *Service) casesSince(ctx context.Context, from time.Time, w lost.Which) (out []lost.Case, err error) {
	f := lost.Filter{Which: w, Limit: 100}
	for {
		page, err := s.Cases.List(ctx, f)
		if err != nil {
			return nil, fmt.Errorf("cases: %w", err)
		}
		for _, c := range page {
			if !c.Reported.Before(from) {
				out = append(out, c)
			}
		}
		if len(page) < f.Limit || page[len(page)-1].Reported.Before(from) {
			return out, nil
		}
		f.After = page[len(page)-1].ID
	}
}

func lossOf(c lost.Case, f lost.File) loss {
	l := loss{Case: c, device: f.Device.Name, lock: -1, deadline: f.Case.Deadline}
	for _, x := range f.Commands {
		switch x.RequestType {
		case "EnableLostMode", "DeviceLock":
			if x.AcceptedAfter != nil {
				if d := time.Duration(*x.AcceptedAfter) * time.Millisecond; l.lock < 0 || d < l.lock {
					l.lock = d
				}
			}
		case "EraseDevice":
			l.erased = l.erased || x.AcceptedAfter != nil
		}
	}
	if len(f.Decisions) > 0 {
		l.assessed, l.reported = f.Decisions[0].At, f.Decisions[len(f.Decisions)-1].Reportable
	}
	return l
}

func (s *Service) drills(ctx context.Context, p Period) (n int, err error) {
	list, err := s.casesSince(ctx, p.From(), lost.OnlyDrills)
	for _, c := range list {
		n += one(p.Has(c.Reported))
	}
	return n, err
}

func (s *Service) monthOrders(ctx context.Context, m *month) error {
	f := order.Filter{Limit: 100}
	for {
		page, err := s.Orders.List(ctx, f)
		if err != nil {
			return fmt.Errorf("orders: %w", err)
		}
		for _, o := range page {
			if !m.Has(o.Created) {
				continue
			}
			m.orders[o.State]++
			m.erased += one(o.Kind == order.Erase && o.State == order.Issued)
			for _, a := range o.Approvals {
				m.glass += one(a.Glass)
			}
		}
		if len(page) < f.Limit || page[len(page)-1].Created.Before(m.From()) {
			return nil
		}
		f.After = page[len(page)-1].ID
	}
}

func (s *Service) monthPolicy(ctx context.Context, m *month) error {
	v, ok, err := s.policyAt(ctx, m.end)
	if err != nil || !ok {
		return err
	}
	m.version = v
	if m.policy, err = v.Read(); err != nil {
		if ward.KindOf(err) == ward.Invalid {
			return nil // a version that this Ward can't read any more counts no exceptions
		}
		return err
	}
	for _, e := range m.policy.Exceptions {
		if e.InForce(m.end.Add(-time.Second)) {
			m.exceptions = append(m.exceptions, e)
		}
	}
	return nil
}

// asked counts the orders of a month.
func (m month) asked() (n int) {
	for _, k := range m.orders {
		n += k
	}
	return n
}
