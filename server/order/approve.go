package order

import (
	"context"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
)

// Approve is the second person's yes to the order with this hash. In one unit of work
// the approval is kept and the commands are queued, for those enrolments that are
// still the current ones; the others are Superseded. Forbidden means that the same
// person asked, Conflict that the order is another than the one shown or no longer
// waits.
func (s *Service) Approve(ctx context.Context, id ward.OrderID, hash string) (Order, error) {
	who, err := person(ctx)
	if err != nil {
		return Order{}, s.deny(ctx, string(id), err)
	}
	o, err := s.Store.Order(ctx, id)
	if err != nil {
		return Order{}, err
	}
	now := s.Now()
	if err := approvable(o, who, hash, now); err != nil {
		return Order{}, s.deny(ctx, string(id), err)
	}
	a := Approval{Order: id, Hash: hash, Person: who.Person, Name: who.Name, Via: who.Via, Token: who.Token, At: now}
	err = s.Store.Do(ctx, func(ctx context.Context) error {
		ok, err := s.Store.Issue(ctx, a)
		if err != nil {
			return fmt.Errorf("approve order %s: %w", id, err)
		}
		if !ok { // somebody was quicker
			return s.overtaken(ctx, id, who, hash, now)
		}
		detail := o.detail()
		for i := range o.Targets {
			if err := s.issue(ctx, o, &o.Targets[i], now); err != nil {
				return err
			}
			detail["command "+string(o.Targets[i].Device)] = string(o.Targets[i].Outcome)
		}
		return s.Audit.Record(ctx, ActionApproved, string(id), detail)
	})
	if err != nil {
		return Order{}, s.deny(ctx, string(id), err)
	}
	return s.Store.Order(ctx, id)
}

// approvable says why who can't approve the order.
func approvable(o Order, who ward.Actor, hash string, now time.Time) error {
	digest, err := o.Digest()
	if err != nil {
		return err
	}
	if digest != o.Hash {
		return ward.Errorf(ward.Conflict, "This order was altered since it was asked for: it can't be approved. Cancel it and report this.")
	}
	for _, a := range o.Approvals {
		if a.Person == who.Person {
			return ward.Errorf(ward.Conflict, "You have approved this order already.")
		}
	}
	switch {
	case o.State != Requested:
		return ward.Errorf(ward.Conflict, "This order is %s already, so it can't be approved.", o.State)
	case !now.Before(o.Expires):
		return ward.Errorf(ward.Conflict, "This order expired at %s. Ask for a new one if it is still needed.", o.Expires.UTC().Format(time.RFC3339))
	case who.Person == o.RequestedBy:
		return ward.Errorf(ward.Forbidden, "You asked for this order yourself: a second person must approve it.")
	case hash != o.Hash:
		return ward.Errorf(ward.Conflict, "This is not the order that you were shown. Look at it again before you decide.")
	}
	return nil
}

// overtaken says why an order that could be approved a moment ago can't be now.
func (s *Service) overtaken(ctx context.Context, id ward.OrderID, who ward.Actor, hash string, now time.Time) error {
	o, err := s.Store.Order(ctx, id)
	if err != nil {
		return err
	}
	if err := approvable(o, who, hash, now); err != nil {
		return err
	}
	return fmt.Errorf("approve order %s: the store refused it for no reason that can be seen", id)
}

// issue queues the command for one target if its enrolment is still the one named.
func (s *Service) issue(ctx context.Context, o Order, t *Target, now time.Time) error {
	why, err := s.gone(ctx, o.Kind, t)
	if err != nil {
		return err
	}
	if why == "" {
		requestType, body, err := s.compile(ctx, o.Kind, o.Options, t.Enrolment)
		if err != nil {
			return fmt.Errorf("compile order %s for %s: %w", o.ID, t.Device, err)
		}
		t.Outcome = Waiting
		t.Command, err = s.Queue.Enqueue(ctx, command.New{
			Enrolment: t.Enrolment, RequestType: requestType, Body: body, Urgent: true, Case: o.Case, Order: o.ID, By: o.RequestedBy,
		})
		if ward.KindOf(err) == ward.NotFound {
			why = "the enrolment has ended"
		} else if err != nil {
			return fmt.Errorf("queue order %s for %s: %w", o.ID, t.Device, err)
		}
	}
	if why != "" {
		t.Outcome, t.Command, t.Error, t.Answered = Superseded, "", why, now
	}
	if _, err := s.Store.SetTarget(ctx, o.ID, *t); err != nil {
		return fmt.Errorf("order %s: %w", o.ID, err)
	}
	return nil
}

// gone says why a target is no longer what the order was asked for; "" if it is.
func (s *Service) gone(ctx context.Context, k Kind, t *Target) (string, error) {
	d, err := s.Fleet.Device(ctx, t.Device)
	if ward.KindOf(err) == ward.NotFound {
		return "the device is gone from the fleet", nil
	}
	if err != nil {
		return "", err
	}
	e, err := s.Fleet.Current(ctx, t.Device)
	if ward.KindOf(err) == ward.NotFound {
		return "the enrolment has ended", nil
	}
	if err != nil {
		return "", err
	}
	if e.ID != t.Enrolment || e.State != ward.EnrolmentActive {
		return "the device has enrolled anew since", nil
	}
	if err := allowed(k, d, e); err != nil {
		return err.Error(), nil
	}
	return "", nil
}

// Answered keeps what a device, or the queue, says of an order's command: Delivered,
// Deferred, Accepted, Refused or Withheld. It joins the unit of work in ctx. A
// repeated answer changes nothing; NotFound means that the order does not name the
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
			detail := map[string]string{"device": string(t.Device), "enrolment": string(e), "outcome": string(t.Outcome), "command": t.Command}
			if reason != "" {
				detail["error"] = reason
			}
			return s.Audit.Record(ctx, ActionAnswered, string(id), detail)
		}
		return ward.Errorf(ward.NotFound, "The order %s does not name the enrolment %s.", id, e)
	})
}
