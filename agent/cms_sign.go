package agent

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/smallstep/pkcs7"
)

// The parts of a SignedData (RFC 5652, 5).
type (
	signedData struct {
		Version      int
		Digests      []pkix.AlgorithmIdentifier `asn1:"set"`
		Content      signedContent
		Certificates asn1.RawValue
		Signers      []signerInfo `asn1:"set"`
	}
	signedContent struct {
		Type    asn1.ObjectIdentifier
		Content []byte `asn1:"explicit,optional,omitempty,tag:0"`
	}
	signerInfo struct {
		Version    int
		ID         issuerAndSerial
		Digest     pkix.AlgorithmIdentifier
		Attributes asn1.RawValue
		Algorithm  pkix.AlgorithmIdentifier
		Signature  []byte
	}
	attribute struct {
		Type   asn1.ObjectIdentifier
		Values []any `asn1:"set"`
	}
)

// signDetached returns the value of the Mdm-Signature header for body: a detached CMS
// signature in base64. Source: Apple, "Implementing device management", SignMessage.
func signDetached(body []byte, i Identity, now time.Time) (string, error) {
	der, err := signCMS(body, true, i, now)
	if err != nil {
		return "", fmt.Errorf("sign message: %w", err)
	}
	return base64.StdEncoding.EncodeToString(der), nil
}

// signCMS returns a CMS message of content, or only its signature if detached. The CMS
// library can do this too, but puts the clock of the machine into the signature where the
// device has its own, and whoever checks it holds that against the certificate.
func signCMS(content []byte, detached bool, i Identity, now time.Time, more ...attribute) ([]byte, error) {
	var algorithm pkix.AlgorithmIdentifier
	switch i.Key.Public().(type) {
	case *rsa.PublicKey:
		algorithm = pkix.AlgorithmIdentifier{Algorithm: pkcs7.OIDEncryptionAlgorithmRSA, Parameters: asn1.NullRawValue}
	case *ecdsa.PublicKey:
		algorithm = pkix.AlgorithmIdentifier{Algorithm: pkcs7.OIDDigestAlgorithmECDSASHA256}
	default:
		return nil, fmt.Errorf("a %T signs no CMS message", i.Key.Public())
	}
	sum := sha256.Sum256(content)
	attributes := append([]attribute{
		{pkcs7.OIDAttributeContentType, []any{pkcs7.OIDData}},
		{pkcs7.OIDAttributeMessageDigest, []any{sum[:]}},
		{pkcs7.OIDAttributeSigningTime, []any{now.UTC()}},
	}, more...)
	set, err := asn1.MarshalWithParams(attributes, "set") // which sorts them, as DER wants
	if err != nil {
		return nil, err
	}
	toSign := sha256.Sum256(set)
	signature, err := i.Key.Sign(rand.Reader, toSign[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	set[0] = 0xa0 // IMPLICIT [0] in the message, SET OF in what is signed (RFC 5652, 5.4)
	digest := pkix.AlgorithmIdentifier{Algorithm: pkcs7.OIDDigestAlgorithmSHA256, Parameters: asn1.NullRawValue}
	sd := signedData{
		Version: 1, Digests: []pkix.AlgorithmIdentifier{digest}, Content: signedContent{Type: pkcs7.OIDData},
		Certificates: asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: i.Certificate.Raw},
		Signers: []signerInfo{{
			Version: 1, ID: issuerAndSerial{asn1.RawValue{FullBytes: i.Certificate.RawIssuer}, i.Certificate.SerialNumber},
			Digest: digest, Attributes: asn1.RawValue{FullBytes: set}, Algorithm: algorithm, Signature: signature,
		}},
	}
	if !detached {
		sd.Content.Content = content
	}
	inner, err := asn1.Marshal(sd)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(contentInfo{pkcs7.OIDSignedData, asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: inner}})
}
