package ca_test

import (
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/certificates/authority/provisioner"
	"github.com/smallstep/scep"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store/storetest"
	"go.step.sm/crypto/jose"
)

// What an embedded step-ca leaves open unless somebody closes it. Each test shows that one
// such hole is closed here, or that nothing leads to it.

// TestHolesRenewal: a certificate that carries nothing of a provisioner renews past every
// gate in the library, by the one that does nothing; and its SCEP provisioner can't renew
// at all. Here nothing is renewed: another certificate is issued or none.
func TestHolesRenewal(t *testing.T) {
	t.Parallel()
	f := newACME(t, storetest.SQLite(t), nil)
	f.door.grant("one", attested("S1"))
	c := f.client(t, "one")
	chain, err := c.enrol("S1", claim{serial: "S1"})
	if err != nil {
		t.Fatal(err)
	}
	for name, cert := range map[string]*x509.Certificate{"of an app": issueApp(t, f.fixture, appGrant), "by ACME": chain[0]} {
		if _, err := f.Step().RenewContext(t.Context(), cert, nil); err == nil || !strings.Contains(err.Error(), "guard: renewal is not offered") {
			t.Errorf("%s: renewal = %v, want it refused by the guard", name, err)
		}
		if _, err := f.Step().Rekey(cert, ecKey(t, elliptic.P256()).Public()); err == nil {
			t.Errorf("%s: it was given another key", name)
		}
	}
	if f.issued(t) != 2 {
		t.Errorf("%d certificates are recorded, want 2", f.issued(t))
	}
	d := newDevice(t, rsaKey(), "one")
	if m := d.read(t, content(t, post(t, f.SCEP(), d.message(t, scep.RenewalReq, f.Issuer()))), f.Issuer()); m.PKIStatus != scep.FAILURE {
		t.Errorf("renewal by SCEP: status %s", m.PKIStatus)
	}
}

// TestHolesProvisioners: there is no way into the library but ACME for hardware that
// attests: no certificate vouches for another (X5C takes a revoked one), no token buys
// one (they die, or may be used again, when the server starts anew), no SCEP of its own.
func TestHolesProvisioners(t *testing.T) {
	t.Parallel()
	f := newACME(t, storetest.SQLite(t), nil)
	list, _, err := f.Step().GetProvisioners("", 100)
	if err != nil || len(list) != 2 {
		t.Fatalf("%d provisioners, %v", len(list), err)
	}
	for _, p := range list {
		a, ok := p.(*provisioner.ACME)
		if !ok || (a.Name != "apple" && a.Name != "tpm") {
			t.Fatalf("provisioner %s is a %T", p.GetName(), p)
		}
		for _, kind := range []provisioner.ACMEChallenge{provisioner.HTTP_01, provisioner.DNS_01, provisioner.TLS_ALPN_01, provisioner.WIREOIDC_01, provisioner.WIREDPOP_01} {
			if a.IsChallengeEnabled(t.Context(), kind) {
				t.Errorf("%s offers %s", a.Name, kind)
			}
		}
	}
	if f.Step().GetSCEP() != nil {
		t.Error("the library serves SCEP")
	}
}

// TestHolesTokens: a token is refused before it is remembered, so that a forged one leaves
// no row; and what is to be used once is remembered in the database.
func TestHolesTokens(t *testing.T) {
	t.Parallel()
	f := newACME(t, storetest.SQLite(t), nil)
	key := ecKey(t, elliptic.P256())
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, new(jose.SignerOptions).WithType("JWT").WithHeader("kid", "k"))
	if err != nil {
		t.Fatal(err)
	}
	for _, issuer := range []string{"ott", "x5c", "apple", "tpm"} {
		now := f.clock.now()
		token, err := jose.Signed(s).Claims(jose.Claims{
			Issuer: issuer, Subject: "d1", ID: "token-1", Audience: jose.Audience{"https://localhost/1.0/sign", "https://localhost/1.0/sign#x5c/x5c"},
			IssuedAt: jose.NewNumericDate(now), NotBefore: jose.NewNumericDate(now), Expiry: jose.NewNumericDate(now.Add(time.Minute)),
		}).CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		for _, method := range []provisioner.Method{provisioner.SignMethod, provisioner.RevokeMethod, provisioner.RenewMethod} {
			if _, err := f.Step().Authorize(provisioner.NewContextWithMethod(t.Context(), method), token); err == nil {
				t.Errorf("a token of %s is good for %s", issuer, method)
			}
		}
	}
	if n, err := f.o.Store.PurgeOnce(t.Context(), f.clock.now().Add(time.Hour)); err != nil || n != 0 {
		t.Errorf("forged tokens left %d rows, %v", n, err)
	}
	if fresh, err := f.Step().GetDatabase().UseToken("id", "token"); err != nil || !fresh {
		t.Errorf("UseToken = %v, %v", fresh, err)
	}
	again, err := ca.Open(t.Context(), f.o)
	if err != nil {
		t.Fatal(err)
	}
	if fresh, err := again.Step().GetDatabase().UseToken("id", "token"); err != nil || fresh {
		t.Errorf("after a start, UseToken = %v, %v; want it used", fresh, err)
	}
}

// TestHolesRevocation: the library panics when it is asked to revoke a certificate that it
// is not given. Ward's revocation goes by the record, and ACME's is not offered.
func TestHolesRevocation(t *testing.T) {
	t.Parallel()
	f := newACME(t, storetest.SQLite(t), nil)
	f.door.grant("one", attested("S1"))
	if ok, err := f.Revoke(t.Context(), "12345", ca.KeyCompromise, "test"); ok || (err != nil && ward.KindOf(err) != ward.NotFound) {
		t.Errorf("Revoke of nothing = %v, %v", ok, err)
	}
	to := strings.TrimSuffix(f.DirectoryURL("one", "apple"), "directory")
	for path, want := range map[string]int{
		"revoke-cert": http.StatusNotImplemented, "key-change": http.StatusNotImplemented,
		"renew": http.StatusNotFound, "rekey": http.StatusNotFound, "sign": http.StatusNotFound,
	} {
		res := visit(t, f.h, http.MethodPost, to+path, []byte(`{"certificate":""}`))
		if res.StatusCode != want {
			t.Errorf("POST %s is %s, want %d", path, res.Status, want)
		}
	}
	for _, path := range []string{"/ca/renew", "/ca/rekey", "/ca/sign", "/ca/revoke", "/1.0/sign", "/1.0/renew", "/acme", "/acme/"} {
		if res := visit(t, f.h, http.MethodPost, "https://ward.example:8443"+path, nil); res.StatusCode != http.StatusNotFound {
			t.Errorf("POST %s is %s, want 404", path, res.Status)
		}
	}
}

// TestHolesSigning: whoever has the library sign past Ward's own way gets nothing: not the
// names of the request, and not what a template of its own makes.
func TestHolesSigning(t *testing.T) {
	t.Parallel()
	f := newACME(t, storetest.SQLite(t), nil)
	csr, _ := ecRequest(t, elliptic.P256())
	list, _, err := f.Step().GetProvisioners("", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		options, err := p.(*provisioner.ACME).AuthorizeSign(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Step().SignWithContext(t.Context(), csr, provisioner.SignOptions{}, options...); err == nil {
			t.Errorf("by %s the request was signed", p.GetName())
		}
	}
	if _, err := f.Step().SignWithContext(t.Context(), csr, provisioner.SignOptions{}); err == nil {
		t.Error("the request was signed")
	}
}

// TestHolesRows: a nonce is a row for every answer in the library, and orders, accounts
// and certificates stay for ever. Here a nonce that is only given leaves nothing, and
// what is left is purged.
func TestHolesRows(t *testing.T) {
	t.Parallel()
	f := newACME(t, storetest.SQLite(t), nil)
	f.door.grant("one", attested("S1"))
	for range 20 {
		res := visit(t, f.h, http.MethodHead, strings.Replace(f.DirectoryURL("one", "apple"), "directory", "new-nonce", 1), nil)
		if res.StatusCode != http.StatusOK || res.Header.Get("Replay-Nonce") == "" {
			t.Fatalf("new-nonce is %s", res.Status)
		}
	}
	if n, err := f.o.Store.PurgeOrders(t.Context(), f.clock.now().Add(time.Hour), f.clock.now().Add(time.Hour)); err != nil || n != 0 {
		t.Errorf("%d rows for nonces that nobody used, %v", n, err)
	}
	if _, err := f.client(t, "one").enrol("S1", claim{serial: "S1"}); err != nil {
		t.Fatal(err)
	}
	f.clock.turn(25 * time.Hour)
	if n, err := f.PurgeACME(t.Context()); err != nil || n != 4 {
		t.Errorf("PurgeACME = %d, %v; want one order and three nonces", n, err)
	}
	if n, err := f.o.Store.PurgeOnce(t.Context(), f.clock.now()); err != nil || n != 1 {
		t.Errorf("PurgeOnce = %d, %v; want the spent challenge alone", n, err)
	}
}

// TestHolesLog: no line has the secret of a directory, whatever is wrong with a message.
func TestHolesLog(t *testing.T) {
	t.Parallel()
	f := newACME(t, storetest.SQLite(t), nil)
	const secret = "canary+with/%25signs"
	challenge := strings.ReplaceAll(secret, "/", "-")
	f.door.grant(challenge, attested("S1"))
	to := f.DirectoryURL(challenge, "apple")
	account := strings.Replace(to, "directory", "new-account", 1)
	nonce := func() string {
		return visit(t, f.h, http.MethodHead, strings.Replace(to, "directory", "new-nonce", 1), nil).Header.Get("Replay-Nonce")
	}
	key := ecKey(t, elliptic.P256())
	for _, m := range [][]byte{sign(t, key, to+"x", nonce(), "{}"), sign(t, key, account, rand.Text(), "{}"), []byte("{}"), nil} {
		if res := visit(t, f.h, http.MethodPost, account, m); res.StatusCode/100 != 4 {
			t.Errorf("a bad message: %s", res.Status)
		}
	}
	if _, err := f.client(t, challenge).enrol("S2", claim{serial: "S2"}); err == nil {
		t.Error("another identifier was ordered")
	}
	f.door.fail = errBoom
	if _, err := f.client(t, challenge).enrol("S1", claim{serial: "S1"}); err == nil {
		t.Error("a fault was not told")
	}
	if f.logs.FilterMessage("acme request refused").Len() < 5 || f.logs.FilterMessage("acme request failed").Len() != 1 {
		t.Errorf("%d refusals and %d faults are in the log", f.logs.FilterMessage("acme request refused").Len(), f.logs.FilterMessage("acme request failed").Len())
	}
	for _, line := range f.logs.All() {
		for name, v := range line.ContextMap() {
			if text, ok := v.(string); ok && strings.Contains(text, "canary") {
				t.Errorf("%s has it in %s: %s", line.Message, name, text)
			}
		}
	}
}
