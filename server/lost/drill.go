package lost

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
)

// Rehearser says what a report would have sent to a device, without sending it: one
// sentence for each step, in their order.
type Rehearser interface {
	Would(ctx context.Context, d ward.Device, e ward.Enrolment, k Kind) ([]string, error)
}

// rehearse opens the case of a dry run, within the unit of work in ctx: it touches nothing
// but the case, whose timeline says what would be done.
func (s *Service) rehearse(ctx context.Context, c Case, then Snapshot) error {
	if _, err := s.Store.Add(ctx, c); err != nil {
		return fmt.Errorf("rehearsal on %s: %w", c.Device, err)
	}
	if err := s.began(ctx, c, then, "Reported "+string(c.Kind)); err != nil {
		return err
	}
	would, err := s.would(ctx, c, then)
	if err != nil {
		return err
	}
	for _, w := range would {
		if err := s.note(ctx, c.ID, EventWould, w); err != nil {
			return err
		}
	}
	return s.Audit.Record(ctx, ActionRehearsed, string(c.ID), map[string]string{"device": string(c.Device), "kind": string(c.Kind), "identified": c.Identified})
}

// would lists what a report would do.
func (s *Service) would(ctx context.Context, c Case, then Snapshot) ([]string, error) {
	out := []string{"The device's app certificates would be revoked, and it would be refused wherever apps and networks ask"}
	sent := would(then.Device, then.Enrolment, c.Kind)
	if s.Rehearsal != nil {
		var err error
		if sent, err = s.Rehearsal.Would(ctx, then.Device, then.Enrolment, c.Kind); err != nil {
			return nil, fmt.Errorf("rehearse %s: %w", c.Device, err)
		}
	}
	out = append(out, sent...)
	out = append(out, "The people on call would be told")
	p := DefaultEscalation()
	if s.Escalations != nil {
		var err error
		if p, err = s.Escalations.For(ctx, c.Device); err != nil {
			return nil, fmt.Errorf("rehearse %s: %w", c.Device, err)
		}
	}
	if p.ProposeAfter > 0 && then.Device.Ownership == ward.Corporate {
		out = append(out, "If it were not found, an erase would be proposed after "+hours(p.ProposeAfter))
	}
	return append(out, "The 72 hours for a breach assessment would run until "+stamp(Deadline(c))), nil
}

// would says what Apple lets be done to a lost device of each kind.
func would(d ward.Device, e ward.Enrolment, k Kind) []string {
	switch {
	case e.ID == "":
		return []string{"No command would be sent: the device is not enrolled, so that none can reach it"}
	case d.Ownership == ward.Personal:
		return []string{"DeviceLock would be sent", "Management, and with it the work side, would be removed: RemoveProfile would be sent"}
	case d.Platform == ward.IOS && e.Supervised == ward.Supervised:
		return []string{"EnableLostMode would be sent", "DeviceLocation would be sent, once lost mode is accepted"}
	case d.Platform == ward.IOS && k == Stolen:
		return []string{"DeviceLock would be sent", "RemoveApplication would be sent for each app that Ward installed"}
	}
	return []string{"DeviceLock would be sent"}
}

// foundInRehearsal ends the search of a dry run, within the unit of work in ctx.
func (s *Service) foundInRehearsal(ctx context.Context, c Case, text string) error {
	if err := s.note(ctx, c.ID, EventFound, text); err != nil {
		return err
	}
	if err := s.note(ctx, c.ID, EventWould, "What locks it would be undone, its orders taken back, it would get app certificates anew, and the people on call would be told"); err != nil {
		return err
	}
	return s.Audit.Record(ctx, ActionFound, string(c.Device), map[string]string{"case": string(c.ID), "drill": string(c.Drill)})
}

// Rehearsed is a drill as evidence that the process works.
type Rehearsed struct {
	Case Case
	// Queued, Delivered and Accepted are how long after the report the first command of the
	// case was queued, handed out and accepted; negative for never. Of a dry run they are
	// negative: Would says what it would have sent.
	Queued, Delivered, Accepted time.Duration
	Would                       []string
}

// Drills returns one page of the drills, the newest first, as Filter selects them.
func (s *Service) Drills(ctx context.Context, f Filter) ([]Rehearsed, error) {
	f.Which = OnlyDrills
	cases, err := s.List(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("drills: %w", err)
	}
	out := make([]Rehearsed, len(cases))
	for i, c := range cases {
		if out[i], err = s.rehearsed(ctx, c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Service) rehearsed(ctx context.Context, c Case) (Rehearsed, error) {
	r := Rehearsed{Case: c, Queued: -1, Delivered: -1, Accepted: -1}
	commands, err := s.Store.CaseCommands(ctx, c.ID)
	if err != nil {
		return r, fmt.Errorf("commands of case %s: %w", c.ID, err)
	}
	first := func(least *time.Duration, t time.Time) {
		if d := t.Sub(c.Reported); !t.IsZero() && (*least < 0 || d < *least) {
			*least = max(d, 0)
		}
	}
	for _, cmd := range commands {
		first(&r.Queued, cmd.Created)
		first(&r.Delivered, cmd.Delivered)
		if cmd.State == command.Accepted {
			first(&r.Accepted, cmd.Answered)
		}
	}
	events, err := s.Store.Events(ctx, c.ID)
	if err != nil {
		return r, fmt.Errorf("events of case %s: %w", c.ID, err)
	}
	for _, e := range slices.DeleteFunc(events, func(e Event) bool { return e.Kind != EventWould }) {
		r.Would = append(r.Would, e.Text)
	}
	return r, nil
}

// DueDrill returns when the last drill was, and when the next is due: zero times say that
// there was none, and that one is due now.
func (s *Service) DueDrill(ctx context.Context) (last, due time.Time, err error) {
	cases, err := s.Store.List(ctx, Filter{Which: OnlyDrills, Limit: 1})
	if err != nil || len(cases) == 0 {
		return last, due, err
	}
	last = cases[0].Reported
	return last, last.Add(s.DrillEvery), nil
}
