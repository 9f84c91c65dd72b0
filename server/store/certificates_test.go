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
		Issuer: 1, Serial: serial, Hash: "hash-" + serial, Kind: kind, Invitation: "inv-" + serial, Device: device, Enrolment: "e1", App: "uk.example.chat",
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
			"CRL":                 func() error { _, err := s.CRL(ctx, 1); return err },
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
		list, err := s.RevokedAfter(ctx, 1, certTime)
		want := []ca.Revoked{{Serial: "2", At: certTime, Reason: ca.KeyCompromise}, {Serial: "3", At: certTime, Reason: ca.KeyCompromise}, {Serial: "7", At: certTime, Reason: ca.KeyCompromise}}
		if diff := cmp.Diff(want, list); err != nil || diff != "" {
			t.Errorf("RevokedAfter: %v (-want +got)\n%s", err, diff)
		}
		if list, err := s.RevokedAfter(ctx, 1, certTime.Add(time.Hour)); err != nil || len(list) != 0 {
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
					c := ca.CRL{Issuer: 1, Number: previous + 1, DER: fmt.Append(nil, i), Made: certTime}
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
			got, err := s.CRL(ctx, 1)
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

// TestCertificateRegister: the list is paged by key, and each filter picks its own.
func TestCertificateRegister(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, s := t.Context(), db.Certificates()
		for i := range 25 {
			c := certificate(fmt.Sprint(100+i), ca.KindApp, "d1")
			c.NotAfter = certTime.Add(time.Duration(i-2) * time.Hour) // the first three have ended
			if i%2 == 1 {
				c.Device = "d2"
			}
			if i%5 == 4 {
				c.RevokedAt = certTime
			}
			if i == 24 {
				c.Kind, c.Issuer = ca.KindNetwork, 2
			}
			insert(t, s, c)
		}
		list := func(f ca.Filter) (got []string) {
			t.Helper()
			for f.Limit = 4; ; {
				page, err := s.Certificates(ctx, f)
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range page {
					got = append(got, c.Serial)
				}
				if len(page) < f.Limit {
					return got
				}
				f.After = page[len(page)-1].Serial
			}
		}
		if got := list(ca.Filter{}); len(got) != 25 || got[0] != "124" || got[24] != "100" {
			t.Errorf("all = %v", got)
		}
		for name, tt := range map[string]struct {
			f    ca.Filter
			want []string
		}{
			"kind":               {ca.Filter{Kind: ca.KindNetwork}, []string{"124"}},
			"revoked":            {ca.Filter{Revoked: true}, []string{"124", "119", "114", "109", "104"}},
			"a device's revoked": {ca.Filter{Device: "d2", Revoked: true}, []string{"119", "109"}},
			"expiring":           {ca.Filter{Now: certTime, ExpiringBy: certTime.Add(3 * time.Hour)}, []string{"105", "103"}},
			"no such device":     {ca.Filter{Device: "d3"}, nil},
			"after nothing":      {ca.Filter{After: "9"}, nil},
		} {
			if diff := cmp.Diff(tt.want, list(tt.f)); diff != "" {
				t.Errorf("%s mismatch (-want +got)\n%s", name, diff)
			}
		}
		counts, err := s.CountCertificates(ctx, certTime)
		want := []ca.Count{{Issuer: 1, Kind: ca.KindApp, Valid: 17, Expired: 3, Revoked: 4}, {Issuer: 2, Kind: ca.KindNetwork, Revoked: 1}}
		if diff := cmp.Diff(want, counts); err != nil || diff != "" {
			t.Errorf("counts mismatch (-want +got) %v\n%s", err, diff)
		}
	})
}

// TestSoonestIdentity: only what a live enrolment proves itself by counts.
func TestSoonestIdentity(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, s := t.Context(), db.Certificates()
		if _, err := s.SoonestIdentity(ctx, certTime); ward.KindOf(err) != ward.NotFound {
			t.Errorf("of none = %v, want NotFound", err)
		}
		for i, serial := range []string{"1", "2", "3"} {
			c := certificate(serial, ca.KindDevice, ward.DeviceID("d"+serial))
			c.NotAfter = certTime.Add(time.Duration(i+1) * time.Hour)
			insert(t, s, c)
		}
		insert(t, s, certificate("4", ca.KindApp, "d1"))
		for _, n := range []string{"2", "3"} {
			e := managed(t, db, ward.DeviceID("d"+n), "channel-"+n)
			if err := db.Fleet().Bind(ctx, "hash-"+n, e.Channel); err != nil {
				t.Fatal(err)
			}
		}
		c, err := s.SoonestIdentity(ctx, certTime)
		if err != nil || c.Serial != "2" {
			t.Errorf("SoonestIdentity = %s, %v; want 2, for nothing proves itself by 1", c.Serial, err)
		}
		for until, want := range map[time.Duration]int{time.Hour: 0, 2 * time.Hour: 1, 3 * time.Hour: 2} {
			if n, err := s.CountIdentities(ctx, certTime, certTime.Add(until)); n != want || err != nil {
				t.Errorf("CountIdentities within %s = %d, %v; want %d", until, n, err, want)
			}
		}
		if c, err := s.SoonestIdentity(ctx, certTime.Add(2*time.Hour)); err != nil || c.Serial != "3" {
			t.Errorf("once it has ended = %s, %v; want 3", c.Serial, err)
		}
	})
}
