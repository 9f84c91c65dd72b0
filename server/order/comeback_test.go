package order_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver/approvertest"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/order"
)

// TestComeback: an order that one person signed and that then came to nothing is no order any
// more, whatever the database says: one more signature does not carry it out.
func TestComeback(t *testing.T) {
	t.Parallel()
	const back = `UPDATE orders SET state = 'requested', closed_at = 0, expires_at = 99999999999999999`
	for name, end := range map[string]func(w *world, o order.Order) error{
		"refused": func(w *world, o order.Order) error {
			_, err := w.Refuse(w.as("dan", ward.RoleApprover), o.ID, "no")
			return err
		},
		"expired": func(w *world, _ order.Order) error {
			w.pass(25 * time.Hour)
			_, err := w.Expire(t.Context())
			return err
		},
		"expired with nobody looking": func(w *world, _ order.Order) error { w.pass(25 * time.Hour); return nil },
		"cancelled":                   func(w *world, o order.Order) error { _, err := w.Cancel(w.as("eve"), o.ID, "no"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := sqlite(t)
			e := w.device("d1", ward.Corporate)
			o := w.request("d1")
			_, err := w.sign("ben", o)
			must(t, err)
			must(t, end(w, o))
			w.sql(back)
			_, err = w.sign("cyd", o)
			wantKind(t, "the second signature", err, ward.Conflict)
			if got, _ := w.connect(e); len(got) != 0 {
				t.Errorf("the device got %v", got)
			}
		})
	}
}

// TestForgedRequest: an order that only the database knows can't be signed.
func TestForgedRequest(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	w.device("d1", ward.Corporate)
	o := w.request("d1")
	w.sql(`UPDATE orders SET requested_by = 'dan', reason = 'another'`)
	forged := w.look(o.ID)
	hash, err := forged.Digest()
	must(t, err)
	w.sql(`UPDATE orders SET hash = $1`, hash)
	_, err = w.sign("ben", w.look(o.ID))
	wantKind(t, "a signature of an order that nobody asked for", err, ward.Conflict)
}

// TestManyOpen: nobody drowns those who sign.
func TestManyOpen(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	w.device("d1", ward.Corporate)
	for range 20 {
		w.request("d1")
	}
	r := order.Request{Kind: order.Erase, Devices: []ward.DeviceID{"d1"}, Reason: "more"}
	_, err := w.Request(w.as("eve"), r)
	wantKind(t, "the 21st of one person", err, ward.Conflict)
	if _, err := w.Request(w.as("ada"), r); err != nil {
		t.Errorf("another person: %v", err)
	}
	if _, err := w.Request(ward.WithActor(t.Context(), ward.System), r); err != nil {
		t.Errorf("Ward itself: %v", err)
	}
}

// TestEndedWhileCooling: who signed and was then ended carries nothing out that has not begun.
func TestEndedWhileCooling(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	w.SeenWithin = time.Hour
	e := w.device("d1", ward.Corporate)
	o := w.approve(w.request("d1"))
	if o.State != order.Approved {
		t.Fatalf("the order is %s, want it to cool off", o.State)
	}
	w.pass(time.Minute)
	a, err := w.approvers.ByPerson(t.Context(), "ben")
	must(t, err)
	must(t, w.approvers.End(w.as("root", ward.RoleAdmin), a.ID, "the passkey was stolen"))
	w.pass(11 * time.Minute)
	_, err = w.Advance(t.Context())
	must(t, err)
	if got, _ := w.connect(e); len(got) != 0 {
		t.Errorf("the device got %v", got)
	}
	if got := w.look(o.ID); got.State != order.Cancelled {
		t.Errorf("the order is %s, want cancelled", got.State)
	}
	if got := w.pager.about("command.forged"); len(got) != 0 { // nobody touched the database
		t.Errorf("people are told of a forgery: %+v", got)
	}
}

// TestReleaseByNewcomer: a third account that two who collude vouched for while the brake holds
// is not the one who had no part; one who stood before is.
func TestReleaseByNewcomer(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	for i := range 4 {
		d := ward.DeviceID(fmt.Sprint("d", i))
		e := w.device(d, ward.Corporate)
		w.approve(w.request(d))
		w.connect(e)
	}
	h, err := w.brake.Holds(t.Context())
	if must(t, err); len(h) != 1 {
		t.Fatalf("holds %+v", h)
	}
	zed, err := approvertest.Register(t.Context(), w.approvers, approvertest.Who{Person: "zed"})
	must(t, err)
	w.people["zed"] = zed
	for _, p := range h[0].Involved {
		if by, ok := w.people[ward.PersonID(p)]; ok {
			_, err := by.VouchFor(t.Context(), w.approvers, zed.Approver)
			must(t, err)
		}
	}
	for _, tt := range []struct {
		who  ward.PersonID
		want ward.Kind
	}{{"zed", ward.Forbidden}, {"dan", ""}} { // in this order: the second releases it
		who, want := tt.who, tt.want
		release := w.ask(order.Request{Kind: order.ReleaseBrake, Reason: "why", Options: order.Options{Brake: &order.Brake{Kind: brake.Erase}}})
		_, err := w.sign("ben", release)
		must(t, err)
		if _, err = w.sign(who, release); err != nil && ward.KindOf(err) != want || err == nil && want != "" {
			t.Errorf("release with %s: %v, want %q", who, err, want)
		}
		if want != "" {
			_, err := w.Cancel(w.as("root", ward.RoleAdmin), release.ID, "not so")
			must(t, err)
		}
	}
}
