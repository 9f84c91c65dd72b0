package web

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/jba/templatecheck"
	"github.com/wardmdm/ward/server/access"
)

// TestTemplates proves every template against the struct that it is given.
func TestTemplates(t *testing.T) {
	t.Parallel()
	p, err := parsePages()
	if err != nil {
		t.Fatal(err)
	}
	checked := map[string]bool{"layout.html": true, "parts.html": true, "components.html": true}
	for _, f := range p.files() {
		checked[f.name+".html"] = true
		if err := templatecheck.CheckHTML((*f.into).Lookup("layout"), f.data); err != nil {
			t.Errorf("%s: %v", f.name, err)
		}
	}
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := strings.TrimPrefix(f, "templates/"); !checked[name] {
			t.Errorf("no page uses %s", name)
		}
	}
}

// TestRoutesNeedSomething walks the routes: each says what it needs, and what changes a
// device or an order is open to nobody who merely has signed in.
func TestRoutesNeedSomething(t *testing.T) {
	t.Parallel()
	s := &Server{}
	seen := map[string]bool{}
	for _, r := range s.routes() {
		method, path, _ := strings.Cut(r.pattern, " ")
		if seen[r.pattern] {
			t.Errorf("%s stands twice", r.pattern)
		}
		seen[r.pattern] = true
		general := r.needs == anyone || r.needs == signedIn
		if !general && !r.needs.Valid() {
			t.Errorf("%s needs %q, which is no permission", r.pattern, r.needs)
		}
		for _, part := range []string{"/devices", "/cases", "/drills", "/orders", "/brake", "/approvers", "/notifications", "/lost/"} {
			if general && strings.HasPrefix(path, part) {
				t.Errorf("%s needs no permission", r.pattern)
			}
		}
		if read := r.needs == access.DeviceRead || r.needs == access.OrderRead; method == "POST" && read {
			t.Errorf("%s is a deed that needs %s only", r.pattern, r.needs)
		}
	}
}

// TestDangerousAsksAgain walks the routes: each form that changes people, roles, tokens or
// settings asks anew who it is, and what is excused exists.
func TestDangerousAsksAgain(t *testing.T) {
	t.Parallel()
	s := &Server{}
	there := map[string]bool{}
	for _, r := range s.routes() {
		there[r.pattern] = true
		method, path, _ := strings.Cut(r.pattern, " ")
		changes := r.needs == access.PersonWrite || r.needs == access.RoleWrite || r.needs == access.SessionWrite || r.needs == access.SettingsWrite || r.needs == access.PersonErase ||
			r.needs == access.OrderCancelAll || r.needs == access.CAWrite || r.needs == access.PolicyPublish || r.needs == access.ApproverInvite || strings.HasPrefix(path, "/settings/")
		if method == "POST" && changes && !needsRecent(r) && !slices.Contains(harmless, r.pattern) {
			t.Errorf("%s does not ask anew who it is", r.pattern)
		}
	}
	for _, p := range slices.Concat(harmless, dangerous) {
		if !there[p] {
			t.Errorf("%s is named and does not exist", p)
		}
	}
}

// TestNoInline keeps out of the templates what the policy of contents would block.
func TestNoInline(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := templateFiles.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{"<style", " style=", " onclick=", " onsubmit=", "javascript:", "http://", "https://"} {
			if strings.Contains(string(b), bad) {
				t.Errorf("%s has %q", f, bad)
			}
		}
		if n := strings.Count(string(b), "<script"); n != strings.Count(string(b), `<script type="module" src="{{.Script}}">`) {
			t.Errorf("%s has an inline script", f)
		}
	}
}
