package order_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

func TestTwoPersons(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		e := w.device("d1", ward.Corporate)
		o := w.request("d1")
		denied := []struct {
			name string
			ctx  context.Context
			hash string
			want ward.Kind
		}{
			{"nobody", t.Context(), o.Hash, ward.Forbidden},
			{"ward itself", ward.WithActor(t.Context(), ward.System), o.Hash, ward.Forbidden},
			{"the console under a person's name", ward.WithActor(t.Context(), ward.Actor{Person: "ben", Via: ward.ViaConsole}), o.Hash, ward.Forbidden},
			{"a device", ward.WithActor(t.Context(), ward.Actor{Device: "d1", Via: ward.ViaDevice}), o.Hash, ward.Forbidden},
			{"who asked", w.as("ada"), o.Hash, ward.Forbidden},
			{"who asked, by session", ward.WithActor(t.Context(), ward.Actor{Person: "ada", Via: ward.ViaSession, Roles: ward.Roles}), o.Hash, ward.Forbidden},
			{"another hash", w.as("ben"), strings.Repeat("0", 64), ward.Conflict},
			{"no hash", w.as("ben"), "", ward.Conflict},
		}
		for _, d := range denied {
			_, err := w.Approve(d.ctx, o.ID, d.hash)
			wantKind(t, d.name, err, d.want)
		}
		if got := w.audit.count(order.ActionDenied); got != len(denied) {
			t.Errorf("%d denied attempts are audited, want %d", got, len(denied))
		}
		if got := w.open(e); len(got) != 0 {
			t.Fatalf("before the approval %v is queued", got)
		}
		got, err := w.Approve(w.as("ben"), o.ID, o.Hash)
		if err != nil {
			t.Fatal(err)
		}
		o.State = order.Issued
		o.Targets[0].Outcome, o.Targets[0].Command = order.Waiting, got.Targets[0].Command
		o.Approvals = []order.Approval{{Order: o.ID, Hash: o.Hash, Person: "ben", Name: "Name of ben", Via: ward.ViaToken, Token: "token of ben", At: start}}
		if diff := cmp.Diff(o, got); diff != "" {
			t.Errorf("Approve mismatch (-want +got)\n%s", diff)
		}
		r, body, _, err := db.Commands().Next(t.Context(), e.ID)
		if err != nil {
			t.Fatal(err)
		}
		if r.RequestType != "EraseDevice" || r.Order != o.ID || r.By != "ada" || !r.Urgent || r.UUID != got.Targets[0].Command {
			t.Errorf("queued command is %+v", r)
		}
		if want := "erase {PreserveDataPlan:true DisallowProximitySetup:false}"; string(body) != want {
			t.Errorf("body is %q, want %q", body, want)
		}
		_, err = w.Approve(w.as("ben"), o.ID, o.Hash)
		wantKind(t, "a second approval", err, ward.Conflict)
		_, err = w.Approve(w.as("cyd"), o.ID, o.Hash)
		wantKind(t, "a third person", err, ward.Conflict)
		_, err = w.Approve(w.as("ben"), "none", o.Hash)
		wantKind(t, "an unknown order", err, ward.NotFound)
	})
}

// TestOneCommand: however many approve at once, by however many tokens, one person
// counts once and each device gets one command.
func TestOneCommand(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		e := w.device("d1", ward.Corporate)
		for name, people := range map[string][]ward.PersonID{"one person": {"ben"}, "two people": {"ben", "cyd"}, "with who asked": {"ben", "ada"}, "only who asked": {"ada"}} {
			o := w.request("d1")
			errs := make([]error, 16)
			var wg sync.WaitGroup
			for i := range errs {
				wg.Go(func() { _, errs[i] = w.Approve(w.as(people[i%len(people)]), o.ID, o.Hash) })
			}
			wg.Wait()
			want := 1
			if name == "only who asked" {
				want = 0
			}
			approved := 0
			for _, err := range errs {
				if err == nil {
					approved++
				} else if k := ward.KindOf(err); k != ward.Conflict && k != ward.Forbidden {
					t.Errorf("%s: Approve = %v", name, err)
				}
			}
			got, err := w.Order(t.Context(), o.ID)
			if err != nil {
				t.Fatal(err)
			}
			queued, err := db.Commands().CancelOpen(t.Context(), e.ID, "next case", nil)
			if err != nil {
				t.Fatal(err)
			}
			if approved != want || len(got.Approvals) != want || queued != want {
				t.Errorf("%s: %d approved, %d approvals kept, %d commands queued, want %d of each", name, approved, len(got.Approvals), queued, want)
			}
		}
	})
}

// TestDecidedAtOnce: of an approval, a refusal and a cancellation at the same time
// the record says what truly happened.
func TestDecidedAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		for i := range 10 {
			id := ward.DeviceID(fmt.Sprint("d", i))
			e := w.device(id, ward.Corporate)
			o := w.request(id)
			var approve, refuse, cancel error
			var wg sync.WaitGroup
			wg.Go(func() { _, approve = w.Approve(w.as("ben"), o.ID, o.Hash) })
			wg.Go(func() { _, refuse = w.Refuse(w.as("cyd"), o.ID, "no need") })
			wg.Go(func() { _, cancel = w.Cancel(w.as("ada"), o.ID, "found it") })
			wg.Wait()
			got, err := w.Order(t.Context(), o.ID)
			if err != nil {
				t.Fatal(err)
			}
			queued := len(w.open(e))
			switch got.State {
			case order.Issued:
				t.Errorf("an order that was cancelled or refused stayed issued: %v, %v", refuse, cancel)
			case order.Refused:
				if approve == nil || cancel == nil || refuse != nil || queued != 0 {
					t.Errorf("refused, but %v, %v, %v and %d commands", approve, refuse, cancel, queued)
				}
			case order.Cancelled:
				if cancel != nil || refuse == nil || queued != 0 {
					t.Errorf("cancelled, but %v, %v and %d commands", refuse, cancel, queued)
				}
			default:
				t.Errorf("state is %s", got.State)
			}
		}
	})
}

func TestPersonalDevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	e := w.device("mine", ward.Personal)
	w.device("work", ward.Corporate)
	for _, k := range []order.Kind{order.Erase, order.ClearPasscode} {
		_, err := w.Request(w.as("ada"), order.Request{Kind: k, Devices: []ward.DeviceID{"work", "mine"}, Reason: "lost"})
		wantKind(t, string(k), err, ward.Forbidden)
	}
	setOwnership := func(id ward.DeviceID, o ward.Ownership) {
		d, err := w.db.Fleet().Device(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		d.Ownership = o
		if err := w.db.Fleet().UpdateDevice(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	setOwnership("mine", ward.Corporate) // its enrolment never gave the right
	_, err := w.Request(w.as("ada"), erase("mine"))
	wantKind(t, "a personal device called corporate", err, ward.Forbidden)

	o := w.request("work")
	setOwnership("work", ward.Personal)
	got, err := w.Approve(w.as("ben"), o.ID, o.Hash)
	if err != nil {
		t.Fatal(err)
	}
	if out := got.Targets[0]; out.Outcome != order.Superseded || !strings.Contains(out.Error, "personal") {
		t.Errorf("a device that became personal before the approval: %+v", out)
	}
	if q := w.open(e); len(q) != 0 {
		t.Errorf("%v is queued for a personal device", q)
	}
}

func TestRequestIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	var eleven []ward.DeviceID
	for i := range 11 {
		id := ward.DeviceID(fmt.Sprintf("d%02d", i))
		w.device(id, ward.Corporate)
		eleven = append(eleven, id)
	}
	gone := w.device("gone", ward.Corporate)
	if err := w.db.Fleet().EndEnrolment(t.Context(), gone.ID, "checked out"); err != nil {
		t.Fatal(err)
	}
	with := func(f func(*order.Request)) order.Request { r := erase("d00"); f(&r); return r }
	tests := []struct {
		name string
		r    order.Request
		want ward.Kind
		says string
	}{
		{"no reason", with(func(r *order.Request) { r.Reason = " \n" }), ward.Invalid, "reason"},
		{"a long reason", with(func(r *order.Request) { r.Reason = strings.Repeat("x", 3000) }), ward.Invalid, "too long"},
		{"no device", erase(), ward.Invalid, "at least one device"},
		{"a device twice", erase("d01", "d00", "d01"), ward.Invalid, "d01 is named twice"},
		{"no kind", with(func(r *order.Request) { r.Kind = "" }), ward.Invalid, "kind"},
		{"an option that does nothing", with(func(r *order.Request) { r.Kind = order.ClearPasscode }), ward.Invalid, "no options"},
		{"an unknown device", erase("d00", "nobody"), ward.NotFound, "nobody"},
		{"a device that left", erase("gone"), ward.Conflict, "not enrolled"},
		{"an unknown case", with(func(r *order.Request) { r.Case = "c9" }), ward.NotFound, "c9"},
		{"too many devices", erase(eleven...), ward.Conflict, "brake"},
	}
	for _, tt := range tests {
		_, err := w.Request(w.as("ada"), tt.r)
		wantKind(t, tt.name, err, tt.want)
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want a word of %q", tt.name, err, tt.says)
		}
	}
	if _, err := w.Request(w.as("ada"), erase(eleven[:10]...)); err != nil {
		t.Errorf("ten devices: %v", err)
	}
	if n := w.audit.count(order.ActionDenied); n != 2 {
		t.Errorf("%d attempts are audited as denied, want the device that left and the brake", n)
	}
	if os, err := w.List(t.Context(), order.Filter{}); err != nil || len(os) != 1 {
		t.Errorf("%d orders are kept (%v), want 1", len(os), err)
	}
}

func TestEpoch(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.device("d1", ward.Corporate)
		before, after := w.request("d1"), w.request("d1")
		if _, err := w.Approve(w.as("ben"), before.ID, before.Hash); err != nil {
			t.Fatal(err)
		}
		e := w.enrol("d1", ward.RightsAll)
		if _, err := w.Approve(w.as("ben"), after.ID, after.Hash); err != nil {
			t.Fatal(err)
		}
		for id, why := range map[ward.OrderID]string{before.ID: "replaced by a new enrolment", after.ID: "the device has enrolled anew since"} {
			if got := w.outcome(id); got.Outcome != order.Superseded || got.Error != why || got.Answered.IsZero() {
				t.Errorf("target is %+v, want superseded: %s", got, why)
			}
		}
		if q := w.open(e); len(q) != 0 {
			t.Errorf("the new enrolment would be given %v", q)
		}
	})
}

// altered is a store in which somebody swapped the device of every order.
type altered struct{ order.Store }

func (a altered) Order(ctx context.Context, id ward.OrderID) (order.Order, error) {
	o, err := a.Store.Order(ctx, id)
	if err == nil {
		o.Targets[0].Device, o.Targets[0].Enrolment = "chief", "chief's enrolment"
	}
	return o, err
}

// TestAltered: an order that is no longer what was asked for can't be approved, even
// by who was shown its old hash.
func TestAltered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	e := w.device("d1", ward.Corporate)
	o := w.request("d1")
	w.Store = altered{w.Store}
	_, err := w.Approve(w.as("ben"), o.ID, o.Hash)
	wantKind(t, "approval of an altered order", err, ward.Conflict)
	if q := w.open(e); len(q) != 0 || !strings.Contains(err.Error(), "altered") {
		t.Errorf("Approve = %v, %v is queued", err, q)
	}
}

// TestNoDeedWithoutItsRecord: what can't be audited does not happen.
func TestNoDeedWithoutItsRecord(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		e := w.device("d1", ward.Corporate)
		o := w.request("d1")
		w.audit.fail = order.ActionApproved
		if _, err := w.Approve(w.as("ben"), o.ID, o.Hash); err == nil {
			t.Error("an approval that can't be audited succeeded")
		}
		got, err := w.Order(t.Context(), o.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(o, got); diff != "" || len(w.open(e)) != 0 {
			t.Errorf("the order changed, %v is queued (-want +got)\n%s", w.open(e), diff)
		}
		w.audit.fail = order.ActionRequested
		if _, err := w.Request(w.as("ada"), erase("d1")); err == nil {
			t.Error("a request that can't be audited succeeded")
		}
		if all, err := w.List(t.Context(), order.Filter{}); err != nil || len(all) != 1 {
			t.Errorf("%d orders are kept (%v), want 1", len(all), err)
		}
	})
}

func TestList(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.device("d1", ward.Corporate)
		w.device("d2", ward.Corporate)
		var all []ward.OrderID
		for i := range 5 {
			all = append(all, w.request([]ward.DeviceID{"d1", "d2"}[i%2]).ID)
		}
		slices.Reverse(all)
		if _, err := w.Cancel(w.as("ada"), all[4], "done"); err != nil {
			t.Fatal(err)
		}
		tests := []struct {
			name string
			f    order.Filter
			want []ward.OrderID
		}{
			{"all", order.Filter{}, all},
			{"first page", order.Filter{Limit: 2}, all[:2]},
			{"next page", order.Filter{Limit: 2, After: all[1]}, all[2:4]},
			{"last page", order.Filter{Limit: 2, After: all[3]}, all[4:]},
			{"of a device", order.Filter{Device: "d2"}, []ward.OrderID{all[1], all[3]}},
			{"by state", order.Filter{State: order.Cancelled}, all[4:]},
			{"of a case", order.Filter{Case: "none"}, nil},
		}
		for _, tt := range tests {
			os, err := w.List(t.Context(), tt.f)
			if err != nil {
				t.Fatal(err)
			}
			var got []ward.OrderID
			for _, o := range os {
				got = append(got, o.ID)
				if len(o.Targets) != 1 {
					t.Errorf("%s: order %s has %d targets", tt.name, o.ID, len(o.Targets))
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s: List mismatch (-want +got)\n%s", tt.name, diff)
			}
		}
	})
}

func TestDigest(t *testing.T) {
	t.Parallel()
	o := order.Order{
		ID: "o1", Kind: order.Erase, Reason: `5 > 4 & "so"`, Case: "c1", RequestedBy: "ada", Options: order.Options{PreserveDataPlan: true},
		Targets: []order.Target{{Device: "d1", Enrolment: "e1", Name: "Ward 7"}},
	}
	sum := sha256.Sum256([]byte(`{"id":"o1","kind":"erase","targets":[{"device":"d1","enrolment":"e1","name":"Ward 7"}],"options":{"preserve_data_plan":true,"disallow_proximity_setup":false},"reason":"5 > 4 & \"so\"","case":"c1","requested_by":"ada"}`))
	want := hex.EncodeToString(sum[:])
	if got, err := o.Digest(); got != want || err != nil {
		t.Errorf("Digest = %s, %v, want %s", got, err, want)
	}
	o.State, o.Targets[0].Outcome = order.Issued, order.Waiting // what happens to an order is not part of it
	if got, _ := o.Digest(); got != want {
		t.Errorf("Digest changes with the state: %s", got)
	}
	for name, change := range map[string]func(*order.Order){
		"id": func(o *order.Order) { o.ID = "o2" }, "kind": func(o *order.Order) { o.Kind = order.ClearPasscode },
		"device": func(o *order.Order) { o.Targets = []order.Target{{Device: "d2", Enrolment: "e1", Name: "Ward 7"}} },
		"epoch":  func(o *order.Order) { o.Targets = []order.Target{{Device: "d1", Enrolment: "e2", Name: "Ward 7"}} },
		"option": func(o *order.Order) { o.Options.DisallowProximitySetup = true }, "reason": func(o *order.Order) { o.Reason = "" },
		"case": func(o *order.Order) { o.Case = "" }, "requester": func(o *order.Order) { o.RequestedBy = "ben" },
	} {
		c := o
		change(&c)
		if got, err := c.Digest(); got == want || err != nil {
			t.Errorf("Digest stays the same with another %s (%v)", name, err)
		}
	}
}
