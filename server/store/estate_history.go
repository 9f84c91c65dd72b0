package store

import (
	"context"
	"fmt"
	"time"

	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
)

var _ estate.Past = Estate{}

const changesIn = `SELECT seq, device_id, at, body FROM posture_change WHERE at > $1 AND at <= $2 ORDER BY seq`

// ChangesIn meets estate.Past.
func (e Estate) ChangesIn(ctx context.Context, after, until time.Time, each func(estate.KeptChange) error) error {
	rows, err := e.query(ctx, changesIn, micros(after), micros(until))
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err says it
	for rows.Next() {
		var c estate.KeptChange
		var at int64
		if err := rows.Scan(&c.Seq, &c.Device, &at, &c.Body); err != nil {
			return err
		}
		c.At = fromMicros(at)
		if err := each(c); err != nil {
			return err
		}
	}
	return rows.Err()
}

// FirstChange meets estate.Past.
func (e Estate) FirstChange(ctx context.Context) (time.Time, error) {
	var at int64
	err := e.row(ctx, `SELECT COALESCE((SELECT at FROM posture_change ORDER BY at LIMIT 1), 0)`).Scan(&at)
	return fromMicros(at), err
}

// Frames meets estate.Past.
func (e Estate) Frames(ctx context.Context, t time.Time) (oldest, newest time.Time, err error) {
	var first, last int64
	err = e.row(ctx, `SELECT COALESCE((SELECT at FROM posture_frame WHERE at <= $1 ORDER BY at LIMIT 1), 0),
		COALESCE((SELECT at FROM posture_frame WHERE at <= $1 ORDER BY at DESC LIMIT 1), 0)`, micros(t)).Scan(&first, &last)
	return fromMicros(first), fromMicros(last), err
}

// Frame meets estate.Past.
func (e Estate) Frame(ctx context.Context, at time.Time) (body []byte, err error) {
	err = e.row(ctx, `SELECT body FROM posture_frame WHERE at = $1`, micros(at)).Scan(&body)
	return body, missing(err, "There is no frame of %s.", compliance.Stamp(at))
}

const dayColumns = `devices, compliant, pending, in_grace, unknown, non_compliant, lost, blocked, app_ready, app_want, not_seen_7, not_seen_30, old_os`

// SaveMidnight meets estate.Past.
func (e Estate) SaveMidnight(ctx context.Context, at time.Time, frame []byte, days map[estate.Cut]estate.Day) (first bool, err error) {
	err = e.Do(ctx, func(ctx context.Context) error {
		n, err := e.exec(ctx, `INSERT INTO posture_frame (at, body) VALUES ($1, $2) ON CONFLICT DO NOTHING`, micros(at), frame)
		if err != nil || n == 0 {
			return err
		}
		first = true
		for cut, day := range days {
			if err := e.later(ctx, `INSERT INTO posture_day (dim, key, day, `+dayColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
				ON CONFLICT DO NOTHING`, dayArgs(cut, day)...); err != nil {
				return err
			}
		}
		return nil
	})
	return first, err
}

func dayArgs(c estate.Cut, d estate.Day) []any {
	s := d.States
	return []any{
		string(c.By), c.Value, micros(d.Day), d.Devices, s[compliance.Compliant], s[compliance.Pending], s[compliance.InGrace], s[compliance.Unknown],
		s[compliance.NonCompliant], s[compliance.Lost], d.Blocked, d.AppReady, d.AppWant, d.NotSeen7, d.NotSeen30, d.OldOS,
	}
}

func scanDay(r scanner) (d estate.Day, err error) {
	var day int64
	var compliant, pending, grace, unknown, bad, lost int
	err = r.Scan(&day, &d.Devices, &compliant, &pending, &grace, &unknown, &bad, &lost, &d.Blocked, &d.AppReady, &d.AppWant, &d.NotSeen7, &d.NotSeen30, &d.OldOS)
	d.Day = fromMicros(day)
	d.States = map[compliance.State]int{}
	for s, n := range map[compliance.State]int{
		compliance.Compliant: compliant, compliance.Pending: pending, compliance.InGrace: grace, compliance.Unknown: unknown, compliance.NonCompliant: bad, compliance.Lost: lost,
	} {
		if n != 0 {
			d.States[s] = n
		}
	}
	return d, err
}

const (
	daysOfCut = `SELECT day, ` + dayColumns + ` FROM posture_day WHERE dim = $1 AND key = $2 AND day >= $3 AND day < $4 ORDER BY day`
	daysOfApp = `SELECT d.day, d.devices, d.compliant, d.pending, d.in_grace, d.unknown, d.non_compliant, d.lost, COALESCE(a.blocked, 0), d.app_ready, d.app_want, d.not_seen_7, d.not_seen_30, d.old_os
		FROM posture_day d LEFT JOIN posture_day a ON a.dim = $1 AND a.key = $2 AND a.day = d.day
		WHERE d.dim = '' AND d.key = '' AND d.day >= $3 AND d.day < $4 ORDER BY d.day`
)

// Days meets estate.Past.
func (e Estate) Days(ctx context.Context, c estate.Cut, from, before time.Time) ([]estate.Day, error) {
	query := daysOfCut
	if c.By == estate.ByApp {
		query = daysOfApp
	}
	rows, err := e.query(ctx, query, string(c.By), c.Value, micros(from), micros(before))
	return scanAll(rows, err, scanDay)
}

// Forget meets estate.Past.
func (e Estate) Forget(ctx context.Context, before time.Time, limit int) (deleted int, err error) {
	for _, query := range []string{
		`DELETE FROM posture_frame WHERE at IN (SELECT at FROM posture_frame WHERE at < $1 ORDER BY at LIMIT $2)`,
		`DELETE FROM posture_change WHERE seq IN (SELECT seq FROM posture_change WHERE at <= $1 ORDER BY at LIMIT $2)`,
		`DELETE FROM finding_span WHERE (device_id, code, subject, from_at) IN
			(SELECT device_id, code, subject, from_at FROM finding_span WHERE to_at > 0 AND to_at <= $1 ORDER BY to_at LIMIT $2)`,
	} {
		n, err := e.exec(ctx, query, micros(before), limit)
		if err != nil {
			return deleted, fmt.Errorf("forget the past: %w", err)
		}
		deleted += int(n)
	}
	return deleted, nil
}
