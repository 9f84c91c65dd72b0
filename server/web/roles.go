package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
)

type rolesPage struct {
	Page
	Head   pageHead
	Roles  []roleView
	Groups []permissionGroup
	Width  int // columns of the matrix
}

// roleView is a role as people read it.
type roleView struct {
	ID, Name, Description string
	BuiltIn               bool
	Edit                  string // address; empty where it can't be changed
}

// permissionGroup is the rows of the matrix about one thing.
type permissionGroup struct {
	Name string
	Rows []permissionRow
}

type permissionRow struct {
	Words, ID string
	Held      []bool // by role, in the order of the columns
}

// rolesPage shows every role and what it lets one do: GET /settings/roles.
func (s *Server) rolesPage(w http.ResponseWriter, r *http.Request) error {
	all, err := s.Access.Roles(r.Context())
	if err != nil {
		return err
	}
	v := &rolesPage{Page: Page{Title: "Roles", Section: "settings", Backlink: "/settings", Backname: "Settings"}}
	v.Head = pageHead{Title: v.Title, Caption: "What each role lets people do. A person may hold several; sites and groups bound them all together."}
	write := access.Allows(actorOf(r), access.RoleWrite)
	if write {
		v.Head.Actions = []action{{"Make a role", "/settings/roles/new", true}}
	}
	for _, role := range all {
		x := roleView{ID: string(role.ID), Name: role.Name, Description: role.Description, BuiltIn: role.BuiltIn}
		if write && !role.BuiltIn {
			x.Edit = "/settings/roles/" + url.PathEscape(x.ID)
		}
		v.Roles = append(v.Roles, x)
	}
	v.Width = len(all) + 1
	for _, p := range access.Permissions() {
		about, _, _ := strings.Cut(string(p), ":")
		row := permissionRow{Words: p.Words(), ID: string(p)}
		for _, role := range all {
			row.Held = append(row.Held, slices.Contains(role.Permissions, p))
		}
		name := aboutWords(about)
		i := slices.IndexFunc(v.Groups, func(g permissionGroup) bool { return g.Name == name })
		if i < 0 {
			v.Groups = append(v.Groups, permissionGroup{Name: name})
			i = len(v.Groups) - 1
		}
		v.Groups[i].Rows = append(v.Groups[i].Rows, row)
	}
	return render(s, w, r, http.StatusOK, s.pages.roles, v)
}

// aboutWords names what a permission is about.
func aboutWords(about string) string {
	switch about {
	case "device", "location", "pin", "mine", "command":
		return "Devices"
	case "invite":
		return "Enrolment"
	case "policy", "register", "exception":
		return "Policies and apps"
	case "order", "approver":
		return "Orders"
	case "case":
		return "Cases"
	case "audit", "evidence", "export":
		return "Evidence"
	case "person", "role", "session":
		return "People"
	}
	return "The installation"
}

type editRolePage struct {
	Page
	ID, RoleName, Description string
	New                       bool
	Groups                    []permissionChoices
	Address                   string
}

// permissionChoices are the permissions about one thing, to tick.
type permissionChoices struct {
	Name    string
	Choices []permissionChoice
}

func (s *Server) editRoleView(role access.Role, isNew bool) *editRolePage {
	v := &editRolePage{
		Page: Page{Title: "Make a role", Section: "settings", Narrow: true, Backlink: "/settings/roles", Backname: "Roles"},
		ID:   string(role.ID), RoleName: role.Name, Description: role.Description, New: isNew, Address: "/settings/roles/new",
	}
	if !isNew {
		v.Title, v.Address = "Change "+role.Name, "/settings/roles/"+url.PathEscape(string(role.ID))
	}
	for _, p := range access.Permissions() {
		if access.Reserved(p) != "" {
			continue
		}
		about, _, _ := strings.Cut(string(p), ":")
		name := aboutWords(about)
		i := slices.IndexFunc(v.Groups, func(g permissionChoices) bool { return g.Name == name })
		if i < 0 {
			v.Groups = append(v.Groups, permissionChoices{Name: name})
			i = len(v.Groups) - 1
		}
		v.Groups[i].Choices = append(v.Groups[i].Choices, permissionChoice{string(p), p.Words(), slices.Contains(role.Permissions, p)})
	}
	return v
}

func roleOf(r *http.Request) access.Role {
	role := access.Role{ID: ward.Role(field(r, "id")), Name: field(r, "name"), Description: field(r, "description")}
	for _, id := range r.PostForm["permission"] {
		role.Permissions = append(role.Permissions, access.Permission(id))
	}
	return role
}

func (s *Server) newRoleForm(w http.ResponseWriter, r *http.Request) error {
	return render(s, w, r, http.StatusOK, s.pages.editRole, s.editRoleView(access.Role{}, true))
}

func (s *Server) makeRole(w http.ResponseWriter, r *http.Request) error {
	role := roleOf(r)
	made, err := s.Access.CreateRole(r.Context(), role)
	if err != nil {
		return again(s, w, r, s.pages.editRole, s.editRoleView(role, true), err, "name")
	}
	s.flash(r, "The role %s is there. Give it to people on their pages.", made.Name)
	return see(w, r, "/settings/roles")
}

func (s *Server) editRoleForm(w http.ResponseWriter, r *http.Request) error {
	role, err := s.Access.Role(r.Context(), ward.Role(r.PathValue("id")))
	if err != nil {
		return err
	}
	if role.BuiltIn {
		return ward.Errorf(ward.Conflict, "The role %s comes with Ward and can’t be changed. Make one of your own.", role.Name)
	}
	return render(s, w, r, http.StatusOK, s.pages.editRole, s.editRoleView(role, false))
}

func (s *Server) editRole(w http.ResponseWriter, r *http.Request) error {
	role := roleOf(r)
	role.ID = ward.Role(r.PathValue("id"))
	changed, err := s.Access.ChangeRole(r.Context(), role)
	if err != nil {
		return again(s, w, r, s.pages.editRole, s.editRoleView(role, false), err, "name")
	}
	s.flash(r, "The role %s is changed, for whoever holds it.", changed.Name)
	return see(w, r, "/settings/roles")
}

func (s *Server) removeRole(w http.ResponseWriter, r *http.Request) error {
	id := ward.Role(r.PathValue("id"))
	role, err := s.Access.Role(r.Context(), id)
	if err != nil {
		return err
	}
	if err := s.Access.RemoveRole(r.Context(), id); err != nil {
		return again(s, w, r, s.pages.editRole, s.editRoleView(role, false), err, "name")
	}
	s.flash(r, "The role %s is removed.", role.Name)
	return see(w, r, "/settings/roles")
}
