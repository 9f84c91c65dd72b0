package api

import (
	"context"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
)

// Role is a set of permissions that people hold.
type Role struct {
	ID          ward.Role           `json:"id"`
	Name        string              `json:"name"`
	Description string              `json:"description,omitempty"`
	Permissions []access.Permission `json:"permissions" nullable:"false"`
	BuiltIn     bool                `json:"built_in" doc:"Whether it comes with Ward and can't be changed."`
}

func roleOf(r access.Role) Role {
	return Role{ID: r.ID, Name: r.Name, Description: r.Description, Permissions: append([]access.Permission{}, r.Permissions...), BuiltIn: r.BuiltIn}
}

// AllRoles are the roles that there are, and the permissions of which they are made.
type AllRoles struct {
	Items       []Role            `json:"items" nullable:"false" doc:"Those that come with Ward first."`
	Permissions []PermissionWords `json:"permissions" nullable:"false"`
}

// PermissionWords is a permission with what it lets one do.
type PermissionWords struct {
	ID    access.Permission `json:"id"`
	Words string            `json:"words" doc:"As in: You may …"`
	Only  ward.Role         `json:"only,omitempty" doc:"The one role that may hold it; left out if any may."`
	Whole bool              `json:"whole,omitempty" doc:"It is about the whole organisation: nobody who is bounded to sites or groups has it."`
}

func (s *server) listRoles(ctx context.Context, _ *noInput) (*reply[AllRoles], error) {
	all, err := s.Access.Roles(ctx)
	if err != nil {
		return nil, err
	}
	return answer(AllRoles{Items: shapes(all, roleOf), Permissions: shapes(access.Permissions(), func(p access.Permission) PermissionWords {
		return PermissionWords{ID: p, Words: p.Words(), Only: access.Reserved(p), Whole: p.Whole()}
	})}), nil
}

// RolePath names a role in a path.
type RolePath struct {
	ID ward.Role `path:"id" maxLength:"100" doc:"Id of the role."`
}

func (s *server) showRole(ctx context.Context, in *RolePath) (*reply[Role], error) {
	r, err := s.Access.Role(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return answer(roleOf(r)), nil
}

type makeRoleInput struct {
	Body struct {
		ID          ward.Role           `json:"id" doc:"Small letters, digits and hyphens, such as ward-manager."`
		Name        string              `json:"name"`
		Description string              `json:"description,omitempty" doc:"One line."`
		Permissions []access.Permission `json:"permissions" nullable:"false"`
	} `nameHint:"RoleRequest"`
}

func (s *server) makeRole(ctx context.Context, in *makeRoleInput) (*reply[Role], error) {
	r, err := s.Access.CreateRole(ctx, access.Role{ID: in.Body.ID, Name: in.Body.Name, Description: in.Body.Description, Permissions: in.Body.Permissions})
	if err != nil {
		return nil, err
	}
	return answer(roleOf(r)), nil
}

type changeRoleInput struct {
	RolePath
	Body struct {
		Name        string              `json:"name"`
		Description string              `json:"description,omitempty" doc:"One line."`
		Permissions []access.Permission `json:"permissions" nullable:"false"`
	} `nameHint:"RoleChange"`
}

func (s *server) changeRole(ctx context.Context, in *changeRoleInput) (*reply[Role], error) {
	r, err := s.Access.ChangeRole(ctx, access.Role{ID: in.ID, Name: in.Body.Name, Description: in.Body.Description, Permissions: in.Body.Permissions})
	if err != nil {
		return nil, err
	}
	return answer(roleOf(r)), nil
}

func (s *server) removeRole(ctx context.Context, in *RolePath) (*none, error) {
	return &none{}, s.Access.RemoveRole(ctx, in.ID)
}
