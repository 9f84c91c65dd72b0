package agent

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"github.com/smallstep/pkcs7"
)

// The parts of an EnvelopedData with key transport (RFC 5652, 6).
type (
	envelope struct {
		Version    int
		Recipients []recipient `asn1:"set"`
		Content    sealedContent
	}
	recipient struct {
		Version   int
		ID        issuerAndSerial
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}
	issuerAndSerial struct {
		Issuer asn1.RawValue
		Serial *big.Int
	}
	sealedContent struct {
		Type      asn1.ObjectIdentifier
		Algorithm pkix.AlgorithmIdentifier
		Bytes     []byte `asn1:"tag:0"`
	}
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue
	}
)

// sealFor encrypts plain to every recipient with AES-256-CBC. The CMS library can do
// this too, but chooses the cipher by a variable that all of the process shares, and
// that is DES unless somebody changed it.
func sealFor(recipients []*x509.Certificate, plain []byte) ([]byte, error) {
	secret := make([]byte, 32+aes.BlockSize)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	key, iv := secret[:32], secret[32:]
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	sealed := append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(sealed, sealed)

	ivDER, err := asn1.Marshal(iv)
	if err != nil {
		return nil, err
	}
	e := envelope{Content: sealedContent{
		Type:      pkcs7.OIDData,
		Algorithm: pkix.AlgorithmIdentifier{Algorithm: pkcs7.OIDEncryptionAlgorithmAES256CBC, Parameters: asn1.RawValue{FullBytes: ivDER}},
		Bytes:     sealed,
	}}
	for _, c := range recipients {
		r, err := wrapKey(c, key)
		if err != nil {
			return nil, err
		}
		e.Recipients = append(e.Recipients, r)
	}
	inner, err := asn1.Marshal(e)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(contentInfo{pkcs7.OIDEnvelopedData, asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: inner}})
}

func wrapKey(c *x509.Certificate, key []byte) (recipient, error) {
	pub, ok := c.PublicKey.(*rsa.PublicKey)
	if !ok {
		return recipient{}, errors.New("the authority's certificate has no RSA key")
	}
	wrapped, err := rsa.EncryptPKCS1v15(rand.Reader, pub, key) //nolint:staticcheck // the only key transport that SCEP authorities take
	if err != nil {
		return recipient{}, fmt.Errorf("wrap key: %w", err)
	}
	return recipient{
		ID:        issuerAndSerial{asn1.RawValue{FullBytes: c.RawIssuer}, c.SerialNumber},
		Algorithm: pkix.AlgorithmIdentifier{Algorithm: pkcs7.OIDEncryptionAlgorithmRSA, Parameters: asn1.NullRawValue},
		Key:       wrapped,
	}, nil
}
