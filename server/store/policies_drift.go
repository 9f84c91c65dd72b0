package store

import (
	"context"
	"time"

	"github.com/wardmdm/ward/server/policy"
)

// DriftList meets policy.Drifts.
func (p Policies) DriftList(ctx context.Context, f policy.DriftFilter) ([]policy.Drift, error) {
	also, args := scoped(ctx, "drift.device_id", []any{string(f.Device), f.Kind, boolean(f.Open), f.Before, f.Limit})
	rows, err := p.query(ctx, `SELECT seq, device_id, kind, subject, found_at, righted_at FROM drift
		WHERE ($1 = '' OR device_id = $1) AND ($2 = '' OR kind = $2) AND ($3 = 0 OR righted_at = 0) AND ($4 = 0 OR seq < $4)`+also+`
		ORDER BY seq DESC LIMIT $5`, args...)
	return scanAll(rows, err, func(r scanner) (d policy.Drift, err error) {
		var found, righted int64
		err = r.Scan(&d.Seq, &d.Device, &d.Kind, &d.Subject, &found, &righted)
		d.Found, d.Righted = fromMicros(found), fromMicros(righted)
		return d, err
	})
}

// boolean is a condition's value where both engines have to know its type.
func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// DriftCounts meets policy.Drifts.
func (p Policies) DriftCounts(ctx context.Context, since time.Time) ([]policy.DriftCount, error) {
	also, args := scoped(ctx, "drift.device_id", []any{micros(since)})
	rows, err := p.query(ctx, `SELECT kind, SUM(CASE WHEN righted_at = 0 THEN 1 ELSE 0 END), COUNT(DISTINCT CASE WHEN righted_at = 0 THEN device_id END),
		SUM(CASE WHEN found_at >= $1 THEN 1 ELSE 0 END), SUM(CASE WHEN found_at >= $1 AND righted_at > 0 THEN 1 ELSE 0 END)
		FROM drift WHERE (righted_at = 0 OR found_at >= $1)`+also+` GROUP BY kind ORDER BY kind`, args...)
	return scanAll(rows, err, func(r scanner) (c policy.DriftCount, err error) {
		return c, r.Scan(&c.Kind, &c.Open, &c.Devices, &c.Found, &c.Righted)
	})
}

// PurgeDrift deletes what was put right before t, and returns how much.
func (p Policies) PurgeDrift(ctx context.Context, t time.Time) (int64, error) {
	return p.exec(ctx, `DELETE FROM drift WHERE righted_at > 0 AND righted_at < $1`, micros(t))
}
