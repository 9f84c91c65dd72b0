package store

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/reconcile"
)

// Drift keeps what was found on devices otherwise than the policy wants.
type Drift struct{ *DB }

var _ reconcile.Drift = Drift{}

// Drift returns the store of deviations.
func (db *DB) Drift() Drift { return Drift{db} }

// Open meets reconcile.Drift.
func (d Drift) Open(ctx context.Context, id ward.DeviceID) (map[reconcile.Deviation]time.Time, error) {
	rows, err := d.query(ctx, `SELECT kind, subject, found_at FROM drift WHERE device_id = $1 AND righted_at = 0`, string(id))
	type found struct {
		reconcile.Deviation
		at int64
	}
	all, err := scanAll(rows, err, func(r scanner) (f found, err error) { return f, r.Scan(&f.Kind, &f.Subject, &f.at) })
	if err != nil || len(all) == 0 {
		return nil, err
	}
	out := make(map[reconcile.Deviation]time.Time, len(all))
	for _, f := range all {
		out[f.Deviation] = fromMicros(f.at)
	}
	return out, nil
}

// Settle meets reconcile.Drift.
func (d Drift) Settle(ctx context.Context, id ward.DeviceID, all []reconcile.Deviation, at time.Time) error {
	return d.Do(ctx, func(ctx context.Context) error {
		open, err := d.Open(ctx, id)
		if err != nil {
			return err
		}
		for _, v := range all {
			if _, known := open[v]; known {
				delete(open, v)
				continue
			}
			if _, err := d.exec(ctx, `INSERT INTO drift (device_id, kind, subject, found_at, righted_at) VALUES ($1, $2, $3, $4, 0) ON CONFLICT DO NOTHING`,
				string(id), string(v.Kind), v.Subject, micros(at)); err != nil {
				return err
			}
		}
		for v := range open {
			if _, err := d.exec(ctx, `UPDATE drift SET righted_at = $4 WHERE device_id = $1 AND kind = $2 AND subject = $3 AND righted_at = 0`,
				string(id), string(v.Kind), v.Subject, micros(at)); err != nil {
				return err
			}
		}
		return nil
	})
}
