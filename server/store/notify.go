package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward/server/notify"
)

// Notifications keeps what the people on call are told.
type Notifications struct{ *DB }

// Notifications returns the outbox of messages to people.
func (db *DB) Notifications() Notifications { return Notifications{db} }

var (
	_ notify.Store  = Notifications{}
	_ notify.People = Notifications{}
)

const (
	notificationColumns = `id, message_id, channel, recipient, topic, subject, body, link, order_id, case_id, device_id, urgent, everyone, happened_at,
		made_at, since_at, due_at, leased_until, attempts, last_error, delivered_at, given_up_at`
	waitingNotification = `delivered_at = 0 AND given_up_at = 0`
	dueNotification     = `channel = $1 AND due_at <= $2 AND leased_until <= $2 AND ` + waitingNotification
)

func scanNotification(r scanner) (d notify.Delivery, err error) {
	var at, made, since, due, leased, delivered, given int64
	m := &d.Message
	err = r.Scan(&d.ID, &m.ID, &d.Channel, &d.To, &m.Topic, &m.Subject, &m.Body, &m.Link, &m.Order, &m.Case, &m.Device, &m.Urgent, &m.Everyone, &at,
		&made, &since, &due, &leased, &d.Attempts, &d.Error, &delivered, &given)
	m.At, d.Made, d.Since, d.Due = fromMicros(at), fromMicros(made), fromMicros(since), fromMicros(due)
	d.Leased, d.Delivered, d.GivenUp = fromMicros(leased), fromMicros(delivered), fromMicros(given)
	return d, err
}

// Add meets notify.Store.
func (db Notifications) Add(ctx context.Context, all []notify.Delivery) (kept int, err error) {
	err = db.Do(ctx, func(ctx context.Context) error {
		kept = 0
		for _, d := range all {
			m := d.Message
			n, err := db.exec(ctx, `INSERT INTO notification (`+notificationColumns+`)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, 0, 0, $18, $19, $20)
				ON CONFLICT (message_id, channel, recipient) DO NOTHING`,
				d.ID, m.ID, d.Channel, d.To, string(m.Topic), m.Subject, m.Body, m.Link, string(m.Order), string(m.Case), string(m.Device), m.Urgent, m.Everyone, micros(m.At),
				micros(d.Made), micros(d.Since), micros(d.Due), d.Error, micros(d.Delivered), micros(d.GivenUp))
			if err != nil {
				return fmt.Errorf("add notification: %w", err)
			}
			kept += int(n)
		}
		return nil
	})
	return kept, err
}

// Lease meets notify.Store. It asks before it writes: most of the time nothing is due.
func (db Notifications) Lease(ctx context.Context, channel string, now, until time.Time, limit int) (out []notify.Delivery, err error) {
	var idle bool
	if err := db.row(ctx, `SELECT NOT EXISTS (SELECT 1 FROM notification WHERE `+dueNotification+`)`, channel, micros(now)).Scan(&idle); err != nil || idle {
		return nil, err
	}
	err = db.Do(ctx, func(ctx context.Context) error {
		rows, err := db.query(ctx, `UPDATE notification SET leased_until = $3, attempts = attempts + 1
			WHERE id IN (SELECT id FROM notification WHERE `+dueNotification+` ORDER BY urgent DESC, due_at, id LIMIT $4`+db.dialect.lock+`)
			RETURNING `+notificationColumns, channel, micros(now), micros(until), limit)
		out, err = scanAll(rows, err, scanNotification)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("lease notifications: %w", err)
	}
	slices.SortFunc(out, func(a, b notify.Delivery) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

// Settle meets notify.Store.
func (db Notifications) Settle(ctx context.Context, d notify.Delivery) (bool, error) {
	n, err := db.exec(ctx, `UPDATE notification SET due_at = $3, last_error = $4, delivered_at = $5, given_up_at = $6, leased_until = 0
		WHERE id = $1 AND leased_until = $2 AND `+waitingNotification,
		d.ID, micros(d.Leased), micros(d.Due), d.Error, micros(d.Delivered), micros(d.GivenUp))
	return n > 0, err
}

// Again meets notify.Store.
func (db Notifications) Again(ctx context.Context, id string, at time.Time) error {
	_, err := db.exec(ctx, `UPDATE notification SET since_at = $2, due_at = $2, leased_until = 0, attempts = 0, last_error = '', delivered_at = 0, given_up_at = 0
		WHERE id = $1`, id, micros(at))
	return err
}

// Delivery meets notify.Store.
func (db Notifications) Delivery(ctx context.Context, id string) (notify.Delivery, error) {
	d, err := scanNotification(db.row(ctx, `SELECT `+notificationColumns+` FROM notification WHERE id = $1`, id))
	return d, missing(err, "There is no notification %s.", id)
}

// Log meets notify.Store.
func (db Notifications) Log(ctx context.Context, before string, limit int) ([]notify.Delivery, error) {
	rows, err := db.query(ctx, `SELECT `+notificationColumns+` FROM notification WHERE $1 = '' OR id < $1 ORDER BY id DESC LIMIT $2`, before, limit)
	return scanAll(rows, err, scanNotification)
}

// Stale meets notify.Store.
func (db Notifications) Stale(ctx context.Context, now, before time.Time, channels []string, limit int) ([]notify.Delivery, error) {
	args := []any{micros(now), micros(before), limit}
	var others strings.Builder
	for _, c := range channels {
		args = append(args, c)
		fmt.Fprintf(&others, ` AND channel <> $%d`, len(args))
	}
	rows, err := db.query(ctx, `SELECT `+notificationColumns+` FROM notification
		WHERE `+waitingNotification+` AND leased_until <= $1 AND since_at < $2`+others.String()+` ORDER BY id LIMIT $3`, args...)
	return scanAll(rows, err, scanNotification)
}

// Purge meets notify.Store.
func (db Notifications) Purge(ctx context.Context, before time.Time) error {
	_, err := db.exec(ctx, `DELETE FROM notification WHERE made_at < $1 AND NOT (`+waitingNotification+`)`, micros(before))
	return err
}

// Emails meets notify.People.
func (db Notifications) Emails(ctx context.Context) ([]string, error) {
	rows, err := db.query(ctx, `SELECT DISTINCT email FROM person WHERE disabled_at = 0 AND email <> '' ORDER BY email`)
	return scanAll(rows, err, func(r scanner) (email string, err error) { return email, r.Scan(&email) })
}
