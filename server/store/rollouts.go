package store

import (
	"context"

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
	rows, err := p.query(ctx, `SELECT d.id, d.platform, d.os_version, d.ownership, d.grp, d.site, d.role, d.email, d.state,
		e.supervised, e.rights, e.kind, COALESCE(s.at, 0), `+value+`
		FROM device d JOIN enrolment e ON e.device_id = d.id LEFT JOIN seen s ON s.enrolment_id = e.id`+join+`
		WHERE `+activeChannel+` ORDER BY d.id, e.created_at DESC, e.id DESC`)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err says it
	var last ward.DeviceID
	for rows.Next() {
		var s policy.Subject
		var seen int64
		d := &s.Device
		if err := rows.Scan(&d.ID, &d.Platform, &d.OSVersion, &d.Ownership, &d.Group, &d.Site, &d.Role, &d.Email, &d.State,
			&s.Supervised, &s.Rights, &s.Kind, &seen, &s.Apps); err != nil {
			return err
		}
		if d.ID == last {
			continue
		}
		last, s.LastSeen = d.ID, fromMicros(seen)
		if err := fn(s); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Attempts meets policy.Fleet.
func (p Policies) Attempts(ctx context.Context, fn func(policy.Attempt) error) error {
	rows, err := p.query(ctx, `SELECT e.device_id, a.step_key, a.state, a.tries, a.answered_at, a.error FROM attempt a JOIN enrolment e ON e.id = a.enrolment_id
		WHERE `+activeChannel+` AND (a.step_key LIKE 'profile:%' OR a.step_key LIKE 'app:%' OR a.step_key LIKE 'declarations:%')`)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err says it
	for rows.Next() {
		var a policy.Attempt
		var answered int64
		if err := rows.Scan(&a.Device, &a.Key, &a.State, &a.Tries, &answered, &a.Error); err != nil {
			return err
		}
		a.Answered = fromMicros(answered)
		if err := fn(a); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Refusals meets policy.Fleet.
func (p Policies) Refusals(ctx context.Context, fn func(d ward.DeviceID, declarations []byte) error) error {
	rows, err := p.query(ctx, `SELECT e.device_id, f.value FROM fact f JOIN enrolment e ON e.id = f.enrolment_id
		WHERE f.kind = 'declarations' AND f.value LIKE '%"invalid"%' AND `+activeChannel)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err says it
	for rows.Next() {
		var d ward.DeviceID
		var value string
		if err := rows.Scan(&d, &value); err != nil {
			return err
		}
		if err := fn(d, []byte(value)); err != nil {
			return err
		}
	}
	return rows.Err()
}
