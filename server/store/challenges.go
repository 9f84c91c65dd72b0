package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/credential"
)

// Challenges keeps the open challenges by which enrolled devices get certificates.
type Challenges struct{ *DB }

var _ credential.ChallengeStore = Challenges{}

// Challenges returns the store of challenges.
func (db *DB) Challenges() Challenges { return Challenges{db} }

// Keep meets credential.ChallengeStore. The device is held, so that of two deliveries at
// once none leaves more open than the limit, not having seen what the other keeps.
func (c Challenges) Keep(ctx context.Context, hashes []string, g credential.ChallengeGrant, issued, expires time.Time, limit int) error {
	return c.Do(ctx, func(ctx context.Context) error {
		if err := c.Fleet().Hold(ctx, g.Device); err != nil {
			return err
		}
		for _, h := range hashes {
			if _, err := c.exec(ctx, `INSERT INTO device_challenge (hash, purpose, device_id, enrolment_id, profile, app, attested, renewed_from, issued_at, expires_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
				h, string(g.Purpose), string(g.Device), string(g.Enrolment), g.Profile, g.App, g.Attested, g.RenewedFrom, micros(issued), micros(expires)); err != nil {
				return err
			}
		}
		_, err := c.exec(ctx, `DELETE FROM device_challenge WHERE enrolment_id = $1 AND purpose = $2 AND (expires_at <= $3 OR seq NOT IN
			(SELECT seq FROM device_challenge WHERE enrolment_id = $1 AND purpose = $2 ORDER BY seq DESC LIMIT $4))`,
			string(g.Enrolment), string(g.Purpose), micros(issued), limit)
		return err
	})
}

// FindChallenge meets credential.ChallengeStore.
func (c Challenges) FindChallenge(ctx context.Context, hash string, t time.Time) (credential.ChallengeGrant, error) {
	var g credential.ChallengeGrant
	err := c.row(ctx, `SELECT c.purpose, c.device_id, c.enrolment_id, c.profile, c.app, c.attested, c.renewed_from FROM device_challenge c
		JOIN enrolment e ON e.id = c.enrolment_id AND e.device_id = c.device_id AND e.state = 'active'
		WHERE c.hash = $1 AND c.expires_at > $2`, hash, micros(t)).
		Scan(&g.Purpose, &g.Device, &g.Enrolment, &g.Profile, &g.App, &g.Attested, &g.RenewedFrom)
	if errors.Is(err, sql.ErrNoRows) {
		return credential.ChallengeGrant{}, errChallenge()
	}
	return g, err
}

// Holder returns the grant of an unused challenge, whatever became of the challenge and of
// its enrolment; none is a *ward.Error of kind NotFound.
func (c Challenges) Holder(ctx context.Context, hash string) (g credential.ChallengeGrant, err error) {
	err = c.row(ctx, `SELECT purpose, device_id, enrolment_id, profile, app, attested, renewed_from FROM device_challenge WHERE hash = $1`, hash).
		Scan(&g.Purpose, &g.Device, &g.Enrolment, &g.Profile, &g.App, &g.Attested, &g.RenewedFrom)
	return g, missing(err, "There is no such challenge.")
}

// BurnChallenge meets credential.ChallengeStore.
func (c Challenges) BurnChallenge(ctx context.Context, hash string, t time.Time) error {
	rows, err := c.exec(ctx, `DELETE FROM device_challenge WHERE hash = $1 AND expires_at > $2`, hash, micros(t))
	if err == nil && rows == 0 {
		return errChallenge()
	}
	return err
}

func errChallenge() error {
	return ward.Errorf(ward.Forbidden, "This challenge is unknown, used or expired: what held it holds another at its next delivery.")
}
