package access

import (
	"context"
	"fmt"
	"maps"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rs/xid"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/unit"
)

// maxName bounds names, in characters.
const maxName = 100

// FirstAdministrator is the name of the person that the first run makes.
const FirstAdministrator = "Administrator"

// NewPerson is a person to add.
type NewPerson struct {
	Name  string
	Email string // may be empty
	Roles []ward.Role
	Scope ward.Scope // what the person is bounded to; zero: nothing
}

// CreatePerson adds a person. A *ward.Error of kind Invalid lists every mistake;
// Conflict means that the name is taken.
func (s *Service) CreatePerson(ctx context.Context, n NewPerson) (Person, error) {
	if err := Check(ctx, PersonWrite); err != nil {
		return Person{}, err
	}
	return s.createPerson(ctx, n)
}

func (s *Service) createPerson(ctx context.Context, n NewPerson) (Person, error) {
	now := s.now()
	p := Person{ID: ward.PersonID("person-" + xid.NewWithTime(now).String()), Name: cleanName(n.Name), Email: strings.TrimSpace(n.Email), Created: now}
	mistakes := checkName(p.Name)
	if p.Email != "" {
		if a, err := mail.ParseAddress(p.Email); err != nil || a.Address != p.Email {
			mistakes = append(mistakes, fmt.Sprintf("%q is not an e-mail address.", p.Email))
		}
	}
	var wrong []string
	p.Scope, wrong = checkScope(n.Scope)
	mistakes = append(mistakes, wrong...)
	err := s.store.Do(ctx, func(ctx context.Context) error {
		if err := s.lock(ctx); err != nil {
			return err
		}
		roles, wrong, err := s.checkRoles(ctx, n.Roles)
		if err != nil {
			return err
		}
		if all := append(slices.Clone(mistakes), wrong...); len(all) > 0 {
			return &ward.Error{Kind: ward.Invalid, Message: "The person was not added.", Details: all}
		}
		if err := mayGive(ctx, roles...); err != nil {
			return err
		}
		p.Roles = ids(roles)
		if err := s.store.AddPerson(ctx, p); err != nil {
			return err
		}
		detail := map[string]string{"name": p.Name, "email": p.Email, "roles": joinRoles(p.Roles)}
		if !p.Scope.All() {
			maps.Copy(detail, scopeDetail(p.Scope))
		}
		return s.record(ctx, ActionPersonCreated, p.ID, detail)
	})
	if err != nil {
		return Person{}, err
	}
	return p, nil
}

// cleanName makes runs of white space one space, so that names that look alike are
// alike.
func cleanName(s string) string { return strings.Join(strings.Fields(s), " ") }

func checkName(name string) (mistakes []string) {
	if name == "" {
		mistakes = append(mistakes, "The name is missing.")
	}
	if utf8.RuneCountInString(name) > maxName {
		mistakes = append(mistakes, fmt.Sprintf("The name is longer than %d characters.", maxName))
	}
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		mistakes = append(mistakes, "The name holds characters that cannot be shown.")
	}
	return mistakes
}

// checkRoles returns the roles once each, in the order of Roles, and what is wrong with
// those that were named.
func (s *Service) checkRoles(ctx context.Context, named []ward.Role) (clean []Role, mistakes []string, err error) {
	all, err := s.Roles(ctx)
	if err != nil {
		return nil, nil, err
	}
	there := ids(all)
	for _, r := range named {
		if !slices.Contains(there, r) {
			mistakes = append(mistakes, fmt.Sprintf("There is no role %q. The roles are %s.", r, joinRoles(there)))
		}
	}
	if len(named) == 0 {
		mistakes = append(mistakes, fmt.Sprintf("At least one role is needed. The roles are %s.", joinRoles(there)))
	}
	for _, r := range all {
		if slices.Contains(named, r.ID) {
			clean = append(clean, r)
		}
	}
	return clean, mistakes, nil
}

func joinRoles(roles []ward.Role) string {
	out := make([]string, len(roles))
	for i, r := range roles {
		out[i] = string(r)
	}
	return strings.Join(out, ", ")
}

// Person returns one person, or a *ward.Error of kind NotFound.
func (s *Service) Person(ctx context.Context, id ward.PersonID) (Person, error) {
	return s.store.Person(ctx, id)
}

// PersonByName finds a person by name, whatever its case, or returns a *ward.Error of
// kind NotFound.
func (s *Service) PersonByName(ctx context.Context, name string) (Person, error) {
	return s.store.PersonByName(ctx, cleanName(name))
}

// People returns a page of persons by id: up to limit, 500 at most and 100 for 0, of
// those after the id given, which is empty for the first page.
func (s *Service) People(ctx context.Context, after ward.PersonID, limit int) ([]Person, error) {
	if limit <= 0 {
		limit = 100
	}
	return s.store.People(ctx, after, min(limit, 500))
}

// SetRoles replaces the roles of a person. Conflict means that no administrator would be
// left, Forbidden that a role would let them do more than who gives it may do.
func (s *Service) SetRoles(ctx context.Context, id ward.PersonID, roles []ward.Role) error {
	if err := Check(ctx, PersonWrite); err != nil {
		return err
	}
	return s.store.Do(ctx, func(ctx context.Context) error {
		if err := s.lock(ctx); err != nil { // first: no role ends until it is given
			return err
		}
		clean, mistakes, err := s.checkRoles(ctx, roles)
		if err != nil {
			return err
		}
		if len(mistakes) > 0 {
			return &ward.Error{Kind: ward.Invalid, Message: "The roles were not changed.", Details: mistakes}
		}
		if err := mayGive(ctx, clean...); err != nil {
			return err
		}
		return s.change(ctx, id, ActionRolesSet, map[string]string{"roles": joinRoles(ids(clean))}, func(p *Person) { p.Roles = ids(clean) })
	})
}

// mayChange refuses to change a person who may do more than who acts.
func (s *Service) mayChange(ctx context.Context, p Person) error {
	if unbound(ward.ActorFrom(ctx)) {
		return nil
	}
	all, err := s.Roles(ctx)
	if err != nil {
		return err
	}
	return mayGive(ctx, slices.DeleteFunc(all, func(r Role) bool { return !slices.Contains(p.Roles, r.ID) })...)
}

// DisablePerson takes every right from a person at once in this process and within
// seconds in others: tokens, sessions and links stop working. Conflict means that no
// administrator would be left.
func (s *Service) DisablePerson(ctx context.Context, id ward.PersonID) error {
	return s.change(ctx, id, ActionPersonDisabled, nil, func(p *Person) {
		if p.DisabledAt.IsZero() {
			p.DisabledAt = s.now()
		}
	})
}

// EnablePerson lets a disabled person act again.
func (s *Service) EnablePerson(ctx context.Context, id ward.PersonID) error {
	return s.change(ctx, id, ActionPersonEnabled, nil, func(p *Person) { p.DisabledAt = time.Time{} })
}

func (s *Service) change(ctx context.Context, id ward.PersonID, action string, detail map[string]string, f func(*Person)) error {
	if err := Check(ctx, PersonWrite); err != nil {
		return err
	}
	return s.store.Do(ctx, func(ctx context.Context) error {
		_, admins, err := s.store.CountPeople(ctx) // first: it keeps others from changing people
		if err != nil {
			return err
		}
		p, err := s.store.Person(ctx, id)
		if err != nil {
			return err
		}
		if !p.ErasedAt.IsZero() {
			return ward.Errorf(ward.Conflict, "This person was erased and can't be brought back. Add a new one.")
		}
		if err := s.mayChange(ctx, p); err != nil {
			return err
		}
		was := administers(p)
		f(&p)
		if was && !administers(p) && admins <= 1 {
			return ward.Errorf(ward.Conflict, "%s is the only administrator. Make someone else one first.", p.Name)
		}
		if err := s.store.UpdatePerson(ctx, p); err != nil {
			return err
		}
		if !p.DisabledAt.IsZero() && s.ended != nil {
			if err := s.ended(ctx, id); err != nil {
				return err
			}
		}
		unit.AfterCommit(ctx, s.forget)
		return s.record(ctx, action, id, detail)
	})
}

// administers reports whether p can hand out roles now, which nobody does who is bounded to
// a part of the organisation.
func administers(p Person) bool {
	return p.DisabledAt.IsZero() && p.Scope.All() && slices.Contains(p.Roles, ward.RoleAdmin)
}

// setupLife is how long the first administrator's link is good.
const setupLife = 24 * time.Hour

// EnsureFirstAdministrator makes the person "Administrator" with a set-up link when
// there is no person at all, and returns the link's secret. Otherwise it returns "".
func (s *Service) EnsureFirstAdministrator(ctx context.Context) (secret string, err error) {
	ctx = ward.WithActor(ctx, ward.System)
	err = s.store.Do(ctx, func(ctx context.Context) error {
		secret = ""
		people, _, err := s.store.CountPeople(ctx)
		if err != nil || people > 0 {
			return err
		}
		p, err := s.createPerson(ctx, NewPerson{Name: FirstAdministrator, Roles: []ward.Role{ward.RoleAdmin}})
		if err != nil {
			return err
		}
		secret, err = s.CreateLink(ctx, p.ID, LinkSetup, setupLife)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("make the first administrator: %w", err)
	}
	return secret, nil
}
