package apns_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/micromdm/plist"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/apns"
	"software.sslmate.com/src/go-pkcs12"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// TestRequestToImport walks the whole way: request, countersign, certificate, import.
func TestRequestToImport(t *testing.T) {
	t.Parallel()
	s := startStandin(t)
	req, err := apns.NewRequest("Östra sjukhuset", "mdm@hospital.example")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(req.CSRPEM)
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if k, ok := csr.PublicKey.(*rsa.PublicKey); !ok || k.N.BitLen() != 2048 {
		t.Errorf("request key = %T, want RSA-2048", csr.PublicKey)
	}
	if got, want := csr.Subject.String(), "1.2.840.113549.1.9.1=mdm@hospital.example,O=Östra sjukhuset"; len(csr.Subject.Names) != 2 {
		t.Errorf("request subject = %s, want %s", got, want)
	}
	certPEM, err := s.Certify(req.CSRPEM, topic)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := apns.Import(certPEM, req.KeyPEM, topic, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if cert.Topic != topic || cert.TLS.PrivateKey == nil {
		t.Errorf("Import() topic = %q, want %q with its key", cert.Topic, topic)
	}
	again, err := apns.Import(cert.CertPEM, cert.KeyPEM, "", time.Now())
	if err != nil || again.Serial != cert.Serial {
		t.Errorf("Import() of what Import returned = %q, %v; want %q", again.Serial, err, cert.Serial)
	}
	der, _ := pem.Decode(certPEM)
	if _, err := apns.Import(der.Bytes, req.KeyPEM, "", time.Now()); err != nil {
		t.Errorf("Import() of a DER certificate: %v", err)
	}
	_, err = apns.Import(certPEM, req.KeyPEM, "com.apple.mgmt.External.old", time.Now())
	if ward.KindOf(err) != ward.Conflict || !strings.Contains(err.Error(), "com.apple.mgmt.External.old") {
		t.Errorf("Import() of another topic = %v, want a conflict that names it", err)
	}
}

func TestNewRequestRefuses(t *testing.T) {
	t.Parallel()
	_, err := apns.NewRequest(" ", "nobody")
	e, ok := errors.AsType[*ward.Error](err)
	if !ok || e.Kind != ward.Invalid || len(e.Details) != 2 {
		t.Errorf("NewRequest() = %v, want both mistakes", err)
	}
}

func TestImportTellsAllMistakes(t *testing.T) {
	t.Parallel()
	key, stranger := ecKey(t), ecKey(t)
	tmpl := template("no topic", now)
	tmpl.NotAfter = now.Add(-time.Hour)
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	cert := issue(t, tmpl, tmpl, key.Public(), key)
	_, err := apns.Import(certPEM(cert), keyPEM(t, stranger), "", now)
	e, ok := errors.AsType[*ward.Error](err)
	if !ok {
		t.Fatalf("Import() = %v, want a *ward.Error", err)
	}
	want := []string{
		"The private key is not the one that this certificate was requested with.",
		"It is not an MDM push certificate: its subject has no UID that begins with com.apple.mgmt.",
		"It may not be used as a client certificate (extended key usage).",
		"It expired on 21 November 2026.",
	}
	if diff := cmp.Diff(want, e.Details); diff != "" {
		t.Errorf("mistakes mismatch (-want +got):\n%s", diff)
	}
	for _, bad := range [][2][]byte{
		{nil, keyPEM(t, key)},
		{[]byte("x"), keyPEM(t, key)},
		{keyPEM(t, key), keyPEM(t, key)},
		{certPEM(cert), nil},
		{certPEM(cert), certPEM(cert)},
		{certPEM(cert), []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")},
	} {
		if _, err := apns.Import(bad[0], bad[1], "", now); ward.KindOf(err) != ward.Invalid {
			t.Errorf("Import(%.20q, %.20q) = %v, want invalid", bad[0], bad[1], err)
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	tests := []struct {
		left          time.Duration
		days          int
		soon, expired bool
	}{
		{365 * 24 * time.Hour, 365, false, false},
		{31 * 24 * time.Hour, 31, false, false},
		{30*24*time.Hour + time.Hour, 30, true, false},
		{time.Hour, 0, true, false},
		{-time.Hour, -1, true, true},
		{-25 * time.Hour, -2, true, true},
	}
	for _, tt := range tests {
		c := apns.Certificate{Topic: topic, NotAfter: now.Add(tt.left)}
		s := c.Status(now)
		if s.DaysLeft != tt.days || s.RenewSoon() != tt.soon || s.Expired() != tt.expired {
			t.Errorf("Status() with %s left = %d days, renew %v, expired %v; want %d, %v, %v",
				tt.left, s.DaysLeft, s.RenewSoon(), s.Expired(), tt.days, tt.soon, tt.expired)
		}
	}
}

// vendorChain is a vendor certificate with an intermediate and a root, as Apple's.
type vendorChain struct {
	key              *rsa.PrivateKey
	leaf, inter, top *x509.Certificate
}

func newVendorChain(t *testing.T) vendorChain {
	t.Helper()
	rootKey, interKey := ecKey(t), ecKey(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ca := func(name string) *x509.Certificate {
		c := template(name, now)
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
		return c
	}
	rootT := ca("Test Root")
	v := vendorChain{key: key}
	v.top = issue(t, rootT, rootT, rootKey.Public(), rootKey)
	v.inter = issue(t, ca("Test Intermediate"), v.top, interKey.Public(), rootKey)
	v.leaf = issue(t, template("MDM Vendor: Test", now), v.inter, key.Public(), interKey)
	return v
}

func TestSignRequest(t *testing.T) {
	t.Parallel()
	v := newVendorChain(t)
	req, err := apns.NewRequest("Ward General", "mdm@hospital.example")
	if err != nil {
		t.Fatal(err)
	}
	fromPEM, err := apns.LoadVendor(join(certPEM(v.top), certPEM(v.leaf), certPEM(v.inter)), keyPEM(t, v.key))
	if err != nil {
		t.Fatal(err)
	}
	p12, err := pkcs12.Modern.Encode(v.key, v.leaf, []*x509.Certificate{v.inter}, "secret")
	if err != nil {
		t.Fatal(err)
	}
	fromP12, err := apns.LoadVendorP12(p12, "secret", v.top.Raw)
	if err != nil {
		t.Fatal(err)
	}
	for name, vendor := range map[string]apns.Vendor{"pem": fromPEM, "p12": fromP12} {
		out, err := apns.SignRequest(req.CSRPEM, vendor)
		if err != nil {
			t.Fatal(err)
		}
		xml, err := base64.StdEncoding.DecodeString(string(out))
		if err != nil {
			t.Fatal(err)
		}
		var got struct{ PushCertRequestCSR, PushCertCertificateChain, PushCertSignature string }
		if err := plist.Unmarshal(xml, &got); err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(req.CSRPEM)
		csr, err := base64.StdEncoding.DecodeString(got.PushCertRequestCSR)
		if err != nil || !cmp.Equal(csr, block.Bytes) {
			t.Errorf("%s: the request in the plist is not the one given (%v)", name, err)
		}
		if diff := cmp.Diff(string(join(certPEM(v.leaf), certPEM(v.inter), certPEM(v.top))), got.PushCertCertificateChain); diff != "" {
			t.Errorf("%s: chain mismatch (-want +got):\n%s", name, diff)
		}
		sig, err := base64.StdEncoding.DecodeString(got.PushCertSignature)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(csr)
		if err := rsa.VerifyPKCS1v15(&v.key.PublicKey, crypto.SHA256, sum[:], sig); err != nil {
			t.Errorf("%s: signature: %v", name, err)
		}
	}
}

func TestVendorRefusals(t *testing.T) {
	t.Parallel()
	v := newVendorChain(t)
	p12, err := pkcs12.Modern.Encode(v.key, v.leaf, nil, "secret")
	if err != nil {
		t.Fatal(err)
	}
	_, wrongPassword := apns.LoadVendorP12(p12, "guess", nil)
	_, noChain := apns.LoadVendorP12(p12, "secret", nil)
	_, noRoot := apns.LoadVendor(join(certPEM(v.leaf), certPEM(v.inter)), keyPEM(t, v.key))
	_, wrongKey := apns.LoadVendor(certPEM(v.inter), keyPEM(t, v.key))
	_, ecVendor := apns.LoadVendor(certPEM(v.leaf), keyPEM(t, ecKey(t)))
	_, nothing := apns.LoadVendor(keyPEM(t, v.key), keyPEM(t, v.key))
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"wrong password", wrongPassword, "password is wrong"},
		{"no chain", noChain, `"Test Intermediate" is missing`},
		{"no root", noRoot, `"Test Root" is missing`},
		{"certificate of another key", wrongKey, "belongs to the vendor's key"},
		{"EC key", ecVendor, "not an RSA key"},
		{"no certificate", nothing, "holds no certificate"},
	}
	for _, tt := range tests {
		if ward.KindOf(tt.err) != ward.Invalid || !strings.Contains(tt.err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, tt.err, tt.want)
		}
	}
	vendor, err := apns.LoadVendor(join(certPEM(v.leaf), certPEM(v.inter), certPEM(v.top)), keyPEM(t, v.key))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "x", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"} {
		if _, err := apns.SignRequest([]byte(bad), vendor); ward.KindOf(err) != ward.Invalid {
			t.Errorf("SignRequest(%q) = %v, want invalid", bad, err)
		}
	}
	ec, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, ecKey(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := apns.SignRequest(ec, vendor); ward.KindOf(err) != ward.Invalid || !strings.Contains(err.Error(), "RSA key of 2048") {
		t.Errorf("SignRequest() of an EC request = %v, want that Apple wants RSA", err)
	}
}

func ecKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func template(name string, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(365 * 24 * time.Hour),
	}
}

func issue(t *testing.T, tmpl, parent *x509.Certificate, pub crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, by)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func certPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func keyPEM(t *testing.T, k crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func join(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func FuzzImport(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		f.Fatal(err)
	}
	tmpl := template("fuzz", now)
	cert, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	f.Add(cert, []byte("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, cert, key []byte) {
		if _, err := apns.Import(cert, key, "", now); err != nil && ward.KindOf(err) != ward.Invalid {
			t.Errorf("Import() = %v, want invalid", err)
		}
	})
}
