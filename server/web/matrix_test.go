package web_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/web"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestRoutesAndPermissions writes out what each route needs, so that a change is read.
func TestRoutesAndPermissions(t *testing.T) {
	t.Parallel()
	var lines []string
	for _, r := range newWorld(t).web.Routes() {
		lines = append(lines, r.Pattern+"\t"+string(r.Needs))
	}
	slices.Sort(lines)
	got, file := strings.Join(lines, "\n")+"\n", filepath.Join("testdata", "routes.golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s mismatch (-want +got); run the test with -update and read the difference:\n%s", file, diff)
	}
}

var hole = regexp.MustCompile(`\{[a-z]+(\.\.\.)?\}`)

// trial is somebody who tries every page.
type trial struct {
	name  string
	actor ward.Actor // zero for a visitor
	v     *visitor
}

// trials are everybody that the matrix tries, each with a browser that has signed in.
func (w *world) trials() []trial {
	w.t.Helper()
	made, err := w.access.CreateRole(w.system(), access.Role{ID: "ward-manager", Name: "Ward manager", Permissions: []access.Permission{access.DeviceRead, access.DeviceLost}})
	w.must(err)
	out := []trial{{name: "nobody", v: w.visitor()}}
	for _, r := range append(slices.Clone(ward.Roles), made.ID) {
		out = append(out, w.trial(string(r), ward.Scope{}, r))
	}
	return append(out, w.trial("bounded", ward.Scope{Groups: []string{"North"}}, ward.RoleSupport, ward.RoleAdmin))
}

func (w *world) trial(name string, scope ward.Scope, roles ...ward.Role) trial {
	w.t.Helper()
	p, err := w.access.CreatePerson(w.system(), access.NewPerson{Name: "Holder of " + name, Roles: roles, Scope: scope})
	w.must(err)
	secret, err := w.access.CreateLink(w.system(), p.ID, access.LinkSignIn, time.Hour)
	w.must(err)
	v := w.visitor()
	if a := v.post("/signin/"+secret, nil); a.status != http.StatusSeeOther {
		w.t.Fatalf("sign in as %s = %d %s", name, a.status, a.text())
	}
	a, err := w.access.Actor(w.t.Context(), p.ID, ward.ViaSession)
	w.must(err)
	return trial{name, a, v}
}

// status asks for a page and reads no more of it than a beginning: some go on for ever.
func (v *visitor) status(method, path string, form url.Values) (code int, location, body string) {
	v.w.t.Helper()
	ctx, cancel := context.WithCancel(v.w.t.Context())
	defer cancel()
	var in io.Reader
	if method == http.MethodPost {
		in = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(ctx, method, v.w.url+path, in)
	v.w.must(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	res, err := v.Do(r)
	v.w.must(err)
	defer res.Body.Close()
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		return res.StatusCode, "", ""
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	v.w.must(err)
	return res.StatusCode, res.Header.Get("Location"), string(b)
}

func (w *world) newest() int64 {
	w.t.Helper()
	all, err := w.audit.List(w.system(), audit.Filter{Limit: 1})
	w.must(err)
	if len(all) == 0 {
		return 0
	}
	return all[0].ID
}

// wholeToo are routes whose permission somebody who is bounded may hold, and whose deed is about
// the whole organisation all the same: it refuses them.
var wholeToo = map[string]bool{"POST /evidence/subject-access": true}

// TestEveryRoleOnEveryPage asks every route as everybody, for things that are not there: who
// lacks what it needs is refused and changes nothing, who has it is not.
func TestEveryRoleOnEveryPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish()
	all, asked := w.trials(), 0
	for _, r := range w.web.Routes() {
		method, path, ok := strings.Cut(r.Pattern, " ")
		if !ok || r.Needs == web.Anyone {
			continue
		}
		path = hole.ReplaceAllString(strings.TrimSuffix(path, "{$}"), "x")
		for _, a := range all {
			if r.Needs == web.SignedIn && a.actor.Via != "" {
				continue // whom it is about is a rule of its own
			}
			before := w.newest()
			code, to, body := a.v.status(method, path, url.Values{})
			asked++
			switch may := access.Allows(a.actor, r.Needs); {
			case a.actor.Via == "":
				if code != http.StatusSeeOther || !strings.HasPrefix(to, "/signin") {
					t.Errorf("%s = %d to %q for nobody, want the page to sign in", r.Pattern, code, to)
				}
			case !may && code != http.StatusForbidden:
				t.Errorf("%s = %d for %s, who may not %s", r.Pattern, code, a.name, r.Needs.Words())
			case may && code == http.StatusForbidden && !a.actor.Scope.All() && wholeToo[r.Pattern]:
			case may && (code == http.StatusForbidden || code >= http.StatusInternalServerError || strings.HasPrefix(to, "/signin")):
				t.Errorf("%s = %d to %q for %s, who may %s: %s", r.Pattern, code, to, a.name, r.Needs.Words(), answer{body: body}.text())
			case !may && w.newest() != before:
				t.Errorf("%s was refused to %s and left its mark in the audit log", r.Pattern, a.name)
			}
		}
	}
	if asked < 400 {
		t.Errorf("%d requests were made, want every route by everybody", asked)
	}
}

// TestPagesBeyondTheScope: for who is bounded to the North, what lies in the South is not
// there, on no page, and no form changes it.
func TestPagesBeyondTheScope(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish()
	root := w.as(w.person("Root", ward.Roles...))
	stand := func(id ward.DeviceID, group string) (ward.CaseID, ward.OrderID) {
		t.Helper()
		w.enrol(phone{Device: ward.Device{ID: id, Serial: "SER" + string(id), Name: "Phone of " + group, Owner: "Owner in " + group, Ownership: ward.Corporate, Group: group, Site: "Infirmary"}, supervised: true}) //nolint:contextcheck // the world's own
		cases, err := w.lost.Report(root, lost.Report{Devices: []ward.DeviceID{id}, Note: "left in a taxi"})
		w.must(err)
		o, err := w.orders.Request(root, order.Request{Kind: order.Erase, Devices: []ward.DeviceID{id}, Reason: "it is gone", Options: order.Options{PreserveDataPlan: true}})
		w.must(err)
		return cases[0].ID, o.ID
	}
	inCase, inOrder := stand("dev-in", "North")
	outCase, outOrder := stand("dev-out", "South")
	nora := w.trial("Nora", ward.Scope{Groups: []string{"North"}}, ward.Roles...)
	e, err := w.db.Fleet().Current(w.system(), "dev-out")
	w.must(err)
	commands, err := w.db.Commands().List(w.system(), e.ID, 0, 50)
	w.must(err)
	mark := w.newest()
	form := url.Values{"kind": {"lost"}, "note": {"x"}, "reason": {"x"}, "purpose": {"x"}, "device": {"dev-out"}, "devices": {"dev-out"}, "reportable": {"yes"}, "reasoning": {"x"}, "at": {"2026-01-01T10:00"}, "message": {"x"}, "confirm": {"yes"}}
	asked := 0
	for _, r := range w.web.Routes() {
		method, path, ok := strings.Cut(r.Pattern, " ")
		if !ok {
			continue
		}
		id := ""
		for part, one := range map[string]string{"/devices/{id}": "dev-out", "/cases/{id}": string(outCase), "/orders/{id}": string(outOrder)} {
			if strings.HasPrefix(path, part) {
				id = one
			}
		}
		if id == "" {
			continue
		}
		asked++
		at := strings.NewReplacer("{id}", id, "{part}", "pack").Replace(path)
		want := http.StatusNotFound
		if r.Needs.Whole() {
			want = http.StatusForbidden
		}
		code, to, body := nora.v.status(method, at, form)
		if code != want {
			t.Errorf("%s = %d to %q, want %d: %s", r.Pattern, code, to, want, answer{body: body}.text())
		}
		if strings.Contains(body, "South") || strings.Contains(body, "taxi") {
			t.Errorf("%s tells of what lies beyond", r.Pattern)
		}
	}
	if asked < 25 {
		t.Errorf("%d routes are about a device, a case or an order; want all of them", asked)
	}
	for _, path := range []string{"/devices", "/devices?q=South", "/cases", "/orders", "/brake", "/drills", "/lost/new?device=dev-out", "/orders/new?device=dev-out", "/orders/new?kind=erase&device=dev-out&case=" + string(outCase)} {
		code, _, body := nora.v.status(http.MethodGet, path, nil)
		if code >= 500 || strings.Contains(body, "Owner in South") || strings.Contains(body, "Phone of South") || strings.Contains(body, "SERdev-out") {
			t.Errorf("GET %s = %d and tells of the South", path, code)
		}
	}
	for _, path := range []string{"/lost/new", "/orders/new"} {
		code, to, body := nora.v.status(http.MethodPost, path, form)
		if code == http.StatusSeeOther || strings.Contains(body, "Phone of South") {
			t.Errorf("POST %s about the South = %d to %q", path, code, to)
		}
	}
	if got := w.newest(); got != mark {
		t.Errorf("the audit log went on from %d to %d", mark, got)
	}
	after, err := w.db.Commands().List(w.system(), e.ID, 0, 50)
	w.must(err)
	if diff := cmp.Diff(commands, after); diff != "" {
		t.Errorf("commands of the South mismatch (-before +after):\n%s", diff)
	}
	for _, path := range []string{"/devices/dev-in", "/cases/" + string(inCase), "/orders/" + string(inOrder)} {
		nora.v.get(path).want(t, 200, "North")
	}
	nora.v.get("/devices").want(t, 200, fmt.Sprintf("Phone of %s", "North"), "!South")
}
