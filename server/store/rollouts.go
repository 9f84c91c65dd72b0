package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/policy"
)

// Rollout meets policy.Rollouts.
func (p Policies) Rollout(ctx context.Context, generation int64) (r policy.Rollout, err error) {
	var started, opened, stopped, finished int64
	err = p.row(ctx, `SELECT generation, ring, started_at, opened_at, stopped_at, finished_at, failed, reason FROM rollout WHERE generation = $1`, generation).
		Scan(&r.Generation, &r.Ring, &started, &opened, &stopped, &finished, &r.Failed, &r.Reason)
	r.Started, r.Opened, r.Stopped, r.Finished = fromMicros(started), fromMicros(opened), fromMicros(stopped), fromMicros(finished)
	return r, missing(err, "The policy %d is not rolled out in rings.", generation)
}

// SetRollout meets policy.Rollouts.
func (p Policies) SetRollout(ctx context.Context, r policy.Rollout) error {
	_, err := p.exec(ctx, `INSERT INTO rollout (generation, ring, started_at, opened_at, stopped_at, finished_at, failed, reason)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (generation) DO UPDATE SET ring = excluded.ring, started_at = excluded.started_at, opened_at = excluded.opened_at,
			stopped_at = excluded.stopped_at, finished_at = excluded.finished_at, failed = excluded.failed, reason = excluded.reason`,
		r.Generation, r.Ring, micros(r.Started), micros(r.Opened), micros(r.Stopped), micros(r.Finished), r.Failed, r.Reason)
	return err
}

// activeChannel selects the enrolments whose devices a policy reaches: not those of
// people on a shared device.
const activeChannel = `e.latest AND e.state = 'active' AND e.parent = '' AND e.device_id <> ''`

// Subjects meets policy.Fleet. A device with two enrolments stands for its newest.
func (p Policies) Subjects(ctx context.Context, apps bool, fn func(policy.Subject) error) error {
	value, join := `''`, ``
	if apps {
		value, join = `COALESCE(f.value, '')`, ` LEFT JOIN fact f ON f.enrolment_id = e.id AND f.kind = 'installed_apps'`
	}
	rows, err := p.query(ctx, `SELECT d.id, d.serial, d.platform, d.os_version, d.ownership, d.grp, d.site, d.role, d.email, d.state,
		e.supervised, e.rights, e.kind, e.enrolled_at, COALESCE(s.at, 0), `+value+`
		FROM device d JOIN enrolment e ON e.device_id = d.id LEFT JOIN seen s ON s.enrolment_id = e.id`+join+`
		WHERE `+activeChannel+` ORDER BY d.id, e.created_at DESC, e.id DESC`)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err says it
	var last ward.DeviceID
	for rows.Next() {
		var s policy.Subject
		var enrolled, seen int64
		d := &s.Device
		if err := rows.Scan(&d.ID, &d.Serial, &d.Platform, &d.OSVersion, &d.Ownership, &d.Group, &d.Site, &d.Role, &d.Email, &d.State,
			&s.Supervised, &s.Rights, &s.Kind, &enrolled, &seen, &s.Apps); err != nil {
			return err
		}
		if d.ID == last {
			continue
		}
		last, s.Enrolled, s.LastSeen = d.ID, fromMicros(enrolled), fromMicros(seen)
		if err := fn(s); err != nil {
			return err
		}
	}
	return rows.Err()
}

// chunk is how many devices a query asks about at once: many, and always as many, so that
// its statement is prepared once.
const chunk = 100

// ofDevices restricts a query to active enrolments of the devices of a chunk.
func ofDevices() string {
	marks := make([]string, chunk)
	for i := range marks {
		marks[i] = fmt.Sprint("$", i+1)
	}
	return activeChannel + ` AND e.device_id IN (` + strings.Join(marks, ", ") + `)`
}

// chunks runs a query for all devices and calls fn for each row.
func (p Policies) chunks(ctx context.Context, query string, devices []ward.DeviceID, fn func(r scanner) error) error {
	for part := range slices.Chunk(devices, chunk) {
		args := make([]any, chunk)
		for i := range args {
			args[i] = "" // no device
			if i < len(part) {
				args[i] = string(part[i])
			}
		}
		if err := p.each(ctx, fn, query, args...); err != nil {
			return err
		}
	}
	return nil
}

// each calls fn for each row of a query.
func (p Policies) each(ctx context.Context, fn func(r scanner) error, query string, args ...any) error {
	rows, err := p.query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err says it
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func attemptsOf() string {
	return `SELECT e.device_id, a.step_key, a.state, a.tries, a.answered_at, a.error FROM enrolment e JOIN attempt a ON a.enrolment_id = e.id WHERE ` + ofDevices()
}

// Attempts meets policy.Fleet.
func (p Policies) Attempts(ctx context.Context, devices []ward.DeviceID, fn func(policy.Attempt) error) error {
	return p.chunks(ctx, attemptsOf(), devices, func(r scanner) error {
		var a policy.Attempt
		var answered int64
		if err := r.Scan(&a.Device, &a.Key, &a.State, &a.Tries, &answered, &a.Error); err != nil {
			return err
		}
		a.Answered = fromMicros(answered)
		return fn(a)
	})
}

func declarationsOf() string {
	return `SELECT e.device_id, f.value FROM enrolment e JOIN fact f ON f.enrolment_id = e.id AND f.kind = 'declarations' WHERE ` + ofDevices()
}

// Declared meets policy.Fleet.
func (p Policies) Declared(ctx context.Context, devices []ward.DeviceID, fn func(d ward.DeviceID, declarations []byte) error) error {
	return p.chunks(ctx, declarationsOf(), devices, func(r scanner) error {
		var d ward.DeviceID
		var value sql.RawBytes
		if err := r.Scan(&d, &value); err != nil {
			return err
		}
		return fn(d, value)
	})
}

// Revoked meets policy.Fleet.
func (p Policies) Revoked(ctx context.Context, fn func(policy.Revocation) error) error {
	return p.each(ctx, func(r scanner) error {
		var v policy.Revocation
		var at int64
		if err := r.Scan(&v.Device, &v.Profile, &at); err != nil {
			return err
		}
		v.At = fromMicros(at)
		return fn(v)
	}, `SELECT e.device_id, c.app, c.revoked_at FROM certificate c JOIN enrolment e ON e.id = c.enrolment_id WHERE c.revoked_at > 0 AND c.kind = 'network' AND `+activeChannel)
}
