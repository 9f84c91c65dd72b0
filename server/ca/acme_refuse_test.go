package ca_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/scep"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store/storetest"
	"go.step.sm/crypto/jose"
	"golang.org/x/crypto/acme"
)

// TestACMERefusesAttestation: each has the standard's own error, is logged, and leaves
// no certificate; and the challenge is good for the right device afterwards.
func TestACMERefusesAttestation(t *testing.T) {
	t.Parallel()
	f := newACME(t, storetest.SQLite(t), nil)
	f.door.permit = func(_ context.Context, _ string, by ca.Attested) error {
		if by.Serial == "STOLEN" {
			return ward.Errorf(ward.Forbidden, "This is not the device that was invited.")
		}
		return nil
	}
	now := f.clock.now()
	other := newHardware(t, now)
	good := claim{serial: "S1", udid: "U1", os: "26.1"}
	small, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // the authority must refuse it
	if err != nil {
		t.Fatal(err)
	}
	with := func(edit func(*claim)) claim {
		c := good
		edit(&c)
		return c
	}
	sum := sha256.Sum256([]byte("another token"))
	tests := []struct {
		name      string
		by        *hardware
		anonymous bool
		says      claim
		key       crypto.PublicKey
		object    []byte
		want      string
	}{
		{name: "another device's", says: with(func(c *claim) { c.serial = "STOLEN" }), want: "rejectedIdentifier"},
		{name: "made for another challenge", says: with(func(c *claim) { c.nonce = sum[:] }), want: "badAttestationStatement"},
		{name: "made for none", says: with(func(c *claim) { c.leaveNonce = true }), want: "badAttestationStatement"},
		{name: "expired", says: with(func(c *claim) { c.from, c.to = now.Add(-2*time.Hour), now.Add(-time.Hour) }), want: "badAttestationStatement"},
		{name: "not yet valid", says: with(func(c *claim) { c.from, c.to = now.Add(time.Hour), now.Add(2*time.Hour) }), want: "badAttestationStatement"},
		{name: "under another root", by: other, says: good, want: "badAttestationStatement"},
		{name: "no name where one is needed", says: claim{os: "26.1"}, want: "badAttestationStatement"},
		{name: "a name where none may be", says: good, anonymous: true, want: "badAttestationStatement"},
		{name: "a name that can't be printed", says: with(func(c *claim) { c.serial = "S\x001" }), want: "badAttestationStatement"},
		{name: "a name without end", says: with(func(c *claim) { c.serial = strings.Repeat("S", 200) }), want: "badAttestationStatement"},
		{name: "key RSA-1024", says: good, key: small.Public(), want: "badAttestationStatement"},
		{name: "key P-224", says: good, key: ecKey(t, elliptic.P224()).Public(), want: "badAttestationStatement"},
		{name: "key P-521", says: good, key: ecKey(t, elliptic.P521()).Public(), want: "badAttestationStatement"},
		{name: "of another format", object: object(t, "tpm", map[string]any{"ver": "2.0", "x5c": [][]byte{f.hw.between.Raw}}), want: "badAttestationStatement"},
		{name: "of a format nobody knows", object: object(t, "none", map[string]any{"x5c": [][]byte{f.hw.between.Raw}}), want: "badAttestationStatement"},
		{name: "without certificates", object: object(t, "apple", map[string]any{}), want: "badAttestationStatement"},
		{name: "with too many certificates", object: object(t, "apple", map[string]any{"x5c": make([][]byte, 30)}), want: "badAttestationStatement"},
		{name: "no attestation", object: []byte("{}"), want: "badAttestationStatement"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			challenge := "secret-" + url.PathEscape(tt.name)
			g := attested("S1")
			g.Attestation.Anonymous = tt.anonymous
			f.door.grant(challenge, g)
			c := f.client(t, challenge)
			o, ch, err := c.order("S1")
			if err != nil {
				t.Fatal(err)
			}
			if tt.by == nil {
				tt.by = f.hw
			}
			if tt.key == nil {
				tt.key = c.key.Public()
			}
			if tt.object == nil {
				tt.object = tt.by.attest(t, tt.says, ch.Token, tt.key, now)
			}
			if err := c.answer(ch, tt.object); problemOf(err) != tt.want {
				t.Errorf("answer = %v, want the problem %s", err, tt.want)
			}
			if _, err := c.finalize(o, c.key, x509.CertificateRequest{}); problemOf(err) != "orderNotReady" {
				t.Errorf("finalize after it = %v, want orderNotReady", err)
			}
			again := f.hw.attest(t, good, ch.Token, c.key.Public(), now)
			if err := c.answer(ch, again); problemOf(err) != tt.want {
				t.Errorf("a second answer = %v, want %s still", err, tt.want)
			}
			var bad *acme.OrderError
			if _, err := c.WaitOrder(t.Context(), o.URI); !errors.As(err, &bad) || bad.Status != acme.StatusInvalid {
				t.Errorf("the order is %v, want it invalid", err)
			}
			if _, err := f.door.Lookup(t.Context(), challenge); err != nil || f.issued(t) != 0 {
				t.Errorf("the challenge was spent (%v), or a certificate issued", err)
			}
			logged := f.logs.FilterMessage("acme certificate refused").TakeAll()
			if len(logged) == 0 {
				t.Error("no line in the log")
			}
			f.logs.TakeAll()
		})
	}
	if _, err := f.client(t, "secret-expired").enrol("S1", good); err != nil {
		t.Errorf("the right attestation after a wrong one: %v", err)
	}
}

// TestACMERefusesRequest: what finalises an order has to be for the attested key and for
// no other name. The order may be finalised by the right request afterwards.
func TestACMERefusesRequest(t *testing.T) {
	t.Parallel()
	f := newACME(t, storetest.SQLite(t), nil)
	f.door.grant("one", attested("S1"))
	c := f.client(t, "one")
	o, ch, err := c.order("S1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.finalize(o, c.key, x509.CertificateRequest{}); problemOf(err) != "orderNotReady" {
		t.Errorf("finalize before the answer = %v, want orderNotReady", err)
	}
	if err := c.answer(ch, f.hw.attest(t, claim{serial: "S1"}, ch.Token, c.key.Public(), f.clock.now())); err != nil {
		t.Fatal(err)
	}
	named := func(cn string) x509.CertificateRequest {
		return x509.CertificateRequest{Subject: pkix.Name{CommonName: cn}}
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // the authority must refuse it
	if err != nil {
		t.Fatal(err)
	}
	other, err := url.Parse("urn:ward:device:d2")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		key  crypto.Signer
		req  x509.CertificateRequest
		want string
	}{
		{"another key", ecKey(t, elliptic.P256()), named("S1"), "unauthorized"},
		{"RSA-1024", small, named("S1"), "badCSR"},
		{"P-224", ecKey(t, elliptic.P224()), named("S1"), "badCSR"},
		{"another common name", c.key, named("administrator"), "badCSR"},
		{"another serial number", c.key, x509.CertificateRequest{Subject: pkix.Name{SerialNumber: "S2"}}, "badCSR"},
		{"a host", c.key, x509.CertificateRequest{DNSNames: []string{"ward.example"}}, "badCSR"},
		{"a mailbox", c.key, x509.CertificateRequest{EmailAddresses: []string{"a@ward.example"}}, "badCSR"},
		{"a device", c.key, x509.CertificateRequest{URIs: []*url.URL{other}}, "badCSR"},
	}
	for _, tt := range tests {
		if _, err := c.finalize(o, tt.key, tt.req); problemOf(err) != tt.want {
			t.Errorf("%s: finalize = %v, want the problem %s", tt.name, err, tt.want)
		}
	}
	if f.issued(t) != 0 {
		t.Error("a certificate was issued")
	}
	if _, err := c.finalize(o, c.key, x509.CertificateRequest{Subject: pkix.Name{CommonName: "S1", Organization: []string{"Trust"}}, DNSNames: []string{"S1"}}); err != nil {
		t.Errorf("the right request after wrong ones: %v", err)
	}
}

// TestACMERefusesChallenge: what a challenge in the address does not grant is refused
// before anything is read or written.
func TestACMERefusesChallenge(t *testing.T) {
	t.Parallel()
	f := newACME(t, storetest.SQLite(t), nil)
	f.door.grant("by-scep", ca.Grant{Invitation: "i", CommonName: "phone"})
	f.door.grant("nameless", attested(""))
	f.door.grant("good", attested("S1"))
	g := attested("S1")
	g.Attestation.Format = ca.FormatTPM
	f.door.grant("for-tpm", g)
	tests := []struct {
		name, challenge, format string
		status                  int
	}{
		{"good", "good", "apple", http.StatusOK},
		{"unknown", "other", "apple", http.StatusUnauthorized},
		{"for SCEP", "by-scep", "apple", http.StatusUnauthorized},
		{"without identifier", "nameless", "apple", http.StatusUnauthorized},
		{"for another format", "for-tpm", "apple", http.StatusUnauthorized},
		{"asked for another format", "good", "tpm", http.StatusUnauthorized},
		{"a format that is not offered", "for-tpm", "tpm", http.StatusUnauthorized},
		{"a format nobody knows", "good", "step", http.StatusUnauthorized},
	}
	for _, tt := range tests {
		res := visit(t, f.h, http.MethodGet, f.DirectoryURL(tt.challenge, tt.format), nil)
		if res.StatusCode != tt.status {
			t.Errorf("%s: directory is %s, want %d", tt.name, res.Status, tt.status)
		}
		if tt.status == http.StatusOK {
			continue
		}
		var p struct{ Type string }
		if err := json.Unmarshal(content(t, res), &p); err != nil || p.Type != "urn:ietf:params:acme:error:unauthorized" || res.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: problem %q of %s, %v", tt.name, p.Type, res.Header.Get("Content-Type"), err)
		}
	}
	d := newDevice(t, rsaKey(), "good")
	if m := d.read(t, content(t, post(t, f.SCEP(), d.message(t, scep.PKCSReq, f.Issuer()))), f.Issuer()); m.PKIStatus != scep.FAILURE {
		t.Errorf("an ACME challenge by SCEP: status %s", m.PKIStatus)
	}
	f.door.fail = nil
	if f.issued(t) != 0 {
		t.Error("a certificate was issued")
	}
}

func visit(t testing.TB, h http.Handler, method, to string, body []byte) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, to, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/jose+json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// TestACMERefusesOrder: one identifier, the granted one, of the one type.
func TestACMERefusesOrder(t *testing.T) {
	t.Parallel()
	f := newACME(t, storetest.SQLite(t), nil)
	f.door.grant("one", attested("S1"))
	c := f.client(t, "one")
	if _, err := c.Register(t.Context(), &acme.Account{Contact: []string{"mailto:a@b.example"}}, acme.AcceptTOS); err != nil {
		t.Fatal(err)
	}
	id := func(kind, value string) acme.AuthzID { return acme.AuthzID{Type: kind, Value: value} }
	tests := []struct {
		name string
		ids  []acme.AuthzID
	}{
		{"another", []acme.AuthzID{id("permanent-identifier", "S2")}},
		{"a wildcard", []acme.AuthzID{id("permanent-identifier", "*.S1")}},
		{"two", []acme.AuthzID{id("permanent-identifier", "S1"), id("permanent-identifier", "S2")}},
		{"twice the same", []acme.AuthzID{id("permanent-identifier", "S1"), id("permanent-identifier", "S1")}},
		{"with a host", []acme.AuthzID{id("permanent-identifier", "S1"), id("dns", "ward.example")}},
		{"a host", []acme.AuthzID{id("dns", "ward.example")}},
		{"an address", []acme.AuthzID{id("ip", "192.0.2.1")}},
	}
	for _, tt := range tests {
		if _, err := c.AuthorizeOrder(t.Context(), tt.ids); problemOf(err) != "rejectedIdentifier" {
			t.Errorf("%s: AuthorizeOrder = %v, want rejectedIdentifier", tt.name, err)
		}
	}
	if orders, err := f.db.Certificates().OrdersOf(t.Context(), hashed("one")); err != nil || len(orders) != 0 {
		t.Errorf("%d orders were kept, %v", len(orders), err)
	}
}

// TestACMEOfOthers: an account, an order and a nonce are of the challenge they were made
// for, and orders of the account that made them.
func TestACMEOfOthers(t *testing.T) {
	t.Parallel()
	f := newACME(t, storetest.SQLite(t), nil)
	f.door.grant("one", attested("S1"))
	f.door.grant("two", attested("S1"))
	mine := f.client(t, "one")
	o, ch, err := mine.order("S1")
	if err != nil {
		t.Fatal(err)
	}
	theirs := f.client(t, "two")
	theirs.Key, theirs.KID = mine.Key, mine.KID
	if _, err := theirs.AuthorizeOrder(t.Context(), []acme.AuthzID{{Type: "permanent-identifier", Value: "S1"}}); problemOf(err) != "accountDoesNotExist" {
		t.Errorf("an account under another challenge: %v, want accountDoesNotExist", err)
	}
	theirs.KID = acme.KeyID(strings.Replace(string(mine.KID), "/one/", "/two/", 1))
	if _, err := theirs.AuthorizeOrder(t.Context(), []acme.AuthzID{{Type: "permanent-identifier", Value: "S1"}}); problemOf(err) != "accountDoesNotExist" {
		t.Errorf("an account moved to another challenge: %v, want accountDoesNotExist", err)
	}
	second := f.client(t, "one")
	if _, _, err := second.order("S1"); err != nil {
		t.Fatal(err)
	}
	if _, err := second.GetOrder(t.Context(), o.URI); err == nil {
		t.Error("another account was given the order")
	}
	if err := second.answer(ch, f.hw.attest(t, claim{serial: "S1"}, ch.Token, second.key.Public(), f.clock.now())); err == nil {
		t.Error("another account answered the challenge")
	}
	if got, err := mine.GetChallenge(t.Context(), ch.URI); err != nil || got.Status != acme.StatusPending {
		t.Errorf("asked for, the challenge is %+v, %v; want it pending", got, err)
	}
	if err := mine.RevokeCert(t.Context(), mine.Key, f.Issuer().Raw, acme.CRLReasonUnspecified); err == nil || f.issued(t) != 0 {
		t.Error("revocation is offered")
	}
	if err := mine.AccountKeyRollover(t.Context(), ecKey(t, elliptic.P256())); err == nil {
		t.Error("a change of the account's key is offered")
	}
}

// TestACMENonce: a message counts once, and only with a nonce of this challenge that is
// not too old.
func TestACMENonce(t *testing.T) {
	t.Parallel()
	f := newACME(t, storetest.SQLite(t), nil)
	f.door.grant("one", attested("S1"))
	f.door.grant("two", attested("S1"))
	key := ecKey(t, elliptic.P256())
	to := func(challenge, what string) string {
		return strings.Replace(f.DirectoryURL(challenge, "apple"), "directory", what, 1)
	}
	nonce := func(challenge string) string {
		return visit(t, f.h, http.MethodHead, to(challenge, "new-nonce"), nil).Header.Get("Replay-Nonce")
	}
	send := func(message []byte) (int, string) {
		res := visit(t, f.h, http.MethodPost, to("one", "new-account"), message)
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b)
	}
	signed := func(nonce string) []byte {
		return sign(t, key, to("one", "new-account"), nonce, `{"termsOfServiceAgreed":true}`)
	}
	first := signed(nonce("one"))
	if status, b := send(first); status != http.StatusCreated {
		t.Fatalf("new account: %d %s", status, b)
	}
	if status, b := send(first); status != http.StatusBadRequest || !strings.Contains(b, "badNonce") {
		t.Errorf("the same again: %d %s, want badNonce", status, b)
	}
	old := nonce("one")
	f.clock.turn(61 * time.Minute)
	for name, n := range map[string]string{"of another challenge": nonce("two"), "too old": old, "made up": "abc", "none": "", "from the future": future(t, f, nonce)} {
		if status, b := send(signed(n)); status != http.StatusBadRequest || !strings.Contains(b, "badNonce") {
			t.Errorf("a nonce %s: %d %s, want badNonce", name, status, b)
		}
	}
	if status, b := send(bytes.Repeat([]byte("x"), 70<<10)); status != http.StatusRequestEntityTooLarge || !strings.Contains(b, "malformed") {
		t.Errorf("a large message: %d %.100s", status, b)
	}
}

func future(t *testing.T, f *acmeFixture, nonce func(string) string) string {
	t.Helper()
	f.clock.turn(time.Hour)
	defer f.clock.turn(-time.Hour)
	return nonce("one")
}

// sign makes an ACME message by hand.
func sign(t testing.TB, key crypto.Signer, to, nonce, payload string) []byte {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, &jose.SignerOptions{
		EmbedJWK: true, NonceSource: once(nonce), ExtraHeaders: map[jose.HeaderKey]any{"url": to},
	})
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return []byte(m.FullSerialize())
}

type once string

func (n once) Nonce() (string, error) { return string(n), nil }
