package ca_test

import (
	"context"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store/storetest"
)

var appGrant = ca.AppGrant{Device: "d1", Enrolment: "e1", App: "uk.example.chat"}

func issueApp(t testing.TB, f *fixture, g ca.AppGrant) *x509.Certificate {
	t.Helper()
	csr, _ := ecRequest(t, elliptic.P256())
	chain, err := f.IssueApp(t.Context(), csr, g, nil)
	if err != nil {
		t.Fatalf("IssueApp: %v", err)
	}
	return chain[0]
}

func uris(c *x509.Certificate) (s []string) {
	for _, u := range c.URIs {
		s = append(s, u.String())
	}
	return s
}

func TestIssueApp(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	csr, key := ecRequest(t, elliptic.P384())
	var inUnit ca.Certificate
	chain, err := f.IssueApp(t.Context(), csr, appGrant, func(_ context.Context, c ca.Certificate) error { inUnit = c; return nil })
	if err != nil {
		t.Fatal(err)
	}
	cert := chain[0]
	if !key.PublicKey.Equal(cert.PublicKey) || len(chain) != 2 || !chain[1].Equal(f.Issuer()) {
		t.Errorf("the chain does not begin with the asked key and end with the issuer")
	}
	if diff := cmp.Diff([]string{"urn:ward:device:d1", "urn:ward:app:uk.example.chat"}, uris(cert)); diff != "" {
		t.Errorf("names mismatch (-want +got)\n%s", diff)
	}
	if cert.Subject.String() != "CN=d1,OU=app,O=Example Trust" || len(cert.DNSNames)+len(cert.EmailAddresses) != 0 {
		t.Errorf("subject %s, hosts %v, mail %v: some come from the request", cert.Subject, cert.DNSNames, cert.EmailAddresses)
	}
	if diff := cmp.Diff([]string{"https://ward.example:8443/ca/crl"}, cert.CRLDistributionPoints); diff != "" {
		t.Errorf("CRL distribution point mismatch (-want +got)\n%s", diff)
	}
	if want := f.clock.now().Truncate(time.Second).Add(7 * 24 * time.Hour); !cert.NotAfter.Equal(want) || cert.KeyUsage != x509.KeyUsageDigitalSignature {
		t.Errorf("valid until %s, want %s; key usage %b", cert.NotAfter, want, cert.KeyUsage)
	}
	if _, err := cert.Verify(x509.VerifyOptions{
		Roots: rootOnly(f), Intermediates: f.Pool(), CurrentTime: f.clock.now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}); err != nil {
		t.Errorf("Verify: %v", err)
	}
	got, err := f.Check(t.Context(), cert)
	if diff := cmp.Diff(inUnit, got); err != nil || diff != "" {
		t.Errorf("Check: %v, mismatch with what the unit of work was told (-told +got)\n%s", err, diff)
	}
	if got.Device != "d1" || got.Enrolment != "e1" || got.App != "uk.example.chat" || got.Kind != ca.KindApp {
		t.Errorf("Check = %+v", got)
	}
}

func rootOnly(f *fixture) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(f.Root())
	return p
}

func TestIssueAppRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	small, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // the authority must refuse it
	if err != nil {
		t.Fatal(err)
	}
	p521, _ := ecRequest(t, elliptic.P521())
	good, _ := ecRequest(t, elliptic.P256())
	forged, _ := ecRequest(t, elliptic.P256())
	forged.PublicKey = good.PublicKey
	tests := []struct {
		name  string
		csr   *x509.CertificateRequest
		grant ca.AppGrant
	}{
		{"no request", nil, appGrant},
		{"RSA-1024", request(t, small), appGrant},
		{"P-521", p521, appGrant},
		{"not signed with its key", forged, appGrant},
		{"no device", good, ca.AppGrant{Enrolment: "e1", App: "a.b"}},
		{"no enrolment", good, ca.AppGrant{Device: "d1", App: "a.b"}},
		{"app that is no bundle id", good, ca.AppGrant{Device: "d1", Enrolment: "e1", App: "a b:c"}},
	}
	for _, tt := range tests {
		if _, err := f.IssueApp(t.Context(), tt.csr, tt.grant, nil); ward.KindOf(err) != ward.Invalid {
			t.Errorf("%s: IssueApp = %v, want kind invalid", tt.name, err)
		}
	}
}

// TestIssueAppUndone: when the caller's part of the unit of work fails, the signed
// certificate is worth nothing.
func TestIssueAppUndone(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	csr, _ := ecRequest(t, elliptic.P256())
	var serial string
	_, err := f.IssueApp(t.Context(), csr, appGrant, func(_ context.Context, c ca.Certificate) error { serial = c.Serial; return errBoom })
	if !errors.Is(err, errBoom) {
		t.Errorf("IssueApp = %v, want %v", err, errBoom)
	}
	if _, err := f.o.Store.CertificateBySerial(t.Context(), serial); ward.KindOf(err) != ward.NotFound {
		t.Errorf("the record has certificate %q (%v), want none", serial, err)
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	f, other := newFixture(t, storetest.SQLite(t)), fixtureIn(t, storetest.SQLite(t), t.TempDir())
	server, err := f.IssueServer(t.Context(), []string{"ward.example"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	// The same keys on an empty record: what was signed but not recorded.
	empty := f.o
	db := storetest.SQLite(t)
	empty.Unit, empty.Store = db, db.Certificates()
	stranger, err := ca.Open(t.Context(), empty)
	if err != nil {
		t.Fatal(err)
	}
	revoked, good := issueApp(t, f, appGrant), issueApp(t, f, ca.AppGrant{Device: "d2", Enrolment: "e2", App: "uk.example.chat"})
	serials, err := f.RevokeApps(t.Context(), "d1", ca.KeyCompromise, "case 1")
	if diff := cmp.Diff([]string{revoked.SerialNumber.String()}, serials); err != nil || diff != "" {
		t.Errorf("RevokeApps: %v (-want +got)\n%s", err, diff)
	}
	tests := []struct {
		name string
		a    *ca.Authority
		cert *x509.Certificate
		want error
	}{
		{"good", f.Authority, good, nil},
		{"none", f.Authority, nil, ca.ErrForeign},
		{"of another authority", f.Authority, issueApp(t, other, appGrant), ca.ErrForeign},
		{"the issuer's own", f.Authority, f.Issuer(), ca.ErrForeign},
		{"for a server", f.Authority, server.Leaf, ca.ErrUnusable},
		{"not in the record", stranger, good, ca.ErrUnrecorded},
		{"revoked", f.Authority, revoked, ca.ErrRevoked},
	}
	check := func(name string, a *ca.Authority, cert *x509.Certificate, want error) {
		t.Helper()
		_, err := a.Check(t.Context(), cert)
		if !errors.Is(err, want) || (want != nil && ward.KindOf(err) != ward.Forbidden) {
			t.Errorf("%s: Check = %v, want %v", name, err, want)
		}
	}
	for _, tt := range tests {
		check(tt.name, tt.a, tt.cert, tt.want)
	}
	f.clock.turn(8 * 24 * time.Hour)
	check("expired", f.Authority, good, ca.ErrOutsideTime)
	f.clock.turn(-9 * 24 * time.Hour)
	check("not yet valid", f.Authority, good, ca.ErrOutsideTime)
}
