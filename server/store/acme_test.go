package store_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

func TestACMEOrders(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, ctx := db.Certificates(), t.Context()
		now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
		o := ca.Order{
			ID: "o1", Challenge: "c1", Number: 1, Account: "a1", Identifier: "S1", Token: "t1", Status: ca.OrderPending,
			Attested: ca.Attested{Format: ca.FormatApple}, Created: now, Expires: now.Add(time.Minute),
		}
		if ok, err := s.InsertOrder(ctx, o); err != nil || !ok {
			t.Fatalf("InsertOrder = %v, %v", ok, err)
		}
		same := o
		same.ID = "o2"
		if ok, err := s.InsertOrder(ctx, same); err != nil || ok {
			t.Errorf("InsertOrder with the same number = %v, %v; want false", ok, err)
		}
		done := o
		done.Status, done.Key, done.Answered = ca.OrderReady, "k1", now.Add(time.Second)
		done.Attested = ca.Attested{Format: ca.FormatApple, Serial: "S1", UDID: "U1", OS: "26.1"}
		if ok, err := s.ChangeOrder(ctx, done, ca.OrderValid); err != nil || ok {
			t.Errorf("ChangeOrder from another status = %v, %v; want false", ok, err)
		}
		if ok, err := s.ChangeOrder(ctx, done, ca.OrderPending); err != nil || !ok {
			t.Errorf("ChangeOrder = %v, %v", ok, err)
		}
		done.Status, done.Certificate, done.Problem = ca.OrderValid, "123", "{}"
		if ok, err := s.ChangeOrder(ctx, done, ca.OrderReady); err != nil || !ok {
			t.Errorf("ChangeOrder = %v, %v", ok, err)
		}
		got, err := s.Order(ctx, "o1")
		if diff := cmp.Diff(done, got); err != nil || diff != "" {
			t.Errorf("Order: %v (-want +got)\n%s", err, diff)
		}
		if _, err := s.Order(ctx, "o2"); ward.KindOf(err) != ward.NotFound {
			t.Errorf("Order of nothing = %v, want kind not found", err)
		}
		same.Number, same.Created = 2, now.Add(time.Hour)
		if ok, err := s.InsertOrder(ctx, same); err != nil || !ok {
			t.Fatalf("InsertOrder = %v, %v", ok, err)
		}
		if all, err := s.OrdersOf(ctx, "c1"); err != nil || len(all) != 2 || all[1].ID != "o2" {
			t.Errorf("OrdersOf = %+v, %v", all, err)
		}
		for bucket, key := range map[string]string{ca.NonceBucket: "n1", "token": "n1"} {
			if _, err := s.UseOnce(ctx, bucket, key, []byte{}, now); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := s.PurgeOrders(ctx, now.Add(time.Second), now.Add(time.Second)); err != nil || n != 2 {
			t.Errorf("PurgeOrders = %d, %v; want one order and one nonce", n, err)
		}
		if all, err := s.OrdersOf(ctx, "c1"); err != nil || len(all) != 1 || all[0].ID != "o2" {
			t.Errorf("OrdersOf after it = %+v, %v", all, err)
		}
		if fresh, err := s.UseOnce(ctx, "token", "n1", []byte{}, now); err != nil || fresh {
			t.Errorf("what is no nonce was purged (%v)", err)
		}
	})
}

// TestACMEOrdersTogether: of two units of work that give an order the same number at the
// same time, one waits for the other and sees it.
func TestACMEOrdersTogether(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		var made atomic.Int32
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				o := ca.Order{ID: string(rune('a' + i)), Challenge: "c1", Number: 1, Status: ca.OrderPending}
				ok, err := db.Certificates().InsertOrder(t.Context(), o)
				if err != nil {
					t.Error(err)
				}
				if ok {
					made.Add(1)
				}
			})
		}
		wg.Wait()
		if made.Load() != 1 {
			t.Errorf("%d orders have the number 1", made.Load())
		}
	})
}
