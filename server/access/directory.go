package access

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/unit"
)

// DirectoryUser is somebody as an organisation's directory tells of them by SCIM. They become a
// person when they first sign in.
type DirectoryUser struct {
	ID               string
	Provider         string
	UserName         string // unique, whatever its case
	External         string // the directory's own id
	Active           bool
	Data             string // all that the directory said, opaque here
	Created, Updated time.Time
}

// DirectoryGroup is a group of the directory.
type DirectoryGroup struct {
	ID               string
	Provider         string
	Name             string
	External         string
	Members          []string // ids of users
	Created, Updated time.Time
}

// Directory keeps what a directory says. Every method joins the unit of work in ctx.
type Directory interface {
	// AddUser keeps one; Conflict means that the name is taken.
	AddUser(ctx context.Context, u DirectoryUser) error
	// SetUser replaces one; Conflict means that the name is taken.
	SetUser(ctx context.Context, u DirectoryUser) error
	// User returns one, or NotFound.
	User(ctx context.Context, provider, id string) (DirectoryUser, error)
	// UserByName returns one, or NotFound.
	UserByName(ctx context.Context, provider, name string) (DirectoryUser, error)
	// UserByExternal returns the one that changed last, or NotFound.
	UserByExternal(ctx context.Context, provider, external string) (DirectoryUser, error)
	// Users returns them by id, and how many there are.
	Users(ctx context.Context, provider string, skip, limit int) ([]DirectoryUser, int, error)
	// DeleteUser forgets one and its memberships.
	DeleteUser(ctx context.Context, provider, id string) error
	// SetGroup keeps a group with its members.
	SetGroup(ctx context.Context, g DirectoryGroup) error
	// Group returns one, or NotFound.
	Group(ctx context.Context, provider, id string) (DirectoryGroup, error)
	// DirectoryGroups returns them by id, and how many there are.
	DirectoryGroups(ctx context.Context, provider string, skip, limit int) ([]DirectoryGroup, int, error)
	// DeleteGroup forgets one.
	DeleteGroup(ctx context.Context, provider, id string) error
	// GroupsOf returns the names and the directory's own ids of the groups of a user.
	GroupsOf(ctx context.Context, user string) ([]string, error)
}

// The actions that a directory records.
const (
	ActionDirectoryUser  = "directory.user-set"
	ActionDirectoryLeft  = "directory.user-left"
	ActionDirectoryGroup = "directory.group-set"
	ActionDirectoryGone  = "directory.group-deleted"
)

// newID returns an id that says nothing.
func newID(kind string) string { return kind + "-" + strings.ToLower(rand.Text())[:20] }

func checkUser(u DirectoryUser) error {
	if u.Provider == "" || strings.TrimSpace(u.UserName) == "" || len(u.UserName) > 300 || len(u.External) > 300 || len(u.Data) > maxAnswer {
		return ward.Errorf(ward.Invalid, "A user needs a userName of at most 300 characters.")
	}
	return nil
}

// PutUser adds a user of the directory, if its id is empty, or replaces one, and returns it. Who
// becomes inactive is signed out at once, and their tokens stop working.
func (s *SignIn) PutUser(ctx context.Context, u DirectoryUser) (DirectoryUser, error) {
	if err := checkUser(u); err != nil {
		return u, err
	}
	err := s.store.Do(ward.WithActor(ctx, ward.System), func(ctx context.Context) error {
		u.Updated = s.now()
		if u.ID == "" {
			u.ID, u.Created = newID("user"), u.Updated
			if err := s.store.AddUser(ctx, u); err != nil {
				return err
			}
		} else {
			was, err := s.store.User(ctx, u.Provider, u.ID)
			if err != nil {
				return err
			}
			u.Created = was.Created
			if err := s.store.SetUser(ctx, u); err != nil {
				return err
			}
		}
		if err := s.directoryRecord(ctx, ActionDirectoryUser, u.ID, map[string]string{"provider": u.Provider, "active": yes(u.Active)}); err != nil {
			return err
		}
		return s.follow(ctx, u, !u.Active)
	})
	return u, err
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// directoryRecord audits what a directory said. It names no person: who a user is here is told
// by the entries about that person.
func (s *SignIn) directoryRecord(ctx context.Context, action, subject string, detail map[string]string) error {
	return s.access.recordOf(ctx, action, subject, detail)
}

// DropUser forgets a user of the directory, whose person is signed out at once and keeps no
// token.
func (s *SignIn) DropUser(ctx context.Context, provider, id string) error {
	return s.store.Do(ward.WithActor(ctx, ward.System), func(ctx context.Context) error {
		u, err := s.store.User(ctx, provider, id)
		if err != nil {
			return err
		}
		if err := s.follow(ctx, u, true); err != nil {
			return err
		}
		if err := s.store.DeleteUser(ctx, provider, id); err != nil {
			return err
		}
		return s.directoryRecord(ctx, ActionDirectoryLeft, id, map[string]string{"provider": provider})
	})
}

// follow carries over what the directory says to the person, if they have come already: who
// left loses everything at once. Nobody comes back by this: they sign in, and their groups say.
func (s *SignIn) follow(ctx context.Context, u DirectoryUser, left bool) error {
	if u.External == "" || !left {
		return nil
	}
	list, err := s.store.IdentitiesFor(ctx, u.Provider, u.External)
	if err != nil {
		return err
	}
	for _, i := range list {
		p, err := s.access.store.Person(ctx, i.Person)
		if err != nil {
			return err
		}
		if err := s.leave(ctx, p, u.Provider); err != nil {
			return err
		}
	}
	return nil
}

// leave takes every session, token and role from a person whom the directory says has left.
func (s *SignIn) leave(ctx context.Context, p Person, provider string) error {
	if err := s.setProvided(ctx, &p, provider, nil, ward.Scope{}); err != nil {
		return err
	}
	tokens, err := s.access.store.Tokens(ctx, p.ID)
	if err != nil {
		return err
	}
	for _, t := range tokens {
		if !t.RevokedAt.IsZero() {
			continue
		}
		if err := s.access.store.RevokeToken(ctx, t.ID, s.now()); err != nil {
			return err
		}
		if err := s.record(ctx, ActionTokenRevoked, p.ID, map[string]string{"token": t.ID, "name": t.Name, "by": provider}); err != nil {
			return err
		}
	}
	unit.AfterCommit(ctx, s.access.forget)
	return nil
}

// PutGroup adds a group of the directory, if its id is empty, or replaces one, and returns it.
// The roles of whoever joined or left it change at once, where the directory tells the groups.
func (s *SignIn) PutGroup(ctx context.Context, g DirectoryGroup) (DirectoryGroup, error) {
	if g.Provider == "" || strings.TrimSpace(g.Name) == "" || len(g.Name) > 300 || len(g.External) > 300 {
		return g, ward.Errorf(ward.Invalid, "A group needs a displayName of at most 300 characters.")
	}
	err := s.store.Do(ward.WithActor(ctx, ward.System), func(ctx context.Context) error {
		g.Updated = s.now()
		touched := map[string]bool{}
		if g.ID == "" {
			g.ID, g.Created = newID("group"), g.Updated
		} else {
			was, err := s.store.Group(ctx, g.Provider, g.ID)
			if err != nil {
				return err
			}
			g.Created = was.Created
			note(touched, was.Members)
		}
		for _, m := range g.Members {
			if _, err := s.store.User(ctx, g.Provider, m); err != nil {
				return ward.Errorf(ward.Invalid, "The group names the member %.60q, whom nobody told Ward of.", m).Because(err)
			}
		}
		note(touched, g.Members)
		if err := s.store.SetGroup(ctx, g); err != nil {
			return err
		}
		if err := s.directoryRecord(ctx, ActionDirectoryGroup, g.ID, map[string]string{"provider": g.Provider, "name": g.Name}); err != nil {
			return err
		}
		return s.regroup(ctx, g.Provider, touched)
	})
	return g, err
}

// DropGroup forgets a group of the directory.
func (s *SignIn) DropGroup(ctx context.Context, provider, id string) error {
	return s.store.Do(ward.WithActor(ctx, ward.System), func(ctx context.Context) error {
		g, err := s.store.Group(ctx, provider, id)
		if err != nil {
			return err
		}
		if err := s.store.DeleteGroup(ctx, provider, id); err != nil {
			return err
		}
		if err := s.directoryRecord(ctx, ActionDirectoryGone, id, map[string]string{"provider": provider, "name": g.Name}); err != nil {
			return err
		}
		touched := map[string]bool{}
		note(touched, g.Members)
		return s.regroup(ctx, provider, touched)
	})
}

func note(set map[string]bool, ids []string) {
	for _, id := range ids {
		set[id] = true
	}
}

// regroup sets the roles that the directory's groups give to the persons of users.
func (s *SignIn) regroup(ctx context.Context, provider string, users map[string]bool) error {
	for id := range users {
		u, err := s.store.User(ctx, provider, id)
		if ward.KindOf(err) == ward.NotFound || err == nil && (u.External == "" || !u.Active) {
			continue
		}
		if err != nil {
			return err
		}
		groups, err := s.store.GroupsOf(ctx, id)
		if err != nil {
			return err
		}
		list, err := s.store.IdentitiesFor(ctx, provider, u.External)
		if err != nil {
			return err
		}
		roles, scope := s.grant(provider, groups)
		for _, i := range list {
			p, err := s.access.store.Person(ctx, i.Person)
			if err != nil {
				return err
			}
			if err := s.setProvided(ctx, &p, provider, roles, scope); err != nil {
				return err
			}
		}
	}
	return nil
}

// Change runs fn as one unit of work in which nobody else changes people.
func (s *SignIn) Change(ctx context.Context, fn func(ctx context.Context) error) error {
	return s.store.Do(ctx, func(ctx context.Context) error {
		if _, _, err := s.access.store.CountPeople(ctx); err != nil { // it keeps others away
			return err
		}
		return fn(ctx)
	})
}

// DirectoryUser returns one user, or NotFound.
func (s *SignIn) DirectoryUser(ctx context.Context, provider, id string) (DirectoryUser, error) {
	return s.store.User(ctx, provider, id)
}

// DirectoryUserByName returns one user by name, whatever its case, or NotFound.
func (s *SignIn) DirectoryUserByName(ctx context.Context, provider, name string) (DirectoryUser, error) {
	return s.store.UserByName(ctx, provider, name)
}

// DirectoryUserByExternal returns one user by the directory's own id, or NotFound.
func (s *SignIn) DirectoryUserByExternal(ctx context.Context, provider, external string) (DirectoryUser, error) {
	return s.store.UserByExternal(ctx, provider, external)
}

// DirectoryUsers returns users and how many there are.
func (s *SignIn) DirectoryUsers(ctx context.Context, provider string, skip, limit int) ([]DirectoryUser, int, error) {
	return s.store.Users(ctx, provider, skip, limit)
}

// DirectoryGroup returns one group, or NotFound.
func (s *SignIn) DirectoryGroup(ctx context.Context, provider, id string) (DirectoryGroup, error) {
	return s.store.Group(ctx, provider, id)
}

// DirectoryGroups returns groups and how many there are.
func (s *SignIn) DirectoryGroups(ctx context.Context, provider string, skip, limit int) ([]DirectoryGroup, int, error) {
	return s.store.DirectoryGroups(ctx, provider, skip, limit)
}
