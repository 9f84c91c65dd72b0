package ca

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-tpm/legacy/tpm2"
	"github.com/smallstep/go-attestation/attest"
	"github.com/wardmdm/ward"
)

// attestRequest is what a TPM says of itself, in the form of
// go.step.sm/crypto/tpm/attestation.
type attestRequest struct {
	Info struct {
		Version      int    `json:"version"`
		Manufacturer string `json:"manufacturer"`
		Model        string `json:"model"`
		Firmware     string `json:"firmwareVersion"`
	} `json:"tpmInfo"`
	EK     []byte   `json:"ek"`      // PKIX
	Certs  [][]byte `json:"ekCerts"` // DER
	Params struct {
		Public            []byte `json:"public"`
		CreateData        []byte `json:"createData"`
		CreateAttestation []byte `json:"createAttestation"`
		CreateSignature   []byte `json:"createSignature"`
	} `json:"params"`
}

// question is answered by whoever can read it.
type question struct {
	Credential []byte `json:"credential"`
	Secret     []byte `json:"secret"`
}

// claim is an attestRequest that holds together. Whether it is true the TPM's answer shows.
type claim struct {
	ek     crypto.PublicKey
	name   string            // of ek: see EKPrefix
	cert   *x509.Certificate // of ek; nil if there is none
	params attest.AttestationParameters
	ak     []byte // PKIX

	manufacturer, model, firmware string
}

// maxEKCerts bounds the certificates that are read: a TPM has one for each kind of key.
const maxEKCerts = 4

// readClaim reads what a TPM says of itself. What can't be true is an error of kind
// Invalid.
func readClaim(body []byte) (*claim, error) {
	var in attestRequest
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, ward.Errorf(ward.Invalid, "The body is not the JSON of a TPM's attestation.").Because(err)
	}
	ek, err := x509.ParsePKIXPublicKey(in.EK)
	if err == nil {
		err = checkKey(ek)
	}
	if err != nil {
		return nil, ward.Errorf(ward.Invalid, "The endorsement key can't be read, or is none.").Because(err)
	}
	name, err := ekName(ek)
	if err != nil {
		return nil, ward.Errorf(ward.Invalid, "The endorsement key can't be read, or is none.").Because(err)
	}
	c := &claim{
		ek: ek, name: name,
		params: attest.AttestationParameters{
			Public: in.Params.Public, CreateData: in.Params.CreateData,
			CreateAttestation: in.Params.CreateAttestation, CreateSignature: in.Params.CreateSignature,
		},
		manufacturer: vendor(in.Info.Manufacturer), model: printable(in.Info.Model), firmware: printable(in.Info.Firmware),
	}
	if c.cert, err = ekCert(in.Certs, ek); err != nil {
		return nil, ward.Errorf(ward.Invalid, "The certificate of the endorsement key can't be read, or is another key's.").Because(err)
	}
	ak, err := attestationKey(c.params)
	if err == nil {
		c.ak, err = x509.MarshalPKIXPublicKey(ak)
	}
	if err != nil {
		return nil, ward.Errorf(ward.Invalid, "This is not an attestation key: it must be made in a TPM 2.0, stay in it, and sign nothing but the TPM's own statements.").Because(err)
	}
	return c, nil
}

// question makes a secret, and the form of it that only the TPM with both keys can read.
// It checks what the TPM says of the attestation key.
func (c *claim) question() ([]byte, *question, error) {
	p := attest.ActivationParameters{TPMVersion: attest.TPMVersion20, EK: c.ek, AK: c.params}
	secret, sealed, err := p.Generate()
	if err != nil {
		return nil, nil, ward.Errorf(ward.Invalid, "What the TPM says of its attestation key does not hold.").Because(err)
	}
	return secret, &question{sealed.Credential, sealed.Secret}, nil
}

// ekName names the TPM that has the endorsement key.
func ekName(ek crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(ek) // again: what was sent may be another encoding
	if err != nil {
		return "", err
	}
	h := sha256.Sum256(der)
	return EKPrefix + hex.EncodeToString(h[:]), nil
}

// ekCert returns the certificate of ek among certs, nil if there are none.
func ekCert(certs [][]byte, ek crypto.PublicKey) (*x509.Certificate, error) {
	if len(certs) > maxEKCerts {
		return nil, fmt.Errorf("%d certificates, want %d at most", len(certs), maxEKCerts)
	}
	for _, der := range certs {
		c, err := attest.ParseEKCertificate(der)
		if err != nil {
			return nil, err
		}
		if k, ok := c.PublicKey.(interface{ Equal(x crypto.PublicKey) bool }); ok && k.Equal(ek) {
			return c, nil
		}
	}
	if len(certs) > 0 {
		return nil, errors.New("no certificate is the endorsement key's")
	}
	return nil, nil //nolint:nilnil // many TPMs have no certificate
}

// attestationKey returns the attestation key of a claim. It refuses whatever the library
// would fall over, and what a key for attestation alone is not.
func attestationKey(p attest.AttestationParameters) (crypto.PublicKey, error) {
	pub, err := tpm2.DecodePublic(p.Public)
	switch {
	case err != nil:
		return nil, err
	case pub.Type != tpm2.AlgRSA || pub.RSAParameters == nil || pub.RSAParameters.Sign == nil || pub.RSAParameters.Sign.Alg != tpm2.AlgRSASSA:
		return nil, errors.New("it is not an RSA key for RSASSA")
	case !hashes(pub.NameAlg) || pub.NameAlg == tpm2.AlgSHA1:
		return nil, fmt.Errorf("its name is made with algorithm %v", pub.NameAlg)
	case !hashes(pub.RSAParameters.Sign.Hash):
		return nil, fmt.Errorf("it signs with algorithm %v", pub.RSAParameters.Sign.Hash)
	case pub.Attributes&attestationOnly != attestationOnly || pub.Attributes&tpm2.FlagDecrypt != 0:
		return nil, fmt.Errorf("its attributes are %v", pub.Attributes)
	}
	sig, err := tpm2.DecodeSignature(bytes.NewBuffer(p.CreateSignature))
	if err != nil || sig.Alg != tpm2.AlgRSASSA || sig.RSA == nil {
		return nil, cmp.Or(err, errors.New("its creation is not signed by RSASSA"))
	}
	att, err := tpm2.DecodeAttestationData(p.CreateAttestation)
	if err != nil || att.Type != tpm2.TagAttestCreation || att.AttestedCreationInfo == nil {
		return nil, cmp.Or(err, errors.New("it is not attested by its creation"))
	}
	if n := att.AttestedCreationInfo.Name.Digest; n == nil || n.Alg != pub.NameAlg {
		return nil, errors.New("its creation has another name")
	}
	key, err := pub.Key()
	if err != nil {
		return nil, err
	}
	return key, checkKey(key)
}

// attestationOnly are the attributes of a key that a TPM made for statements of its own
// (TPM 2.0 library, part 2, section 8.3).
const attestationOnly = tpm2.FlagFixedTPM | tpm2.FlagFixedParent | tpm2.FlagSensitiveDataOrigin | tpm2.FlagRestricted | tpm2.FlagSign

// hashes reports whether a is a hash that is linked into the program; another would panic.
// Windows makes its attestation keys with SHA-1 for signatures, of which no collision can
// be made here: a TPM signs what it wrote itself.
func hashes(a tpm2.Algorithm) bool {
	return slices.Contains([]tpm2.Algorithm{tpm2.AlgSHA1, tpm2.AlgSHA256, tpm2.AlgSHA384, tpm2.AlgSHA512}, a)
}

var (
	oidEKCertificate = asn1.ObjectIdentifier{2, 23, 133, 8, 1} // tcg-kp-EKCertificate
	oidDirectoryAttr = asn1.ObjectIdentifier{2, 5, 29, 9}
)

// verifyEK says why a manufacturer does not vouch for an endorsement key (TCG EK credential
// profile 2.6, section 3.2). The names and attributes in its certificate are critical and
// of a sort that Go does not read; nothing here goes by them.
func verifyEK(c *x509.Certificate, vendors *x509.CertPool, now time.Time) error {
	if c.IsCA || !slices.ContainsFunc(c.UnknownExtKeyUsage, oidEKCertificate.Equal) {
		return errors.New("its certificate is not that of an endorsement key")
	}
	plain := *c
	plain.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(c.UnhandledCriticalExtensions), func(o asn1.ObjectIdentifier) bool {
		return o.Equal(oidSubjectAltName) || o.Equal(oidDirectoryAttr)
	})
	_, err := plain.Verify(x509.VerifyOptions{Roots: vendors, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}

// vendor returns the manufacturer as certificates name it: id: and eight hexadecimal digits.
func vendor(decimal string) string {
	n, err := strconv.ParseUint(decimal, 10, 32)
	if err != nil {
		return unnamed
	}
	return fmt.Sprintf("id:%08X", n)
}

// unnamed stands where a TPM does not say what it is: a certificate has to have something.
const unnamed = "unknown"

// printable returns what can be printed of a text, and not much of it.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, text)
	return cmp.Or(strings.TrimSpace(text[:min(len(text), 64)]), unnamed)
}
