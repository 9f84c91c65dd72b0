package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

var certTime = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func certificate(serial string, kind ca.Kind, device ward.DeviceID) ca.Certificate {
	return ca.Certificate{
		Serial: serial, Hash: "hash-" + serial, Kind: kind, Invitation: "inv-" + serial, Device: device, Enrolment: "e1", App: "uk.example.chat",
		Subject: "CN=" + serial, NotBefore: certTime, NotAfter: certTime.Add(time.Hour), DER: []byte{0x30, 1, 2}, RenewedFrom: "7",
	}
}

func insert(t *testing.T, s *store.Certificates, cs ...ca.Certificate) {
	t.Helper()
	for _, c := range cs {
		if err := s.InsertCertificate(t.Context(), c); err != nil {
			t.Fatalf("InsertCertificate(%s): %v", c.Serial, err)
		}
	}
}

func TestCertificateRecord(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, s := t.Context(), db.Certificates()
		a, b := certificate("1", ca.KindDevice, ""), certificate("340282366920938463463374607431768211455", ca.KindApp, "d1")
		b.Invitation, b.RevokedAt, b.Reason, b.RevokedBy = "", certTime, ca.Superseded, "someone"
		insert(t, s, a, b)
		if err := s.InsertCertificate(ctx, a); ward.KindOf(err) != ward.Conflict {
			t.Errorf("a second insert = %v, want a Conflict", err)
		}
		for _, want := range []ca.Certificate{a, b} {
			got, err := s.CertificateBySerial(ctx, want.Serial)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("CertificateBySerial(%s): %v (-want +got)\n%s", want.Serial, err, diff)
			}
			got, err = s.CertificateByHash(ctx, want.Hash)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("CertificateByHash(%s): %v (-want +got)\n%s", want.Hash, err, diff)
			}
		}
		if err := s.BindCertificate(ctx, a.Hash, "d1", "e2"); err != nil {
			t.Fatal(err)
		}
		a.Device, a.Enrolment = "d1", "e2"
		got, err := s.CertificatesOfDevice(ctx, "d1")
		if diff := cmp.Diff([]ca.Certificate{a, b}, got); err != nil || diff != "" {
			t.Errorf("CertificatesOfDevice: %v (-want +got)\n%s", err, diff)
		}
		got, err = s.CertificatesOfInvitation(ctx, "inv-1")
		if diff := cmp.Diff([]ca.Certificate{a}, got); err != nil || diff != "" {
			t.Errorf("CertificatesOfInvitation: %v (-want +got)\n%s", err, diff)
		}
		if got, err := s.CertificatesOfInvitation(ctx, ""); err != nil || len(got) != 0 {
			t.Errorf("certificates of no invitation = %d, %v; want none", len(got), err)
		}
	})
}

func TestCertificateNotThere(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, s := t.Context(), db.Certificates()
		for name, f := range map[string]func() error{
			"CertificateBySerial": func() error { _, err := s.CertificateBySerial(ctx, "9"); return err },
			"CertificateByHash":   func() error { _, err := s.CertificateByHash(ctx, "9"); return err },
			"BindCertificate":     func() error { return s.BindCertificate(ctx, "9", "d", "e") },
			"RevokeCertificate":   func() error { _, err := s.RevokeCertificate(ctx, "9", ca.Revocation{At: certTime}); return err },
			"CRL":                 func() error { _, err := s.CRL(ctx); return err },
		} {
			if err := f(); ward.KindOf(err) != ward.NotFound {
				t.Errorf("%s of nothing = %v, want NotFound", name, err)
			}
		}
	})
}

func TestCertificateRevocation(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, s := t.Context(), db.Certificates()
		expired := certificate("5", ca.KindApp, "d1")
		expired.NotAfter = certTime.Add(-time.Second)
		insert(t, s, certificate("1", ca.KindDevice, "d1"), certificate("2", ca.KindApp, "d1"), certificate("3", ca.KindApp, "d1"),
			certificate("4", ca.KindApp, "d2"), expired, certificate("6", ca.KindApp, ""), certificate("7", ca.KindNetwork, "d1"), certificate("8", ca.KindNetwork, "d2"))
		r := ca.Revocation{At: certTime, Reason: ca.KeyCompromise, By: "case 1"}
		first, err := s.RevokeCertificate(ctx, "3", r)
		again, err2 := s.RevokeCertificate(ctx, "3", ca.Revocation{At: certTime.Add(time.Minute), By: "later"})
		if err := errors.Join(err, err2); err != nil || !first || again {
			t.Errorf("RevokeCertificate twice = %v, %v, %v; want true, then false", first, again, err)
		}
		got, err := s.RevokeApps(ctx, "d1", r)
		if diff := cmp.Diff([]string{"2", "7"}, slices.Sorted(slices.Values(got))); err != nil || diff != "" {
			t.Errorf("RevokeApps: %v (-want +got)\n%s", err, diff)
		}
		if got, err := s.RevokeApps(ctx, "", r); err != nil || len(got) != 0 {
			t.Errorf("RevokeApps of no device = %v, %v; want none", got, err)
		}
		list, err := s.RevokedAfter(ctx, certTime)
		want := []ca.Revoked{{Serial: "2", At: certTime, Reason: ca.KeyCompromise}, {Serial: "3", At: certTime, Reason: ca.KeyCompromise}, {Serial: "7", At: certTime, Reason: ca.KeyCompromise}}
		if diff := cmp.Diff(want, list); err != nil || diff != "" {
			t.Errorf("RevokedAfter: %v (-want +got)\n%s", err, diff)
		}
		if list, err := s.RevokedAfter(ctx, certTime.Add(time.Hour)); err != nil || len(list) != 0 {
			t.Errorf("RevokedAfter their end = %v, %v; want none", list, err)
		}
		c, err := s.CertificateBySerial(ctx, "3")
		if err != nil || !c.Revoked() || c.RevokedBy != "case 1" {
			t.Errorf("the second revocation overwrote the first: %+v, %v", c, err)
		}
	})
}

// TestCertificateListNumbers: of writers that replace the same list one succeeds, so
// that numbers rise by one.
func TestCertificateListNumbers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, s := t.Context(), db.Certificates()
		for previous := range int64(3) {
			var won atomic.Int64
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					c := ca.CRL{Number: previous + 1, DER: fmt.Append(nil, i), Made: certTime}
					ok, err := s.ReplaceCRL(ctx, c, previous)
					if err != nil {
						t.Errorf("ReplaceCRL: %v", err)
					}
					if ok {
						won.Add(1)
					}
				})
			}
			wg.Wait()
			got, err := s.CRL(ctx)
			if err != nil || won.Load() != 1 || got.Number != previous+1 || !got.Made.Equal(certTime) {
				t.Errorf("after list %d: %d writers won, the list has number %d made %s, %v", previous, won.Load(), got.Number, got.Made, err)
			}
		}
	})
}

func TestCertificateOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, s := t.Context(), db.Certificates()
		use := func(ctx context.Context, bucket, key string, want bool) {
			t.Helper()
			if got, err := s.UseOnce(ctx, bucket, key, []byte("v"), certTime); err != nil || got != want {
				t.Errorf("UseOnce(%s, %s) = %v, %v; want %v", bucket, key, got, err, want)
			}
		}
		use(ctx, "a", "k", true)
		use(ctx, "a", "k", false)
		use(ctx, "b", "k", true)
		boom := errors.New("boom")
		if err := db.Do(ctx, func(ctx context.Context) error { use(ctx, "a", "undone", true); return boom }); !errors.Is(err, boom) {
			t.Errorf("Do = %v, want %v", err, boom)
		}
		use(ctx, "a", "undone", true)
		for _, tt := range []struct {
			before time.Time
			want   int64
		}{{certTime, 0}, {certTime.Add(time.Second), 3}} {
			if n, err := s.PurgeOnce(ctx, tt.before); err != nil || n != tt.want {
				t.Errorf("PurgeOnce(%s) = %d, %v; want %d", tt.before, n, err, tt.want)
			}
		}
	})
}
