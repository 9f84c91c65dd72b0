package order

import (
	"context"
	"errors"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/command"
)

// Answered keeps what a device, or the queue, says of an order's command: Delivered,
// Deferred, Held, Accepted, Refused, Withheld or Expired. It joins the unit of work in ctx.
// A repeated answer changes nothing; NotFound means that the order does not name the
// enrolment.
func (s *Service) Answered(ctx context.Context, id ward.OrderID, e ward.EnrolmentID, st command.State, at time.Time, reason string) error {
	return s.Store.Do(ctx, func(ctx context.Context) error {
		o, err := s.Store.Order(ctx, id)
		if err != nil {
			return err
		}
		for _, t := range o.Targets {
			if t.Enrolment != e {
				continue
			}
			t.Outcome = outcomeOf(st)
			t.Answered, t.Error = time.Time{}, ""
			if t.Outcome.Final() {
				t.Answered, t.Error = at, reason
			}
			changed, err := s.Store.SetTarget(ctx, id, t)
			if err != nil || !changed || !t.Outcome.Final() {
				return err
			}
			// From now on it is not handed out again, whatever the database says.
			err = s.journal(ctx, o, brake.Entry{Event: brake.Cancelled, Device: t.Device, Enrolment: e, Person: string(name(ward.System)), Note: "done: " + string(t.Outcome)})
			if err != nil && !errors.Is(err, brake.ErrTampered) { // an answer is kept in any case
				return err
			}
			detail := map[string]string{"device": string(t.Device), "enrolment": string(e), "outcome": string(t.Outcome), "command": t.Command}
			if reason != "" {
				detail["error"] = reason
			}
			return s.Audit.Record(ctx, ActionAnswered, string(id), detail)
		}
		return ward.Errorf(ward.NotFound, "The order %s does not name the enrolment %s.", id, e)
	})
}
