package lost

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/notify"
)

// The signs of a thief that an erase may be proposed on.
const (
	SignSIM      = "sim_changed"
	SignPasscode = "passcode_off"
)

// Escalation says what follows while a device is not found.
type Escalation struct {
	LocateEvery  time.Duration // how often the planner asks where it is; zero for never
	LocateFor    time.Duration // how long it does so
	ProposeAfter time.Duration // after the report an erase is proposed; zero for never by time
	ProposeOn    []string      // the signs on which it is proposed at once
}

// DefaultEscalation is what is done where a policy says nothing else.
func DefaultEscalation() Escalation {
	return Escalation{LocateEvery: 15 * time.Minute, LocateFor: 4 * time.Hour, ProposeAfter: 24 * time.Hour, ProposeOn: []string{SignSIM, SignPasscode}}
}

// Escalations says what the policy of a device asks for.
type Escalations interface {
	For(ctx context.Context, device ward.DeviceID) (Escalation, error)
}

// stepPropose is the step of a case by which an erase was proposed, or found impossible.
const stepPropose = "propose"

// Escalate is the job of every minute: it proposes an erase for open cases whose time has
// come or whose devices told a sign, once for each case, reminds of the assessments that are
// due, and forgets what was tried with recovery codes. Any number of copies of the server
// may run it at once. What fails for one case holds no other up; its error comes back, and
// the next run tries again.
func (s *Service) Escalate(ctx context.Context) error {
	ctx = ward.WithActor(ctx, ward.System)
	cases, err := s.Store.Unescalated(ctx)
	if err != nil {
		return fmt.Errorf("escalate: %w", err)
	}
	var errs []error
	for _, c := range cases {
		if err := s.escalate(ctx, c); err != nil {
			errs = append(errs, fmt.Errorf("escalate case %s: %w", c.ID, err))
		}
	}
	errs = append(errs, s.remind(ctx), s.dropTries(ctx))
	return errors.Join(errs...)
}

// escalate proposes an erase for one case, if it is time.
func (s *Service) escalate(ctx context.Context, c Case) error {
	why, err := s.due(ctx, c)
	if err != nil || why == "" {
		return err
	}
	cannot, err := s.erasable(ctx, c)
	if err != nil {
		return err
	}
	if cannot == "" {
		refused, err := s.propose(ctx, c, why)
		if err != nil || refused == nil {
			return err
		}
		cannot = refused.Message
	}
	return s.notProposed(ctx, c, why, cannot)
}

// due says why an erase is to be proposed now; "" if it is not.
func (s *Service) due(ctx context.Context, c Case) (string, error) {
	p := DefaultEscalation()
	var err error
	if s.Escalations != nil {
		if p, err = s.Escalations.For(ctx, c.Device); err != nil {
			return "", err
		}
	}
	if s.Facts != nil && len(p.ProposeOn) > 0 {
		signs, err := s.Facts.Signs(ctx, c.Device, c.Reported)
		if err != nil && ward.KindOf(err) != ward.NotFound {
			return "", fmt.Errorf("signs: %w", err)
		}
		if at := signs.SIMChanged; slices.Contains(p.ProposeOn, SignSIM) && at.After(c.Reported) {
			return "its SIM was changed, as it told at " + stamp(at), nil
		}
		if at := signs.PasscodeOff; slices.Contains(p.ProposeOn, SignPasscode) && at.After(c.Reported) {
			return "its passcode was taken off, as it told at " + stamp(at), nil
		}
	}
	if p.ProposeAfter > 0 && !s.Now().Before(c.Reported.Add(p.ProposeAfter)) {
		return fmt.Sprintf("it has been missing for %s", hours(p.ProposeAfter)), nil
	}
	return "", nil
}

// hours says a duration of policy in words.
func hours(d time.Duration) string {
	if d%time.Hour != 0 {
		return d.String()
	}
	if d == time.Hour {
		return "an hour"
	}
	return fmt.Sprintf("%d hours", d/time.Hour)
}

// erasable says why a case's device can't be erased; "" if it can, as far as is known here.
func (s *Service) erasable(ctx context.Context, c Case) (cannot string, err error) {
	d, err := s.Fleet.Device(ctx, c.Device)
	if ward.KindOf(err) == ward.NotFound {
		return "the device is no longer known", nil
	}
	if err != nil {
		return "", err
	}
	if d.Ownership != ward.Corporate {
		return "it is a personal device, and those are never erased", nil
	}
	e, err := s.Fleet.Current(ctx, c.Device)
	if ward.KindOf(err) == ward.NotFound {
		return "it is not enrolled, so no command can reach it", nil
	}
	if err != nil {
		return "", err
	}
	if !e.Rights.Has(ward.RightErase) {
		return "it enrolled without the right to be erased", nil
	}
	commands, err := s.Store.CaseCommands(ctx, c.ID)
	if err != nil {
		return "", fmt.Errorf("commands: %w", err)
	}
	if slices.ContainsFunc(commands, func(r command.Record) bool {
		return r.RequestType == eraseDevice && r.Enrolment == e.ID && (r.State.Open() || r.State == command.Accepted)
	}) {
		return "an erase was ordered already", nil
	}
	return "", nil
}

// propose asks for the order, in one unit of work with what keeps others from asking. A
// refusal by the engine undoes the whole unit.
func (s *Service) propose(ctx context.Context, c Case, why string) (refused *ward.Error, err error) {
	err = s.Store.Do(ctx, func(ctx context.Context) error {
		refused = nil
		if first, err := s.step(ctx, c, stepPropose); err != nil || !first {
			return err
		}
		reason := "Not found: " + why
		if w := c.Drill.Words(); w != "" {
			reason = w + ". " + reason
		}
		id, err := s.Orders.Propose(ctx, c.ID, c.Device, reason)
		if err != nil {
			refused, _ = errors.AsType[*ward.Error](err)
			return err
		}
		if err := s.keep(ctx, c.ID, Event{Kind: EventProposed, Text: "An erase is proposed, since " + why + ". Two people must approve it", Order: id}); err != nil {
			return err
		}
		if err := s.Audit.Record(ctx, ActionProposed, string(c.ID), map[string]string{"device": string(c.Device), "order": string(id), "why": why}); err != nil {
			return err
		}
		return s.tell(ctx, c, notify.Message{
			Topic: notify.CaseEscalated, Order: id, Urgent: true, Subject: "An erase is proposed for a lost device",
			Body: "A device that was reported " + string(c.Kind) + " has not been found, and " + why + ". Two people must approve its erase.",
		})
	})
	if refused != nil {
		return refused, nil
	}
	return nil, err
}

// notProposed keeps, once, why no erase can be proposed.
func (s *Service) notProposed(ctx context.Context, c Case, why, cannot string) error {
	return s.Store.Do(ctx, func(ctx context.Context) error {
		if first, err := s.step(ctx, c, stepPropose); err != nil || !first {
			return err
		}
		if err := s.note(ctx, c.ID, EventNotProposed, "No erase is proposed, though "+why+": "+cannot); err != nil {
			return err
		}
		if err := s.Audit.Record(ctx, ActionNotProposed, string(c.ID), map[string]string{"device": string(c.Device), "why": why, "cannot": cannot}); err != nil {
			return err
		}
		return s.tell(ctx, c, notify.Message{
			Topic: notify.CaseEscalated, Urgent: true, Subject: "A lost device has not been found, and can't be erased",
			Body: "A device that was reported " + string(c.Kind) + " has not been found, and " + why + ". No erase is proposed: " + cannot + ".",
		})
	})
}

// step takes a step of a case within a unit of work: false if it was taken before, or if
// the case is no longer as it was when it was listed.
func (s *Service) step(ctx context.Context, c Case, name string) (bool, error) {
	if err := s.closeGate(ctx); err != nil {
		return false, err
	}
	now, err := s.Store.Case(ctx, c.ID)
	if err != nil || now.State != c.State || now.Drill != c.Drill {
		return false, err
	}
	return s.Store.Once(ctx, c.ID, name, s.Now())
}
