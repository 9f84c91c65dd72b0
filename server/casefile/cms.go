package casefile

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/smallstep/pkcs7"
)

// CMS signs PDFs with a certificate. It is a Signer.
type CMS struct {
	// Parts returns the certificate, its issuers (nearest first, maybe none) and its key. It
	// is asked anew for each signature, so that a renewed certificate is taken up.
	Parts func() (*x509.Certificate, []*x509.Certificate, crypto.Signer, error)
}

var _ Signer = CMS{}

// Sign returns the detached CMS signature over pdf (RFC 5652, section 5: SignedData
// without eContent, DER, SHA-256), with the certificates that a verifier needs beside the
// root. It says when it was made by the machine's clock.
func (c CMS) Sign(pdf []byte) ([]byte, error) {
	cert, chain, key, err := c.Parts()
	if err != nil {
		return nil, fmt.Errorf("certificate to sign with: %w", err)
	}
	if cert == nil || key == nil {
		return nil, errors.New("a certificate and its key are needed")
	}
	sd, err := pkcs7.NewSignedData(pdf)
	if err != nil {
		return nil, err
	}
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := sd.AddSignerChain(cert, key, chain, pkcs7.SignerInfoConfig{}); err != nil {
		return nil, err
	}
	sd.Detach()
	return sd.Finish()
}
