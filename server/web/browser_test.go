package web_test

import (
	"archive/tar"
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
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	browserlog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/access"
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
	ctx, end := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(end)
	return ctx
}

// sight is one page to look at.
type sight struct {
	name, url string
	out       bool // without having signed in
}

// sights are all pages, on a fleet with something of everything.
func (w *world) sights() (p access.Person, all []sight) {
	maud, ada := w.person("Maud Ellery", ward.RoleSupport, ward.RoleApprover), w.person("Ada Byron", ward.RoleSupport)
	lost := w.fleet(maud)
	ask := func(by access.Person, id ward.DeviceID, why string) string {
		o, err := w.orders.Request(w.as(by), order.Request{Kind: order.Erase, Devices: []ward.DeviceID{id}, Reason: why})
		w.must(err)
		return "/orders/" + string(o.ID)
	}
	own, others := ask(maud, "dev-05", "Sold with the old building."), ask(ada, "dev-02", "Stolen on the bus, and it was unlocked when it was last seen.")
	for _, s := range []sight{
		{"signin", "/signin", true},
		{"link", "/setup/secret", true},
		{"notfound", "/nowhere", true},
		{"devices", "/devices", false},
		{"devices-none", "/devices?q=nobody&state=lost", false},
		{"device-lost", "/devices/" + string(lost), false},
		{"device-bad", "/devices/dev-01", false},
		{"device-good", "/devices/dev-03", false},
		{"device-personal", "/devices/dev-04", false},
		{"device-invited", "/devices/dev-26", false},
		{"device-gone", "/devices/dev-15", false},
		{"lost", "/devices/dev-01/lost", false},
		{"found", "/devices/dev-02/found", false},
		{"lock", "/devices/dev-01/lock", false},
		{"erase", "/devices/dev-00/erase", false},
		{"orders", "/orders", false},
		{"orders-none", "/orders?state=expired", false},
		{"order", others, false},
		{"order-own", own, false},
		{"passphrase", "/passphrase", false},
		{"forbidden", "/devices/dev-04/erase", false},
		{"enrol-personal", w.enrolURL(ward.Personal, false), true},
		{"enrol-supervised", w.enrolURL(ward.Corporate, true), true},
		{"staff", staffURL(w.t, rich), true},
		{"staff-none", staffURL(w.t, ""), true},
	} {
		if strings.HasPrefix(s.url, "/") {
			s.url = w.url + s.url
		}
		all = append(all, s)
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

// TestAccessibility looks at every page in a browser at 320 and 1280 px, light and
// dark: axe finds nothing, nothing is wider than the screen, the console is silent.
// WARD_SCREENS names a folder for the pictures.
func TestAccessibility(t *testing.T) {
	t.Parallel()
	script := axe(t)
	ctx := chromium(t)
	w := newWorld(t)
	person, sights := w.sights()
	v := w.signedIn(person)
	var console []string
	chromedp.ListenTarget(ctx, func(ev any) {
		switch e := ev.(type) {
		case *browserlog.EventEntryAdded:
			if !strings.Contains(e.Entry.Text, "Failed to load resource") { // the page of an error is itself one
				console = append(console, e.Entry.Text)
			}
		case *runtime.EventExceptionThrown:
			console = append(console, e.ExceptionDetails.Error())
		}
	})
	w.must(chromedp.Run(ctx, browserlog.Enable()))
	for _, s := range sights {
		console = nil
		w.must(visit(ctx, network.ClearBrowserCookies(), w.cookies(v, s), device(1280, 800, "light"), chromedp.Navigate(s.url), loaded(), chromedp.Evaluate(script+";0", nil)))
		for _, look := range []struct {
			width, height int64
			scheme, rules string
		}{
			{1280, 800, "light", `["wcag2a","wcag2aa","wcag21a","wcag21aa","wcag22aa","best-practice"]`},
			{320, 640, "light", `["wcag2a","wcag2aa","wcag21a","wcag21aa","wcag22aa","best-practice"]`},
			{320, 640, "dark", `["color-contrast"]`},
			{1280, 800, "dark", `["color-contrast"]`},
		} {
			name := fmt.Sprintf("%s-%d-%s", s.name, look.width, look.scheme)
			var found string
			var wide int64
			w.must(chromedp.Run(ctx, device(look.width, look.height, look.scheme),
				chromedp.Evaluate(`document.documentElement.scrollWidth`, &wide),
				chromedp.Evaluate(`axe.run({resultTypes: ["violations"], runOnly:`+look.rules+`}).then(r => JSON.stringify(r.violations.map(v => ({id: v.id, impact: v.impact, nodes: v.nodes.map(n => n.html + " " + n.any.map(a => a.message).join(" "))}))))`, &found, awaited)))
			report(t, name, found)
			if wide > look.width {
				t.Errorf("%s is %d px wide, want no more than the screen's %d", name, wide, look.width)
			}
			w.picture(ctx, name)
		}
		if len(console) > 0 {
			t.Errorf("%s: the console says %q", s.name, console)
		}
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

func loaded() chromedp.Action { return chromedp.Poll(`document.readyState === "complete"`, nil) }

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

func (w *world) picture(ctx context.Context, name string) {
	dir := os.Getenv("WARD_SCREENS")
	if dir == "" {
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
