package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/authorize"
)

// Authorize keeps what decides who comes in.
type Authorize struct{ *DB }

var _ authorize.Store = Authorize{}

// Authorize returns the store of what decides who comes in.
func (db *DB) Authorize() Authorize { return Authorize{db} }

// authorizeSubject finds everything by a key.
const authorizeSubject = `SELECT c.serial, c.kind, c.app, c.not_before, c.not_after, c.revoked_at, c.device_id,
	COALESCE(d.state, ''), COALESCE(d.grp, ''), COALESCE(d.email, ''), COALESCE(e.state, ''),
	EXISTS (SELECT 1 FROM lost_case l WHERE l.device_id = c.device_id AND l.state = 'open'),
	COALESCE(v.state, ''), COALESCE(v.code, ''), COALESCE(v.until_at, 0), COALESCE(v.then_state, ''), COALESCE(v.then_code, '')
	FROM certificate c LEFT JOIN device d ON d.id = c.device_id LEFT JOIN enrolment e ON e.id = c.enrolment_id
	LEFT JOIN verdict v ON v.device_id = c.device_id
	WHERE c.hash = $1`

// Subject meets authorize.Store.
func (a Authorize) Subject(ctx context.Context, hash string) (s authorize.Subject, err error) {
	var before, after, revoked, until int64
	v := &s.Verdict
	err = a.row(ctx, authorizeSubject, hash).Scan(&s.Serial, &s.Kind, &s.App, &before, &after, &revoked, &s.Device, &s.State, &s.Group, &s.Email, &s.Enrolment, &s.Case,
		&v.State, &v.Code, &until, &v.Then, &v.ThenCode)
	s.NotBefore, s.NotAfter, s.Revoked = fromMicros(before), fromMicros(after), fromMicros(revoked)
	if v.State != "" {
		v.Device, v.Until = s.Device, fromMicros(until)
	}
	return s, missing(err, "There is no certificate with the hash %s.", hash)
}

// SaveVerdict meets authorize.Store. Most verdicts are as they were, and are not written.
func (a Authorize) SaveVerdict(ctx context.Context, v authorize.Verdict) error {
	return a.later(ctx, `INSERT INTO verdict (device_id, state, code, until_at, then_state, then_code) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (device_id) DO UPDATE SET state = excluded.state, code = excluded.code, until_at = excluded.until_at,
		then_state = excluded.then_state, then_code = excluded.then_code
		WHERE verdict.state <> excluded.state OR verdict.code <> excluded.code OR verdict.until_at <> excluded.until_at
		OR verdict.then_state <> excluded.then_state OR verdict.then_code <> excluded.then_code`,
		string(v.Device), string(v.State), v.Code, micros(v.Until), string(v.Then), v.ThenCode)
}

// SaveUse meets authorize.Store. Of copies of the server that write the same refusal, one
// is told that it is a change.
func (a Authorize) SaveUse(ctx context.Context, u authorize.Use) (changed bool, err error) {
	err = a.Do(ctx, func(ctx context.Context) error {
		n, err := a.exec(ctx, `INSERT INTO certificate_use (serial, used_at, refused_at, reason) VALUES ($1, $2, $3, $4)
			ON CONFLICT (serial) DO UPDATE SET reason = excluded.reason WHERE certificate_use.reason <> excluded.reason`,
			u.Serial, micros(u.Used), micros(u.Refused), string(u.Reason))
		if err != nil {
			return fmt.Errorf("use of certificate %s: %w", u.Serial, err)
		}
		changed = n > 0 && u.Reason != authorize.Allowed
		return a.later(ctx, `UPDATE certificate_use SET used_at = CASE WHEN used_at < $2 THEN $2 ELSE used_at END,
			refused_at = CASE WHEN refused_at < $3 THEN $3 ELSE refused_at END WHERE serial = $1 AND (used_at < $2 OR refused_at < $3)`,
			u.Serial, micros(u.Used), micros(u.Refused))
	})
	return changed && err == nil, err
}

// allowedAtOnce is how many rows one statement writes: SQLite spends more on a statement
// than on a row.
const allowedAtOnce = 50

// SaveAllowed meets authorize.Store.
func (a Authorize) SaveAllowed(ctx context.Context, all []authorize.Use) error {
	return a.Do(ctx, func(ctx context.Context) error {
		for len(all) > 0 {
			n := 1 // the rest goes one by one, so that there are two statements to prepare and no more
			if len(all) >= allowedAtOnce {
				n = allowedAtOnce
			}
			if err := a.saveAllowed(ctx, all[:n]); err != nil {
				return fmt.Errorf("use of certificates: %w", err)
			}
			all = all[n:]
		}
		return nil
	})
}

func (a Authorize) saveAllowed(ctx context.Context, all []authorize.Use) error {
	var rows strings.Builder
	args := []any{string(authorize.Allowed)}
	for i, u := range all {
		if i > 0 {
			rows.WriteString(", ")
		}
		fmt.Fprintf(&rows, "($%d, $%d, 0, $1)", 2*i+2, 2*i+3)
		args = append(args, u.Serial, micros(u.Used))
	}
	_, err := a.exec(ctx, `INSERT INTO certificate_use (serial, used_at, refused_at, reason) VALUES `+rows.String()+`
		ON CONFLICT (serial) DO UPDATE SET reason = excluded.reason,
		used_at = CASE WHEN certificate_use.used_at < excluded.used_at THEN excluded.used_at ELSE certificate_use.used_at END`, args...)
	return err
}

// Uses returns what is recorded of the use of a device's certificates, by their serial
// numbers; one that was never used to come in is not in it.
func (a Authorize) Uses(ctx context.Context, id ward.DeviceID) (map[string]authorize.Use, error) {
	rows, err := a.query(ctx, `SELECT u.serial, u.used_at, u.refused_at, u.reason FROM certificate c JOIN certificate_use u ON u.serial = c.serial
		WHERE c.device_id = $1 AND c.device_id <> ''`, string(id))
	all, err := scanAll(rows, err, func(r scanner) (u authorize.Use, err error) {
		var used, refused int64
		err = r.Scan(&u.Serial, &used, &refused, &u.Reason)
		u.Used, u.Refused = fromMicros(used), fromMicros(refused)
		return u, err
	})
	if err != nil {
		return nil, fmt.Errorf("use of the certificates of %s: %w", id, err)
	}
	out := make(map[string]authorize.Use, len(all))
	for _, u := range all {
		out[u.Serial] = u
	}
	return out, nil
}

// Verdict returns the last verdict on a device: NotFound if it was never judged.
func (a Authorize) Verdict(ctx context.Context, id ward.DeviceID) (authorize.Verdict, error) {
	v := authorize.Verdict{Device: id}
	var until int64
	err := a.row(ctx, `SELECT state, code, until_at, then_state, then_code FROM verdict WHERE device_id = $1`, string(id)).Scan(&v.State, &v.Code, &until, &v.Then, &v.ThenCode)
	v.Until = fromMicros(until)
	return v, missing(err, "The device %s was never judged.", id)
}
