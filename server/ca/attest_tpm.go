package ca

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/legacy/tpm2"
	"github.com/smallstep/certificates/acme"
	"github.com/smallstep/go-attestation/attest"
	"go.step.sm/crypto/x509util"
)

// COSE algorithms of the signature by a TPM (https://www.iana.org/assignments/cose). The
// third that WebAuthn knows for TPMs, with SHA-1, is not taken.
const (
	coseES256 = -7
	coseRS256 = -257
)

var (
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidAIKCertificate = asn1.ObjectIdentifier{2, 23, 133, 8, 3}
)

// withoutNames drops the subject's names from the critical extensions that nobody handled.
func withoutNames(ids []asn1.ObjectIdentifier) []asn1.ObjectIdentifier {
	return slices.DeleteFunc(ids, oidSubjectAltName.Equal)
}

// verifyTPM verifies that the attestation key whose certificate ak is has certified a key
// that its TPM made and keeps, for this challenge and account.
func (q asked) verifyTPM(a *attestation, ak *x509.Certificate) (proof, error) {
	st := a.Statement
	if st.Version != "2.0" || (st.Alg != coseES256 && st.Alg != coseRS256) {
		return proof{}, fmt.Errorf("the attestation of a TPM %.10q is signed by algorithm %d: not taken", st.Version, st.Alg)
	}
	name, err := akName(ak)
	if err != nil {
		return proof{}, err
	}
	if err := readable(st.PubArea, st.Sig); err != nil {
		return proof{}, err
	}
	certified := &attest.CertificationParameters{Public: st.PubArea, CreateAttestation: st.CertInfo, CreateSignature: st.Sig}
	if err := certified.Verify(attest.VerifyOpts{Public: ak.PublicKey, Hash: crypto.SHA256}); err != nil {
		return proof{}, fmt.Errorf("the attestation of a TPM: %w", err)
	}
	info, err := tpm2.DecodeAttestationData(st.CertInfo)
	if err != nil {
		return proof{}, fmt.Errorf("the attestation of a TPM: %w", err)
	}
	authorization, err := acme.KeyAuthorization(q.token, q.account)
	if err != nil {
		return proof{}, fmt.Errorf("the attestation of a TPM: %w", err)
	}
	if err := madeFor(info.ExtraData, authorization); err != nil {
		return proof{}, err
	}
	public, err := tpm2.DecodePublic(st.PubArea)
	if err != nil {
		return proof{}, fmt.Errorf("the attestation of a TPM: %w", err)
	}
	key, err := public.Key()
	if err != nil {
		return proof{}, fmt.Errorf("the attestation of a TPM: %w", err)
	}
	return proof{Attested: Attested{Serial: name}, key: key}, nil
}

// readable refuses what the library would panic over: a signature that is not by RSA, and
// a name by a hash function that is not linked in.
func readable(public, signature []byte) error {
	sig, err := tpm2.DecodeSignature(bytes.NewBuffer(signature))
	if err != nil || sig.RSA == nil {
		return errors.New("the attestation of a TPM: its signature is not by an RSA key")
	}
	pub, err := tpm2.DecodePublic(public)
	if err != nil {
		return fmt.Errorf("the attestation of a TPM: %w", err)
	}
	if !hashes(pub.NameAlg) {
		return fmt.Errorf("the attestation of a TPM: names by algorithm %#x are not taken", uint16(pub.NameAlg))
	}
	return nil
}

// akName returns the permanent identifier in the certificate of an attestation key, which
// has to be as WebAuthn level 2, section 8.3.1, says, and to have exactly one (RFC 4043).
func akName(c *x509.Certificate) (string, error) {
	aik := slices.ContainsFunc(c.UnknownExtKeyUsage, oidAIKCertificate.Equal)
	if c.Version != 3 || c.IsCA || len(c.Subject.Names) > 0 || !aik {
		return "", errors.New("the attestation's certificate is not one of an attestation key")
	}
	names, err := x509util.ParseSubjectAlternativeNames(c)
	if err != nil {
		return "", fmt.Errorf("the attestation's certificate: %w", err)
	}
	if d := names.TPMHardwareDetails; d.Manufacturer == "" || d.Model == "" || d.Version == "" {
		return "", errors.New("the attestation's certificate does not say which TPM it is for")
	}
	if len(names.PermanentIdentifiers) != 1 || names.PermanentIdentifiers[0].Identifier == "" {
		return "", errors.New("the attestation's certificate does not name the TPM by one permanent identifier")
	}
	return naming([]byte(names.PermanentIdentifiers[0].Identifier))
}
