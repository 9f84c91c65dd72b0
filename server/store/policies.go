package store

import (
	"context"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/policy"
)

// Policies keeps published policies.
type Policies struct{ *DB }

var _ policy.Store = Policies{}

// Policies returns the store of policies.
func (db *DB) Policies() Policies { return Policies{db} }

// Generation meets policy.Store.
func (p Policies) Generation(ctx context.Context) (n int64, err error) {
	return n, p.row(ctx, `SELECT COALESCE(MAX(generation), 0) FROM policy`).Scan(&n)
}

// Version meets policy.Store.
func (p Policies) Version(ctx context.Context, generation int64) (v policy.Version, err error) {
	var at int64
	err = p.row(ctx, `SELECT generation, text, published_at, published_by FROM policy WHERE generation = $1`, generation).
		Scan(&v.Generation, &v.Text, &at, &v.PublishedBy)
	v.Published = fromMicros(at)
	return v, missing(err, "There is no policy %d.", generation)
}

// Insert meets policy.Store.
func (p Policies) Insert(ctx context.Context, v policy.Version) error {
	_, err := p.exec(ctx, `INSERT INTO policy (generation, text, published_at, published_by) VALUES ($1, $2, $3, $4)`,
		v.Generation, v.Text, micros(v.Published), string(v.PublishedBy))
	if duplicate(err) {
		return ward.Errorf(ward.Conflict, "Somebody else published a policy just now: read it, then publish yours again.")
	}
	return err
}
