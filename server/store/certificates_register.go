package store

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/wardmdm/ward/server/ca"
)

// Certificates meets ca.Register.
func (s *Certificates) Certificates(ctx context.Context, f ca.Filter) ([]ca.Certificate, error) {
	where, args := []string{"seq < $1"}, []any{int64(math.MaxInt64)}
	add := func(condition string, values ...any) {
		for _, v := range values {
			args = append(args, v)
			condition = strings.Replace(condition, "?", fmt.Sprintf("$%d", len(args)), 1)
		}
		where = append(where, condition)
	}
	if f.After != "" {
		where, args = nil, nil
		add("seq < (SELECT seq FROM certificate WHERE serial = ?)", f.After)
	}
	if f.Device != "" {
		add("device_id = ? AND device_id <> ''", string(f.Device))
	}
	if f.Kind != "" {
		add("kind = ?", string(f.Kind))
	}
	if f.Revoked {
		add("revoked_at > 0")
	}
	if !f.ExpiringBy.IsZero() {
		add("revoked_at = 0 AND not_after > ? AND not_after <= ?", micros(f.Now), micros(f.ExpiringBy))
	}
	args = append(args, max(1, f.Limit))
	query := fmt.Sprintf(`SELECT %s FROM certificate WHERE %s ORDER BY seq DESC LIMIT $%d`, certificateColumns, strings.Join(where, " AND "), len(args))
	rows, err := s.db.query(ctx, query, args...)
	return scanAll(rows, err, scanCertificate)
}

// CountCertificates meets ca.Register. It reads an index only.
func (s *Certificates) CountCertificates(ctx context.Context, now time.Time) ([]ca.Count, error) {
	rows, err := s.db.query(ctx, `SELECT issuer, kind,
		COALESCE(SUM(CASE WHEN revoked_at = 0 AND not_after > $1 THEN 1 ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN revoked_at = 0 AND not_after <= $2 THEN 1 ELSE 0 END), 0),
		COALESCE(SUM(CASE WHEN revoked_at > 0 THEN 1 ELSE 0 END), 0)
		FROM certificate GROUP BY issuer, kind ORDER BY issuer, kind`, micros(now), micros(now))
	return scanAll(rows, err, func(r scanner) (c ca.Count, err error) {
		return c, r.Scan(&c.Issuer, &c.Kind, &c.Valid, &c.Expired, &c.Revoked)
	})
}

// liveIdentity picks the certificates that live enrolments prove themselves by.
const liveIdentity = `c.kind = $1 AND c.revoked_at = 0 AND c.not_after > $2
	AND EXISTS (SELECT 1 FROM identity i JOIN enrolment e ON e.channel = i.channel AND e.latest WHERE i.hash = c.hash AND i.live AND e.state <> 'ended')`

// SoonestIdentity meets ca.Register.
func (s *Certificates) SoonestIdentity(ctx context.Context, now time.Time) (ca.Certificate, error) {
	c, err := scanCertificate(s.db.row(ctx, `SELECT `+certificateColumns+` FROM certificate c WHERE `+liveIdentity+` ORDER BY c.not_after LIMIT 1`,
		string(ca.KindDevice), micros(now)))
	return c, missing(err, "No enrolled device has an identity.")
}

// CountIdentities meets ca.Register.
func (s *Certificates) CountIdentities(ctx context.Context, now, until time.Time) (n int, err error) {
	err = s.db.row(ctx, `SELECT COUNT(*) FROM certificate c WHERE `+liveIdentity+` AND c.not_after <= $3`,
		string(ca.KindDevice), micros(now), micros(until)).Scan(&n)
	return n, err
}
