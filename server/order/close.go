package order

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
)

// Refuse is a second person's no. The order must wait for an approval; who asked for
// it cancels it instead.
func (s *Service) Refuse(ctx context.Context, id ward.OrderID, reason string) (Order, error) {
	who, err := person(ctx)
	if err != nil {
		return Order{}, s.deny(ctx, string(id), err)
	}
	if reason, err = closingReason(reason); err != nil {
		return Order{}, err
	}
	err = s.Store.Do(ctx, func(ctx context.Context) error {
		o, err := s.Store.Order(ctx, id)
		if err != nil {
			return err
		}
		if o.RequestedBy == who.Person {
			return ward.Errorf(ward.Forbidden, "You asked for this order yourself: cancel it instead.")
		}
		ok, err := s.Store.Close(ctx, id, Requested, Refused, s.closing(who, reason))
		if err != nil {
			return fmt.Errorf("refuse order %s: %w", id, err)
		}
		if !ok {
			return ward.Errorf(ward.Conflict, "This order is no longer waiting for an answer, so it can't be refused.")
		}
		return s.Audit.Record(ctx, ActionRefused, string(id), map[string]string{"reason": reason})
	})
	if err != nil {
		return Order{}, s.deny(ctx, string(id), err)
	}
	return s.Store.Order(ctx, id)
}

// Cancel takes an order back: by who asked for it, or by an administrator. Of an
// order that was issued, the commands that no device holds are taken off the queue;
// what was delivered can't be, and its target goes on to say what the device
// answers. Conflict means that nothing was left to take back.
func (s *Service) Cancel(ctx context.Context, id ward.OrderID, reason string) (Order, error) {
	who, err := person(ctx)
	if err != nil {
		return Order{}, s.deny(ctx, string(id), err)
	}
	if reason, err = closingReason(reason); err != nil {
		return Order{}, err
	}
	err = s.Store.Do(ctx, func(ctx context.Context) error {
		o, err := s.Store.Order(ctx, id)
		if err != nil {
			return err
		}
		if o.RequestedBy != who.Person && !slices.Contains(who.Roles, ward.RoleAdmin) {
			return ward.Errorf(ward.Forbidden, "An order is cancelled by who asked for it or by an administrator.")
		}
		return s.takeBack(ctx, o, s.closing(who, reason))
	})
	if err != nil {
		return Order{}, s.deny(ctx, string(id), err)
	}
	return s.Store.Order(ctx, id)
}

// CancelCase takes back every order of a case that can still be, because what it was
// for is over: the device was found. It joins the unit of work in ctx and returns how
// many orders it cancelled. reason must not be empty.
func (s *Service) CancelCase(ctx context.Context, id ward.CaseID, reason string) (n int, err error) {
	if id == "" {
		return 0, ward.Errorf(ward.Invalid, "Name the case whose orders are to be cancelled.")
	}
	err = s.Store.Do(ctx, func(ctx context.Context) error {
		for _, st := range []State{Requested, Issued} {
			open, err := s.all(ctx, Filter{State: st, Case: id})
			if err != nil {
				return fmt.Errorf("orders of case %s: %w", id, err)
			}
			for _, o := range open {
				err := s.takeBack(ctx, o, s.closing(ward.ActorFrom(ctx), reason))
				if ward.KindOf(err) == ward.Conflict { // it was delivered: nothing to take back
					continue
				}
				if err != nil {
					return err
				}
				n++
			}
		}
		return nil
	})
	return n, err
}

// all returns every order that f selects.
func (s *Service) all(ctx context.Context, f Filter) (out []Order, err error) {
	f.Limit = 100
	for {
		page, err := s.Store.List(ctx, f)
		out = append(out, page...)
		if err != nil || len(page) < f.Limit {
			return out, err
		}
		f.After = page[len(page)-1].ID
	}
}

// takeBack cancels an order and those of its commands that no device holds. With
// Conflict nothing was changed.
func (s *Service) takeBack(ctx context.Context, o Order, c Closing) error {
	if o.State == Requested {
		ok, err := s.Store.Close(ctx, o.ID, Requested, Cancelled, c)
		if err != nil {
			return fmt.Errorf("cancel order %s: %w", o.ID, err)
		}
		if ok {
			return s.recordCancelled(ctx, o.ID, c.Reason, 0)
		}
		if o, err = s.Store.Order(ctx, o.ID); err != nil { // it was decided in this moment
			return err
		}
	}
	if o.State != Issued {
		return ward.Errorf(ward.Conflict, "This order is %s already, so it can't be cancelled.", o.State)
	}
	taken := 0
	for _, t := range o.Targets {
		n, err := s.takeCommand(ctx, o.ID, t, c)
		if err != nil {
			return fmt.Errorf("cancel order %s for %s: %w", o.ID, t.Device, err)
		}
		taken += n
	}
	if taken == 0 {
		return ward.Errorf(ward.Conflict, "It is too late to cancel this order: no command of it is left in the queue.")
	}
	if _, err := s.Store.Close(ctx, o.ID, Issued, Cancelled, c); err != nil {
		return fmt.Errorf("cancel order %s: %w", o.ID, err)
	}
	return s.recordCancelled(ctx, o.ID, c.Reason, taken)
}

// takeCommand takes the command for one target off the queue unless the device holds
// it, and returns how many it took.
func (s *Service) takeCommand(ctx context.Context, id ward.OrderID, t Target, c Closing) (int, error) {
	if t.Outcome.Final() || t.Command == "" {
		return 0, nil
	}
	n, err := s.Queue.CancelOpen(ctx, t.Enrolment, "the order was cancelled: "+c.Reason, func(r command.Record) bool {
		return r.UUID == t.Command && (r.State == command.Waiting || r.State == command.Deferred)
	})
	if err != nil || n == 0 {
		return 0, err
	}
	t.Outcome, t.Answered, t.Error = TakenBack, c.At, c.Reason
	_, err = s.Store.SetTarget(ctx, id, t)
	return n, err
}

func (s *Service) recordCancelled(ctx context.Context, id ward.OrderID, reason string, taken int) error {
	return s.Audit.Record(ctx, ActionCancelled, string(id), map[string]string{"reason": reason, "commands_taken_back": strconv.Itoa(taken)})
}

// Expire closes the orders that nobody approved in time and returns how many.
func (s *Service) Expire(ctx context.Context) (n int, err error) {
	now := s.Now()
	due, err := s.Store.Due(ctx, now, 100)
	if err != nil {
		return 0, fmt.Errorf("orders that expire: %w", err)
	}
	for _, id := range due {
		err := s.Store.Do(ctx, func(ctx context.Context) error {
			ok, err := s.Store.Close(ctx, id, Requested, Expired, Closing{Name: ward.System.Name, At: now, Reason: "nobody approved it in time"})
			if err != nil || !ok {
				return err
			}
			n++
			return s.Audit.Record(ward.WithActor(ctx, ward.System), ActionExpired, string(id), map[string]string{})
		})
		if err != nil {
			return n, fmt.Errorf("expire order %s: %w", id, err)
		}
	}
	return n, nil
}

func (s *Service) closing(who ward.Actor, reason string) Closing {
	return Closing{Person: who.Person, Name: who.Name, At: s.Now(), Reason: reason}
}

func closingReason(r string) (string, error) {
	r = strings.TrimSpace(r)
	if r == "" {
		return "", ward.Errorf(ward.Invalid, "Say why: a reason is needed.")
	}
	if len(r) > maxReason {
		return "", ward.Errorf(ward.Invalid, "The reason is too long: %d bytes, %d at most.", len(r), maxReason)
	}
	return r, nil
}
