package web

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/httpd"
	"github.com/wardmdm/ward/server/logkey"
	"go.uber.org/zap"
)

// handler answers a request or returns why it can't, before it has written anything.
type handler func(w http.ResponseWriter, r *http.Request) error

// maxForm bounds the body of a form.
const maxForm = 64 << 10

// contentPolicy lets a page load nothing but Ward's own files, and be framed by nobody.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// harden sets the headers that every answer has. Pages name people and devices, so
// nothing keeps a copy of one; static files say otherwise for themselves.
func harden(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin") // with none, a form's origin could not be told
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// serve makes a route's handler: session, permission, body limit, errors as pages.
func (s *Server) serve(rt route) http.Handler {
	return s.seated(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, rt.maxBody())
		r, err := s.admit(r, rt.needs)
		if err == nil && r.Method == http.MethodPost {
			err = readForm(r, rt.maxBody())
		}
		if err == nil {
			err = s.guard(rt, r)
		}
		if err == nil {
			err = rt.handle(w, r)
		}
		if err != nil {
			s.fail(w, r, err)
		}
	}))
}

// admit puts who has signed in into the request and checks what the route needs.
func (s *Server) admit(r *http.Request, needs access.Permission) (*http.Request, error) {
	a, err := s.signedInActor(r.Context())
	if err != nil {
		return r, err
	}
	ctx := ward.WithActor(r.Context(), a)
	httpd.NoteActor(ctx, a)
	r = r.WithContext(ctx)
	switch {
	case needs == anyone:
		return r, nil
	case a.Via == "":
		return r, errSignIn
	case needs == signedIn:
		return r, nil
	}
	return r, s.Access.Check(ctx, needs)
}

// errSignIn sends a visitor to the sign-in page.
var errSignIn = ward.Errorf(ward.Unauthenticated, "Sign in first.")

func readForm(r *http.Request, most int64) error {
	var err error
	if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data") {
		err = r.ParseMultipartForm(most) //nolint:gosec // its body is bounded by as much, so that no part is put into a file
	} else {
		err = r.ParseForm()
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return ward.Errorf(ward.Invalid, "The form is too long.")
	}
	if err != nil {
		return ward.Errorf(ward.Invalid, "The form could not be read.").Because(err)
	}
	return nil
}

// fail answers with the page for an error, which the access log notes.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, errSignIn) {
		to := "/signin"
		if r.Method == http.MethodGet && r.URL.Path != "/" {
			to += "?next=" + url.QueryEscape(r.URL.RequestURI())
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
		return
	}
	if first, ok := errors.AsType[*goFirst](err); ok {
		http.Redirect(w, r, first.to, http.StatusSeeOther)
		return
	}
	httpd.Note(r.Context(), err)
	v := &errorPage{Status: httpd.Status(ward.KindOf(err)), RequestID: ward.RequestID(r.Context())}
	e, ok := errors.AsType[*ward.Error](err)
	if ok && e.Kind != ward.Internal {
		v.Message, v.Details = e.Message, e.Details
	}
	v.Title = errorTitle(v.Status)
	s.renderError(w, r, v)
}

// renderError renders the error page, and plain words if even that fails.
func (s *Server) renderError(w http.ResponseWriter, r *http.Request, v *errorPage) {
	err := render(s, w, r, v.Status, s.pages.failure, v)
	if err == nil {
		return
	}
	s.Log.Error("error page failed", zap.String(logkey.Route, r.Pattern), zap.String(logkey.RequestID, v.RequestID), zap.Error(err))
	http.Error(w, "Something went wrong. Reference: "+v.RequestID, http.StatusInternalServerError)
}

// ErrorPage answers with the page for an error, as the pages themselves do. The
// composition root uses it for addresses of its own that browsers open.
func (s *Server) ErrorPage(w http.ResponseWriter, r *http.Request, err error) {
	s.outside(w, r, func(w http.ResponseWriter, r *http.Request) { s.fail(w, r, err) })
}

// outside runs fn for a request that did not come through the pages' own handler.
func (s *Server) outside(w http.ResponseWriter, r *http.Request, fn http.HandlerFunc) {
	r = r.WithContext(ward.WithActor(r.Context(), ward.Actor{})) // there is no session here to show
	harden(fn).ServeHTTP(w, r)
}

func (s *Server) crossOrigin(w http.ResponseWriter, r *http.Request) {
	s.fail(w, r, ward.Errorf(ward.Forbidden, "This form was sent from another site, so nothing was done. Open the page in Ward and try again."))
}

func (s *Server) unknown(http.ResponseWriter, *http.Request) error {
	return ward.Errorf(ward.NotFound, "There is no page at this address. It may have been mistyped, or cut short when it was copied.")
}

func errorTitle(status int) string {
	switch status {
	case http.StatusNotFound:
		return "Not found"
	case http.StatusForbidden:
		return "You may not do this"
	case http.StatusUnauthorized:
		return "Sign in again"
	case http.StatusConflict, http.StatusBadRequest:
		return "This can’t be done"
	case http.StatusServiceUnavailable:
		return "Not available just now"
	}
	return "Something went wrong"
}

// render fills in what all pages share, renders into memory and then answers, so that
// a broken page is an error and not half a page.
func render[T pageData](s *Server, w http.ResponseWriter, r *http.Request, status int, t page[T], v T) error {
	if err := s.furnish(r, v.base()); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := t.t.ExecuteTemplate(&b, "layout", v); err != nil {
		return fmt.Errorf("render %s: %w", t.t.Name(), err)
	}
	if err := s.compress(w, r, status, &b); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if _, err := b.WriteTo(w); err != nil {
		s.Log.Debug("page not delivered", zap.String(logkey.Route, r.Pattern), zap.Error(err))
	}
	return nil
}

// problemOf turns an error that a person can mend into an error summary whose first
// line leads to field. Other errors come back as they are.
func problemOf(err error, field string) (*problem, error) {
	e, ok := errors.AsType[*ward.Error](err)
	if !ok || (e.Kind != ward.Invalid && e.Kind != ward.Conflict && e.Kind != ward.Forbidden && e.Kind != ward.Unauthenticated) {
		return nil, err
	}
	p := &problem{Field: field, Lines: e.Details, status: httpd.Status(e.Kind)}
	if len(p.Lines) == 0 {
		p.Lines = []string{e.Message}
	}
	p.Text = strings.Join(p.Lines, " ")
	return p, nil
}

// message is what an error says to people.
func message(err error) string {
	e, ok := errors.AsType[*ward.Error](err)
	if !ok || e.Kind == ward.Internal {
		return "Something went wrong."
	}
	return strings.Join(append([]string{e.Message}, e.Details...), " ")
}
