package server

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/approver/approvertest"
	"github.com/wardmdm/ward/server/order"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// approvers makes n people who may do anything and approve orders with passkeys of their
// own. The first two are founders, who vouch for the others.
func (w *world) approvers(t testing.TB, n int) []*approvertest.Person {
	t.Helper()
	console := ward.WithActor(context.WithoutCancel(t.Context()), ward.Actor{Name: "console", Via: ward.ViaConsole})
	who := make([]approvertest.Who, n)
	for i := range who {
		name := fmt.Sprintf("Approver %d", i+1)
		p, err := w.Access.CreatePerson(console, access.NewPerson{Name: name, Email: fmt.Sprintf("approver%d@hospital.example", i+1), Roles: ward.Roles})
		if err != nil {
			t.Fatal(err)
		}
		who[i] = approvertest.Who{Person: p.ID, Name: name, Subject: p.Email, Roles: ward.Roles}
	}
	people, err := approvertest.Seed(context.WithoutCancel(t.Context()), w.Approvers, who...)
	if err != nil {
		t.Fatal(err)
	}
	return people
}

// signs has a person sign an order with their passkey.
func (w *world) signs(t testing.TB, p *approvertest.Person, id ward.OrderID) (order.Order, error) {
	t.Helper()
	ctx := p.As(context.WithoutCancel(t.Context()))
	options, hash, err := w.Orders.Begin(ctx, id)
	if err != nil {
		return order.Order{}, err
	}
	response, err := p.Passkey.Sign(options)
	if err != nil {
		t.Fatal(err)
	}
	return w.Orders.Approve(ctx, id, hash, response)
}

// orders has the first of two people ask for an order, and both sign it.
func (w *world) orders(t testing.TB, by []*approvertest.Person, r order.Request) order.Order {
	t.Helper()
	if r.Reason == "" {
		r.Reason = "test"
	}
	o, err := w.Orders.Request(by[0].As(context.WithoutCancel(t.Context())), r)
	if err != nil {
		t.Fatalf("ask for an order: %v", err)
	}
	for _, p := range by[:2] {
		if o, err = w.signs(t, p, o.ID); err != nil {
			t.Fatalf("%s signs the order %s: %v", p.Name, o.ID, err)
		}
	}
	return o
}

// cools turns the clock past the time for which the erase of a device in use waits, and has
// what is due issued.
func (w *world) cools(t testing.TB) {
	t.Helper()
	w.clock.forward(time.Duration(w.config.Orders.Cooling)*time.Minute + time.Second)
	if _, err := w.Orders.Advance(w.ctx); err != nil {
		t.Fatal(err)
	}
}

// brisk has the erase of a device in use wait for less time than certificates are dated back,
// so that a clock turned by cools is no trouble to devices that go by the machine's.
func brisk(c *Config) { c.Orders.Cooling = 5 }

// erase has two people order the erase of a device, of a case unless that is "", and
// returns the UUID of the command, which waits in the queue.
func (w *world) erase(t testing.TB, by []*approvertest.Person, id ward.DeviceID, c ward.CaseID) (uuid string) {
	t.Helper()
	o := w.orders(t, by, order.Request{Kind: order.Erase, Devices: []ward.DeviceID{id}, Case: c, Options: order.Options{PreserveDataPlan: true}})
	if o.State == order.Approved { // it was in use a moment ago, and is not known to be lost
		w.cools(t)
	}
	o, err := w.Orders.Order(w.ctx, o.ID)
	if err != nil || o.State != order.Issued || o.Targets[0].Command == "" {
		t.Fatalf("the order is %s, its target %+v, %v; want it issued", o.State, o.Targets, err)
	}
	return o.Targets[0].Command
}

// What the server logs as an error when somebody has changed its database.
const (
	withheldAlarm = "a queued command is withheld: nobody ordered it as it stands there"
	strangerAlarm = "withheld command's order not told" // it names another device
	tamperedAlarm = "the brake's journal is not as it was written: no destructive command is delivered"
)

// alarms takes the errors out of the log that an attack brought about and returns how many
// there are of the first message. One that is none of the messages fails the test.
func (w *world) alarms(t testing.TB, messages ...string) (n int) {
	t.Helper()
	for _, e := range w.logs.TakeAll() {
		switch {
		case e.Level < zap.ErrorLevel, e.Message == "job failed" && e.ContextMap()["job"] == "brake" && slices.Contains(messages, tamperedAlarm):
		case !slices.Contains(messages, e.Message):
			t.Errorf("the server logged an error: %s %v", e.Message, e.ContextMap())
		case e.Message == messages[0]:
			n++
		}
	}
	return n
}

// herd enrols n phones that stay off but for when they are asked to check in. sort makes
// each of a sort; their queues are empty then.
func (w *world) herd(t testing.TB, n int, sort func(i int, o *virtual.Options) (ward.Ownership, ward.Platform)) []victim {
	t.Helper()
	out := make([]victim, n)
	var g errgroup.Group
	g.SetLimit(8)
	for i := range out {
		var owner ward.Ownership
		var platform ward.Platform
		p := w.phone(t, fmt.Sprintf("H%04d", i), func(o *virtual.Options) {
			owner, platform = sort(i, o)
			if o.Platform = platform; platform == ward.MacOS {
				o.UserAgent = "curl/8" // a browser on a Mac gets the page with the profile behind it
			}
		})
		inv := w.invite(t, owner, func(r *enrollment.Request) { r.Platform = platform })
		out[i].Phone = p
		g.Go(func() error {
			if err := p.Enrol(t.Context(), w.InviteURL(inv.Token)); err != nil {
				return fmt.Errorf("enrol %s: %w", p.Serial(), err)
			}
			return p.CheckIn(t.Context())
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for i := range out {
		e, err := w.fleet.Latest(t.Context(), out[i].UDID())
		if err != nil {
			t.Fatal(err)
		}
		out[i].id, out[i].e = e.Device, e
	}
	return out
}

// base64URL is bytes as browsers write them.
type base64URL []byte

func (b *base64URL) UnmarshalText(text []byte) (err error) {
	*b, err = base64.RawURLEncoding.DecodeString(string(text))
	return err
}
