package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/evidence"
)

// Evidence keeps the seals over changes of postures, and finds what is held of a person.
type Evidence struct{ *DB }

var _ evidence.Seals = Evidence{}

// Evidence returns the store of seals.
func (db *DB) Evidence() Evidence { return Evidence{db} }

// sealOverlap is how far behind the newest seal changes are looked for that none is over: on
// PostgreSQL units of work commit in another order than their rows were numbered.
const sealOverlap = 20000

func scanChange(r scanner) (c evidence.Change, err error) {
	var at int64
	err = r.Scan(&c.Seq, &c.Device, &at, &c.Body, &c.Prev)
	c.At = fromMicros(at)
	return c, err
}

// Unsealed meets evidence.Seals.
func (e Evidence) Unsealed(ctx context.Context, limit int) ([]evidence.Change, error) {
	var newest int64
	if err := e.row(ctx, `SELECT COALESCE(MAX(seq), 0) FROM posture_leaf`).Scan(&newest); err != nil {
		return nil, err
	}
	rows, err := e.query(ctx, `SELECT c.seq, c.device_id, c.at, c.body, COALESCE((SELECT MAX(p.seq) FROM posture_change p WHERE p.device_id = c.device_id AND p.seq < c.seq), 0)
		FROM posture_change c WHERE c.seq > $1 AND NOT EXISTS (SELECT 1 FROM posture_leaf l WHERE l.seq = c.seq) ORDER BY c.seq LIMIT $2`, max(newest-sealOverlap, 0), limit)
	return scanAll(rows, err, scanChange)
}

// leavesAtOnce is how many leaves one statement adds.
const leavesAtOnce = 256

// AddSeal meets evidence.Seals.
func (e Evidence) AddSeal(ctx context.Context, s evidence.Seal, over []evidence.Change) (evidence.Seal, error) {
	err := e.Do(ctx, func(ctx context.Context) error {
		err := e.row(ctx, `INSERT INTO posture_seal (size, root, first_at, last_at, sealed_at) VALUES ($1, $2, $3, $4, $5) RETURNING id`,
			s.Size, s.Root, micros(s.First), micros(s.Last), micros(s.At)).Scan(&s.ID)
		if err != nil {
			return err
		}
		for len(over) > 0 {
			part := over[:min(leavesAtOnce, len(over))]
			over = over[len(part):]
			var q strings.Builder
			q.WriteString(`INSERT INTO posture_leaf (seq, seal, prev) VALUES `)
			args := []any{s.ID}
			for i, c := range part {
				if i > 0 {
					q.WriteString(", ")
				}
				fmt.Fprintf(&q, "($%d, $1, $%d)", len(args)+1, len(args)+2)
				args = append(args, c.Seq, c.Prev)
			}
			_, err := e.exec(ctx, q.String(), args...)
			if duplicate(err) {
				return ward.Errorf(ward.Conflict, "Some of these changes are sealed already.").Because(err)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return s, err
}

// SealOf meets evidence.Seals.
func (e Evidence) SealOf(ctx context.Context, seq int64) (s evidence.Seal, _ error) {
	var first, last, at int64
	err := e.row(ctx, `SELECT s.id, s.size, s.root, s.first_at, s.last_at, s.sealed_at FROM posture_leaf l JOIN posture_seal s ON s.id = l.seal WHERE l.seq = $1`, seq).
		Scan(&s.ID, &s.Size, &s.Root, &first, &last, &at)
	s.First, s.Last, s.At = fromMicros(first), fromMicros(last), fromMicros(at)
	return s, missing(err, "The change %d is not sealed.", seq)
}

// Sealed meets evidence.Seals.
func (e Evidence) Sealed(ctx context.Context, seal int64) ([]evidence.Change, error) {
	rows, err := e.query(ctx, `SELECT c.seq, c.device_id, c.at, c.body, l.prev FROM posture_leaf l JOIN posture_change c ON c.seq = l.seq WHERE l.seal = $1 ORDER BY l.seq`, seal)
	return scanAll(rows, err, scanChange)
}

// Around meets evidence.Seals.
func (e Evidence) Around(ctx context.Context, d ward.DeviceID, at time.Time) (last, next evidence.Change, err error) {
	one := func(q string, into *evidence.Change) error {
		rows, err := e.query(ctx, `SELECT c.seq, c.device_id, c.at, c.body, COALESCE((SELECT l.prev FROM posture_leaf l WHERE l.seq = c.seq), 0) FROM posture_change c WHERE c.device_id = $1 AND `+q, string(d), micros(at))
		found, err := scanAll(rows, err, scanChange)
		if err == nil && len(found) > 0 {
			*into = found[0]
		}
		return err
	}
	if err = one(`c.at <= $2 ORDER BY c.seq DESC LIMIT 1`, &last); err != nil {
		return last, next, err
	}
	return last, next, one(`c.at > $2 ORDER BY c.seq LIMIT 1`, &next)
}

// EraseOwner meets evidence.Eraser.
func (e Evidence) EraseOwner(ctx context.Context, id ward.DeviceID, name string) error {
	f := e.Fleet()
	d, err := f.Device(ctx, id)
	if err != nil {
		return err
	}
	d.Owner, d.Email, d.Name = "", "", name
	return f.UpdateDevice(ctx, d)
}

// EraseInvitation meets evidence.Eraser.
func (e Evidence) EraseInvitation(ctx context.Context, id string) error {
	n, err := e.exec(ctx, `UPDATE invitation SET name = 'Erased person', email = '', device_name = '', revoked_at = CASE WHEN used_at = 0 AND revoked_at = 0 THEN $2 ELSE revoked_at END WHERE id = $1`, id, micros(e.now()))
	return one(n, err, ward.DeviceID(id))
}

// EraseInCase meets evidence.Eraser.
func (e Evidence) EraseInCase(ctx context.Context, id ward.CaseID, account ward.PersonID) error {
	return e.Do(ctx, func(ctx context.Context) error {
		cases := e.Cases()
		then, err := cases.Snapshot(ctx, id)
		switch {
		case ward.KindOf(err) == ward.NotFound: // of before it was kept
		case err != nil:
			return err
		default:
			then.Device.Owner, then.Device.Email, then.Device.Name = "", "", ""
			if err := cases.SaveSnapshot(ctx, id, then); err != nil {
				return err
			}
		}
		if account == "" {
			return nil
		}
		if _, err := e.exec(ctx, `UPDATE lost_case SET reported_name = 'Erased person' WHERE id = $1 AND reported_by = $2`, string(id), string(account)); err != nil {
			return err
		}
		_, err = e.exec(ctx, `UPDATE case_event SET name = 'Erased person' WHERE case_id = $1 AND person = $2`, string(id), string(account))
		return err
	})
}
