package virtual

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"
)

// How long an attestation is good before and after it was made.
const (
	attestedBefore = time.Hour
	attestedAfter  = 90 * 24 * time.Hour
)

// AttestationRoot stands where Apple's Enterprise Attestation Root CA does: it certifies
// what the enclaves of a fleet say of themselves. It is safe for concurrent use.
type AttestationRoot struct {
	root, issuer *x509.Certificate
	key          crypto.Signer // of issuer
}

// Claims are what an attestation says. Empty ones are left out.
// Source: Apple, DeviceInformation response, DevicePropertiesAttestation.
type Claims struct {
	Serial    string // 1.2.840.113635.100.8.9.1
	UDID      string // 1.2.840.113635.100.8.9.2
	OSVersion string // 1.2.840.113635.100.8.10.2
	Nonce     []byte // 1.2.840.113635.100.8.11.1: SHA-256 of the challenge's token
	// Newer adds the version under 1.2.840.113635.100.8.10.1 too, as systems do since
	// iOS 17.2 and macOS 14.2.
	Newer bool
	// Key is the key attested. Attest sets it to the key it was given, Lie may change it.
	Key crypto.PublicKey
	// NotBefore and NotAfter bound the leaf of the chain.
	NotBefore, NotAfter time.Time
	// Format is that of the statement; empty means apple.
	Format string
	// Withhold leaves the attestation out, as where the hardware attests nothing.
	Withhold bool
}

// NewAttestationRoot makes a root with an issuer beneath it. They are valid from 2020 to
// 2070, so that clocks may be turned.
func NewAttestationRoot() (*AttestationRoot, error) {
	from, to := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2070, 1, 1, 0, 0, 0, 0, time.UTC)
	authority := func(name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{"Virtual devices"}},
			NotBefore: from, NotAfter: to, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
	}
	r := &AttestationRoot{}
	rootKey, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("new attestation root: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("new attestation root: %w", err)
	}
	r.key = key
	top := authority("Virtual Enterprise Attestation Root CA")
	if r.root, err = certify(top, top, rootKey.Public(), rootKey); err != nil {
		return nil, fmt.Errorf("new attestation root: %w", err)
	}
	if r.issuer, err = certify(authority("Virtual Enterprise Attestation Sub CA 1"), r.root, key.Public(), rootKey); err != nil {
		return nil, fmt.Errorf("new attestation root: %w", err)
	}
	return r, nil
}

// Certificate returns the root, which whoever is to believe the enclaves trusts.
func (r *AttestationRoot) Certificate() *x509.Certificate { return r.root }

func certify(t, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, pub, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// attest returns the attestation object: a WebAuthn statement of format apple, whose x5c
// is the leaf with the claims and its issuer.
func (r *AttestationRoot) attest(c Claims) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 63))
	if err != nil {
		return nil, fmt.Errorf("attest: %w", err)
	}
	t := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)), Subject: pkix.Name{CommonName: "Virtual device"},
		NotBefore: c.NotBefore, NotAfter: c.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	newer := ""
	if c.Newer {
		newer = c.OSVersion
	}
	for _, x := range []struct {
		at    []int
		value string
	}{{[]int{9, 1}, c.Serial}, {[]int{9, 2}, c.UDID}, {[]int{10, 1}, newer}, {[]int{10, 2}, c.OSVersion}, {[]int{11, 1}, string(c.Nonce)}} {
		if x.value != "" {
			id := append(asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8}, x.at...)
			t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: id, Value: []byte(x.value)})
		}
	}
	leaf, err := certify(t, r.issuer, c.Key, r.key)
	if err != nil {
		return nil, fmt.Errorf("attest: %w", err)
	}
	return statement(c.Format, leaf.Raw, r.issuer.Raw), nil
}

// statement encodes an attestation object in CBOR: {"fmt": format, "attStmt": {"x5c":
// [...]}}. Source: RFC 8949, 3, and WebAuthn, 6.5.
func statement(format string, chain ...[]byte) []byte {
	const bytes, text, array, object = 2, 3, 4, 5
	var out []byte
	head := func(major byte, n int) {
		switch {
		case n < 24:
			out = append(out, major<<5|byte(n)) //nolint:gosec // n is below 24
		case n < 1<<8:
			out = append(out, major<<5|24, byte(n))
		default:
			out = append(out, major<<5|25, byte(n>>8), byte(n)) //nolint:gosec // a certificate has less than 64 KiB
		}
	}
	word := func(s string) {
		head(text, len(s))
		out = append(out, s...)
	}
	head(object, 2)
	word("fmt")
	word(format)
	word("attStmt")
	head(object, 1)
	word("x5c")
	head(array, len(chain))
	for _, der := range chain {
		head(bytes, len(der))
		out = append(out, der...)
	}
	return out
}
