package ca_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/crypto/acme"
)

// door is a small Challenges that spends, and that may refuse hardware.
type door struct {
	mu     sync.Mutex
	grants map[string]ca.Grant
	permit func(ctx context.Context, challenge string, by ca.Attested) error
	fail   error // of the next Redeem
	spent  map[string]ca.Certificate
	store  *store.Certificates
}

func (d *door) Lookup(_ context.Context, challenge string) (ca.Grant, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	g, ok := d.grants[challenge]
	if _, spent := d.spent[challenge]; !ok || spent {
		return ca.Grant{}, ward.Errorf(ward.Forbidden, "This challenge is not known, or it was used.")
	}
	return g, nil
}

func (d *door) Permit(ctx context.Context, challenge string, by ca.Attested) error {
	if d.permit == nil {
		return nil
	}
	return d.permit(ctx, challenge, by)
}

func (d *door) Redeem(ctx context.Context, challenge string, c ca.Certificate) error {
	fresh, err := d.store.UseOnce(ctx, "challenge", challenge, []byte(c.Serial), c.NotBefore)
	if err != nil {
		return err
	}
	if !fresh {
		return ward.Errorf(ward.Forbidden, "This challenge was used already.")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.fail; err != nil {
		d.fail = nil
		return err
	}
	d.spent[challenge] = c
	return nil
}

func (d *door) grant(challenge string, g ca.Grant) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.grants[challenge] = g
}

// hardware is an authority that vouches for secure enclaves.
type hardware struct {
	root, between       *x509.Certificate
	rootKey, betweenKey *ecdsa.PrivateKey
}

// newHardware makes a root and an intermediate that are valid for a day around now.
func newHardware(t testing.TB, now time.Time) *hardware {
	t.Helper()
	h := new(hardware)
	h.rootKey, h.betweenKey = ecKey(t, elliptic.P384()), ecKey(t, elliptic.P384())
	h.root = issueBy(t, authority("test attestation root", now), nil, h.rootKey.Public(), h.rootKey)
	h.between = issueBy(t, authority("test attestation", now), h.root, h.betweenKey.Public(), h.rootKey)
	return h
}

func authority(name string, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
}

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func issueBy(t testing.TB, tmpl, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		t.Fatal(err)
	}
	tmpl.SerialNumber = n
	if parent == nil {
		parent = tmpl
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// claim is what an enclave says of its device.
type claim struct {
	serial, udid, os string
	from, to         time.Time // zero: an hour around now
	nonce            []byte    // nil: the right one
	leaveNonce       bool
}

func oid(last ...int) asn1.ObjectIdentifier {
	return append(asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8}, last...)
}

// attest makes an attestation object in Apple's format for a key.
func (h *hardware) attest(t testing.TB, c claim, token string, key crypto.PublicKey, now time.Time) []byte {
	t.Helper()
	if c.from.IsZero() {
		c.from, c.to = now.Add(-time.Hour), now.Add(time.Hour)
	}
	if c.nonce == nil {
		sum := sha256.Sum256([]byte(token))
		c.nonce = sum[:]
	}
	tmpl := &x509.Certificate{Subject: pkix.Name{CommonName: "attested key"}, NotBefore: c.from, NotAfter: c.to, KeyUsage: x509.KeyUsageDigitalSignature}
	add := func(id asn1.ObjectIdentifier, value string) {
		if value != "" {
			tmpl.ExtraExtensions = append(tmpl.ExtraExtensions, pkix.Extension{Id: id, Value: []byte(value)})
		}
	}
	add(oid(9, 1), c.serial)
	add(oid(9, 2), c.udid)
	add(oid(10, 2), c.os)
	if !c.leaveNonce {
		add(oid(11, 1), string(c.nonce))
	}
	leaf := issueBy(t, tmpl, h.between, key, h.betweenKey)
	return object(t, "apple", map[string]any{"x5c": [][]byte{leaf.Raw, h.between.Raw}})
}

func object(t testing.TB, format string, statement map[string]any) []byte {
	t.Helper()
	b, err := cbor.Marshal(map[string]any{"fmt": format, "attStmt": statement, "authData": []byte{}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// through has an HTTP client ask a handler, whatever the host.
type through struct{ h http.Handler }

func (x through) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(ward.WithRequestID(r.Context(), "req-1"))
	in.Host, in.RequestURI = r.URL.Host, r.URL.RequestURI()
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	x.h.ServeHTTP(w, in)
	return w.Result(), nil
}

// acmeFixture is an authority that believes a test's hardware.
type acmeFixture struct {
	*fixture
	door *door
	hw   *hardware
	h    http.Handler
}

func newACME(t testing.TB, db *store.DB, edit func(*ca.Options)) *acmeFixture {
	t.Helper()
	shared, err := keys()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "ca")
	if err := os.CopyFS(dir, shared); err != nil {
		t.Fatal(err)
	}
	f := &acmeFixture{fixture: &fixture{db: db, clock: newClock()}}
	f.hw = newHardware(t, f.clock.now())
	f.door = &door{grants: map[string]ca.Grant{}, spent: map[string]ca.Certificate{}, store: db.Certificates()}
	core, logs := observer.New(zapcore.DebugLevel)
	f.logs = logs
	f.o = options(db, dir, f.clock.now, zap.New(core))
	f.o.Challenges, f.o.AppleRoots = f.door, []*x509.Certificate{f.hw.root}
	if edit != nil {
		edit(&f.o)
	}
	if f.Authority, err = ca.Open(t.Context(), f.o); err != nil {
		t.Fatalf("Open: %v", err)
	}
	f.h = f.ACME()
	return f
}

// attested is a grant for a device's identity to hardware that is ordered as identifier.
func attested(identifier string) ca.Grant {
	return ca.Grant{
		Invitation: "inv-" + identifier, CommonName: "Ward phone",
		Attestation: &ca.Attestation{Format: ca.FormatApple, Identifier: identifier},
	}
}

// client is one ACME client with the key that its hardware holds.
type client struct {
	*acme.Client
	t   testing.TB
	f   *acmeFixture
	key *ecdsa.PrivateKey
}

func (f *acmeFixture) client(t testing.TB, challenge string) *client {
	t.Helper()
	return &client{t: t, f: f, key: ecKey(t, elliptic.P256()), Client: &acme.Client{
		Key: ecKey(t, elliptic.P256()), DirectoryURL: f.DirectoryURL(challenge, "apple"), HTTPClient: &http.Client{Transport: through{f.h}},
		RetryBackoff: func(int, *http.Request, *http.Response) time.Duration { return -1 },
	}}
}

// order registers and orders, and returns the order with its challenge.
func (c *client) order(identifier string) (*acme.Order, *acme.Challenge, error) {
	if c.KID == "" {
		if _, err := c.Register(c.t.Context(), &acme.Account{}, acme.AcceptTOS); err != nil {
			return nil, nil, fmt.Errorf("register: %w", err)
		}
	}
	o, err := c.AuthorizeOrder(c.t.Context(), []acme.AuthzID{{Type: "permanent-identifier", Value: identifier}})
	if err != nil {
		return nil, nil, err
	}
	z, err := c.GetAuthorization(c.t.Context(), o.AuthzURLs[0])
	if err != nil {
		return nil, nil, fmt.Errorf("authorization: %w", err)
	}
	if len(z.Challenges) != 1 || z.Challenges[0].Type != "device-attest-01" {
		return nil, nil, fmt.Errorf("challenges are %+v", z.Challenges)
	}
	return o, z.Challenges[0], nil
}

// answer posts an attestation to the challenge; a refusal is the challenge's error.
func (c *client) answer(ch *acme.Challenge, object []byte) error {
	b, err := json.Marshal(map[string]string{"attObj": base64.RawURLEncoding.EncodeToString(object)})
	if err != nil {
		c.t.Fatal(err)
	}
	ch.Payload = b
	got, err := c.Accept(c.t.Context(), ch)
	if err == nil && got.Status == acme.StatusInvalid {
		err = got.Error
	}
	if err == nil && got.Status != acme.StatusValid {
		err = errors.New("the challenge is " + got.Status)
	}
	return err
}

// finalize has the certificate signed for a request.
func (c *client) finalize(o *acme.Order, key crypto.Signer, tmpl x509.CertificateRequest) ([]*x509.Certificate, error) {
	csr, err := x509.CreateCertificateRequest(rand.Reader, &tmpl, key)
	if err != nil {
		c.t.Fatal(err)
	}
	ders, _, err := c.CreateOrderCert(c.t.Context(), o.FinalizeURL, csr, true)
	if err != nil {
		return nil, err
	}
	chain := make([]*x509.Certificate, len(ders))
	for i, der := range ders {
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			c.t.Fatal(err)
		}
	}
	return chain, nil
}

// enrol does all of it.
func (c *client) enrol(identifier string, says claim) ([]*x509.Certificate, error) {
	o, ch, err := c.order(identifier)
	if err != nil {
		return nil, err
	}
	if err := c.answer(ch, c.f.hw.attest(c.t, says, ch.Token, c.key.Public(), c.f.clock.now())); err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	if o, err = c.WaitOrder(c.t.Context(), o.URI); err != nil {
		return nil, fmt.Errorf("wait: %w", err)
	}
	return c.finalize(o, c.key, x509.CertificateRequest{Subject: pkix.Name{CommonName: identifier}})
}

// problemOf returns the last word of the problem that err is, "" if it is none.
func problemOf(err error) string {
	const prefix = "urn:ietf:params:acme:error:"
	var e *acme.Error
	if errors.As(err, &e) && len(e.ProblemType) > len(prefix) {
		return e.ProblemType[len(prefix):]
	}
	return ""
}

// issued counts the certificates in the record, servers' not among them.
func (f *acmeFixture) issued(t testing.TB) int {
	t.Helper()
	all, err := f.o.Store.Certificates(t.Context(), ca.Filter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
