package order_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/order"
)

// TestBrake: past the window commands hold that two people approved, until two others
// than both of those release them.
func TestBrake(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		var es []ward.Enrolment
		var orders []order.Order
		for i := range 5 {
			d := ward.DeviceID(fmt.Sprint("d", i))
			es = append(es, w.device(d, ward.Corporate))
			orders = append(orders, w.approve(w.request(d)))
		}
		for i, e := range es {
			if got, forged := w.connect(e); (len(got) == 1) != (i < 3) || len(forged) != 0 {
				t.Errorf("device %d got %v, withheld %+v", i, got, forged)
			}
		}
		o := w.look(orders[3].ID)
		if o.Targets[0].Outcome != order.Held || !strings.Contains(o.Why, "brake") || o.State != order.Issued {
			t.Errorf("held: %+v", o)
		}
		late := w.device("d5", ward.Corporate)
		if o := w.approve(w.request("d5")); o.State != order.Issued || len(w.open(late)) != 1 {
			t.Errorf("an order while the brake holds is queued: %+v", o)
		}
		w.pass(48 * time.Hour) // time releases nothing
		if got, _ := w.connect(es[3]); len(got) != 0 {
			t.Errorf("after two days it got %v", got)
		}
		if o, err := w.Cancel(w.as("eve"), orders[4].ID, "found"); err != nil || o.Targets[0].Outcome != order.TakenBack {
			t.Errorf("what is held can be taken back: %+v, %v", o, err)
		}

		release := w.ask(order.Request{Kind: order.ReleaseBrake, Reason: "it was us", Options: order.Options{Brake: &order.Brake{Kind: brake.Erase}}})
		_, err := w.sign("ben", release)
		must(t, err)
		_, err = w.sign("cyd", release)
		wantKind(t, "release by the two who were involved", err, ward.Forbidden)
		if got := w.look(release.ID); got.Needs() != 1 {
			t.Errorf("the signature was kept: %+v", got)
		}
		if release, err = w.sign("dan", release); err != nil || release.State != order.Issued {
			t.Fatalf("release by one who was not: %+v, %v", release, err)
		}
		if n, err := w.db.Commands().OweHeld(t.Context()); n != 1 || err != nil || len(w.pager.about("brake.released")) != 1 {
			t.Errorf("%d devices are held for, %v", n, err)
		}
		if got, forged := w.connect(es[3]); len(got) != 1 || len(forged) != 0 {
			t.Errorf("after the release it got %v, withheld %+v", got, forged)
		}
		if got, _ := w.connect(es[4]); len(got) != 0 {
			t.Errorf("what was cancelled while held was delivered: %v", got)
		}
		_, err = w.Request(w.as("ada"), order.Request{Kind: order.ReleaseBrake, Reason: "again", Options: order.Options{Brake: &order.Brake{Kind: brake.Erase}}})
		wantKind(t, "a second release", err, ward.Conflict)
		_, err = w.Cancel(w.as("root", ward.RoleAdmin), release.ID, "no")
		wantKind(t, "cancel of what was done", err, ward.Conflict)
	})
}

// TestReleaseOvertaken: a release that another release overtook does nothing.
func TestReleaseOvertaken(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	for i := range 51 {
		_, err := w.brake.Take(t.Context(), brake.Entry{Event: brake.Used, Kind: brake.Lock, Person: fmt.Sprint("p", i)})
		must(t, err)
	}
	r := order.Request{Kind: order.ReleaseBrake, Reason: "why", Options: order.Options{Brake: &order.Brake{Kind: brake.Lock}}}
	first, second := w.ask(r), w.ask(r)
	w.approve(first)
	_, err := w.sign("ben", second)
	must(t, err)
	_, err = w.sign("cyd", second)
	wantKind(t, "the second", err, ward.Conflict)
}

func TestLift(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	o := w.approve(w.ask(order.Request{Kind: order.LiftBrake, Reason: "the move", Options: order.Options{Brake: &order.Brake{Kind: brake.Erase, Hours: 2}}}))
	if o.State != order.Approved || o.Due.IsZero() {
		t.Fatalf("%+v", o)
	}
	erases := func(from, to, want int) {
		t.Helper()
		n := 0
		for i := from; i < to; i++ {
			d := ward.DeviceID(fmt.Sprint("d", i))
			e := w.device(d, ward.Corporate)
			w.approve(w.request(d))
			got, _ := w.connect(e)
			n += len(got)
		}
		if n != want {
			t.Errorf("%d of devices %d to %d were erased, want %d", n, from, to, want)
		}
	}
	carry := func(want order.State) {
		t.Helper()
		_, err := w.Advance(t.Context())
		must(t, err)
		if got, err := w.Order(t.Context(), o.ID); got.State != want || err != nil {
			t.Errorf("the lift is %s, %v, want %s", got.State, err, want)
		}
	}
	carry(order.Approved) // two who collude gain nothing by it for a day
	w.pass(24*time.Hour - time.Minute)
	carry(order.Approved)
	w.pass(time.Minute)
	carry(order.Issued)
	erases(0, 5, 5)
	w.pass(2 * time.Hour)
	erases(5, 9, 3)
}

// TestLiftCancelled: a lift that somebody cancels within its day never comes, whatever the
// database says of its state.
func TestLiftCancelled(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	o := w.approve(w.ask(order.Request{Kind: order.LiftBrake, Reason: "the move", Options: order.Options{Brake: &order.Brake{Kind: brake.Erase, Hours: 2}}}))
	_, err := w.Cancel(w.as("root", ward.RoleAdmin), o.ID, "nobody told me")
	must(t, err)
	w.sql(`UPDATE orders SET state = 'approved', due_at = 1`)
	w.pass(25 * time.Hour)
	_, err = w.Advance(t.Context())
	must(t, err)
	ledger, err := w.brake.Ledger(t.Context())
	must(t, err)
	if until, lifted := ledger.Lifted(brake.Erase, w.Now()); lifted {
		t.Errorf("the brake is lifted until %s", until)
	}
}

func TestBreakGlass(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		e1, e2 := w.device("d1", ward.Corporate), w.device("d2", ward.Corporate)
		w.SeenWithin = time.Hour
		w.pass(2 * time.Hour)
		seal := func(o order.Order) []byte {
			sig, err := approver.SignGlass(w.glass[0], w.glass[1], o.Hash)
			must(t, err)
			return sig
		}
		night := w.as("eve", ward.RoleSupport)
		o, two := w.request("d1"), w.request("d1", "d2")
		removal := w.ask(order.Request{Kind: order.RemoveManagement, Devices: []ward.DeviceID{"d1"}, Reason: "why"})
		_, err := w.sign("ben", o) // nobody else answers
		must(t, err)
		_, err = w.BreakGlass(w.as("gil", ward.RoleAuditor), o.ID, o.Hash, seal(o))
		wantKind(t, "by who may not ask", err, ward.Forbidden)
		_, err = w.BreakGlass(ward.WithActor(t.Context(), ward.System), o.ID, o.Hash, seal(o))
		wantKind(t, "by Ward", err, ward.Forbidden)
		_, err = w.BreakGlass(night, two.ID, two.Hash, seal(two))
		wantKind(t, "two devices", err, ward.Conflict)
		_, err = w.BreakGlass(night, removal.ID, removal.Hash, seal(removal))
		wantKind(t, "a removal of management", err, ward.Conflict)
		_, err = w.BreakGlass(night, o.ID, o.Hash, seal(two))
		wantKind(t, "another order's signature", err, ward.Forbidden)
		_, err = w.BreakGlass(night, o.ID, two.Hash, seal(two))
		wantKind(t, "another order's hash", err, ward.Conflict)

		o, err = w.BreakGlass(night, o.ID, o.Hash, seal(o))
		if err != nil || o.State != order.Issued || !o.Approvals[1].Glass || o.Approvals[1].Name != "Name of eve" {
			t.Fatalf("%+v, %v", o, err)
		}
		if told := w.pager.about("break-glass"); len(told) != 1 || !told[0].Everyone || !told[0].Urgent {
			t.Errorf("told %+v", told)
		}
		next := w.request("d2")
		_, err = w.BreakGlass(night, next.ID, next.Hash, seal(next))
		wantKind(t, "while the first is open", err, ward.Conflict)
		if got, forged := w.connect(e1); len(got) != 1 || len(forged) != 0 {
			t.Errorf("delivered %v, withheld %+v", got, forged)
		}
		_, err = w.BreakGlass(night, next.ID, next.Hash, seal(next))
		wantKind(t, "a moment after", err, ward.Conflict)
		w.pass(time.Hour)
		w.db.Seen(e2.ID, w.Now())
		next, err = w.BreakGlass(night, next.ID, next.Hash, seal(next))
		if err != nil || next.State != order.Approved {
			t.Fatalf("the sealed key waits like people do: %+v, %v", next, err)
		}
		w.pass(10 * time.Minute)
		if _, err := w.Advance(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, forged := w.connect(e2); len(got) != 1 || len(forged) != 0 {
			t.Errorf("delivered %v, withheld %+v", got, forged)
		}
	})
}

// TestCampaign: a campaign begins when it said, and never takes more devices in any hour
// than it said.
func TestCampaign(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		var ids []ward.DeviceID
		es := map[ward.DeviceID]ward.Enrolment{}
		for i := range 12 {
			id := ward.DeviceID(fmt.Sprintf("d%02d", i))
			ids, es[id] = append(ids, id), w.device(id, ward.Corporate)
		}
		r := erase(ids...)
		begins := w.Now().Add(25 * time.Hour)
		r.Options.Campaign = &order.Campaign{Start: begins, PerHour: 4}
		o := w.approve(w.ask(r))
		if o.State != order.Approved || !o.Due.Equal(begins) || len(w.pager.about("order.waiting")) != 2 {
			t.Fatalf("%+v, told %d times", o, len(w.pager.about("order.waiting")))
		}
		advance := func() {
			t.Helper()
			if _, err := w.Advance(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		waiting := func() (n int) {
			for _, x := range w.look(o.ID).Targets {
				if x.Outcome == order.Waiting || x.Outcome == order.Held {
					n++
				}
			}
			return n
		}
		w.pass(25*time.Hour - time.Second)
		if advance(); waiting() != 0 {
			t.Fatal("it began early")
		}
		w.pass(time.Second)
		if advance(); waiting() != 4 {
			t.Fatalf("%d are queued at the start, want 4", waiting())
		}
		var times []time.Time
		come := func(ids ...ward.DeviceID) {
			t.Helper()
			for _, id := range ids {
				got, forged := w.connect(es[id])
				if len(forged) != 0 {
					t.Fatalf("withheld %+v", forged)
				}
				for range got {
					times = append(times, w.Now())
				}
			}
		}
		come("d00", "d01", "d02") // d03 is in a drawer
		w.pass(2 * time.Minute)
		if advance(); waiting() != 1 {
			t.Errorf("%d wait, want none more within the hour", waiting())
		}
		w.pass(time.Hour)
		if advance(); waiting() != 5 {
			t.Errorf("%d wait, want 4 more after an hour", waiting())
		}
		come("d04", "d05", "d06", "d07", "d03")
		if got := w.look(o.ID); got.Targets[3].Outcome != order.Held || !strings.Contains(got.Why, "turn later") {
			t.Errorf("the fifth of an hour: %+v", got.Targets[3])
		}
		for range 4 {
			w.pass(time.Hour)
			advance()
			come(ids...)
		}
		if len(times) != len(ids) || !w.look(o.ID).Due.IsZero() {
			t.Errorf("%d devices were erased, want %d", len(times), len(ids))
		}
		for i := 4; i < len(times); i++ {
			if times[i].Sub(times[i-4]) < time.Hour {
				t.Errorf("five within an hour of %s", times[i-4])
			}
		}
		ledger, err := w.brake.Ledger(t.Context())
		must(t, err)
		if _, held := ledger.Held(brake.Erase); held {
			t.Error("a campaign fills the brake's windows")
		}
	})
}

// TestCampaignEnds: what a campaign did not reach in its time lapses.
func TestCampaignEnds(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	e1, e2 := w.device("d1", ward.Corporate), w.device("d2", ward.Corporate)
	r := erase("d1", "d2")
	r.Options.Campaign = &order.Campaign{Start: w.Now().Add(24 * time.Hour), PerHour: 1}
	o := w.approve(w.ask(r))
	w.pass(24 * time.Hour)
	_, err := w.Advance(t.Context())
	must(t, err)
	w.pass(30 * 24 * time.Hour)
	if _, err := w.Advance(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, _ := w.connect(e1); len(got) != 0 {
		t.Errorf("the first got %v after its time", got)
	}
	if got, _ := w.connect(e2); len(got) != 0 {
		t.Errorf("the second got %v", got)
	}
	for _, x := range w.look(o.ID).Targets {
		if x.Outcome != order.Lapsed || x.Answered.IsZero() {
			t.Errorf("target %+v", x)
		}
	}
	if n, err := w.Advance(t.Context()); n != 0 || err != nil {
		t.Errorf("Advance = %d, %v after the end", n, err)
	}
}
