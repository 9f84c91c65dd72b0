package ca

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"

	"github.com/smallstep/pkcs7"
)

// openEnvelope decrypts an EnvelopedData with the issuer's key. That key also signs
// certificates, so an answer that told wrong padding from wrong content would let a
// stranger forge signatures, a question at a time (Bleichenbacher 1998). So a key
// that does not decrypt is replaced with a random one, as TLS does (RFC 5246 section
// 7.4.7.1), and the caller answers every error alike. It never panics.
func openEnvelope(b []byte, cert *x509.Certificate, key *rsa.PrivateKey) (plain []byte, err error) {
	defer func() {
		if p := recover(); p != nil { // pkcs7 decrypts blocks and cuts padding without looking
			plain, err = nil, fmt.Errorf("open envelope: %v", p)
		}
	}()
	if err := checkNesting(b); err != nil {
		return nil, fmt.Errorf("open envelope: %w", err)
	}
	p7, err := pkcs7.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("open envelope: %w", err)
	}
	size, err := contentKeySize(b)
	if err != nil {
		return nil, fmt.Errorf("open envelope: %w", err)
	}
	if plain, err = p7.Decrypt(cert, steady{key, size}); err != nil {
		return nil, fmt.Errorf("open envelope: %w", err)
	}
	return plain, nil
}

// contentKeySize returns the length of the key of the cipher that b names. An
// identifier is found by its encoding, which is the same in BER and DER; where b
// names two, a wrong length gives the error that a wrong key gives. DES is still
// taken from clients whose library knows nothing else: the message travels in TLS,
// and the challenge in it is spent when it is answered.
func contentKeySize(b []byte) (int, error) {
	for _, c := range []struct {
		oid  asn1.ObjectIdentifier
		size int
	}{
		{pkcs7.OIDEncryptionAlgorithmAES256CBC, 32},
		{pkcs7.OIDEncryptionAlgorithmAES256GCM, 32},
		{pkcs7.OIDEncryptionAlgorithmAES128CBC, 16},
		{pkcs7.OIDEncryptionAlgorithmAES128GCM, 16},
		{pkcs7.OIDEncryptionAlgorithmDESEDE3CBC, 24},
		{pkcs7.OIDEncryptionAlgorithmDESCBC, 8},
	} {
		der, err := asn1.Marshal(c.oid)
		if err != nil {
			return 0, err
		}
		if bytes.Contains(b, der) {
			return c.size, nil
		}
	}
	return 0, errors.New("the cipher is not known")
}

// steady decrypts content keys of one size and gives a random key instead of an
// error.
type steady struct {
	key  *rsa.PrivateKey
	size int
}

func (s steady) Public() crypto.PublicKey { return s.key.Public() }

func (s steady) Decrypt(random io.Reader, b []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	if _, ok := opts.(*rsa.PKCS1v15DecryptOptions); ok { //nolint:staticcheck // SCEP clients know no other padding (RFC 8894 section 2.9)
		opts = &rsa.PKCS1v15DecryptOptions{SessionKeyLen: s.size} //nolint:staticcheck // with a session key length it is safe
	}
	return s.key.Decrypt(random, b, opts)
}

// The structures of CMS EnvelopedData, RFC 5652 section 6.1.
type (
	issuerAndSerial struct {
		Issuer asn1.RawValue
		Serial asn1.RawValue
	}
	recipientInfo struct {
		Version   int
		Recipient issuerAndSerial
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}
	encryptedContentInfo struct {
		Type      asn1.ObjectIdentifier
		Algorithm pkix.AlgorithmIdentifier
		Content   []byte `asn1:"tag:0,implicit"`
	}
	envelopedData struct {
		Version    int
		Recipients []recipientInfo `asn1:"set"`
		Content    encryptedContentInfo
	}
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content envelopedData `asn1:"tag:0,explicit"`
	}
)

// sealEnvelope encrypts content to the RSA key of one certificate with AES-256-CBC,
// which is what SCEP's clients know.
func sealEnvelope(content []byte, to *x509.Certificate) ([]byte, error) {
	public, ok := to.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("seal envelope: the recipient's key is a %T, want RSA", to.PublicKey)
	}
	key, iv := make([]byte, 32), make([]byte, aes.BlockSize)
	rand.Read(key)
	rand.Read(iv)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("seal envelope: %w", err)
	}
	pad := aes.BlockSize - len(content)%aes.BlockSize
	sealed := append(bytes.Clone(content), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(sealed, sealed)
	wrapped, err := rsa.EncryptPKCS1v15(rand.Reader, public, key) //nolint:staticcheck // SCEP clients know no other padding (RFC 8894 section 2.9)
	if err != nil {
		return nil, fmt.Errorf("seal envelope: %w", err)
	}
	serial, err := asn1.Marshal(to.SerialNumber)
	if err != nil {
		return nil, fmt.Errorf("seal envelope: %w", err)
	}
	b, err := asn1.Marshal(contentInfo{pkcs7.OIDEnvelopedData, envelopedData{
		Recipients: []recipientInfo{{
			Recipient: issuerAndSerial{asn1.RawValue{FullBytes: to.RawIssuer}, asn1.RawValue{FullBytes: serial}},
			Algorithm: pkix.AlgorithmIdentifier{Algorithm: pkcs7.OIDEncryptionAlgorithmRSA, Parameters: asn1.NullRawValue},
			Key:       wrapped,
		}},
		Content: encryptedContentInfo{
			Type:      pkcs7.OIDData,
			Algorithm: pkix.AlgorithmIdentifier{Algorithm: pkcs7.OIDEncryptionAlgorithmAES256CBC, Parameters: asn1.RawValue{Tag: asn1.TagOctetString, Bytes: iv}},
			Content:   sealed,
		},
	}})
	if err != nil {
		return nil, fmt.Errorf("seal envelope: %w", err)
	}
	return b, nil
}
