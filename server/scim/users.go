package scim

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"strings"

	"github.com/elimity-com/scim"
	scimerrors "github.com/elimity-com/scim/errors"
	"github.com/elimity-com/scim/filter"
	parser "github.com/scim2/filter-parser/v2"
	"github.com/wardmdm/ward/server/access"
)

// users is the resource of people.
type users struct{ d Directory }

var _ scim.ResourceHandler = users{}

// user reads what a directory tells of somebody. Who is not said to be inactive is active.
func user(provider, id string, a scim.ResourceAttributes) (access.DirectoryUser, error) {
	u := access.DirectoryUser{ID: id, Provider: provider, UserName: text(a, "userName"), External: text(a, "externalId"), Active: true}
	if active, ok := a["active"].(bool); ok {
		u.Active = active
	}
	kept := maps.Clone(a)
	delete(kept, "password") // nobody signs in by it, so nobody keeps it
	delete(kept, "schemas")
	delete(kept, "id")
	delete(kept, "meta")
	b, err := json.Marshal(kept)
	u.Data = string(b)
	return u, err
}

func attributes(u access.DirectoryUser) scim.ResourceAttributes {
	a := scim.ResourceAttributes{}
	if json.Unmarshal([]byte(u.Data), &a) != nil {
		a = scim.ResourceAttributes{}
	}
	a["userName"], a["active"] = u.UserName, u.Active
	return a
}

func userResource(u access.DirectoryUser) scim.Resource {
	return scim.Resource{ID: u.ID, ExternalID: external(u.External), Attributes: attributes(u), Meta: meta(u.Created, u.Updated)}
}

// Create meets scim.ResourceHandler.
func (h users) Create(r *http.Request, a scim.ResourceAttributes) (scim.Resource, error) {
	return h.put(r, "", a)
}

// Replace meets scim.ResourceHandler.
func (h users) Replace(r *http.Request, id string, a scim.ResourceAttributes) (scim.Resource, error) {
	return h.put(r, id, a)
}

func (h users) put(r *http.Request, id string, a scim.ResourceAttributes) (scim.Resource, error) {
	u, err := user(providerOf(r), id, a)
	if err == nil {
		u, err = h.d.PutUser(r.Context(), u)
	}
	if err != nil {
		return scim.Resource{}, told(r, id, err)
	}
	return userResource(u), nil
}

// Get meets scim.ResourceHandler.
func (h users) Get(r *http.Request, id string) (scim.Resource, error) {
	u, err := h.d.DirectoryUser(r.Context(), providerOf(r), id)
	if err != nil {
		return scim.Resource{}, told(r, id, err)
	}
	return userResource(u), nil
}

// Delete meets scim.ResourceHandler.
func (h users) Delete(r *http.Request, id string) error {
	return told(r, id, h.d.DropUser(r.Context(), providerOf(r), id))
}

// Patch meets scim.ResourceHandler.
func (h users) Patch(r *http.Request, id string, operations []scim.PatchOperation) (out scim.Resource, err error) {
	err = h.d.Change(r.Context(), func(ctx context.Context) error {
		out, err = h.patch(r.WithContext(ctx), id, operations)
		return err
	})
	return out, err
}

func (h users) patch(r *http.Request, id string, operations []scim.PatchOperation) (scim.Resource, error) {
	u, err := h.d.DirectoryUser(r.Context(), providerOf(r), id)
	if err != nil {
		return scim.Resource{}, told(r, id, err)
	}
	a := attributes(u)
	if u.External != "" {
		a["externalId"] = u.External
	}
	for _, o := range operations {
		apply(a, o)
	}
	if _, ok := a["active"].(bool); !ok && a["active"] != nil {
		return scim.Resource{}, scimerrors.ScimErrorInvalidValue
	}
	return h.put(r, id, a)
}

// apply does one operation to the attributes of somebody. One into the values of a list, such
// as an address of a kind, is taken and changes nothing: nothing here depends on it.
func apply(a scim.ResourceAttributes, o scim.PatchOperation) {
	if o.Path == nil {
		if values, ok := o.Value.(map[string]any); ok {
			for k, v := range values {
				set(a, strings.Split(k, "."), o.Op, v)
			}
		}
		return
	}
	if o.Path.ValueExpression != nil || o.Path.AttributePath.URIPrefix != nil && strings.Contains(*o.Path.AttributePath.URIPrefix, "extension") {
		return
	}
	path := []string{o.Path.AttributePath.AttributeName}
	if sub := o.Path.AttributePath.SubAttribute; sub != nil {
		path = append(path, *sub)
	}
	set(a, path, o.Op, o.Value)
}

// spelt are attributes as they are kept: directories differ in capital letters.
var spelt = []string{"userName", "externalId", "active", "displayName", "name", "emails", "title", "members"}

func set(a map[string]any, path []string, op string, v any) {
	name := path[0]
	for _, k := range spelt {
		if strings.EqualFold(k, name) {
			name = k
		}
	}
	if len(path) > 1 && !strings.Contains(name, ":") {
		inner, ok := a[name].(map[string]any)
		if !ok {
			inner = map[string]any{}
		}
		set(inner, path[1:], op, v)
		a[name] = inner
		return
	}
	if strings.EqualFold(op, scim.PatchOperationRemove) {
		delete(a, name)
		return
	}
	a[name] = v
}

// equals returns what a filter of the form name eq "value" asks for.
func equals(v *filter.Validator) (name, value string, ok bool) {
	if v == nil {
		return "", "", false
	}
	e, is := v.GetFilter().(*parser.AttributeExpression)
	if !is || e.Operator != parser.EQ || e.AttributePath.SubAttribute != nil {
		return "", "", false
	}
	value, ok = e.CompareValue.(string)
	return strings.ToLower(e.AttributePath.AttributeName), value, ok
}

// GetAll meets scim.ResourceHandler.
func (h users) GetAll(r *http.Request, p scim.ListRequestParams) (scim.Page, error) {
	ctx, provider := r.Context(), providerOf(r)
	name, value, ok := equals(p.FilterValidator)
	if ok && (name == "username" || name == "externalid" || name == "id") {
		find := h.d.DirectoryUserByName
		switch name {
		case "externalid":
			find = h.d.DirectoryUserByExternal
		case "id":
			find = h.d.DirectoryUser
		}
		u, err := find(ctx, provider, value)
		if err != nil {
			return none(told(r, "", err))
		}
		return scim.Page{TotalResults: 1, Resources: []scim.Resource{userResource(u)}}, nil
	}
	return list(r, p, func(skip, limit int) ([]scim.Resource, int, error) {
		found, total, err := h.d.DirectoryUsers(ctx, provider, skip, limit)
		out := make([]scim.Resource, len(found))
		for i, u := range found {
			out[i] = userResource(u)
		}
		return out, total, err
	})
}

// none answers that nothing was found, where that is what the error says.
func none(err error) (scim.Page, error) {
	if e, ok := err.(scimerrors.ScimError); ok && e.Status == http.StatusNotFound { //nolint:errorlint // made a moment ago
		return scim.Page{Resources: []scim.Resource{}}, nil
	}
	return scim.Page{}, err
}

// list answers a page of resources, all of which are looked at where there is a filter.
func list(r *http.Request, p scim.ListRequestParams, find func(skip, limit int) ([]scim.Resource, int, error)) (scim.Page, error) {
	start := max(p.StartIndex, 1) - 1
	if p.FilterValidator == nil {
		found, total, err := find(start, min(max(p.Count, 0), pageSize))
		return scim.Page{TotalResults: total, Resources: found}, told(r, "", err)
	}
	out := scim.Page{Resources: []scim.Resource{}}
	for skip := 0; ; skip += pageSize {
		found, total, err := find(skip, pageSize)
		if err != nil {
			return scim.Page{}, told(r, "", err)
		}
		for _, x := range found {
			all := maps.Clone(x.Attributes)
			all["id"], all["externalId"] = x.ID, x.ExternalID.Value()
			if p.FilterValidator.PassesFilter(all) != nil {
				continue
			}
			if out.TotalResults++; out.TotalResults > start && len(out.Resources) < min(max(p.Count, 0), pageSize) {
				out.Resources = append(out.Resources, x)
			}
		}
		if len(found) == 0 || skip+pageSize >= total {
			return out, nil
		}
	}
}
