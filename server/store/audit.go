package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/audit"
)

// auditLock is the PostgreSQL advisory lock under which one copy of the server
// sequences the audit log.
const auditLock = 0x77617265

// Audit keeps the audit log.
type Audit struct{ db *DB }

// Audit returns the store of the audit log.
func (db *DB) Audit() *Audit { return &Audit{db} }

var _ audit.Store = (*Audit)(nil)

// Do runs fn as one unit of work; see DB.Do.
func (a *Audit) Do(ctx context.Context, fn func(ctx context.Context) error) error {
	return a.db.Do(ctx, fn)
}

const auditColumns = `id, at, action, leaf, who_key, who_lookup, who, what_key, what_lookup, what, tree_index`

func scanAudit(row interface{ Scan(...any) error }) (r audit.Row, _ error) {
	var at int64
	err := row.Scan(&r.ID, &at, &r.Action, &r.Leaf, &r.Who.Key, &r.Who.Lookup, &r.Who.Sealed, &r.What.Key, &r.What.Lookup, &r.What.Sealed, &r.Index)
	r.At = fromMicros(at)
	return r, err
}

// AddEntry meets audit.Entries.
func (a *Audit) AddEntry(ctx context.Context, r audit.Row) error {
	err := a.db.later(ctx, `INSERT INTO audit_entry (at, action, leaf, who_key, who_lookup, who, what_key, what_lookup, what, tree_index)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, -1)`,
		micros(r.At), r.Action, r.Leaf, r.Who.Key, r.Who.Lookup, r.Who.Sealed, r.What.Key, r.What.Lookup, r.What.Sealed)
	if err != nil {
		return fmt.Errorf("add audit entry: %w", err)
	}
	return nil
}

// Entry meets audit.Entries.
func (a *Audit) Entry(ctx context.Context, id int64) (audit.Row, error) {
	r, err := scanAudit(a.db.row(ctx, `SELECT `+auditColumns+` FROM audit_entry WHERE id = $1`, id))
	return r, missing(err, "The audit log has no entry %d.", id)
}

// Entries meets audit.Entries.
func (a *Audit) Entries(ctx context.Context, q audit.Query) ([]audit.Row, error) {
	var where []string
	var args []any
	add := func(cond string, arg any) {
		args = append(args, arg)
		where = append(where, fmt.Sprintf(cond, len(args)))
	}
	if q.Action != "" {
		add("action = $%d", q.Action)
	}
	if q.SubjectLookup != "" {
		add("what_lookup = $%d AND what_lookup <> ''", q.SubjectLookup) // the second half names the partial index
	}
	if q.ActorLookup != "" {
		add("who_lookup = $%d AND who_lookup <> ''", q.ActorLookup)
	}
	if err := a.bound(ctx, q, add); err != nil {
		return nil, err
	}
	order := "DESC"
	switch {
	case q.Oldest:
		order = "ASC"
		add("id > $%d", q.After)
	case q.After > 0:
		add("id < $%d", q.After)
	default:
		add("id > $%d", 0)
	}
	args = append(args, q.Limit)
	rows, err := a.db.query(ctx, fmt.Sprintf(`SELECT `+auditColumns+` FROM audit_entry WHERE %s ORDER BY id %s LIMIT $%d`,
		strings.Join(where, " AND "), order, len(args)), args...)
	return scanAll(rows, err, scanAudit)
}

// drift is by how much the times of entries may run otherwise than their ids, which follow
// the commits.
const drift = 5 * time.Minute

// bound bounds a list by time. The ids of the bounds are searched for first, so that a span
// of a long log is found by its primary key.
func (a *Audit) bound(ctx context.Context, q audit.Query, add func(cond string, arg any)) error {
	if !q.From.IsZero() {
		id, err := a.firstSince(ctx, q.From.Add(-drift))
		if err != nil {
			return err
		}
		add("id >= $%d", id)
		add("at >= $%d", micros(q.From))
	}
	if !q.Until.IsZero() {
		id, err := a.firstSince(ctx, q.Until.Add(drift))
		if err != nil {
			return err
		}
		add("id < $%d", id)
		add("at < $%d", micros(q.Until))
	}
	return nil
}

// firstSince returns about the first id whose entry is not older than t, one past the last
// where there is none.
func (a *Audit) firstSince(ctx context.Context, t time.Time) (int64, error) {
	var last int64
	if err := a.db.row(ctx, `SELECT COALESCE(MAX(id), 0) FROM audit_entry`).Scan(&last); err != nil {
		return 0, fmt.Errorf("bounds of the audit log: %w", err)
	}
	lo, hi := int64(1), last+1
	for lo < hi {
		mid := lo + (hi-lo)/2
		var id, at int64
		err := a.db.row(ctx, `SELECT id, at FROM audit_entry WHERE id >= $1 ORDER BY id LIMIT 1`, mid).Scan(&id, &at)
		if err != nil {
			return 0, fmt.Errorf("bounds of the audit log: %w", err)
		}
		if at >= micros(t) {
			hi = mid
		} else {
			lo = id + 1
		}
	}
	return lo, nil
}

// Unsequenced meets audit.Entries.
func (a *Audit) Unsequenced(ctx context.Context, limit int) ([]audit.Row, error) {
	rows, err := a.db.query(ctx, `SELECT `+auditColumns+` FROM audit_entry WHERE tree_index < 0 ORDER BY id LIMIT $1`, limit)
	return scanAll(rows, err, scanAudit)
}

// Sequenced meets audit.Entries.
func (a *Audit) Sequenced(ctx context.Context, from, end int64, limit int) ([]audit.Row, error) {
	rows, err := a.db.query(ctx, `SELECT `+auditColumns+` FROM audit_entry
		WHERE tree_index >= 0 AND tree_index >= $1 AND tree_index < $2 ORDER BY tree_index LIMIT $3`, from, end, limit)
	return scanAll(rows, err, scanAudit)
}

// PersonKey meets audit.Keys.
func (a *Audit) PersonKey(ctx context.Context, person ward.PersonID) (k audit.PersonKey, _ error) {
	q := `SELECT id, sealed FROM audit_key WHERE person_id = $1`
	if a.db.dialect.name == "postgres" {
		q += ` FOR KEY SHARE` // holds off the deletion until the part is written
	}
	err := a.db.row(ctx, q, string(person)).Scan(&k.ID, &k.Sealed)
	return k, missing(err, "The audit log holds nothing of this person.")
}

// AddPersonKey meets audit.Keys.
func (a *Audit) AddPersonKey(ctx context.Context, person ward.PersonID, k audit.PersonKey) error {
	_, err := a.db.exec(ctx, `INSERT INTO audit_key (person_id, id, sealed) VALUES ($1, $2, $3) ON CONFLICT (person_id) DO NOTHING`, string(person), k.ID, k.Sealed)
	return err
}

// KeyByID meets audit.Keys.
func (a *Audit) KeyByID(ctx context.Context, id string) (k audit.PersonKey, _ error) {
	err := a.db.row(ctx, `SELECT id, sealed FROM audit_key WHERE id = $1`, id).Scan(&k.ID, &k.Sealed)
	return k, missing(err, "The key %s is deleted.", id)
}

// DeletePersonKey meets audit.Keys.
func (a *Audit) DeletePersonKey(ctx context.Context, person ward.PersonID) (id string, parts int64, err error) {
	err = a.db.Do(ctx, func(ctx context.Context) error {
		if err := a.db.row(ctx, `DELETE FROM audit_key WHERE person_id = $1 RETURNING id`, string(person)).Scan(&id); err != nil {
			return missing(err, "The audit log holds nothing of this person.")
		}
		who, err := a.db.exec(ctx, `UPDATE audit_entry SET who_lookup = '' WHERE who_key = $1 AND who_key <> ''`, id)
		if err != nil {
			return err
		}
		what, err := a.db.exec(ctx, `UPDATE audit_entry SET what_lookup = '' WHERE what_key = $1 AND what_key <> ''`, id)
		parts = who + what
		return err
	})
	return id, parts, err
}

// LockTree meets audit.Tree. SQLite has one writer and needs no lock.
func (a *Audit) LockTree(ctx context.Context) error {
	if a.db.dialect.name != "postgres" {
		return nil
	}
	_, err := a.db.exec(ctx, `SELECT pg_advisory_xact_lock($1)`, auditLock)
	return err
}

// Append meets audit.Tree.
func (a *Audit) Append(ctx context.Context, id, index, first int64, hashes [][sha256.Size]byte) error {
	return a.db.Do(ctx, func(ctx context.Context) error {
		n, err := a.db.exec(ctx, `UPDATE audit_entry SET tree_index = $1 WHERE id = $2 AND tree_index < 0`, index, id)
		if err != nil {
			return err
		}
		if n != 1 {
			return errors.New("the entry is in the tree already")
		}
		for i := range hashes {
			if err := a.db.later(ctx, `INSERT INTO audit_hash (position, hash) VALUES ($1, $2)`, first+int64(i), hashes[i][:]); err != nil {
				return err
			}
		}
		return nil
	})
}

// Hashes meets audit.Tree.
func (a *Audit) Hashes(ctx context.Context, positions []int64) ([][sha256.Size]byte, error) {
	if len(positions) == 0 {
		return nil, nil
	}
	marks := make([]string, len(positions))
	args := make([]any, len(positions))
	for i, p := range positions {
		marks[i], args[i] = fmt.Sprintf("$%d", i+1), p
	}
	type stored struct {
		position int64
		hash     []byte
	}
	rows, err := a.db.query(ctx, `SELECT position, hash FROM audit_hash WHERE position IN (`+strings.Join(marks, ",")+`)`, args...)
	all, err := scanAll(rows, err, func(row interface{ Scan(...any) error }) (s stored, _ error) {
		err := row.Scan(&s.position, &s.hash)
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("read audit tree: %w", err)
	}
	found := make(map[int64][]byte, len(all))
	for _, s := range all {
		found[s.position] = s.hash
	}
	out := make([][sha256.Size]byte, len(positions))
	for i, p := range positions {
		if len(found[p]) != sha256.Size {
			return nil, fmt.Errorf("read audit tree: the hash at %d is missing or damaged", p)
		}
		copy(out[i][:], found[p])
	}
	return out, nil
}

// AddCheckpoint meets audit.Tree.
func (a *Audit) AddCheckpoint(ctx context.Context, c audit.SignedCheckpoint) error {
	_, err := a.db.exec(ctx, `INSERT INTO audit_checkpoint (size, note, at) VALUES ($1, $2, $3)`, c.Size, string(c.Note), micros(c.At))
	return err
}

// LatestCheckpoint meets audit.Tree.
func (a *Audit) LatestCheckpoint(ctx context.Context) (c audit.SignedCheckpoint, _ error) {
	var text string
	var at int64
	err := a.db.row(ctx, `SELECT size, note, at FROM audit_checkpoint ORDER BY size DESC LIMIT 1`).Scan(&c.Size, &text, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return c, ward.Errorf(ward.NotFound, "The audit log has no checkpoint yet.")
	}
	c.Note, c.At = []byte(text), fromMicros(at)
	return c, err
}
