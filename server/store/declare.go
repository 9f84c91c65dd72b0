package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/declare"
)

// Declarations keeps what declarations are made of, and the last that devices said of
// them.
type Declarations struct{ *DB }

var (
	_ declare.Artifacts = Declarations{}
	_ declare.Reports   = Declarations{}
	_ declare.Fleet     = Fleet{}
)

// Declarations returns the store of compiled results and status reports.
func (db *DB) Declarations() Declarations { return Declarations{db} }

// Put meets declare.Artifacts. A row is written only when it is new or of an older
// version, so that planning a device of a known class writes nothing.
func (d Declarations) Put(ctx context.Context, generation int64, list []declare.Artifact) error {
	sorted := slices.SortedFunc(slices.Values(list), func(a, b declare.Artifact) int { return strings.Compare(a.Hash, b.Hash) }) // in one order, so that two units do not wait for each other
	for _, a := range sorted {
		if declare.NewArtifact(a.Kind, a.Body).Hash != a.Hash {
			return fmt.Errorf("keep artifact %s: its hash is another's", a.Hash)
		}
	}
	fresh, err := d.outdated(ctx, generation, sorted)
	if err != nil || len(fresh) == 0 {
		return err
	}
	now := micros(d.now())
	return d.Do(ctx, func(ctx context.Context) error {
		for _, a := range fresh {
			body := a.Body
			if body == nil {
				body = []byte{}
			}
			if _, err := d.exec(ctx, `INSERT INTO artifact (hash, kind, body, generation, created_at, used_at) VALUES ($1, $2, $3, $4, $5, $5)
				ON CONFLICT (hash) DO UPDATE SET generation = excluded.generation, used_at = excluded.used_at WHERE artifact.generation < excluded.generation`,
				a.Hash, a.Kind, body, generation, now); err != nil {
				return fmt.Errorf("keep artifact %s: %w", a.Hash, err)
			}
		}
		return nil
	})
}

// outdated returns those of a list that the version is not known to make.
func (d Declarations) outdated(ctx context.Context, generation int64, list []declare.Artifact) (out []declare.Artifact, err error) {
	for _, a := range list {
		var known bool
		err := d.row(ctx, `SELECT generation >= $2 FROM artifact WHERE hash = $1`, a.Hash, generation).Scan(&known)
		if none(err) != nil {
			return nil, fmt.Errorf("keep artifact %s: %w", a.Hash, err)
		}
		if !known {
			out = append(out, a)
		}
	}
	return out, nil
}

// Artifact meets declare.Artifacts.
func (d Declarations) Artifact(ctx context.Context, hash string) (declare.Artifact, error) {
	var a declare.Artifact
	err := d.row(ctx, `SELECT hash, kind, body FROM artifact WHERE hash = $1`, hash).Scan(&a.Hash, &a.Kind, &a.Body)
	if err != nil {
		return declare.Artifact{}, missing(err, "There is no compiled result %.80s.", hash)
	}
	if declare.NewArtifact(a.Kind, a.Body).Hash != a.Hash {
		return declare.Artifact{}, fmt.Errorf("artifact %s was altered in the database", hash)
	}
	return a, nil
}

// Purge meets declare.Artifacts.
func (d Declarations) Purge(ctx context.Context, keep int, before time.Time) (int64, error) {
	n, err := d.exec(ctx, `DELETE FROM artifact WHERE used_at < $1
		AND generation < (SELECT MIN(generation) FROM (SELECT generation FROM policy ORDER BY generation DESC LIMIT $2) AS kept)`, micros(before), max(keep, 1))
	if err != nil {
		return n, fmt.Errorf("purge artifacts: %w", err)
	}
	return n, nil
}

// KeepReport meets declare.Reports.
func (d Declarations) KeepReport(ctx context.Context, id ward.EnrolmentID, r declare.RawReport) error {
	body := r.Body[:min(len(r.Body), declare.MaxRaw)]
	if body == nil {
		body = []byte{}
	}
	if err := d.later(ctx, `INSERT INTO status_report (enrolment_id, received_at, full_report, size, body) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (enrolment_id) DO UPDATE SET received_at = excluded.received_at, full_report = excluded.full_report, size = excluded.size, body = excluded.body`,
		string(id), micros(r.Received), r.Full, r.Size, body); err != nil {
		return fmt.Errorf("keep the status report of %s: %w", id, err)
	}
	return nil
}

// LastReport returns the last status report of an enrolment; NotFound if it sent none.
func (d Declarations) LastReport(ctx context.Context, id ward.EnrolmentID) (r declare.RawReport, err error) {
	var at int64
	err = d.row(ctx, `SELECT received_at, full_report, size, body FROM status_report WHERE enrolment_id = $1`, string(id)).Scan(&at, &r.Full, &r.Size, &r.Body)
	r.Received = fromMicros(at)
	return r, missing(err, "This enrolment has sent no status report.")
}
