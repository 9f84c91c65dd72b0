package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/wardmdm/ward/server/brake"
)

// Journal keeps the brake's journal, and counts the devices that its limits are shares of.
type Journal struct{ *DB }

var (
	_ brake.Journal = Journal{}
	_ brake.Fleet   = Journal{}
)

// Journal returns the store of the brake's journal.
func (db *DB) Journal() Journal { return Journal{db} }

// CloseGate meets brake.Journal: the gate's row stays locked until the unit of work ends. On
// SQLite the one writer is gate enough; there too the row must be there, so that its loss
// is found.
func (s Journal) CloseGate(ctx context.Context) error {
	var id int
	err := s.row(ctx, `SELECT id FROM brake_gate WHERE id = 1`+s.dialect.hold).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("the brake's gate is missing from the database (table brake_gate, the row with id 1 and used_at 0): %w", brake.ErrTampered)
	}
	if err != nil {
		return fmt.Errorf("close the brake's gate: %w", err)
	}
	return nil
}

const journalColumns = `seq, event, kind, at, order_id, device_id, enrolment_id, site, person, campaign, hash, until_at, note, mac`

// Append meets brake.Journal.
func (s Journal) Append(ctx context.Context, e brake.Entry) error {
	err := s.later(ctx, `INSERT INTO brake_journal (`+journalColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		e.Seq, string(e.Event), string(e.Kind), micros(e.At), string(e.Order), string(e.Device), string(e.Enrolment), e.Site, e.Person, e.Campaign, e.Hash, micros(e.Until), e.Note, e.MAC)
	if err != nil {
		return fmt.Errorf("append to the brake's journal: %w", err)
	}
	return nil
}

// Since meets brake.Journal.
func (s Journal) Since(ctx context.Context, seq int64, limit int) ([]brake.Entry, error) {
	rows, err := s.query(ctx, `SELECT `+journalColumns+` FROM brake_journal WHERE seq > $1 ORDER BY seq LIMIT $2`, seq, limit)
	return scanAll(rows, err, func(r scanner) (e brake.Entry, _ error) {
		var at, until int64
		err := r.Scan(&e.Seq, &e.Event, &e.Kind, &at, &e.Order, &e.Device, &e.Enrolment, &e.Site, &e.Person, &e.Campaign, &e.Hash, &until, &e.Note, &e.MAC)
		if err != nil && ctx.Err() == nil { // SQLite keeps a text where a number belongs
			return e, fmt.Errorf("a row of the table brake_journal can't be read: %w: %w", err, brake.ErrTampered)
		}
		e.At, e.Until = fromMicros(at), fromMicros(until)
		return e, err
	})
}

// Count meets brake.Fleet.
func (s Journal) Count(ctx context.Context, site string) (n int, err error) {
	err = s.row(ctx, `SELECT COUNT(*) FROM device WHERE state IN ('managed', 'lost') AND ($1 = '' OR site = $1)`, site).Scan(&n)
	return n, err
}
