package ca_test

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/tpmid/tpmtest"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/store/storetest"
	"go.step.sm/crypto/keyutil"
	"go.step.sm/crypto/pemutil"
)

// rootOf is a root that is kept elsewhere.
type rootOf struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newRoot(t testing.TB, edit func(*x509.Certificate)) rootOf {
	t.Helper()
	key, err := keyutil.GenerateSigner("EC", "P-384", 0)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Hospital Root", Organization: []string{"Hospital"}}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(15, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: 1, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if edit != nil {
		edit(c)
	}
	return rootOf{signed(t, c, nil, key.Public(), key), key}
}

func (r rootOf) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.cert.Raw})
}

func (r rootOf) keyPEM(t testing.TB, passphrase string) []byte {
	t.Helper()
	options := []pemutil.Options{pemutil.WithPKCS8(true)}
	if passphrase != "" {
		options = append(options, pemutil.WithPassword([]byte(passphrase)))
	}
	b, err := pemutil.Serialize(r.key, options...)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(b)
}

// sign signs a request as its extensions ask, after edit.
func (r rootOf) sign(t testing.TB, request []byte, edit func(*x509.Certificate)) []byte {
	t.Helper()
	block, _ := pem.Decode(request)
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{Subject: csr.Subject, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(5, 0, 0), ExtraExtensions: csr.Extensions}
	key := csr.PublicKey
	if edit != nil {
		if edit(c); c.PublicKey != nil {
			key = c.PublicKey
		}
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed(t, c, r.cert, key, r.key).Raw})
}

func founding(t testing.TB) (ca.Founding, *fixture) {
	t.Helper()
	f := &fixture{db: storetest.SQLite(t), clock: newClock()}
	quiet := newFixture(t, storetest.SQLite(t))
	f.o = options(f.db, filepath.Join(t.TempDir(), "ca"), f.clock.now, quiet.o.Log)
	return ca.Founding{Dir: f.o.Dir, Passphrase: f.o.Passphrase, Organisation: f.o.Organisation, Now: f.clock.now}, f
}

// TestRootOffline: the root is never here, and an authority founded so works and rotates
// like another.
func TestRootOffline(t *testing.T) {
	t.Parallel()
	places := map[string]func(t *testing.T) string{
		"file": func(*testing.T) string { return "" },
		"tpm":  func(t *testing.T) string { return "tpmkms:name=ward;device=" + tpmtest.Bare(t).Socket },
	}
	for name, place := range places {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := newRoot(t, nil)
			found, f := founding(t)
			found.Key = place(t)
			if _, err := found.Import(t.Context(), root.pem()); ward.KindOf(err) != ward.NotFound {
				t.Errorf("Import without a request = %v, want kind not found", err)
			}
			request, err := found.Request(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if again, err := found.Request(t.Context()); err != nil || !sameKey(t, again, keyOf(t, request)) {
				t.Errorf("asked again, it is for another key: %v", err)
			}
			_, err = ca.Open(t.Context(), f.o)
			if ward.KindOf(err) != ward.Conflict || !strings.Contains(err.Error(), "ward ca init --import") {
				t.Errorf("Open before the import = %v, want kind conflict with the cure", err)
			}
			made, err := found.Import(t.Context(), append(root.sign(t, request, nil), root.pem()...))
			if err != nil {
				t.Fatal(err)
			}
			if !made.Root.Equal(root.cert) || made.Issuer.Subject.String() != "CN=Example Trust Device CA,O=Example Trust" {
				t.Errorf("made %s under %s", made.Issuer.Subject, made.Root.Subject)
			}
			if _, err := found.Request(t.Context()); ward.KindOf(err) != ward.Conflict {
				t.Errorf("Request when it is made = %v, want kind conflict", err)
			}
			if f.Authority, err = ca.Open(t.Context(), f.o); err != nil {
				t.Fatal(err)
			}
			s := &signing{fixture: f}
			s.knows = s.listed
			s.issues(t)
			s.revokes(t)
			if _, err := os.Stat(filepath.Join(f.o.Dir, "1", "root.key")); !os.IsNotExist(err) {
				t.Errorf("there is a root's key: %v", err)
			}
			if _, err := f.Rotate(t.Context(), ca.Rotation{}); ward.KindOf(err) != ward.NotFound {
				t.Errorf("Rotate without the root's key = %v, want kind not found", err)
			}
			second, err := f.RequestIssuer(t.Context(), ca.KeyInFile)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.ImportIssuer(t.Context(), append(root.pem(), root.sign(t, second, nil)...), f.clock.now()); err != nil {
				t.Errorf("ImportIssuer with the root in the file: %v", err)
			}
			s.app(t)
		})
	}
}

func keyOf(t testing.TB, request []byte) crypto.PublicKey {
	t.Helper()
	block, _ := pem.Decode(request)
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return csr.PublicKey
}

// TestImportSaysAll: every mistake in a chain is told at once, and then it can be mended.
func TestImportSaysAll(t *testing.T) {
	t.Parallel()
	found, _ := founding(t)
	request, err := found.Request(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	root := newRoot(t, nil)
	bad := root.sign(t, request, func(c *x509.Certificate) {
		c.ExtraExtensions, c.IsCA, c.BasicConstraintsValid, c.MaxPathLen = nil, true, true, 3
		c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageCertSign, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		c.NotAfter, c.PublicKey = time.Now().AddDate(30, 0, 0), newKey(t).Public()
		c.PermittedURIDomains = []string{"example.org"}
	})
	limited := newRoot(t, func(c *x509.Certificate) {
		c.MaxPathLen, c.MaxPathLenZero, c.NotAfter = 0, true, time.Now().Add(-time.Minute)
	})
	_, err = found.Import(t.Context(), append(bad, limited.pem()...))
	e, _ := err.(*ward.Error) //nolint:errorlint // its own details are compared
	if e == nil {
		t.Fatalf("Import = %v", err)
	}
	want := []string{
		"It is for another key than the one that was requested here.",
		"Its path length is not 0 (basicConstraints pathlen): it has no authorities beneath it.",
		"Its key usage must be certificate signing, CRL signing, digital signature and key encipherment.",
		"It is limited to some purposes (extended key usage): what it signs is for others.",
		"It limits the URIs that it may sign for (name constraints): Ward names devices by URIs.",
		"It outlives the root.",
		"It is not signed by this authority's root, CN=Hospital Root,O=Hospital.",
		"The root, CN=Hospital Root,O=Hospital: Its path length is 0: it allows no issuer beneath it.",
		"The root, CN=Hospital Root,O=Hospital: It is expired or not yet valid.",
	}
	got := slices.Clone(e.Details)
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" || e.Kind != ward.Invalid {
		t.Errorf("kind %s; mistakes mismatch (-want +got)\n%s", e.Kind, diff)
	}
	for name, chain := range map[string][]byte{
		"no root": root.sign(t, request, nil), "nothing": nil, "three": slices.Concat(root.sign(t, request, nil), root.pem(), limited.pem()), "a key": root.keyPEM(t, ""),
		"the same name": slices.Concat(root.sign(t, request, func(c *x509.Certificate) { c.Subject = root.cert.Subject }), root.pem()),
	} {
		if _, err := found.Import(t.Context(), chain); ward.KindOf(err) != ward.Invalid {
			t.Errorf("Import of %s = %v, want kind invalid", name, err)
		}
	}
	if _, err := found.Import(t.Context(), slices.Concat(root.pem(), root.sign(t, request, nil))); err != nil {
		t.Errorf("Import of what is right, after all: %v", err)
	}
}

// TestImportTellsApart: of a root that lacks one key usage nothing else is said.
func TestImportTellsApart(t *testing.T) {
	t.Parallel()
	found, _ := founding(t)
	request, err := found.Request(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	root := newRoot(t, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })
	_, err = found.Import(t.Context(), slices.Concat(root.sign(t, request, nil), root.pem()))
	e, _ := err.(*ward.Error) //nolint:errorlint // its own details are compared
	if e == nil {
		t.Fatalf("Import = %v", err)
	}
	if diff := cmp.Diff([]string{"The root, CN=Hospital Root,O=Hospital: Its key usage lacks certificate signing."}, e.Details); diff != "" {
		t.Errorf("mistakes mismatch (-want +got)\n%s", diff)
	}
	other := newRoot(t, nil) // of the same name, with another key
	_, err = found.Import(t.Context(), slices.Concat(other.sign(t, request, nil), root.pem()))
	if err == nil || !strings.Contains(err.Error(), "It is not signed by this authority's root") {
		t.Errorf("Import under the root of another = %v", err)
	}
}

// TestUnderRoot: the root's key is brought here once and not kept.
func TestUnderRoot(t *testing.T) {
	t.Parallel()
	root, other := newRoot(t, nil), newRoot(t, nil)
	found, f := founding(t)
	plain := newRoot(t, func(c *x509.Certificate) { c.IsCA, c.MaxPathLen, c.KeyUsage = false, 0, x509.KeyUsageDigitalSignature })
	for name, try := range map[string]func() error{
		"the key of another": func() error { _, err := found.Under(t.Context(), root.pem(), other.keyPEM(t, ""), nil); return err },
		"no passphrase": func() error {
			_, err := found.Under(t.Context(), root.pem(), root.keyPEM(t, "secret"), []byte("wrong"))
			return err
		},
		"no authority":   func() error { _, err := found.Under(t.Context(), plain.pem(), plain.keyPEM(t, ""), nil); return err },
		"no certificate": func() error { _, err := found.Under(t.Context(), nil, root.keyPEM(t, ""), nil); return err },
	} {
		if err := try(); ward.KindOf(err) != ward.Invalid {
			t.Errorf("Under with %s = %v, want kind invalid", name, err)
		}
	}
	made, err := found.Under(t.Context(), root.pem(), root.keyPEM(t, "secret"), []byte("secret"))
	if err != nil || !made.Root.Equal(root.cert) {
		t.Fatalf("Under = %v", err)
	}
	if f.Authority, err = ca.Open(t.Context(), f.o); err != nil {
		t.Fatal(err)
	}
	s := &signing{fixture: f}
	s.issues(t)
	if err := filepath.WalkDir(f.o.Dir, func(path string, _ os.DirEntry, err error) error {
		if strings.Contains(path, "root.key") {
			t.Errorf("the root's key was kept: %s", path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Rotate(t.Context(), ca.Rotation{RootKey: root.keyPEM(t, "")}); err != nil {
		t.Errorf("Rotate with the root's key from elsewhere: %v", err)
	}
}
