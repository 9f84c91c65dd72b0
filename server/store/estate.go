package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/unit"
)

// Estate keeps the postures of devices.
type Estate struct{ Fleet }

var _ estate.Store = Estate{}

// Estate returns the store of postures.
func (db *DB) Estate() Estate { return Estate{db.Fleet()} }

// markPosture has a device's posture judged anew, with the unit of work in ctx. Whatever a
// posture follows from is written together with this mark, or by what judges it itself.
func (db *DB) markPosture(ctx context.Context, id ward.DeviceID) error {
	if id == "" {
		return nil
	}
	unit.AfterCommit(ctx, db.wakeEstate)
	return db.later(ctx, `INSERT INTO posture_due (device_id, tried_at) VALUES ($1, 0)`, string(id))
}

func (db *DB) wakeEstate() {
	select {
	case db.postures <- struct{}{}:
	default: // it is awake already
	}
}

// PosturesDue signals that postures may have changed in this process.
func (db *DB) PosturesDue() <-chan struct{} { return db.postures }

// PostureOverlap is how long a unit of work may take whose posture gets its number before its
// commit makes it visible. SQLite has one writer, so that numbers become visible in order.
func (db *DB) PostureOverlap() time.Duration {
	if db.writer != nil {
		return 0
	}
	return 30 * time.Second
}

// Posture meets estate.Store.
func (s Estate) Posture(ctx context.Context, id ward.DeviceID) (k estate.Kept, err error) {
	err = s.row(ctx, keptPosture, string(id)).Scan(&k.Seq, &k.Body, &k.Due)
	return k, err
}

// SavePosture meets estate.Store.
func (s Estate) SavePosture(ctx context.Context, id ward.DeviceID, at time.Time, body string) error {
	return s.Do(ctx, func(ctx context.Context) error {
		if err := s.later(ctx, `DELETE FROM posture WHERE device_id = $1`, string(id)); err != nil {
			return err
		}
		unit.AfterCommit(ctx, s.wakeEstate)
		return s.later(ctx, `INSERT INTO posture (device_id, changed_at, body) VALUES ($1, $2, $3)`, string(id), micros(at), body)
	})
}

// AddChange meets estate.Store.
func (s Estate) AddChange(ctx context.Context, id ward.DeviceID, at time.Time, body string) error {
	return s.later(ctx, `INSERT INTO posture_change (device_id, at, body) VALUES ($1, $2, $3)`, string(id), micros(at), body)
}

const (
	keptPosture = `SELECT COALESCE((SELECT p.seq FROM posture p WHERE p.device_id = $1), 0), COALESCE((SELECT p.body FROM posture p WHERE p.device_id = $1), ''),
		EXISTS (SELECT 1 FROM posture_due q WHERE q.device_id = $1)`
	postureChanges = `SELECT seq, device_id, at, body FROM posture_change WHERE device_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3`
	posturesDue    = `SELECT device_id FROM posture_due ORDER BY tried_at, seq LIMIT $1`
	postureHeads   = `SELECT seq, device_id FROM posture WHERE seq > $1 ORDER BY seq`
	postureRows    = `SELECT p.seq, p.device_id, p.body, d.name, d.serial, d.model, d.owner, d.email, d.role
		FROM posture p LEFT JOIN device d ON d.id = p.device_id WHERE p.seq > $1 ORDER BY p.seq`
)

// Changes meets estate.Store.
func (s Estate) Changes(ctx context.Context, id ward.DeviceID, before int64, limit int) ([]estate.KeptChange, error) {
	if before <= 0 {
		before = 1<<63 - 1
	}
	rows, err := s.query(ctx, postureChanges, string(id), before, limit)
	return scanAll(rows, err, func(r scanner) (c estate.KeptChange, err error) {
		var at int64
		err = r.Scan(&c.Seq, &c.Device, &at, &c.Body)
		c.At = fromMicros(at)
		return c, err
	})
}

// Due meets estate.Store.
func (s Estate) Due(ctx context.Context, limit int) ([]ward.DeviceID, error) {
	rows, err := s.query(ctx, posturesDue, limit)
	all, err := scanAll(rows, err, func(r scanner) (id ward.DeviceID, err error) { return id, r.Scan(&id) })
	var once []ward.DeviceID
	known := make(map[ward.DeviceID]bool, len(all))
	for _, id := range all {
		if !known[id] {
			once = append(once, id)
		}
		known[id] = true
	}
	return once, err
}

// Judged meets estate.Store.
func (s Estate) Judged(ctx context.Context, id ward.DeviceID) error {
	return s.later(ctx, `DELETE FROM posture_due WHERE device_id = $1`, string(id))
}

// Postpone meets estate.Store.
func (s Estate) Postpone(ctx context.Context, id ward.DeviceID, t time.Time) error {
	_, err := s.exec(ctx, `UPDATE posture_due SET tried_at = $2 WHERE device_id = $1`, string(id), micros(t))
	return err
}

// Hold meets estate.Store. SQLite's one writer holds everything, so it only looks whether the
// device is there.
func (s Estate) Hold(ctx context.Context, id ward.DeviceID) error {
	var one int
	return missing(s.row(ctx, `SELECT 1 FROM device WHERE id = $1`+s.dialect.hold, string(id)).Scan(&one), "There is no device %s.", id)
}

// Heads meets estate.Store.
func (s Estate) Heads(ctx context.Context, after int64) ([]estate.Head, error) {
	rows, err := s.query(ctx, postureHeads, after)
	return scanAll(rows, err, func(r scanner) (h estate.Head, err error) { return h, r.Scan(&h.Seq, &h.Device) })
}

// Postures meets estate.Store.
func (s Estate) Postures(ctx context.Context, after int64, each func(estate.Row) error) error {
	rows, err := s.query(ctx, postureRows, after)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err says it
	for rows.Next() {
		var p estate.Row
		var name, serial, model, owner, email, role sql.NullString // of a device that is gone
		if err := rows.Scan(&p.Seq, &p.Device, &p.Body, &name, &serial, &model, &owner, &email, &role); err != nil {
			return err
		}
		p.Name, p.Serial, p.Model, p.Owner, p.Email, p.Role = name.String, serial.String, model.String, owner.String, email.String, role.String
		if err := each(p); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return rows.Err()
}

// LastSeen meets estate.Store.
func (s Estate) LastSeen(ctx context.Context, each func(id ward.EnrolmentID, at time.Time)) error {
	rows, err := s.query(ctx, `SELECT enrolment_id, at FROM seen`)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err says it
	for rows.Next() {
		var id ward.EnrolmentID
		var at int64
		if err := rows.Scan(&id, &at); err != nil {
			return err
		}
		each(id, fromMicros(at))
	}
	return rows.Err()
}

// LateSeen meets estate.Store. What was written last is told too, for whoever asks may have
// read the table before.
func (s Estate) LateSeen(most int, each func(id ward.EnrolmentID, at time.Time)) int {
	s.last.mu.Lock()
	defer s.last.mu.Unlock()
	n := len(s.last.at) + len(s.last.written)
	if n > most {
		return n
	}
	for id, at := range s.last.written {
		each(id, fromMicros(at))
	}
	for id, at := range s.last.at {
		each(id, fromMicros(at))
	}
	return n
}
