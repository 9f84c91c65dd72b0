package order

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/notify"
)

// turn carries out an order about the brake, which is locked and whose signatures are
// verified.
func (s *Service) turn(ctx context.Context, o Order, signers []approver.Approver) error {
	b, now := o.Options.Brake, s.now()
	e := brake.Entry{Kind: b.Kind, Order: o.ID, Hash: o.Hash, At: now, Person: string(signers[len(signers)-1].Person), Note: o.Reason}
	detail := o.detail()
	for i, a := range signers {
		detail["signer "+strconv.Itoa(i+1)] = string(a.Person)
	}
	more := "Signed by " + signers[0].Name + " and " + signers[len(signers)-1].Name + ": " + o.Reason
	switch o.Kind {
	case ReleaseBrake:
		ledger, err := s.Journal.Ledger(ctx)
		if err != nil {
			return err
		}
		hold, held := ledger.Held(b.Kind)
		if !held {
			return ward.Errorf(ward.Conflict, "The brake does not hold %s any more: there is nothing to release.", many(b.Kind))
		}
		hold.Involved = append(slices.Clone(hold.Involved), ledger.Asked(b.Kind, hold.Since)...) // whose orders wait behind it
		if err := s.uninvolved(ctx, hold, signers); err != nil {
			return err
		}
		e.Event = brake.Released
	case LiftBrake:
		e.Event, e.Until = brake.Lifted, now.Add(time.Duration(b.Hours)*time.Hour)
		detail["until"] = e.Until.Format(time.RFC3339)
	default:
		return fmt.Errorf("an order of kind %s does nothing to the brake", o.Kind)
	}
	if ok, err := s.Store.Move(ctx, o.ID, o.State, Issued, time.Time{}); err != nil || !ok {
		return errors.Join(fmt.Errorf("carry order %s out: it is no longer %s", o.ID, o.State), err)
	}
	if err := s.Journal.RecordAll(ctx, []brake.Entry{e}); err != nil {
		return fmt.Errorf("journal of order %s: %w", o.ID, err)
	}
	if o.Kind == ReleaseBrake {
		if _, err := s.Queue.OweHeld(ctx); err != nil {
			return err
		}
	}
	action := ActionApproved
	if o.Kind == LiftBrake { // it was approved a day ago
		action = ActionIssued
	}
	if err := s.Audit.Record(ctx, action, string(o.ID), detail); err != nil {
		return err
	}
	return s.tell(ctx, o, notify.BrakeReleased, true, "for "+many(b.Kind)+" was carried out", more)
}

// uninvolved makes sure that one of those who release a hold had no part in what filled
// the window, by another account either.
func (s *Service) uninvolved(ctx context.Context, h brake.Hold, signers []approver.Approver) error {
	subjects := map[string]bool{}
	for _, p := range h.Involved {
		subject, err := s.Subject(ctx, ward.PersonID(p))
		if err != nil && ward.KindOf(err) != ward.NotFound {
			return fmt.Errorf("who was involved: %w", err)
		}
		if subject != "" {
			subjects[subject] = true
		}
	}
	for _, a := range signers {
		if !slices.Contains(h.Involved, string(a.Person)) && !subjects[a.Subject] && stood(a).Before(h.Since.Add(-settles)) {
			return nil
		}
	}
	return ward.Errorf(ward.Forbidden, "You and the other who signed both had a part in what the brake holds. One of the two has to be a person who had none, and who could approve for a day before it began to hold.")
}

// settles is how long an approver must have stood before a hold to release it as the one who
// had no part: else two who collude would vouch for a third account when they need one.
const settles = 24 * time.Hour

// stood returns since when somebody may approve; zero for those whom the operator trusted.
func stood(a approver.Approver) time.Time {
	if a.Founder || len(a.Vouches) == 0 {
		return time.Time{}
	}
	last := a.Vouches[0].At
	for _, v := range a.Vouches {
		if v.At.After(last) {
			last = v.At
		}
	}
	return last
}

// many is what people call several deeds of a kind.
func many(k brake.Kind) string {
	_, several := brake.Words(k)
	return several
}
