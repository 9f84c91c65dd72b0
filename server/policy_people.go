package server

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
)

// accounts tells since when people have had theirs.
type accounts struct{ access *access.Service }

// Installed meets policy.People. Ids of people ascend with the time, and nobody's is ever
// taken away.
func (a accounts) Installed(ctx context.Context) (time.Time, error) {
	first, err := a.access.People(ctx, "", 1)
	if err != nil || len(first) == 0 {
		return time.Time{}, err
	}
	return first[0].Created, nil
}

// Activated meets policy.People.
func (a accounts) Activated(ctx context.Context, id ward.PersonID) (time.Time, error) {
	p, err := a.access.Person(ctx, id)
	return p.Activated, err
}
