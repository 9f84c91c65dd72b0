package web_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/approver/approvertest"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/web"
)

// axeVersion is the accessibility checker, which comes from npm when the tests run.
const axeVersion = "4.14.1"

// missing skips the test loudly, or fails it where nothing may be skipped.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	text := fmt.Sprintf(format, args...)
	if os.Getenv("CI") == "true" {
		t.Fatal(text)
	}
	t.Skip("SKIPPED: " + text)
}

// axe returns the checker's script, from the user's cache or from npm.
func axe(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		missing(t, "there is no place to keep axe-core: %v", err)
	}
	dir := filepath.Join(cache, "ward-test")
	kept := filepath.Join(dir, "axe-"+axeVersion+".min.js")
	if b, err := os.ReadFile(kept); err == nil {
		return string(b)
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		missing(t, "npm is not installed, so the pages were not checked with axe-core")
	}
	tmp := t.TempDir()
	cmd := exec.CommandContext(t.Context(), npm, "pack", "--silent", "axe-core@"+axeVersion)
	cmd.Dir = tmp
	if out, err := cmd.CombinedOutput(); err != nil {
		missing(t, "npm did not give axe-core: %v\n%s", err, out)
	}
	b, err := fromPackage(filepath.Join(tmp, "axe-core-"+axeVersion+".tgz"), "package/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(tmp, "axe"), b, 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(tmp, "axe"), kept); err != nil {
		t.Logf("axe-core is not kept for the next run: %v", err)
	}
	return string(b)
}

func fromPackage(path, name string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err != nil {
			return nil, fmt.Errorf("%s in %s: %w", name, path, err)
		}
		if h.Name == name {
			return io.ReadAll(r)
		}
	}
}

// chromium starts a browser. Its context ends with the test.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		missing(t, "Chromium is not installed, so the pages were not looked at in a browser")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox)
	for _, flag := range []string{"disable-background-networking", "disable-component-update", "disable-sync", "disable-quic", "disable-default-apps", "hide-scrollbars"} {
		opts = append(opts, chromedp.Flag(flag, true))
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewContext(ctx)
	t.Cleanup(stop)
	ctx, end := context.WithTimeout(ctx, 5*time.Minute)
	t.Cleanup(end)
	return ctx
}

// sight is one page to look at.
type sight struct {
	name, url string
	out       bool       // without having signed in
	form      url.Values // that is sent there; nil where the page is only opened
}

// open goes to the page, or sends its form from a page of the same site.
func (s sight) open(home string) chromedp.Action {
	if s.form == nil {
		return chromedp.Navigate(s.url)
	}
	fields, err := json.Marshal(s.form)
	if err != nil {
		panic(err)
	}
	return chromedp.Tasks{
		chromedp.Navigate(home + "/static/none"),
		chromedp.ActionFunc(func(ctx context.Context) error {
			send := `(() => { const form = document.createElement("form"); form.method = "post"; form.action = ` + quote(s.url) + `;
				for (const [name, values] of Object.entries(` + string(fields) + `)) for (const value of values) { const field = document.createElement("textarea"); field.name = name; field.value = value; form.append(field); }
				document.body.append(form); setTimeout(() => form.submit()); })()`
			return chromedp.Evaluate(send, nil).Do(ctx)
		}),
		until(`location.pathname !== "/static/none" && document.readyState === "complete" && document.querySelector("main") !== null`),
	}
}

// until waits for a condition over a navigation, at which chromedp.Poll may lose its page.
func until(condition string) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		for range 400 {
			var ok bool
			if err := chromedp.Evaluate(condition, &ok).Do(ctx); err == nil && ok {
				return nil
			}
			if err := chromedp.Sleep(25 * time.Millisecond).Do(ctx); err != nil {
				return err
			}
		}
		return fmt.Errorf("it did not come to %s", condition)
	})
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// askErase asks for the erase of a device, and returns the order's path.
func (w *world) askErase(by access.Person, id, why string) string {
	w.t.Helper()
	return w.ask(by, order.Request{Kind: order.Erase, Devices: []ward.DeviceID{ward.DeviceID(id)}, Reason: why})
}

// sights are all pages, on a fleet with something of everything.
func (w *world) sights() (p access.Person, all []sight) {
	maud := w.mailed("Maud Ellery", "dan@example.org", ward.RoleAdmin, ward.RoleSupport, ward.RoleGovern, ward.RoleApprover) // dev-03 is hers too
	ada, ben, cyd := w.person("Ada Byron", ward.RoleSupport, ward.RoleApprover), w.person("Ben Carter", ward.RoleApprover), w.person("Cyd Dean", ward.RoleApprover)
	w.must(w.notify.SendTest(w.as(maud)))
	gone := w.fleet(maud)
	before := w.askErase(ada, "dev-06", "Sold.")
	keys := w.seed(ada, ben, maud)
	_, err := approvertest.Register(w.t.Context(), w.approvers, approvertest.Who{Person: cyd.ID, Name: cyd.Name, Subject: "cyd@example.org", Outside: true})
	w.must(err)
	own, others := w.askErase(maud, "dev-05", "Sold with the old building."), w.askErase(ada, string(gone), "Stolen on the bus, and it was unlocked when it was last seen.")
	w.signedIn(ben).sign(keys[1], others)
	c, err := w.lost.OpenCase(w.t.Context(), gone)
	w.must(err)
	w.must(w.lost.SetLocation(w.system(), c.ID, lost.Location{Lat: 51.5007, Lon: -.1246, Accuracy: 12, At: w.now()}))
	rehearsed, err := w.lost.Report(w.as(maud), lost.Report{Devices: []ward.DeviceID{"dev-08"}, Drill: lost.Dry})
	w.must(err)
	w.fill(brake.Erase, ada)
	w.files.device = "dev-00"
	w.add(ward.Device{ID: "mac-1", Name: "Ward Mac", Ownership: ward.Corporate})
	code, err := w.lost.MakeCode(w.as(maud), "dev-01")
	w.must(err)
	list, err := w.approvers.List(w.t.Context())
	w.must(err)
	pending := list[len(list)-1].ID
	root := w.signedIn(maud)
	invitation := root.invite(maud, "maud@example.org")
	erase := url.Values{"kind": {"erase"}, "devices": {"dev-00\ndev-04\ndev-26"}, "note": {"For the next ward."}}
	for _, s := range []sight{
		{name: "signin", url: "/signin", out: true},
		{name: "link", url: "/setup/secret", out: true},
		{name: "notfound", url: "/nowhere", out: true},
		{name: "devices", url: "/devices"},
		{name: "devices-none", url: "/devices?q=nobody&state=lost"},
		{name: "device-lost", url: "/devices/" + string(gone)},
		{name: "device-bad", url: "/devices/dev-01"},
		{name: "device-good", url: "/devices/dev-03"},
		{name: "device-personal", url: "/devices/dev-04"},
		{name: "device-invited", url: "/devices/dev-26"},
		{name: "device-gone", url: "/devices/dev-15"},
		{name: "lost", url: "/devices/dev-01/lost"},
		{name: "found", url: "/devices/dev-02/found"},
		{name: "lock", url: "/devices/dev-01/lock"},
		{name: "restart", url: "/devices/dev-00/restart"},
		{name: "report-many", url: "/lost/new?device=dev-00&device=dev-03"},
		{name: "rehearse", url: "/lost/new?device=dev-00&drill=1"},
		{name: "recovery-sheet", url: "/devices/dev-03/recovery-code", form: url.Values{}},
		{name: "pin", url: "/devices/mac-1/pin", form: url.Values{}},
		{name: "cases", url: "/cases"},
		{name: "cases-none", url: "/cases?state=closed"},
		{name: "case", url: "/cases/" + string(c.ID)},
		{name: "case-rehearsal", url: "/cases/" + string(rehearsed[0].ID)},
		{name: "case-wrong", url: "/cases/" + string(c.ID) + "/decide", form: url.Values{"reportable": {"no"}}},
		{name: "case-place", url: "/cases/" + string(c.ID) + "/location", form: url.Values{"purpose": {"To fetch it."}}},
		{name: "drills", url: "/drills"},
		{name: "orders", url: "/orders"},
		{name: "ask", url: "/orders/new"},
		{name: "ask-erase", url: "/orders/new?kind=erase&device=dev-00"},
		{name: "ask-pin", url: "/orders/new?kind=lock_pin"},
		{name: "ask-lift", url: "/orders/new?kind=lift_brake"},
		{name: "ask-wrong", url: "/orders/new", form: url.Values{"kind": {"erase"}, "devices": {"dev-00"}}},
		{name: "ask-preview", url: "/orders/new", form: erase},
		{name: "sign", url: others + "/sign", form: url.Values{}},
		{name: "brake", url: "/brake"},
		{name: "cancel-all", url: "/brake/cancel-all"},
		{name: "approvers", url: "/approvers"},
		{name: "approver-invited", url: "/approvers", form: url.Values{"person": {string(ben.ID)}, "subject": {"ben@example.org"}}},
		{name: "approver-register", url: invitation},
		{name: "approver-broken", url: "/approver/none"},
		{name: "approver-vouch", url: "/approvers/" + pending + "/vouch", form: url.Values{}},
		{name: "notifications", url: "/notifications"},
		{name: "lost-code", url: "/lost", out: true},
		{name: "lost-wrong", url: "/lost", form: url.Values{"code": {"AAAA"}}, out: true},
		{name: "lost-questions", url: "/lost", form: url.Values{"code": {code}}, out: true},
		{name: "lost-told", url: "/lost", form: url.Values{"code": {code}, "step": {"report"}, "device": {"dev-01"}}, out: true},
		{name: "recovery", url: "/recovery/used-link", out: true},
		{name: "recovery-none", url: "/recovery/none", out: true},
		{name: "order-before", url: before},
		{name: "orders-none", url: "/orders?state=expired"},
		{name: "order", url: others},
		{name: "order-own", url: own},
		{name: "passphrase", url: "/passphrase"},
		{name: "forbidden", url: "/devices/dev-26/x"},
		{name: "enrol-personal", url: w.enrolURL(ward.Personal, false), out: true},
		{name: "enrol-supervised", url: w.enrolURL(ward.Corporate, true), out: true},
		{name: "staff", url: staffURL(w.t, rich), out: true},
		{name: "staff-none", url: staffURL(w.t, ""), out: true},
	} {
		if strings.HasPrefix(s.url, "/") {
			s.url = w.url + s.url
		}
		all = append(all, s)
	}
	for _, more := range []func(access.Person) []sight{w.fleetSights, w.ruleSights, w.operateSights, w.evidenceSights, w.accountSights} {
		for _, s := range more(maud) {
			if strings.HasPrefix(s.url, "/") {
				s.url = w.url + s.url
			}
			all = append(all, s)
		}
	}
	return maud, all
}

// enrolURL serves the page of an invitation, as the composition root does.
func (w *world) enrolURL(o ward.Ownership, supervised bool) string {
	i := enrollment.Invitation{ID: "inv-1", Name: "Asha Rao", Ownership: o, Supervised: supervised, Serial: "C39ABCDEFG", Created: w.now(), Expires: w.now().Add(enrollment.DefaultLife)}
	mux := http.NewServeMux()
	mux.Handle("/", w.web)
	mux.HandleFunc("GET /invite/{token}", func(rw http.ResponseWriter, r *http.Request) {
		w.web.EnrolPage(rw, r, web.EnrolView{Invitation: i, URL: "https://ward.example.nhs.uk/invite/" + r.PathValue("token"), Choice: true})
	})
	srv := httptest.NewServer(mux)
	w.t.Cleanup(srv.Close)
	return srv.URL + "/invite/k3Zr8LxQ2mVn5TbW7yDc"
}

// look is a screen on which a page is checked. dark is checked on the same page, which is
// not loaded anew.
type look struct {
	width, height int64
	scheme, rules string
}

const allRules = `["wcag2a","wcag2aa","wcag21a","wcag21aa","wcag22aa","best-practice"]`

// looks are the screens of every page.
var looks = []look{
	{1280, 800, "light", allRules},
	{320, 640, "light", allRules},
	{320, 640, "dark", `["color-contrast"]`},
	{1280, 800, "dark", `["color-contrast"]`},
}

// tabs is how many pages are looked at at a time.
const tabs = 2

// TestAccessibility looks at every page in a browser at 320 and 1280 px, light and
// dark: axe finds nothing, nothing is wider than the screen, the console is silent.
// WARD_SCREENS names a folder for the pictures, WARD_SIGHTS narrows what is looked at to
// the names that match it.
func TestAccessibility(t *testing.T) {
	t.Parallel()
	script := axe(t)
	browser := chromium(t)
	w := newWorld(t)
	person, sights := w.sights()
	v := w.signedIn(person)
	only, err := regexp.Compile(os.Getenv("WARD_SIGHTS"))
	w.must(err)
	sights = slices.DeleteFunc(sights, func(s sight) bool { return !only.MatchString(s.name) })
	w.must(chromedp.Run(browser))
	eyes := make([]*eye, tabs)
	for i := range eyes {
		eyes[i] = newEye(browser, w, script)
		defer eyes[i].close()
	}
	for _, out := range []bool{true, false} { // the tabs share their cookies
		w.must(chromedp.Run(browser, network.ClearBrowserCookies(), w.cookies(v, sight{out: out})))
		next := make(chan sight)
		var g sync.WaitGroup
		for _, e := range eyes {
			g.Go(func() {
				for s := range next {
					e.look(s)
				}
			})
		}
		for _, s := range sights {
			if s.out == out {
				next <- s
			}
		}
		close(next)
		g.Wait()
	}
}

// visit runs actions that begin with a navigation, and once more if a busy browser drops
// the page's script context just after it loaded.
func visit(ctx context.Context, actions ...chromedp.Action) error {
	err := chromedp.Run(ctx, actions...)
	if err != nil && strings.Contains(err.Error(), "Cannot find context") {
		err = chromedp.Run(ctx, actions...)
	}
	return err
}

func awaited(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }

func report(t *testing.T, name, found string) {
	t.Helper()
	var list []struct {
		ID, Impact string
		Nodes      []string
	}
	if err := json.Unmarshal([]byte(found), &list); err != nil {
		t.Fatalf("%s: axe answered %q: %v", name, found, err)
	}
	for _, v := range list {
		t.Errorf("%s: %s (%s): %s", name, v.ID, v.Impact, strings.Join(v.Nodes, " | "))
	}
}

// device is a screen.
func device(width, height int64, scheme string) chromedp.Tasks {
	return chromedp.Tasks{
		emulation.SetDeviceMetricsOverride(width, height, 1, width < 700),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}),
	}
}

func loaded() chromedp.Action { return until(`document.readyState === "complete"`) }

// cookies gives the browser the visitor's session.
func (w *world) cookies(v *visitor, s sight) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) error {
		if s.out {
			return nil
		}
		u, err := url.Parse(w.url)
		if err != nil {
			return err
		}
		for _, c := range v.Jar.Cookies(u) {
			if err := network.SetCookie(c.Name, c.Value).WithURL(w.url).Do(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// pictures is the folder for pictures, empty where none are taken.
func (w *world) pictures() string { return os.Getenv("WARD_SCREENS") }

func (w *world) picture(ctx context.Context, name string) {
	dir := w.pictures()
	if dir == "" || strings.HasSuffix(name, "-320-dark") {
		return
	}
	var png []byte
	w.must(chromedp.Run(ctx, chromedp.FullScreenshot(&png, 100)))
	w.must(os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644))
}

// TestTwentyFiveDevices is about the help desk's screen: 25 devices with their states,
// reasons and times stand on 1280 x 800 without scrolling.
func TestTwentyFiveDevices(t *testing.T) {
	t.Parallel()
	ctx := chromium(t)
	w := newWorld(t)
	p := w.person("Maud Ellery", ward.RoleSupport)
	w.fleet(p)
	v := w.signedIn(p)
	var rows int
	w.must(visit(ctx, w.cookies(v, sight{}), device(1280, 800, "light"), chromedp.Navigate(w.url+"/devices"), loaded(),
		chromedp.Evaluate(`[...document.querySelectorAll("tbody tr")].filter(r => r.getBoundingClientRect().bottom <= innerHeight).length`, &rows)))
	if rows < 25 {
		t.Errorf("%d devices stand on the first screen, want at least 25", rows)
	}
}

// TestPrinted: on paper, a case takes two pages at most and a recovery sheet one, without forms.
func TestPrinted(t *testing.T) {
	t.Parallel()
	ctx := chromium(t)
	w := newWorld(t)
	maud := w.person("Maud Ellery", ward.RoleSupport)
	w.publish()
	w.enrol(phone{Device: ward.Device{ID: "dev-1", Name: "Asha’s iPhone", Owner: "Asha Rao", Ownership: ward.Corporate}, supervised: true})
	c := w.report(maud, "dev-1")
	v := w.signedIn(maud)
	for _, p := range []struct {
		sight
		most int
	}{
		{sight{name: "case", url: w.url + "/cases/" + string(c.ID)}, 2},
		{sight{name: "recovery sheet", url: w.url + "/devices/dev-1/recovery-code", form: url.Values{}}, 1},
	} {
		var pdf []byte
		w.must(visit(ctx, network.ClearBrowserCookies(), w.cookies(v, p.sight), p.open(w.url), loaded(), chromedp.ActionFunc(func(ctx context.Context) (err error) {
			pdf, _, err = page.PrintToPDF().WithPaperWidth(8.27).WithPaperHeight(11.69).WithPreferCSSPageSize(true).Do(ctx)
			return err
		})))
		if n := bytes.Count(pdf, []byte("/Type /Page\n")); n < 1 || n > p.most {
			t.Errorf("the %s takes %d pages, want at most %d", p.name, n, p.most)
		}
	}
}
