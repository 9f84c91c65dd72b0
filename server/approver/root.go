package approver

import (
	"context"
	"maps"
	"slices"
	"time"
)

// Root is the root of trust, which no row of the database can change.
type Root interface {
	// Read returns what is trusted; nobody may change what it returned. Where nobody was
	// trusted yet, it is the zero value.
	Read(ctx context.Context) (Trusted, error)
	// Change has f change what is trusted and keeps it, whole or not at all; an error of f
	// leaves it as it was. It is called within a unit of work that holds the approvers, so
	// that of two changes at once none is lost.
	Change(ctx context.Context, f func(*Trusted) error) error
}

// Trusted is what the root of trust holds.
type Trusted struct {
	Founders map[string]Founder   // by the hash of their statement
	Ended    map[string]time.Time // when approvers ended, by their id: a row that says otherwise lies
	Key      []byte               // under which the time in a nonce is authenticated
	Glass    Glass                // the zero value while there is no sealed key
}

// Founder is an approver that the operator trusted. All but the statement's hash is there
// for those who read the file.
type Founder struct {
	ID      string
	Name    string
	Subject string
	At      time.Time // when they were trusted
}

// clone returns a copy that may be changed.
func (t Trusted) clone() Trusted {
	t.Founders, t.Ended = maps.Clone(t.Founders), maps.Clone(t.Ended)
	if t.Founders == nil {
		t.Founders = map[string]Founder{}
	}
	if t.Ended == nil {
		t.Ended = map[string]time.Time{}
	}
	t.Key, t.Glass.Public = slices.Clone(t.Key), slices.Clone(t.Glass.Public)
	return t
}

// Changed returns what f makes of t, which stays as it is. It is for those who meet Root.
func (t Trusted) Changed(f func(*Trusted) error) (Trusted, error) {
	c := t.clone()
	if err := f(&c); err != nil {
		return Trusted{}, err
	}
	return c, nil
}
