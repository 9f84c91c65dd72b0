package ca_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/smallstep/scep"
	scepx509 "github.com/smallstep/scep/x509util"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/tpmid/tpmtest"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
	"golang.org/x/crypto/ocsp"
)

// signing is an authority with what signs for it.
type signing struct {
	*fixture
	// cut makes what signs unreachable, join brings it back; nil where it can't be away.
	cut, join func(t *testing.T)
	// knows reports whether what publishes the status of a certificate has it as revoked.
	knows func(t *testing.T, cert *x509.Certificate) bool
}

// signers are the ways to sign; each passes the same tests. Those that need a build tag
// add themselves in files of their own.
func signers() map[string]func(t *testing.T, db *store.DB) *signing {
	all := map[string]func(t *testing.T, db *store.DB) *signing{
		"file": func(t *testing.T, db *store.DB) *signing {
			t.Helper()
			return &signing{fixture: newFixture(t, db)}
		},
		"tpm":     inTPM,
		"outside": underOutside,
	}
	maps.Copy(all, taggedSigners)
	return all
}

// keyedFixture opens a new authority whose issuer's key is at a place.
func keyedFixture(t testing.TB, db *store.DB, key string) *fixture {
	t.Helper()
	f := &fixture{db: db, clock: newClock()}
	quiet := newFixture(t, storetest.SQLite(t))
	f.o, f.logs = options(db, filepath.Join(t.TempDir(), "ca"), f.clock.now, quiet.o.Log), quiet.logs
	f.o.IssuerKey = key
	var err error
	if f.Authority, err = ca.Open(t.Context(), f.o); err != nil {
		t.Fatalf("Open: %v", err)
	}
	return f
}

func inTPM(t *testing.T, db *store.DB) *signing {
	t.Helper()
	chip := tpmtest.Bare(t)
	s := &signing{fixture: keyedFixture(t, db, "tpmkms:name=ward-issuer;device="+chip.Socket)}
	s.cut, s.join = func(t *testing.T) { t.Helper(); chip.Stop(t) }, func(t *testing.T) { t.Helper(); chip.Start(t) }
	return s
}

// TestSigners is the conformance test of everything that signs.
func TestSigners(t *testing.T) {
	t.Parallel()
	for name, open := range signers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, storetest.SQLite(t))
			if s.knows == nil {
				s.knows = s.listed
			}
			t.Run("issues", s.issues)
			t.Run("caps the life", s.caps)
			t.Run("at once", s.atOnce)
			t.Run("names", s.names)
			t.Run("revokes", s.revokes)
			t.Run("again", s.again)
			if s.cut != nil {
				t.Run("away", s.away)
			}
		})
	}
}

// plainRequest asks for no names.
func plainRequest(t testing.TB, key crypto.Signer) *x509.CertificateRequest {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// plainDevice speaks SCEP and asks for no names.
func plainDevice(t testing.TB, challenge string) *device {
	t.Helper()
	d := newDevice(t, rsaKey(), challenge)
	der, err := scepx509.CreateCertificateRequest(rand.Reader, &scepx509.CertificateRequest{
		CertificateRequest: x509.CertificateRequest{Subject: pkix.Name{}}, ChallengePassword: challenge,
	}, d.key)
	if err != nil {
		t.Fatal(err)
	}
	if d.csr, err = x509.ParseCertificateRequest(der); err != nil {
		t.Fatal(err)
	}
	return d
}

// recipient asks whom SCEP requests are encrypted to, and checks the answer.
func (s *signing) recipient(t *testing.T) *x509.Certificate {
	t.Helper()
	res := ask(t, s.SCEP(), http.MethodGet, "operation=GetCACert", nil)
	body := content(t, res)
	if kind := res.Header.Get("Content-Type"); kind == "application/x-x509-ca-cert" {
		cert, err := x509.ParseCertificate(body)
		if err != nil || !cert.Equal(s.Issuer()) {
			t.Fatalf("GetCACert: %v, or it is not the issuer", err)
		}
		return cert
	} else if kind != "application/x-x509-ca-ra-cert" {
		t.Fatalf("GetCACert is a %s", kind)
	}
	all, err := scep.CACerts(body)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(all, s.Issuer().Equal) {
		t.Error("GetCACert does not have the issuer")
	}
	for _, c := range all {
		if c.KeyUsage&x509.KeyUsageKeyEncipherment != 0 {
			if c.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
				t.Errorf("%s can't sign answers", c.Subject)
			}
			if _, ok := c.PublicKey.(*rsa.PublicKey); !ok {
				t.Errorf("%s has a %T, want RSA", c.Subject, c.PublicKey)
			}
			return c
		}
	}
	t.Fatal("GetCACert has nobody that requests can be encrypted to")
	return nil
}

// enrol exchanges a challenge by SCEP; the certificate is nil where it was refused, and
// the status that of HTTP.
func (s *signing) enrol(t *testing.T, challenge string) (*x509.Certificate, int) {
	t.Helper()
	to, d := s.recipient(t), plainDevice(t, challenge)
	res := post(t, s.SCEP(), d.message(t, scep.PKCSReq, to))
	if res.StatusCode != http.StatusOK {
		return nil, res.StatusCode
	}
	m := d.read(t, content(t, res), to)
	if m.PKIStatus != scep.SUCCESS {
		return nil, http.StatusOK
	}
	return m.CertRepMessage.Certificate, http.StatusOK
}

// grant adds a challenge.
func (s *signing) grant(challenge string, g ca.Grant) { s.o.Challenges.(gate).grants[challenge] = g }

func (s *signing) app(t *testing.T) *x509.Certificate {
	t.Helper()
	chain, err := s.IssueApp(t.Context(), plainRequest(t, newKey(t)), appGrant, nil)
	if err != nil {
		t.Fatalf("IssueApp: %v", err)
	}
	return chain[0]
}

// good checks what holds for every certificate.
func (s *signing) good(t *testing.T, cert *x509.Certificate, name string, want ...string) {
	t.Helper()
	if cert == nil {
		t.Fatalf("no certificate for %s", want)
	}
	if diff := cmp.Diff(want, uris(cert)); diff != "" || cert.Subject.CommonName != name {
		t.Errorf("common name %q, want %q; names mismatch (-want +got)\n%s", cert.Subject.CommonName, name, diff)
	}
	if !slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) || cert.IsCA {
		t.Errorf("purposes %v, authority %v", cert.ExtKeyUsage, cert.IsCA)
	}
	roots := x509.NewCertPool()
	for _, c := range s.Roots() {
		roots.AddCert(c)
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: s.Pool(), CurrentTime: s.clock.now(), KeyUsages: cert.ExtKeyUsage}); err != nil {
		t.Errorf("Verify: %v", err)
	}
	if _, err := s.Check(t.Context(), cert); err != nil || !s.Issued(cert) {
		t.Errorf("Check: %v", err)
	}
}

func (s *signing) issues(t *testing.T) {
	s.grant("net", ca.Grant{Kind: ca.KindNetwork, Device: "d1", Enrolment: "e1", Profile: profileHash})
	s.good(t, s.app(t), "d1", "urn:ward:device:d1", "urn:ward:app:uk.example.chat")
	cert, _ := s.enrol(t, "two")
	s.good(t, cert, "Ward phone", "urn:ward:invitation:inv2")
	cert, _ = s.enrol(t, "net")
	s.good(t, cert, "d1", "urn:ward:device:d1")
	if cert, _ := s.enrol(t, "two"); cert != nil {
		t.Error("a challenge got two certificates")
	}
}

func (s *signing) caps(t *testing.T) {
	cert := s.app(t)
	if left, want := cert.NotAfter.Sub(s.clock.now()), 7*24*time.Hour; left > want+10*time.Minute || left < want-time.Hour {
		t.Errorf("valid for %s, want %s", left, want)
	}
}

func (s *signing) atOnce(t *testing.T) {
	const n = 12
	certs := make([]*x509.Certificate, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			chain, err := s.IssueApp(t.Context(), plainRequest(t, newKey(t)), ca.AppGrant{Device: ward.DeviceID(fmt.Sprint("c", i)), Enrolment: "e1", App: "a.b"}, nil)
			if err != nil {
				t.Errorf("IssueApp: %v", err)
				return
			}
			certs[i] = chain[0]
		})
	}
	wg.Wait()
	serials := map[string]bool{}
	for i, c := range certs {
		if c != nil {
			serials[c.SerialNumber.String()] = true
			s.good(t, c, fmt.Sprint("c", i), fmt.Sprint("urn:ward:device:c", i), "urn:ward:app:a.b")
		}
	}
	if len(serials) != n {
		t.Errorf("%d serial numbers of %d", len(serials), n)
	}
}

// names: what a request wants to be called is ignored or refused, and never signed.
func (s *signing) names(t *testing.T) {
	chain, err := s.IssueApp(t.Context(), request(t, newKey(t)), appGrant, nil)
	if err == nil {
		s.good(t, chain[0], "d1", "urn:ward:device:d1", "urn:ward:app:uk.example.chat")
		if len(chain[0].DNSNames)+len(chain[0].EmailAddresses) > 0 {
			t.Error("names of the request were signed")
		}
	} else if ward.KindOf(err) != ward.Invalid {
		t.Errorf("a request with names of its own: %v, want none or kind invalid", err)
	}
	p521, _ := ecRequest(t, elliptic.P521())
	if _, err := s.IssueApp(t.Context(), p521, appGrant, nil); ward.KindOf(err) != ward.Invalid {
		t.Errorf("a key on P-521: %v, want kind invalid", err)
	}
	if _, err := s.IssueApp(t.Context(), plainRequest(t, newKey(t)), ca.AppGrant{Device: "d1", Enrolment: "e1", App: "a b"}, nil); ward.KindOf(err) != ward.Invalid {
		t.Errorf("an app that is no bundle id: %v, want kind invalid", err)
	}
}

// listed reports whether the authority's own list and OCSP have cert as revoked.
func (s *signing) listed(t *testing.T, cert *x509.Certificate) bool {
	t.Helper()
	l := listOf(t, s.fixture, cert)
	if err := l.CheckSignatureFrom(s.Issuer()); err != nil {
		t.Errorf("the revocation list is not the issuer's: %v", err)
	}
	question, err := ocsp.CreateRequest(cert, s.Issuer(), nil)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.OCSP().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, ca.OCSPPath, bytes.NewReader(question)))
	answer, err := ocsp.ParseResponseForCert(w.Body.Bytes(), cert, s.Issuer())
	if err != nil {
		t.Fatalf("OCSP: %v", err)
	}
	inList := slices.Contains(serials(l), cert.SerialNumber.String())
	if inList != (answer.Status == ocsp.Revoked) {
		t.Errorf("in the list %v, by OCSP %d", inList, answer.Status)
	}
	return inList
}

func (s *signing) revokes(t *testing.T) {
	cert := s.app(t)
	if s.knows(t, cert) {
		t.Error("a new certificate counts as revoked")
	}
	if ok, err := s.Revoke(t.Context(), cert.SerialNumber.String(), ca.KeyCompromise, "test"); !ok || err != nil {
		t.Fatalf("Revoke = %v, %v", ok, err)
	}
	if err := s.RemakeCRL(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Check(t.Context(), cert); !errors.Is(err, ca.ErrRevoked) {
		t.Errorf("Check = %v, want ErrRevoked", err)
	}
	if !s.knows(t, cert) {
		t.Error("a revoked certificate does not count as revoked")
	}
}

// again: another process, or the server after a restart, goes on with the same issuer.
func (s *signing) again(t *testing.T) {
	other, err := ca.Open(t.Context(), s.o)
	if err != nil {
		t.Fatal(err)
	}
	if !other.Issuer().Equal(s.Issuer()) {
		t.Error("opened anew, another issuer signs")
	}
	before := s.Authority
	to := s.recipient(t)
	s.Authority = other
	t.Cleanup(func() { s.Authority = before })
	if !s.recipient(t).Equal(to) {
		t.Error("opened anew, SCEP requests go to somebody else")
	}
	s.good(t, s.app(t), "d1", "urn:ward:device:d1", "urn:ward:app:uk.example.chat")
}

// away: what signs is not there. Nothing is recorded or spent, the error says what to do,
// and it goes on when it is back.
func (s *signing) away(t *testing.T) {
	count := func() (n int) {
		all, err := s.o.Store.CountCertificates(t.Context(), s.clock.now())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			n += c.Valid
		}
		return n
	}
	s.grant("later", ca.Grant{Invitation: "later", CommonName: "Ward phone"})
	known := s.app(t)
	before := count()
	s.cut(t)
	asked := false
	_, err := s.IssueApp(t.Context(), plainRequest(t, newKey(t)), appGrant, func(context.Context, ca.Certificate) error { asked = true; return nil })
	told, ok := errors.AsType[*ward.Error](err)
	if !ok || told.Kind != ward.Unavailable || asked {
		t.Errorf("IssueApp = %v, want kind unavailable; the unit of work ran: %v", err, asked)
	}
	if cert, status := s.enrol(t, "later"); cert != nil || status != http.StatusServiceUnavailable {
		t.Errorf("SCEP = %v, %d, want 503", cert, status)
	}
	if n := count(); n != before {
		t.Errorf("%d certificates in the record, want %d", n, before)
	}
	if _, err := s.Check(t.Context(), known); err != nil {
		t.Errorf("Check of what was issued before: %v", err)
	}
	s.join(t)
	s.app(t)
	if cert, status := s.enrol(t, "later"); cert == nil {
		t.Errorf("the challenge was spent while nothing was issued: %d", status)
	}
}
