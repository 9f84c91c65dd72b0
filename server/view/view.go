// Package view keeps saved views: filters of lists under names, one's own or shared with
// everybody. It neither reads nor applies a filter; that is for whoever shows the list.
package view

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rs/xid"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/unit"
)

// View is a filter under a name.
type View struct {
	ID     string
	Person ward.PersonID // whose it is
	Name   string
	Query  string // of the list's address
	Shared bool   // everybody sees it
	Made   time.Time
}

// Store keeps views. Its methods join the unit of work in ctx.
type Store interface {
	unit.Unit
	// Views lists those of a person and those that are shared, by name.
	Views(ctx context.Context, p ward.PersonID) ([]View, error)
	// View returns one, or NotFound.
	View(ctx context.Context, id string) (View, error)
	InsertView(ctx context.Context, v View) error
	DeleteView(ctx context.Context, id string) error
}

// Audit records who did what.
type Audit interface {
	Record(ctx context.Context, action, subject string, detail map[string]string) error
}

// Service keeps saved views. Its methods may be called by several goroutines.
type Service struct {
	Store Store
	Audit Audit
	Now   func() time.Time
}

// Bounds of what is kept.
const (
	maxName  = 60   // characters
	maxQuery = 2000 // bytes
	maxViews = 100  // of one person
)

// List returns the views that the actor in ctx sees, by name.
func (s *Service) List(ctx context.Context) ([]View, error) {
	return s.Store.Views(ctx, ward.ActorFrom(ctx).Person)
}

// Save keeps a filter under a name for the actor in ctx, and for everybody if it is shared.
// A name stands once among the views that the person sees.
func (s *Service) Save(ctx context.Context, name, query string, shared bool) (View, error) {
	a := ward.ActorFrom(ctx)
	v := View{ID: xid.New().String(), Person: a.Person, Name: strings.Join(strings.Fields(name), " "), Query: query, Shared: shared, Made: s.Now()}
	switch {
	case a.Person == "":
		return v, ward.Errorf(ward.Forbidden, "Only a person keeps views.")
	case v.Name == "" || utf8.RuneCountInString(v.Name) > maxName:
		return v, ward.Errorf(ward.Invalid, "Give the view a name of at most %d characters.", maxName)
	case len(query) > maxQuery:
		return v, ward.Errorf(ward.Invalid, "The filter is too long to be kept. Choose fewer values.")
	}
	return v, s.Store.Do(ctx, func(ctx context.Context) error {
		all, err := s.Store.Views(ctx, a.Person)
		if err != nil {
			return err
		}
		own := 0
		for _, x := range all {
			if strings.EqualFold(x.Name, v.Name) {
				return ward.Errorf(ward.Conflict, "There is a view %q already. Choose another name.", x.Name)
			}
			if x.Person == a.Person {
				own++
			}
		}
		if own >= maxViews {
			return ward.Errorf(ward.Conflict, "You keep %d views already. Remove one first.", own)
		}
		return errors.Join(s.Store.InsertView(ctx, v), s.Audit.Record(ctx, "view.saved", v.ID, detail(v)))
	})
}

// Remove removes one of the views of the actor in ctx. What somebody else shares is theirs
// to remove.
func (s *Service) Remove(ctx context.Context, id string) (v View, err error) {
	err = s.Store.Do(ctx, func(ctx context.Context) (err error) {
		if v, err = s.Store.View(ctx, id); err != nil {
			return err
		}
		if v.Person != ward.ActorFrom(ctx).Person {
			if !v.Shared {
				return ward.Errorf(ward.NotFound, "There is no such view.")
			}
			return ward.Errorf(ward.Forbidden, "Only who shared the view %q can remove it.", v.Name)
		}
		return errors.Join(s.Store.DeleteView(ctx, id), s.Audit.Record(ctx, "view.removed", id, detail(v)))
	})
	return v, err
}

// detail is what the audit log says of a view. A filter may hold a name that somebody
// searched for, so it is not told.
func detail(v View) map[string]string {
	if v.Shared {
		return map[string]string{"shared": "yes"}
	}
	return map[string]string{"shared": "no"}
}
