package order

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/notify"
)

// viaGlass stands for a person in an approval by break glass.
const viaGlass ward.PersonID = "via glass"

// glassDay is for how long an order by break glass that is still open keeps others back.
const glassDay = 24 * time.Hour

// glassable reports whether the sealed key may approve the order: one device at a time.
func (o Order) glassable() bool {
	return len(o.Targets) == 1 && (o.Kind == Erase || o.Kind == ClearPasscode || o.Kind == LockPIN)
}

// BreakGlass has the sealed key stand for the two signatures: sig is over the order's hash.
// It is for one device at a time, and everyone is told. The actor is a person who may ask
// for orders. What holds for other approved orders holds for this one.
func (s *Service) BreakGlass(ctx context.Context, id ward.OrderID, hash string, sig []byte) (Order, error) {
	who, err := person(ctx)
	if err == nil && !slices.Contains(who.Roles, ward.RoleSupport) && !slices.Contains(who.Roles, ward.RoleAdmin) {
		err = ward.Errorf(ward.Forbidden, "Only a person who may ask for orders can use the sealed key.")
	}
	if err != nil {
		return Order{}, s.deny(ctx, string(id), err)
	}
	err = s.Store.Do(ctx, func(ctx context.Context) error {
		o, err := s.Store.Lock(ctx, id)
		if err != nil {
			return err
		}
		if err := s.approvable(ctx, o, hash); err != nil {
			return err
		}
		if !o.glassable() {
			return ward.Errorf(ward.Conflict, "The sealed key is for an order that erases, clears the passcode of or locks exactly one device.")
		}
		if err := s.Approvers.VerifyGlass(ctx, o.Hash, sig); err != nil {
			return err
		}
		yes := Approval{Order: id, Hash: hash, Person: viaGlass, Name: who.Name, Assertion: approver.Assertion{Purpose: approver.ForOrder, Hash: hash, Signature: sig, At: s.now()}, At: s.now(), Glass: true}
		if err := s.Store.AddApproval(ctx, yes); err != nil {
			return fmt.Errorf("break glass for order %s: %w", id, err)
		}
		o.Approvals = append(o.Approvals, yes)
		if err := s.approved(ctx, o, ActionGlass, []ward.PersonID{who.Person}); err != nil {
			return err
		}
		// The journal's gate is closed by now, so that two copies of the server don't both
		// find that they are alone.
		if err := s.alone(ctx, id); err != nil {
			return err
		}
		return s.tell(ctx, o, notify.BreakGlass, true, "was approved with the sealed key", "Used by "+who.Name+": "+o.Reason+". Whoever did not expect this cancels the order at once and tells security.")
	})
	if err != nil {
		return Order{}, s.deny(ctx, string(id), err)
	}
	return s.Order(ctx, id)
}

// alone makes sure that break glass was not used for another order which is open still, or
// a moment ago.
func (s *Service) alone(ctx context.Context, id ward.OrderID) error {
	now := s.now()
	others, err := s.Store.Glass(ctx, now.Add(-glassDay))
	if err != nil {
		return err
	}
	for _, o := range others {
		if o.ID == id || o.Options.Drill {
			continue
		}
		at := o.Created
		for _, yes := range o.Approvals {
			if yes.Glass {
				at = yes.At
			}
		}
		open := o.State == Approved || (o.State == Issued && slices.ContainsFunc(o.Targets, func(t Target) bool { return !t.Outcome.Final() }))
		switch {
		case open:
			return ward.Errorf(ward.Conflict, "The sealed key is for one device at a time: the order %s, which it approved, is not carried out yet.", o.ID)
		case now.Sub(at) < s.GlassGap:
			return ward.Errorf(ward.Conflict, "The sealed key is for one device at a time: it was used at %s, and can be again after %s.", at.Format(time.RFC3339), at.Add(s.GlassGap).Format(time.RFC3339))
		}
	}
	return nil
}
