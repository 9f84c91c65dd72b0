package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/httpd"
)

// permissionKey is the word in the API's description for the permission that an
// operation takes.
const permissionKey = "x-ward-permission"

// signedIn is what operations declare that are about the caller alone: any token will
// do. It is no permission that a role holds.
const signedIn access.Permission = "signed-in"

// operation is a route with what it needs.
type operation struct {
	method     string
	path       string // after Prefix
	permission access.Permission
	id         string
	summary    string
	status     int    // of the answer; 0 for 200, or 204 without a body
	produces   string // media type of an answer that is no JSON
	maxBody    int64  // 0 for the usual
	hidden     bool   // stands in no description: it is no operation, but says what is
	partly     bool   // answers 207 where some of several things were done
}

// handle adds an operation. I and O are huma's inputs and outputs; an error of fn is
// answered as a problem.
func handle[I, O any](s *server, o operation, fn func(context.Context, *I) (*O, error)) {
	tag, _, _ := strings.Cut(strings.TrimPrefix(o.path, "/"), "/")
	op := huma.Operation{
		OperationID: o.id, Method: o.method, Path: Prefix + o.path, Summary: o.summary, Tags: []string{tag},
		Hidden: o.hidden, DefaultStatus: o.status, MaxBodyBytes: o.maxBody, BodyReadTimeout: 20 * time.Second,
		Security:   []map[string][]string{{bearerName: {}}},
		Extensions: map[string]any{permissionKey: o.permission},
		Responses:  s.responses(o),
	}
	if op.MaxBodyBytes == 0 {
		op.MaxBodyBytes = maxBody
	}
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := fn(ctx, in)
		if err != nil {
			httpd.Note(ctx, err)
			return nil, httpd.ProblemOf(ctx, err)
		}
		return out, nil
	})
	if o.partly {
		whole := op.Responses[strconv.Itoa(max(o.status, http.StatusOK))]
		op.Responses[strconv.Itoa(http.StatusMultiStatus)] = &huma.Response{Description: "Done for some, and why not for the others", Content: whole.Content}
	}
}

func (s *server) responses(o operation) map[string]*huma.Response {
	schema := s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[httpd.Problem](), true, "Problem")
	all := map[string]*huma.Response{
		"default": {Description: "What went wrong", Content: map[string]*huma.MediaType{httpd.ProblemType: {Schema: schema}}},
	}
	if o.produces != "" {
		all[strconv.Itoa(http.StatusOK)] = &huma.Response{
			Description: http.StatusText(http.StatusOK),
			Content:     map[string]*huma.MediaType{o.produces: {Schema: &huma.Schema{Type: huma.TypeString}}},
		}
	}
	return all
}

// problems makes a problem of what huma itself finds wrong with a request. The values
// that huma would repeat are left out: they may be secrets.
func problems(ctx huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	code := status(m.Status)
	err := ward.Errorf(httpd.KindOf(code), "The request can't be read: %s.", strings.TrimSuffix(m.Detail, "."))
	for _, d := range m.Errors {
		if d != nil {
			err.Details = append(err.Details, strings.TrimPrefix(d.Location+": "+d.Message, ": "))
		}
	}
	if err.Kind == ward.Internal {
		err = err.Because(errors.New(m.Detail))
	}
	httpd.Note(ctx.Context(), err)
	p := httpd.ProblemOf(ctx.Context(), err)
	p.Status, p.Title = code, http.StatusText(code)
	return p, nil
}

// reply is an answer in JSON.
type reply[T any] struct{ Body T }

func answer[T any](v T) *reply[T] { return &reply[T]{Body: v} }

// none is an answer without a body.
type none struct{}

// List is one page of a list.
type List[T any] struct {
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"Give it as after for the next page. It is left out on the last."`
}

// Paging is what every list takes.
type Paging struct {
	After string `query:"after" maxLength:"200" doc:"The next of the page before."`
	Limit int    `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"The most items of a page; some lists have shorter pages."`
}

// page makes a page of all, which is full if it holds limit items. key tells an item's
// place in the list.
func page[S, T any](all []S, limit int, key func(S) string, shape func(S) T) List[T] {
	l := List[T]{Items: make([]T, len(all))}
	for i, v := range all {
		l.Items[i] = shape(v)
	}
	if len(all) > 0 && len(all) >= limit {
		l.Next = key(all[len(all)-1])
	}
	return l
}

// number reads a key that counts; an empty one is 0.
func number(after string) (int64, error) {
	if after == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(after, 10, 64)
	if err != nil || n < 0 {
		return 0, ward.Errorf(ward.Invalid, "The place to go on from is not a number: use the next of the page before.")
	}
	return n, nil
}

// when leaves a time out that has not come.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// shapes makes the JSON of each value; the result is never nil.
func shapes[S, T any](all []S, shape func(S) T) []T {
	out := make([]T, len(all))
	for i, v := range all {
		out[i] = shape(v)
	}
	return out
}

// stream is an answer that is written as it is made.
type stream struct{ Body func(huma.Context) }

// streamed answers with what write writes. An error before the first byte is a problem;
// later ones cut the connection, so that nobody takes a part for the whole.
func streamed(ctx context.Context, mediaType string, write func(ctx context.Context, w io.Writer) error) *stream {
	return &stream{Body: func(h huma.Context) {
		w := &late{h: h, mediaType: mediaType}
		err := write(ctx, w)
		switch {
		case err == nil && !w.begun:
			w.begin()
		case err != nil && !w.begun:
			httpd.Note(ctx, err)
			p := httpd.ProblemOf(ctx, err)
			h.SetHeader("Content-Type", httpd.ProblemType)
			h.SetStatus(p.Status)
			if err := json.NewEncoder(h.BodyWriter()).Encode(p); err != nil {
				panic(http.ErrAbortHandler)
			}
		case err != nil:
			httpd.Note(ctx, fmt.Errorf("cut the answer: %w", err))
			panic(http.ErrAbortHandler)
		}
	}}
}

// late writes the header with the first byte.
type late struct {
	h         huma.Context
	mediaType string
	begun     bool
}

func (l *late) begin() {
	l.begun = true
	if w, ok := l.h.BodyWriter().(http.ResponseWriter); ok {
		// However large the record is. A writer that knows no deadline has none to lift.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	}
	l.h.SetHeader("Content-Type", l.mediaType)
	l.h.SetStatus(http.StatusOK)
}

// Write meets io.Writer.
func (l *late) Write(b []byte) (int, error) {
	if !l.begun {
		l.begin()
	}
	return l.h.BodyWriter().Write(b)
}
