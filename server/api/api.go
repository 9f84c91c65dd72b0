// Package api is Ward's REST API for people's programs and for the command line: it
// reads requests, asks the parts of the server, and writes their answers as JSON. It
// decides nothing but who may ask for what, knows no SQL, and never talks to a device.
package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/httpd"
)

// Prefix begins the path of every operation.
const Prefix = "/api/v1"

// DocumentPath is where the description of the API is served, to anybody.
const DocumentPath = "/api/openapi.json"

const (
	maxBody     = 1 << 20 // of a request, unless its operation says otherwise
	maxTable    = 8 << 20 // of a staff table
	bearerName  = "bearer"
	description = `Every operation needs a token of a person: Authorization: Bearer ward_… (ward token create makes one). x-ward-permission names the permission it takes; "signed-in" takes any token. No token approves an order: two people sign it in a browser, each with their own passkey, at its approve_at.

Lists are paged by key: give the next of one answer as after in the next request; the last page has no next. Errors are application/problem+json (RFC 9457). Times are UTC; one that is left out has not come.`
)

type server struct {
	Options
	api   huma.API
	files files
}

// New returns the handler of everything under /api/. It expects httpd.Wrap around it,
// which logs the errors that it notes and gives requests their ids.
func New(o Options) (http.Handler, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	o.PublicURL = strings.TrimSuffix(o.PublicURL, "/")
	mux := http.NewServeMux()
	s := &server{Options: o}
	config := huma.DefaultConfig("Ward", "v1")
	config.Info.Description = description
	// No documentation page, for it would run scripts of others; no $schema in answers.
	config.OpenAPIPath, config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", "", nil
	config.RejectUnknownQueryParameters = true
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshal}
	config.Formats = map[string]huma.Format{"application/json": format, "json": format}
	config.Transformers = []huma.Transformer{problems}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{bearerName: {Type: "http", Scheme: "bearer", BearerFormat: access.TokenPrefix + "…"}}
	s.api = humago.New(mux, config)
	s.api.UseMiddleware(s.admit)
	s.routes()
	doc, err := s.document()
	if err != nil {
		return nil, err
	}
	mux.HandleFunc("GET "+DocumentPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(doc) // a caller who hung up needs no answer
	})
	return guard(mux), nil
}

// document returns the description of the API, the same bytes each time.
func (s *server) document() ([]byte, error) {
	delete(s.api.OpenAPI().Components.Schemas.Map(), "ErrorModel") // huma's own, in whose place problems are told
	delete(s.api.OpenAPI().Components.Schemas.Map(), "ErrorDetail")
	raw, err := json.Marshal(s.api.OpenAPI())
	if err != nil {
		return nil, fmt.Errorf("describe the API: %w", err)
	}
	var tree any
	if err := json.Unmarshal(raw, &tree); err != nil {
		return nil, fmt.Errorf("describe the API: %w", err)
	}
	raw, err = json.MarshalIndent(tree, "", "  ") // sorts, so that a difference can be read
	if err != nil {
		return nil, fmt.Errorf("describe the API: %w", err)
	}
	return append(raw, '\n'), nil
}

// guard bounds bodies and makes problems of what the mux itself refuses.
func guard(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, maxTable+1)
		if !storable(r.URL.Path) || !storable(r.URL.RawQuery) || strings.Contains(r.URL.RawQuery, "%00") {
			httpd.WriteError(w, r, ward.Errorf(ward.Invalid, "The address holds characters that are no text."))
			return
		}
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		var answer refusal
		mux.ServeHTTP(&answer, r)
		if allow := answer.Header().Get("Allow"); allow != "" {
			w.Header().Set("Allow", allow)
			err := ward.Errorf(ward.Invalid, "%s is not done here, only %s.", r.Method, allow)
			p := httpd.ProblemOf(r.Context(), err)
			p.Status, p.Title = http.StatusMethodNotAllowed, http.StatusText(http.StatusMethodNotAllowed)
			httpd.Note(r.Context(), err)
			httpd.WriteProblem(w, p)
			return
		}
		httpd.WriteError(w, r, ward.Errorf(ward.NotFound, "The API has no such address. %s describes it.", DocumentPath))
	})
}

// refusal takes the answer of a mux that found no route.
type refusal struct{ header http.Header }

func (a *refusal) Header() http.Header {
	if a.header == nil {
		a.header = http.Header{}
	}
	return a.header
}

func (a *refusal) Write(b []byte) (int, error) { return len(b), nil }

func (a *refusal) WriteHeader(int) {}

// admit lets a request through to its operation if its token's person may do it.
func (s *server) admit(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	c, err := s.actor(r, ctx.Operation())
	if err != nil {
		httpd.WriteError(w, r, err)
		return
	}
	next(asked{huma.WithContext(ctx, c)})
}

func (s *server) actor(r *http.Request, op *huma.Operation) (context.Context, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return nil, ward.Errorf(ward.Unauthenticated, "Say who you are: send a token as Authorization: Bearer %s…. ward token create makes one.", access.TokenPrefix)
	}
	a, err := s.Access.Authenticate(r.Context(), strings.TrimSpace(token))
	if err != nil {
		return nil, err
	}
	httpd.NoteActor(r.Context(), a)
	ctx := ward.WithActor(r.Context(), a)
	p, ok := op.Extensions[permissionKey].(access.Permission)
	if !ok {
		return nil, fmt.Errorf("operation %s declares no permission", op.OperationID)
	}
	if p == signedIn {
		return ctx, nil
	}
	return ctx, access.Check(ctx, p)
}

// operationContext is huma.Context under a name that its method Context does not hide.
type operationContext huma.Context

// asked is the context of an admitted request. Its answers to mistakes that huma finds
// have the status that Ward's own have.
type asked struct{ operationContext }

// SetStatus meets huma.Context.
func (a asked) SetStatus(code int) { a.operationContext.SetStatus(status(code)) }

// Unwrap lets humago.Unwrap through.
func (a asked) Unwrap() huma.Context { return a.operationContext }

func status(code int) int {
	if code == http.StatusUnprocessableEntity {
		return httpd.Status(ward.Invalid)
	}
	return code
}
