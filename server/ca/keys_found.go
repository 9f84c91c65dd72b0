package ca

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/wardmdm/ward"
	"go.step.sm/crypto/pemutil"
)

// Founding begins an authority in a folder that has none, in other ways than Open does by
// itself: with a root that is kept elsewhere, or with an issuer's key that is. Dir,
// Passphrase, Organisation and Now are needed. That the database has no certificates of
// another authority is for the caller to see.
type Founding struct {
	Dir          string
	Passphrase   []byte
	Organisation string
	// Key is where the issuer's key is, as in Options.IssuerKey.
	Key string
	Now func() time.Time
}

// Founded is what an authority began with.
type Founded struct{ Root, Issuer *x509.Certificate }

// begin checks that there is nothing yet.
func (f Founding) begin() (*Options, error) {
	if f.Dir == "" || len(f.Passphrase) == 0 || f.Organisation == "" || f.Now == nil {
		return nil, errors.New("found authority: Dir, Passphrase, Organisation and Now are needed")
	}
	if err := CheckKeyPlace(f.Key); err != nil {
		return nil, err
	}
	_, err := os.Stat(filepath.Join(f.Dir, generation))
	if err == nil {
		return nil, ward.Errorf(ward.Conflict, "There is a certificate authority in %s already. A new issuer is made by ward ca rotate.", f.Dir)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("found authority: %w", err)
	}
	return &Options{Dir: f.Dir, Passphrase: f.Passphrase, Organisation: f.Organisation, IssuerKey: f.Key, Now: f.Now}, nil
}

// Make makes root and issuer, as Open would.
func (f Founding) Make(ctx context.Context) (Founded, error) {
	o, err := f.begin()
	if err != nil {
		return Founded{}, err
	}
	if err := o.noRequest(); err != nil {
		return Founded{}, err
	}
	if err := bootstrap(ctx, *o, filepath.Join(o.Dir, generation)); err != nil {
		return Founded{}, fmt.Errorf("make authority in %s: %w", o.Dir, err)
	}
	return f.read()
}

// Under makes an issuer under a root that exists, whose certificate and key are given in
// PEM. The key is used once and not kept: a later issuer needs it again, or is requested.
// What is wrong with the root is one error of kind Invalid with every reason.
func (f Founding) Under(ctx context.Context, rootPEM, rootKeyPEM, passphrase []byte) (Founded, error) {
	o, err := f.begin()
	if err != nil {
		return Founded{}, err
	}
	if err := o.noRequest(); err != nil {
		return Founded{}, err
	}
	all, err := parseChain(rootPEM)
	if err != nil {
		return Founded{}, err
	}
	if len(all) != 1 {
		return Founded{}, ward.Errorf(ward.Invalid, "The file has to hold the root alone. It holds %d certificates.", len(all))
	}
	if wrong := misfitsRoot(all[0], o.Now()); len(wrong) > 0 {
		return Founded{}, &ward.Error{Kind: ward.Invalid, Message: "The certificate can't be that of a root.", Details: wrong}
	}
	key, err := openRootKey(all[0], rootKeyPEM, passphrase)
	if err != nil {
		return Founded{}, err
	}
	files, err := o.issuerUnder(ctx, all[0], key)
	if err == nil {
		err = writeWhole(filepath.Join(o.Dir, generation), files)
	}
	if err != nil {
		return Founded{}, fmt.Errorf("make authority in %s: %w", o.Dir, err)
	}
	return f.read()
}

// Request makes the issuer's key and returns a request in PEM for its certificate, to be
// signed where the root is kept. No root is made. Until Import, Open refuses. Asked again,
// it returns a request for the same key.
func (f Founding) Request(ctx context.Context) ([]byte, error) {
	o, err := f.begin()
	if err != nil {
		return nil, err
	}
	return o.request(ctx, f.Key, o.Organisation, first, nil)
}

// Import begins with the issuer that Request asked for. The file has its certificate and
// that of its root, in PEM. What would not do is one error of kind Invalid with every
// reason.
func (f Founding) Import(ctx context.Context, chainPEM []byte) (Founded, error) {
	o, err := f.begin()
	if err != nil {
		return Founded{}, err
	}
	dir := filepath.Join(o.Dir, requested)
	key, err := o.readKey(ctx, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return Founded{}, ward.Errorf(ward.NotFound, "No issuer was requested here: ward ca init --root-offline --csr makes its key and the request.")
	}
	if err != nil {
		return Founded{}, err
	}
	cert, rest, err := pickIssuer(chainPEM, key)
	if err != nil {
		return Founded{}, err
	}
	if len(rest) != 1 {
		return Founded{}, ward.Errorf(ward.Invalid, "The file has to hold two certificates, the issuer's and that of the root it is directly under. It holds %d.", 1+len(rest))
	}
	root := rest[0]
	if wrong := append(misfits(cert, key, root, o.Now()), misfitsRoot(root, o.Now())...); len(wrong) > 0 {
		return Founded{}, &ward.Error{Kind: ward.Invalid, Message: "The certificates can't be those of an issuer and its root.", Details: wrong}
	}
	key.files[rootCert], key.files[issuerCert] = certPEM(root), certPEM(cert)
	if err := writeWhole(filepath.Join(o.Dir, generation), key.files); err != nil {
		return Founded{}, fmt.Errorf("import issuer: %w", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return Founded{}, fmt.Errorf("import issuer: it was imported, but its request stays: %w", err)
	}
	return f.read()
}

// noRequest refuses while a request waits, which would be forgotten.
func (o *Options) noRequest() error {
	dir := filepath.Join(o.Dir, requested)
	if _, err := os.Stat(dir); err == nil {
		return ward.Errorf(ward.Conflict, "A request for an issuer waits for its certificate: import it by ward ca init --import, or remove %s first.", dir)
	}
	return nil
}

// read returns what is there, which another process may have put.
func (f Founding) read() (Founded, error) {
	root, err := readRoot(f.Dir)
	if err != nil {
		return Founded{}, err
	}
	issuer, err := pemutil.ReadCertificate(filepath.Join(f.Dir, generation, issuerCert))
	if err != nil {
		return Founded{}, fmt.Errorf("load issuer: %w", err)
	}
	return Founded{root, issuer}, nil
}
