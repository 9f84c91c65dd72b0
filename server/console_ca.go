package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/seal"
	"github.com/wardmdm/ward/server/store"
	"go.uber.org/zap"
)

// keysOfCA is the folder of the authority's keys.
func (c *Config) keysOfCA() string { return filepath.Join(c.keysDir(), "ca") }

// passphraseOfCA opens the authority's keys.
func passphraseOfCA(m *seal.Master) []byte { return m.Derive("certificate authority") }

// authority opens the authority whose keys a console may read. It makes no certificates
// for devices, so that an outside authority is not asked.
func (o *Console) authority(ctx context.Context) (*ca.Authority, error) {
	return ca.Open(ctx, ca.Options{
		Dir: o.config.keysOfCA(), Passphrase: passphraseOfCA(o.master), Organisation: o.config.Organisation, PublicURL: o.url, IssuerKey: o.config.CA.IssuerKey,
		Unit: o.db, Store: o.db.Certificates(), Challenges: &challenges{}, Now: o.now, Log: zap.NewNop(),
	})
}

// Rotate makes a new issuer under the root, and has it audited.
func (o *Console) Rotate(ctx context.Context, r ca.Rotation) (ca.Made, error) {
	a, err := o.authority(ctx)
	if err != nil {
		return ca.Made{}, err
	}
	m, err := a.Rotate(ctx, r)
	if err != nil {
		return ca.Made{}, err
	}
	return m, o.rotated(ctx, m)
}

// RequestIssuer returns a request in PEM for the certificate of a new issuer, for a root
// that is kept elsewhere. key is where the issuer's key is to be; "" means as configured.
func (o *Console) RequestIssuer(ctx context.Context, key string) ([]byte, error) {
	a, err := o.authority(ctx)
	if err != nil {
		return nil, err
	}
	return a.RequestIssuer(ctx, key)
}

// ImportIssuer adds the issuer that was requested, and has it audited.
func (o *Console) ImportIssuer(ctx context.Context, certPEM []byte, from time.Time) (ca.Made, error) {
	a, err := o.authority(ctx)
	if err != nil {
		return ca.Made{}, err
	}
	m, err := a.ImportIssuer(ctx, certPEM, from)
	if err != nil {
		return ca.Made{}, err
	}
	return m, o.rotated(ctx, m)
}

func (o *Console) rotated(ctx context.Context, m ca.Made) error {
	err := o.db.Do(ctx, func(ctx context.Context) error {
		return o.log.Record(ctx, audit.Entry{Action: ca.ActionRotated, Subject: m.Certificate.Subject.String(), Detail: map[string]string{
			"serial": m.Certificate.SerialNumber.String(), "expires": m.Certificate.NotAfter.UTC().Format(time.RFC3339), "signs_from": m.From.Format(time.RFC3339),
		}})
	})
	if err != nil {
		return fmt.Errorf("issuer %d was made, but its audit entry was not: %w", m.Number, err)
	}
	return nil
}

// Founding prepares the authority of a server that has never run, before it makes one by
// itself. It makes the master key where there is none. key is where the issuer's key is to
// be; "" means as configured. A database with certificates is an error of kind Conflict:
// they belong to an authority that there was.
func Founding(ctx context.Context, c Config, key string) (ca.Founding, error) {
	if key == "" {
		key = c.CA.IssuerKey
	}
	m, err := seal.LoadMaster(filepath.Join(c.keysDir(), "master.key"))
	if err != nil {
		return ca.Founding{}, err
	}
	if err := noCertificates(ctx, c, m); err != nil {
		return ca.Founding{}, err
	}
	return ca.Founding{Dir: c.keysOfCA(), Passphrase: passphraseOfCA(m), Organisation: c.Organisation, Key: key, Now: c.clock()}, nil
}

// noCertificates makes sure that the database, if there is one, has none.
func noCertificates(ctx context.Context, c Config, m *seal.Master) (err error) {
	url, err := c.database()
	if err != nil {
		return err
	}
	if !store.IsServer(url) {
		if _, err := os.Stat(url); errors.Is(err, os.ErrNotExist) {
			return nil
		}
	}
	db, err := store.Open(ctx, store.Options{URL: url, Master: m, Now: c.clock()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	const first = 1
	_, err = db.Certificates().CRL(ctx, first)
	if err == nil {
		return ward.Errorf(ward.Conflict, "The database has certificates of an authority already. Restore its folder of keys from the backup.")
	}
	if ward.KindOf(err) == ward.NotFound {
		return nil
	}
	return err
}

// KeysElsewhere returns the URIs of the keys that a backup of c can't hold, because they
// never leave a TPM, a token or a cloud.
func KeysElsewhere(c Config) ([]string, error) { return ca.ElsewhereKeys(c.keysOfCA()) }
