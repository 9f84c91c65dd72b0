package server

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/ca"
	"go.uber.org/zap"
)

// authority opens the authority whose keys a console may read.
func (o *Console) authority(ctx context.Context) (*ca.Authority, error) {
	return ca.Open(ctx, ca.Options{
		Dir: filepath.Join(o.config.keysDir(), "ca"), Passphrase: o.master.Derive("certificate authority"), Organisation: o.config.Organisation, PublicURL: o.url,
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
// that is kept elsewhere.
func (o *Console) RequestIssuer(ctx context.Context) ([]byte, error) {
	a, err := o.authority(ctx)
	if err != nil {
		return nil, err
	}
	return a.RequestIssuer(ctx)
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
