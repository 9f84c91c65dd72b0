package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/credential"
)

// NetworkChallenges keeps the open challenges by which devices get network certificates.
type NetworkChallenges struct{ *DB }

var _ credential.NetworkStore = NetworkChallenges{}

// NetworkChallenges returns the store of network challenges.
func (db *DB) NetworkChallenges() NetworkChallenges { return NetworkChallenges{db} }

// Keep meets credential.NetworkStore. The device is held, so that of two deliveries at
// once none leaves more open than the limit, not having seen what the other keeps.
func (n NetworkChallenges) Keep(ctx context.Context, hashes []string, g credential.NetworkGrant, issued, expires time.Time, limit int) error {
	return n.Do(ctx, func(ctx context.Context) error {
		if err := n.Fleet().Hold(ctx, g.Device); err != nil {
			return err
		}
		for _, h := range hashes {
			if _, err := n.exec(ctx, `INSERT INTO network_challenge (hash, device_id, enrolment_id, profile, issued_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)`,
				h, string(g.Device), string(g.Enrolment), g.Profile, micros(issued), micros(expires)); err != nil {
				return err
			}
		}
		_, err := n.exec(ctx, `DELETE FROM network_challenge WHERE enrolment_id = $1 AND (expires_at <= $2 OR seq NOT IN
			(SELECT seq FROM network_challenge WHERE enrolment_id = $1 ORDER BY seq DESC LIMIT $3))`, string(g.Enrolment), micros(issued), limit)
		return err
	})
}

// FindChallenge meets credential.NetworkStore.
func (n NetworkChallenges) FindChallenge(ctx context.Context, hash string, t time.Time) (credential.NetworkGrant, error) {
	var g credential.NetworkGrant
	err := n.row(ctx, `SELECT c.device_id, c.enrolment_id, c.profile FROM network_challenge c
		JOIN enrolment e ON e.id = c.enrolment_id AND e.device_id = c.device_id AND e.state = 'active'
		WHERE c.hash = $1 AND c.expires_at > $2`, hash, micros(t)).Scan(&g.Device, &g.Enrolment, &g.Profile)
	if errors.Is(err, sql.ErrNoRows) {
		return credential.NetworkGrant{}, errChallenge()
	}
	return g, err
}

// BurnChallenge meets credential.NetworkStore.
func (n NetworkChallenges) BurnChallenge(ctx context.Context, hash string, t time.Time) error {
	rows, err := n.exec(ctx, `DELETE FROM network_challenge WHERE hash = $1 AND expires_at > $2`, hash, micros(t))
	if err == nil && rows == 0 {
		return errChallenge()
	}
	return err
}

func errChallenge() error {
	return ward.Errorf(ward.Forbidden, "This network challenge is unknown, used or expired: the next delivery of the profile holds another.")
}
