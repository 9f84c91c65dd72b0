package order

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/notify"
)

// Refuse is another person's no. The order must wait for a signature; who asked for it
// cancels it instead.
func (s *Service) Refuse(ctx context.Context, id ward.OrderID, reason string) (Order, error) {
	who, err := person(ctx)
	if err != nil {
		return Order{}, s.deny(ctx, string(id), err)
	}
	if reason, err = closingReason(reason); err != nil {
		return Order{}, err
	}
	err = s.Store.Do(ctx, func(ctx context.Context) error {
		o, err := s.Store.Lock(ctx, id)
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
		return s.over(ctx, o, ActionRefused, string(who.Person), reason)
	})
	if err != nil {
		return Order{}, s.deny(ctx, string(id), err)
	}
	return s.Order(ctx, id)
}

// Cancel takes an order back: by who asked for it, by an administrator or at the console.
// Of an order that was issued, the commands that no device holds are taken off the queue;
// what was delivered can't be, is not handed out again, and its target goes on to say what
// the device answers. Conflict means that nothing was left to take back.
func (s *Service) Cancel(ctx context.Context, id ward.OrderID, reason string) (Order, error) {
	who, err := asker(ctx)
	if err != nil {
		return Order{}, s.deny(ctx, string(id), err)
	}
	if reason, err = closingReason(reason); err != nil {
		return Order{}, err
	}
	err = s.Store.Do(ctx, func(ctx context.Context) error {
		o, err := s.Store.Lock(ctx, id)
		if err != nil {
			return err
		}
		if !mayCancel(who, o) {
			return ward.Errorf(ward.Forbidden, "An order is cancelled by who asked for it or by an administrator.")
		}
		return s.takeBack(ctx, o, s.closing(who, reason))
	})
	if err != nil {
		return Order{}, s.deny(ctx, string(id), err)
	}
	return s.Order(ctx, id)
}

// CancelCase takes back every order of a case that can still be, because what it was
// for is over: the device was found. It joins the unit of work in ctx and returns how
// many orders it cancelled. reason must not be empty.
func (s *Service) CancelCase(ctx context.Context, id ward.CaseID, reason string) (n int, err error) {
	if id == "" {
		return 0, ward.Errorf(ward.Invalid, "Name the case whose orders are to be cancelled.")
	}
	ctx = ward.Unbounded(ctx) // an order of the case may be about other devices too
	err = s.Store.Do(ctx, func(ctx context.Context) error {
		n = 0
		for _, st := range []State{Requested, Approved, Issued} {
			open, err := s.all(ctx, Filter{State: st, Case: id})
			if err != nil {
				return fmt.Errorf("orders of case %s: %w", id, err)
			}
			for _, o := range open {
				if o, err = s.Store.Lock(ctx, o.ID); err != nil {
					return err
				}
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

// takeBack cancels an order, which is locked, and those of its commands that no device
// holds. With Conflict nothing was changed.
func (s *Service) takeBack(ctx context.Context, o Order, c Closing) error {
	taken := 0
	if !o.State.Open() {
		if o.State != Issued {
			return ward.Errorf(ward.Conflict, "This order is %s already, so it can't be cancelled.", o.State)
		}
		why := cancelledWhy + c.Reason
		if _, err := s.Queue.TakeBack(ctx, o.ID, why); err != nil {
			return err
		}
		var err error
		if taken, err = s.Store.EndTargets(ctx, o.ID, TakenBack, c.At, c.Reason, why); err != nil {
			return fmt.Errorf("cancel order %s: %w", o.ID, err)
		}
		if taken == 0 {
			return ward.Errorf(ward.Conflict, "It is too late to cancel this order: no command of it is left in the queue.")
		}
	}
	if ok, err := s.Store.Close(ctx, o.ID, o.State, Cancelled, c); err != nil || !ok {
		return errors.Join(fmt.Errorf("cancel order %s: it is no longer %s", o.ID, o.State), err)
	}
	detail := map[string]string{"reason": c.Reason, "commands_taken_back": strconv.Itoa(taken)}
	err := s.journal(ctx, o, brake.Entry{Event: brake.Cancelled, Person: string(c.Person), Note: c.Reason})
	if errors.Is(err, brake.ErrTampered) { // nothing keeps people from taking an order back
		detail["journal"] = "it was changed by somebody else, so this does not stand in it"
	} else if err != nil {
		return err
	}
	return s.Audit.Record(ctx, ActionCancelled, string(o.ID), detail)
}

// CancelledAll says what CancelAll did.
type CancelledAll struct {
	Orders   int // taken back, as far as no device held their commands
	Commands int // taken off the queue
	TooLate  int // destructive commands that devices hold already
}

// CancelAll takes back every order that is not carried out, and every destructive command
// that no device holds, whatever its origin, in one unit of work. It is for an
// administrator, by session or token, and for the console. Everyone is told.
func (s *Service) CancelAll(ctx context.Context, reason string) (n CancelledAll, err error) {
	who, err := asker(ctx)
	if err == nil && who.Via != ward.ViaConsole && (who.Person == "" || !slices.Contains(who.Roles, ward.RoleAdmin)) {
		err = ward.Errorf(ward.Forbidden, "Every order at once is cancelled by an administrator or at the server's console.")
	}
	if err != nil {
		return n, s.deny(ctx, "", err)
	}
	if reason, err = closingReason(reason); err != nil {
		return n, err
	}
	err = s.Store.Do(ctx, func(ctx context.Context) error {
		n = CancelledAll{}
		open, err := s.Store.LockOpen(ctx)
		if err != nil {
			return fmt.Errorf("orders that are open: %w", err)
		}
		c := s.closing(who, reason)
		if n.Commands, n.TooLate, err = s.takeAll(ctx, reason); err != nil {
			return err
		}
		for _, o := range open {
			err := s.takeBack(ctx, o, c)
			if ward.KindOf(err) == ward.Conflict {
				continue
			}
			if err != nil {
				return err
			}
			n.Orders++
		}
		detail := map[string]string{"reason": reason, "orders": strconv.Itoa(n.Orders), "commands": strconv.Itoa(n.Commands), "too_late": strconv.Itoa(n.TooLate)}
		if err := s.Audit.Record(ctx, ActionCancelledAll, "", detail); err != nil {
			return err
		}
		return s.Notify.Tell(ctx, notify.Message{
			Topic: notify.Cancelled, Subject: "Every order was cancelled by " + who.Name, Link: "/orders", Urgent: true, Everyone: true, At: c.At,
			Body: fmt.Sprintf("%d orders were taken back and %d commands taken off the queue; devices hold %d already. Reason: %s", n.Orders, n.Commands, n.TooLate, reason),
		})
	})
	if err != nil {
		return CancelledAll{}, s.deny(ctx, "", err)
	}
	return n, nil
}

// cancelledWhy begins the reason that stands with a command that was taken back.
const cancelledWhy = "the order was cancelled: "

// takeAll takes every destructive command off the queue that no device holds: first the
// many that orders queued, at one blow.
func (s *Service) takeAll(ctx context.Context, reason string) (taken, tooLate int, err error) {
	ordered, err := s.Queue.TakeBack(ctx, "", cancelledWhy+reason)
	if err != nil {
		return 0, 0, err
	}
	taken, tooLate, err = s.Queue.TakeBackIf(ctx, cancelledWhy+reason, func(_ command.Record, body []byte) bool {
		if body == nil {
			return true
		}
		_, destructive, err := s.TypeOf(body)
		return destructive || err != nil
	})
	return taken + ordered, tooLate, err
}

// Expire closes the orders that were not signed in time and returns how many.
func (s *Service) Expire(ctx context.Context) (n int, err error) {
	now := s.now()
	due, err := s.Store.Due(ctx, now, 100)
	if err != nil {
		return 0, fmt.Errorf("orders that expire: %w", err)
	}
	for _, id := range due {
		closed := false
		err := s.Store.Do(ctx, func(ctx context.Context) error {
			closed, err = s.Store.Close(ctx, id, Requested, Expired, Closing{Name: ward.System.Name, At: now, Reason: "it was not signed by two people in time"})
			if err != nil || !closed {
				return err
			}
			o, err := s.Store.Order(ctx, id)
			if err != nil {
				return err
			}
			return s.over(ward.WithActor(ctx, ward.System), o, ActionExpired, "via system", "it was not signed in time")
		})
		if err != nil {
			return n, fmt.Errorf("expire order %s: %w", id, err)
		}
		if closed {
			n++
		}
	}
	return n, nil
}

// over has the journal and the audit log know that an order came to nothing, so that nobody
// brings it back by the database. A journal that was changed keeps nobody from saying no.
func (s *Service) over(ctx context.Context, o Order, action, by, reason string) error {
	detail := map[string]string{"reason": reason}
	err := s.journal(ctx, o, brake.Entry{Event: brake.Cancelled, Person: by, Note: reason})
	if errors.Is(err, brake.ErrTampered) {
		detail["journal"] = "it was changed by somebody else, so this does not stand in it"
	} else if err != nil {
		return err
	}
	return s.Audit.Record(ctx, action, string(o.ID), detail)
}

func (s *Service) closing(who ward.Actor, reason string) Closing {
	return Closing{Person: who.Person, Name: who.Name, At: s.now(), Reason: reason}
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
