package store

import (
	"context"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
)

// Waiting is what has waited for too long: how much, and since when the oldest of it.
type Waiting struct {
	Count  int
	Oldest time.Time
}

// Health are measurements of the database's content that say whether work gets done.
type Health struct {
	Pushes   Waiting // due since before the time given, and not on their way
	Commands Waiting // that a device took before the time given, was heard from later, and has not answered
	Plans    Waiting // devices due since before the time given
	Messages Waiting // to the people on call, that are on the way
	GivenUp  int     // messages given up since the time given
	Untold   int     // messages to nobody since then
	Enrolled int     // enrolments that live
}

// Health measures. late is from when on work counts as waiting for too long, recent since when
// messages are counted. It reads small indexes only.
func (db *DB) Health(ctx context.Context, late, recent time.Time) (h Health, err error) {
	waiting := func(into *Waiting, query string, args ...any) {
		if err != nil {
			return
		}
		var oldest int64
		if err = db.row(ctx, query, args...).Scan(&into.Count, &oldest); err != nil {
			err = fmt.Errorf("measure health: %w", err)
		}
		into.Oldest = fromMicros(oldest)
	}
	waiting(&h.Pushes, `SELECT COUNT(*), COALESCE(MIN(due_at), 0) FROM push WHERE due_at <= $1 AND attempts > 0`, micros(late))
	waiting(&h.Commands, `SELECT COUNT(*), COALESCE(MIN(c.delivered_at), 0) FROM command c JOIN seen s ON s.enrolment_id = c.enrolment_id
		WHERE c.pending AND c.state = 'delivered' AND c.delivered_at <= $1 AND s.at > c.delivered_at + 60000000`, micros(late))
	waiting(&h.Plans, `SELECT COUNT(*), COALESCE(MIN(check_at), 0) FROM device WHERE check_at > 0 AND check_at <= $1`, micros(late))
	waiting(&h.Messages, `SELECT COUNT(*), COALESCE(MIN(made_at), 0) FROM notification WHERE delivered_at = 0 AND given_up_at = 0 AND channel <> 'none'`)
	if err != nil {
		return h, err
	}
	err = db.row(ctx, `SELECT (SELECT COUNT(*) FROM notification WHERE made_at >= $1 AND given_up_at > 0),
		(SELECT COUNT(*) FROM notification WHERE made_at >= $1 AND channel = 'none'), (SELECT COUNT(*) FROM enrolment WHERE latest AND state <> 'ended')`, micros(recent)).
		Scan(&h.GivenUp, &h.Untold, &h.Enrolled)
	if err != nil {
		return h, fmt.Errorf("measure health: %w", err)
	}
	return h, nil
}

// Size returns how many bytes the database holds on disk, and by how much its clock is ahead
// of now.
func (db *DB) Size(ctx context.Context, now time.Time) (size int64, ahead time.Duration, err error) {
	if db.dialect.name != "postgres" {
		err = db.row(ctx, `SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()`).Scan(&size)
		return size, 0, err
	}
	var clock int64
	err = db.row(ctx, `SELECT pg_database_size(current_database()), CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)`).Scan(&size, &clock)
	return size, fromMicros(clock).Sub(now), err
}

// Ending is a token that ends.
type Ending struct {
	Name    string
	Expires time.Time
}

// TokensEnding returns the API tokens that work and end within a span of time, the first to
// end first.
func (db *DB) TokensEnding(ctx context.Context, from, until time.Time) ([]Ending, error) {
	rows, err := db.query(ctx, `SELECT t.name, t.expires_at FROM access_token t JOIN person p ON p.id = t.person_id
		WHERE t.revoked_at = 0 AND p.disabled_at = 0 AND t.expires_at > $1 AND t.expires_at <= $2 ORDER BY t.expires_at, t.id LIMIT 50`, micros(from), micros(until))
	return scanAll(rows, err, func(r scanner) (e Ending, err error) {
		var at int64
		err = r.Scan(&e.Name, &at)
		e.Expires = fromMicros(at)
		return e, err
	})
}

// DevicesByEmail returns the devices of whoever has an e-mail address, whatever its case.
func (f Fleet) DevicesByEmail(ctx context.Context, email string) ([]ward.Device, error) {
	rows, err := f.query(ctx, `SELECT `+deviceColumns+` FROM device WHERE LOWER(email) = LOWER($1) AND email <> '' ORDER BY created_at, id`, email)
	return scanAll(rows, err, func(r scanner) (ward.Device, error) { return scanDevice(r) })
}
