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
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"go.step.sm/crypto/keyutil"
	"go.step.sm/crypto/pemutil"
	"go.step.sm/crypto/x509util"
)

// generation is the folder below Dir that holds the root and the first issuer. It
// appears whole, by one rename, so that a crash or a second process at first run leaves
// no half of an authority. A later issuer gets a folder of its own.
const generation = "1"

const (
	rootCert   = "root.pem"
	rootKey    = "root.key" // needed for a new issuer only: it may be moved to a safe
	issuerCert = "issuer.pem"
	issuerKey  = "issuer.key"
	issuerFrom = "from" // when the issuer begins to sign, RFC 3339; the first has none
	// issuerLost is there where an operator gave up the key: what the issuer signed stays
	// accepted, and it signs nothing any more, neither certificates nor lists.
	issuerLost = "lost"
)

const (
	rootLife   = 20 * 365 * 24 * time.Hour
	issuerLife = 10 * 365 * 24 * time.Hour
	// backdate is how far a device's clock may be behind ours.
	backdate = 10 * time.Minute
)

// makeMissing makes the authority in o.Dir where there is none, if the database is
// fresh; else the keys of a database with certificates would be replaced.
func makeMissing(ctx context.Context, o Options, fresh bool) error {
	dir := filepath.Join(o.Dir, generation)
	_, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if !fresh {
			return ward.Errorf(ward.Conflict, "The database has certificates, but the keys of their authority are not in %s. Restore that folder from the backup.", o.Dir)
		}
		if _, err := os.Stat(filepath.Join(o.Dir, requested)); err == nil {
			return ward.Errorf(ward.Conflict, "The certificate authority waits for the certificate of its issuer, which is signed where the root is kept: import it by ward ca init --import. To begin with a root in this folder instead, remove %s.", filepath.Join(o.Dir, requested))
		}
		err = bootstrap(ctx, o, dir)
	}
	if err != nil {
		return fmt.Errorf("make authority in %s: %w", o.Dir, err)
	}
	return nil
}

func readRoot(dir string) (*x509.Certificate, error) {
	root, err := pemutil.ReadCertificate(filepath.Join(dir, generation, rootCert))
	if err != nil {
		return nil, fmt.Errorf("load root: %w", err)
	}
	return root, nil
}

// readIssuer reads an issuer from its folder. Whether it is under its root is for the
// caller to see.
func (a *Authority) readIssuer(ctx context.Context, dir string) (*issuer, error) {
	is := &issuer{root: a.root}
	var err error
	if is.cert, err = pemutil.ReadCertificate(filepath.Join(dir, issuerCert)); err != nil {
		return nil, fmt.Errorf("load issuer: %w", err)
	}
	_, lost := os.Stat(filepath.Join(dir, issuerLost))
	outside, err := os.ReadFile(filepath.Join(dir, outsideRoot))
	switch {
	case lost == nil:
	case errors.Is(err, fs.ErrNotExist):
		key, err := a.o.readKey(ctx, dir)
		if err != nil {
			return nil, err
		}
		if is.key = key.Signer; !sameKey(is.cert.PublicKey, is.key.Public()) {
			return nil, fmt.Errorf("load issuer in %s: %w", dir, errKeyApart)
		}
	case err == nil:
		is.root, err = pemutil.ParseCertificate(outside)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("load issuer in %s: %w", dir, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, issuerFrom))
	if errors.Is(err, fs.ErrNotExist) {
		return is, nil
	}
	if err == nil {
		is.from, err = time.Parse(time.RFC3339, strings.TrimSpace(string(text)))
	}
	if err != nil {
		return nil, fmt.Errorf("load issuer in %s: %w", dir, err)
	}
	return is, nil
}

// bootstrap makes root and issuer and puts them in dir.
func bootstrap(ctx context.Context, o Options, dir string) error {
	rk, err := keyutil.GenerateSigner("EC", "P-384", 0)
	if err != nil {
		return err
	}
	now := o.Now().Truncate(time.Second)
	root := authorityTemplate(o.Organisation, "Root CA", now, rootLife, 1)
	root.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	rc, err := x509util.CreateCertificate(root, root, rk.Public(), rk)
	if err != nil {
		return err
	}
	files, err := o.issuerUnder(ctx, rc, rk)
	if err != nil {
		return err
	}
	if files[rootKey], err = keyPEM(rk, o.Passphrase); err != nil {
		return err
	}
	return writeWhole(dir, files)
}

// issuerUnder makes the first issuer under a root and returns what its folder is to hold.
func (o *Options) issuerUnder(ctx context.Context, root *x509.Certificate, rk crypto.Signer) (map[string][]byte, error) {
	key, err := o.newKey(ctx, "", []*x509.Certificate{root})
	if err != nil {
		return nil, err
	}
	t := issuerTemplate(organisationOf(root, o.Organisation), first, o.Now().Truncate(time.Second), key)
	if t.NotAfter.After(root.NotAfter) {
		t.NotAfter = root.NotAfter
	}
	cert, err := x509util.CreateCertificate(t, root, key.Public(), rk)
	if err != nil {
		return nil, fmt.Errorf("sign the issuer: %w", err)
	}
	key.files[rootCert], key.files[issuerCert] = certPEM(root), certPEM(cert)
	return key.files, nil
}

// newFileKey makes a key for an issuer in a file, or for a recipient of SCEP requests:
// RSA, because iPhones speak SCEP with RSA only and expect whoever answers to decrypt and
// sign; 2048 bits, because it signs during every enrolment.
func newFileKey() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) }

// issuerTemplate is the certificate of issuer n. Each has a name of its own, so that a
// chain can be built by names.
func issuerTemplate(organisation string, n int, now time.Time, key madeKey) *x509.Certificate {
	name := "Device CA"
	if n > first {
		name += " " + strconv.Itoa(n)
	}
	t := authorityTemplate(organisation, name, now, issuerLife, 0)
	t.KeyUsage = key.usage()
	return t
}

// usage is what the key of an issuer is for. A digital signature is an answer to OCSP or
// SCEP; to a key that can decrypt, clients encrypt their SCEP requests.
func (k madeKey) usage() x509.KeyUsage {
	u := x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	if _, ok := k.Signer.(*rsa.PrivateKey); ok {
		u |= x509.KeyUsageKeyEncipherment
	}
	return u
}

// organisationOf is the name that a root was made with.
func organisationOf(root *x509.Certificate, or string) string {
	if names := root.Subject.Organization; len(names) > 0 {
		return names[0]
	}
	return or
}

func authorityTemplate(organisation, name string, now time.Time, life time.Duration, pathLen int) *x509.Certificate {
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: organisation + " " + name, Organization: []string{organisation}},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(life),
		BasicConstraintsValid: true, IsCA: true, MaxPathLen: pathLen, MaxPathLenZero: pathLen == 0,
	}
}

func certPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func keyPEM(key crypto.Signer, passphrase []byte) ([]byte, error) {
	b, err := pemutil.Serialize(key, pemutil.WithPKCS8(true), pemutil.WithPassword(passphrase))
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(b), nil
}

// writeWhole makes dir with the files, all or none. When another process has made
// dir meanwhile, its files stand.
func writeWhole(dir string, files map[string][]byte) (err error) {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(parent, ".new-") // mode 0700
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }() // gone already when it was renamed
	for name, b := range files {
		if err := writeFile(filepath.Join(tmp, name), b); err != nil {
			return err
		}
	}
	if err := syncDir(tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		if _, there := os.Stat(dir); there == nil {
			return nil
		}
		return err
	}
	return syncDir(parent)
}

func writeFile(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncDir makes a rename or a new name in dir survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
