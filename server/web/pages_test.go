package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/lost"
)

func (w *world) report(by access.Person, id ward.DeviceID) lost.Case {
	w.t.Helper()
	cs, err := w.lost.Report(w.as(by), lost.Report{Devices: []ward.DeviceID{id}, Kind: lost.Stolen, LastSeenWhere: "Bus 72, upper deck", WasUnlocked: lost.No, Note: "Taken from a bag."})
	w.must(err)
	return cs[0]
}

func TestSetUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	secret, err := w.access.EnsureFirstAdministrator(t.Context())
	w.must(err)
	v := w.visitor()
	v.get("/devices?q=asha").to(t, "/signin?next=%2Fdevices%3Fq%3Dasha")
	v.get("/").to(t, "/signin")

	for range 2 { // whoever previews the link burns nothing
		v.get("/setup/"+secret).want(t, 200, "Set up my account")
	}
	v.post("/setup/"+secret, nil).to(t, "/passphrase")
	v.get("/passphrase").want(t, 200, "Choose a passphrase", "Your name", "!passphrase you have now")
	v.post("/passphrase", url.Values{"passphrase": {"short"}, "again": {"short"}}).want(t, 400, "There is a problem", "at least 12 characters")
	v.post("/passphrase", url.Values{"passphrase": {passphrase}, "again": {"another"}}).want(t, 400, "are not the same")
	v.post("/passphrase", url.Values{"passphrase": {passphrase}, "again": {passphrase}}).to(t, "/")
	v.get("/devices").want(t, 200, "Your passphrase is set", "No device yet", "ward invite")

	other := w.visitor()
	other.post("/setup/"+secret, nil).want(t, 401, "This link does not work")
	other.post("/signin", url.Values{"name": {"administrator"}, "passphrase": {"wrong wrong wrong"}, "next": {"/orders"}}).want(t, 401, "The name or the passphrase is wrong")
	other.post("/signin", url.Values{"name": {"administrator"}, "passphrase": {passphrase}, "next": {"/orders?state=issued"}}).to(t, "/orders?state=issued")
	other.get("/passphrase").want(t, 200, "The passphrase you have now")
	other.post("/passphrase", url.Values{"current": {"not this one at all"}, "passphrase": {passphrase + "!"}, "again": {passphrase + "!"}}).want(t, 400, "is not this one")
	other.post("/signout", nil).to(t, "/signin")
	other.get("/devices").to(t, "/signin?next=%2Fdevices")
}

func TestSessionEndsWithThePerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("Maud Ellery", ward.RoleSupport)
	v := w.signedIn(p)
	v.get("/devices").want(t, 200, "Maud Ellery")
	w.must(w.access.DisablePerson(w.system(), p.ID))
	v.get("/devices").to(t, "/signin?next=%2Fdevices")
}

func TestSessionToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("Maud Ellery", ward.RoleSupport)
	v := w.visitor()
	secret, err := w.access.CreateLink(w.system(), p.ID, access.LinkSignIn, time.Hour)
	w.must(err)
	a := v.post("/signin/"+secret, nil)
	first := a.header.Get("Set-Cookie")
	for _, want := range []string{"ward=", "HttpOnly", "SameSite=Lax", "Path=/"} {
		if !strings.Contains(first, want) {
			t.Errorf("cookie = %q, want %s in it", first, want)
		}
	}
	token := func(c string) string { return strings.Split(c, ";")[0] }
	a = v.post("/passphrase", url.Values{"passphrase": {passphrase + "?"}, "again": {passphrase + "?"}})
	if second := a.header.Get("Set-Cookie"); token(second) == token(first) || !strings.HasPrefix(second, "ward=") {
		t.Errorf("the session kept its token after the passphrase was set: %q then %q", token(first), token(second))
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/devices", nil)
	w.must(err)
	r.Header.Set("Cookie", token(first))
	(&visitor{w.browser(), w}).do(r).to(t, "/signin?next=%2Fdevices")
}

func TestNextIsLocal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("Maud Ellery", ward.RoleSupport)
	for next, want := range map[string]string{
		"/orders": "/orders", "/devices?q=a%20b": "/devices?q=a%20b", "": "/", "https://evil.example/": "/", "//evil.example/": "/",
		"/\\evil.example": "/", "javascript:alert(1)": "/", "/\t/evil.example": "/", "devices": "/",
	} {
		w.visitor().post("/signin", url.Values{"name": {p.Name}, "passphrase": {passphrase}, "next": {next}}).to(t, want)
	}
}

func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.signedIn(w.person("Maud Ellery", ward.RoleSupport))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/signout", nil)
	w.must(err)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Origin", "https://evil.example")
	v.do(r).want(t, 403, "another site", "Reference")
	v.get("/devices").want(t, 200)
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.visitor()
	page := v.get("/signin")
	want := map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
		"X-Content-Type-Options":  "nosniff", "Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "Content-Type": "text/html; charset=utf-8",
	}
	got := map[string]string{}
	for k := range want {
		got[k] = page.header.Get(k)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers mismatch (-want +got):\n%s", diff)
	}
	if c := page.header.Values("Cache-Control"); len(c) == 0 || c[0] != "no-store" {
		t.Errorf("Cache-Control = %q, want no-store", c)
	}
	for _, found := range regexp.MustCompile(`(?:href|src)="(/static/[^"]+)"`).FindAllStringSubmatch(page.body, -1) {
		a := v.get(found[1])
		if a.status != 200 || a.header.Get("Cache-Control") != "public, max-age=31536000, immutable" || len(a.body) < 500 {
			t.Errorf("%s = %d, %q, %d bytes", found[1], a.status, a.header.Get("Cache-Control"), len(a.body))
		}
	}
	v.get("/static/ward.css").want(t, 404)
	v.get("/nowhere").want(t, 404, "There is no page at this address", "Reference")
}

func TestDevices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("Maud Ellery", ward.RoleSupport)
	gone := w.fleet(p)
	v := w.signedIn(p)
	all := v.get("/devices")
	all.want(t, 200, "1 to 28 of 28", "Reported stolen", "Has WhatsApp, which the policy blocks", "It has no passcode", "Not seen since", "Invited, not enrolled yet", "Ward 7", "A&E", "as of")
	if first := regexp.MustCompile(`<th role="rowheader"[^>]*><a href="([^"]+)"`).FindStringSubmatch(all.body); first == nil || first[1] != "/devices/"+string(gone) {
		t.Errorf("the first device = %v, want the lost one", first)
	}

	v.get("/devices?q=WARD+7+rao").want(t, 200, "Asha’s iPhone", "!Ben", "1 to 1 of 1")
	v.get("/devices?q=F2LX1417Q1").want(t, 200, "Ben’s iPhone", "1 to 1 of 1")
}

func TestDevicesByPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 120 {
		w.add(ward.Device{ID: ward.DeviceID(fmt.Sprintf("d%03d", i)), Name: fmt.Sprintf("Phone %d", i), Ownership: ward.Corporate})
	}
	w.must(w.estate.Follow(w.system()))
	v := w.signedIn(w.person("Maud Ellery", ward.RoleAuditor))
	seen := map[string]bool{}
	path, pages := "/devices?state=unknown", 0
	for path != "" {
		a := v.get(path)
		a.want(t, 200)
		for _, row := range regexp.MustCompile(`rowheader"[^>]*><a href="([^"]+)"`).FindAllStringSubmatch(a.body, -1) {
			if seen[row[1]] {
				t.Errorf("%s stands on two pages", row[1])
			}
			seen[row[1]] = true
		}
		next := regexp.MustCompile(`href="([^"]+)">Next page`).FindStringSubmatch(a.body)
		if path = ""; next != nil {
			path = strings.ReplaceAll(next[1], "&amp;", "&")
		}
		pages++
	}
	if len(seen) != 120 || pages != 3 {
		t.Errorf("paging showed %d devices on %d pages, want 120 on 3", len(seen), pages)
	}
	v.get("/devices?after=no-such-device").want(t, 200, "1 to 50 of 120")
}

func TestDevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maud := w.person("Maud Ellery", ward.RoleSupport)
	w.publish()
	blocked := phone{Device: ward.Device{ID: "dev-1", Serial: "SER1", Name: "Asha’s iPhone", Owner: "Asha Rao", Ownership: ward.Corporate, Group: "Ward 7"}, apps: []string{whatsApp}}
	w.enrol(blocked)
	good := blocked
	good.Device = ward.Device{ID: "dev-2", Serial: "SER2", Name: "Ben’s iPhone", Ownership: ward.Corporate}
	good.supervised = true
	w.enrol(good)
	own := phone{Device: ward.Device{ID: "dev-3", Name: "Chloe’s own iPhone", Ownership: ward.Personal}}
	w.enrol(own)
	v := w.signedIn(maud)

	v.get("/devices/dev-1").want(t, 200, "Asha’s iPhone", "Non-compliant", "Has WhatsApp, which the policy blocks", "Ask the person to delete it", "Detected only", "only supervised iPhones block apps",
		"Blocked by the policy", "iPhone15,4", "Ward Messenger until", "Ask about the device", "Accepted by the device at", "Report lost", "Ask for an order", "Lock", "Restart", "Print a recovery code")
	v.get("/devices/dev-2").want(t, 200, "Compliant", "Nothing: everything that the policy asks for is in place", "Present, can’t be opened", "Enforced")
	v.get("/devices/dev-3").want(t, 200, "A personal phone is never erased", "!Restart")
	v.get("/devices/SER2").to(t, "/devices/dev-2")
	v.get("/devices/nothing").want(t, 404, "No device has the id")

	auditor := w.signedIn(w.person("Ada", ward.RoleApprover))
	auditor.get("/devices/dev-1").want(t, 200, "Non-compliant", "!Report lost", "!What was done", "!Ask for news")
	auditor.get("/devices/dev-1/lost").want(t, 403, "You may not report a device lost or found")
	auditor.post("/devices/dev-1/lost", url.Values{"kind": {"lost"}}).want(t, 403)
	if _, err := w.lost.OpenCase(t.Context(), "dev-1"); ward.KindOf(err) != ward.NotFound {
		t.Errorf("OpenCase = %v, want NotFound: the report was forbidden", err)
	}
}

func TestLostAndFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maud := w.person("Maud Ellery", ward.RoleSupport)
	w.publish()
	p := phone{Device: ward.Device{ID: "dev-1", Name: "Asha’s iPhone", Ownership: ward.Corporate}, supervised: true}
	e := w.enrol(p)
	v := w.signedIn(maud)

	v.get("/devices/dev-1/lost").want(t, 200, "At once", "lost mode", "Nothing is erased")
	v.post("/devices/dev-1/lost", url.Values{"kind": {"borrowed"}}).want(t, 400, "There is a problem", "lost or stolen")
	v.post("/devices/dev-1/lost", url.Values{"kind": {"stolen"}, "when": {"yesterday"}}).want(t, 400, "Give the date and the time")
	reported := v.post("/devices/dev-1/lost", url.Values{"kind": {"stolen"}, "unlocked": {"yes"}, "data_open": {"no"}, "where": {"Bus 72"}, "when": {"2026-01-02T08:30"}, "note": {"Taken."}, "identified": {"called back"}})
	if reported.status != 303 || !strings.HasPrefix(reported.location, "/cases/") {
		t.Fatalf("reporting = %d to %q", reported.status, reported.location)
	}
	k := reported.location
	v.get(k).want(t, 200, "Reported stolen. Its app certificates are revoked", "Bus 72", "2 January 2026", "Called back", "Lock", "Waiting for the device", "5e11a1", "of the 72 hours", "If it is not found, an erase is proposed at", "The device has not told where it is", "Ask for an erase", "!Show where it was", "!Your decision")
	v.get("/devices/dev-1").want(t, 200, "Lost", "by Maud Ellery", "Bus 72", "It was unlocked", "Taken.", "Lost mode on: waiting", "Mark found", "!Report lost", "Open the case", "Cases 1 open")
	v.get("/devices?state=lost").want(t, 200, "1 to 1 of 1")
	v.get("/devices/dev-1/lost").to(t, "/devices/dev-1")

	w.checkIn(e, p)
	c, err := w.lost.OpenCase(t.Context(), "dev-1")
	w.must(err)
	w.must(w.lost.SetLocation(w.system(), c.ID, lost.Location{Lat: 51.5007, Lon: -.1246, Accuracy: 12, At: w.now()}))
	v.get(k).want(t, 200, "Accepted", "Show where it was", "!51.500")
	v.post(k+"/location", nil).want(t, 400, "There is a problem", "Say what the location is needed for")
	v.post(k+"/location", url.Values{"purpose": {"To fetch it."}}).want(t, 200, "51.50070", "-0.12460", "within 12 m", "is recorded")
	v.get(k).want(t, 200, "To fetch it", "!51.500")
	v.post(k+"/locate", url.Values{"purpose": {"To see whether it moves."}}).to(t, k)
	v.post(k+"/sound", nil).to(t, k)
	v.post(k+"/restart", nil).to(t, k)
	v.get(k).want(t, 200, "The restart is queued", "A sound was asked for", "To see whether it moves")

	v.get("/devices/dev-1/found").want(t, 200, "The case ends")
	v.post("/devices/dev-1/found", url.Values{"note": {"At the porters’ lodge."}}).to(t, "/devices/dev-1")
	v.get("/devices/dev-1").want(t, 200, "Marked as found", "!Mark found", "Report lost", "Lost mode off")
	v.post(k+"/locate", url.Values{"purpose": {"x"}}).want(t, 409, "There is a problem")
}

func TestLockAndRefresh(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	maud := w.person("Maud Ellery", ward.RoleSupport)
	w.enrol(phone{Device: ward.Device{ID: "dev-1", Name: "Asha’s iPhone", Ownership: ward.Corporate}})
	w.add(ward.Device{ID: "dev-2", Name: "Invited", Ownership: ward.Corporate})
	v := w.signedIn(maud)
	v.get("/devices/dev-1/lock").want(t, 200, "without a passcode a lock holds nobody off")
	v.post("/devices/dev-1/lock", url.Values{"message": {"Please hand in"}}).to(t, "/devices/dev-1")
	v.get("/devices/dev-1").want(t, 200, "The lock is queued", "Waiting Lock by Maud Ellery Waiting, the device", "Maud Ellery")
	v.post("/devices/dev-1/refresh", nil).to(t, "/devices/dev-1")
	v.get("/devices/dev-1").want(t, 200, "The device is asked for news")
	v.post("/devices/dev-2/refresh", nil).want(t, 409, "not enrolled")
	v.post("/devices/dev-2/lock", nil).want(t, 409, "There is a problem", "not enrolled")
	v.get("/devices/dev-2").want(t, 200, "It has never enrolled", "Unknown", "!Ask for news")
}

// TestErrorPage has a database fail under a page.
func TestErrorPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.signedIn(w.person("Maud Ellery", ward.RoleSupport))
	v.get("/devices/dev-1%00x").want(t, 404)
	big := url.Values{"name": {strings.Repeat("x", 100<<10)}}
	v.post("/signin", big).want(t, 400, "too long")
}
