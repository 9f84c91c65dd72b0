package lost

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/notify"
)

// reportWithin is how long after becoming aware of a breach it must be reported to the
// Information Commissioner, where feasible, unless it is unlikely to put people at risk.
// Source: UK GDPR, article 33(1), https://www.legislation.gov.uk/eur/2016/679/article/33
const reportWithin = 72 * time.Hour

// reminders are how long after becoming aware people are reminded.
var reminders = []time.Duration{24 * time.Hour, 48 * time.Hour, 66 * time.Hour, reportWithin}

// Deadline returns by when it must be decided, and done, whether the loss is reported to
// the Information Commissioner.
func Deadline(c Case) time.Time { return c.Aware.Add(reportWithin) }

// stepAware is the step of a case by which the time of awareness was set.
const stepAware = "aware"

// stepRemind is the step of a case by which people were reminded after d.
func stepRemind(d time.Duration) string { return fmt.Sprintf("remind:%d", d/time.Hour) }

// SetAware sets when the organisation became aware of a loss, which the 72 hours run from:
// earlier than the report, or later. It may be done once, with a reason; Conflict says that
// it was, or that the case is closed. Reminders that were sent are not sent again.
func (s *Service) SetAware(ctx context.Context, id ward.CaseID, at time.Time, reason string) (Case, error) {
	who := ward.ActorFrom(ctx)
	if who.Person == "" {
		return Case{}, ward.Errorf(ward.Forbidden, "Only a person who has signed in can do this.")
	}
	reason = strings.TrimSpace(reason)
	if reason == "" || len(reason) > maxWords {
		return Case{}, ward.Errorf(ward.Invalid, "Say in at most %d bytes why the organisation became aware at another time.", maxWords)
	}
	if at.IsZero() || at.After(s.Now()) {
		return Case{}, ward.Errorf(ward.Invalid, "The organisation became aware at a time that has been.")
	}
	at = at.UTC().Truncate(time.Microsecond)
	err := s.Store.Do(ctx, func(ctx context.Context) error {
		c, err := s.Store.Case(ctx, id)
		if err != nil {
			return err
		}
		if c.State == Closed {
			return ward.Errorf(ward.Conflict, "This case is closed.")
		}
		first, err := s.Store.Once(ctx, id, stepAware, s.Now())
		if err != nil {
			return err
		}
		if !first {
			return ward.Errorf(ward.Conflict, "When the organisation became aware was set once already, and stands.")
		}
		if err := s.Store.SetAware(ctx, id, at); err != nil {
			return err
		}
		if err := s.note(ctx, id, EventAware, "The organisation became aware at "+stamp(at)+", not at "+stamp(c.Aware)+": "+reason); err != nil {
			return err
		}
		return s.Audit.Record(ctx, ActionAware, string(id), map[string]string{
			"device": string(c.Device), "at": at.Format(time.RFC3339), "was": c.Aware.Format(time.RFC3339), "reason": reason,
		})
	})
	if err != nil {
		return Case{}, err
	}
	return s.Store.Case(ctx, id)
}

// remind tells the people on call of the real cases whose assessment is due.
func (s *Service) remind(ctx context.Context) error {
	cases, err := s.Store.Undecided(ctx)
	if err != nil {
		return fmt.Errorf("remind: %w", err)
	}
	var errs []error
	for _, c := range cases {
		if s.Now().Before(c.Aware.Add(reminders[0])) {
			continue
		}
		if err := s.remindOf(ctx, c); err != nil {
			errs = append(errs, fmt.Errorf("remind of case %s: %w", c.ID, err))
		}
	}
	return errors.Join(errs...)
}

// remindOf sends the newest reminder that is due; those before it are overtaken.
func (s *Service) remindOf(ctx context.Context, c Case) error {
	sent, err := s.Store.Steps(ctx, c.ID)
	if err != nil {
		return err
	}
	newest := time.Duration(0)
	for _, d := range reminders {
		if _, ok := sent[stepRemind(d)]; ok {
			newest = 0
		} else if !s.Now().Before(c.Aware.Add(d)) {
			newest = d
		}
	}
	if newest == 0 {
		return nil
	}
	return s.Store.Do(ctx, func(ctx context.Context) error {
		if first, err := s.step(ctx, c, stepRemind(newest)); err != nil || !first {
			return err
		}
		m := reminder(c, s.Now())
		if err := s.note(ctx, c.ID, EventReminded, m.Subject); err != nil {
			return err
		}
		if err := s.Audit.Record(ctx, ActionReminded, string(c.ID), map[string]string{"device": string(c.Device), "after": newest.String()}); err != nil {
			return err
		}
		return s.tell(ctx, c, m)
	})
}

// reminder says how much time is left to decide.
func reminder(c Case, now time.Time) notify.Message {
	m := notify.Message{
		Topic: notify.CaseDeadline,
		Body: fmt.Sprintf("A device was reported %s at %s, and nobody has decided whether the loss must be reported to the Information Commissioner. The 72 hours of article 33 of the UK GDPR end at %s.",
			c.Kind, stamp(c.Reported), stamp(Deadline(c))),
	}
	left := Deadline(c).Sub(now)
	if left <= 0 {
		m.Subject, m.Urgent = "The 72 hours for a breach assessment are over", true
		return m
	}
	m.Urgent = left <= reportWithin-reminders[2]
	m.Subject = fmt.Sprintf("%s left for a breach assessment", leftWords(left))
	return m
}

// leftWords says a time that is left in whole hours, the started one too.
func leftWords(d time.Duration) string {
	if n := int((d + time.Hour - 1) / time.Hour); n > 1 {
		return fmt.Sprintf("%d hours", n)
	}
	return "An hour or less"
}
