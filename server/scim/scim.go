// Package scim hears from an organisation's directory who its people and groups are, and above
// all who has left, by SCIM 2.0 (RFC 7643 and RFC 7644). It reads and answers the protocol;
// what follows for somebody's sessions, tokens and roles it leaves to the gate.
package scim

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/elimity-com/scim"
	scimerrors "github.com/elimity-com/scim/errors"
	"github.com/elimity-com/scim/optional"
	"github.com/elimity-com/scim/schema"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/httpd"
)

// Path is the prefix under which the handler is served.
const Path = "/scim/"

// Directory keeps what is told. *access.SignIn meets it.
type Directory interface {
	// Change runs fn as one unit of work in which nobody else changes people.
	Change(ctx context.Context, fn func(ctx context.Context) error) error
	PutUser(ctx context.Context, u access.DirectoryUser) (access.DirectoryUser, error)
	DropUser(ctx context.Context, provider, id string) error
	DirectoryUser(ctx context.Context, provider, id string) (access.DirectoryUser, error)
	DirectoryUserByName(ctx context.Context, provider, name string) (access.DirectoryUser, error)
	DirectoryUserByExternal(ctx context.Context, provider, external string) (access.DirectoryUser, error)
	DirectoryUsers(ctx context.Context, provider string, skip, limit int) ([]access.DirectoryUser, int, error)
	PutGroup(ctx context.Context, g access.DirectoryGroup) (access.DirectoryGroup, error)
	DropGroup(ctx context.Context, provider, id string) error
	DirectoryGroup(ctx context.Context, provider, id string) (access.DirectoryGroup, error)
	DirectoryGroups(ctx context.Context, provider string, skip, limit int) ([]access.DirectoryGroup, int, error)
}

var _ Directory = (*access.SignIn)(nil)

// Options are what the handler stands on; every field is needed.
type Options struct {
	Directory Directory
	Tokens    map[string]string // the directory's token by the provider that it belongs to
	Now       func() time.Time
}

const (
	maxBody  = 1 << 20
	pageSize = 100
)

type providerKey struct{}

// New returns the handler of everything under Path.
func New(o Options) (http.Handler, error) {
	if o.Directory == nil || len(o.Tokens) == 0 || o.Now == nil {
		return nil, errors.New("scim: Directory, Tokens and Now are needed")
	}
	server, err := scim.NewServer(&scim.ServerArgs{
		ServiceProviderConfig: &scim.ServiceProviderConfig{
			MaxResults: pageSize, SupportFiltering: true, SupportPatch: true,
			AuthenticationSchemes: []scim.AuthenticationScheme{{Type: scim.AuthenticationTypeOauthBearerToken, Name: "Token", Description: "The token of the directory, as a bearer token.", Primary: true}},
		},
		ResourceTypes: []scim.ResourceType{
			{
				ID: optional.NewString("User"), Name: "User", Endpoint: "/Users", Schema: known(schema.CoreUserSchema()),
				SchemaExtensions: []scim.SchemaExtension{{Schema: schema.ExtensionEnterpriseUser()}}, Handler: users{o.Directory},
			},
			{ID: optional.NewString("Group"), Name: "Group", Endpoint: "/Groups", Schema: known(schema.CoreGroupSchema()), Handler: groups{o.Directory}},
		},
	})
	if err != nil {
		return nil, err
	}
	inner := http.StripPrefix(strings.TrimSuffix(Path, "/"), server)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		provider, ok := o.provider(r)
		if !ok {
			w.Header().Set("WWW-Authenticate", `Bearer realm="ward scim"`)
			httpd.WriteError(w, r, ward.Errorf(ward.Unauthenticated, "The token of the directory is missing or wrong."))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		ctx := ward.WithActor(context.WithValue(r.Context(), providerKey{}, provider), ward.System)
		inner.ServeHTTP(w, r.WithContext(ctx))
	}), nil
}

// known adds the directory's own id to a schema: it stands outside every schema, and the library
// would find nobody by it.
func known(s schema.Schema) schema.Schema {
	s.Attributes = append(slices.Clone(s.Attributes), schema.SimpleCoreAttribute(schema.SimpleStringParams(schema.StringParams{Name: "externalId", CaseExact: true})))
	return s
}

// provider returns whose directory asks. Every token is compared, in the same time.
func (o Options) provider(r *http.Request) (provider string, ok bool) {
	given, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	sum := sha256.Sum256([]byte(given))
	for name, token := range o.Tokens {
		want := sha256.Sum256([]byte(token))
		if subtle.ConstantTimeCompare(sum[:], want[:]) == 1 {
			provider, ok = name, bearer
		}
	}
	return provider, ok
}

func providerOf(r *http.Request) string {
	p, _ := r.Context().Value(providerKey{}).(string)
	return p
}

// told turns an error into the protocol's own.
func told(r *http.Request, id string, err error) error {
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*ward.Error](err)
	if !ok {
		httpd.Note(r.Context(), err)
		return scimerrors.ScimErrorInternal
	}
	switch e.Kind {
	case ward.NotFound:
		return scimerrors.ScimErrorResourceNotFound(id)
	case ward.Conflict:
		return scimerrors.ScimErrorUniqueness
	case ward.Invalid:
		return scimerrors.ScimErrorBadParams([]string{e.Message})
	case ward.Forbidden, ward.Unauthenticated, ward.Unavailable, ward.Internal:
	}
	httpd.Note(r.Context(), err)
	return scimerrors.ScimErrorInternal
}

func meta(created, updated time.Time) scim.Meta {
	return scim.Meta{Created: &created, LastModified: &updated}
}

func text(a map[string]any, name string) string {
	v, _ := a[name].(string)
	return v
}

func external(id string) optional.String {
	if id == "" {
		return optional.String{}
	}
	return optional.NewString(id)
}
