package ca

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/certificates/cas/apiv1"
	"github.com/smallstep/certificates/cas/softcas"
	"github.com/smallstep/pkcs7"
	"github.com/smallstep/scep"
)

// party returns a key with a self-signed certificate. They are kept in a file, so
// that every process of a fuzzing run has the same.
func party(t testing.TB) (*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair("testdata/party.pem", "testdata/party.pem")
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf, pair.PrivateKey.(*rsa.PrivateKey)
}

// TestEnvelope: what sealEnvelope makes, openEnvelope and the clients' library open,
// whatever its length.
func TestEnvelope(t *testing.T) {
	t.Parallel()
	cert, key := party(t)
	for _, n := range []int{0, 1, 15, 16, 17, 2000} {
		want := bytes.Repeat([]byte{7}, n)
		b, err := sealEnvelope(want, cert)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := openEnvelope(b, cert, key); err != nil || !bytes.Equal(got, want) {
			t.Errorf("openEnvelope of %d bytes = %d bytes, %v", n, len(got), err)
		}
		p7, err := pkcs7.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p7.Decrypt(cert, key); err != nil || !bytes.Equal(got, want) {
			t.Errorf("pkcs7 opens %d bytes as %d bytes, %v", n, len(got), err)
		}
	}
}

// TestEnvelopeTellsNothing: a key with wrong padding, a key of a wrong length and a
// wrong key of the right length fail in the same way, so that the answer is no oracle
// for the key that signs certificates.
func TestEnvelopeTellsNothing(t *testing.T) {
	t.Parallel()
	cert, key := party(t)
	b, err := sealEnvelope([]byte("content of one block or so"), cert)
	if err != nil {
		t.Fatal(err)
	}
	var info contentInfo
	if _, err := asn1.Unmarshal(b, &info); err != nil {
		t.Fatal(err)
	}
	wrapped := &info.Content.Recipients[0].Key
	encrypt := func(k []byte) []byte {
		c, err := rsa.EncryptPKCS1v15(rand.Reader, &key.PublicKey, k) //nolint:staticcheck // as SCEP clients do
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for name, k := range map[string][]byte{
		"padding":      new(big.Int).Exp(big.NewInt(3), big.NewInt(int64(key.E)), key.N).FillBytes(make([]byte, 256)),
		"wrong length": encrypt(make([]byte, 16)),
		"wrong key":    encrypt(make([]byte, 32)),
	} {
		*wrapped = k
		b, err := asn1.Marshal(info)
		if err != nil {
			t.Fatal(err)
		}
		failed := 0
		for range 20 { // a random key gives a valid padding now and then, but never the content
			got, err := openEnvelope(b, cert, key)
			if bytes.Contains(got, []byte("content")) {
				t.Fatalf("%s: the content was decrypted", name)
			}
			if err != nil && strings.Contains(err.Error(), "crypto/rsa") {
				t.Errorf("%s: the error tells of the key: %v", name, err)
			}
			if err != nil {
				failed++
			}
		}
		if failed == 0 {
			t.Errorf("%s: never refused", name)
		}
	}
}

func TestNesting(t *testing.T) {
	t.Parallel()
	cert, _ := party(t)
	tests := []struct {
		name string
		in   []byte
		ok   bool
	}{
		{"a certificate", cert.Raw, true},
		{"indefinite", []byte{0x30, 0x80, 0x02, 0x01, 0x05, 0x00, 0x00}, true},
		{"long tag", []byte{0x1f, 0x81, 0x01, 0x01, 0xff}, true},
		{"nothing", nil, false},
		{"length beyond the end", []byte{0x30, 0x05, 0x00}, false},
		{"indefinite without an end", []byte{0x30, 0x80, 0x02, 0x01, 0x05}, false},
		{"indefinite primitive", []byte{0x04, 0x80, 0x00, 0x00}, false},
		{"length in five bytes", []byte{0x30, 0x85, 1, 1, 1, 1, 1}, false},
		{"deep", bytes.Repeat([]byte{0x30, 0x80}, 1000), false},
	}
	for _, tt := range tests {
		if err := checkNesting(tt.in); (err == nil) != tt.ok {
			t.Errorf("%s: checkNesting = %v, want it to pass: %v", tt.name, err, tt.ok)
		}
	}
}

// TestGuard: whatever path leads to the key, only our kinds of certificate are signed.
func TestGuard(t *testing.T) {
	t.Parallel()
	cert, key := party(t)
	g := &guard{&softcas.SoftCAS{CertificateChain: []*x509.Certificate{cert}, Signer: key}}
	mine := func(edit func(*x509.Certificate)) *x509.Certificate {
		c := &x509.Certificate{
			Subject: pkix.Name{CommonName: "x"}, PublicKey: key.Public(), URIs: []*url.URL{urn("device", "d1")},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}
		edit(c)
		return c
	}
	tests := []struct {
		name   string
		in     *x509.Certificate
		server bool
		ok     bool
	}{
		{"ours", mine(func(*x509.Certificate) {}), false, true},
		{"nothing", nil, false, false},
		{"no name", mine(func(c *x509.Certificate) { c.URIs = nil }), false, false},
		{"foreign name", mine(func(c *x509.Certificate) { c.URIs = append(c.URIs, &url.URL{Scheme: "https", Host: "x"}) }), false, false},
		{"host", mine(func(c *x509.Certificate) { c.DNSNames = []string{"ward.example"} }), false, false},
		{"authority", mine(func(c *x509.Certificate) { c.IsCA = true }), false, false},
		{"may sign", mine(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign }), false, false},
		{"server on request", mine(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), false, false},
		{"two purposes", mine(func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) }), false, false},
		{"unknown purpose", mine(func(c *x509.Certificate) { c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 2, 3}} }), false, false},
		{"extension of its own", mine(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}}}
		}), false, false},
		{"server", mine(func(c *x509.Certificate) {
			c.URIs, c.DNSNames, c.ExtKeyUsage = nil, []string{"ward.example"}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}), true, true},
		{"server that is a client", mine(func(c *x509.Certificate) { c.DNSNames = []string{"ward.example"} }), true, false},
	}
	for _, tt := range tests {
		if _, err := g.CreateCertificate(&apiv1.CreateCertificateRequest{Template: tt.in, Lifetime: time.Hour, IsCAServerCert: tt.server}); (err == nil) != tt.ok {
			t.Errorf("%s: CreateCertificate = %v, want it signed: %v", tt.name, err, tt.ok)
		}
	}
	if _, err := g.RenewCertificate(&apiv1.RenewCertificateRequest{Template: mine(func(*x509.Certificate) {}), Lifetime: time.Hour}); err == nil {
		t.Error("RenewCertificate renewed")
	}
}

// FuzzMessage: whatever is posted, parsing and opening return and never panic.
func FuzzMessage(f *testing.F) {
	cert, key := party(f)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}}, key)
	if err != nil {
		f.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		f.Fatal(err)
	}
	m, err := scep.NewCSRRequest(csr, &scep.PKIMessage{MessageType: scep.PKCSReq, Recipients: []*x509.Certificate{cert}, SignerKey: key, SignerCert: cert})
	if err != nil {
		f.Fatal(err)
	}
	good, err := parseMessage(m.Raw)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(m.Raw)
	f.Add(good.envelope)
	f.Add(m.Raw[:len(m.Raw)/2])
	f.Add(bytes.Repeat([]byte{0x30, 0x80}, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := parseMessage(b); err == nil {
			if _, _, err := m.open(cert, key); err == nil && len(m.nonce) == 0 {
				t.Error("a message without a nonce was taken")
			}
		}
		// As the content of a message whose signature is good.
		if _, _, err := (&message{envelope: b}).open(cert, key); err == nil && !bytes.Contains(b, []byte{0x30}) {
			t.Error("bytes without a structure were opened")
		}
	})
}
