package agent

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/smallstep/pkcs7"
)

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
