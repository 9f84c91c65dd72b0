package ca_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
	"golang.org/x/crypto/acme"
)

func hashed(challenge string) string {
	h := sha256.Sum256([]byte(challenge))
	return hex.EncodeToString(h[:])
}

// ready returns a client whose order waits to be finalised.
func (f *acmeFixture) ready(t testing.TB, challenge, identifier string) (*client, *acme.Order) {
	t.Helper()
	c := f.client(t, challenge)
	o, ch, err := c.order(identifier)
	if err == nil {
		err = c.answer(ch, f.hw.attest(t, claim{serial: identifier}, ch.Token, c.key.Public(), f.clock.now()))
	}
	if err != nil {
		t.Fatal(err)
	}
	return c, o
}

// TestACMEOnce: of all that is done at the same time with one challenge, one certificate
// comes; who ordered it may fetch it again, and nobody anything else.
func TestACMEOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newACME(t, db, nil)
		f.door.grant("one", attested("S1"))
		a, ofA := f.ready(t, "one", "S1")
		b, ofB := f.ready(t, "one", "S1")
		var wg sync.WaitGroup
		var mu sync.Mutex
		serials := map[string]bool{}
		var refused, faults int
		for i := range 12 {
			c, o := a, ofA
			if i%3 == 2 {
				c, o = b, ofB
			}
			wg.Go(func() {
				chain, err := c.finalize(o, c.key, x509.CertificateRequest{})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					serials[chain[0].SerialNumber.String()] = true
				case problemOf(err) == "unauthorized" || problemOf(err) == "orderNotReady" || problemOf(err) == "malformed":
					refused++
				default:
					faults++
					t.Errorf("finalize: %v", err)
				}
			})
		}
		wg.Wait()
		if len(serials) != 1 || f.issued(t) != 1 || refused == 0 {
			t.Errorf("%d certificates were given, %d recorded, %d refused; want one", len(serials), f.issued(t), refused)
		}
		winner, o := a, ofA
		if got, err := a.GetOrder(t.Context(), ofA.URI); err != nil || got.Status != acme.StatusValid {
			winner, o = b, ofB
		}
		if chain, err := winner.finalize(o, winner.key, x509.CertificateRequest{}); err != nil || !serials[chain[0].SerialNumber.String()] {
			t.Errorf("asked again: %v, want the same certificate", err)
		}
		if _, err := winner.AuthorizeOrder(t.Context(), []acme.AuthzID{{Type: "permanent-identifier", Value: "S1"}}); problemOf(err) != "unauthorized" {
			t.Errorf("another order for the spent challenge: %v, want unauthorized", err)
		}
		if _, err := f.client(t, "one").enrol("S1", claim{serial: "S1"}); problemOf(err) != "unauthorized" {
			t.Errorf("the spent challenge used anew: %v, want unauthorized", err)
		}
		f.clock.turn(25 * time.Hour)
		if n, err := f.PurgeACME(t.Context()); err != nil || n == 0 {
			t.Errorf("PurgeACME = %d, %v", n, err)
		}
		if res := visit(t, f.h, http.MethodGet, f.DirectoryURL("one", "apple"), nil); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("a day later the directory is %s", res.Status)
		}
	})
}

// TestACMEOrdersBounded: a thousand orders for one challenge at the same time: few are
// made, and they all are for one certificate.
func TestACMEOrdersBounded(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newACME(t, db, nil)
		f.door.grant("one", attested("S1"))
		c := f.client(t, "one")
		if _, err := c.Register(t.Context(), &acme.Account{}, acme.AcceptTOS); err != nil {
			t.Fatal(err)
		}
		var made, limited atomic.Int32
		var orders sync.Map
		var wg sync.WaitGroup
		todo := make(chan struct{}, 1000)
		for range 1000 {
			todo <- struct{}{}
		}
		close(todo)
		for range 50 {
			wg.Go(func() {
				for range todo {
					o, err := c.AuthorizeOrder(t.Context(), []acme.AuthzID{{Type: "permanent-identifier", Value: "S1"}})
					switch {
					case err == nil:
						made.Add(1)
						orders.Store(o.URI, o)
					case problemOf(err) == "rateLimited":
						limited.Add(1)
					default:
						t.Errorf("order: %v", err)
					}
				}
			})
		}
		wg.Wait()
		if made.Load() != 5 || limited.Load() != 995 {
			t.Errorf("%d orders were made and %d refused, want 5 and 995", made.Load(), limited.Load())
		}
		certs := 0
		orders.Range(func(_, v any) bool {
			o := v.(*acme.Order)
			z, err := c.GetAuthorization(t.Context(), o.AuthzURLs[0])
			if err == nil {
				err = c.answer(z.Challenges[0], f.hw.attest(t, claim{serial: "S1"}, z.Challenges[0].Token, c.key.Public(), f.clock.now()))
			}
			if err == nil {
				_, err = c.finalize(o, c.key, x509.CertificateRequest{})
			}
			if err == nil {
				certs++
			}
			return true
		})
		if certs != 1 || f.issued(t) != 1 {
			t.Errorf("%d certificates were given, %d recorded; want one", certs, f.issued(t))
		}
		kept, err := db.Certificates().OrdersOf(t.Context(), hashed("one"))
		if err != nil || len(kept) != 5 {
			t.Errorf("%d orders are kept, %v", len(kept), err)
		}
	})
}

// TestACMEUndone: what was signed is worth nothing until it is recorded, and the order may
// be finalised again.
func TestACMEUndone(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newACME(t, db, nil)
		f.door.grant("one", attested("S1"))
		c, o := f.ready(t, "one", "S1")
		f.door.fail = errors.New("the power was cut")
		if _, err := c.finalize(o, c.key, x509.CertificateRequest{}); problemOf(err) != "serverInternal" {
			t.Errorf("finalize = %v, want serverInternal", err)
		}
		if f.issued(t) != 0 {
			t.Error("a certificate was recorded")
		}
		if got, err := c.GetOrder(t.Context(), o.URI); err != nil || got.Status != acme.StatusReady {
			t.Fatalf("the order is %+v, %v; want it ready", got, err)
		}
		chain, err := c.finalize(o, c.key, x509.CertificateRequest{})
		if err != nil {
			t.Fatalf("once more: %v", err)
		}
		if _, err := f.Check(t.Context(), chain[0]); err != nil || f.issued(t) != 1 {
			t.Errorf("Check: %v; %d certificates", err, f.issued(t))
		}
	})
}

// TestACMELate: an order has a quarter of an hour.
func TestACMELate(t *testing.T) {
	t.Parallel()
	f := newACME(t, storetest.SQLite(t), nil)
	f.door.grant("one", attested("S1"))
	c, o := f.ready(t, "one", "S1")
	f.clock.turn(16 * time.Minute)
	if _, err := c.finalize(o, c.key, x509.CertificateRequest{}); problemOf(err) != "orderNotReady" {
		t.Errorf("finalize = %v, want orderNotReady", err)
	}
	if _, err := f.client(t, "one").enrol("S1", claim{serial: "S1"}); err != nil {
		t.Errorf("anew: %v", err)
	}
}

// TestACMEByCopies: one copy of the server gives the nonce and the account, another makes
// the order, a third the certificate; and whoever signs at the time signs.
func TestACMEByCopies(t *testing.T) {
	t.Parallel()
	f := newACME(t, storetest.SQLite(t), nil)
	f.door.grant("one", attested("S1"))
	other, err := ca.Open(t.Context(), f.o)
	if err != nil {
		t.Fatal(err)
	}
	var turn atomic.Int32
	second := other.ACME()
	first := f.h
	f.h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if turn.Add(1)%2 == 0 {
			first.ServeHTTP(w, r)
			return
		}
		second.ServeHTTP(w, r)
	})
	c, o := f.ready(t, "one", "S1")
	made, err := f.Rotate(t.Context(), ca.Rotation{From: f.clock.now()})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	chain, err := c.finalize(o, c.key, x509.CertificateRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if len(chain) != 2 || !chain[1].Equal(made.Certificate) {
		t.Error("the new issuer did not sign, or is not in the chain")
	}
	if _, err := f.Check(t.Context(), chain[0]); err != nil {
		t.Errorf("Check: %v", err)
	}
}
