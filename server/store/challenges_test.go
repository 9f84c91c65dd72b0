package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/micromdm/nanomdm/mdm"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/credential"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// managed makes a device with an active enrolment.
func managed(t *testing.T, db *store.DB, id ward.DeviceID, udid string) ward.Enrolment {
	t.Helper()
	d := ward.Device{ID: id, Platform: ward.IOS, Ownership: ward.Corporate, State: ward.Managed, Created: certTime}
	if err := db.Fleet().InsertDevice(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	r := &mdm.Request{EnrollID: &mdm.EnrollID{Type: mdm.Device, ID: udid}}
	r = r.WithContext(fleet.WithAdmission(t.Context(), fleet.Admission{Device: id}))
	enrollment := mdm.Enrollment{UDID: udid}
	if err := db.MDM().StoreAuthenticate(r, &mdm.Authenticate{Enrollment: enrollment, Raw: []byte("a")}); err != nil {
		t.Fatal(err)
	}
	if err := db.MDM().StoreTokenUpdate(r, &mdm.TokenUpdate{Enrollment: enrollment, Push: mdm.Push{PushMagic: "m", Token: []byte{1}}, Raw: []byte("t")}); err != nil {
		t.Fatal(err)
	}
	e, err := db.Fleet().Latest(t.Context(), udid)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestNetworkChallengeRows: a challenge is kept by its hash until it is used up, expires,
// gives way or is made void, whichever is first.
func TestNetworkChallengeRows(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, s, e, end := t.Context(), db.Challenges(), managed(t, db, "d1", "U1"), certTime.Add(time.Hour)
		g := credential.ChallengeGrant{Purpose: credential.ForNetwork, Device: "d1", Enrolment: e.ID, Profile: "00ff"}
		keep := func(want ward.Kind, hashes ...string) {
			t.Helper()
			if err := s.Keep(ctx, hashes, g, certTime, end, 3); ward.KindOf(err) != want {
				t.Fatalf("Keep(%v) = %v, want kind %q", hashes, err, want)
			}
		}
		open := func(at time.Time, want ...string) {
			t.Helper()
			var found []string
			for _, h := range []string{"a", "b", "c", "d", "e", ""} {
				got, err := s.FindChallenge(ctx, h, at)
				switch {
				case err == nil && got == g:
					found = append(found, h)
				case ward.KindOf(err) != ward.Forbidden || got != credential.ChallengeGrant{}:
					t.Errorf("FindChallenge(%q) = %+v, %v; want nothing, Forbidden", h, got, err)
				}
			}
			if diff := cmp.Diff(want, found); diff != "" {
				t.Errorf("open challenges mismatch (-want +got)\n%s", diff)
			}
		}
		burn := func(want ward.Kind, hash string, at time.Time) {
			t.Helper()
			if err := s.BurnChallenge(ctx, hash, at); ward.KindOf(err) != want {
				t.Errorf("BurnChallenge(%s) = %v, want kind %q", hash, err, want)
			}
		}
		keep("", "a", "b", "c")
		keep(ward.Internal, "d", "b") // a hash that is there already: nothing is kept
		open(certTime, "a", "b", "c")
		open(end)
		keep("", "d")
		open(certTime, "b", "c", "d")
		burn("", "c", certTime)
		burn(ward.Forbidden, "c", certTime)
		burn(ward.Forbidden, "d", end)
		open(certTime, "b", "d")
		if err := s.Keep(ctx, []string{"e"}, g, end, end.Add(time.Hour), 3); err != nil {
			t.Fatal(err)
		}
		open(certTime, "e") // those that expired are gone
		void := func(device ward.DeviceID) {
			t.Helper()
			if err := db.AppTokens().Void(ctx, device); err != nil {
				t.Fatal(err)
			}
		}
		void("d2")
		open(certTime, "e")
		void("d1")
		open(certTime)
	})
}

// TestNetworkCredentials: planning sees a network certificate by the profile that
// brought it, beside those of apps.
func TestNetworkCredentials(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		network := func(serial, profile string, revoked time.Time) ca.Certificate {
			c := certificate(serial, ca.KindNetwork, "d1")
			c.App, c.RevokedAt = profile, revoked
			return c
		}
		identity := certificate("4", ca.KindDevice, "d1")
		identity.App = ""
		insert(t, db.Certificates(), network("1", "00ff", time.Time{}), network("2", "00ff", certTime), network("3", "11ee", certTime), identity, certificate("5", ca.KindApp, "d1"))
		got, err := db.AppTokens().Credentials(t.Context(), "e1")
		valid := reconcile.Credential{ValidUntil: certTime.Add(time.Hour), Life: time.Hour}
		again := valid
		again.Revoked = certTime
		want := map[string]reconcile.Credential{"00ff": again, "11ee": {Revoked: certTime}, "uk.example.chat": valid}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("Credentials: %v (-want +got)\n%s", err, diff)
		}
	})
}

// TestNetworkAndLoss: whichever of a device's requests for certificates and a report of
// its loss comes first, no certificate is left valid.
func TestNetworkAndLoss(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, e := t.Context(), managed(t, db, "d1", "U1")
		const n = 12
		hashes := make([]string, n)
		for i := range hashes {
			hashes[i] = fmt.Sprint("h", i)
		}
		g := credential.ChallengeGrant{Purpose: credential.ForNetwork, Device: e.Device, Enrolment: e.ID, Profile: "00ff"}
		if err := db.Challenges().Keep(ctx, hashes, g, certTime, certTime.Add(time.Hour), n); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i, h := range hashes {
			wg.Go(func() {
				err := db.Do(ctx, func(ctx context.Context) error {
					if err := db.Challenges().BurnChallenge(ctx, h, certTime); err != nil {
						return err
					}
					c := certificate(fmt.Sprint(i), ca.KindNetwork, e.Device)
					c.Enrolment = e.ID
					return db.Certificates().InsertCertificate(ctx, c)
				})
				if err != nil && ward.KindOf(err) != ward.Forbidden {
					t.Errorf("request %d = %v, want success or Forbidden", i, err)
				}
			})
			if i == n/2 {
				wg.Go(func() {
					err := db.Do(ctx, func(ctx context.Context) error {
						if err := db.AppTokens().Void(ctx, e.Device); err != nil {
							return err
						}
						_, err := db.Certificates().RevokeApps(ctx, e.Device, ca.Revocation{At: certTime, Reason: ca.KeyCompromise})
						return err
					})
					if err != nil {
						t.Errorf("report of loss: %v", err)
					}
				})
			}
		}
		wg.Wait()
		all, err := db.Certificates().CertificatesOfDevice(ctx, e.Device)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			if !c.Revoked() {
				t.Errorf("certificate %s is valid after the loss", c.Serial)
			}
		}
	})
}
