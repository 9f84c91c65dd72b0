package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/approver/approvertest"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/order"
)

// register has the approvers register passkeys: the operator trusts the first two, and they
// vouch for the third.
func (s *story) register(ctx context.Context) error {
	return s.step("5. Three people register passkeys to approve orders", len(s.who), func(seen map[string]any) error {
		all, err := approvertest.Seed(ctx, s.srv.Approvers, s.who...)
		if err != nil {
			return err
		}
		s.alex, s.priya, s.morag = all[0], all[1], all[2]
		if len(s.morag.Vouches) != approver.Quorum {
			return fmt.Errorf("%s has the word of %d approvers, want %d", s.morag.Name, len(s.morag.Vouches), approver.Quorum)
		}
		seen["approvers"] = len(all)
		s.out.said("the operator trusted %s and %s; both vouched for %s", s.alex.Name, s.priya.Name, s.morag.Name)
		return nil
	})
}

// sign has a person sign an order with their passkey, as their browser would.
func (s *story) sign(ctx context.Context, p *approvertest.Person, id ward.OrderID) (order.Order, error) {
	ctx = p.As(ctx)
	options, hash, err := s.srv.Orders.Begin(ctx, id)
	if err != nil {
		return order.Order{}, err
	}
	response, err := p.Passkey.Sign(options)
	if err != nil {
		return order.Order{}, err
	}
	return s.srv.Orders.Approve(ctx, id, hash, response)
}

// wipe asks for an erase, which one person can't have: not by tokens, and not by signing
// twice.
func (s *story) wipe(ctx context.Context) error {
	p := s.fleet.Phones()[supervisedPhone]
	return s.step("5b. It is wiped, by two people with a passkey each", 1, func(seen map[string]any) error {
		var o api.Order
		if err := call(ctx, s.desk, http.MethodPost, devicePath(p.Serial(), "wipe"), map[string]any{"reason": "lost on a bus, not handed in"}, &o); err != nil {
			return err
		}
		for _, c := range []*client{s.desk, s.desk2, s.onCall} {
			if err := refused(call(ctx, c, http.MethodPost, orderPath(string(o.ID), "/approve"), map[string]any{"hash": o.Hash}, nil), http.StatusForbidden); err != nil {
				return fmt.Errorf("a token approves: %w", err)
			}
		}
		s.out.said("no token approves: three were refused")
		switch signed, err := s.sign(ctx, s.alex, o.ID); {
		case err != nil:
			return err
		case signed.State != order.Requested || signed.Needs() != 1:
			return fmt.Errorf("with one signature the order is %s", signed.State)
		}
		if _, err := s.sign(ctx, s.alex, o.ID); err == nil {
			return errors.New("the same person signed twice")
		}
		if asked(p, "EraseDevice") {
			return errors.New("the phone was told to erase itself on one person's word")
		}
		s.out.said("one signature sends nothing, and the same person was refused a second")
		if _, err := s.sign(ctx, s.priya, o.ID); err != nil {
			return err
		}
		if err := await(ctx, p, "the erase", (*virtual.Phone).Erased); err != nil {
			return err
		}
		d, err := s.awaitDevice(ctx, p, "the accepted erase", func(d device) bool { return d.Management == string(ward.Erased) })
		if err != nil {
			return err
		}
		if !strings.Contains(d.Reason, "erase accepted by the device at ") || !strings.Contains(d.Reason, ", not seen since") {
			return fmt.Errorf("the server says %q", d.Reason)
		}
		seen["server_says"], seen["erased"] = d.Reason, p.Erasures()
		s.out.said("a second person signed; the server says: %s", d.Reason)
		return nil
	})
}

// hold has more phones stolen than the brake lets be erased within an hour.
func (s *story) hold(ctx context.Context) error {
	phones := s.fleet.Phones()
	stolen := []*virtual.Phone{phones[corporatePhone], phones[3+supervisedPhone], phones[3+corporatePhone]}
	return s.step("5e. A bag with three phones is stolen: the brake holds the fourth erase of the hour", len(stolen), func(seen map[string]any) error {
		var serials []string
		for _, p := range stolen {
			serials = append(serials, p.Serial())
		}
		if err := call(ctx, s.desk, http.MethodPost, "/cases", map[string]any{"devices": serials, "kind": "stolen", "where": "car park"}, nil); err != nil {
			return err
		}
		var o api.Order
		if err := call(ctx, s.desk, http.MethodPost, "/orders", orderBody{Kind: order.Erase, Devices: serials, Reason: "stolen in one bag"}, &o); err != nil {
			return err
		}
		for _, p := range []*approvertest.Person{s.alex, s.priya} {
			if _, err := s.sign(ctx, p, o.ID); err != nil {
				return err
			}
		}
		held, err := s.awaitHeld(ctx)
		if err != nil {
			return err
		}
		if err := s.awaitErased(ctx, stolen, len(stolen)-1); err != nil {
			return err
		}
		seen["erased_before_release"], seen["held"] = len(stolen)-1, held.Why
		s.out.said("two were erased; then: %s", held.Words)
		if err := s.release(ctx); err != nil {
			return err
		}
		s.out.said("Alex and Priya had a part in it and can't release it; nor can %s, who became an approver today", s.morag.Name)
		return s.cancelAll(ctx, stolen, seen)
	})
}

// release has the brake's release asked for, in vain: one of the two who sign must have had
// no part in what it holds, and have been an approver for a day before.
func (s *story) release(ctx context.Context) error {
	var o api.Order
	if err := call(ctx, s.desk, http.MethodPost, "/orders", orderBody{
		Kind: order.ReleaseBrake, Reason: "three phones were stolen: it is meant", Options: api.OrderChoice{Brake: &api.BrakeTurn{Kind: brake.Erase}},
	}, &o); err != nil {
		return err
	}
	if _, err := s.sign(ctx, s.alex, o.ID); err != nil {
		return err
	}
	for _, p := range []*approvertest.Person{s.priya, s.morag} {
		if _, err := s.sign(ctx, p, o.ID); ward.KindOf(err) != ward.Forbidden {
			return fmt.Errorf("%s and %s release the brake: %w", s.alex.Name, p.Name, orNothing(err))
		}
	}
	return nil
}

// cancelAll has one administrator take back what is held, and looks whether the phone that
// was left is spared.
func (s *story) cancelAll(ctx context.Context, stolen []*virtual.Phone, seen map[string]any) error {
	var n api.CancelledAll
	if err := call(ctx, s.desk, http.MethodPost, "/orders/cancel-all", map[string]string{"reason": "nobody is left who could release it"}, &n); err != nil {
		return err
	}
	spared := stolen[slices.IndexFunc(stolen, func(p *virtual.Phone) bool { return !p.Erased() })]
	if err := s.answers(ctx, spared); err != nil {
		return err
	}
	if err := s.awaitErased(ctx, stolen, len(stolen)-1); err != nil {
		return err
	}
	if n.Commands != 1 || asked(spared, "EraseDevice") {
		return fmt.Errorf("cancel-all took %d commands back, want 1; the phone that was left was told %v", n.Commands, spared.Destructive())
	}
	seen["commands_taken_back"] = n.Commands
	s.out.said("one administrator cancelled all: the third phone stays locked, and was never told to erase itself")
	return nil
}

// awaitHeld waits until the brake holds erasures.
func (s *story) awaitHeld(ctx context.Context) (held api.BrakeHold, err error) {
	err = s.again(ctx, "the brake's hold", func() (bool, error) {
		var b api.BrakeStatus
		if err := call(ctx, s.desk, http.MethodGet, "/brake", nil, &b); err != nil || len(b.Holds) == 0 {
			return false, err
		}
		held = b.Holds[0]
		return true, nil
	})
	return held, err
}

// awaitErased waits until so many of the phones are erased, and no more.
func (s *story) awaitErased(ctx context.Context, phones []*virtual.Phone, want int) error {
	erased := func() (n int) {
		for _, p := range phones {
			if p.Erased() {
				n++
			}
		}
		return n
	}
	if err := s.again(ctx, fmt.Sprintf("%d erased phones", want), func() (bool, error) { return erased() >= want, nil }); err != nil {
		return err
	}
	if n := erased(); n != want {
		return fmt.Errorf("%d phones are erased, want %d", n, want)
	}
	return nil
}
