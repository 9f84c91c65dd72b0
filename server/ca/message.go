package ca

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/smallstep/pkcs7"
	"github.com/smallstep/scep"
	scepx509 "github.com/smallstep/scep/x509util"
)

// The attributes of a SCEP message, RFC 8894 section 3.2.1.
var (
	oidMessageType    = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 2}
	oidPKIStatus      = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 3}
	oidFailInfo       = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 4}
	oidSenderNonce    = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 5}
	oidRecipientNonce = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 6}
	oidTransactionID  = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 7}
)

// message is a SCEP request whose signature was verified with the key it brought.
// The library's own message type is not used: its parser panics on some inputs, its
// answers are encrypted with DES unless a variable of its package is changed under
// everybody's feet, and it tells a wrong key from a wrong content.
type message struct {
	kind        scep.MessageType
	transaction scep.TransactionID
	nonce       []byte
	sender      *x509.Certificate // whom the answer is encrypted to
	envelope    []byte
}

// parseMessage reads a SCEP request. It never panics, whatever it is given.
func parseMessage(b []byte) (m *message, err error) {
	defer func() {
		if p := recover(); p != nil { // pkcs7 slices without looking
			m, err = nil, fmt.Errorf("parse SCEP message: %v", p)
		}
	}()
	if err := checkNesting(b); err != nil {
		return nil, fmt.Errorf("parse SCEP message: %w", err)
	}
	p7, err := pkcs7.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("parse SCEP message: %w", err)
	}
	// A self-signed certificate or an older one: one signer, whose key must be RSA, for
	// the answer is encrypted to it.
	if len(p7.Certificates) == 0 || len(p7.Signers) != 1 {
		return nil, errors.New("parse SCEP message: want one signer with its certificate")
	}
	sender := p7.GetOnlySigner()
	if sender == nil {
		return nil, errors.New("parse SCEP message: the signer's certificate is missing")
	}
	if _, ok := sender.PublicKey.(*rsa.PublicKey); !ok {
		return nil, errors.New("parse SCEP message: the signer's key is not RSA")
	}
	if err := checkKey(sender.PublicKey); err != nil {
		return nil, fmt.Errorf("parse SCEP message: %w", err)
	}
	if err := p7.Verify(); err != nil {
		return nil, fmt.Errorf("verify SCEP message: %w", err)
	}
	m = &message{sender: sender, envelope: p7.Content}
	if err := p7.UnmarshalSignedAttribute(oidMessageType, &m.kind); err != nil {
		return nil, fmt.Errorf("SCEP message type: %w", err)
	}
	if err := p7.UnmarshalSignedAttribute(oidTransactionID, &m.transaction); err != nil {
		return nil, fmt.Errorf("SCEP transaction: %w", err)
	}
	if err := p7.UnmarshalSignedAttribute(oidSenderNonce, &m.nonce); err != nil || len(m.nonce) == 0 {
		return nil, fmt.Errorf("SCEP sender nonce of %d bytes: %w", len(m.nonce), err)
	}
	return m, nil
}

// isFor reports whether m names cert among those it is encrypted to. The serial number is
// found by its encoding: it is random, and what is named wrongly does not decrypt.
func (m *message) isFor(cert *x509.Certificate) bool {
	serial, err := asn1.Marshal(cert.SerialNumber)
	return err == nil && bytes.Contains(m.envelope, serial)
}

// open decrypts the request that m carries and returns it with its challenge. Its
// errors are for the log: no answer may tell one from another.
func (m *message) open(cert *x509.Certificate, key *rsa.PrivateKey) (*x509.CertificateRequest, string, error) {
	plain, err := openEnvelope(m.envelope, cert, key)
	if err != nil {
		return nil, "", err
	}
	csr, err := x509.ParseCertificateRequest(plain)
	if err != nil {
		return nil, "", fmt.Errorf("parse certificate request: %w", err)
	}
	challenge, err := scepx509.ParseChallengePassword(plain)
	if err != nil {
		return nil, "", fmt.Errorf("parse challenge: %w", err)
	}
	return csr, challenge, nil
}

// success returns the answer that carries certs, the device's own first, encrypted to
// the sender (RFC 8894 section 3.3.2).
func (m *message) success(issuer *x509.Certificate, key *rsa.PrivateKey, certs ...*x509.Certificate) ([]byte, error) {
	var raw []byte
	for _, c := range certs {
		raw = append(raw, c.Raw...)
	}
	content, err := pkcs7.DegenerateCertificate(raw)
	if err != nil {
		return nil, fmt.Errorf("answer SCEP request: %w", err)
	}
	sealed, err := sealEnvelope(content, m.sender)
	if err != nil {
		return nil, fmt.Errorf("answer SCEP request: %w", err)
	}
	return m.reply(issuer, key, sealed, pkcs7.Attribute{Type: oidPKIStatus, Value: scep.SUCCESS})
}

// failure returns the answer that refuses.
func (m *message) failure(issuer *x509.Certificate, key *rsa.PrivateKey, info scep.FailInfo) ([]byte, error) {
	return m.reply(issuer, key, nil,
		pkcs7.Attribute{Type: oidPKIStatus, Value: scep.FAILURE}, pkcs7.Attribute{Type: oidFailInfo, Value: info})
}

func (m *message) reply(issuer *x509.Certificate, key *rsa.PrivateKey, content []byte, status ...pkcs7.Attribute) ([]byte, error) {
	sd, err := pkcs7.NewSignedData(content)
	if err != nil {
		return nil, fmt.Errorf("answer SCEP request: %w", err)
	}
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	nonce := make([]byte, 16)
	rand.Read(nonce)
	attributes := append(status,
		pkcs7.Attribute{Type: oidTransactionID, Value: m.transaction},
		pkcs7.Attribute{Type: oidMessageType, Value: scep.CertRep},
		pkcs7.Attribute{Type: oidSenderNonce, Value: nonce},
		pkcs7.Attribute{Type: oidRecipientNonce, Value: m.nonce})
	if err := sd.AddSigner(issuer, key, pkcs7.SignerInfoConfig{ExtraSignedAttributes: attributes}); err != nil {
		return nil, fmt.Errorf("answer SCEP request: %w", err)
	}
	// The name of the signature that every client has to know (RFC 3370 section 3.2); some,
	// strongSwan among them, know no other.
	sd.GetSignedData().SignerInfos[0].DigestEncryptionAlgorithm = pkix.AlgorithmIdentifier{Algorithm: pkcs7.OIDEncryptionAlgorithmRSA, Parameters: asn1.NullRawValue}
	b, err := sd.Finish()
	if err != nil {
		return nil, fmt.Errorf("answer SCEP request: %w", err)
	}
	return b, nil
}
