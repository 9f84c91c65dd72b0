package server

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/order"
)

// at returns a client that reaches the world's server where it listens, whatever its public
// address is.
func (w *world) at(t testing.TB) *http.Client {
	t.Helper()
	said := w.logs.FilterMessage("serving").All()
	if len(said) != 1 {
		t.Fatalf("the server said %d times where it listens", len(said))
	}
	address, _ := said[0].ContextMap()["listen"].(string)
	var d net.Dialer
	rt := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.Authority.Pool()}, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return d.DialContext(ctx, network, address)
	}}
	t.Cleanup(rt.CloseIdleConnections)
	return &http.Client{Transport: rt, Timeout: 30 * time.Second}
}

// TestTwoCopies: an order that is asked for and signed first at one copy of a server, and
// then at the other, is fetched at either; they count as one, what one takes back the other
// does not deliver, and both find that their journal was changed.
func TestTwoCopies(t *testing.T) {
	t.Parallel()
	const n, most = 8, 3
	a, b, _ := twoCopies(t)
	r := &robbery{world: a, t: t, by: a.approvers(t, 3)}
	r.herd = a.herd(t, n, func(int, *virtual.Options) (ward.Ownership, ward.Platform) { return ward.Corporate, ward.IOS })
	r.x = a.intruder(t)
	a.clock.forward(25 * time.Hour) // only who could approve for a day releases the brake
	b.clock.forward(25 * time.Hour)
	other := &robbery{world: b, t: t, by: r.by, herd: r.herd}
	ctx := context.WithoutCancel(t.Context())
	for i, v := range r.herd {
		if _, err := a.Lost.Report(a.ctx, lost.Report{Devices: []ward.DeviceID{v.id}}); err != nil {
			t.Fatal(err)
		}
		r.connects(v) // its lock
		first, second := a, b
		if i%2 == 0 {
			first, second = b, a
		}
		o, err := first.Orders.Request(r.by[0].As(ctx), order.Request{Kind: order.Erase, Devices: []ward.DeviceID{v.id}, Reason: "test"})
		if err != nil {
			t.Fatal(err)
		}
		if o, err = first.signs(t, r.by[0], o.ID); err != nil || o.State != order.Requested {
			t.Fatalf("after one signature the order is %s, %v", o.State, err)
		}
		if o, err = second.signs(t, r.by[1], o.ID); err != nil || o.State != order.Issued {
			t.Fatalf("after two signatures, at two copies, the order is %s, %v", o.State, err)
		}
	}
	at := b.at(t)
	erased := map[string]bool{}
	fetch := func() {
		for i, v := range r.herd {
			if i%2 == 0 {
				if v.Enrolled() {
					r.connects(v)
				}
				erased[v.Serial()] = erased[v.Serial()] || v.Erasures() > 0
				continue
			}
			cert, _ := certificateOf(t, v.Phone)
			d := wire{&world{Server: b.Server, people: at}, v.UDID(), cert, sharedKey(t)}
			for c := d.idle(t).command(t); c.UUID != ""; c = d.report(t, "Acknowledged", c.UUID, nil).command(t) {
				erased[v.Serial()] = erased[v.Serial()] || c.RequestType == "EraseDevice"
			}
		}
	}
	count := func() (n int) {
		for _, yes := range erased {
			if yes {
				n++
			}
		}
		return n
	}
	fetch()
	fetch()
	if count() != most {
		t.Errorf("%d erases were delivered by the two copies, want the %d of an hour", count(), most)
	}
	for name, w := range map[string]*world{"the one": a, "the other": b} {
		if h, err := w.Brake.Holds(ctx); err != nil || len(h) != 1 {
			t.Errorf("%s says that the brake holds %+v, %v", name, h, err)
		}
	}
	if err := other.turns(0, 1, aboutErase(order.ReleaseBrake, 0)); ward.KindOf(err) != ward.Forbidden {
		t.Errorf("two who were involved release at the other copy: %v, want forbidden", err)
	}
	done, err := a.Orders.CancelAll(a.ctx, "an attack")
	if err != nil || done.Commands != n-most {
		t.Errorf("CancelAll() = %+v, %v; want %d commands", done, err, n-most)
	}
	if err := other.turns(2, 0, aboutErase(order.ReleaseBrake, 0)); err != nil {
		t.Errorf("one who was not involved releases at the other copy: %v", err)
	}
	fetch()
	if count() != most {
		t.Errorf("%d erases were delivered after all was cancelled at the other copy", count()-most)
	}
	for name, w := range map[string]*world{"the one": a, "the other": b} {
		if err := w.Brake.Check(ctx); err != nil {
			t.Errorf("%s says of the journal: %v", name, err)
		}
	}
	r.x.keeps("journal_kept")
	journalAttempts[0].do(r.x, "")
	for name, w := range map[string]*world{"the one": a, "the other": b} {
		if err := w.Brake.Check(ctx); !errors.Is(err, brake.ErrTampered) {
			t.Errorf("%s says of a journal that was changed: %v", name, err)
		}
	}
	r.x.restores("journal_kept")
	for name, w := range map[string]*world{"the one": a, "the other": b} {
		if err := w.Brake.Check(ctx); err != nil {
			t.Errorf("%s says of the journal that was put back: %v", name, err)
		}
		w.alarms(t, tamperedAlarm)
	}
}
