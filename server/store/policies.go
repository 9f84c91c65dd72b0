package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/policy"
)

// Policies keeps the versions of the policy, their rollouts and what drifted.
type Policies struct{ *DB }

var _ policy.Store = Policies{}

// Policies returns the store of policies.
func (db *DB) Policies() Policies { return Policies{db} }

// ringsJSON is how rings are kept.
type ringsJSON struct {
	Canary  []string `json:"canary,omitempty"`
	Percent []int    `json:"percent,omitempty"`
	Pause   int64    `json:"pause_us,omitempty"`
	StopAt  float64  `json:"stop_at,omitempty"`
}

const (
	versionColumns = `generation, state, note, reason, rings, base, devices, changed, together, published_at, published_by, author_name, approver, approver_name, approved_at, ended_at, ended_reason`
	versionTexts   = `, text, files`
)

func scanVersion(r scanner, more ...any) (v policy.Version, err error) {
	var rings string
	var published, approved, ended int64
	dest := []any{
		&v.Generation, &v.State, &v.Note, &v.Reason, &rings, &v.Base, &v.Devices, &v.Changed, &v.Together, &published, &v.PublishedBy, &v.AuthorName,
		&v.Approver, &v.ApproverName, &approved, &ended, &v.EndReason,
	}
	if err := r.Scan(append(dest, more...)...); err != nil {
		return v, err
	}
	v.Published, v.Approved, v.Ended = fromMicros(published), fromMicros(approved), fromMicros(ended)
	var j ringsJSON
	if err := json.Unmarshal([]byte(rings), &j); err != nil {
		return v, fmt.Errorf("rings of policy %d: %w", v.Generation, err)
	}
	v.Rings = policy.Rings{Canary: j.Canary, Percent: j.Percent, Pause: time.Duration(j.Pause) * time.Microsecond, StopAt: j.StopAt}
	return v, nil
}

func scanWhole(r scanner) (policy.Version, error) {
	var text, files string
	v, err := scanVersion(r, &text, &files)
	if err != nil {
		return v, err
	}
	v.Text = text
	if files == "{}" {
		return v, nil
	}
	if err := json.Unmarshal([]byte(files), &v.Files); err != nil {
		return v, fmt.Errorf("files of policy %d: %w", v.Generation, err)
	}
	return v, nil
}

// Newest meets policy.Versions.
func (p Policies) Newest(ctx context.Context) (n int64, err error) {
	return n, p.row(ctx, `SELECT COALESCE(MAX(generation), 0) FROM policy`).Scan(&n)
}

// Version meets policy.Versions.
func (p Policies) Version(ctx context.Context, generation int64) (policy.Version, error) {
	v, err := scanWhole(p.row(ctx, `SELECT `+versionColumns+versionTexts+` FROM policy WHERE generation = $1`, generation))
	return v, missing(err, "There is no policy %d.", generation)
}

// List meets policy.Versions.
func (p Policies) List(ctx context.Context, before int64, limit int) ([]policy.Version, error) {
	rows, err := p.query(ctx, `SELECT `+versionColumns+` FROM policy WHERE $1 = 0 OR generation < $1 ORDER BY generation DESC LIMIT $2`, before, limit)
	return scanAll(rows, err, func(r scanner) (policy.Version, error) { return scanVersion(r) })
}

// Standing meets policy.Versions.
func (p Policies) Standing(ctx context.Context) ([]policy.Version, error) {
	rows, err := p.query(ctx, `SELECT `+versionColumns+versionTexts+` FROM policy WHERE state IN ('current', 'rolling', 'stopped') ORDER BY generation`)
	return scanAll(rows, err, scanWhole)
}

// Insert meets policy.Versions.
func (p Policies) Insert(ctx context.Context, v policy.Version) error {
	rings, err := json.Marshal(ringsJSON{v.Rings.Canary, v.Rings.Percent, v.Rings.Pause.Microseconds(), v.Rings.StopAt})
	if err != nil {
		return fmt.Errorf("rings of policy %d: %w", v.Generation, err)
	}
	files := []byte("{}")
	if len(v.Files) > 0 {
		if files, err = json.Marshal(v.Files); err != nil {
			return fmt.Errorf("files of policy %d: %w", v.Generation, err)
		}
	}
	_, err = p.exec(ctx, `INSERT INTO policy (`+versionColumns+versionTexts+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`,
		v.Generation, string(v.State), v.Note, v.Reason, string(rings), v.Base, v.Devices, v.Changed, v.Together, micros(v.Published), string(v.PublishedBy), v.AuthorName,
		string(v.Approver), v.ApproverName, micros(v.Approved), micros(v.Ended), v.EndReason, v.Text, string(files))
	if duplicate(err) {
		return ward.Errorf(ward.Conflict, "Somebody else published a policy just now: read it, then publish yours again.")
	}
	return err
}

// Turn meets policy.Versions. That nobody approves a proposal of their own is refused
// here too, whatever program writes.
func (p Policies) Turn(ctx context.Context, v policy.Version, from policy.State) (bool, error) {
	n, err := p.exec(ctx, `UPDATE policy SET state = $3, approver = $4, approver_name = $5, approved_at = $6, ended_at = $7, ended_reason = $8
		WHERE generation = $1 AND state = $2 AND (approver = $4 OR published_by <> $4)`,
		v.Generation, string(from), string(v.State), string(v.Approver), v.ApproverName, micros(v.Approved), micros(v.Ended), v.EndReason)
	return n == 1, err
}

// Epoch meets policy.Epochs.
func (p Policies) Epoch(ctx context.Context) (epoch int64, stamp string, err error) {
	err = p.row(ctx, `SELECT epoch, stamp FROM policy_epoch WHERE id = 1`).Scan(&epoch, &stamp)
	return epoch, stamp, err
}

// SetEpoch meets policy.Epochs.
func (p Policies) SetEpoch(ctx context.Context, moved bool, stamp string) error {
	more := 0
	if moved {
		more = 1
	}
	_, err := p.exec(ctx, `UPDATE policy_epoch SET epoch = epoch + $1, stamp = $2 WHERE id = 1`, more, stamp)
	return err
}

// HoldPolicy meets policy.Epochs. SQLite has one writer, which holds everything.
func (p Policies) HoldPolicy(ctx context.Context) error {
	if p.dialect.hold == "" {
		return nil
	}
	var one int
	return p.row(ctx, `SELECT 1 FROM policy_epoch WHERE id = 1`+p.dialect.hold).Scan(&one)
}
