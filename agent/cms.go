package agent

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/smallstep/pkcs7"
)

// signDetached returns the value of the Mdm-Signature header for body: a detached CMS
// signature in base64. Source: Apple, "Implementing device management", SignMessage.
func signDetached(body []byte, cert *x509.Certificate, key *rsa.PrivateKey) (string, error) {
	sd, err := pkcs7.NewSignedData(body)
	if err != nil {
		return "", fmt.Errorf("sign message: %w", err)
	}
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := sd.AddSigner(cert, key, pkcs7.SignerInfoConfig{}); err != nil {
		return "", fmt.Errorf("sign message: %w", err)
	}
	sd.Detach()
	der, err := sd.Finish()
	if err != nil {
		return "", fmt.Errorf("sign message: %w", err)
	}
	return base64.StdEncoding.EncodeToString(der), nil
}

// openSigned returns the content of the CMS message in data and its only signer. The
// signature must be right; with roots, the signer must also chain to one of them at
// now. Intermediates are taken from the message. The key usage of the signer is not
// looked at: iOS takes a TLS server certificate for this purpose too.
func openSigned(data []byte, roots *x509.CertPool, now time.Time) ([]byte, *x509.Certificate, error) {
	if err := guardBER(data); err != nil {
		return nil, nil, err
	}
	p7, err := pkcs7.Parse(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrNotCMS, err)
	}
	if err := p7.Verify(); err != nil {
		return nil, nil, fmt.Errorf("verify signature: %w", err)
	}
	signer := p7.GetOnlySigner()
	if signer == nil {
		return nil, nil, fmt.Errorf("verify signature: %w: want one signer", ErrNotCMS)
	}
	if roots == nil {
		return p7.Content, signer, nil
	}
	between := x509.NewCertPool()
	for _, c := range p7.Certificates {
		between.AddCert(c)
	}
	opts := x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	if _, err := signer.Verify(opts); err != nil {
		return nil, nil, fmt.Errorf("verify signer: %w", err)
	}
	return p7.Content, signer, nil
}
