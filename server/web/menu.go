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
	Icon       string
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

// destination is where the navigation leads. What it needs is what its route needs.
type destination struct{ section, text, href string }

// navigation is in groups.
var navigation = [][]destination{
	{
		{"overview", "Overview", "/"},
		{"devices", "Devices", "/devices"},
		{"apps", "Apps", "/apps"},
		{"register", "Register", "/register"},
		{"policies", "Policies", "/policies"},
	},
	{
		{"cases", "Cases", "/cases"},
		{"orders", "Orders", "/orders"},
		{"brake", "Brake", "/brake"},
		{"approvers", "Approvers", "/approvers"},
	},
	{
		{"enrolment", "Enrolment", "/enrolment"},
		{"evidence", "Evidence", "/evidence"},
		{"audit", "Audit", "/audit"},
		{"health", "Health", "/health"},
		{"settings", "Settings", "/settings"},
	},
}

// menu is the navigation as far as the actor may go, with what waits there. Somebody who
// may see nothing but what is their own has none: their pages are a few, and simple.
func (s *Server) menu(ctx context.Context, a ward.Actor, section string) ([][]menuItem, error) {
	if !s.works(a) {
		return nil, nil
	}
	waits, err := s.waits(ctx, a)
	if err != nil {
		return nil, err
	}
	var out [][]menuItem
	for _, group := range navigation {
		var items []menuItem
		for _, p := range group {
			if !s.opens(a, p.href) {
				continue
			}
			m := menuItem{Text: p.text, Href: p.href, Icon: p.section, Current: p.section == section}
			if w, ok := waits[p.section]; ok {
				m.Count, m.Of = w.n, w.of
			}
			items = append(items, m)
		}
		if len(items) > 0 {
			out = append(out, items)
		}
	}
	return out, nil
}

// works reports whether there is a place that the actor may go to by a permission of theirs.
func (s *Server) works(a ward.Actor) bool {
	for _, group := range navigation {
		for _, p := range group {
			if needs := s.needs["GET "+p.href]; needs != anyone && needs != signedIn && access.Allows(a, needs) {
				return true
			}
		}
	}
	return false
}

// opens reports whether there is a page at an address that the actor may open.
func (s *Server) opens(a ward.Actor, href string) bool {
	if href == "/" {
		return access.Allows(a, access.DeviceRead)
	}
	needs, ok := s.needs["GET "+href]
	return ok && (needs == anyone || needs == signedIn || access.Allows(a, needs))
}

// waiting is how many of something wait.
type waiting struct {
	n  int
	of string
}

// waits counts what waits in each section.
func (s *Server) waits(ctx context.Context, a ward.Actor) (map[string]waiting, error) {
	out := map[string]waiting{}
	if access.Allows(a, access.DeviceRead) {
		n, err := s.openCases(ctx)
		if err != nil {
			return nil, err
		}
		out["cases"] = waiting{n, "open"}
	}
	if access.Allows(a, access.OrderRead) {
		n, err := s.waitingOrders(ctx)
		if err != nil {
			return nil, err
		}
		out["orders"] = waiting{n, "waiting for signatures"}
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
