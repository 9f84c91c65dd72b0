package order

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/notify"
)

// recheck is when a campaign that has its devices of this hour is looked at again.
const recheck = time.Minute

// issue queues the commands of an order, which is locked, for those enrolments that are
// still the current ones; the others are Superseded. Of a campaign it queues as many as its
// limit leaves. entries go before its own into the journal, which comes after the commands,
// as at a hand-out, so that two units of work can't wait for each other.
func (s *Service) issue(ctx context.Context, o Order, entries []brake.Entry) error {
	before := len(entries)
	detail := o.detail()
	room, left := len(o.Targets), 0
	var ledger *brake.Ledger // nil for a rehearsal
	if !o.Options.Drill {
		var err error
		if ledger, err = s.Journal.Ledger(ctx); err != nil {
			return err
		}
	}
	if o.Options.Campaign != nil {
		room = s.room(o, ledger)
	}
	for i := range o.Targets {
		t := &o.Targets[i]
		if t.Outcome != "" {
			continue
		}
		if room == 0 {
			left++
			continue
		}
		e, err := s.put(ctx, o, t, ledger)
		if err != nil {
			return err
		}
		if e != nil {
			entries = append(entries, *e)
			room--
		}
		if len(detail) < 100 { // of a campaign the record of commands tells
			detail["command "+string(t.Device)] = string(t.Outcome)
		}
	}
	due := time.Time{}
	if left > 0 {
		due = s.now().Add(recheck)
	}
	if ok, err := s.Store.Move(ctx, o.ID, o.State, Issued, due); err != nil || !ok {
		return errors.Join(fmt.Errorf("issue order %s: it is no longer %s", o.ID, o.State), err)
	}
	if err := s.journal(ctx, o, entries...); err != nil {
		return err
	}
	queued := len(entries) - before
	if queued == 0 && o.State == Issued {
		return nil // a campaign that had no room
	}
	if ledger != nil {
		if h, held := ledger.Held(o.Kind.brake()); held {
			detail["held"] = h.Why
		}
	}
	if err := s.Audit.Record(ctx, ActionIssued, string(o.ID), detail); err != nil {
		return err
	}
	return s.tell(ctx, o, notify.OrderIssued, false, "was carried out", strconv.Itoa(queued)+" commands were queued. Reason: "+o.Reason)
}

// room says how many devices of a campaign may be put into the queue now, so that never
// more than its limit are delivered or on their way within an hour.
func (s *Service) room(o Order, ledger *brake.Ledger) int {
	since := s.now().Add(-time.Hour)
	taken := ledger.Campaign(o.ID, since)
	for _, t := range o.Targets {
		if t.Issued.After(since) && !ledger.Delivered(o.ID, t.Enrolment) {
			taken++
		}
	}
	return max(0, o.Options.Campaign.PerHour-taken)
}

// put queues the command for one target if its enrolment is still the one named, and
// returns what is to stand in the journal: nil if nothing was queued.
func (s *Service) put(ctx context.Context, o Order, t *Target, ledger *brake.Ledger) (*brake.Entry, error) {
	end := func(out Outcome, why string) (*brake.Entry, error) {
		t.Outcome, t.Command, t.Error, t.Answered = out, "", why, s.now()
		return nil, s.setTarget(ctx, o.ID, *t)
	}
	d, e, why, err := s.gone(ctx, o, t)
	if err != nil {
		return nil, err
	}
	if why != "" {
		return end(Superseded, why)
	}
	if o.Options.Drill {
		return end(Rehearsed, "")
	}
	if _, ok := ledger.Issued(o.ID, t.Enrolment); ok {
		return end(Withheld, "its command was queued before: somebody changed the database")
	}
	uuid, requestType, body, err := s.compile(ctx, o.Kind, o.Options, d, e)
	if k := ward.KindOf(err); k == ward.Forbidden || k == ward.Conflict {
		return end(Superseded, err.Error())
	}
	if err != nil {
		return nil, fmt.Errorf("compile order %s for %s: %w", o.ID, t.Device, err)
	}
	lost := o.Case
	if lost == "" { // of several devices: each one's case tells what became of it
		if lost, _, err = s.OpenCase(ctx, t.Device); err != nil {
			return nil, err
		}
	}
	c := command.New{UUID: uuid, Enrolment: t.Enrolment, RequestType: requestType, Body: body, Urgent: true, Case: lost, Order: o.ID}
	if !strings.HasPrefix(string(o.RequestedBy), via) {
		c.By = o.RequestedBy
	}
	switch {
	case o.Options.Campaign != nil:
		c.Expires = o.Expires
	case o.Case == "":
		c.Expires = s.now().Add(s.CommandLife)
	}
	t.Command, err = s.Queue.Enqueue(ctx, c)
	if ward.KindOf(err) == ward.NotFound {
		return end(Superseded, "the enrolment has ended")
	}
	if err != nil {
		return nil, fmt.Errorf("queue order %s for %s: %w", o.ID, t.Device, err)
	}
	t.Outcome, t.Issued = Waiting, s.now()
	entry := &brake.Entry{Event: brake.Issued, Device: t.Device, Enrolment: t.Enrolment, Site: d.Site, Person: string(o.RequestedBy), Hash: sum(body)}
	return entry, s.setTarget(ctx, o.ID, *t)
}

func (s *Service) setTarget(ctx context.Context, id ward.OrderID, t Target) error {
	if _, err := s.Store.SetTarget(ctx, id, t); err != nil {
		return fmt.Errorf("order %s: %w", id, err)
	}
	return nil
}

// gone says why a target is no longer what the order was asked for; "" if it is.
func (s *Service) gone(ctx context.Context, o Order, t *Target) (d ward.Device, e ward.Enrolment, why string, err error) {
	d, err = s.Fleet.Device(ctx, t.Device)
	if ward.KindOf(err) == ward.NotFound {
		return d, e, "the device is gone from the fleet", nil
	}
	if err != nil {
		return d, e, "", err
	}
	e, err = s.Fleet.Current(ctx, t.Device)
	if ward.KindOf(err) == ward.NotFound {
		return d, e, "the enrolment has ended", nil
	}
	if err != nil {
		return d, e, "", err
	}
	if e.ID != t.Enrolment || e.State != ward.EnrolmentActive {
		return d, e, "the device has enrolled anew since", nil
	}
	if err := allowed(o.Kind, o.Options, d, e); err != nil {
		return d, e, err.Error(), nil
	}
	return d, e, "", nil
}

// Advance issues what is due: orders whose time to cool off is over, and the next devices
// of campaigns. It returns for how many orders something was done. An order that can't be
// carried on keeps no other back.
func (s *Service) Advance(ctx context.Context) (n int, err error) {
	ready, err := s.Store.Ready(ctx, s.now(), 100)
	if err != nil {
		return 0, fmt.Errorf("orders that are due: %w", err)
	}
	ctx = ward.WithActor(ctx, ward.System)
	var failed []error
	for _, id := range ready {
		err := s.Store.Do(ctx, func(ctx context.Context) error { return s.advance(ctx, id) })
		if err != nil {
			failed = append(failed, fmt.Errorf("carry order %s on: %w", id, err))
			continue
		}
		n++
	}
	return n, errors.Join(failed...)
}

// advance carries one order on, unless somebody was quicker.
func (s *Service) advance(ctx context.Context, id ward.OrderID) error {
	o, err := s.Store.Lock(ctx, id)
	if err != nil {
		return err
	}
	now := s.now()
	if (o.State != Approved && o.State != Issued) || o.Due.IsZero() || o.Due.After(now) {
		return nil
	}
	if o.Options.Campaign != nil && !now.Before(o.Expires) {
		return s.lapse(ctx, o)
	}
	err = s.proven(ctx, o)
	if errors.Is(err, errUnproven) {
		return s.drop(ctx, o, err, notify.Forged, altered)
	}
	if err != nil {
		return err
	}
	ledger, err := s.Journal.Ledger(ctx)
	if err != nil {
		return err // until the operator has looked at the journal it waits
	}
	yes, ok := ledger.ApprovedEntry(id)
	switch {
	case !ok || yes.Hash != o.Hash || ledger.Cancelled(id, ""):
		return s.drop(ctx, o, ward.Errorf(ward.Conflict, "The journal does not say that this order was approved and stands."), notify.Forged, altered)
	case yes.Until.After(now): // somebody shortened its wait
		_, err := s.Store.Move(ctx, id, o.State, o.State, yes.Until)
		return err
	}
	signers, err := s.signers(ctx, o)
	if err != nil {
		return err
	}
	err = s.stand(ctx, signers)
	if ward.KindOf(err) == ward.Conflict {
		return s.drop(ctx, o, err, notify.OrderWaiting, "")
	}
	if err != nil {
		return err
	}
	if o.Kind == LiftBrake {
		return s.turn(ctx, o, signers)
	}
	return s.issue(ctx, o, nil)
}

// lapse ends a campaign whose time is over.
func (s *Service) lapse(ctx context.Context, o Order) error {
	n, err := s.Store.EndTargets(ctx, o.ID, Lapsed, s.now(), "the campaign ended", "")
	if err != nil {
		return fmt.Errorf("end campaign %s: %w", o.ID, err)
	}
	if _, err := s.Store.Move(ctx, o.ID, o.State, Issued, time.Time{}); err != nil {
		return err
	}
	return s.Audit.Record(ctx, ActionExpired, string(o.ID), map[string]string{"devices_left": strconv.Itoa(n)})
}

// altered is what drop adds where only somebody who wrote to the database explains it.
const altered = " Somebody may have changed the database."

// drop ends an order that was approved and can't be carried out any more, and tells.
func (s *Service) drop(ctx context.Context, o Order, why error, topic notify.Topic, more string) error {
	reason := people(why)
	err := s.takeBack(ctx, o, Closing{Name: ward.System.Name, At: s.now(), Reason: reason})
	if ward.KindOf(err) == ward.Conflict { // nothing is left of it
		_, err = s.Store.Move(ctx, o.ID, o.State, o.State, time.Time{})
	}
	if err != nil {
		return err
	}
	return s.tell(ctx, o, topic, true, "is not carried out", reason+more)
}
