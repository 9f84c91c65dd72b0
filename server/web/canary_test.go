package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/web"
)

var fieldName = regexp.MustCompile(`name="([a-z_]+)"`)

// fields are the names of every field of every form.
func fields(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range fieldName.FindAllStringSubmatch(string(b), -1) {
			out = append(out, m[1])
		}
	}
	slices.Sort(out)
	return slices.Compact(append(out, "code", "state", "secret", "client_secret", "password", "token"))
}

// TestNoSecretInLogsOrAddresses sends a secret of each sort wherever a page has room for one,
// as a visitor and as somebody who may do everything, and looks for it in the log and in the
// addresses to which forms lead. Then it does the same with secrets that work.
func TestNoSecretInLogsOrAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.publish()
	names := fields(t)
	if len(names) < 20 {
		t.Fatalf("the templates have %d fields: %v", len(names), names)
	}
	secrets := []string{
		"canary-passphrase-lamp-otter", "ward_Canary0Canary0Canary0Canary0Canary0Canary0a", "CNRY7-CNRY8-CNRY9-CNRYA", "Canary1linksecretCanary1linksecretCanary1li",
		"whsec_Q2FuYXJ5Q2FuYXJ5Q2FuYXJ5Q2FuYXJ5", "739154",
	}
	var led []string // addresses
	all := w.trial("everything", ward.Scope{}, ward.Roles...)
	for _, secret := range secrets {
		form := url.Values{}
		for _, name := range names {
			if name != "next" { // the one field that is an address
				form.Set(name, secret)
			}
		}
		for _, r := range w.web.Routes() {
			method, path, ok := strings.Cut(r.Pattern, " ")
			if !ok || strings.HasSuffix(path, "/signout") {
				continue
			}
			at := hole.ReplaceAllString(strings.TrimSuffix(path, "{$}"), url.PathEscape(secret))
			for _, v := range []*visitor{w.visitor(), all.v} {
				_, to, _ := v.status(method, at, form)
				if method == http.MethodPost {
					led = append(led, to)
				} else if r.Needs == web.Anyone {
					v.status(method, at+"?code="+secret, nil)
				}
			}
		}
	}

	p := w.person("Maud Ellery", ward.RoleSupport)
	link, err := w.access.CreateLink(w.system(), p.ID, access.LinkSignIn, time.Hour)
	w.must(err)
	w.enrol(phone{Device: ward.Device{ID: "dev-1", Serial: "SER1", Name: "Phone", Ownership: ward.Corporate}})
	code, err := w.lost.MakeCode(w.system(), "dev-1")
	w.must(err)
	for path, form := range map[string]url.Values{
		"/signin":         {"name": {"Maud Ellery"}, "passphrase": {passphrase}},
		"/signin/" + link: nil,
		"/lost":           {"code": {code}},
	} {
		_, to, _ := w.visitor().status(http.MethodPost, path, form)
		led = append(led, to)
	}
	secrets = append(secrets, passphrase, link, code)

	lines := w.logs.All()
	if len(lines) < 6*len(w.web.Routes()) {
		t.Fatalf("the log has %d lines for all that was asked", len(lines))
	}
	for _, l := range lines {
		text := fmt.Sprint(l.Message, l.ContextMap())
		for _, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("the log has %q: %s", s, text)
			}
		}
	}
	for _, to := range led {
		plain, err := url.QueryUnescape(to)
		w.must(err)
		for _, s := range secrets {
			if strings.Contains(to, s) || strings.Contains(plain, s) {
				t.Errorf("a form leads to %q, which holds %q", to, s)
			}
		}
	}
}
