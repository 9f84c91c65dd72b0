package order_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver/approvertest"
	"github.com/wardmdm/ward/server/order"
)

// TestTwoPeople: nothing is queued before two different people have signed, each with
// their own passkey.
func TestTwoPeople(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		e := w.device("d1", ward.Corporate)
		o := w.request("d1")
		if o.Needs() != 2 || !strings.Contains(o.Why, "two people") {
			t.Errorf("needs %d signatures, %q", o.Needs(), o.Why)
		}
		w.subjects["eve"] = "ben" // the account that asked is ben's second one
		_, err := w.sign("ben", o)
		wantKind(t, "who asked by another account", err, ward.Forbidden)
		delete(w.subjects, "eve")

		got, err := w.sign("ben", o)
		if err != nil || got.State != order.Requested || got.Needs() != 1 || len(got.Approvals) != 1 {
			t.Fatalf("after one signature %+v, %v", got, err)
		}
		if q := w.open(e); len(q) != 0 {
			t.Fatalf("after one signature %v is queued", q)
		}
		_, err = w.sign("ben", o)
		wantKind(t, "the same person again", err, ward.Conflict)
		_, err = w.sign("gil", o)
		wantKind(t, "no approver", err, ward.Forbidden)

		w.pass(time.Minute)
		at := w.Now()
		if got, err = w.sign("cyd", o); err != nil {
			t.Fatal(err)
		}
		o.State, o.Why = order.Issued, ""
		o.Targets[0].Outcome, o.Targets[0].Command, o.Targets[0].Issued = order.Waiting, got.Targets[0].Command, at
		for i, p := range []ward.PersonID{"ben", "cyd"} {
			a := w.people[p]
			o.Approvals = append(o.Approvals, order.Approval{Order: o.ID, Hash: o.Hash, Person: p, Name: "Name of " + string(p), Subject: string(p), Approver: a.ID, At: got.Approvals[i].At})
		}
		if diff := cmp.Diff(o, got, cmpopts.IgnoreFields(order.Approval{}, "Assertion")); diff != "" {
			t.Errorf("Approve mismatch (-want +got)\n%s", diff)
		}
		r, body, _, err := w.db.Commands().Next(t.Context(), e.ID)
		must(t, err)
		if r.RequestType != "EraseDevice" || r.Order != o.ID || r.By != "eve" || !r.Urgent || r.UUID != got.Targets[0].Command || !r.Expires.Equal(at.Add(30*24*time.Hour)) {
			t.Errorf("queued command is %+v", r)
		}
		if !strings.HasSuffix(string(body), "[true false]") {
			t.Errorf("body is %q", body)
		}
		_, err = w.sign("dan", o)
		wantKind(t, "a third person", err, ward.Conflict)
		_, err = w.sign("dan", order.Order{ID: "none"})
		wantKind(t, "an unknown order", err, ward.NotFound)
	})
}

// TestNoSignature: who can't sign, and what is no signature.
func TestNoSignature(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	e := w.device("d1", ward.Corporate)
	o, twin := w.request("d1"), w.request("d1")
	options, _, err := w.Begin(w.as("ben"), o.ID)
	must(t, err)
	good, err := w.people["ben"].Passkey.Sign(options)
	must(t, err)
	tests := []struct {
		name   string
		ctx    context.Context
		id     ward.OrderID
		hash   string
		answer []byte
		want   ward.Kind
		says   string
	}{
		{"nobody", t.Context(), o.ID, o.Hash, good, ward.Forbidden, "signed in"},
		{"ward itself", ward.WithActor(t.Context(), ward.System), o.ID, o.Hash, good, ward.Forbidden, "signed in"},
		{"the console under a person's name", ward.WithActor(t.Context(), ward.Actor{Person: "ben", Via: ward.ViaConsole}), o.ID, o.Hash, good, ward.Forbidden, "signed in"},
		{"a device", ward.WithActor(t.Context(), ward.Actor{Device: "d1", Via: ward.ViaDevice}), o.ID, o.Hash, good, ward.Forbidden, "signed in"},
		{"a token", w.token("ben", ward.Roles...), o.ID, o.Hash, good, ward.Forbidden, "passkey, in a browser"},
		{"an administrator who is no approver", w.as("gil", ward.Roles...), o.ID, o.Hash, good, ward.Forbidden, "not an approver"},
		{"another hash", w.as("ben"), o.ID, strings.Repeat("0", 64), good, ward.Conflict, "not the order that you were shown"},
		{"no hash", w.as("ben"), o.ID, "", good, ward.Conflict, "not the order"},
		{"another's answer", w.as("cyd"), o.ID, o.Hash, good, ward.Forbidden, ""},
		{"an answer for the twin", w.as("ben"), twin.ID, twin.Hash, good, ward.Forbidden, ""},
	}
	for _, tt := range tests {
		_, err := w.Approve(tt.ctx, tt.id, tt.hash, tt.answer)
		wantKind(t, tt.name, err, tt.want)
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want a word of %q", tt.name, err, tt.says)
		}
	}
	if got := w.audit.count(order.ActionDenied); got != len(tests) {
		t.Errorf("%d denied attempts are audited, want %d", got, len(tests))
	}
	for _, junk := range []string{"", "{}", "null"} {
		if _, err := w.Approve(w.as("dan"), o.ID, o.Hash, []byte(junk)); err == nil {
			t.Errorf("%q was a signature", junk)
		}
	}
	if got := w.look(o.ID); got.State != order.Requested || len(got.Approvals) != 0 || len(w.open(e)) != 0 {
		t.Errorf("after all that the order is %+v", got)
	}
}

// TestRequesterSigns: who asked may be one of the two, but not both.
func TestRequesterSigns(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	e := w.device("d1", ward.Corporate)
	o, err := w.Request(w.token("ada"), erase("d1"))
	must(t, err)
	if _, err = w.sign("ada", o); err != nil {
		t.Fatal(err)
	}
	_, err = w.sign("ada", o)
	wantKind(t, "twice", err, ward.Conflict)
	if o, err = w.sign("ben", o); err != nil || o.State != order.Issued || len(w.open(e)) != 1 {
		t.Errorf("%+v, %v", o, err)
	}
}

// TestSecondAccount: two approvers of one subject are one person.
func TestSecondAccount(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	w.device("d1", ward.Corporate)
	p, err := approvertest.Register(t.Context(), w.approvers, approvertest.Who{Person: "ben-2", Subject: "BEN "})
	if err == nil { // whether the approvers take a second account is their rule: it never counts here
		for _, by := range []ward.PersonID{"cyd", "dan"} {
			if _, err := w.people[by].VouchFor(t.Context(), w.approvers, p.Approver); err != nil {
				t.Logf("%s does not vouch: %v", by, err)
			}
		}
		w.people["ben-2"] = p
	}
	o := w.request("d1")
	_, err = w.sign("ben", o)
	must(t, err)
	if _, err := w.sign("ben-2", o); ward.KindOf(err) != ward.Forbidden && ward.KindOf(err) != ward.Conflict {
		t.Errorf("the second account: %v", err)
	}
	if got := w.look(o.ID); got.State != order.Requested || len(got.Approvals) != 1 {
		t.Errorf("%+v", got)
	}
}

// TestSignerEnded: whoever signed first and is no approver any more does not count.
func TestSignerEnded(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	e := w.device("d1", ward.Corporate)
	o := w.request("d1")
	_, err := w.sign("dan", o)
	must(t, err)
	must(t, w.approvers.End(ward.WithActor(t.Context(), ward.Actor{Person: "root", Name: "Root", Via: ward.ViaSession, Roles: []ward.Role{ward.RoleAdmin}}), w.people["dan"].ID, "left"))
	_, err = w.sign("ben", o)
	wantKind(t, "the second signature", err, ward.Conflict)
	if q := w.open(e); len(q) != 0 {
		t.Errorf("%v is queued", q)
	}
}

// TestOneCommand: however many sign at once, each device gets one command.
func TestOneCommand(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		e := w.device("d1", ward.Corporate)
		people := []ward.PersonID{"ada", "ben", "cyd", "dan"}
		o := w.request("d1")
		answers := make([][]byte, len(people))
		for i, p := range people {
			options, _, err := w.Begin(w.as(p), o.ID)
			must(t, err)
			answers[i], err = w.people[p].Passkey.Sign(options)
			must(t, err)
		}
		errs := make([]error, 2*len(people)) // each sends theirs twice
		var wg sync.WaitGroup
		for i := range errs {
			p := i % len(people)
			wg.Go(func() { _, errs[i] = w.Approve(w.as(people[p]), o.ID, o.Hash, answers[p]) })
		}
		wg.Wait()
		signed := 0
		for _, err := range errs {
			if err == nil {
				signed++
			} else if k := ward.KindOf(err); k != ward.Conflict && k != ward.Forbidden {
				t.Errorf("Approve = %v", err)
			}
		}
		if got := w.look(o.ID); signed != 2 || len(got.Approvals) != 2 || got.State != order.Issued || len(w.open(e)) != 1 {
			t.Errorf("%d signed, order %+v, queue %v", signed, got, w.open(e))
		}
	})
}

// TestDecidedAtOnce: of an approval, a refusal and a cancellation at the same time
// the record says what truly happened.
func TestDecidedAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		for i := range 6 {
			id := ward.DeviceID(fmt.Sprint("d", i))
			e := w.device(id, ward.Corporate)
			o := w.request(id)
			_, err := w.sign("dan", o)
			must(t, err)
			var approve, refuse, cancel error
			var wg sync.WaitGroup
			wg.Go(func() { _, approve = w.sign("ben", o) })
			wg.Go(func() { _, refuse = w.Refuse(w.as("cyd"), o.ID, "no need") })
			wg.Go(func() { _, cancel = w.Cancel(w.as("eve"), o.ID, "found it") })
			wg.Wait()
			got := w.look(o.ID)
			queued := len(w.open(e))
			switch got.State {
			case order.Refused:
				if approve == nil || cancel == nil || refuse != nil || queued != 0 {
					t.Errorf("refused, but %v, %v, %v and %d commands", approve, refuse, cancel, queued)
				}
			case order.Cancelled:
				if cancel != nil || refuse == nil || queued != 0 {
					t.Errorf("cancelled, but %v, %v and %d commands", refuse, cancel, queued)
				}
			default:
				t.Errorf("state is %s: %v, %v, %v", got.State, approve, refuse, cancel)
			}
		}
	})
}

func TestPersonalDevice(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	e := w.device("mine", ward.Personal)
	work := w.device("work", ward.Corporate)
	w.platform("mac", ward.Personal, ward.MacOS)
	for _, k := range []order.Kind{order.Erase, order.ClearPasscode} {
		_, err := w.Request(w.as("ada"), order.Request{Kind: k, Devices: []ward.DeviceID{"work", "mine"}, Reason: "lost"})
		wantKind(t, string(k), err, ward.Forbidden)
	}
	_, err := w.Request(w.as("ada"), order.Request{Kind: order.LockPIN, Devices: []ward.DeviceID{"mac"}, Reason: "lost"})
	wantKind(t, "lock with a PIN", err, ward.Forbidden)
	w.own("mine", ward.Corporate) // its enrolment never gave the right
	_, err = w.Request(w.as("ada"), erase("mine"))
	wantKind(t, "a personal device called corporate", err, ward.Forbidden)
	w.own("mine", ward.Personal)

	o := w.request("work")
	w.own("work", ward.Personal)
	if out := w.approve(o).Targets[0]; out.Outcome != order.Superseded || !strings.Contains(out.Error, "personal") {
		t.Errorf("a device that became personal before the approval: %+v", out)
	}
	w.own("work", ward.Corporate)
	o = w.approve(w.request("work"))
	w.own("work", ward.Personal)
	got, forged := w.connect(work)
	if len(got) != 0 || len(forged) != 1 || !strings.Contains(forged[0].Error, "personal") {
		t.Errorf("a device that became personal before the delivery got %v, withheld %+v", got, forged)
	}
	if out := w.outcome(o.ID); out.Outcome != order.Withheld {
		t.Errorf("%+v", out)
	}

	o = w.ask(order.Request{Kind: order.RemoveManagement, Devices: []ward.DeviceID{"mine"}, Reason: "leaves"})
	w.approve(o)
	if got, forged := w.connect(e); !slices.Equal(got, []string{"RemoveProfile"}) || len(forged) != 0 {
		t.Errorf("the removal of a personal device's management: %v, withheld %+v", got, forged)
	}
}

func TestEpoch(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	w.device("d1", ward.Corporate)
	before, after := w.request("d1"), w.request("d1")
	w.approve(before)
	e := w.enrol("d1", ward.RightsAll)
	w.approve(after)
	for id, why := range map[ward.OrderID]string{before.ID: "replaced by a new enrolment", after.ID: "the device has enrolled anew since"} {
		if got := w.outcome(id); got.Outcome != order.Superseded || got.Error != why || got.Answered.IsZero() {
			t.Errorf("target is %+v, want superseded: %s", got, why)
		}
	}
	if q := w.open(e); len(q) != 0 {
		t.Errorf("the new enrolment would be given %v", q)
	}
}

// altered is a store in which somebody swapped the device of every order.
type altered struct{ order.Store }

func swap(o order.Order, err error) (order.Order, error) {
	if err == nil {
		o.Targets[0].Device, o.Targets[0].Enrolment = "chief", "chief's enrolment"
	}
	return o, err
}

func (a altered) Order(ctx context.Context, id ward.OrderID) (order.Order, error) {
	return swap(a.Store.Order(ctx, id))
}

func (a altered) Lock(ctx context.Context, id ward.OrderID) (order.Order, error) {
	return swap(a.Store.Lock(ctx, id))
}

// TestAltered: an order that is no longer what was asked for can't be approved, even
// by who was shown its old hash, nor delivered.
func TestAltered(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	e := w.device("d1", ward.Corporate)
	o, issued := w.request("d1"), w.approve(w.request("d1"))
	w.Store = altered{w.Store}
	_, err := w.sign("ben", o)
	wantKind(t, "approval of an altered order", err, ward.Conflict)
	if err == nil || !strings.Contains(err.Error(), "altered") {
		t.Errorf("Approve = %v", err)
	}
	got, forged := w.connect(e)
	if len(got) != 0 || len(forged) != 1 || !strings.Contains(forged[0].Error, "altered") {
		t.Errorf("the altered order %s: delivered %v, withheld %+v", issued.ID, got, forged)
	}
}

// TestNoDeedWithoutItsRecord: what can't be audited does not happen.
func TestNoDeedWithoutItsRecord(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	e := w.device("d1", ward.Corporate)
	o := w.request("d1")
	o, err := w.sign("ben", o)
	must(t, err)
	for _, fail := range []string{order.ActionApproved, order.ActionIssued} {
		w.audit.fail = fail
		if _, err := w.sign("cyd", o); err == nil {
			t.Error("an approval that can't be audited succeeded")
		}
	}
	if diff := cmp.Diff(o, w.look(o.ID)); diff != "" || len(w.open(e)) != 0 {
		t.Errorf("the order changed, %v is queued (-want +got)\n%s", w.open(e), diff)
	}
	w.audit.fail = order.ActionRequested
	if _, err := w.Request(w.as("ada"), erase("d1")); err == nil {
		t.Error("a request that can't be audited succeeded")
	}
	if all, err := w.List(t.Context(), order.Filter{}); err != nil || len(all) != 1 {
		t.Errorf("%d orders are kept (%v), want 1", len(all), err)
	}
}

// TestCooling: an erase of a device in use waits, and people are told.
func TestCooling(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	w.SeenWithin = time.Hour
	e := w.device("d1", ward.Corporate)
	w.device("lost", ward.Corporate)
	w.cases.report("c1", "lost")
	if o := w.approve(w.ask(order.Request{Kind: order.Erase, Devices: []ward.DeviceID{"lost"}, Reason: "stolen", Case: "c1"})); o.State != order.Issued {
		t.Errorf("an erase in an open case waits: %+v", o)
	}
	if o := w.approve(w.ask(order.Request{Kind: order.ClearPasscode, Devices: []ward.DeviceID{"d1"}, Reason: "forgotten"})); o.State != order.Issued {
		t.Errorf("what is no erase waits: %+v", o)
	}
	o := w.approve(w.request("d1", "lost"))
	due := w.Now().Add(10 * time.Minute)
	if o.State != order.Approved || !o.Due.Equal(due) || !strings.Contains(o.Why, "in use") {
		t.Fatalf("approved: %+v, want it due at %s", o, due)
	}
	told := w.pager.about("order.cooling")
	if len(told) != 1 || !told[0].Urgent || !strings.Contains(told[0].Body, "Phone d1") || strings.Contains(told[0].Body, "Phone lost") {
		t.Errorf("told %+v", told)
	}
	w.pass(10*time.Minute - time.Microsecond)
	if n, err := w.Advance(t.Context()); n != 0 || err != nil || w.look(o.ID).State != order.Approved {
		t.Errorf("Advance = %d, %v before its time", n, err)
	}
	w.pass(time.Microsecond)
	if n, err := w.Advance(t.Context()); n != 1 || err != nil {
		t.Errorf("Advance = %d, %v", n, err)
	}
	if n, err := w.Advance(t.Context()); n != 0 || err != nil {
		t.Errorf("second Advance = %d, %v", n, err)
	}
	if got, forged := w.connect(e); !slices.Contains(got, "EraseDevice") || len(forged) != 0 {
		t.Errorf("delivered %v, withheld %+v", got, forged)
	}

	o = w.approve(w.request("d1"))
	if o, err := w.Cancel(w.as("root", ward.RoleAdmin), o.ID, "it is on my desk"); err != nil || o.State != order.Cancelled || !o.Due.IsZero() {
		t.Errorf("cancelled while it waits: %+v, %v", o, err)
	}
	w.pass(time.Hour)
	if n, err := w.Advance(t.Context()); n != 0 || err != nil {
		t.Errorf("Advance = %d, %v after it was cancelled", n, err)
	}
	if o := w.approve(w.request("d1")); o.State != order.Issued {
		t.Errorf("a device that was not seen for an hour: %+v", o)
	}
}

// TestDrill: a rehearsal does everything but queue commands.
func TestDrill(t *testing.T) {
	t.Parallel()
	w := sqlite(t)
	w.SeenWithin = time.Hour
	e := w.device("d1", ward.Corporate)
	r := erase("d1")
	r.Options.Drill = true
	o := w.approve(w.ask(r))
	if o.State != order.Issued || o.Targets[0].Outcome != order.Rehearsed || len(w.open(e)) != 0 {
		t.Errorf("%+v, queue %v", o, w.open(e))
	}
	ledger, err := w.brake.Ledger(t.Context())
	must(t, err)
	if ledger.Head() != 0 {
		t.Errorf("the journal has %d entries of a rehearsal", ledger.Head())
	}
	_, err = w.Cancel(w.as("eve"), o.ID, "over")
	wantKind(t, "cancel after a rehearsal", err, ward.Conflict)
}
