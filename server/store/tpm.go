package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/wardmdm/ward/server/ca"
)

// Activations keeps what was asked of TPMs until they answer; it meets ca.Activations.
type Activations struct{ *DB }

var _ ca.Activations = Activations{}

// Activations returns the store of what was asked of TPMs.
func (db *DB) Activations() Activations { return Activations{db} }

// KeepActivation meets ca.Activations.
func (s Activations) KeepActivation(ctx context.Context, a ca.Activation, now time.Time) error {
	return s.Do(ctx, func(ctx context.Context) error {
		if _, err := s.exec(ctx, `DELETE FROM tpm_activation WHERE expires_at <= $1`, micros(now)); err != nil {
			return err
		}
		_, err := s.exec(ctx, `INSERT INTO tpm_activation (challenge, secret, ak, ek, manufacturer, model, firmware, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (challenge) DO UPDATE SET secret = excluded.secret, ak = excluded.ak, ek = excluded.ek,
			manufacturer = excluded.manufacturer, model = excluded.model, firmware = excluded.firmware, expires_at = excluded.expires_at`,
			a.Challenge, a.Secret, a.AK, a.EK, a.Manufacturer, a.Model, a.Firmware, micros(a.Expires))
		return err
	})
}

// TakeActivation meets ca.Activations.
func (s Activations) TakeActivation(ctx context.Context, challenge string) (a ca.Activation, err error) {
	err = s.Do(ctx, func(ctx context.Context) error {
		rows, err := s.query(ctx, `DELETE FROM tpm_activation WHERE challenge = $1
			RETURNING challenge, secret, ak, ek, manufacturer, model, firmware, expires_at`, challenge)
		found, err := scanAll(rows, err, scanActivation)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return missing(sql.ErrNoRows, "Nothing was asked of a TPM under this challenge.")
		}
		a = found[0]
		return nil
	})
	return a, err
}

func scanActivation(r scanner) (a ca.Activation, err error) {
	var expires int64
	err = r.Scan(&a.Challenge, &a.Secret, &a.AK, &a.EK, &a.Manufacturer, &a.Model, &a.Firmware, &expires)
	a.Expires = fromMicros(expires)
	return a, err
}

// attestationRoot is the setting that names the root of the attestation authority.
const attestationRoot = "attestation_root"

// AttestationRoot meets ca.Activations.
func (s Activations) AttestationRoot(ctx context.Context) (string, error) {
	return s.Setting(ctx, attestationRoot)
}

// ClaimAttestationRoot meets ca.Activations.
func (s Activations) ClaimAttestationRoot(ctx context.Context, hash string) (held string, err error) {
	err = s.Do(ctx, func(ctx context.Context) error {
		if _, err := s.exec(ctx, `INSERT INTO setting (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING`, attestationRoot, hash); err != nil {
			return err
		}
		held, err = s.Setting(ctx, attestationRoot)
		return err
	})
	return held, err
}
