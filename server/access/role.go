package access

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/unit"
)

// Roles keeps the roles that somebody made. Every method joins the unit of work in ctx.
type Roles interface {
	// AddRole keeps r; a *ward.Error of kind Conflict means that its id or its name is taken.
	AddRole(ctx context.Context, r Role) error
	// Roles returns every role that somebody made, by id.
	Roles(ctx context.Context) ([]Role, error)
	// UpdateRole keeps the name, the description and the permissions of r, or NotFound.
	UpdateRole(ctx context.Context, r Role) error
	// DeleteRole deletes a role, or NotFound.
	DeleteRole(ctx context.Context, id ward.Role) error
	// Holders returns up to limit persons that hold a role, by id.
	Holders(ctx context.Context, id ward.Role, limit int) ([]Person, error)
}

// The actions on roles that this package records. Their subject is the role.
const (
	ActionRoleCreated = "role.created"
	ActionRoleChanged = "role.changed"
	ActionRoleRemoved = "role.removed"
)

const (
	maxRoles       = 200
	maxDescription = 200 // characters
)

// roleID is what the id of a role looks like. It holds no colon, comma or space, which divide
// what actors carry.
var roleID = regexp.MustCompile(`^[a-z][a-z0-9-]{1,39}$`)

// reserved are permissions that no role that somebody made can hold, with the role that has
// them: the engine of orders knows these two by their names.
var reserved = map[Permission]ward.Role{
	OrderApprove: ward.RoleApprover, OrderRefuse: ward.RoleApprover, OrderCancel: ward.RoleAdmin, OrderCancelAll: ward.RoleAdmin,
}

// Reserved returns the one role that may hold p, "" if any may.
func Reserved(p Permission) ward.Role { return reserved[p] }

// Roles lists every role: those that come with Ward, then those that somebody made, by id.
func (s *Service) Roles(ctx context.Context) ([]Role, error) {
	made, err := s.store.Roles(ctx)
	return append(BuiltIn(), made...), err
}

// Role returns one role, or a *ward.Error of kind NotFound.
func (s *Service) Role(ctx context.Context, id ward.Role) (Role, error) {
	all, err := s.Roles(ctx)
	if err != nil {
		return Role{}, err
	}
	i := slices.IndexFunc(all, func(r Role) bool { return r.ID == id })
	if i < 0 {
		return Role{}, ward.Errorf(ward.NotFound, "There is no role %q. The roles are %s.", id, joinRoles(ids(all)))
	}
	return all[i], nil
}

func ids(roles []Role) []ward.Role {
	out := make([]ward.Role, len(roles))
	for i, r := range roles {
		out[i] = r.ID
	}
	return out
}

// CreateRole makes a role. A *ward.Error of kind Invalid lists every mistake, Conflict means
// that its id or name is taken, and Forbidden that it would hold what who makes it does not.
func (s *Service) CreateRole(ctx context.Context, r Role) (Role, error) {
	r, err := s.checkRole(ctx, r, "The role was not made.")
	if err != nil {
		return Role{}, err
	}
	return r, s.store.Do(ctx, func(ctx context.Context) error {
		if err := s.lock(ctx); err != nil {
			return err
		}
		all, err := s.Roles(ctx)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(all, func(o Role) bool { return o.ID == r.ID || strings.EqualFold(o.Name, r.Name) }) {
			return ward.Errorf(ward.Conflict, "There is a role with the id %s or the name %s already. Choose another.", r.ID, r.Name)
		}
		if len(all) >= maxRoles {
			return ward.Errorf(ward.Conflict, "There are %d roles already, which is more than people can tell apart. Remove one first.", len(all))
		}
		if err := s.store.AddRole(ctx, r); err != nil {
			return err
		}
		return s.recordRole(ctx, ActionRoleCreated, r)
	})
}

// ChangeRole replaces the name, the description and the permissions of a role that somebody
// made. Who holds it has them within seconds.
func (s *Service) ChangeRole(ctx context.Context, r Role) (Role, error) {
	r, err := s.checkRole(ctx, r, "The role was not changed.")
	if err != nil {
		return Role{}, err
	}
	return r, s.store.Do(ctx, func(ctx context.Context) error {
		if err := s.lock(ctx); err != nil {
			return err
		}
		was, err := s.made(ctx, r.ID)
		if err != nil {
			return err
		}
		if err := mayGive(ctx, was); err != nil {
			return err
		}
		all, err := s.Roles(ctx)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(all, func(o Role) bool { return o.ID != r.ID && strings.EqualFold(o.Name, r.Name) }) {
			return ward.Errorf(ward.Conflict, "There is a role called %s already. Choose another name.", r.Name)
		}
		if err := s.store.UpdateRole(ctx, r); err != nil {
			return err
		}
		return s.recordRole(ctx, ActionRoleChanged, r)
	})
}

// RemoveRole removes a role that somebody made. Conflict says who holds it still.
func (s *Service) RemoveRole(ctx context.Context, id ward.Role) error {
	if err := Check(ctx, RoleWrite); err != nil {
		return err
	}
	return s.store.Do(ctx, func(ctx context.Context) error {
		if err := s.lock(ctx); err != nil {
			return err
		}
		r, err := s.made(ctx, id)
		if err != nil {
			return err
		}
		if err := mayGive(ctx, r); err != nil {
			return err
		}
		const named = 10
		who, err := s.store.Holders(ctx, id, named+1)
		if err != nil {
			return err
		}
		if len(who) > 0 {
			names := make([]string, min(len(who), named))
			for i := range names {
				names[i] = who[i].Name
			}
			if len(who) > named {
				names = append(names, "others")
			}
			return ward.Errorf(ward.Conflict, "The role %s is held by %s. Give them another first.", r.Name, strings.Join(names, ", "))
		}
		if err := s.store.DeleteRole(ctx, id); err != nil {
			return err
		}
		return s.recordRole(ctx, ActionRoleRemoved, r)
	})
}

// lock keeps everybody else from changing people and roles until the unit of work ends.
func (s *Service) lock(ctx context.Context) error {
	_, _, err := s.store.CountPeople(ctx)
	return err
}

// made returns a role that somebody made; Conflict means that it comes with Ward.
func (s *Service) made(ctx context.Context, id ward.Role) (Role, error) {
	r, err := s.Role(ctx, id)
	if err == nil && r.BuiltIn {
		return r, ward.Errorf(ward.Conflict, "The role %s comes with Ward and stays as it is. Make another one beside it.", r.Name)
	}
	return r, err
}

func (s *Service) recordRole(ctx context.Context, action string, r Role) error {
	unit.AfterCommit(ctx, s.forget)
	return s.audit.Record(ctx, entryOf(action, r))
}

// checkRole cleans r and says everything that is wrong with it.
func (s *Service) checkRole(ctx context.Context, r Role, said string) (Role, error) {
	if err := Check(ctx, RoleWrite); err != nil {
		return r, err
	}
	r.Name, r.Description, r.BuiltIn = cleanName(r.Name), cleanName(r.Description), false
	mistakes := checkName(r.Name)
	if !roleID.MatchString(string(r.ID)) {
		mistakes = append(mistakes, fmt.Sprintf("The id %q is not 2 to 40 small letters, digits and hyphens that begin with a letter, such as ward-manager.", r.ID))
	}
	if utf8.RuneCountInString(r.Description) > maxDescription || !utf8.ValidString(r.Description) {
		mistakes = append(mistakes, fmt.Sprintf("The description is longer than %d characters or not text.", maxDescription))
	}
	var wrong []string
	if r.Permissions, wrong = cleanPermissions(r.Permissions); len(wrong) > 0 {
		mistakes = append(mistakes, wrong...)
	}
	if len(mistakes) > 0 {
		return r, &ward.Error{Kind: ward.Invalid, Message: said, Details: mistakes}
	}
	return r, mayGive(ctx, r)
}

// cleanPermissions returns the permissions once each, in their order, and why a role can't
// hold them.
func cleanPermissions(all []Permission) (clean []Permission, mistakes []string) {
	for _, p := range all {
		switch {
		case !p.Valid():
			mistakes = append(mistakes, fmt.Sprintf("There is no permission %q.", p))
		case reserved[p] != "":
			mistakes = append(mistakes, fmt.Sprintf("Only the role %s may %s (%s): give people that role instead.", reserved[p], p.Words(), p))
		}
	}
	for _, p := range Permissions() {
		if slices.Contains(all, p) {
			clean = append(clean, p)
		}
	}
	if len(all) == 0 {
		mistakes = append(mistakes, "A role needs at least one permission.")
	}
	if slices.ContainsFunc(all, Permission.Asks) && slices.ContainsFunc(all, Permission.Decides) {
		mistakes = append(mistakes, "No role both asks for orders and decides on them.")
	}
	return clean, mistakes
}

// unbound reports whether a may give any role: an administrator whose token is not narrowed,
// the operator at the console, and Ward itself.
func unbound(a ward.Actor) bool {
	return a.Via == ward.ViaConsole || a.Via == ward.ViaSystem || a.Person != "" && slices.Contains(a.Roles, ward.RoleAdmin)
}

// mayGive refuses what would let somebody do more than who acts may do.
func mayGive(ctx context.Context, roles ...Role) error {
	a := ward.ActorFrom(ctx)
	if unbound(a) {
		return nil
	}
	for _, r := range roles {
		for _, p := range r.Permissions {
			if !holds(a.Roles, p) {
				return ward.Errorf(ward.Forbidden, "You may not %s (%s), so you may not give or take the role %s, which holds that. An administrator may.", p.Words(), p, r.Name)
			}
		}
	}
	return nil
}

// madePrefix begins what an actor carries of a role that somebody made: its id and what it
// may do, divided by a colon. It is no role that a person can hold by name.
const madePrefix = "made:"

func carried(r Role) ward.Role {
	words := make([]string, len(r.Permissions))
	for i, p := range r.Permissions {
		words[i] = string(p)
	}
	return ward.Role(madePrefix + string(r.ID) + ":" + strings.Join(words, ","))
}

// expand returns what an actor carries of the roles of a person. A role that is no more is
// left out.
func (s *Service) expand(ctx context.Context, roles []ward.Role) ([]ward.Role, error) {
	out := make([]ward.Role, 0, len(roles))
	for _, id := range roles {
		if slices.Contains(ward.Roles, id) {
			out = append(out, id)
			continue
		}
		known, err := s.knownRoles(ctx)
		if err != nil {
			return nil, err
		}
		if r, ok := known[id]; ok {
			out = append(out, r)
		}
	}
	return out, nil
}

// knownRoles returns what actors carry of the roles that somebody made, as they were a few
// seconds ago at most.
func (s *Service) knownRoles(ctx context.Context) (map[ward.Role]ward.Role, error) {
	now := s.now()
	s.mu.Lock()
	known, read, changes := s.roles, s.rolesRead, s.changes
	s.mu.Unlock()
	if known != nil && now.Sub(read) < tokenLife && !now.Before(read) {
		return known, nil
	}
	made, err := s.store.Roles(ctx)
	if err != nil {
		return nil, fmt.Errorf("read roles: %w", err)
	}
	known = make(map[ward.Role]ward.Role, len(made))
	for _, r := range made {
		known[r.ID] = carried(r)
	}
	s.mu.Lock()
	if changes == s.changes {
		s.roles, s.rolesRead = known, now
	}
	s.mu.Unlock()
	return known, nil
}

// rolesKept is what the service remembers of roles.
type rolesKept struct {
	roles     map[ward.Role]ward.Role // what actors carry of each; nil if it was forgotten
	rolesRead time.Time
}
