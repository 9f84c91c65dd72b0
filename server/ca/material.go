package ca

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/wardmdm/ward"
	"go.step.sm/crypto/keyutil"
	"go.step.sm/crypto/pemutil"
	"go.step.sm/crypto/x509util"
)

// generation is the folder below Dir that holds root and issuer. It appears whole,
// by one rename, so that a crash or a second process at first run leaves no half of
// an authority. A later issuer gets a folder of its own.
const generation = "1"

const (
	rootCert   = "root.pem"
	rootKey    = "root.key" // needed for a new issuer only: it may be moved to a safe
	issuerCert = "issuer.pem"
	issuerKey  = "issuer.key"
)

const (
	rootLife   = 20 * 365 * 24 * time.Hour
	issuerLife = 10 * 365 * 24 * time.Hour
	// backdate is how far a device's clock may be behind ours.
	backdate = 10 * time.Minute
)

// material is what the authority works with.
type material struct {
	root   *x509.Certificate
	issuer *x509.Certificate
	key    *rsa.PrivateKey
}

// loadOrMake loads the authority from o.Dir. Where there is none it makes one, if the
// database is fresh; else the keys of a database with certificates would be replaced.
func loadOrMake(o Options, fresh bool) (*material, error) {
	dir := filepath.Join(o.Dir, generation)
	_, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if !fresh {
			return nil, ward.Errorf(ward.Conflict, "The database has certificates, but the keys of their authority are not in %s. Restore that folder from the backup.", o.Dir)
		}
		err = bootstrap(o, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("make authority in %s: %w", o.Dir, err)
	}
	return load(dir, o.Passphrase)
}

func load(dir string, passphrase []byte) (*material, error) {
	m := new(material)
	var err error
	if m.root, err = pemutil.ReadCertificate(filepath.Join(dir, rootCert)); err != nil {
		return nil, fmt.Errorf("load authority: %w", err)
	}
	if m.issuer, err = pemutil.ReadCertificate(filepath.Join(dir, issuerCert)); err != nil {
		return nil, fmt.Errorf("load authority: %w", err)
	}
	path := filepath.Join(dir, issuerKey)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load authority: %w", err)
	}
	k, err := pemutil.ParseKey(b, pemutil.WithPassword(passphrase))
	if errors.Is(err, x509.IncorrectPasswordError) {
		return nil, ward.Errorf(ward.Forbidden, "The passphrase does not open the certificate authority's key %s. It is derived from the master key: use the one that was in place when the key was made.", path).Because(err)
	}
	if err != nil {
		return nil, fmt.Errorf("load authority: %s: %w", path, err)
	}
	key, ok := k.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("load authority: %s holds a %T, want an RSA key", path, k)
	}
	m.key = key
	if !key.PublicKey.Equal(m.issuer.PublicKey) {
		return nil, fmt.Errorf("load authority: the key and the certificate of the issuer in %s do not belong together", dir)
	}
	if err := m.issuer.CheckSignatureFrom(m.root); err != nil {
		return nil, fmt.Errorf("load authority: issuer in %s: %w", dir, err)
	}
	return m, nil
}

// bootstrap makes root and issuer and puts them in dir.
func bootstrap(o Options, dir string) error {
	rk, err := keyutil.GenerateSigner("EC", "P-384", 0)
	if err != nil {
		return err
	}
	// RSA, because iPhones speak SCEP with RSA only and expect the issuer to decrypt
	// and sign; 2048 bits, because it signs during every enrolment.
	ik, err := keyutil.GenerateSigner("RSA", "", 2048)
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
	issuer := authorityTemplate(o.Organisation, "Device CA", now, issuerLife, 0)
	// The last two are for SCEP: clients encrypt to the issuer and verify its answers.
	issuer.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	ic, err := x509util.CreateCertificate(issuer, rc, ik.Public(), rk)
	if err != nil {
		return err
	}
	files := map[string][]byte{rootCert: certPEM(rc), issuerCert: certPEM(ic)}
	if files[rootKey], err = keyPEM(rk, o.Passphrase); err != nil {
		return err
	}
	if files[issuerKey], err = keyPEM(ik, o.Passphrase); err != nil {
		return err
	}
	return writeWhole(dir, files)
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
