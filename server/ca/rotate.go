package ca

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/bits"
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
	// From is when it begins to sign; zero means after Settle, or at once where no issuer
	// has a key to sign with: it was lost, and nothing is gained by waiting. Processes that have only
	// copies of Dir need the new folder by then.
	From time.Time
	// Key is where its key is to be, as in Options.IssuerKey; "" means as there.
	Key string
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
	n, err := a.next(ctx)
	if err != nil {
		return Made{}, err
	}
	key, err := a.o.newKey(ctx, r.Key, a.Issuers())
	if err != nil {
		return Made{}, fmt.Errorf("rotate: %w", err)
	}
	t := issuerTemplate(a.organisation(), n, a.o.Now().Truncate(time.Second), key)
	if t.NotAfter.After(a.root.NotAfter) {
		t.NotAfter = a.root.NotAfter
	}
	cert, err := x509util.CreateCertificate(t, a.root, key.Public(), root)
	if err != nil {
		return Made{}, fmt.Errorf("rotate: sign the issuer: %w", err)
	}
	return a.add(ctx, n, key.files, cert, r.From)
}

// organisation is the name that the root was made with.
func (a *Authority) organisation() string { return organisationOf(a.root, a.o.Organisation) }

// rootKey opens the root's key.
func (a *Authority) rootKey(r Rotation) (crypto.Signer, error) {
	text, pass := r.RootKey, r.RootPassphrase
	if len(text) == 0 {
		var err error
		text, err = os.ReadFile(filepath.Join(a.o.Dir, generation, rootKey))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, ward.Errorf(ward.NotFound, "The root's key is not in %s: name the file that it was moved to, or have a request signed where it is kept (--csr).", a.o.Dir)
		}
		if err != nil {
			return nil, fmt.Errorf("rotate: %w", err)
		}
	}
	if len(pass) == 0 {
		pass = a.o.Passphrase
	}
	return openRootKey(a.root, text, pass)
}

// openRootKey opens a key in PEM and makes sure that it is root's. A passphrase that is
// not needed is not looked at.
func openRootKey(root *x509.Certificate, text, passphrase []byte) (crypto.Signer, error) {
	k, err := pemutil.ParseKey(text, pemutil.WithPassword(passphrase))
	if err != nil {
		return nil, ward.Errorf(ward.Invalid, "The root's key can't be opened: is the passphrase the one it was put away with?")
	}
	key, ok := k.(crypto.Signer)
	if !ok {
		return nil, ward.Errorf(ward.Invalid, "The file does not hold a private key.")
	}
	if !sameKey(root.PublicKey, key.Public()) {
		return nil, ward.Errorf(ward.Invalid, "The key is not that of this authority's root, %s.", root.Subject)
	}
	return key, nil
}

// RequestIssuer returns a request in PEM for the certificate of a new issuer, to be signed
// where the root's key is kept. The key of the request waits for ImportIssuer, at is where,
// as in Options.IssuerKey; "" means as there. Asked again before that, it returns a request
// for the same key.
func (a *Authority) RequestIssuer(ctx context.Context, at string) ([]byte, error) {
	n, err := a.next(ctx)
	if err != nil {
		return nil, err
	}
	return a.o.request(ctx, at, a.organisation(), n, a.Issuers())
}

// request makes the key of issuer n where there is none that waits, and the request.
func (o *Options) request(ctx context.Context, at, organisation string, n int, others []*x509.Certificate) ([]byte, error) {
	dir := filepath.Join(o.Dir, requested)
	key, err := o.readKey(ctx, dir)
	if errors.Is(err, fs.ErrNotExist) {
		if key, err = o.newKey(ctx, at, others); err == nil {
			err = writeWhole(dir, key.files)
		}
		if err != nil {
			return nil, fmt.Errorf("request issuer: %w", err)
		}
		key, err = o.readKey(ctx, dir) // another process may have been first
	}
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(others, func(c *x509.Certificate) bool { return sameKey(c.PublicKey, key.Public()) }) {
		return nil, ward.Errorf(ward.Conflict, "The key in %s is that of an issuer already: its import was cut short. Remove that folder and ask again.", dir)
	}
	usage, err := usageWanted(key.usage())
	if err != nil {
		return nil, fmt.Errorf("request issuer: %w", err)
	}
	t := issuerTemplate(organisation, n, o.Now(), key)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: t.Subject, ExtraExtensions: []pkix.Extension{authorityConstraint(), usage},
	}, key.Signer)
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

// usageWanted asks for a key usage (RFC 5280 section 4.2.1.3), whose bits count from the
// left; none of those wanted is beyond the first byte.
func usageWanted(u x509.KeyUsage) (pkix.Extension, error) {
	b := asn1.BitString{Bytes: []byte{bits.Reverse8(uint8(u))}} //nolint:gosec // key usages of issuers fit in seven bits
	b.BitLength = 8 - bits.TrailingZeros8(b.Bytes[0])
	value, err := asn1.Marshal(b)
	return pkix.Extension{Id: []int{2, 5, 29, 15}, Critical: true, Value: value}, err
}

// ImportIssuer adds the issuer that RequestIssuer asked for, with the certificate in PEM
// that was signed elsewhere; from is as in Rotation. The file may hold the root too. A
// certificate that would not do is an error of kind Invalid that says every reason.
func (a *Authority) ImportIssuer(ctx context.Context, chainPEM []byte, from time.Time) (Made, error) {
	dir := filepath.Join(a.o.Dir, requested)
	key, err := a.o.readKey(ctx, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return Made{}, ward.Errorf(ward.NotFound, "No issuer was requested here: there is no key that the certificate could belong to.")
	}
	if err != nil {
		return Made{}, err
	}
	cert, rest, err := pickIssuer(chainPEM, key)
	if err != nil {
		return Made{}, err
	}
	wrong := misfits(cert, key, a.root, a.o.Now())
	for _, c := range rest {
		if !c.Equal(a.root) {
			wrong = append(wrong, "The file holds a further certificate, "+c.Subject.String()+", which is not this authority's root.")
		}
	}
	if slices.ContainsFunc(a.Issuers(), func(c *x509.Certificate) bool { return string(c.RawSubject) == string(cert.RawSubject) }) {
		wrong = append(wrong, "Its subject is that of another issuer: each has a name of its own.")
	}
	if len(wrong) > 0 {
		return Made{}, &ward.Error{Kind: ward.Invalid, Message: "The certificate can't be that of an issuer.", Details: wrong}
	}
	n, err := a.next(ctx)
	if err != nil {
		return Made{}, err
	}
	made, err := a.add(ctx, n, key.files, cert, from)
	if err != nil {
		return Made{}, err
	}
	if err := os.RemoveAll(dir); err != nil {
		return Made{}, fmt.Errorf("import issuer: it was imported, but its request stays: %w", err)
	}
	return made, nil
}

// next loads what is there and returns the number of the issuer after it.
func (a *Authority) next(ctx context.Context) (int, error) {
	if err := a.Reload(ctx); err != nil {
		return 0, err
	}
	return a.lastOwn() + 1, nil
}

// add writes issuer n to Dir, with files that tell of its key, where nobody else may have
// put one meanwhile, and loads it.
func (a *Authority) add(ctx context.Context, n int, files map[string][]byte, cert *x509.Certificate, from time.Time) (Made, error) {
	if from.IsZero() {
		if from = a.o.Now(); a.newest((*issuer).own) != nil {
			from = from.Add(Settle)
		}
	}
	from = from.UTC().Truncate(time.Second)
	dir := filepath.Join(a.o.Dir, strconv.Itoa(n))
	files = maps.Clone(files)
	files[issuerCert], files[issuerFrom] = certPEM(cert), []byte(from.Format(time.RFC3339)+"\n")
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
