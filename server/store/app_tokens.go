package store

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/credential"
	"github.com/wardmdm/ward/server/reconcile"
)

// AppTokens keeps the one-time tokens of apps.
type AppTokens struct{ *DB }

var (
	_ credential.Store      = AppTokens{}
	_ reconcile.Credentials = AppTokens{}
)

// AppTokens returns the store of apps' one-time tokens.
func (db *DB) AppTokens() AppTokens { return AppTokens{db} }

// Replace meets credential.Store.
func (a AppTokens) Replace(ctx context.Context, hash string, g credential.Grant, issued, expires time.Time) error {
	return a.Do(ctx, func(ctx context.Context) error {
		if _, err := a.exec(ctx, `DELETE FROM app_token WHERE enrolment_id = $1 AND app = $2 AND used_at = 0`, string(g.Enrolment), g.App); err != nil {
			return err
		}
		_, err := a.exec(ctx, `INSERT INTO app_token (hash, device_id, enrolment_id, app, issued_at, expires_at, used_at) VALUES ($1, $2, $3, $4, $5, $6, 0)`,
			hash, string(g.Device), string(g.Enrolment), g.App, micros(issued), micros(expires))
		return err
	})
}

// Find meets credential.Store.
func (a AppTokens) Find(ctx context.Context, hash string, t time.Time) (g credential.Grant, err error) {
	var expires, used int64
	err = a.row(ctx, `SELECT t.device_id, t.enrolment_id, t.app, t.expires_at, t.used_at FROM app_token t
		JOIN enrolment e ON e.id = t.enrolment_id AND e.state = 'active' WHERE t.hash = $1`, hash).
		Scan(&g.Device, &g.Enrolment, &g.App, &expires, &used)
	if none(err) != nil {
		return g, err
	}
	if err != nil || used > 0 || expires <= micros(t) {
		return g, ward.Errorf(ward.Forbidden, "This token is unknown, used or expired: the device's management gives the app a new one.")
	}
	return g, nil
}

// Holder returns the grant of a token, whatever became of the token and of its enrolment;
// none is a *ward.Error of kind NotFound.
func (a AppTokens) Holder(ctx context.Context, hash string) (g credential.Grant, err error) {
	err = a.row(ctx, `SELECT device_id, enrolment_id, app FROM app_token WHERE hash = $1`, hash).Scan(&g.Device, &g.Enrolment, &g.App)
	return g, missing(err, "There is no such token.")
}

// Burn meets credential.Store.
func (a AppTokens) Burn(ctx context.Context, hash string, t time.Time) error {
	n, err := a.exec(ctx, `UPDATE app_token SET used_at = $2 WHERE hash = $1 AND used_at = 0 AND expires_at > $2`, hash, micros(t))
	if err == nil && n == 0 {
		return ward.Errorf(ward.Forbidden, "This token is used or expired: the device's management gives the app a new one.")
	}
	return err
}

// Open lists the hashes of what Void makes useless.
func (a AppTokens) Open(ctx context.Context, id ward.DeviceID) ([]string, error) {
	rows, err := a.query(ctx, `SELECT hash FROM app_token WHERE device_id = $1 AND used_at = 0
		UNION ALL SELECT hash FROM device_challenge WHERE device_id = $1 AND purpose <> $2`, string(id), string(credential.ForIdentity))
	return scanAll(rows, err, func(r scanner) (h string, err error) { return h, r.Scan(&h) })
}

// Void meets credential.Store.
func (a AppTokens) Void(ctx context.Context, id ward.DeviceID) error {
	return a.Do(ctx, func(ctx context.Context) error {
		if _, err := a.exec(ctx, `DELETE FROM app_token WHERE device_id = $1 AND used_at = 0`, string(id)); err != nil {
			return err
		}
		_, err := a.exec(ctx, `DELETE FROM device_challenge WHERE device_id = $1 AND purpose <> $2`, string(id), string(credential.ForIdentity))
		return err
	})
}

// Credentials meets reconcile.Credentials. Network certificates stand in the map too, by
// the hash of the profile that brought them.
func (a AppTokens) Credentials(ctx context.Context, id ward.EnrolmentID) (map[string]reconcile.Credential, error) {
	out := map[string]reconcile.Credential{}
	rows, err := a.query(ctx, `SELECT app, MAX(issued_at) FROM app_token WHERE enrolment_id = $1 GROUP BY app`, string(id))
	type issued struct {
		app string
		at  int64
	}
	tokens, err := scanAll(rows, err, func(r scanner) (i issued, err error) { return i, r.Scan(&i.app, &i.at) })
	if err != nil {
		return nil, err
	}
	for _, t := range tokens {
		out[t.app] = reconcile.Credential{TokenIssued: fromMicros(t.at)}
	}
	type validity struct {
		app                    string
		before, after, revoked int64
	}
	rows, err = a.query(ctx, `SELECT app, not_before, not_after, revoked_at FROM certificate WHERE enrolment_id = $1 AND kind IN ('app', 'network') ORDER BY not_after`, string(id))
	certs, err := scanAll(rows, err, func(r scanner) (v validity, err error) {
		return v, r.Scan(&v.app, &v.before, &v.after, &v.revoked)
	})
	if err != nil {
		return nil, err
	}
	for _, c := range certs {
		cred := out[c.app]
		if c.revoked == 0 {
			cred.ValidUntil = fromMicros(c.after)
			cred.Life = time.Duration(c.after-c.before) * time.Microsecond
		} else if t := fromMicros(c.revoked); t.After(cred.Revoked) {
			cred.Revoked = t
		}
		out[c.app] = cred
	}
	return out, nil
}
