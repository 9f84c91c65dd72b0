package store_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

var approverTime = time.Date(2026, 11, 21, 12, 0, 0, 5000, time.UTC)

func newApprover(id string) approver.Approver {
	return approver.Approver{
		ID: id, Person: ward.PersonID("p-" + id), Subject: "staff " + id, Name: "Name of " + id, Outside: true,
		Key: approver.Key{ID: []byte("key " + id), Public: []byte("public " + id), Counter: 4_000_000_000}, At: approverTime, Hash: "hash " + id,
	}
}

func newVouch(by, hash string) approver.Assertion {
	return approver.Assertion{
		Approver: by, Purpose: approver.ForApprover, Hash: hash, Nonce: []byte{0, 1}, ClientData: []byte("{}"),
		AuthenticatorData: []byte{2}, Signature: []byte{3}, At: approverTime.Add(time.Second),
	}
}

// approverKind checks the kind of an error; the empty kind is none.
func approverKind(t *testing.T, what string, err error, want ward.Kind) {
	t.Helper()
	if got := ward.KindOf(err); got != want {
		t.Errorf("%s: error %v of kind %q, want %q", what, err, got, want)
	}
}

func TestApproverColumns(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, s := t.Context(), db.Approvers()
		if got, err := s.Approvers(ctx); err != nil || len(got) != 0 {
			t.Errorf("Approvers() of none = %v, %v", got, err)
		}
		one, two := newApprover("b"), newApprover("a")
		one.Ended, one.EndedBy = approverTime.Add(time.Hour), "ada"
		two.At = two.At.Add(time.Microsecond)
		two.Vouches = []approver.Assertion{newVouch("c", two.Hash)}
		for _, a := range []approver.Approver{two, one} {
			if err := s.AddApprover(ctx, a); err != nil {
				t.Fatal(err)
			}
		}
		late := newVouch("b", two.Hash)
		late.At = late.At.Add(time.Second)
		if err := s.AddVouch(ctx, two.ID, late); err != nil {
			t.Fatal(err)
		}
		two.Vouches = append(two.Vouches, late)
		got, err := s.Approvers(ctx)
		if diff := cmp.Diff([]approver.Approver{one, two}, got); err != nil || diff != "" {
			t.Errorf("Approvers(): %v, mismatch (-want +got):\n%s", err, diff)
		}
		single, err := s.Approver(ctx, two.ID)
		if diff := cmp.Diff(two, single); err != nil || diff != "" {
			t.Errorf("Approver(): %v, mismatch (-want +got):\n%s", err, diff)
		}
		_, err = s.Approver(ctx, "none")
		approverKind(t, "Approver(none)", err, ward.NotFound)
		approverKind(t, "a second word of one", s.AddVouch(ctx, two.ID, late), ward.Conflict)
		for name, change := range map[string]func(*approver.Approver){
			"id":         func(a *approver.Approver) { a.ID = "a" },
			"credential": func(a *approver.Approver) { a.Key.ID = two.Key.ID },
			"public key": func(a *approver.Approver) { a.Key.Public = two.Key.Public },
		} {
			a := newApprover("c")
			change(&a)
			approverKind(t, "known "+name, s.AddApprover(ctx, a), ward.Conflict)
		}
		for _, by := range []string{"bob", "eve"} { // the first end counts
			if err := s.EndApprover(ctx, "a", approverTime, by); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := s.Approver(ctx, "a"); err != nil || got.EndedBy != "bob" || !got.Ended.Equal(approverTime) {
			t.Errorf("after EndApprover(): %+v, %v", got, err)
		}
	})
}

func TestApproverNonces(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, s := t.Context(), db.Approvers()
		want := approver.Nonce{Hash: "h", Nonce: []byte{1, 0}, Person: "p", Purpose: approver.ForOrder, Of: "of", Expires: approverTime}
		if err := s.AddNonce(ctx, want); err != nil {
			t.Fatal(err)
		}
		boom := errors.New("no")
		err := db.Do(ctx, func(ctx context.Context) error {
			if _, err := s.TakeNonce(ctx, "h"); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Errorf("Do() = %v, want %v", err, boom)
		}
		if err := s.PurgeNonces(ctx, approverTime); err != nil { // it expires then, not before
			t.Fatal(err)
		}
		got, err := s.TakeNonce(ctx, "h")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("TakeNonce(): %v, mismatch (-want +got):\n%s", err, diff)
		}
		_, err = s.TakeNonce(ctx, "h")
		approverKind(t, "TakeNonce() again", err, ward.NotFound)
		if err := s.AddNonce(ctx, want); err != nil {
			t.Fatal(err)
		}
		if err := s.PurgeNonces(ctx, approverTime.Add(time.Microsecond)); err != nil {
			t.Fatal(err)
		}
		_, err = s.TakeNonce(ctx, "h")
		approverKind(t, "TakeNonce() of one that was purged", err, ward.NotFound)
		if err := s.AddNonce(ctx, want); err != nil {
			t.Fatal(err)
		}
		if won := race(t, 16, func(int) error {
			_, err := s.TakeNonce(ctx, "h")
			if ward.KindOf(err) == ward.NotFound {
				return ward.Errorf(ward.Forbidden, "Somebody was quicker.")
			}
			return err
		}); won != 1 {
			t.Errorf("16 at once: %d got it, want 1", won)
		}
	})
}

func TestApproverInvites(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, s := t.Context(), db.Approvers()
		first := approver.Invite{Hash: "h1", Person: "p", Subject: "s", Outside: true, By: "ada", Created: approverTime, Expires: approverTime.Add(time.Hour)}
		second := approver.Invite{Hash: "h2", Person: "p", Subject: "s2", By: "bob", Created: approverTime.Add(time.Minute), Expires: approverTime.Add(2 * time.Hour)}
		for _, i := range []approver.Invite{first, second} {
			if err := s.AddInvite(ctx, i); err != nil {
				t.Fatal(err)
			}
		}
		_, err := s.Invite(ctx, "h1")
		approverKind(t, "the older one", err, ward.NotFound)
		got, err := s.Invite(ctx, "h2")
		if diff := cmp.Diff(second, got); err != nil || diff != "" {
			t.Errorf("Invite(): %v, mismatch (-want +got):\n%s", err, diff)
		}
		other := approver.Invite{Hash: "h3", Person: "q", Created: second.Expires, Expires: second.Expires.Add(time.Hour)}
		if got, err = s.TakeInvite(ctx, "h2"); err != nil || !cmp.Equal(second, got) {
			t.Errorf("TakeInvite() = %+v, %v", got, err)
		}
		_, err = s.TakeInvite(ctx, "h2")
		approverKind(t, "TakeInvite() again", err, ward.NotFound)
		for _, i := range []approver.Invite{second, other} {
			if err := s.AddInvite(ctx, i); err != nil {
				t.Fatal(err)
			}
		}
		_, err = s.Invite(ctx, "h2")
		approverKind(t, "one that had expired when another was made", err, ward.NotFound)
	})
}

// TestApproversInADump: what stands in a backup is what stood in the database.
func TestApproversInADump(t *testing.T) {
	t.Parallel()
	want := newApprover("a")
	want.Vouches = []approver.Assertion{newVouch("b", want.Hash)}
	from := storetest.SQLite(t)
	if err := from.Approvers().AddApprover(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	var dump bytes.Buffer
	if err := from.Dump(t.Context(), &dump); err != nil {
		t.Fatal(err)
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		if err := db.Load(t.Context(), bytes.NewReader(dump.Bytes())); err != nil {
			t.Fatal(err)
		}
		got, err := db.Approvers().Approver(t.Context(), "a")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("Approver(): %v, mismatch (-want +got):\n%s", err, diff)
		}
	})
}

// TestApproversAreHeld: while one unit of work holds the approvers, another waits.
func TestApproversAreHeld(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := db.Approvers()
		held, may, done := make(chan struct{}), make(chan struct{}), make(chan error, 2)
		var order []string
		go func() {
			done <- db.Do(t.Context(), func(ctx context.Context) error {
				if err := s.HoldApprovers(ctx); err != nil {
					return err
				}
				close(held)
				<-may
				order = append(order, "first")
				return nil
			})
		}()
		<-held
		go func() {
			close(may)
			done <- db.Do(t.Context(), func(ctx context.Context) error {
				if err := s.HoldApprovers(ctx); err != nil {
					return err
				}
				order = append(order, "second")
				return nil
			})
		}()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if diff := cmp.Diff([]string{"first", "second"}, order); diff != "" {
			t.Errorf("order mismatch (-want +got):\n%s", diff)
		}
	})
}
