package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

func sampleOrder(t *testing.T, id ward.OrderID) order.Order {
	t.Helper()
	at := time.Date(2026, 11, 3, 3, 0, 0, 1000, time.UTC)
	o := order.Order{
		ID: id, Kind: order.Erase, Options: order.Options{PreserveDataPlan: true}, Reason: "it’s gone", Case: "c1", RequestedBy: "ada", RequestedName: "Ada",
		State: order.Requested, Created: at, Expires: at.Add(time.Hour),
		Targets: []order.Target{{Device: "d1", Enrolment: "e1", Name: "one"}, {Device: "d2", Enrolment: "e2", Name: "two"}},
	}
	var err error
	if o.Hash, err = o.Digest(); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestOrderRows: an order comes back as it was kept, also its digest.
func TestOrderRows(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		want := sampleOrder(t, "o1")
		if err := db.Orders().Add(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		got, err := db.Orders().Order(t.Context(), "o1")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Order mismatch (-want +got)\n%s", diff)
		}
		if d, err := got.Digest(); d != want.Hash || err != nil {
			t.Errorf("digest after reading is %s, %v, want %s", d, err, want.Hash)
		}
		if err := db.Orders().Add(t.Context(), want); err == nil {
			t.Error("an order was kept twice")
		}
		if _, err := db.Orders().Order(t.Context(), "o2"); ward.KindOf(err) != ward.NotFound {
			t.Errorf("unknown order: %v, want NotFound", err)
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
		insert := func(hash, requester, person string) error {
			return db.Tamper(ctx, `INSERT INTO order_approval (order_id, hash, requested_by, person, name, via, token, at) VALUES ('o1', $1, $2, $3, '', '', '', 1)`, hash, requester, person)
		}
		for name, row := range map[string][3]string{
			"by who asked":                      {o.Hash, "ada", "ada"},
			"by who asked, under another asker": {o.Hash, "ben", "ada"},
			"by nobody":                         {o.Hash, "ada", ""},
			"for another hash":                  {"0000", "ada", "ben"},
		} {
			if err := insert(row[0], row[1], row[2]); err == nil {
				t.Errorf("an approval %s was kept", name)
			}
		}
		if err := insert(o.Hash, "ada", "ben"); err != nil {
			t.Fatal(err)
		}
		if err := insert(o.Hash, "ada", "ben"); err == nil {
			t.Error("a second approval by the same person was kept")
		}
		a := order.Approval{Order: "o1", Hash: o.Hash, Person: "cyd", At: o.Created}
		tests := []struct {
			name   string
			change func(*order.Approval)
			want   bool
		}{
			{"by who asked", func(a *order.Approval) { a.Person = "ada" }, false},
			{"another hash", func(a *order.Approval) { a.Hash = "0" }, false},
			{"too late", func(a *order.Approval) { a.At = o.Expires }, false},
			{"unknown order", func(a *order.Approval) { a.Order = "o2" }, false},
			{"in order", func(*order.Approval) {}, true},
			{"again", func(*order.Approval) {}, false},
		}
		for _, tt := range tests {
			b := a
			tt.change(&b)
			if ok, err := db.Orders().Issue(ctx, b); ok != tt.want || err != nil {
				t.Errorf("Issue %s = %v, %v, want %v", tt.name, ok, err, tt.want)
			}
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
