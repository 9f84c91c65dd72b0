package ca_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/tpmid/tpmtest"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store"
	"go.step.sm/crypto/tpm"
	"go.step.sm/crypto/tpm/storage"
)

// tpmCounter is a Challenges on the real database whose grants a test may change.
type tpmCounter struct {
	gate
	mu     sync.Mutex
	permit func(by ca.Attested) error
}

func (c *tpmCounter) Lookup(ctx context.Context, challenge string) (ca.Grant, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g, err := c.gate.Lookup(ctx, challenge)
	if err != nil {
		return g, err
	}
	// A challenge that was spent is not known any more, as with the real ones.
	if fresh, err := c.store.CertificatesOfInvitation(ctx, g.Invitation); err != nil || len(fresh) > 0 {
		return ca.Grant{}, ward.Errorf(ward.Forbidden, "This challenge was used already.").Because(err)
	}
	return g, nil
}

func (c *tpmCounter) Permit(_ context.Context, _ string, by ca.Attested) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.permit == nil {
		return nil
	}
	return c.permit(by)
}

// allow lets a challenge have an identity for hardware of a format.
func (c *tpmCounter) allow(challenge, format, identifier string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.grants[challenge] = ca.Grant{
		Invitation: "inv-" + challenge, CommonName: "Ward workstation", Device: "d1", Attestation: &ca.Attestation{Format: format, Identifier: identifier},
	}
}

// tpmDesk is an authority that certifies attestation keys, over HTTP.
type tpmDesk struct {
	*fixture
	counter *tpmCounter
	tpms    *ca.TPM
	url     string
}

func newTPMDesk(t *testing.T, db *store.DB, o ca.TPMOptions) *tpmDesk {
	t.Helper()
	of := &tpmDesk{fixture: newFixture(t, db), counter: &tpmCounter{gate: gate{map[string]ca.Grant{}, db.Certificates()}}}
	of.o.Challenges = of.counter
	var err error
	if of.Authority, err = ca.Open(t.Context(), of.o); err != nil {
		t.Fatalf("Open: %v", err)
	}
	o.Store = db.Activations()
	of.serve(t, o)
	return of
}

// serve begins to serve with other options.
func (o *tpmDesk) serve(t *testing.T, with ca.TPMOptions) {
	t.Helper()
	var err error
	if o.tpms, err = o.TPM(with); err != nil {
		t.Fatalf("TPM: %v", err)
	}
	srv := httptest.NewServer(o.tpms.Handler())
	t.Cleanup(srv.Close)
	o.url = srv.URL
}

// computer is a TPM as a client sees it that nobody here wrote.
type computer struct {
	*tpm.TPM
	ek *tpm.EK
	ak *tpm.AK
}

func newComputer(t *testing.T, p *tpmtest.TPM) *computer {
	t.Helper()
	w, err := tpm.New(tpm.WithDeviceName(p.Socket), tpm.WithStore(storage.NewDirstore(t.TempDir())), tpm.WithDisableDownload())
	if err != nil {
		t.Fatal(err)
	}
	eks, err := w.GetEKs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ak, err := w.CreateAK(t.Context(), "ak")
	if err != nil {
		t.Fatal(err)
	}
	return &computer{w, eks[0], ak}
}

// name is what the computer's TPM is registered by.
func (c *computer) name(t *testing.T) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(c.ek.Public())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return "ek:" + hex.EncodeToString(sum[:])
}

// tpmClaim is what a computer sends, with what a test changes of it.
type tpmClaim struct {
	Info   map[string]any `json:"tpmInfo"`
	EK     []byte         `json:"ek"`
	Certs  [][]byte       `json:"ekCerts,omitempty"`
	Params tpmParams      `json:"params"`
}

type tpmParams struct {
	Public            []byte `json:"public"`
	CreateData        []byte `json:"createData"`
	CreateAttestation []byte `json:"createAttestation"`
	CreateSignature   []byte `json:"createSignature"`
}

func (c *computer) claim(t *testing.T) tpmClaim {
	t.Helper()
	p, err := c.ak.AttestationParameters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(c.ek.Public())
	if err != nil {
		t.Fatal(err)
	}
	out := tpmClaim{
		Info: map[string]any{"version": 2, "manufacturer": "4116", "model": "swtpm", "firmwareVersion": "1.2"},
		EK:   der, Params: tpmParams{p.Public, p.CreateData, p.CreateAttestation, p.CreateSignature},
	}
	if cert := c.ek.Certificate(); cert != nil {
		out.Certs = [][]byte{cert.Raw}
	}
	return out
}

type tpmQuestion struct {
	Credential []byte `json:"credential"`
	Secret     []byte `json:"secret"`
}

func (c *computer) answer(t *testing.T, q tpmQuestion) []byte {
	t.Helper()
	secret, err := c.ak.ActivateCredential(t.Context(), tpm.EncryptedCredential{Credential: q.Credential, Secret: q.Secret})
	if err != nil {
		t.Fatalf("ActivateCredential: %v", err)
	}
	return secret
}

// post calls the tpmDesk; a refusal is an error with the kind and the words of the answer.
func (o *tpmDesk) post(t *testing.T, challenge, what string, in, out any) error {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.url+"/tpm/"+challenge+"/"+what, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode == http.StatusOK {
		if err := json.Unmarshal(b, out); err != nil {
			t.Fatalf("answer %q: %v", b, err)
		}
		return nil
	}
	var p struct {
		Kind   ward.Kind
		Detail string
	}
	if err := json.Unmarshal(b, &p); err != nil {
		t.Fatalf("problem %q: %v", b, err)
	}
	return ward.Errorf(p.Kind, "%s", p.Detail)
}

type tpmSecret struct {
	Secret []byte `json:"secret"`
}

type tpmChain struct {
	Chain [][]byte `json:"chain"`
}

// refusedTPM fails the test unless err is of a kind and says want.
func refusedTPM(t *testing.T, name string, err error, kind ward.Kind, want string) {
	t.Helper()
	if ward.KindOf(err) != kind || err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v; want kind %s with %q", name, err, kind, want)
	}
}

// tpmSigner is an authority of a test.
type tpmSigner struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newTPMSigner(t *testing.T, name string) tpmSigner {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := tpmSigner{key: key}
	s.cert = &x509.Certificate{Subject: pkix.Name{CommonName: name}}
	s.cert = s.sign(t, x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, key.Public())
	return s
}

func (s tpmSigner) sign(t *testing.T, tmpl x509.Certificate, key crypto.PublicKey) *x509.Certificate {
	t.Helper()
	tmpl.SerialNumber = big.NewInt(time.Now().UnixNano())
	der, err := x509.CreateCertificate(rand.Reader, &tmpl, s.cert, key, s.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
