package server

import (
	"context"
	"flag"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/server/approver/approvertest"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/order"
	"golang.org/x/sync/errgroup"
)

var thiefDevices = flag.Int("thief-devices", 40, "how many devices a compromised administrator is after")

// fleetSize is how many devices the proofs about a fleet have.
func fleetSize() int {
	if testing.Short() {
		return min(*thiefDevices, 15)
	}
	return *thiefDevices
}

// newCollusion starts a server with a fleet and three approvers, of whom the first two
// collude.
func newCollusion(t testing.TB, url string, n int) *robbery {
	t.Helper()
	w := start(t, url, brisk)
	r := &robbery{world: w, t: t, by: w.approvers(t, 3)}
	r.herd = w.herd(t, n, func(int, *virtual.Options) (ward.Ownership, ward.Platform) { return ward.Corporate, ward.IOS })
	w.clock.forward(25 * time.Hour) // only who could approve for a day releases the brake
	return r
}

// wants asks for the erasure of phones in as many orders as it takes, which the two sign.
func (r *robbery) wants(of []victim) (orders []order.Order) {
	r.t.Helper()
	for len(of) > 0 {
		n := min(len(of), r.config.Orders.MaxDevices)
		var ids []ward.DeviceID
		for _, v := range of[:n] {
			ids = append(ids, v.id)
		}
		orders = append(orders, r.orders(r.t, r.by, order.Request{Kind: order.Erase, Devices: ids}))
		of = of[n:]
	}
	return orders
}

// passes turns the clock on, has what is due issued, and every phone ask for commands.
func (r *robbery) passes(d time.Duration) {
	r.t.Helper()
	r.clock.forward(d)
	if _, err := r.Orders.Advance(r.ctx); err != nil {
		r.t.Fatal(err)
	}
	r.all()
}

// all has every phone that is left ask for commands.
func (r *robbery) all() {
	r.t.Helper()
	var g errgroup.Group
	g.SetLimit(8)
	for _, v := range r.herd {
		if v.Enrolled() {
			g.Go(func() error { return r.connect(v) })
		}
	}
	if err := g.Wait(); err != nil {
		r.t.Fatal(err)
	}
}

// erased counts the erasures of the whole fleet.
func (r *robbery) erased() (n int) {
	for _, v := range r.herd {
		n += v.Erasures()
	}
	return n
}

// left are the phones that were not erased.
func (r *robbery) left() (out []victim) {
	for _, v := range r.herd {
		if v.Erasures() == 0 {
			out = append(out, v)
		}
	}
	return out
}

// turns has two people ask for and sign an order about the brake. The error is that of the
// second signature.
func (r *robbery) turns(first, second int, q order.Request) error {
	r.t.Helper()
	q.Reason = "we mean it"
	o, err := r.Orders.Request(r.by[first].As(context.WithoutCancel(r.t.Context())), q)
	if err != nil {
		return err
	}
	if _, err := r.signs(r.t, r.by[first], o.ID); err != nil {
		return err
	}
	_, err = r.signs(r.t, r.by[second], o.ID)
	return err
}

func aboutErase(k order.Kind, hours int) order.Request {
	return order.Request{Kind: k, Options: order.Options{Brake: &order.Brake{Kind: brake.Erase, Hours: hours}}}
}

// TestTwoColluding: two approvers who collude erase as many devices as the brake lets pass
// and no more, whatever they do about it, and one button takes back all that they ordered.
func TestTwoColluding(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		r := newCollusion(t, url, fleetSize())

		orders := r.wants(r.herd)
		r.passes(6 * time.Minute)
		r.all()
		if n := r.erased(); n != 3 {
			t.Errorf("%d devices were erased at once, want the 3 that the brake lets pass in an hour", n)
		}
		if h, err := r.Brake.Holds(r.ctx); err != nil || len(h) != 1 || h[0].Kind != brake.Erase {
			t.Errorf("the brake holds %+v, %v", h, err)
		}
		if n := r.told(t, notify.BrakeHeld); n == 0 {
			t.Error("nobody was told that the brake holds")
		}
		if err := r.turns(0, 1, aboutErase(order.ReleaseBrake, 0)); ward.KindOf(err) != ward.Forbidden {
			t.Errorf("two who were involved release the brake: %v, want forbidden", err)
		}
		lift := r.turns(0, 1, aboutErase(order.LiftBrake, 24))
		for range 6 {
			r.passes(4 * time.Hour)
		}
		if n, most := r.erased(), max(10, len(r.herd)/100); n > most {
			t.Errorf("%d devices were erased within a day (lifted: %v), want %d at most", n, lift, most)
		}
		before := r.erased()
		done, err := r.Orders.CancelAll(r.ctx, "this is an attack")
		if err != nil || done.Orders < len(orders) || done.Commands < len(r.herd)-before {
			t.Errorf("CancelAll() = %+v, %v; want %d orders and %d commands", done, err, len(orders), len(r.herd)-before)
		}
		if err := r.turns(0, 2, aboutErase(order.ReleaseBrake, 0)); err != nil {
			t.Errorf("one who was not involved releases the brake: %v", err)
		}
		r.passes(time.Hour)
		r.all()
		if n := r.erased(); n != before {
			t.Errorf("%d devices were erased after all was cancelled", n-before)
		}
		t.Logf("%d devices, %d orders: %d erased", len(r.herd), len(orders), before)
	})
}

// TestTwoPatient: two who order no more at a time than the brake has room for erase no more
// in a day than it lets pass in a day.
func TestTwoPatient(t *testing.T) {
	t.Parallel()
	r := newCollusion(t, "", max(fleetSize()/2, 14))
	for i := range 12 {
		room, err := r.Brake.Room(r.ctx, brake.Erase, "")
		if err != nil {
			t.Fatal(err)
		}
		if left := r.left(); room > 0 {
			r.wants(left[:min(room, len(left))])
		}
		r.passes(6 * time.Minute)
		if i < 6 {
			r.clock.forward(54 * time.Minute)
		} else {
			r.clock.forward(2*time.Hour + 54*time.Minute)
		}
	}
	if n, most := r.erased(), max(10, len(r.herd)/100); n > most || n < 3 {
		t.Errorf("%d devices were erased within a day, want %d at most", n, most)
	}
}

// TestTwoLift: two who collude do not get past the brake by lifting it before they begin.
func TestTwoLift(t *testing.T) {
	t.Parallel()
	r := newCollusion(t, "", max(fleetSize()/2, 14))
	lift := r.turns(0, 1, aboutErase(order.LiftBrake, 24))
	r.wants(r.herd)
	r.passes(6 * time.Minute)
	r.passes(time.Hour)
	if n, most := r.erased(), max(10, len(r.herd)/100); n > most {
		t.Errorf("%d devices were erased within two hours after the two had lifted the brake (%v), want %d at most", n, lift, most)
	}
}

// TestTwoLiftCancelled: a lift is announced a day ahead, and one button takes it back.
func TestTwoLiftCancelled(t *testing.T) {
	t.Parallel()
	r := newCollusion(t, "", 12)
	if err := r.turns(0, 1, aboutErase(order.LiftBrake, 24)); err != nil {
		t.Fatal(err)
	}
	r.passes(23 * time.Hour)
	if done, err := r.Orders.CancelAll(r.ctx, "nobody expected this"); err != nil || done.Orders != 1 {
		t.Errorf("CancelAll() = %+v, %v; want the lift taken back", done, err)
	}
	r.passes(2 * time.Hour)
	r.wants(r.herd)
	r.passes(6 * time.Minute)
	r.all()
	if n := r.erased(); n != 3 {
		t.Errorf("%d devices were erased after the lift was cancelled, want 3", n)
	}
}

// TestTwoPuppet: two who collude release nothing with a third account that they made an
// approver when the brake held them.
func TestTwoPuppet(t *testing.T) {
	t.Parallel()
	r := newCollusion(t, "", 8)
	r.wants(r.herd)
	r.passes(6 * time.Minute)
	if n := r.erased(); n != 3 {
		t.Fatalf("%d devices were erased, want 3", n)
	}
	ctx := context.WithoutCancel(t.Context())
	puppet, err := approvertest.Register(ctx, r.Approvers, approvertest.Who{Person: "p-puppet", Name: "Puppet", Subject: "nobody@hospital.example", Roles: ward.Roles})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.by[:2] {
		if _, err := p.VouchFor(ctx, r.Approvers, puppet.Approver); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.told(t, notify.ApproverAdded); n == 0 {
		t.Error("nobody was told of a new approver")
	}
	r.by = append(r.by, puppet)
	if err := r.turns(0, 3, aboutErase(order.ReleaseBrake, 0)); ward.KindOf(err) != ward.Forbidden {
		t.Errorf("one of the two releases the brake with the account that they made an approver: %v, want forbidden", err)
	}
	for range 2 {
		r.passes(time.Hour)
	}
	if n := r.erased(); n != 3 {
		t.Errorf("%d devices were erased, want the 3 of the first hour", n)
	}
}

// TestTwoCampaign: a campaign begins a day after it was announced, takes as many devices an
// hour as it says, and one button takes it back.
func TestTwoCampaign(t *testing.T) {
	t.Parallel()
	const perHour = 4
	r := newCollusion(t, "", 12)
	var ids []ward.DeviceID
	for _, v := range r.herd {
		ids = append(ids, v.id)
	}
	q := order.Request{Kind: order.Erase, Devices: ids, Reason: "new phones", Options: order.Options{Campaign: &order.Campaign{Start: r.now().Add(23 * time.Hour), PerHour: perHour}}}
	if _, err := r.Orders.Request(r.by[0].As(context.WithoutCancel(t.Context())), q); ward.KindOf(err) != ward.Invalid {
		t.Errorf("a campaign that begins in 23 hours: %v, want invalid", err)
	}
	q.Options.Campaign.Start = r.now().Add(24*time.Hour + time.Minute)
	if o := r.orders(t, r.by, q); o.State != order.Approved {
		t.Fatalf("the campaign is %s, want it approved", o.State)
	}
	for range 2 {
		r.passes(12 * time.Hour)
	}
	if n := r.erased(); n > 0 {
		t.Fatalf("%d devices were erased before the campaign began", n)
	}
	r.passes(2 * time.Minute)
	for range 2 {
		r.passes(25 * time.Minute)
	}
	if n := r.erased(); n != perHour {
		t.Errorf("%d devices were erased in the first hour, want %d", n, perHour)
	}
	r.passes(11 * time.Minute)
	r.passes(time.Minute)
	if n := r.erased(); n != 2*perHour {
		t.Errorf("%d devices were erased when the second hour had begun, want %d", n, 2*perHour)
	}
	if _, err := r.Orders.CancelAll(r.ctx, "enough"); err != nil {
		t.Fatal(err)
	}
	r.passes(2 * time.Hour)
	if n := r.erased(); n != 2*perHour {
		t.Errorf("%d devices were erased after the campaign was cancelled", n-2*perHour)
	}
}
