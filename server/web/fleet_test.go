package web_test

import (
	"bufio"
	"context"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/health"
)

// doors are the links of a page that carry a number: the address and the number.
func (a answer) doors() (out [][2]string) {
	for _, tile := range regexp.MustCompile(`(?s)<(?:section class="tile|nav class="tabs).*?</(?:section|nav)>`).FindAllString(a.body, -1) {
		for _, l := range regexp.MustCompile(`(?s)<a [^>]*href="([^"]+)"[^>]*>(.*?)</a>`).FindAllStringSubmatch(tile, -1) {
			text := strings.TrimSpace(tags.ReplaceAllString(l[2], " "))
			if n := regexp.MustCompile(`([\d,]+)(?: stale)?$`).FindStringSubmatch(text); n != nil {
				out = append(out, [2]string{html.UnescapeString(l[1]), strings.ReplaceAll(n[1], ",", "")})
			}
		}
	}
	return out
}

// listed is how many a list says it has.
func (a answer) listed() string {
	if n := regexp.MustCompile(`<p>\d+ to [\d,]+ of ([\d,]+)</p>`).FindStringSubmatch(a.body); n != nil {
		return strings.ReplaceAll(n[1], ",", "")
	}
	return fmt.Sprint(strings.Count(a.body, `<th role="rowheader"`))
}

// TestEveryNumberIsADoor follows every number of the overview and of the tabs, now, in the
// past and of a part of the devices: each leads to exactly what it counts.
func TestEveryNumberIsADoor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maud := w.person("Maud Ellery", ward.RoleAdmin, ward.RoleSupport)
	w.fleet(maud)
	w.askErase(maud, "dev-05", "Sold.")
	w.operate.facts.Expiries = []health.Expiry{{Name: "com.apple.mgmt.External.1", Ends: w.now().Add(9 * 24 * time.Hour)}}
	v := w.signedIn(maud)
	day := w.now().Add(-48 * time.Hour).Format(time.DateOnly)
	for _, page := range []string{"/", "/?group=Ward+7", "/?ownership=personal&days=90", "/?as_of=" + day, "/?q=iphone&finding=blocked-app-present", "/devices", "/devices?group=Theatres&as_of=" + day} {
		a := v.get(page)
		a.want(t, 200)
		doors := a.doors()
		if len(doors) < 8 {
			t.Errorf("%s has %d numbers that lead somewhere, want at least 8", page, len(doors))
		}
		for _, d := range doors {
			list := v.get(d[0])
			if d[0] == "/health" { // what ends stands there among the rest
				if list.status != 200 || !strings.Contains(list.body, "com.apple.mgmt.External.1") {
					t.Errorf("%s: %s leads to %s, which is %d and does not tell what ends", page, d[1], d[0], list.status)
				}
				continue
			}
			if got := list.listed(); list.status != 200 || got != d[1] {
				t.Errorf("%s: %s leads to %s, which is %d with %s", page, d[1], d[0], list.status, got)
			}
		}
	}
}

func TestOverview(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maud := w.person("Maud Ellery", ward.RoleAdmin, ward.RoleSupport)
	w.fleet(maud)
	v := w.signedIn(maud)
	v.get("/").want(t, 200, "What to do next", "Compliance", "Blocked apps present", "WhatsApp 9", "Removed after 3 days, the slowest 5 % after 11 days", "Approved app ready", "Lost and pending", "The longest", "Not seen", "System below the minimum",
		"Apple push certificate: ends in 1", "Audit log verified", "12,408 entries", "as of", "stale", "30 days", "Since")
	v.get("/?days=365").want(t, 200)
	v.get("/?days=12").want(t, 400, "7, 30, 90 or 365")
	v.get("/?as_of=2020-01-01").want(t, 400, "Nothing is recorded of that time")
	v.get("/?as_of="+w.now().AddDate(0, 0, -9).Format(time.DateOnly)).want(t, 200, "As it was on", "Show it as it is now", "!wait for signatures", "!Audit log verified")
	v.get("/?as_of="+w.now().Format(time.DateOnly)).want(t, 200, "!As it was on")
	// The trend of a past day ends on that day, however long ago it was.
	long := w.now().AddDate(0, 0, -200)
	a := v.get("/?as_of=" + long.Format(time.DateOnly))
	a.want(t, 200, "Since "+long.AddDate(0, 0, -29).Format("2 Jan 2006"), "!The trends begin with")
	if strings.Contains(a.body, `href="/apps?show=present"`) {
		t.Error("of a past day the other apps are those of now")
	}
	// Only what has told before can be stale: an invited phone is unknown, and not stale.
	v.get("/devices").want(t, 200, "Unknown 3", "1 stale")
	v.get("/?q=rao").want(t, 200, "A trend is kept of all devices", "!Since 2")
	v.get("/?ownership=personal").want(t, 200, "Too few were removed in 30 days", "!Removed after")

	auditor := w.signedIn(w.person("Ada", ward.RoleAuditor))
	auditor.get("/").want(t, 200, "Compliance", "!What to do next")
	staff := w.signedIn(w.person("Sam", ward.RoleStaff))
	if a := staff.get("/"); a.status != http.StatusSeeOther || a.location == "/devices" {
		t.Errorf("a member of staff gets %d to %q, want to be led to their own page", a.status, a.location)
	}
	staff.get("/passphrase").want(t, 200, "!Devices", "Sam")
	staff.get("/devices").want(t, 403, "Go to the first page")
}

// TestScope: who is bounded to a ward sees its devices and no other, in every number.
func TestScope(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maud := w.person("Maud Ellery", ward.RoleAdmin, ward.RoleSupport)
	w.fleet(maud)
	ben := w.person("Ben", ward.RoleSupport)
	w.bound(ben.ID, ward.Scope{Groups: []string{"Ward 7"}})
	v := w.signedIn(ben)
	v.get("/devices").want(t, 200, "1 to 7 of 7", "Ward 7", "!Theatres", "!Ben Carter")
	v.get("/devices?group=Theatres").want(t, 200, "No device matches")
	v.get("/").want(t, 200, "!Theatres", "!Ben Carter")
	eve := w.person("Eve", ward.RoleSupport)
	w.bound(eve.ID, ward.Scope{Groups: []string{"Ward 70"}})
	nowhere := w.signedIn(eve)
	nowhere.get("/").want(t, 200, "No device within your bounds", "devices of Ward 70 only", "!No device yet")
	nowhere.get("/devices").want(t, 200, "No device within your bounds", "!No device yet")
	v.post("/devices/refresh", url.Values{"which": {"all"}}).to(t, "/devices")
	for _, id := range w.asked {
		d, err := w.estate.Device(t.Context(), id)
		w.must(err)
		if d.Group != "Ward 7" {
			t.Errorf("%s of %s was asked for news by one who may not see it", id, d.Group)
		}
	}
	w.asked = nil
	v.post("/devices/refresh", url.Values{"which": {"ticked"}, "device": {"dev-01", "dev-00"}}).to(t, "/devices")
	if diff := cmp.Diff([]ward.DeviceID{"dev-00"}, w.asked); diff != "" {
		t.Errorf("asked mismatch (-want +got):\n%s", diff)
	}
}

func TestRefreshMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maud := w.person("Maud Ellery", ward.RoleSupport)
	w.fleet(maud)
	v := w.signedIn(maud)
	back := "/devices?group=A%26E"
	v.post("/devices/refresh", url.Values{"which": {"all"}, "filter": {"group=A%26E"}}).to(t, back)
	v.get(back).want(t, 200, "6 devices asked for news") // one of seven was only invited
	if len(w.asked) != 6 {
		t.Errorf("asked %d devices, want those of the ward that are enrolled: 6", len(w.asked))
	}
	v.post("/devices/refresh", url.Values{"which": {"ticked"}}).want(t, 400, "Tick 1 to 100")
	v.post("/devices/refresh", url.Values{"which": {"all"}, "filter": {"state=purple"}}).want(t, 400, "purple")
	w.signedIn(w.person("Ada", ward.RoleAuditor)).post("/devices/refresh", url.Values{"which": {"all"}}).want(t, 403)
}

func TestFilterBar(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maud := w.person("Maud Ellery", ward.RoleSupport)
	w.fleet(maud)
	v := w.signedIn(maud)
	a := v.get("/devices?group=Ward+7&group=Theatres&ownership=corporate&finding=blocked-app-present&not_seen=1&q=iphone")
	a.want(t, 200, "Add to 2…", "“iphone” (remove)", "Ward 7 (remove)", "Theatres (remove)", "Corporate (remove)", "Clear all", "In Ward 7 or Theatres")
	for _, want := range []string{`<input type="hidden" name="group" value="Theatres">`, `<option value="corporate" selected>`, `href="/devices?finding=blocked-app-present&amp;group=Theatres&amp;not_seen=1&amp;ownership=corporate&amp;q=iphone"`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the filter bar lacks %s", want)
		}
	}
	v.get("/devices?q=nobody&state=lost").want(t, 200, "No device matches", "“nobody”", "Show all 28")
	v.get("/devices?state=purple").want(t, 400, "purple", "is no state")
	v.get("/devices?q="+strings.Repeat("x", 300)).want(t, 400)
	v.get("/devices?as_of="+w.now().AddDate(0, 0, -3).Format(time.DateOnly)).want(t, 200, "As it was on", "!Refresh", "!Report the ticked lost")
}

func TestSavedViews(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maud, ada := w.person("Maud Ellery", ward.RoleSupport), w.person("Ada", ward.RoleAuditor)
	w.fleet(maud)
	v, other := w.signedIn(maud), w.signedIn(ada)
	v.get("/views").want(t, 200, "No view is saved yet")
	v.get("/views?group=Ward+7").want(t, 200, "Save this filter", "in Ward 7")
	v.post("/views", url.Values{"filter": {"group=Ward+7"}, "name": {" "}}).want(t, 400, "There is a problem", "Give the view a name")
	v.post("/views", url.Values{"filter": {"group=Ward+7"}, "name": {"My ward"}}).to(t, "/devices?group=Ward+7")
	v.post("/views", url.Values{"filter": {"state=lost"}, "name": {"Lost ones"}, "shared": {"yes"}}).to(t, "/devices?state=lost")
	v.get("/devices?group=Ward+7").want(t, 200, "The view “Lost ones” is saved", "My ward", "Lost ones shared")
	v.post("/views", url.Values{"filter": {"state=lost"}, "name": {"LOST ones"}}).want(t, 409, "There is a view")
	v.post("/views", url.Values{"name": {"Nothing"}}).want(t, 400, "Choose a filter")
	other.get("/devices").want(t, 200, "Lost ones shared", "!My ward", "!Save this filter")
	other.post("/views", url.Values{"filter": {"state=lost"}, "name": {"x"}}).want(t, 403)
	id := regexp.MustCompile(`/views/([^/]+)/remove"><button[^>]*>Remove<span class="unseen"> My ward`).FindStringSubmatch(v.get("/views").body)
	if id == nil {
		t.Fatal("one's own view can't be removed")
	}
	stranger := w.signedIn(w.person("Eve", ward.RoleSupport))
	stranger.post("/views/"+id[1]+"/remove", nil).want(t, 404)
	v.post("/views/"+id[1]+"/remove", nil).to(t, "/views")
	v.get("/views").want(t, 200, "Lost ones", "!My ward in", "The view “My ward” is removed")
}

// TestEvents follows what changes, as an open page does.
func TestEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maud := w.person("Maud Ellery", ward.RoleSupport)
	w.enrol(phone{Device: ward.Device{ID: "dev-1", Ownership: ward.Corporate}})
	v := w.signedIn(maud)
	w.must(w.estate.Follow(w.system()))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	open := func() *http.Response {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/events", nil)
		w.must(err)
		res, err := v.Do(r)
		w.must(err)
		t.Cleanup(func() { res.Body.Close() })
		return res
	}
	res := open()
	if kind := res.Header.Get("Content-Type"); res.StatusCode != 200 || kind != "text/event-stream" {
		t.Fatalf("events = %d, %s", res.StatusCode, kind)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			if strings.HasPrefix(s.Text(), "event:") {
				lines <- s.Text()
				return
			}
		}
	}()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i, heard := 0, false; !heard; i++ {
		select {
		case line := <-lines:
			if heard = true; line != "event: changed" {
				t.Errorf("heard %q, want that something changed", line)
			}
		case <-tick.C:
			w.add(ward.Device{ID: ward.DeviceID(fmt.Sprintf("new-%d", i)), Ownership: ward.Corporate})
			w.must(w.estate.Follow(w.system()))
		case <-ctx.Done():
			t.Fatal("nothing was heard of a change")
		}
	}
	for range 7 {
		open()
	}
	v.get("/events").want(t, 503, "Too many pages")
	w.visitor().get("/events").to(t, "/signin?next=%2Fevents")
	w.signedIn(w.person("Sam", ward.RoleStaff)).get("/events").want(t, 403)
}
