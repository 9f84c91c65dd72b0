package ca

import (
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/smallstep/pkcs7"
	"go.step.sm/crypto/pemutil"
	"go.step.sm/crypto/x509util"
)

// The recipient of an issuer that can't decrypt has a folder of its own within the
// issuer's, so that it appears whole.
const (
	raDir  = "ra"
	raCert = "ra.pem"
	raKey  = "ra.key"
)

// recipient is whom devices encrypt their SCEP requests to, and who signs the answers:
// the issuer itself where its key is RSA in a file. A key that something else keeps only
// signs, and may be of another kind; beside it stands a registration authority (RFC 8894
// section 2.1.2), which has a certificate of the issuer's and an RSA key in a file.
type recipient struct {
	cert *x509.Certificate
	key  *rsa.PrivateKey
}

// recipientOf returns the recipient of an issuer with a key, making its certificate where
// there is none. It ends with the issuer, so that what replaces the one replaces the other.
// What it could be stolen for are challenges on their way: it signs no certificate.
func (a *Authority) recipientOf(is *issuer, dir string) (*recipient, error) {
	if key, ok := is.key.(*rsa.PrivateKey); ok {
		return &recipient{is.cert, key}, nil
	}
	dir = filepath.Join(dir, raDir)
	_, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = a.makeRecipient(is, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("registration authority of %s: %w", is.name(), err)
	}
	cert, err := pemutil.ReadCertificate(filepath.Join(dir, raCert))
	if err != nil {
		return nil, fmt.Errorf("registration authority of %s: %w", is.name(), err)
	}
	path := filepath.Join(dir, raKey)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("registration authority of %s: %w", is.name(), err)
	}
	key, err := parseFileKey(path, text, a.o.Passphrase)
	if err != nil {
		return nil, err
	}
	if !sameKey(cert.PublicKey, key.Public()) || cert.CheckSignatureFrom(is.cert) != nil {
		return nil, fmt.Errorf("registration authority of %s in %s: %w", is.name(), dir, errKeyApart)
	}
	return &recipient{cert, key}, nil
}

// makeRecipient makes the certificate and the key in dir. Another process may be first.
func (a *Authority) makeRecipient(is *issuer, dir string) error {
	key, err := newFileKey()
	if err != nil {
		return err
	}
	subject := is.cert.Subject
	t := &x509.Certificate{
		Subject:   pkix.Name{CommonName: subject.CommonName + " SCEP", Organization: subject.Organization},
		NotBefore: a.o.Now().Truncate(time.Second).Add(-backdate), NotAfter: is.cert.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, BasicConstraintsValid: true,
	}
	cert, err := x509util.CreateCertificate(t, is.cert, key.Public(), is.key)
	if err != nil {
		return err
	}
	text, err := keyPEM(key, a.o.Passphrase)
	if err != nil {
		return err
	}
	return writeWhole(dir, map[string][]byte{raCert: certPEM(cert), raKey: text})
}

// scepCertificates is what GetCACert answers with, and its media type (RFC 8894 section
// 4.2.1): the issuer alone where it receives requests itself, for some clients are picky
// about anything else; or the recipient, its issuer, and the one that signs now.
func (a *Authority) scepCertificates() (mediaType string, b []byte, err error) {
	own, signs := a.ownIssuer(), a.current()
	if !own.own() {
		return "", nil, errLost(own)
	}
	if own == signs && own.scep.cert == own.cert {
		return "application/x-x509-ca-cert", own.cert.Raw, nil
	}
	all := [][]byte{own.scep.cert.Raw}
	if own.scep.cert != own.cert {
		all = append(all, own.cert.Raw)
	}
	if signs != own {
		all = append(all, signs.cert.Raw)
	}
	var raw []byte
	for _, der := range all {
		raw = append(raw, der...)
	}
	if b, err = pkcs7.DegenerateCertificate(raw); err != nil {
		return "", nil, fmt.Errorf("certificates for SCEP: %w", err)
	}
	return "application/x-x509-ca-ra-cert", b, nil
}
