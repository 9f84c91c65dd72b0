package ca_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/smallstep/scep"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
	"go.step.sm/crypto/pemutil"
)

// rotated returns a fixture whose second issuer signs.
func rotated(t *testing.T, db *store.DB) (f *fixture, before *x509.Certificate) {
	t.Helper()
	f = newFixture(t, db)
	before = f.Issuer()
	if _, err := f.Rotate(t.Context(), ca.Rotation{}); err != nil {
		t.Fatalf("Rotate: %v", err)
	}
	f.clock.turn(ca.Settle + time.Second)
	return f, before
}

// listOf fetches the list of an issuer where cert says that it is.
func listOf(t *testing.T, f *fixture, cert *x509.Certificate) *x509.RevocationList {
	t.Helper()
	path := strings.TrimPrefix(cert.CRLDistributionPoints[0], f.o.PublicURL)
	w := httptest.NewRecorder()
	f.CRL().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	l, err := x509.ParseRevocationList(w.Body.Bytes())
	if err != nil || w.Code != http.StatusOK {
		t.Fatalf("GET %s = %d, %v", path, w.Code, err)
	}
	return l
}

// TestRotate: what the old issuer signed stays valid, can be revoked, and is listed by
// it; what is signed from then on comes from the new one.
func TestRotate(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		old := issueApp(t, f, appGrant)
		made, err := f.Rotate(t.Context(), ca.Rotation{})
		if err != nil {
			t.Fatal(err)
		}
		if made.Number != 2 || made.Certificate.Subject.String() != "CN=Example Trust Device CA 2,O=Example Trust" || len(f.Issuers()) != 2 {
			t.Errorf("made issuer %d, %s, of %d", made.Number, made.Certificate.Subject, len(f.Issuers()))
		}
		early := issueApp(t, f, appGrant)
		if early.CheckSignatureFrom(f.Issuers()[0]) != nil {
			t.Error("the new issuer signed before other processes had the time to know it")
		}
		f.clock.turn(ca.Settle)
		fresh := issueApp(t, f, appGrant)
		if err := fresh.CheckSignatureFrom(made.Certificate); err != nil || !f.Issuer().Equal(made.Certificate) {
			t.Errorf("a certificate after the rotation is not from the new issuer: %v", err)
		}
		roots := x509.NewCertPool()
		roots.AddCert(f.Root())
		for _, c := range []*x509.Certificate{old, early, fresh} {
			if _, err := f.Check(t.Context(), c); err != nil {
				t.Errorf("Check(%s from %s) = %v", c.SerialNumber, c.Issuer, err)
			}
			_, err := c.Verify(x509.VerifyOptions{Roots: roots, Intermediates: f.Pool(), CurrentTime: f.clock.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
			if err != nil || !f.Issued(c) {
				t.Errorf("chain of %s: %v", c.SerialNumber, err)
			}
			if ok, err := f.Revoke(t.Context(), c.SerialNumber.String(), ca.Superseded, "test"); !ok || err != nil {
				t.Fatalf("Revoke = %v, %v", ok, err)
			}
		}
		if err := f.RemakeCRL(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, c := range []*x509.Certificate{old, fresh} {
			issuer := f.Issuers()[0]
			want := []string{old.SerialNumber.String(), early.SerialNumber.String()}
			if c == fresh {
				issuer, want = made.Certificate, []string{fresh.SerialNumber.String()}
			}
			l := listOf(t, f, c)
			if err := l.CheckSignatureFrom(issuer); err != nil {
				t.Errorf("the list at %s is not from the issuer of its certificates: %v", c.CRLDistributionPoints[0], err)
			}
			slices.Sort(want)
			got := serials(l)
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("list at %s mismatch (-want +got)\n%s", c.CRLDistributionPoints[0], diff)
			}
			if _, err := f.Check(t.Context(), c); !errors.Is(err, ca.ErrRevoked) {
				t.Errorf("Check of a revoked certificate = %v", err)
			}
		}
		again, err := ca.Open(t.Context(), f.o)
		if err != nil || !again.Issuer().Equal(made.Certificate) || len(again.Issuers()) != 2 {
			t.Errorf("opened anew: %v", err)
		}
	})
}

// TestRotateOtherProcess: a process that was running takes the new issuer in before it
// signs, and accepts what it signs.
func TestRotateOtherProcess(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	other, err := ca.Open(t.Context(), f.o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Rotate(t.Context(), ca.Rotation{}); err != nil {
		t.Fatal(err)
	}
	if err := other.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.clock.turn(ca.Settle)
	cert := issueApp(t, f, appGrant)
	if _, err := other.Check(t.Context(), cert); err != nil || !other.Issuer().Equal(f.Issuer()) {
		t.Errorf("the other process refuses it: %v", err)
	}
	// A copy whose folder was rotated by itself would sign what the others refuse.
	apart := f.o
	apart.Dir = filepath.Join(t.TempDir(), "ca")
	if err := os.CopyFS(filepath.Join(apart.Dir, "1"), os.DirFS(filepath.Join(f.o.Dir, "1"))); err != nil {
		t.Fatal(err)
	}
	third, err := ca.Open(t.Context(), apart)
	if err != nil {
		t.Fatal(err)
	}
	if n := f.logs.FilterMessageSnippet("an issuer is missing").Len(); n != 1 {
		t.Errorf("%d warnings that issuer 2 is missing, want 1", n)
	}
	f.logs.TakeAll()
	if err := errors.Join(third.Reload(t.Context()), third.Reload(t.Context())); err != nil || f.logs.FilterMessageSnippet("an issuer is missing").Len() != 0 {
		t.Errorf("it was warned of at the start already, and is once: %v", err)
	}
	if _, err := third.Rotate(t.Context(), ca.Rotation{}); ward.KindOf(err) != ward.Conflict {
		t.Errorf("Rotate of a copy that lacks issuer 2 = %v, want a Conflict", err)
	}
	if _, err := os.Stat(filepath.Join(apart.Dir, "2")); !os.IsNotExist(err) {
		t.Errorf("the refused issuer stays: %v", err)
	}
}

// TestRotateSCEP: a phone that asked for the authority's certificate before the rotation
// and one that asks after it both get theirs, from the new issuer.
func TestRotateSCEP(t *testing.T) {
	t.Parallel()
	f, before := rotated(t, storetest.SQLite(t))
	res := ask(t, f.SCEP(), http.MethodGet, "operation=GetCACert", nil)
	if b := content(t, res); !bytes.Equal(b, f.Issuer().Raw) || res.Header.Get("Content-Type") != "application/x-x509-ca-cert" {
		t.Errorf("GetCACert is not the issuer that signs now")
	}
	for challenge, known := range map[string]*x509.Certificate{"one": before, "two": f.Issuer()} {
		d := newDevice(t, rsaKey(), challenge)
		m := d.read(t, content(t, post(t, f.SCEP(), d.message(t, scep.PKCSReq, known))), known)
		if m.PKIStatus != scep.SUCCESS {
			t.Fatalf("challenge %s: %s", challenge, m.FailInfo)
		}
		cert := m.CertRepMessage.Certificate
		if err := cert.CheckSignatureFrom(f.Issuer()); err != nil {
			t.Errorf("challenge %s: not from the new issuer: %v", challenge, err)
		}
		if c, err := f.Check(t.Context(), cert); err != nil || c.Issuer != 2 {
			t.Errorf("challenge %s: Check = issuer %d, %v", challenge, c.Issuer, err)
		}
	}
	d := newDevice(t, rsaKey(), "unknown")
	if m := d.read(t, content(t, post(t, f.SCEP(), d.message(t, scep.PKCSReq, before))), before); m.PKIStatus != scep.FAILURE {
		t.Errorf("a wrong challenge to the old issuer = %s", m.PKIStatus)
	}
}

// TestRotateTwiceAtOnce: of two that make the next issuer, both succeed with different
// numbers, or one is told of the other.
func TestRotateTwiceAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	other, err := ca.Open(t.Context(), f.o)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, a := range []*ca.Authority{f.Authority, other} {
		wg.Go(func() {
			if _, err := a.Rotate(t.Context(), ca.Rotation{}); err != nil && ward.KindOf(err) != ward.Conflict {
				t.Errorf("Rotate: %v", err)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(f.Reload(t.Context()), other.Reload(t.Context())); err != nil {
		t.Fatal(err)
	}
	if a, b := f.Issuers(), other.Issuers(); len(a) < 2 || len(a) != len(b) || !a[len(a)-1].Equal(b[len(b)-1]) {
		t.Errorf("two processes know %d and %d issuers", len(a), len(b))
	}
}

func TestRotateRootKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	path := filepath.Join(f.o.Dir, "1", "root.key")
	key, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Rotate(t.Context(), ca.Rotation{}); ward.KindOf(err) != ward.NotFound {
		t.Errorf("Rotate without the root's key = %v, want NotFound", err)
	}
	for name, r := range map[string]ca.Rotation{
		"wrong passphrase": {RootKey: key, RootPassphrase: []byte("wrong")}, "no key": {RootKey: []byte("no key")}, "another key": {RootKey: otherKey(t)},
	} {
		if _, err := f.Rotate(t.Context(), r); ward.KindOf(err) != ward.Invalid {
			t.Errorf("Rotate with %s = %v, want Invalid", name, err)
		}
	}
	from := f.clock.now().Add(24 * time.Hour)
	made, err := f.Rotate(t.Context(), ca.Rotation{RootKey: key, From: from})
	if err != nil || !made.From.Equal(from.Truncate(time.Second)) {
		t.Fatalf("Rotate with the key from the safe = %+v, %v", made, err)
	}
}

func otherKey(t *testing.T) []byte {
	t.Helper()
	b, err := pemutil.Serialize(rsaKey(), pemutil.WithPKCS8(true))
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(b)
}

// TestRotateOffline: the root's key is never brought to the server.
func TestRotateOffline(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	root, err := pemutil.Read(filepath.Join(f.o.Dir, "1", "root.key"), pemutil.WithPassword(f.o.Passphrase))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(f.o.Dir, "1", "root.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ImportIssuer(t.Context(), nil, time.Time{}); ward.KindOf(err) != ward.NotFound {
		t.Errorf("ImportIssuer without a request = %v, want NotFound", err)
	}
	text, err := f.RequestIssuer(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(text)
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err := errors.Join(err, csr.CheckSignature()); err != nil || len(rest) > 0 {
		t.Fatal(err)
	}
	if again, err := f.RequestIssuer(t.Context(), ""); err != nil || !sameKey(t, again, csr.PublicKey) {
		t.Errorf("a second request is for another key: %v", err)
	}
	sign := func(edit func(c *x509.Certificate), key any) []byte {
		c := &x509.Certificate{
			SerialNumber: big.NewInt(77), Subject: csr.Subject, NotBefore: f.clock.now().Add(-time.Hour), NotAfter: f.clock.now().AddDate(5, 0, 0),
			IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, SubjectKeyId: []byte{1, 2, 3},
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		}
		edit(c)
		der, err := x509.CreateCertificate(rand.Reader, c, f.Root(), key, root)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	for name, edit := range map[string]func(c *x509.Certificate){
		"for another key":   nil,
		"no authority":      func(c *x509.Certificate) { c.IsCA, c.MaxPathLenZero = false, false },
		"no key encipher":   func(c *x509.Certificate) { c.KeyUsage &^= x509.KeyUsageKeyEncipherment },
		"limited purposes":  func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} },
		"expired":           func(c *x509.Certificate) { c.NotAfter = f.clock.now().Add(-time.Minute) },
		"outlives the root": func(c *x509.Certificate) { c.NotAfter = f.Root().NotAfter.AddDate(1, 0, 0) },
		"the old name":      func(c *x509.Certificate) { c.Subject = pkix.Name{}; c.RawSubject = f.Issuer().RawSubject },
	} {
		key := csr.PublicKey
		if edit == nil {
			key, edit = rsaKey().Public(), func(*x509.Certificate) {}
		}
		if _, err := f.ImportIssuer(t.Context(), sign(edit, key), time.Time{}); ward.KindOf(err) != ward.Invalid {
			t.Errorf("ImportIssuer of a certificate %s = %v, want Invalid", name, err)
		}
	}
	made, err := f.ImportIssuer(t.Context(), sign(func(*x509.Certificate) {}, csr.PublicKey), f.clock.now())
	if err != nil || made.Number != 2 {
		t.Fatalf("ImportIssuer = %+v, %v", made, err)
	}
	cert := issueApp(t, f, appGrant)
	if _, err := f.Check(t.Context(), cert); err != nil || cert.CheckSignatureFrom(made.Certificate) != nil {
		t.Errorf("the imported issuer does not sign: %v", err)
	}
	if cert.NotAfter.After(made.Certificate.NotAfter) {
		t.Error("a certificate outlives its issuer")
	}
}

func sameKey(t *testing.T, csrPEM []byte, key crypto.PublicKey) bool {
	t.Helper()
	block, _ := pem.Decode(csrPEM)
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return csr.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(key)
}

// TestIssuerHandler: a client that has only a leaf finds its issuer where the leaf says.
func TestIssuerHandler(t *testing.T) {
	t.Parallel()
	f, _ := rotated(t, storetest.SQLite(t))
	cert := issueApp(t, f, appGrant)
	path := strings.TrimPrefix(cert.IssuingCertificateURL[0], f.o.PublicURL)
	w := httptest.NewRecorder()
	f.IssuerHandler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	b, err := io.ReadAll(w.Body)
	if err != nil || !bytes.Equal(b, f.Issuer().Raw) || w.Header().Get("Content-Type") != "application/pkix-cert" {
		t.Errorf("GET %s = %d, %v, %d bytes", path, w.Code, err, len(b))
	}
	w = httptest.NewRecorder()
	f.IssuerHandler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, ca.IssuersPath+"/3", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("an issuer that there is not = %d, want 404", w.Code)
	}
}
