package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/approver/approvertest"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/order"
)

// administrator is somebody with every role whose session and token a thief has.
type administrator struct {
	*robbery
	person  ward.PersonID
	token   string
	pages   *http.Client
	passkey *approvertest.Passkey // of the thief
	said    map[string]int        // how requests were answered, by route and status
}

// newAdministrator adds the account to a world with a mixed fleet.
func newAdministrator(t testing.TB, url string, n int) *administrator {
	t.Helper()
	w := start(t, url, brisk)
	r := &robbery{world: w, t: t, by: w.approvers(t, 3)}
	r.herd = w.herd(t, n, func(i int, o *virtual.Options) (ward.Ownership, ward.Platform) {
		switch {
		case i%10 == 3:
			o.Model, o.OSVersion, o.Supervised = "Mac16,1", "26.1", true
			return ward.Corporate, ward.MacOS
		case i%4 == 0:
			return ward.Personal, ward.IOS
		}
		o.Supervised = i%2 == 0
		return ward.Corporate, ward.IOS
	})
	a := &administrator{robbery: r, said: map[string]int{}}
	console := ward.WithActor(context.WithoutCancel(t.Context()), ward.Actor{Name: "console", Via: ward.ViaConsole})
	p, err := w.Access.CreatePerson(console, access.NewPerson{Name: "Mallory Grey", Email: "mallory@hospital.example", Roles: ward.Roles})
	if err != nil {
		t.Fatal(err)
	}
	a.person = p.ID
	if _, a.token, err = w.Access.CreateToken(console, access.NewToken{Person: p.ID, Name: "stolen"}); err != nil {
		t.Fatal(err)
	}
	if a.passkey, err = approvertest.New(w.Approvers.RPID, w.Approvers.Origin); err != nil {
		t.Fatal(err)
	}
	link, err := w.Access.CreateLink(console, p.ID, access.LinkSignIn, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	a.pages = a.signsIn(link)
	return a
}

// signsIn redeems a one-time link in a browser of its own.
func (a *administrator) signsIn(secret string) *http.Client {
	a.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &http.Client{Transport: a.people.Transport, Jar: jar, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if status, body := a.posts(c, "/signin/"+secret, nil); status != http.StatusSeeOther {
		a.t.Fatalf("the link was answered %d %s", status, body)
	}
	return c
}

// posts sends a form to a page.
func (a *administrator) posts(c *http.Client, path string, form url.Values) (int, []byte) {
	a.t.Helper()
	return a.asks(c, http.MethodPost, path, "application/x-www-form-urlencoded", []byte(form.Encode()))
}

func (a *administrator) asks(c *http.Client, method, path, mime string, body []byte) (int, []byte) {
	a.t.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(a.t.Context()), method, a.URL()+path, bytes.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Content-Type", mime)
	if c == a.people {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	res, err := c.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err = firstOf(err, res.Body.Close()); err != nil {
		a.t.Fatal(err)
	}
	if res.StatusCode >= 500 {
		a.t.Errorf("%s %s was answered %d %s", method, path, res.StatusCode, b)
	}
	return res.StatusCode, b
}

// pageDeeds are the routes of the pages by which anything is done, as the part that serves them
// writes them down.
func pageDeeds(t testing.TB) (deeds []string) {
	t.Helper()
	for _, m := range scan(t, `"POST (/[^"]*)"`) {
		if m != "/signout" {
			deeds = append(deeds, m)
		}
	}
	if len(deeds) < 30 {
		t.Fatalf("only %d deeds were found: %v", len(deeds), deeds)
	}
	return deeds
}

// pageFields are the names of all fields that a page reads.
func pageFields(t testing.TB) []string {
	t.Helper()
	return scan(t, `(?:field\(r, |PostFormValue\(|FormFile\(|PostForm\[)"([a-z_]+)"`)
}

// scan finds texts in the sources of the pages.
func scan(t testing.TB, pattern string) (found []string) {
	t.Helper()
	files, err := filepath.Glob("web/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(pattern).FindAllSubmatch(b, -1) {
			found = append(found, string(m[1]))
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// ids are what may stand in a path for what follows a word in it.
func (a *administrator) ids(word string) (ids []string) {
	a.t.Helper()
	switch word {
	case "devices":
		for _, v := range a.herd {
			ids = append(ids, string(v.id))
		}
	case "orders":
		all, err := a.Orders.List(a.ctx, order.Filter{Limit: 100})
		if err != nil {
			a.t.Fatal(err)
		}
		for _, o := range all {
			ids = append(ids, string(o.ID))
		}
	case "cases":
		all, err := a.Lost.List(a.ctx, lost.Filter{Limit: 100})
		if err != nil {
			a.t.Fatal(err)
		}
		for _, c := range all {
			ids = append(ids, string(c.ID))
		}
	case "approvers":
		for _, p := range a.by {
			ids = append(ids, p.ID)
		}
	case "people":
		for _, p := range a.by {
			ids = append(ids, string(p.Person))
		}
		ids = append(ids, string(a.person))
	default:
		ids = []string{"1"}
	}
	return ids
}

// erasable are the devices that two people might order an erase of.
func (a *administrator) erasable() (ids []string) {
	for i, v := range a.herd {
		if i%4 != 0 && i%10 != 3 {
			ids = append(ids, string(v.id))
		}
	}
	return ids
}

// paths puts what there is into a route with one place for it.
func (a *administrator) paths(route string) (out []string) {
	a.t.Helper()
	before, rest, open := strings.Cut(route, "{")
	if !open {
		return []string{route}
	}
	_, after, _ := strings.Cut(rest, "}")
	words := strings.Split(strings.Trim(before, "/"), "/")
	for _, id := range a.ids(words[len(words)-1]) {
		out = append(out, a.paths(before+id+after)...)
	}
	return out
}

// form fills every field that any page has in a way that asks for a destructive deed to all
// devices.
func (a *administrator) form(fields []string, kind order.Kind, path string) url.Values {
	v := url.Values{}
	for _, f := range fields {
		v.Set(f, "yes")
	}
	v.Set("kind", string(kind))
	v.Set("note", "theft")
	v.Set("step", "ask")
	for _, f := range []string{"drill", "planned", "return", "case", "brake", "start", "per_hour", "hours", "obliteration", "when", "at", "wifi_kept", "next"} {
		v.Del(f)
	}
	v.Set("devices", strings.Join(a.ids("devices"), "\n"))
	v["device"] = a.ids("devices")
	v.Set("passphrase", "correct horse battery staple")
	v.Set("again", "correct horse battery staple")
	if _, rest, ok := strings.Cut(path, "/orders/"); ok {
		id, _, _ := strings.Cut(rest, "/")
		if o, err := a.Orders.Order(a.ctx, ward.OrderID(id)); err == nil {
			v.Set("hash", o.Hash)
			v.Set("response", string(a.passkey.SignChallenge([]byte(o.Hash))))
		}
	}
	return v
}

// byPages does all that the pages let be done.
func (a *administrator) byPages(c *http.Client) {
	a.t.Helper()
	fields := pageFields(a.t)
	deeds := pageDeeds(a.t)
	slices.SortStableFunc(deeds, func(x, y string) int { return strings.Count(x, "{") - strings.Count(y, "{") }) // what makes orders first
	for _, route := range deeds {
		kinds := []order.Kind{order.Erase}
		if route == "/orders/new" {
			kinds = order.Kinds
		}
		for _, path := range a.paths(route) {
			for _, k := range kinds {
				status, _ := a.posts(c, path, a.form(fields, k, path))
				a.said[fmt.Sprintf("POST %s %d", route, status)]++
			}
		}
	}
	for chunk := range slices.Chunk(a.erasable(), a.config.Orders.MaxDevices) { // as many as one order takes
		for _, k := range order.Kinds[:4] {
			f := a.form(fields, k, "/orders/new")
			f.Set("devices", strings.Join(chunk, "\n"))
			status, _ := a.posts(c, "/orders/new", f)
			a.said[fmt.Sprintf("POST /orders/new %d", status)]++
		}
	}
	for _, deed := range []string{"sign", "approve"} {
		for _, path := range a.paths("/orders/{id}/" + deed) {
			status, _ := a.posts(c, path, a.form(fields, order.Erase, path))
			a.said[fmt.Sprintf("POST /orders/{id}/%s %d", deed, status)]++
		}
	}
}

// asApprovers signs in as the approvers, by links that an administrator may make, and signs
// with a passkey that is the thief's own.
func (a *administrator) asApprovers() {
	a.t.Helper()
	for _, p := range a.by[:2] {
		// One who has signed in before has no more links made by others; one who never has does.
		status, body := a.asks(a.people, http.MethodPost, "/api/v1/people/"+string(p.Person)+"/link", "application/json", []byte(`{"kind":"setup"}`))
		a.said[fmt.Sprintf("a link for an approver %d", status)]++
		m := regexp.MustCompile(`https://[^"]*/([^"/]+)"`).FindSubmatch(body)
		if m == nil {
			a.t.Fatalf("the link of an approver who never signed in was answered %d %s", status, body)
		}
		c := a.signsIn(string(m[1]))
		for _, id := range a.ids("orders") {
			status, page := a.posts(c, "/orders/"+id+"/sign", nil)
			a.said[fmt.Sprintf("POST /orders/{id}/sign as an approver %d", status)]++
			m := regexp.MustCompile(`challenge&#34;:&#34;([^&]+)&#34;`).FindSubmatch(page)
			if m == nil {
				continue
			}
			var challenge base64URL
			if err := challenge.UnmarshalText(m[1]); err != nil {
				a.t.Fatal(err)
			}
			o, err := a.Orders.Order(a.ctx, ward.OrderID(id))
			if err != nil {
				a.t.Fatal(err)
			}
			status, page = a.posts(c, "/orders/"+id+"/approve", url.Values{"hash": {o.Hash}, "response": {string(a.passkey.SignChallenge(challenge))}})
			a.said[fmt.Sprintf("POST /orders/{id}/approve as an approver %d", status)]++
			if bytes.Contains(page, []byte("You have signed it")) {
				a.t.Errorf("the order %s was signed by the thief's passkey", id)
			}
		}
	}
}

// last are the operations that end what the thief needs, or that keep devices away: they come
// when the others were tried.
var last = []string{"disable-person", "revoke-token", "revoke-certificate", "cancel-all", "import-apns", "enqueue"}

// byAPI does all that the API lets be done: every operation of its description that is in
// late or, for false, is not.
func (a *administrator) byAPI(late bool) {
	a.t.Helper()
	_, text := a.asks(a.people, http.MethodGet, "/api/openapi.json", "", nil)
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
			RequestBody struct {
				Content map[string]struct {
					Schema schema `json:"schema"`
				} `json:"content"`
			} `json:"requestBody"`
		} `json:"paths"`
		Components struct {
			Schemas map[string]schema `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(text, &doc); err != nil || len(doc.Paths) < 40 {
		a.t.Fatalf("the description of the API has %d paths, %v", len(doc.Paths), err)
	}
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		for method, op := range doc.Paths[path] {
			if slices.Contains(last, op.OperationID) != late {
				continue
			}
			places := a.paths(path)
			if method == "get" && len(places) > 1 {
				places = places[:1] // what reads one reads the others
			}
			for _, at := range places {
				bodies := [][]byte{nil}
				if s, ok := op.RequestBody.Content["application/json"]; ok {
					bodies = a.bodies(s.Schema, doc.Components.Schemas, at)
				}
				for _, b := range bodies {
					status, _ := a.asks(a.people, strings.ToUpper(method), at, "application/json", b)
					a.said[fmt.Sprintf("%s %d", op.OperationID, status)]++
				}
			}
		}
	}
}

// schema is as much of a JSON schema as tells what to write.
type schema struct {
	Ref        string            `json:"$ref"`
	Type       any               `json:"type"`
	Format     string            `json:"format"`
	Encoding   string            `json:"contentEncoding"`
	Enum       []any             `json:"enum"`
	Items      *schema           `json:"items"`
	Required   []string          `json:"required"`
	Properties map[string]schema `json:"properties"`
}

// bodies writes what a schema asks for: for every kind that there is, and for all devices at
// once and as many as an order takes.
func (a *administrator) bodies(s schema, all map[string]schema, at string) (out [][]byte) {
	a.t.Helper()
	if s.Ref != "" {
		s = all[s.Ref[strings.LastIndex(s.Ref, "/")+1:]]
	}
	kinds, sets := []any{nil}, [][]string{nil}
	if k, ok := s.Properties["kind"]; ok && len(k.Enum) > 0 {
		kinds = k.Enum
	}
	if _, ok := s.Properties["devices"]; ok {
		sets = append(slices.Collect(slices.Chunk(a.erasable(), a.config.Orders.MaxDevices)), a.ids("devices"))
	}
	for _, k := range kinds {
		for _, set := range sets {
			body := map[string]any{}
			for name, p := range s.Properties {
				if slices.Contains(s.Required, name) {
					body[name] = p.value(all)
				}
				if v, ok := a.words(at)[name]; ok {
					body[name] = v
				}
			}
			if k != nil {
				body["kind"] = k
			}
			if set != nil {
				body["devices"] = set
			}
			b, err := json.Marshal(body)
			if err != nil {
				a.t.Fatal(err)
			}
			out = append(out, b)
		}
	}
	return out
}

// words are what some fields hold.
func (a *administrator) words(path string) map[string]any {
	w := map[string]any{
		"person": a.person, "subject": "mallory@hospital.example", "roles": ward.Roles, "ownership": "corporate", "group": "theft", "signature": make([]byte, 64),
		"text": "name: Theft\nposture: {passcode: {minimum_length: 4}}\n", "replace": true,
	}
	if _, rest, ok := strings.Cut(path, "/orders/"); ok {
		id, _, _ := strings.Cut(rest, "/")
		if o, err := a.Orders.Order(a.ctx, ward.OrderID(id)); err == nil {
			w["hash"] = o.Hash
		}
	}
	return w
}

func (s schema) value(all map[string]schema) any {
	if s.Ref != "" {
		return all[s.Ref[strings.LastIndex(s.Ref, "/")+1:]].value(all)
	}
	if len(s.Enum) > 0 {
		return s.Enum[0]
	}
	kind, _ := s.Type.(string)
	switch kind {
	case "array":
		return []any{s.Items.value(all)}
	case "boolean":
		return true
	case "integer", "number":
		return 1
	case "object":
		out := map[string]any{}
		for name, p := range s.Properties {
			if slices.Contains(s.Required, name) {
				out[name] = p.value(all)
			}
		}
		return out
	}
	switch {
	case s.Format == "date-time":
		return "2026-01-01T00:00:00Z"
	case s.Encoding == "base64":
		return "AAAA"
	}
	return "theft"
}

// raw queues every destructive command for all devices, as a script would.
func (a *administrator) raw() {
	a.t.Helper()
	var channels []string
	for _, v := range a.herd {
		channels = append(channels, v.UDID())
	}
	for i, kind := range []string{"EraseDevice", "ClearPasscode", "RemoveProfile", "DeviceLock", "ClearRestrictionsPassword", "SetRecoveryLock", "InstallProfile"} {
		for _, to := range []string{strings.Join(channels, ","), channels[0]} {
			status, _ := a.asks(a.people, http.MethodPut, "/api/v1/enqueue/"+to, "application/xml", naked(a.t, fmt.Sprintf("RAW-%d", i), kind))
			a.said[fmt.Sprintf("enqueue %s %d", kind, status)]++
		}
	}
}

// drained has every phone ask for all that waits for it, and fails the test if one could not.
func (a *administrator) drained(what string) {
	a.t.Helper()
	for range 2 {
		if _, err := a.Orders.Advance(a.ctx); err != nil {
			a.t.Fatal(err)
		}
		a.all()
	}
	var erased, cleared, removed int
	for i, v := range a.herd {
		for _, d := range v.Destructive() {
			switch d.RequestType {
			case "EraseDevice":
				erased++
			case "ClearPasscode":
				cleared++
			case "RemoveProfile":
				if removed++; i%4 != 0 || i%10 == 3 {
					a.t.Errorf("%s: %s, a device of the organisation, was let go", what, v.Serial())
				}
			}
		}
		open, err := a.queue.Open(a.ctx, v.e.ID)
		if err != nil {
			a.t.Fatal(err)
		}
		for _, c := range open {
			if c.Order != "" || c.RequestType == "EraseDevice" {
				a.t.Errorf("%s: %s waits for %s", what, c.RequestType, v.Serial())
			}
		}
	}
	a.t.Logf("%s: of %d devices %d erased, %d passcodes cleared, %d let go", what, len(a.herd), erased, cleared, removed)
	if erased+cleared > 0 {
		a.t.Errorf("%s: %d devices were erased, %d passcodes cleared", what, erased, cleared)
	}
	if most := a.config.Brake.PerPerson; removed > most { // one person's reports of personal phones
		a.t.Errorf("%s: %d phones were let go, want %d at most", what, removed, most)
	}
}

// TestThiefAdministrator: whoever has the session and the token of an administrator erases
// nothing, clears no passcode and lets no device go but what one person may report lost.
func TestThiefAdministrator(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		n := fleetSize()
		if url != "" {
			n = min(n, 15) // the number matters to what decides, not to where it is kept
		}
		a := newAdministrator(t, url, n)
		for i, path := range a.paths("/api/v1/devices/{id}/wipe") {
			if status, _ := a.asks(a.people, http.MethodPost, path, "application/json", []byte(`{"reason":"theft"}`)); i < 10 {
				a.said[fmt.Sprintf("wipe %d", status)]++
			}
		}
		a.asApprovers()
		a.drained("as the approvers, without their passkeys")
		for _, path := range a.paths("/api/v1/devices/{id}/lost") {
			status, _ := a.asks(a.people, http.MethodPost, path, "application/json", []byte(`{"kind":"stolen"}`))
			a.said[fmt.Sprintf("lost %d", status)]++
		}
		a.drained("by reports")
		a.byPages(a.pages)
		a.drained("by the pages")
		a.byAPI(false)
		a.raw()
		a.drained("by the API")
		a.byAPI(true)
		a.drained("by what ends the account too")
		if n := a.entries(t, order.ActionDenied); n == 0 {
			t.Error("the audit log tells of no attempt that was denied")
		}
		var lines []string
		for what, n := range a.said {
			lines = append(lines, fmt.Sprintf("%s × %d", what, n))
		}
		slices.Sort(lines)
		t.Logf("answers:\n%s", strings.Join(lines, "\n"))
		for _, deed := range []string{"POST /orders/new 303", "wipe 202", "POST /orders/{id}/sign as an approver 200", "POST /orders/{id}/approve as an approver 403"} {
			if a.said[deed] == 0 {
				t.Errorf("no answer was %q: what the thief tried was no try", deed)
			}
		}
	})
}
