package ca_test

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"fmt"
	"testing"
	"time"

	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// largeList is the number of revoked certificates that a list must be made of in a second.
const largeList = 50_000

// revokeMany records n certificates that were revoked.
func revokeMany(t testing.TB, f *fixture, n int) {
	t.Helper()
	now := f.clock.now()
	der := make([]byte, 200) // lists are made from an index: the size does not matter
	for done := 0; done < n; done += 5000 {
		err := f.db.Do(t.Context(), func(ctx context.Context) error {
			for i := done; i < min(n, done+5000); i++ {
				c := ca.Certificate{
					Issuer: 1, Serial: fmt.Sprintf("1%038d", i), Hash: fmt.Sprint("many-", i), Kind: ca.KindApp, Device: "d9", App: "uk.example.chat",
					NotBefore: now, NotAfter: now.Add(time.Duration(i+1) * time.Minute), DER: der, RevokedAt: now, Reason: ca.KeyCompromise, RevokedBy: "test",
				}
				if err := f.db.Certificates().InsertCertificate(ctx, c); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestLargeList: a list of 50,000 is made in under a second.
func TestLargeList(t *testing.T) {
	if testing.Short() {
		t.Skip("it records 50,000 certificates")
	}
	f := newFixture(t, storetest.SQLite(t))
	revokeMany(t, f, largeList)
	best := time.Hour
	for range 4 { // the machine has other work
		began := time.Now()
		if err := f.RemakeCRL(t.Context()); err != nil {
			t.Fatal(err)
		}
		best = min(best, time.Since(began))
	}
	l := list(t, f)
	if len(l.RevokedCertificateEntries) != largeList {
		t.Errorf("the list has %d entries, want %d", len(l.RevokedCertificateEntries), largeList)
	}
	t.Logf("a list of %d entries, %d KiB, is made in %s", largeList, len(l.Raw)>>10, best)
	if best > time.Second {
		t.Errorf("a list of %d entries took %s, want under a second", largeList, best)
	}
}

// slowReader is a store whose reading of the revoked waits.
type slowReader struct {
	ca.Store
	reading, goOn chan struct{}
}

func (s slowReader) RevokedAfter(ctx context.Context, issuer int, t time.Time) ([]ca.Revoked, error) {
	s.reading <- struct{}{}
	<-s.goOn
	return s.Store.RevokedAfter(ctx, issuer, t)
}

// TestListBlocksNothing: while a list is being made certificates are issued, checked and
// revoked.
func TestListBlocksNothing(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		o := f.o
		slow := slowReader{db.Certificates(), make(chan struct{}), make(chan struct{})}
		o.Store = slow
		a, err := ca.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		made := make(chan error, 1)
		go func() { made <- a.RemakeCRL(t.Context()) }()
		<-slow.reading
		csr, _ := ecRequest(t, elliptic.P256())
		chain, err := a.IssueApp(t.Context(), csr, appGrant, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Check(t.Context(), chain[0]); err != nil {
			t.Error(err)
		}
		if _, err := a.RevokeApps(t.Context(), "d1", ca.KeyCompromise, "test"); err != nil {
			t.Error(err)
		}
		close(slow.goOn)
		if err := <-made; err != nil {
			t.Error(err)
		}
	})
}

// BenchmarkList makes a list of 50,000 entries.
func BenchmarkList(b *testing.B) {
	f := newFixture(b, storetest.SQLite(b))
	revokeMany(b, f, largeList)
	for b.Loop() {
		if err := f.RemakeCRL(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOCSP answers one question.
func BenchmarkOCSP(b *testing.B) {
	f := newFixture(b, storetest.SQLite(b))
	cert := issueApp(b, f, appGrant)
	h, q := f.OCSP(), question(b, cert, f.Issuer(), crypto.SHA256, 0)
	for b.Loop() {
		askOCSP(b, h, "POST", q)
	}
}
