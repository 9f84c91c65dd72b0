package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

var noticed = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

func aDelivery(n int, channel, to string) notify.Delivery {
	return notify.Delivery{
		ID: fmt.Sprintf("ntf-%04d", n), Channel: channel, To: to, Made: noticed, Since: noticed, Due: noticed,
		Message: notify.Message{
			ID: fmt.Sprintf("msg-%04d", n), Topic: notify.BrakeHeld, Subject: "s", Body: "b", Link: "/brake", Order: "o", Case: "c", Device: "d", Urgent: n%2 == 0,
			Everyone: true, At: noticed.Add(-time.Minute),
		},
	}
}

func addDeliveries(t *testing.T, db *store.DB, all ...notify.Delivery) int {
	t.Helper()
	kept, err := db.Notifications().Add(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

// TestNotifications: a delivery is kept whole, once for each message and recipient, leased
// to one at a time, settled by whoever has it, and sent again when asked.
func TestNotifications(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, n := t.Context(), db.Notifications()
		mail := aDelivery(1, notify.Email, "ann@example.org")
		if kept := addDeliveries(t, db, mail, aDelivery(2, "webhook/chat", "chat")); kept != 2 {
			t.Errorf("Add() kept %d, want 2", kept)
		}
		again := mail
		again.ID = "ntf-0003"
		if kept := addDeliveries(t, db, again); kept != 0 {
			t.Errorf("the same message to the same recipient was kept again: %d", kept)
		}
		lease := func(at time.Time) []notify.Delivery {
			t.Helper()
			got, err := n.Lease(ctx, notify.Email, at, at.Add(time.Minute), 10)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		want := mail
		want.Leased, want.Attempts = noticed.Add(time.Minute), 1
		first := lease(noticed)
		if diff := cmp.Diff([]notify.Delivery{want}, first); diff != "" {
			t.Fatalf("Lease() mismatch (-want +got):\n%s", diff)
		}
		if got := lease(noticed.Add(30 * time.Second)); len(got) != 0 {
			t.Errorf("it was leased twice: %+v", got)
		}
		second := lease(noticed.Add(time.Minute))
		if len(second) != 1 || second[0].Attempts != 2 {
			t.Fatalf("after its lease ran out Lease() = %+v, want it again", second)
		}
		settle := func(d notify.Delivery) bool {
			t.Helper()
			mine, err := n.Settle(ctx, d)
			if err != nil {
				t.Fatal(err)
			}
			return mine
		}
		if settle(first[0]) {
			t.Error("it was settled by one whose lease had run out")
		}
		late := second[0]
		late.Due, late.Error = noticed.Add(time.Hour), "the relay is down"
		if !settle(late) {
			t.Error("it was not settled by the one who has it")
		}
		if got := lease(noticed.Add(59 * time.Minute)); len(got) != 0 {
			t.Errorf("it was leased before it was due: %+v", got)
		}
		third := lease(noticed.Add(time.Hour))
		if len(third) != 1 || third[0].Error != "the relay is down" {
			t.Fatalf("when due Lease() = %+v", third)
		}
		done := third[0]
		done.Delivered = noticed.Add(time.Hour)
		if !settle(done) || settle(done) {
			t.Error("what was delivered is to be settled once")
		}
		if err := n.Again(ctx, mail.ID, noticed.Add(2*time.Hour)); err != nil {
			t.Fatal(err)
		}
		got, err := n.Delivery(ctx, mail.ID)
		want = mail
		want.Since, want.Due = noticed.Add(2*time.Hour), noticed.Add(2*time.Hour)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("sent again, Delivery() = %v, mismatch (-want +got):\n%s", err, diff)
		}
		if _, err := n.Delivery(ctx, "ntf-none"); ward.KindOf(err) != ward.NotFound {
			t.Errorf("Delivery(none) = %v, want NotFound", err)
		}
	})
}

// TestNotificationsUrgentFirst: and what is not due, or on another channel, stays.
func TestNotificationsUrgentFirst(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		later := aDelivery(6, notify.Email, "x@example.org")
		later.Due = noticed.Add(time.Second)
		addDeliveries(t, db, aDelivery(1, notify.Email, "x@example.org"), aDelivery(2, notify.Email, "x@example.org"), aDelivery(3, notify.Email, "x@example.org"),
			aDelivery(4, notify.Email, "x@example.org"), aDelivery(5, "webhook/chat", "chat"), later)
		got, err := db.Notifications().Lease(t.Context(), notify.Email, noticed, noticed.Add(time.Minute), 3)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"ntf-0001", "ntf-0002", "ntf-0004"}, deliveryIDs(got)); diff != "" {
			t.Errorf("Lease() mismatch (-want +got):\n%s", diff)
		}
	})
}

func deliveryIDs(all []notify.Delivery) (out []string) {
	for _, d := range all {
		out = append(out, d.ID)
	}
	return out
}

// TestNotificationsTwoCopies: copies that share the work lease each row once.
func TestNotificationsTwoCopies(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const rows = 200
		var all []notify.Delivery
		for i := range rows {
			all = append(all, aDelivery(i, notify.Email, "x@example.org"))
		}
		addDeliveries(t, db, all...)
		var mu sync.Mutex
		var got []string
		var copies sync.WaitGroup
		for range 4 {
			copies.Go(func() {
				for {
					some, err := db.Notifications().Lease(t.Context(), notify.Email, noticed, noticed.Add(time.Minute), 3)
					if err != nil {
						t.Error(err)
						return
					}
					if len(some) == 0 {
						return
					}
					mu.Lock()
					got = append(got, deliveryIDs(some)...)
					mu.Unlock()
				}
			})
		}
		copies.Wait()
		slices.Sort(got)
		if once := slices.Compact(slices.Clone(got)); len(got) != rows || len(once) != rows {
			t.Errorf("%d leases of %d rows, want each of %d rows once", len(got), len(once), rows)
		}
	})
}

// TestNotificationsWithTheDeed: a deed that fails tells nobody.
func TestNotificationsWithTheDeed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		failed := errors.New("the deed failed")
		err := db.Do(t.Context(), func(ctx context.Context) error {
			if _, err := db.Notifications().Add(ctx, []notify.Delivery{aDelivery(1, notify.Email, "x@example.org")}); err != nil {
				return err
			}
			return failed
		})
		if !errors.Is(err, failed) {
			t.Fatal(err)
		}
		if got, err := db.Notifications().Log(t.Context(), "", 10); err != nil || len(got) != 0 {
			t.Errorf("after a deed that failed the log has %+v, %v; want nothing", got, err)
		}
	})
}

// TestNotificationsLog: pages, what is stale, and what is deleted when.
func TestNotificationsLog(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, n := t.Context(), db.Notifications()
		done, none := aDelivery(3, notify.Email, "x@example.org"), aDelivery(4, notify.None, "")
		done.Delivered, none.GivenUp, none.Error = noticed, noticed, "nobody"
		addDeliveries(t, db, aDelivery(1, notify.Email, "x@example.org"), aDelivery(2, "webhook/old", "old"), done, none)
		page := func(before string) []string {
			t.Helper()
			got, err := n.Log(ctx, before, 3)
			if err != nil {
				t.Fatal(err)
			}
			return deliveryIDs(got)
		}
		if diff := cmp.Diff([][]string{{"ntf-0004", "ntf-0003", "ntf-0002"}, {"ntf-0001"}, nil}, [][]string{page(""), page("ntf-0002"), page("ntf-0001")}); diff != "" {
			t.Errorf("pages mismatch (-want +got):\n%s", diff)
		}
		stale, err := n.Stale(ctx, noticed.Add(time.Hour), noticed.Add(time.Second), []string{notify.Email, "webhook/chat"}, 10)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"ntf-0002"}, deliveryIDs(stale)); diff != "" {
			t.Errorf("Stale() mismatch (-want +got):\n%s", diff)
		}
		if got, err := n.Stale(ctx, noticed.Add(time.Hour), noticed, nil, 10); err != nil || len(got) != 0 {
			t.Errorf("Stale() before there was anything = %v, %v", got, err)
		}
		if err := n.Purge(ctx, noticed); err != nil {
			t.Fatal(err)
		}
		if got := page(""); len(got) != 3 {
			t.Errorf("Purge() deleted what was made at the time given: %v are left", got)
		}
		if err := n.Purge(ctx, noticed.Add(time.Microsecond)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"ntf-0002", "ntf-0001"}, page("")); diff != "" {
			t.Errorf("what still waits is never deleted; left (-want +got):\n%s", diff)
		}
	})
}

// TestNotificationsEmails: everyone who may act and has an address.
func TestNotificationsEmails(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for i, p := range []access.Person{{Email: "zoe@example.org"}, {Email: "ann@example.org"}, {}, {Email: "gone@example.org", DisabledAt: noticed}, {Email: "ann@example.org"}} {
			p.ID, p.Name, p.Created = ward.PersonID(fmt.Sprint("p", i)), fmt.Sprint("P", i), noticed
			if err := db.Access().AddPerson(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		got, err := db.Notifications().Emails(t.Context())
		if diff := cmp.Diff([]string{"ann@example.org", "zoe@example.org"}, got); err != nil || diff != "" {
			t.Errorf("Emails() = %v, mismatch (-want +got):\n%s", err, diff)
		}
	})
}
