package ca

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode"

	"github.com/fxamacker/cbor/v2"
	"go.step.sm/crypto/jose"
)

// Bounds on what a device may send as its attestation.
const (
	maxChain  = 8
	maxNaming = 128 // bytes of a serial number or another name in it
)

// attestation is an attestation object (WebAuthn level 2, section 6.5.4) as far as it
// matters here: the format, and of the statement of each format what is judged.
type attestation struct {
	Format    string `cbor:"fmt"`
	Statement struct {
		X5C [][]byte `cbor:"x5c"` // the certificate that attests first, without its root
		// The rest is of FormatTPM only (WebAuthn level 2, section 8.3).
		Version  string `cbor:"ver"`
		Alg      int64  `cbor:"alg"`
		Sig      []byte `cbor:"sig"`
		CertInfo []byte `cbor:"certInfo"`
		PubArea  []byte `cbor:"pubArea"`
	} `cbor:"attStmt"`
}

// proof is what a good attestation shows.
type proof struct {
	Attested
	key crypto.PublicKey
}

// asked is what an attestation has to answer.
type asked struct {
	format string
	token  string
	// account is the key of whoever asks: a TPM attests for it too.
	account *jose.JSONWebKey
	roots   *x509.CertPool
	now     time.Time
}

// answerPayload is what a client posts to a device-attest-01 challenge
// (draft-ietf-acme-device-attest section 5).
type answerPayload struct {
	AttObj string `json:"attObj"`
	Error  string `json:"error"`
}

// readAnswer returns the attestation in what a client posted.
func readAnswer(payload []byte) (*attestation, error) {
	var p answerPayload
	if err := json.Unmarshal(payload, &p); err != nil {
		return nil, fmt.Errorf("read attestation: %w", err)
	}
	if p.Error != "" {
		return nil, fmt.Errorf("the device can't attest: %.200q", p.Error)
	}
	object, err := raw64.DecodeString(p.AttObj)
	if err != nil {
		return nil, fmt.Errorf("read attestation: %w", err)
	}
	return parseAttestation(object)
}

// parseAttestation reads an attestation object. Nothing in it is believed yet.
func parseAttestation(object []byte) (*attestation, error) {
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: 8, MaxArrayElements: 64, MaxMapPairs: 64, TagsMd: cbor.TagsForbidden,
	}.DecMode()
	if err != nil {
		return nil, fmt.Errorf("read attestation: %w", err)
	}
	a := new(attestation)
	if err := mode.Unmarshal(object, a); err != nil {
		return nil, fmt.Errorf("read attestation: %w", err)
	}
	if n := len(a.Statement.X5C); n == 0 || n > maxChain {
		return nil, fmt.Errorf("read attestation: there are %d certificates, want 1 to %d", n, maxChain)
	}
	return a, nil
}

// verify judges an attestation: its certificates lead to one of the roots now, it was made
// for this token, and the key that it shows is one that Ward signs. Whose device that may
// be is for the caller to judge.
func (q asked) verify(a *attestation) (proof, error) {
	if a.Format != q.format {
		return proof{}, fmt.Errorf("the attestation is of the format %.20q, want %q", a.Format, q.format)
	}
	chain := make([]*x509.Certificate, len(a.Statement.X5C))
	for i, der := range a.Statement.X5C {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return proof{}, fmt.Errorf("certificate %d of the attestation: %w", i, err)
		}
		if k, ok := c.PublicKey.(*rsa.PublicKey); ok && k.N.BitLen() > maxRSA {
			return proof{}, fmt.Errorf("certificate %d of the attestation has an RSA key of %d bits", i, k.N.BitLen())
		}
		chain[i] = c
	}
	if err := q.verifyChain(chain); err != nil {
		return proof{}, err
	}
	var p proof
	var err error
	switch q.format {
	case FormatApple:
		p, err = q.verifyApple(chain[0])
	case FormatTPM:
		p, err = q.verifyTPM(a, chain[0])
	default:
		err = fmt.Errorf("attestations of the format %q are not known", q.format)
	}
	if err != nil {
		return proof{}, err
	}
	p.Format = q.format
	return p, checkKey(p.key)
}

// verifyChain verifies that the certificate that attests leads to a root, now.
func (q asked) verifyChain(chain []*x509.Certificate) error {
	leaf, between := chain[0], x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if q.format == FormatTPM { // whose names the standard library does not read: verifyTPM does
		leaf.UnhandledCriticalExtensions = withoutNames(leaf.UnhandledCriticalExtensions)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: q.roots, Intermediates: between, CurrentTime: q.now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return fmt.Errorf("the attestation's certificate: %w", err)
	}
	return nil
}

var errNonce = errors.New("the attestation was not made for this challenge")

// madeFor reports whether got is the digest that an attestation for this challenge holds.
func madeFor(got []byte, text string) error {
	want := sha256.Sum256([]byte(text))
	if subtle.ConstantTimeCompare(got, want[:]) != 1 {
		return errNonce
	}
	return nil
}

// naming returns a name that stands in an attestation, if it is one that people can read.
func naming(b []byte) (string, error) {
	text := string(bytes.ToValidUTF8(b, []byte{0}))
	if len(text) > maxNaming {
		return "", fmt.Errorf("a name in the attestation has %d bytes", len(text))
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return "", errors.New("a name in the attestation can't be printed")
		}
	}
	return text, nil
}

// keyHash tells keys apart.
func keyHash(key crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("hash of a key: %w", err)
	}
	h := sha256.Sum256(der)
	return hex.EncodeToString(h[:]), nil
}

func pool(certs []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c)
	}
	return p
}
