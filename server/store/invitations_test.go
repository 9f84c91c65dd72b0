package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

var inviteTime = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// bareChallenge is a profile builder whose profile is its challenge.
type bareChallenge struct{}

func (bareChallenge) Profile(_ context.Context, _ enrollment.Invitation, t enrollment.Ticket) ([]byte, error) {
	return []byte(t.Challenge), nil
}

func newEnrollment(t *testing.T, db *store.DB) *enrollment.Service {
	t.Helper()
	var n atomic.Int64
	s, err := enrollment.New(enrollment.Options{
		Store: db.Invitations(), Unit: db, Devices: db.Fleet(), Profiles: bareChallenge{},
		NewDevice: func() ward.DeviceID { return ward.DeviceID(fmt.Sprintf("invited-%d", n.Add(1))) },
		Now:       func() time.Time { return inviteTime },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newInvitation(t *testing.T, s *enrollment.Service) enrollment.Invited {
	t.Helper()
	in, err := s.Create(t.Context(), enrollment.Request{Name: "Ada", Ownership: ward.Corporate})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// race runs f n times at once and returns how many succeeded; the others must have
// been forbidden.
func race(t *testing.T, n int, f func(i int) error) int {
	t.Helper()
	var (
		wg  sync.WaitGroup
		won atomic.Int64
		gun = make(chan struct{})
	)
	for i := range n {
		wg.Go(func() {
			<-gun
			switch err := f(i); ward.KindOf(err) {
			case "":
				won.Add(1)
			case ward.Forbidden:
			default:
				t.Errorf("call %d: %v, want success or forbidden", i, err)
			}
		})
	}
	close(gun)
	wg.Wait()
	return int(won.Load())
}

func TestInvitationColumns(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, s := t.Context(), db.Invitations()
		want := enrollment.Invitation{
			ID: "i1", Name: "Ada", Email: "ada@h.example", DeviceName: "Ada's iPhone", Platform: ward.IOS, Ownership: ward.Corporate,
			Group: "Ward 7", Site: "North", Role: "nurse", Supervised: true, Serial: "C39ABCDEFG", Identity: enrollment.Attested, Device: "d1", Created: inviteTime, CreatedBy: "Support", Expires: inviteTime.Add(time.Hour),
			Used: inviteTime.Add(time.Minute), UsedBy: "UDID", Revoked: inviteTime.Add(2 * time.Minute), Certificates: 2,
		}
		if err := s.InsertInvitation(ctx, want, "hash"); err != nil {
			t.Fatal(err)
		}
		for name, read := range map[string]func() (enrollment.Invitation, error){
			"by id":    func() (enrollment.Invitation, error) { return s.Invitation(ctx, "i1") },
			"by token": func() (enrollment.Invitation, error) { return s.InvitationByToken(ctx, "hash") },
		} {
			got, err := read()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: mismatch (-want +got):\n%s", name, diff)
			}
		}
		if err := s.InsertInvitation(ctx, want, "other"); ward.KindOf(err) != ward.Conflict {
			t.Errorf("InsertInvitation() again = %v, want a conflict", err)
		}
		if _, err := s.Invitation(ctx, "none"); ward.KindOf(err) != ward.NotFound {
			t.Errorf("Invitation(none) = %v, want not found", err)
		}
		if _, err := s.Challenge(ctx, "none"); ward.KindOf(err) != ward.NotFound {
			t.Errorf("Challenge(none) = %v, want not found", err)
		}
	})
}

func TestChallengeIsRedeemedOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newEnrollment(t, db)
		in := newInvitation(t, s)
		_, challenge, err := s.Open(t.Context(), in.Token, "")
		if err != nil {
			t.Fatal(err)
		}
		if won := race(t, 16, func(int) error {
			_, err := s.Redeem(t.Context(), string(challenge), "")
			return err
		}); won != 1 {
			t.Errorf("16 redeems at once: %d succeeded, want 1", won)
		}
		if got, err := s.Invitation(t.Context(), in.ID); err != nil || got.Certificates != 1 {
			t.Errorf("certificates = %d, %v; want 1", got.Certificates, err)
		}
	})
}

func TestInvitationIsUsedOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newEnrollment(t, db)
		in := newInvitation(t, s)
		if won := race(t, 16, func(i int) error {
			_, err := s.Use(t.Context(), in.ID, fmt.Sprintf("UDID-%d", i))
			return err
		}); won != 1 {
			t.Errorf("16 devices at once: %d were let in, want 1", won)
		}
	})
}

// TestOpenAtOnce: however a link is opened, one challenge can be redeemed in the end.
func TestOpenAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newEnrollment(t, db)
		in := newInvitation(t, s)
		challenges := make([]string, 16)
		if won := race(t, len(challenges), func(i int) error {
			_, c, err := s.Open(t.Context(), in.Token, "")
			challenges[i] = string(c)
			return err
		}); won != len(challenges) {
			t.Errorf("16 openings at once: %d succeeded, want all", won)
		}
		if won := race(t, len(challenges), func(i int) error {
			_, err := s.Redeem(t.Context(), challenges[i], "")
			return err
		}); won != 1 {
			t.Errorf("challenges that could be redeemed = %d, want 1", won)
		}
	})
}

// TestRedeemBelongsToItsUnit: a certificate that is not recorded spends no challenge.
func TestRedeemBelongsToItsUnit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := newEnrollment(t, db)
		in := newInvitation(t, s)
		_, challenge, err := s.Open(t.Context(), in.Token, "")
		if err != nil {
			t.Fatal(err)
		}
		boom := errors.New("not recorded")
		err = db.Do(t.Context(), func(ctx context.Context) error {
			if _, err := s.Redeem(ctx, string(challenge), ""); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatalf("Do() = %v, want %v", err, boom)
		}
		if got, err := s.Redeem(t.Context(), string(challenge), ""); err != nil || got.Certificates != 1 {
			t.Errorf("Redeem() afterwards = %d certificates, %v; want the first", got.Certificates, err)
		}
	})
}

// TestInvitationIsAttestedOnce: an invitation belongs to the first device that attests its
// serial number, and a challenge keeps which way it goes.
func TestInvitationIsAttestedOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, in := db.Invitations(), newInvitation(t, newEnrollment(t, db))
		if won := race(t, 16, func(i int) error {
			ok, err := s.AttestInvitation(t.Context(), in.ID, fmt.Sprintf("SERIAL%04d", i))
			if err == nil && !ok {
				return ward.Errorf(ward.Forbidden, "It is another's.")
			}
			return err
		}); won != 1 {
			t.Errorf("16 devices at once: %d have the invitation, want 1", won)
		}
		got, err := s.Invitation(t.Context(), in.ID)
		if err != nil || got.Serial == "" || got.Identity != enrollment.Attested {
			t.Errorf("Invitation() = %+v, %v; want it bound and attested", got, err)
		}
		if ok, err := s.AttestInvitation(t.Context(), in.ID, got.Serial); err != nil || !ok {
			t.Errorf("AttestInvitation() by the same device = %v, %v; want true", ok, err)
		}
		if ok, err := s.AttestInvitation(t.Context(), "none", "SERIAL0001"); err != nil || ok {
			t.Errorf("AttestInvitation(none) = %v, %v; want false", ok, err)
		}
		for _, c := range []enrollment.Challenge{
			{Hash: "h1", Invitation: in.ID, Identifier: "SERIAL0001", Created: inviteTime, Expires: inviteTime.Add(time.Hour)},
			{Hash: "h2", Invitation: in.ID, Created: inviteTime, Expires: inviteTime.Add(time.Hour)},
		} {
			if err := s.PutChallenge(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			kept, err := s.Challenge(t.Context(), c.Hash)
			if diff := cmp.Diff(c, kept); err != nil || diff != "" {
				t.Errorf("Challenge(): %v, mismatch (-want +got):\n%s", err, diff)
			}
		}
	})
}
