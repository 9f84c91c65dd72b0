package web

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/order"
)

// menuItem is a place that the navigation leads to.
type menuItem struct {
	Text, Href string
	Current    bool
	Count      int    // of what waits there; 0 shows none
	Of         string // what the count is of, for those who hear the page
}

// alarm is what stands above every page until it is over.
type alarm struct {
	Text string
	Href string
	Link string // words of the link
}

// glassShown is how long the use of the sealed key stands above every page.
const glassShown = 24 * time.Hour

// menu is the navigation as far as the actor may go, with what waits there.
func (s *Server) menu(ctx context.Context, a ward.Actor, section string) (out []menuItem, err error) {
	var open, waiting int
	if access.Allows(a, access.DeviceRead) {
		if open, err = s.openCases(ctx); err != nil {
			return nil, err
		}
	}
	if access.Allows(a, access.OrderRead) {
		if waiting, err = s.waitingOrders(ctx); err != nil {
			return nil, err
		}
	}
	for _, m := range []struct {
		section, text, href string
		needs               access.Permission
		count               int
		of                  string
	}{
		{"devices", "Devices", "/devices", access.DeviceRead, 0, ""},
		{"cases", "Cases", "/cases", access.DeviceRead, open, "open"},
		{"orders", "Orders", "/orders", access.OrderRead, waiting, "waiting for signatures"},
		{"brake", "Brake", "/brake", access.OrderRead, 0, ""},
		{"approvers", "Approvers", "/approvers", access.ApproverRead, 0, ""},
	} {
		if access.Allows(a, m.needs) {
			out = append(out, menuItem{m.text, m.href, m.section == section, m.count, m.of})
		}
	}
	return out, nil
}

// openCases counts the real cases that are open, up to 100.
func (s *Server) openCases(ctx context.Context) (int, error) {
	list, err := s.Lost.List(ctx, lost.Filter{State: lost.Open, Which: lost.OnlyReal, Limit: 100})
	if err != nil {
		return 0, fmt.Errorf("open cases: %w", err)
	}
	return len(list), nil
}

// waitingOrders counts the orders that wait for signatures, up to 100.
func (s *Server) waitingOrders(ctx context.Context) (n int, err error) {
	list, err := s.Orders.List(ctx, order.Filter{State: order.Requested, Limit: 100})
	if err != nil {
		return 0, fmt.Errorf("orders that wait: %w", err)
	}
	for _, o := range list {
		if s.Now().Before(o.Expires) {
			n++
		}
	}
	return n, nil
}

// alarms says what the brake holds, and that the sealed key was used.
func (s *Server) alarms(ctx context.Context) (out []alarm, err error) {
	holds, err := s.Brake.Holds(ctx)
	switch {
	case errors.Is(err, brake.ErrTampered):
		out = append(out, alarm{"The journal of dangerous deeds is not as it was written. Nothing destructive reaches a device until the operator has looked at it.", "/brake", "See the brake"})
	case err != nil:
		return nil, fmt.Errorf("what the brake holds: %w", err)
	}
	for _, h := range holds {
		_, many := brake.Words(h.Kind)
		out = append(out, alarm{"The brake holds " + many + " since " + at(h.Since, s.Now()).Exact + ": none reaches a device until two people release it.", "/brake", "See the brake"})
	}
	used, err := s.Orders.Store.Glass(ctx, s.Now().Add(-glassShown))
	if err != nil {
		return nil, fmt.Errorf("use of the sealed key: %w", err)
	}
	for _, o := range used {
		out = append(out, alarm{"The sealed key was used: " + orderTitle(o) + ". If nobody here meant this, cancel the order and call the operator.", orderAddress(o.ID), "See the order"})
	}
	return out, nil
}
