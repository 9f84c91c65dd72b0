package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestPushes: one push is owed for any number of commands, is leased to one copy at a
// time, and is owed again while commands wait.
func TestPushes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p := enrolled(t, db)
		e, err := db.Fleet().Latest(t.Context(), p.id)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Now().UTC().Add(time.Second)
		lease := func(at time.Time) []store.Owed {
			t.Helper()
			got, err := db.Outbox().Lease(t.Context(), at, time.Minute, 10)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		enqueue := func(uuid string, noPush bool) {
			t.Helper()
			if _, err := db.Commands().Enqueue(t.Context(), command.New{UUID: uuid, Enrolment: e.ID, RequestType: "ProfileList", Body: []byte("x"), NoPush: noPush}); err != nil {
				t.Fatal(err)
			}
		}
		enqueue("A", true)
		if got := lease(at); len(got) != 0 {
			t.Errorf("a command without a push owes %+v", got)
		}
		enqueue("B", false)
		enqueue("C", false)
		select {
		case <-db.PushesOwed():
		case <-time.After(10 * time.Second):
			t.Fatal("nobody was told that a push is owed")
		}
		got := lease(at)
		if len(got) != 1 || got[0].Enrolment != e.ID || got[0].Attempts != 1 || got[0].Token == "" || got[0].Magic == "" || got[0].Topic == "" {
			t.Fatalf("Lease() = %+v, want one push for two commands", got)
		}
		if got := lease(at.Add(30 * time.Second)); len(got) != 0 {
			t.Errorf("it was leased twice: %+v", got)
		}
		if got := lease(at.Add(2 * time.Minute)); len(got) != 1 || got[0].Attempts != 2 {
			t.Errorf("after its lease ran out Lease() = %+v, want it again", got)
		}
		if err := db.Outbox().Failed(t.Context(), e.ID, at.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if got := lease(at.Add(59 * time.Minute)); len(got) != 0 {
			t.Errorf("a failed push came back too early: %+v", got)
		}
		if got := lease(at.Add(time.Hour)); len(got) != 1 {
			t.Fatalf("a failed push came back as %+v, want it", got)
		}
		if err := db.Outbox().Sent(t.Context(), e.ID, at.Add(2*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if got := lease(at.Add(2 * time.Hour)); len(got) != 1 {
			t.Errorf("commands wait, and the next push is %+v, want one", got)
		}
		enqueue("D", false) // while the push is under way
		if err := db.Outbox().Sent(t.Context(), e.ID, at.Add(4*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if got := lease(at.Add(3 * time.Hour)); len(got) != 1 || got[0].Attempts != 1 {
			t.Errorf("a command that came during the push gets %+v, want a push of its own", got)
		}
		if _, err := db.Commands().CancelOpen(t.Context(), e.ID, "test", nil); err != nil {
			t.Fatal(err)
		}
		if err := db.Outbox().Sent(t.Context(), e.ID, at.Add(5*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if got := lease(at.Add(9 * time.Hour)); len(got) != 0 {
			t.Errorf("nothing waits, and a push is owed: %+v", got)
		}
		enqueue("E", false)
		if err := db.Outbox().Dead(t.Context(), e.ID, at); err != nil {
			t.Fatal(err)
		}
		enqueue("F", false)
		if got := lease(at.Add(9 * time.Hour)); len(got) != 0 {
			t.Errorf("a dead token is pushed to: %+v", got)
		}
		if err := p.tokenUpdate(); err != nil {
			t.Fatal(err)
		}
		enqueue("G", false)
		if got := lease(at.Add(9 * time.Hour)); len(got) != 1 {
			t.Errorf("a new token gets %+v, want a push", got)
		}
	})
}

// TestPushesTogether: however many copies lease at once, each push goes to one.
func TestPushesTogether(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const devices = 10
		for range devices {
			p := enrolled(t, db)
			e, err := db.Fleet().Latest(t.Context(), p.id)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Commands().Enqueue(t.Context(), command.New{Enrolment: e.ID, RequestType: "ProfileList", Body: []byte("x")}); err != nil {
				t.Fatal(err)
			}
		}
		at := time.Now().UTC().Add(time.Second)
		var wg sync.WaitGroup
		var mu sync.Mutex
		leased := map[ward.EnrolmentID]int{}
		for range 6 {
			wg.Go(func() {
				for range devices {
					got, err := db.Outbox().Lease(context.WithoutCancel(t.Context()), at, time.Minute, 3)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					for _, p := range got {
						leased[p.Enrolment]++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if len(leased) != devices {
			t.Errorf("%d pushes were leased, want %d", len(leased), devices)
		}
		for id, n := range leased {
			if n != 1 {
				t.Errorf("the push to %s was leased %d times", id, n)
			}
		}
	})
}
