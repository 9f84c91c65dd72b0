package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

func sampleOrder(t *testing.T, id ward.OrderID) order.Order {
	t.Helper()
	at := time.Date(2026, 11, 3, 3, 0, 0, 1000, time.UTC)
	o := order.Order{
		ID: id, Kind: order.Erase, Options: order.Options{PreserveDataPlan: true, Campaign: &order.Campaign{Start: at.Add(time.Hour), PerHour: 3}},
		Reason: "it’s gone", Case: "c1", RequestedBy: "ada", RequestedName: "Ada",
		State: order.Requested, Created: at, Expires: at.Add(time.Hour),
		Targets: []order.Target{{Device: "d1", Enrolment: "e1", Name: "one"}, {Device: "d2", Enrolment: "e2", Name: "two"}},
	}
	var err error
	if o.Hash, err = o.Digest(); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestOrderRows: an order comes back as it was kept, also its digest and its signatures.
func TestOrderRows(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, want := t.Context(), sampleOrder(t, "o1")
		if err := db.Orders().Add(ctx, want); err != nil {
			t.Fatal(err)
		}
		for i, p := range []ward.PersonID{"ben", "cyd"} {
			a := order.Approval{
				Order: "o1", Hash: want.Hash, Person: p, Name: "B", Subject: string(p), Approver: "apr-" + string(p), At: want.Created.Add(time.Duration(i) * time.Second), Glass: i == 1,
				Assertion: approver.Assertion{Approver: "apr", Purpose: approver.ForOrder, Hash: want.Hash, Nonce: []byte{0, 1}, ClientData: []byte("{}"), AuthenticatorData: []byte{255}, Signature: []byte{2}, At: want.Created},
			}
			if err := db.Orders().AddApproval(ctx, a); err != nil {
				t.Fatal(err)
			}
			want.Approvals = append(want.Approvals, a)
		}
		for name, read := range map[string]func(context.Context, ward.OrderID) (order.Order, error){"Order": db.Orders().Order, "Lock": db.Orders().Lock} {
			got, err := read(ctx, "o1")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s mismatch (-want +got)\n%s", name, diff)
			}
			if d, err := got.Digest(); d != want.Hash || err != nil {
				t.Errorf("digest after reading is %s, %v, want %s", d, err, want.Hash)
			}
			if _, err := read(ctx, "o2"); ward.KindOf(err) != ward.NotFound {
				t.Errorf("%s of an unknown order: %v, want NotFound", name, err)
			}
		}
		if err := db.Orders().Add(ctx, want); err == nil {
			t.Error("an order was kept twice")
		}
	})
}

// TestApprovalGuards: the database itself refuses what the rules forbid, whatever
// program writes to it.
func TestApprovalGuards(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, o := t.Context(), sampleOrder(t, "o1")
		if err := db.Orders().Add(ctx, o); err != nil {
			t.Fatal(err)
		}
		add := func(hash string, p ward.PersonID, subject string) error {
			return db.Orders().AddApproval(ctx, order.Approval{Order: "o1", Hash: hash, Person: p, Subject: subject, At: o.Created})
		}
		if err := add("0000", "ben", "b"); err == nil {
			t.Error("an approval for another hash was kept")
		}
		if err := add(o.Hash, "", "b"); err == nil {
			t.Error("an approval by nobody was kept")
		}
		if err := add(o.Hash, "ada", "a"); err != nil {
			t.Errorf("who asked may sign: %v", err)
		}
		if err := add(o.Hash, "ada", "b"); ward.KindOf(err) != ward.Conflict {
			t.Errorf("a second approval by the same person: %v", err)
		}
		if err := add(o.Hash, "ada-2", "a"); ward.KindOf(err) != ward.Conflict {
			t.Errorf("an approval by the same person's other account: %v", err)
		}
	})
}

// TestOrderMoves: an order leaves a state only once, and is found while it is due.
func TestOrderMoves(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, o := t.Context(), sampleOrder(t, "o1")
		due := o.Created.Add(time.Minute)
		if err := db.Orders().Add(ctx, o); err != nil {
			t.Fatal(err)
		}
		ready := func(at time.Time, want int) {
			t.Helper()
			if ids, err := db.Orders().Ready(ctx, at, 10); len(ids) != want || err != nil {
				t.Errorf("Ready = %v, %v, want %d", ids, err, want)
			}
		}
		move := func(from, to order.State, due time.Time, want bool) {
			t.Helper()
			if ok, err := db.Orders().Move(ctx, "o1", from, to, due); ok != want || err != nil {
				t.Errorf("Move from %s to %s = %t, %v", from, to, ok, err)
			}
		}
		ready(due, 0)
		move(order.Requested, order.Approved, due, true)
		move(order.Requested, order.Issued, due, false)
		ready(due.Add(-time.Microsecond), 0)
		ready(due, 1)
		move(order.Approved, order.Issued, due, true)
		ready(due, 1) // a campaign that goes on
		if n, err := db.Orders().EndTargets(ctx, "o1", order.Lapsed, due, "over", ""); n != 2 || err != nil {
			t.Errorf("EndTargets = %d, %v", n, err)
		}
		if n, err := db.Orders().EndTargets(ctx, "o1", order.TakenBack, due, "again", ""); n != 0 || err != nil {
			t.Errorf("EndTargets of final outcomes = %d, %v", n, err)
		}
		if ok, err := db.Orders().Close(ctx, "o1", order.Issued, order.Cancelled, order.Closing{At: due}); !ok || err != nil {
			t.Errorf("Close = %t, %v", ok, err)
		}
		ready(due, 0)
		got, err := db.Orders().Order(ctx, "o1")
		if err != nil || !got.Due.IsZero() || got.Targets[1].Outcome != order.Lapsed || got.Targets[1].Error != "over" {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// TestAlteredOrder: a target that was swapped in the database changes the digest,
// by which the engine sees it.
func TestAlteredOrder(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t)
	o := sampleOrder(t, "o1")
	if err := db.Orders().Add(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if err := db.Tamper(t.Context(), `UPDATE order_target SET device_id = 'd9', enrolment_id = 'e9' WHERE device_id = 'd2'`); err != nil {
		t.Fatal(err)
	}
	got, err := db.Orders().Order(t.Context(), "o1")
	if err != nil {
		t.Fatal(err)
	}
	if d, err := got.Digest(); d == got.Hash || err != nil {
		t.Errorf("digest of the altered order is still %s (%v)", d, err)
	}
}

// TestNextAsksTheGuard: a guard sees the dangerous commands only, and what it says is done.
func TestNextAsksTheGuard(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		e := enrolled(t, db).enrolment().ID
		put := func(requestType, body string) string {
			t.Helper()
			id, err := db.Commands().Enqueue(ctx, command.New{Enrolment: e, RequestType: requestType, Body: []byte(body), NoPush: true})
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
		say := map[string]command.Verdict{}
		var asked []string
		var fail error
		db.SetGuard(func(_ context.Context, r command.Record, body []byte) (command.Verdict, error) {
			asked = append(asked, string(body))
			if r.State != command.Delivered || len(body) == 0 {
				t.Errorf("the guard was asked about %+v with %q", r, body)
			}
			return say[string(body)], fail
		})
		const lock = `<key>RequestType</key><string>DeviceLock</string>`
		put("DeviceLock", lock)
		say[lock] = command.Verdict{Do: command.Hold, Why: "wait"}
		put("DeviceInformation", "<string>DeviceInformation</string>")
		for _, hidden := range []string{"<string>Device&#73;nformation</string><string>DeviceInformation</string>", "bplist00", "<string>DeviceInformation</string><!-- -->", "<string>DeviceInformation</string><![CDATA[Erase]]>"} {
			put("DeviceInformation", hidden)
			say[hidden] = command.Verdict{Do: command.Withhold, Why: "no"}
		}
		next := func() (command.Record, string, []command.Record) {
			t.Helper()
			r, body, forged, err := db.Commands().Next(ctx, e)
			if err != nil {
				t.Fatal(err)
			}
			return r, string(body), forged
		}
		r, body, forged := next()
		if body != "<string>DeviceInformation</string>" || len(forged) != 0 || len(asked) != 1 {
			t.Errorf("Next = %+v, %q, %+v after asking about %q", r, body, forged, asked)
		}
		if _, _, err := db.Commands().Report(ctx, e, store.Answer{UUID: r.UUID, State: command.Accepted}); err != nil {
			t.Fatal(err)
		}
		if _, body, forged = next(); body != "" || len(forged) != 4 || len(asked) != 5 || forged[0].State != command.Withheld || forged[0].Error != "no" {
			t.Errorf("Next = %q, %+v after asking about %q", body, forged, asked)
		}
		open, err := db.Commands().Open(ctx, e)
		if err != nil || len(open) != 1 || open[0].State != command.Held || open[0].Error != "wait" || open[0].Deliveries != 0 || !open[0].Delivered.IsZero() {
			t.Fatalf("held: %+v, %v", open, err)
		}
		if n, err := db.Commands().OweHeld(ctx); n != 1 || err != nil {
			t.Errorf("OweHeld = %d, %v", n, err)
		}
		if _, body, _ = next(); body != "" || len(asked) != 5 {
			t.Errorf("in the same connection it is asked about again: %q", body)
		}
		resume := func() {
			t.Helper()
			if err := db.Commands().Resume(ctx, e); err != nil {
				t.Fatal(err)
			}
		}
		resume()
		fail = errors.New("no connection")
		if _, _, _, err := db.Commands().Next(ctx, e); !errors.Is(err, fail) {
			t.Errorf("Next = %v", err)
		}
		fail, say[lock] = nil, command.Verdict{Do: command.Deliver}
		if r, body, _ = next(); body != lock || r.Deliveries != 1 || r.Error != "" {
			t.Errorf("Next = %+v, %q", r, body)
		}
		say[lock] = command.Verdict{Do: command.Hold, Why: "wait again"} // it has it already, and may answer
		if _, body, _ = next(); body != "" {
			t.Errorf("Next = %q", body)
		}
		if r, err = db.Commands().Command(ctx, r.UUID, e); err != nil || r.State != command.Delivered || r.Deliveries != 1 || r.Delivered.IsZero() {
			t.Errorf("held after it was delivered: %+v, %v", r, err)
		}
		resume()
		say[lock] = command.Verdict{Do: "shrug"}
		if _, _, _, err := db.Commands().Next(ctx, e); err == nil {
			t.Error("a verdict that nobody knows was taken")
		}
	})
}

// TestCommandExpires: past its time a command is closed instead of handed out, and nobody
// can lengthen its time.
func TestCommandExpires(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, now := t.Context(), time.Now().UTC()
		e := enrolled(t, db).enrolment().ID
		put := func(expires time.Time, step string) string {
			t.Helper()
			id, err := db.Commands().Enqueue(ctx, command.New{Enrolment: e, RequestType: "DeviceInformation", Body: []byte("<string>DeviceInformation</string>"), Expires: expires, StepKey: step, NoPush: true})
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
		state := func(uuid string, want command.State) {
			t.Helper()
			if r, err := db.Commands().Command(ctx, uuid, e); err != nil || r.State != want {
				t.Errorf("%+v, %v, want it %s", r, err, want)
			}
		}
		past, later, never := put(now.Add(-time.Second), "step"), put(now.Add(time.Hour), ""), put(time.Time{}, "")
		r, body, forged, err := db.Commands().Next(ctx, e)
		if err != nil || len(forged) != 0 || body == nil || r.UUID != later || r.Expires.UnixMicro() != now.Add(time.Hour).UnixMicro() {
			t.Errorf("Next = %+v, %+v, %v", r, forged, err)
		}
		state(past, command.Expired)
		if a, err := db.Commands().Attempts(ctx, e); err != nil || len(a) != 1 || a[0].State != command.Expired {
			t.Errorf("attempt %+v, %v", a, err)
		}
		if closed, err := db.Commands().ExpireDue(ctx, now.Add(2*time.Hour), 10); err != nil || len(closed) != 0 {
			t.Errorf("a command that a device holds was closed: %+v, %v", closed, err)
		}
		second := put(now.Add(time.Hour), "step")
		if closed, err := db.Commands().ExpireDue(ctx, now.Add(time.Hour), 10); err != nil || len(closed) != 1 || closed[0].UUID != second || closed[0].State != command.Expired {
			t.Errorf("ExpireDue = %+v, %v", closed, err)
		}
		state(never, command.Waiting)
		if _, _, err := db.Commands().Report(ctx, e, store.Answer{UUID: later, State: command.Accepted}); err != nil {
			t.Fatal(err)
		}
		if err := db.Tamper(ctx, `UPDATE command SET expires_at = 0 WHERE uuid = $1`, put(now.Add(time.Millisecond), "")); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := db.Commands().Next(ctx, e); err != nil { // the one that never expires
			t.Fatal(err)
		}
		if _, _, err := db.Commands().Report(ctx, e, store.Answer{UUID: never, State: command.Accepted}); err != nil {
			t.Fatal(err)
		}
		if _, body, forged, err := db.Commands().Next(ctx, e); err != nil || body != nil || len(forged) != 1 {
			t.Errorf("Next = %q, %+v, %v; want the altered row withheld", body, forged, err)
		}
	})
}
