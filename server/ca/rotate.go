package ca

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/wardmdm/ward"
	"go.step.sm/crypto/pemutil"
	"go.step.sm/crypto/x509util"
)

// requested is the folder below Dir that holds the key of an issuer whose certificate is
// being signed elsewhere.
const requested = "requested"

// Settle is how long a new issuer is known before it signs, unless the caller says
// otherwise: every process that shares Dir has called Reload by then, and accepts what it
// signs.
const Settle = 2 * time.Minute

// Rotation says how a new issuer is made.
type Rotation struct {
	// RootKey is the root's key in PEM; empty for the one in Dir, from where it may have
	// been moved to a safe.
	RootKey []byte
	// RootPassphrase opens RootKey; empty for the passphrase of the authority.
	RootPassphrase []byte
	// From is when it begins to sign; zero means after Settle. Processes that have only
	// copies of Dir need the new folder by then.
	From time.Time
}

// Made is an issuer that was added.
type Made struct {
	Number      int
	Certificate *x509.Certificate
	From        time.Time // when it begins to sign
}

// Rotate makes a new issuer under the root, with a key of its own, and adds it to Dir.
// What the others signed stays valid; it is theirs to revoke, to list and to tell the
// status of. Without the root's key it is an error of kind NotFound that says how else.
func (a *Authority) Rotate(ctx context.Context, r Rotation) (Made, error) {
	root, err := a.rootKey(r)
	if err != nil {
		return Made{}, err
	}
	key, err := newIssuerKey()
	if err != nil {
		return Made{}, fmt.Errorf("rotate: %w", err)
	}
	n, err := a.next(ctx)
	if err != nil {
		return Made{}, err
	}
	t := issuerTemplate(a.organisation(), n, a.o.Now().Truncate(time.Second))
	if t.NotAfter.After(a.root.NotAfter) {
		t.NotAfter = a.root.NotAfter
	}
	cert, err := x509util.CreateCertificate(t, a.root, key.Public(), root)
	if err != nil {
		return Made{}, fmt.Errorf("rotate: sign the issuer: %w", err)
	}
	return a.add(ctx, n, key, cert, r.From)
}

// organisation is the name that the root was made with.
func (a *Authority) organisation() string {
	if names := a.root.Subject.Organization; len(names) > 0 {
		return names[0]
	}
	return a.o.Organisation
}

// rootKey opens the root's key.
func (a *Authority) rootKey(r Rotation) (crypto.Signer, error) {
	text, pass := r.RootKey, r.RootPassphrase
	if len(text) == 0 {
		var err error
		text, err = os.ReadFile(filepath.Join(a.o.Dir, generation, rootKey))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, ward.Errorf(ward.NotFound, "The root's key is not in %s: name the file that it was moved to, or have a request signed where it is kept.", a.o.Dir).Because(err)
		}
		if err != nil {
			return nil, fmt.Errorf("rotate: %w", err)
		}
	}
	if len(pass) == 0 {
		pass = a.o.Passphrase
	}
	k, err := pemutil.ParseKey(text, pemutil.WithPassword(pass))
	if err != nil {
		return nil, ward.Errorf(ward.Invalid, "The root's key can't be opened: is the passphrase the one it was put away with?").Because(err)
	}
	key, ok := k.(crypto.Signer)
	if !ok {
		return nil, ward.Errorf(ward.Invalid, "The file does not hold a private key.")
	}
	if public, ok := a.root.PublicKey.(interface{ Equal(x crypto.PublicKey) bool }); !ok || !public.Equal(key.Public()) {
		return nil, ward.Errorf(ward.Invalid, "The key is not that of this authority's root, %s.", a.root.Subject).Because(errKeyApart)
	}
	return key, nil
}

// RequestIssuer returns a request in PEM for the certificate of a new issuer, to be signed
// where the root's key is kept. The key of the request waits in Dir for ImportIssuer;
// asked again before that, it returns a request for the same key.
func (a *Authority) RequestIssuer(ctx context.Context) ([]byte, error) {
	n, err := a.next(ctx)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(a.o.Dir, requested)
	key, err := readKey(filepath.Join(dir, issuerKey), a.o.Passphrase)
	if errors.Is(err, fs.ErrNotExist) {
		if key, err = a.putKey(dir); err != nil {
			return nil, fmt.Errorf("request issuer: %w", err)
		}
	}
	if err != nil {
		return nil, err
	}
	t := issuerTemplate(a.organisation(), n, a.o.Now())
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: t.Subject, SignatureAlgorithm: x509.SHA256WithRSA, ExtraExtensions: []pkix.Extension{authorityConstraint()},
	}, key)
	if err != nil {
		return nil, fmt.Errorf("request issuer: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

// authorityConstraint asks for a certificate of an authority that has none beneath it
// (RFC 5280 section 4.2.1.9: CA true, path length 0).
func authorityConstraint() pkix.Extension {
	return pkix.Extension{Id: []int{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 0x06, 0x01, 0x01, 0xff, 0x02, 0x01, 0x00}}
}

func (a *Authority) putKey(dir string) (*rsa.PrivateKey, error) {
	k, err := newIssuerKey()
	if err != nil {
		return nil, err
	}
	text, err := keyPEM(k, a.o.Passphrase)
	if err != nil {
		return nil, err
	}
	if err := writeWhole(dir, map[string][]byte{issuerKey: text}); err != nil {
		return nil, err
	}
	return readKey(filepath.Join(dir, issuerKey), a.o.Passphrase) // another process may have been first
}

// ImportIssuer adds the issuer that RequestIssuer asked for, with the certificate in PEM
// that was signed elsewhere; from is as in Rotation. A certificate that would not do is an
// error of kind Invalid that says every reason.
func (a *Authority) ImportIssuer(ctx context.Context, certPEM []byte, from time.Time) (Made, error) {
	dir := filepath.Join(a.o.Dir, requested)
	key, err := readKey(filepath.Join(dir, issuerKey), a.o.Passphrase)
	if errors.Is(err, fs.ErrNotExist) {
		return Made{}, ward.Errorf(ward.NotFound, "No issuer was requested here: there is no key that the certificate could belong to.").Because(err)
	}
	if err != nil {
		return Made{}, err
	}
	block, _ := pem.Decode(certPEM)
	if block == nil || block.Type != "CERTIFICATE" {
		return Made{}, ward.Errorf(ward.Invalid, "The file holds no certificate in PEM.")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return Made{}, ward.Errorf(ward.Invalid, "The certificate can't be read: %v.", err)
	}
	if err := a.fit(cert, key); err != nil {
		return Made{}, err
	}
	n, err := a.next(ctx)
	if err != nil {
		return Made{}, err
	}
	made, err := a.add(ctx, n, key, cert, from)
	if err != nil {
		return Made{}, err
	}
	if err := os.RemoveAll(dir); err != nil {
		return Made{}, fmt.Errorf("import issuer: it was imported, but its request stays: %w", err)
	}
	return made, nil
}

// fit says everything that keeps cert from being an issuer.
func (a *Authority) fit(cert *x509.Certificate, key *rsa.PrivateKey) error {
	wrong := &ward.Error{Kind: ward.Invalid, Message: "The certificate can't be that of an issuer."}
	note := func(bad bool, why string) {
		if bad {
			wrong.Details = append(wrong.Details, why)
		}
	}
	now := a.o.Now()
	note(!key.PublicKey.Equal(cert.PublicKey), "It is for another key than the one that was requested here.")
	note(cert.CheckSignatureFrom(a.root) != nil, "It is not signed by this authority's root, "+a.root.Subject.String()+".")
	note(!cert.IsCA || !cert.BasicConstraintsValid, "It is not a certificate of an authority (basicConstraints CA).")
	note(cert.KeyUsage&issuerUsage != issuerUsage, "Its key usage must be certificate signing, CRL signing, digital signature and key encipherment.")
	note(len(cert.ExtKeyUsage)+len(cert.UnknownExtKeyUsage) > 0, "It is limited to some purposes (extended key usage): what it signs is for others.")
	note(now.Before(cert.NotBefore) || now.After(cert.NotAfter), "It is expired or not yet valid.")
	note(cert.NotAfter.After(a.root.NotAfter), "It outlives the root.")
	note(len(cert.SubjectKeyId) == 0, "It has no subject key identifier.")
	note(slices.ContainsFunc(a.Issuers(), func(c *x509.Certificate) bool { return string(c.RawSubject) == string(cert.RawSubject) }),
		"Its subject is that of another issuer: each has a name of its own.")
	if len(wrong.Details) > 0 {
		return wrong
	}
	return nil
}

// next loads what is there and returns the number of the issuer after it.
func (a *Authority) next(ctx context.Context) (int, error) {
	if err := a.Reload(ctx); err != nil {
		return 0, err
	}
	all := *a.issuers.Load()
	return all[len(all)-1].n + 1, nil
}

// add writes issuer n to Dir, where nobody else may have put one meanwhile, and loads it.
func (a *Authority) add(ctx context.Context, n int, key crypto.Signer, cert *x509.Certificate, from time.Time) (Made, error) {
	if from.IsZero() {
		from = a.o.Now().Add(Settle)
	}
	from = from.UTC().Truncate(time.Second)
	text, err := keyPEM(key, a.o.Passphrase)
	if err != nil {
		return Made{}, fmt.Errorf("add issuer: %w", err)
	}
	dir := filepath.Join(a.o.Dir, strconv.Itoa(n))
	files := map[string][]byte{issuerCert: certPEM(cert), issuerKey: text, issuerFrom: []byte(from.Format(time.RFC3339) + "\n")}
	if err := writeWhole(dir, files); err != nil {
		return Made{}, fmt.Errorf("add issuer: %w", err)
	}
	there, err := pemutil.ReadCertificate(filepath.Join(dir, issuerCert))
	if err != nil {
		return Made{}, fmt.Errorf("add issuer: %w", err)
	}
	if !there.Equal(cert) {
		return Made{}, ward.Errorf(ward.Conflict, "Another issuer was made at the same moment: issuer %d is there already.", n)
	}
	if err := a.Reload(ctx); err != nil {
		if ward.KindOf(err) == ward.Conflict { // made on another copy, of which the database knows
			err = errors.Join(err, os.RemoveAll(dir))
		}
		return Made{}, err
	}
	return Made{Number: n, Certificate: cert, From: from}, nil
}
