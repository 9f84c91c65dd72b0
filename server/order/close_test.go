package order_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

func TestCancel(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		e := w.device("d1", ward.Corporate)
		_, err := w.Cancel(w.as("cyd", ward.RoleSupport, ward.RoleApprover), w.request("d1").ID, "no")
		wantKind(t, "by somebody else", err, ward.Forbidden)
		_, err = w.Cancel(w.as("ada"), w.request("d1").ID, " ")
		wantKind(t, "without a reason", err, ward.Invalid)
		o := w.request("d1")
		if o, err = w.Cancel(w.as("cyd", ward.RoleAdmin), o.ID, "found"); err != nil {
			t.Fatal(err)
		}
		want := order.Closing{Person: "cyd", Name: "Name of cyd", At: start, Reason: "found"}
		if diff := cmp.Diff(want, o.Closing); diff != "" || o.State != order.Cancelled {
			t.Errorf("by an administrator: state %s, closing mismatch (-want +got)\n%s", o.State, diff)
		}
		_, err = w.Approve(w.as("ben"), o.ID, o.Hash)
		wantKind(t, "approval of a cancelled order", err, ward.Conflict)

		o = w.request("d1")
		approve(w, o)
		if o, err = w.Cancel(w.as("ada"), o.ID, "found"); err != nil {
			t.Fatal(err)
		}
		if got := o.Targets[0]; got.Outcome != order.TakenBack || got.Error != "found" || len(w.open(e)) != 0 {
			t.Errorf("taken back: %+v, %v is queued", got, w.open(e))
		}

		o = w.request("d1")
		approve(w, o)
		if _, _, _, err := db.Commands().Next(t.Context(), e.ID); err != nil {
			t.Fatal(err)
		}
		_, err = w.Cancel(w.as("ada"), o.ID, "too late")
		wantKind(t, "after the delivery", err, ward.Conflict)
		if got, err := w.Order(t.Context(), o.ID); err != nil || got.State != order.Issued || got.Targets[0].Outcome != order.Delivered || got.Targets[0].Delivered.IsZero() {
			t.Errorf("after the delivery: %+v, %v", got, err)
		}
	})
}

func approve(w *world, o order.Order) {
	w.t.Helper()
	if _, err := w.Approve(w.as("ben"), o.ID, o.Hash); err != nil {
		w.t.Fatal(err)
	}
}

func TestRefuseAndExpire(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.device("d1", ward.Corporate)
		o := w.request("d1")
		_, err := w.Refuse(w.as("ada"), o.ID, "mine")
		wantKind(t, "refusal of one's own", err, ward.Forbidden)
		if o, err = w.Refuse(w.as("ben"), o.ID, "it is in the drawer"); err != nil || o.State != order.Refused || o.Closing.Reason != "it is in the drawer" {
			t.Errorf("Refuse = %+v, %v", o, err)
		}
		_, err = w.Approve(w.as("cyd"), o.ID, o.Hash)
		wantKind(t, "approval of a refused order", err, ward.Conflict)

		o = w.request("d1")
		w.pass(24*time.Hour - time.Microsecond)
		if n, err := w.Expire(t.Context()); n != 0 || err != nil {
			t.Errorf("Expire = %d, %v before its time", n, err)
		}
		w.pass(time.Microsecond)
		_, err = w.Approve(w.as("ben"), o.ID, o.Hash)
		wantKind(t, "approval of an expired order", err, ward.Conflict)
		if n, err := w.Expire(t.Context()); n != 1 || err != nil {
			t.Errorf("Expire = %d, %v, want 1", n, err)
		}
		if n, err := w.Expire(t.Context()); n != 0 || err != nil {
			t.Errorf("second Expire = %d, %v, want 0", n, err)
		}
		if o, err = w.Order(t.Context(), o.ID); err != nil || o.State != order.Expired {
			t.Errorf("after Expire: %s, %v", o.State, err)
		}
	})
}

func TestAnswered(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		e := w.device("d1", ward.Corporate)
		o := w.request("d1")
		approve(w, o)
		r, _, _, err := db.Commands().Next(t.Context(), e.ID)
		if err != nil {
			t.Fatal(err)
		}
		answer := func(s command.State, at time.Time) {
			t.Helper()
			if err := w.Answered(t.Context(), o.ID, e.ID, s, at, ""); err != nil {
				t.Fatal(err)
			}
		}
		answer(command.Deferred, start)
		answer(command.Delivered, start)
		at := start.Add(time.Minute)
		err = db.Do(t.Context(), func(ctx context.Context) error { // as one request does
			if _, _, err := db.Commands().Report(ctx, e.ID, store.Answer{UUID: r.UUID, State: command.Accepted}); err != nil {
				return err
			}
			return w.Answered(ctx, o.ID, e.ID, command.Accepted, at, "")
		})
		if err != nil {
			t.Fatal(err)
		}
		answer(command.Refused, at.Add(time.Hour)) // what is final stays
		answer(command.Delivered, at.Add(time.Hour))
		got := w.outcome(o.ID)
		if got.Outcome != order.Accepted || !got.Answered.Equal(at) || got.Delivered.IsZero() {
			t.Errorf("target is %+v, want accepted at %s", got, at)
		}
		if n := w.audit.count(order.ActionAnswered); n != 1 {
			t.Errorf("%d answers are audited, want 1", n)
		}
		wantKind(t, "another enrolment", w.Answered(t.Context(), o.ID, "other", command.Accepted, at, ""), ward.NotFound)
		_, err = w.Cancel(w.as("ada"), o.ID, "too late")
		wantKind(t, "cancel after the answer", err, ward.Conflict)
	})
}
