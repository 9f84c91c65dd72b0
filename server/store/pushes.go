package store

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/unit"
)

// OwePush makes a push to an enrolment due at t. One row stands for any number of
// commands: a woken device fetches them all.
func (db *DB) OwePush(ctx context.Context, id ward.EnrolmentID, t time.Time) error {
	if _, err := db.exec(ctx, `INSERT INTO push (enrolment_id, due_at, attempts, leased_until) VALUES ($1, $2, 0, 0)
		ON CONFLICT (enrolment_id) DO UPDATE SET due_at = CASE WHEN push.due_at < excluded.due_at THEN push.due_at ELSE excluded.due_at END, attempts = 0, leased_until = 0`,
		string(id), micros(t)); err != nil {
		return err
	}
	unit.AfterCommit(ctx, db.wakePusher)
	return nil
}

func (db *DB) wakePusher() {
	select {
	case db.pushes <- struct{}{}:
	default: // it is awake already
	}
}

// PushesOwed signals that a push may have become due in this process.
func (db *DB) PushesOwed() <-chan struct{} { return db.pushes }

// Outbox keeps the pushes that are owed to devices. Nothing but rows with a due time
// and a lease: another copy of the server takes a push over when its lease runs out.
type Outbox struct{ *DB }

// Outbox returns the pushes that are owed.
func (db *DB) Outbox() Outbox { return Outbox{db} }

// Owed is a push that is owed, with where to send it.
type Owed struct {
	Enrolment ward.EnrolmentID
	Topic     string
	Token     string // hexadecimal
	Magic     string
	Attempts  int
}

// Lease claims up to limit pushes that are due at t for the length of a lease;
// another copy of the server takes them over when it runs out.
func (db Outbox) Lease(ctx context.Context, t time.Time, lease time.Duration, limit int) (out []Owed, err error) {
	var idle bool
	if err := db.row(ctx, `SELECT NOT EXISTS (SELECT 1 FROM push WHERE due_at <= $1 AND leased_until <= $1)`, micros(t)).Scan(&idle); err != nil || idle {
		return nil, err
	}
	err = db.Do(ctx, func(ctx context.Context) error {
		rows, err := db.query(ctx, `UPDATE push SET leased_until = $2, attempts = attempts + 1
			WHERE enrolment_id IN (SELECT enrolment_id FROM push WHERE due_at <= $1 AND leased_until <= $1 ORDER BY due_at LIMIT $3`+db.dialect.lock+`)
			RETURNING enrolment_id, attempts`, micros(t), micros(t.Add(lease)), limit)
		claimed, err := scanAll(rows, err, func(r scanner) (p Owed, err error) { return p, r.Scan(&p.Enrolment, &p.Attempts) })
		if err != nil {
			return err
		}
		for _, p := range claimed {
			var waits bool
			err := db.row(ctx, `SELECT push_token, push_magic, topic, EXISTS (SELECT 1 FROM command WHERE enrolment_id = $1 AND `+openCommand+`)
				FROM enrolment WHERE id = $1 AND state = 'active' AND push_dead_at = 0 AND push_token <> ''`, string(p.Enrolment)).
				Scan(&p.Token, &p.Magic, &p.Topic, &waits)
			if none(err) != nil {
				return err
			}
			if err != nil || (p.Attempts > 1 && !waits) { // it can't be pushed to, or need not be again
				if _, err := db.exec(ctx, `DELETE FROM push WHERE enrolment_id = $1`, string(p.Enrolment)); err != nil {
					return err
				}
				continue
			}
			out = append(out, p)
		}
		return nil
	})
	return out, err
}

// Sent settles a push that APNs took. While commands still wait the device is
// pushed to again at again: a push is a hint that may be lost.
func (db Outbox) Sent(ctx context.Context, id ward.EnrolmentID, again time.Time) error {
	return db.Do(ctx, func(ctx context.Context) error {
		if _, err := db.exec(ctx, `DELETE FROM push WHERE enrolment_id = $1 AND leased_until > 0
			AND NOT EXISTS (SELECT 1 FROM command WHERE enrolment_id = $1 AND `+openCommand+`)`, string(id)); err != nil {
			return err
		}
		_, err := db.exec(ctx, `UPDATE push SET due_at = $2, leased_until = 0 WHERE enrolment_id = $1 AND leased_until > 0`, string(id), micros(again))
		return err
	})
}

// Failed makes a failed push due again at t.
func (db Outbox) Failed(ctx context.Context, id ward.EnrolmentID, t time.Time) error {
	_, err := db.exec(ctx, `UPDATE push SET due_at = $2, leased_until = 0 WHERE enrolment_id = $1 AND leased_until > 0`, string(id), micros(t))
	return err
}

// Dead notes that APNs will never take the enrolment's token again; a new token
// comes with the device's next TokenUpdate.
func (db Outbox) Dead(ctx context.Context, id ward.EnrolmentID, t time.Time) error {
	return db.Do(ctx, func(ctx context.Context) error {
		if _, err := db.exec(ctx, `UPDATE enrolment SET push_dead_at = $2 WHERE id = $1`, string(id), micros(t)); err != nil {
			return err
		}
		_, err := db.exec(ctx, `DELETE FROM push WHERE enrolment_id = $1`, string(id))
		return err
	})
}
