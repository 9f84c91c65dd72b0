package ca_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store/storetest"
	"go.step.sm/crypto/jose"
)

const bareHost = "https://bare.example"

// bareACME speaks just enough ACME for one client after the other: it verifies every
// message, the attestation and the request, signs, and writes once. It keeps the rest in
// memory, and asks nobody whether anything is allowed.
type bareACME struct {
	*bare
	roots  *x509.CertPool
	nonces sync.Map // nonce → nothing
	keys   sync.Map // account → its key
	ready  sync.Map // order → the attested key, then the certificate
	n      atomic.Int64
}

func (h *bareACME) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	nonce := rand.Text()
	h.nonces.Store(nonce, nil)
	w.Header().Set("Replay-Nonce", nonce)
	if r.Method != http.MethodPost {
		answerJSON(w, http.StatusOK, map[string]string{"newNonce": bareHost + "/nonce", "newAccount": bareHost + "/account", "newOrder": bareHost + "/order"})
		return
	}
	if err := h.post(w, r); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) //nolint:errcheck,errchkjson // a test's recorder takes everything
}

// message verifies a message and returns its content and its account's key.
func (h *bareACME) message(r *http.Request) ([]byte, *jose.JSONWebKey, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, nil, err
	}
	m, err := jose.ParseJWS(string(body))
	if err != nil {
		return nil, nil, err
	}
	head := m.Signatures[0].Protected
	if _, ok := h.nonces.LoadAndDelete(head.Nonce); !ok {
		return nil, nil, errors.New("nonce")
	}
	key := head.JSONWebKey
	if key == nil {
		v, ok := h.keys.Load(head.KeyID)
		if !ok {
			return nil, nil, errors.New("account")
		}
		key = v.(*jose.JSONWebKey)
	}
	b, err := m.Verify(key)
	return b, key, err
}

func (h *bareACME) post(w http.ResponseWriter, r *http.Request) error {
	b, key, err := h.message(r)
	if err != nil {
		return err
	}
	id := path.Base(r.URL.Path)
	token := map[string]string{"type": "device-attest-01", "token": id, "url": bareHost + "/challenge/" + id, "status": "pending"}
	switch what := strings.Split(r.URL.Path, "/")[1]; what {
	case "account":
		kid := fmt.Sprint(bareHost, "/account/", h.n.Add(1))
		h.keys.Store(kid, key)
		w.Header().Set("Location", kid)
		answerJSON(w, http.StatusCreated, map[string]string{"status": "valid"})
	case "order":
		code := http.StatusOK
		if id == "order" {
			id, code = rand.Text(), http.StatusCreated
		}
		w.Header().Set("Location", bareHost+"/order/"+id)
		status := "pending"
		if _, ok := h.ready.Load(id); ok {
			status = "ready"
		}
		answerJSON(w, code, map[string]any{"status": status, "authorizations": []string{bareHost + "/authorization/" + id}, "finalize": bareHost + "/finalize/" + id})
	case "authorization":
		answerJSON(w, http.StatusOK, map[string]any{"status": "pending", "challenges": []any{token}})
	case "challenge":
		token["status"] = "valid"
		if err := h.attested(id, b); err != nil {
			return err
		}
		answerJSON(w, http.StatusOK, token)
	case "finalize":
		if err := h.sign(r.Context(), id, b); err != nil {
			return err
		}
		answerJSON(w, http.StatusOK, map[string]any{"status": "valid", "certificate": bareHost + "/certificate/" + id})
	case "certificate":
		v, _ := h.ready.LoadAndDelete(id)
		for _, der := range [][]byte{v.([]byte), h.cert.Raw} {
			pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: der}) //nolint:errcheck // a test's recorder takes everything
		}
	}
	return nil
}

// attested verifies an attestation.
func (h *bareACME) attested(id string, payload []byte) error {
	var p struct {
		AttObj string `json:"attObj"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return err
	}
	b, err := base64.RawURLEncoding.DecodeString(p.AttObj)
	if err != nil {
		return err
	}
	var o struct {
		Statement struct {
			X5C [][]byte `cbor:"x5c"`
		} `cbor:"attStmt"`
	}
	if err := cbor.Unmarshal(b, &o); err != nil {
		return err
	}
	leaf, err := x509.ParseCertificate(o.Statement.X5C[0])
	if err != nil {
		return err
	}
	between, err := x509.ParseCertificate(o.Statement.X5C[1])
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AddCert(between)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: h.roots, Intermediates: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return err
	}
	want := sha256.Sum256([]byte(id))
	if !slices.ContainsFunc(leaf.Extensions, func(e pkix.Extension) bool { return string(e.Value) == string(want[:]) }) {
		return errors.New("nonce of the attestation")
	}
	h.ready.Store(id, leaf.PublicKey)
	return nil
}

// sign signs and records.
func (h *bareACME) sign(ctx context.Context, id string, payload []byte) error {
	var p struct {
		CSR string `json:"csr"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return err
	}
	b, err := base64.RawURLEncoding.DecodeString(p.CSR)
	if err != nil {
		return err
	}
	csr, err := x509.ParseCertificateRequest(b)
	if err != nil {
		return err
	}
	if err := csr.CheckSignature(); err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: csr.Subject, NotBefore: time.Now(), NotAfter: time.Now().AddDate(0, 1, 0),
	}, h.cert, csr.PublicKey, h.key)
	if err != nil {
		return err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	h.ready.Store(id, der)
	return h.db.Do(ctx, func(ctx context.Context) error {
		return h.db.Certificates().InsertCertificate(ctx, ca.Certificate{Issuer: 9, Serial: serial.String(), Hash: ca.Hash(cert), Kind: ca.KindDevice, DER: der})
	})
}

// timed adds up how long a handler takes.
type timed struct {
	http.Handler
	total atomic.Int64
}

func (h *timed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	h.Handler.ServeHTTP(w, r)
	h.total.Add(int64(time.Since(began)))
}

// TestACMEFigure: side by side in one run, a certificate by ACME from the directory to the
// chain takes at most twice as long as with a bare handler.
func TestACMEFigure(t *testing.T) {
	if testing.Short() {
		t.Skip("it measures")
	}
	f := newACME(t, storetest.SQLite(t), nil)
	ours := &timed{Handler: f.h}
	f.h = ours
	pool := x509.NewCertPool()
	pool.AddCert(f.hw.root)
	theirs := &timed{Handler: &bareACME{bare: newBare(t, storetest.SQLite(t)), roots: pool}}
	const rounds, each, workers = 8, 16, 8
	// They take turns, and of each the fastest turns count: the machine has other work.
	var a, b []float64
	for round := range rounds {
		var own, plain []*client
		for i := range each {
			challenge := fmt.Sprintf("figure-%d-%d", round, i)
			f.door.grant(challenge, attested("S1"))
			own = append(own, f.client(t, challenge))
			c := f.client(t, challenge)
			c.DirectoryURL, c.HTTPClient = bareHost+"/directory", &http.Client{Transport: through{theirs}}
			plain = append(plain, c)
		}
		a = append(a, enrolAll(t, own, workers))
		b = append(b, enrolAll(t, plain, workers))
	}
	slices.Sort(a)
	slices.Sort(b)
	top, mid := rounds-3, rounds/2
	t.Logf("ACME: median %.0f/s, good turns %.0f/s; a bare handler: %.0f/s, %.0f/s; %.2f and %.2f of it; the servers' part alone: %.2f",
		a[mid], a[top], b[mid], b[top], a[mid]/b[mid], a[top]/b[top], float64(theirs.total.Load())/float64(ours.total.Load()))
	if ratio := max(a[top]/b[top], a[mid]/b[mid]); ratio < 0.5 {
		t.Errorf("a certificate by ACME comes %.2f as fast as from a bare handler, want 0.5", ratio)
	}
}

// enrolAll has several workers enrol the clients, and returns how many a second are served.
func enrolAll(t *testing.T, clients []*client, workers int) float64 {
	t.Helper()
	queue := make(chan *client, len(clients))
	for _, c := range clients {
		queue <- c
	}
	close(queue)
	var wg sync.WaitGroup
	began := time.Now()
	for range workers {
		wg.Go(func() {
			for c := range queue {
				if _, err := c.enrol("S1", claim{serial: "S1", udid: "U1", os: "26.1"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return float64(len(clients)) / time.Since(began).Seconds()
}

// BenchmarkACME is one certificate from the directory to the chain, with the client's work.
func BenchmarkACME(b *testing.B) {
	f := newACME(b, storetest.SQLite(b), nil)
	for n := 0; b.Loop(); n++ {
		challenge := fmt.Sprint("bench-", n)
		f.door.grant(challenge, attested("S1"))
		if _, err := f.client(b, challenge).enrol("S1", claim{serial: "S1"}); err != nil {
			b.Fatal(err)
		}
	}
}
