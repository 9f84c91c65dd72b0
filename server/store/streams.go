package store

import (
	"context"
	"fmt"
	"time"
)

// StreamPlace is how far a stream of the audit log has come.
type StreamPlace struct {
	Name      string
	Next      int64
	Sent      time.Time
	LastError string
	Failed    time.Time
}

// LeaseStream returns the place of a stream and keeps other copies of the server from it until a
// time, unless one of them holds it at now: then ok is false. A stream that is new begins at
// begin.
func (db *DB) LeaseStream(ctx context.Context, name string, begin int64, now, until time.Time) (p StreamPlace, ok bool, err error) {
	err = db.Do(ctx, func(ctx context.Context) error {
		p, ok = StreamPlace{Name: name}, false
		if _, err := db.exec(ctx, `INSERT INTO stream (name, next_index, sent_at, last_error, failed_at, leased_until) VALUES ($1, $2, 0, '', 0, 0)
			ON CONFLICT (name) DO NOTHING`, name, begin); err != nil {
			return err
		}
		n, err := db.exec(ctx, `UPDATE stream SET leased_until = $3 WHERE name = $1 AND leased_until <= $2`, name, micros(now), micros(until))
		if err != nil || n == 0 {
			return err
		}
		ok = true
		p, err = scanStream(db.row(ctx, `SELECT `+streamColumns+` FROM stream WHERE name = $1`, name))
		return err
	})
	if err != nil {
		return p, false, fmt.Errorf("lease stream %s: %w", name, err)
	}
	return p, ok, nil
}

// KeepStream keeps the place of a stream and ends its lease.
func (db *DB) KeepStream(ctx context.Context, p StreamPlace) error {
	if _, err := db.exec(ctx, `UPDATE stream SET next_index = $2, sent_at = $3, last_error = $4, failed_at = $5, leased_until = 0 WHERE name = $1`,
		p.Name, p.Next, micros(p.Sent), p.LastError, micros(p.Failed)); err != nil {
		return fmt.Errorf("keep stream %s: %w", p.Name, err)
	}
	return nil
}

// StreamPlaces returns the place of every stream, by name.
func (db *DB) StreamPlaces(ctx context.Context) ([]StreamPlace, error) {
	rows, err := db.query(ctx, `SELECT `+streamColumns+` FROM stream ORDER BY name`)
	all, err := scanAll(rows, err, scanStream)
	if err != nil {
		return nil, fmt.Errorf("streams: %w", err)
	}
	return all, nil
}

const streamColumns = `name, next_index, sent_at, last_error, failed_at`

func scanStream(r scanner) (p StreamPlace, err error) {
	var sent, failed int64
	err = r.Scan(&p.Name, &p.Next, &sent, &p.LastError, &failed)
	p.Sent, p.Failed = fromMicros(sent), fromMicros(failed)
	return p, err
}
