package api_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/order"
)

// two is a world with two sites, in each of which stand a phone, its case, an order to erase
// it, an invitation and a command, and with somebody who holds every role in the North alone.
type two struct {
	*world
	root, north string // tokens
	in, out     things
}

type things struct {
	device     string
	serial     string
	theCase    ward.CaseID
	order      ward.OrderID
	invitation string
	command    string
}

func newTwo(t *testing.T) *two {
	t.Helper()
	w := &two{world: newWorld(t)}
	_, w.root = w.person("Root", ward.Roles...)
	p, token := w.person("Nora", ward.Roles...)
	w.north = token
	w.ok(200, w.root, put, "/people/"+string(p.ID)+"/scope", api.Scope{Sites: []string{"North"}}, nil)
	w.in, w.out = w.stand("dev_in", "North"), w.stand("dev_out", "South")
	return w
}

func (w *two) stand(id ward.DeviceID, site string) things {
	w.t.Helper()
	w.device(ward.Device{ID: id, Name: "Phone " + string(id), Platform: ward.IOS, OSVersion: "18.6", Site: site, Group: "wards"})
	got := things{device: string(id), serial: "S-" + string(id)}
	var c api.Case
	w.ok(201, w.root, post, "/devices/"+string(id)+"/lost", map[string]any{"note": "left in a taxi"}, &c)
	var o api.Order
	w.ok(202, w.root, post, "/devices/"+string(id)+"/wipe", map[string]any{"reason": "it is gone"}, &o)
	var i api.Invitation
	w.ok(201, w.root, post, "/invitations", map[string]any{"name": "Sam of " + site, "ownership": "corporate", "site": site}, &i)
	var l api.List[api.Command]
	w.ok(200, w.root, get, "/devices/"+string(id)+"/commands", nil, &l)
	if len(l.Items) == 0 {
		w.t.Fatalf("no command for %s", id)
	}
	got.theCase, got.order, got.invitation, got.command = c.ID, o.ID, i.ID, l.Items[0].UUID
	return got
}

// elsewhere keeps a device that never enrolled.
func (w *two) elsewhere(d ward.Device) {
	w.t.Helper()
	d.Ownership, d.State, d.Created = ward.Corporate, ward.Invited, start
	w.must(w.db.Fleet().InsertDevice(w.t.Context(), d))
}

// address puts a thing into the path of an operation; ok is false if that is about none.
func (g things) address(path string) (at string, ok bool) {
	at = strings.TrimPrefix(path, api.Prefix)
	for part, id := range map[string]string{"/devices/{id}": g.device, "/cases/{id}": string(g.theCase), "/orders/{id}": string(g.order), "/invitations/{id}": g.invitation} {
		if strings.HasPrefix(at, part) {
			return strings.NewReplacer("{id}", url.PathEscape(id), "{uuid}", g.command).Replace(at), true
		}
	}
	return at, false
}

// bodies are what operations about one thing are asked with, as far as they need a body.
var bodies = map[string]any{
	"decide":       map[string]any{"reportable": true, "reasoning": "it was unlocked", "reference": "x"},
	"set-aware":    map[string]any{"at": start, "reason": "the night report"},
	"locate":       map[string]any{"purpose": "to find it"},
	"refuse-order": map[string]any{"reason": "no"},
	"cancel-order": map[string]any{"reason": "no"},
	"break-glass":  map[string]any{"hash": strings.Repeat("0", 64), "signature": strings.Repeat("A", 88)},
	"close-case":   map[string]any{"note": "over"},
	"move-device":  map[string]any{"group": "wards"},
	"wipe":         map[string]any{"reason": "it is gone"},
	"wipe-device":  map[string]any{"reason": "it is gone"},
}

// TestNothingBeyondTheScope: for who is bounded to the North, everything of the South is not
// there, whatever the operation; and asking for it changes nothing.
func TestNothingBeyondTheScope(t *testing.T) {
	t.Parallel()
	w := newTwo(t)
	_, paths := w.document()
	mark, asked := w.entries(), 0
	var before, after api.List[api.Command]
	w.ok(200, w.root, get, "/devices/dev_out/commands", nil, &before)
	for path, methods := range paths {
		for method, op := range methods {
			at, ok := w.out.address(path)
			if !ok {
				continue
			}
			asked++
			want := 404
			if op.Permission.Whole() {
				want = 403
			}
			if op.ID == "see-location" {
				at += "?purpose=to+find+it"
			}
			out := w.do(w.north, strings.ToUpper(method), at, bodies[op.ID])
			if out.Code != want {
				t.Errorf("%s %s (%s) = %d, want %d\n%s", method, at, op.ID, out.Code, want, out.Body)
			}
			if s := out.Body.String(); strings.Contains(s, "Phone dev_out") || strings.Contains(s, "taxi") || strings.Contains(s, "South") {
				t.Errorf("%s %s tells of what lies beyond: %s", method, at, s)
			}
		}
	}
	if asked < 35 {
		t.Errorf("%d operations are about a device, a case, an order or an invitation; want all of them", asked)
	}
	if got := w.entries(); got != mark {
		t.Errorf("the audit log went on from %d to %d", mark, got)
	}
	w.ok(200, w.root, get, "/devices/dev_out/commands", nil, &after)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("commands of the South mismatch (-before +after):\n%s", diff)
	}
}

// TestWithinTheScope: the same person has everything of the North.
func TestWithinTheScope(t *testing.T) {
	t.Parallel()
	w := newTwo(t)
	_, paths := w.document()
	for path, methods := range paths {
		at, ok := w.in.address(path)
		op, reads := methods["get"]
		if !ok || !reads || op.Permission.Whole() || strings.HasSuffix(at, "/pin") || strings.HasSuffix(at, "/location") || strings.HasSuffix(at, "/policy") {
			continue
		}
		if out := w.do(w.north, get, at, nil); out.Code != 200 {
			t.Errorf("GET %s = %d, want 200\n%s", at, out.Code, out.Body)
		}
	}
	w.ok(204, w.north, post, "/devices/dev_in/refresh", nil, nil)
	var c api.Case
	w.ok(200, w.north, post, "/devices/dev_in/found", nil, &c)
	var o api.Order
	if w.ok(200, w.root, get, "/orders/"+string(w.in.order), nil, &o); o.State != order.Cancelled {
		t.Errorf("the order for what was found is %s, want it cancelled", o.State)
	}
}

// TestListsOfTheScope: lists hold what lies within and nothing else, page by page.
func TestListsOfTheScope(t *testing.T) {
	t.Parallel()
	w := newTwo(t)
	for _, path := range []string{"/devices", "/cases", "/orders", "/invitations", "/devices?limit=1", "/cases?limit=1", "/orders?limit=1", "/invitations?limit=1", "/cases?device=dev_in", "/orders?device=dev_in"} {
		body := w.ok(200, w.north, get, path, nil, nil)
		for _, s := range []string{"dev_out", "South", "S-dev_out", string(w.out.theCase), string(w.out.order), w.out.invitation} {
			if strings.Contains(body, s) {
				t.Errorf("GET %s tells of %s", path, s)
			}
		}
		if !strings.Contains(body, `"id":`) {
			t.Errorf("GET %s tells nothing of the North: %s", path, body)
		}
	}
	for _, path := range []string{"/policy/drift?device=dev_out", "/orders?device=dev_out", "/cases?device=dev_out"} {
		out := w.do(w.north, get, path, nil)
		if out.Code == 200 && strings.Contains(out.Body.String(), `"id":`) || out.Code != 200 && out.Code != 404 {
			t.Errorf("GET %s = %d %s, want nothing of it", path, out.Code, out.Body)
		}
	}
}

// TestDeedsBeyondTheScope: nothing is done to several devices if one of them lies beyond, and
// nobody is invited or moved there.
func TestDeedsBeyondTheScope(t *testing.T) {
	t.Parallel()
	w := newTwo(t)
	w.device(ward.Device{ID: "dev_two", Name: "Second", Platform: ward.IOS, OSVersion: "18.6", Site: "North", Group: "wards"})
	w.elsewhere(ward.Device{ID: "dev_7", Name: "Phone dev_out 7", Serial: "F2LX1380Q7", Platform: ward.IOS, Site: "South"})
	mark := w.entries()
	for _, tt := range []struct {
		name, method, path string
		body               any
		want               int
	}{
		{"an order for one within and one beyond", post, "/orders", map[string]any{"kind": "erase", "devices": []string{"dev_two", "dev_out"}, "reason": "x"}, 404},
		{"an order about the case of another site", post, "/orders", map[string]any{"kind": "erase", "devices": []string{"dev_two"}, "case": w.out.theCase, "reason": "x"}, 404},
		{"a report of one within and one beyond", post, "/cases", map[string]any{"devices": []string{"dev_two", "dev_out"}}, 404},
		{"an invitation into another site", post, "/invitations", map[string]any{"name": "Sam", "ownership": "corporate", "site": "South"}, 403},
		{"an invitation for a device of another site", post, "/invitations", map[string]any{"name": "Sam", "ownership": "corporate", "device": "dev_out"}, 404},
		{"an invitation for a serial number of another site", post, "/invitations", map[string]any{"name": "Sam", "ownership": "corporate", "serial": "f2lx1380q7"}, 409},
		{"an invitation into no site, by a table", post, "/invitations/csv", "name,ownership,site\nSam,corporate,South\n", 403},
		{"moving a device away", put, "/devices/dev_in/group", map[string]any{"site": "South"}, 403},
		{"moving a device to no site", put, "/devices/dev_in/group", map[string]any{"site": ""}, 403},
		{"publishing a policy", put, "/policy", "x", 403},
		{"cancelling every order", post, "/orders/cancel-all", map[string]any{"reason": "x"}, 403},
		{"the people", get, "/people", nil, 403},
		{"the audit log", get, "/audit", nil, 403},
		{"the backup", get, "/backup", nil, 403},
		{"a raw command", put, "/enqueue/udid-dev_out", "<plist/>", 403},
	} {
		out := w.do(w.north, tt.method, tt.path, tt.body)
		if out.Code != tt.want || strings.Contains(out.Body.String(), "Phone dev_out") || strings.Contains(out.Body.String(), "taxi") {
			t.Errorf("%s: %d, want %d and nothing of what lies beyond\n%s", tt.name, out.Code, tt.want, out.Body)
		}
	}
	if got := w.entries(); got != mark {
		t.Errorf("the audit log went on from %d to %d", mark, got)
	}
	var i api.Invitation
	if w.ok(201, w.north, post, "/invitations", map[string]any{"name": "Sam", "ownership": "corporate"}, &i); i.Site != "North" {
		t.Errorf("an invitation of somebody in the North leads to %q", i.Site)
	}
}

// TestWholePermissions: who is bounded holds none of the permissions about the whole
// organisation, and is told so.
func TestWholePermissions(t *testing.T) {
	t.Parallel()
	w := newTwo(t)
	var me api.Me
	w.ok(200, w.north, get, "/me", nil, &me)
	if me.Person.Scope == nil || !slices.Equal(me.Person.Scope.Sites, []string{"North"}) {
		t.Errorf("me = %+v, want the bounds", me.Person)
	}
	for _, p := range access.Permissions() {
		if slices.Contains(me.Permissions, p) && p.Whole() {
			t.Errorf("somebody in the North holds %s", p)
		}
		if !slices.Contains(me.Permissions, p) && !p.Whole() && p != access.OrderApprove {
			t.Errorf("somebody in the North who holds every role does not hold %s", p)
		}
	}
	p := w.problem(403, w.north, get, "/people", nil)
	if want := "that is about the whole organisation, and your account is bounded to the site North"; !strings.Contains(p.Detail, want) {
		t.Errorf("detail = %q, want %q", p.Detail, want)
	}
}
