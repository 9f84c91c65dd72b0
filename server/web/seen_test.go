package web_test

import (
	"context"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/wardmdm/ward"
)

// unseen are the pages at which TestAccessibility does not look, each with why.
var unseen = map[string]string{
	"GET /events":                      "a stream",
	"GET /audit/{id}/proof":            "a file",
	"GET /cases/{id}/file/{part}":      "a file",
	"GET /orders/{id}/file/{part}":     "a file",
	"GET /signin/{secret}":             "as that of /setup/{secret}",
	"GET /signin/code":                 "stands only between a passphrase and a second factor",
	"GET /signin/passkey":              "stands only between a passphrase and a second factor",
	"GET /signin/with/{provider}":      "leads elsewhere",
	"GET /signin/with/{provider}/back": "leads elsewhere",
	"GET /confirm/with":                "leads elsewhere",
}

// TestEveryPageIsSeen: whoever adds a page adds it to what is looked at.
func TestEveryPageIsSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, sights := w.sights()
	for _, r := range w.web.Routes() {
		path, page := strings.CutPrefix(r.Pattern, "GET ")
		if !page || unseen[r.Pattern] != "" {
			continue
		}
		pattern := "^" + strings.ReplaceAll(hole.ReplaceAllString(path, `[^/]+`), "{$}", "") + "$"
		is := regexp.MustCompile(pattern)
		found := false
		for _, s := range sights {
			u, err := url.Parse(s.url)
			w.must(err)
			found = found || s.form == nil && is.MatchString(u.Path)
		}
		if !found {
			t.Errorf("no sight is of %s: add one to sights_AREA_test.go, or say in unseen why not", r.Pattern)
		}
	}
}

// mostBytes is how much the first visit to a page may transfer.
const mostBytes = 150_000

// TestWeight: a first visit is light, and no request leaves for another host.
func TestWeight(t *testing.T) {
	t.Parallel()
	browser := chromium(t)
	w := newWorld(t)
	p := w.person("Maud Ellery", ward.RoleAdmin, ward.RoleSupport)
	w.fleet(p)
	v := w.signedIn(p)
	var bytes atomic.Int64
	chromedp.ListenTarget(browser, func(ev any) {
		switch e := ev.(type) {
		case *network.EventRequestWillBeSent:
			if u := e.Request.URL; !strings.HasPrefix(u, w.url) && !strings.HasPrefix(u, "data:") {
				t.Errorf("a request goes to %s", u)
			}
		case *network.EventLoadingFinished:
			bytes.Add(int64(e.EncodedDataLength))
		}
	})
	w.must(chromedp.Run(browser, network.Enable(), w.cookies(v, sight{})))
	for _, path := range []string{"/", "/?days=365", "/devices"} {
		bytes.Store(0)
		w.must(visit(browser, network.ClearBrowserCache(), device(1280, 800, "light"), chromedp.Navigate(w.url+path), loaded(), chromedp.ActionFunc(func(context.Context) error { return nil })))
		n := bytes.Load()
		t.Logf("%s: %d bytes", path, n)
		if n < 1000 || n > mostBytes {
			t.Errorf("a first visit to %s transfers %d bytes, want at most %d", path, n, mostBytes)
		}
	}
}
