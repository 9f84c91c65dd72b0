package order_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/order"
)

func TestCancel(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	e := w.device("d1", ward.Corporate)
	_, err := w.Cancel(w.as("cyd", ward.RoleSupport, ward.RoleApprover), w.request("d1").ID, "no")
	wantKind(t, "by somebody else", err, ward.Forbidden)
	_, err = w.Cancel(w.as("eve"), w.request("d1").ID, " ")
	wantKind(t, "without a reason", err, ward.Invalid)
	o := w.request("d1")
	at := w.Now()
	if o, err = w.Cancel(w.as("cyd", ward.RoleAdmin), o.ID, "found"); err != nil {
		t.Fatal(err)
	}
	want := order.Closing{Person: "cyd", Name: "Name of cyd", At: at, Reason: "found"}
	if diff := cmp.Diff(want, o.Closing); diff != "" || o.State != order.Cancelled {
		t.Errorf("by an administrator: state %s, closing mismatch (-want +got)\n%s", o.State, diff)
	}
	_, err = w.sign("ben", o)
	wantKind(t, "signing a cancelled order", err, ward.Conflict)

	o = w.approve(w.request("d1"))
	if o, err = w.Cancel(ward.WithActor(t.Context(), ward.Actor{Name: "Console", Via: ward.ViaConsole}), o.ID, "found"); err != nil {
		t.Fatal(err)
	}
	if got := o.Targets[0]; got.Outcome != order.TakenBack || got.Error != "found" || len(w.open(e)) != 0 {
		t.Errorf("taken back: %+v, %v is queued", got, w.open(e))
	}

	o = w.approve(w.request("d1"))
	if r, _ := w.take(e); r.Order != o.ID {
		t.Fatalf("delivered %+v", r)
	}
	_, err = w.Cancel(w.as("eve"), o.ID, "too late")
	wantKind(t, "after the delivery", err, ward.Conflict)
	if got := w.look(o.ID); got.State != order.Issued || got.Targets[0].Outcome != order.Delivered || got.Targets[0].Delivered.IsZero() {
		t.Errorf("after the delivery: %+v", got)
	}
}

// TestCancelHalf: of two devices one has fetched it: the other is spared, and the first is
// not given it again, but may answer.
func TestCancelHalf(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		e1, e2 := w.device("d1", ward.Corporate), w.device("d2", ward.Corporate)
		o := w.approve(w.request("d1", "d2"))
		r, _ := w.take(e1)
		o, err := w.Cancel(w.as("eve"), o.ID, "found")
		must(t, err)
		if o.State != order.Cancelled || o.Targets[0].Outcome != order.Delivered || o.Targets[1].Outcome != order.TakenBack {
			t.Errorf("%+v", o)
		}
		for range 2 {
			if got, forged := w.connect(e2); len(got)+len(forged) != 0 {
				t.Errorf("the spared device got %v, withheld %+v", got, forged)
			}
			if got, forged := w.connect(e1); len(got)+len(forged) != 0 {
				t.Errorf("the other was given it again: %v, withheld %+v", got, forged)
			}
		}
		w.answer(e1, r, command.Accepted)
		if got := w.outcome(o.ID); got.Outcome != order.Accepted {
			t.Errorf("its answer is lost: %+v", got)
		}
	})
}

func TestRefuseAndExpire(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	w.device("d1", ward.Corporate)
	o := w.request("d1")
	_, err := w.Refuse(w.as("eve"), o.ID, "mine")
	wantKind(t, "refusal of one's own", err, ward.Forbidden)
	_, err = w.sign("ben", o)
	must(t, err)
	if o, err = w.Refuse(w.as("cyd"), o.ID, "it is in the drawer"); err != nil || o.State != order.Refused || o.Closing.Reason != "it is in the drawer" {
		t.Errorf("Refuse = %+v, %v", o, err)
	}
	_, err = w.sign("cyd", o)
	wantKind(t, "signing a refused order", err, ward.Conflict)

	o = w.request("d1")
	_, err = w.sign("ben", o)
	must(t, err)
	w.pass(24*time.Hour - time.Microsecond)
	if n, err := w.Expire(t.Context()); n != 0 || err != nil {
		t.Errorf("Expire = %d, %v before its time", n, err)
	}
	w.pass(time.Microsecond)
	_, err = w.sign("cyd", o)
	wantKind(t, "signing an expired order", err, ward.Conflict)
	for _, want := range []int{1, 0} {
		if n, err := w.Expire(t.Context()); n != want || err != nil {
			t.Errorf("Expire = %d, %v, want %d", n, err, want)
		}
	}
	if o = w.look(o.ID); o.State != order.Expired {
		t.Errorf("after Expire: %s", o.State)
	}
}

func TestAnswered(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		e := w.device("d1", ward.Corporate)
		o := w.approve(w.request("d1"))
		r, _ := w.take(e)
		w.answer(e, r, command.Deferred)
		if got := w.outcome(o.ID); got.Outcome != order.Deferred {
			t.Errorf("not now: %+v", got)
		}
		must(t, w.db.Commands().Resume(t.Context(), e.ID))
		r, _ = w.take(e)
		at := w.Now()
		w.answer(e, r, command.Accepted)
		w.pass(time.Hour)
		for _, s := range []command.State{command.Refused, command.Delivered, command.Held} { // what is final stays
			must(t, w.Answered(t.Context(), o.ID, e.ID, s, w.Now(), ""))
		}
		got := w.outcome(o.ID)
		if got.Outcome != order.Accepted || !got.Answered.Equal(at) || got.Delivered.IsZero() {
			t.Errorf("target is %+v, want accepted at %s", got, at)
		}
		if n := w.audit.count(order.ActionAnswered); n != 1 {
			t.Errorf("%d answers are audited, want 1", n)
		}
		wantKind(t, "another enrolment", w.Answered(t.Context(), o.ID, "other", command.Accepted, at, ""), ward.NotFound)
		_, err := w.Cancel(w.as("eve"), o.ID, "too late")
		wantKind(t, "cancel after the answer", err, ward.Conflict)
	})
}

func TestCancelCase(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	w.SeenWithin = time.Hour
	e := w.device("d1", ward.Corporate)
	w.cases.report("c1", "d1")
	in := func(k order.Kind) order.Order {
		return w.ask(order.Request{Kind: k, Devices: []ward.DeviceID{"d1"}, Reason: "lost", Case: "c1"})
	}
	done := w.approve(in(order.ClearPasscode))
	w.connect(e)
	w.device("d2", ward.Corporate)
	asked, issued, other := in(order.Erase), w.approve(in(order.Erase)), w.request("d1", "d2")
	if unnamed := w.request("d1"); unnamed.Case != "c1" { // whoever asked did not know of the case
		t.Errorf("an order for a device that is missing belongs to the case %q, want c1", unnamed.Case)
	}
	if issued.State != order.Issued {
		t.Fatalf("%+v", issued)
	}
	must(t, w.db.Do(ward.WithActor(t.Context(), ward.System), func(ctx context.Context) error {
		n, err := w.Service.CancelCase(ctx, "c1", "found")
		if n != 3 {
			t.Errorf("CancelCase = %d, want 3", n)
		}
		return err
	}))
	for id, want := range map[ward.OrderID]order.State{done.ID: order.Issued, asked.ID: order.Cancelled, issued.ID: order.Cancelled, other.ID: order.Requested} {
		if got := w.look(id); got.State != want {
			t.Errorf("order %s is %s, want %s", id, got.State, want)
		}
	}
	if q := w.open(e); len(q) != 0 {
		t.Errorf("%v is queued", q)
	}
	_, err := w.Service.CancelCase(t.Context(), "", "found")
	wantKind(t, "no case", err, ward.Invalid)
}

// TestCancelAll: one button, and nothing destructive is left that no device holds.
func TestCancelAll(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		var es []ward.Enrolment
		for i := range 5 {
			es = append(es, w.device(ward.DeviceID(fmt.Sprint("d", i)), ward.Corporate))
		}
		requested, issued, half := w.request("d0"), w.approve(w.request("d1", "d2")), w.approve(w.request("d3"))
		w.take(es[3])
		r := erase("d4")
		r.Options.Campaign = &order.Campaign{Start: w.Now().Add(24 * time.Hour), PerHour: 5}
		campaign := w.approve(w.ask(r))
		for _, c := range []command.New{
			{Enrolment: es[4].ID, RequestType: "EraseDevice", Body: []byte("<string>EraseDevice</string>")}, // behind the engine's back
			{Enrolment: es[4].ID, RequestType: "RemoveProfile", Body: []byte("<string>RemoveProfile</string> management"), Case: "c1"},
			{Enrolment: es[4].ID, RequestType: "RemoveProfile", Body: []byte("<string>RemoveProfile</string> wifi")},
			{Enrolment: es[4].ID, RequestType: "DeviceLock", Body: []byte("<string>DeviceLock</string>")},
		} {
			_, err := w.db.Commands().Enqueue(t.Context(), c)
			must(t, err)
		}
		for name, ctx := range map[string]context.Context{"support": w.as("eve", ward.RoleSupport, ward.RoleApprover, ward.RoleGovern), "Ward": ward.WithActor(t.Context(), ward.System), "nobody": t.Context()} {
			_, err := w.CancelAll(ctx, "panic")
			wantKind(t, name, err, ward.Forbidden)
		}
		_, err := w.CancelAll(w.as("root", ward.RoleAdmin), "")
		wantKind(t, "no reason", err, ward.Invalid)

		got, err := w.CancelAll(w.token("root", ward.RoleAdmin), "an attack")
		if want := (order.CancelledAll{Orders: 3, Commands: 4, TooLate: 1}); err != nil || got != want {
			t.Errorf("CancelAll = %+v, %v, want %+v", got, err, want)
		}
		for id, want := range map[ward.OrderID]order.State{requested.ID: order.Cancelled, issued.ID: order.Cancelled, campaign.ID: order.Cancelled, half.ID: order.Issued} {
			if got := w.look(id); got.State != want {
				t.Errorf("order %s is %s, want %s", id, got.State, want)
			}
		}
		for _, x := range w.look(issued.ID).Targets {
			if x.Outcome != order.TakenBack || x.Error != "an attack" {
				t.Errorf("target %+v", x)
			}
		}
		for i, want := range [][]string{nil, nil, nil, {"EraseDevice delivered"}, {"RemoveProfile waiting", "DeviceLock waiting"}} {
			if q := w.open(es[i]); !slices.Equal(q, want) {
				t.Errorf("device %d has %v, want %v", i, q, want)
			}
		}
		if told := w.pager.about("orders.cancelled"); len(told) != 1 || !told[0].Everyone || w.audit.count(order.ActionCancelledAll) != 1 || w.audit.count(order.ActionCancelled) != 3 {
			t.Errorf("told %+v, audited %d and %d", told, w.audit.count(order.ActionCancelledAll), w.audit.count(order.ActionCancelled))
		}
		if got, err = w.CancelAll(ward.WithActor(t.Context(), ward.Actor{Via: ward.ViaConsole, Name: "Console"}), "again"); err != nil || got != (order.CancelledAll{TooLate: 1}) {
			t.Errorf("second CancelAll = %+v, %v", got, err)
		}
		w.pass(25 * time.Hour)
		if n, err := w.Advance(t.Context()); n != 0 || err != nil {
			t.Errorf("Advance = %d, %v", n, err)
		}
	})
}

// TestCancelMany: five thousand commands come off the queue at once.
func TestCancelMany(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	const n = 5000
	e := w.device("d", ward.Corporate)
	o := order.Order{ID: "many", Kind: order.Erase, Reason: "why", RequestedBy: "eve", State: order.Requested, Created: w.Now(), Expires: w.Now().Add(time.Hour)}
	for i := range n {
		o.Targets = append(o.Targets, order.Target{Device: ward.DeviceID(fmt.Sprintf("d%04d", i)), Enrolment: ward.EnrolmentID(fmt.Sprintf("e%04d", i))})
	}
	var err error
	o.Hash, err = o.Digest()
	must(t, err)
	must(t, w.db.Do(t.Context(), func(ctx context.Context) error {
		if err := w.db.Orders().Add(ctx, o); err != nil {
			return err
		}
		for _, x := range o.Targets {
			c := command.New{UUID: string(x.Device), Enrolment: e.ID, RequestType: "EraseDevice", Body: []byte(eraseBody), Order: o.ID, NoPush: true}
			if _, err := w.db.Commands().Enqueue(ctx, c); err != nil {
				return err
			}
		}
		return nil
	}))
	w.sql(`UPDATE orders SET state = 'issued'`)
	w.sql(`UPDATE command SET enrolment_id = 'e' || substr(uuid, 2)`)
	w.sql(`UPDATE order_target SET outcome = 'waiting', command = device_id`)
	begun := time.Now()
	got, err := w.CancelAll(w.as("root", ward.RoleAdmin), "stop")
	took := time.Since(begun)
	if want := (order.CancelledAll{Orders: 1, Commands: n}); err != nil || got != want {
		t.Errorf("CancelAll = %+v, %v, want %+v", got, err, want)
	}
	for _, x := range w.look(o.ID).Targets {
		if x.Outcome != order.TakenBack {
			t.Fatalf("%+v", x)
		}
	}
	t.Logf("it took %s", took)
	if took > 5*time.Second {
		t.Errorf("CancelAll took %s", took)
	}
}
