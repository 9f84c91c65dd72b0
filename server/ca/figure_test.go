package ca_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/scep"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// bare is a SCEP handler that does the cryptography of one certificate and one durable
// write, and nothing else: no challenge, no checks, no guard. Its protocol is the
// library's.
type bare struct {
	cert *x509.Certificate
	key  *rsa.PrivateKey
	db   *store.DB
}

func newBare(t testing.TB, db *store.DB) *bare {
	t.Helper()
	key := rsaKey()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(9), Subject: pkix.Name{CommonName: "bare"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &bare{cert, key, db}
}

func (h *bare) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	reply, err := h.answer(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Write(reply) //nolint:errcheck,gosec // a test's recorder takes everything, and it is no page
}

func (h *bare) answer(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	m, err := scep.ParsePKIMessage(body)
	if err != nil {
		return nil, err
	}
	if err := m.DecryptPKIEnvelope(h.cert, h.key); err != nil {
		return nil, err
	}
	if err := m.CSR.CheckSignature(); err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: m.CSR.Subject, NotBefore: time.Now(), NotAfter: time.Now().AddDate(0, 1, 0),
	}, h.cert, m.CSR.PublicKey, h.key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	err = h.db.Do(r.Context(), func(ctx context.Context) error {
		return h.db.Certificates().InsertCertificate(ctx, ca.Certificate{Issuer: 9, Serial: serial.String(), Hash: ca.Hash(cert), Kind: ca.KindDevice, DER: der})
	})
	if err != nil {
		return nil, err
	}
	rep, err := m.Success(h.cert, h.key, cert)
	if err != nil {
		return nil, err
	}
	return rep.Raw, nil
}

// TestSCEPFigure: side by side in one run, issuance by SCEP is at least 0.7 as fast as by
// a bare handler.
func TestSCEPFigure(t *testing.T) {
	if testing.Short() {
		t.Skip("it measures")
	}
	f, plain := newFixture(t, storetest.SQLite(t)), newBare(t, storetest.SQLite(t))
	grants := f.o.Challenges.(gate).grants
	const rounds, each, workers = 10, 10, 4
	ours, theirs := make([][]byte, rounds*each), make([][]byte, rounds*each)
	for i := range ours {
		challenge := fmt.Sprint("figure ", i)
		grants[challenge] = ca.Grant{Invitation: challenge, CommonName: "phone"}
		d := newDevice(t, rsaKey(), challenge)
		ours[i], theirs[i] = d.message(t, scep.PKCSReq, f.Issuer()), d.message(t, scep.PKCSReq, plain.cert)
	}
	// They take turns, and of each the fastest turns count: the machine has other work.
	var a, b []float64
	for round := range rounds {
		from, to := round*each, (round+1)*each
		a = append(a, rate(t, f.SCEP(), ours[from:to], workers))
		b = append(b, rate(t, plain, theirs[from:to], workers))
	}
	slices.Sort(a)
	slices.Sort(b)
	top, mid := rounds-3, rounds/2
	t.Logf("SCEP: median %.0f/s, good turns %.0f/s; a bare handler: %.0f/s, %.0f/s; %.2f and %.2f of it", a[mid], a[top], b[mid], b[top], a[mid]/b[mid], a[top]/b[top])
	if ratio := max(a[top]/b[top], a[mid]/b[mid]); ratio < 0.7 {
		t.Errorf("issuance by SCEP is %.2f as fast as a bare handler, want 0.7", ratio)
	}
}

// rate posts the messages by several workers and returns how many a second are answered.
func rate(t *testing.T, h http.Handler, messages [][]byte, workers int) float64 {
	t.Helper()
	queue := make(chan []byte, len(messages))
	for _, m := range messages {
		queue <- m
	}
	close(queue)
	var wg sync.WaitGroup
	began := time.Now()
	for range workers {
		wg.Go(func() {
			for m := range queue {
				if res := post(t, h, m); res.StatusCode != http.StatusOK {
					t.Errorf("answered %s: %s", res.Status, content(t, res))
				}
			}
		})
	}
	wg.Wait()
	return float64(len(messages)) / time.Since(began).Seconds()
}
