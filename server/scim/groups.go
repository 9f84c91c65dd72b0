package scim

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/elimity-com/scim"
	scimerrors "github.com/elimity-com/scim/errors"
	parser "github.com/scim2/filter-parser/v2"
	"github.com/wardmdm/ward/server/access"
)

// groups is the resource of groups.
type groups struct{ d Directory }

var _ scim.ResourceHandler = groups{}

// maxMembers bounds the members of a group.
const maxMembers = 20_000

// members reads a list of members, or one.
func members(v any) (out []string) {
	switch v := v.(type) {
	case []any:
		for _, m := range v {
			out = append(out, members(m)...)
		}
	case []map[string]any:
		for _, m := range v {
			out = append(out, members(m)...)
		}
	case map[string]any:
		if id := text(v, "value"); id != "" {
			out = append(out, id)
		}
	}
	return out
}

func groupResource(g access.DirectoryGroup) scim.Resource {
	list := make([]any, len(g.Members))
	for i, m := range g.Members {
		list[i] = map[string]any{"value": m}
	}
	a := scim.ResourceAttributes{"displayName": g.Name}
	if len(list) > 0 {
		a["members"] = list
	}
	return scim.Resource{ID: g.ID, ExternalID: external(g.External), Attributes: a, Meta: meta(g.Created, g.Updated)}
}

func (h groups) put(r *http.Request, g access.DirectoryGroup) (scim.Resource, error) {
	slices.Sort(g.Members)
	g.Members = slices.Compact(g.Members)
	if len(g.Members) > maxMembers {
		return scim.Resource{}, scimerrors.ScimErrorBadParams([]string{"members"})
	}
	g, err := h.d.PutGroup(r.Context(), g)
	if err != nil {
		return scim.Resource{}, told(r, g.ID, err)
	}
	return groupResource(g), nil
}

// Create meets scim.ResourceHandler.
func (h groups) Create(r *http.Request, a scim.ResourceAttributes) (scim.Resource, error) {
	return h.Replace(r, "", a)
}

// Replace meets scim.ResourceHandler.
func (h groups) Replace(r *http.Request, id string, a scim.ResourceAttributes) (scim.Resource, error) {
	return h.put(r, access.DirectoryGroup{ID: id, Provider: providerOf(r), Name: text(a, "displayName"), External: text(a, "externalId"), Members: members(a["members"])})
}

// Get meets scim.ResourceHandler.
func (h groups) Get(r *http.Request, id string) (scim.Resource, error) {
	g, err := h.d.DirectoryGroup(r.Context(), providerOf(r), id)
	if err != nil {
		return scim.Resource{}, told(r, id, err)
	}
	return groupResource(g), nil
}

// Delete meets scim.ResourceHandler.
func (h groups) Delete(r *http.Request, id string) error {
	return told(r, id, h.d.DropGroup(r.Context(), providerOf(r), id))
}

// Patch meets scim.ResourceHandler.
func (h groups) Patch(r *http.Request, id string, operations []scim.PatchOperation) (out scim.Resource, err error) {
	err = h.d.Change(r.Context(), func(ctx context.Context) error {
		out, err = h.patch(r.WithContext(ctx), id, operations)
		return err
	})
	return out, err
}

func (h groups) patch(r *http.Request, id string, operations []scim.PatchOperation) (scim.Resource, error) {
	g, err := h.d.DirectoryGroup(r.Context(), providerOf(r), id)
	if err != nil {
		return scim.Resource{}, told(r, id, err)
	}
	for _, o := range operations {
		if !change(&g, o) {
			return scim.Resource{}, scimerrors.ScimErrorInvalidPath
		}
	}
	return h.put(r, g)
}

// change does one operation to a group, and reports whether it understood.
func change(g *access.DirectoryGroup, o scim.PatchOperation) bool {
	if o.Path == nil {
		values, ok := o.Value.(map[string]any)
		for k, v := range values {
			ok = changeOne(g, strings.ToLower(k), o.Op, v) && ok
		}
		return ok
	}
	name := strings.ToLower(o.Path.AttributePath.AttributeName)
	if o.Path.ValueExpression == nil {
		return changeOne(g, name, o.Op, o.Value)
	}
	// members[value eq "…"] names one to take out.
	e, ok := o.Path.ValueExpression.(*parser.AttributeExpression)
	if !ok || name != "members" || e.Operator != parser.EQ || !strings.EqualFold(o.Op, scim.PatchOperationRemove) {
		return false
	}
	gone, ok := e.CompareValue.(string)
	g.Members = slices.DeleteFunc(g.Members, func(m string) bool { return m == gone })
	return ok
}

func changeOne(g *access.DirectoryGroup, name, op string, v any) bool {
	said, isText := v.(string)
	switch name {
	case "displayname":
		g.Name = said
		return isText
	case "externalid":
		g.External = said
		return isText
	case "members":
		list := members(v)
		switch strings.ToLower(op) {
		case scim.PatchOperationAdd:
			g.Members = append(g.Members, list...)
		case scim.PatchOperationReplace:
			g.Members = list
		case scim.PatchOperationRemove:
			g.Members = slices.DeleteFunc(g.Members, func(m string) bool { return v == nil || slices.Contains(list, m) })
		}
		return true
	case "id", "schemas", "meta":
		return true // some directories send them along
	}
	return false
}

// GetAll meets scim.ResourceHandler. Lists leave the members out, as directories ask them to.
func (h groups) GetAll(r *http.Request, p scim.ListRequestParams) (scim.Page, error) {
	return list(r, p, func(skip, limit int) ([]scim.Resource, int, error) {
		found, total, err := h.d.DirectoryGroups(r.Context(), providerOf(r), skip, limit)
		out := make([]scim.Resource, len(found))
		for i, g := range found {
			out[i] = groupResource(g)
		}
		return out, total, err
	})
}
