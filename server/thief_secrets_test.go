package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/siem"
	"github.com/wardmdm/ward/server/signin/signintest"
	"github.com/wardmdm/ward/server/web"
)

// TestThiefSecrets: what the server proves itself with to others, and what people prove
// themselves with to it, stands in no log, no audit entry, no metric, no page that is open to
// every reader and not in clear in a backup, neither when it works nor when the other side
// refuses it and says it again.
func TestThiefSecrets(t *testing.T) {
	t.Parallel()
	const scimToken, header = "canary-scim-token-0123456789-abcdefgh", "canary-header-Zt0k3n"
	var refuses atomic.Bool
	collector := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuses.Load() {
			http.Error(w, "no such token: "+r.Header.Get("Authorization"), http.StatusForbidden)
		}
	}))
	t.Cleanup(collector.Close)
	secretFile := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var op *signintest.OP
	w := start(t, "", func(c *Config) {
		op = signintest.New(t, signintest.Options{Redirect: c.PublicURL + web.ProviderBack("trust")}, signintest.User{ID: "maud", Name: "Maud Ellery", Groups: []string{"help"}})
		c.signIn = op.Client
		c.SignIn.OIDC = []OIDC{{
			Name: "Trust", Issuer: op.URL, ClientID: signintest.ClientID, SecretFile: secretFile("oidc", signintest.Secret),
			Grants: []OIDCGrant{{Group: "help", Roles: []ward.Role{ward.RoleSupport}}},
		}}
		c.SignIn.SCIM, c.SignIn.AllowLocal = []Directory{{Provider: "Trust", TokenFile: secretFile("scim", scimToken)}}, true
		c.Streams = []Stream{{Name: "soc", Collector: collector.URL, HeaderFile: secretFile("header", "Authorization: Splunk "+header), CA: pemFile(t, collector.Certificate())}}
	})
	g := &guest{t: t, w: w}
	secrets := []string{signintest.Secret, scimToken, header}

	// The provider, in earnest, with an answer that is made up, and when it refuses.
	maud := g.anew()
	_, to, _ := maud.ask(http.MethodGet, "/signin/with/trust", nil)
	back := strings.TrimPrefix(op.SignIn(to, "maud"), w.URL())
	secrets = append(secrets, mustURL(t, back).Query().Get("code"))
	if status, to, body := maud.ask(http.MethodGet, back, nil); status != http.StatusSeeOther || strings.HasPrefix(to, "/signin") {
		t.Fatalf("coming back from the provider = %d to %q: %s", status, to, body)
	}
	maud.ask(http.MethodGet, back, nil)
	liar := g.anew()
	_, to, _ = liar.ask(http.MethodGet, "/signin/with/trust", nil)
	liar.ask(http.MethodGet, web.ProviderBack("trust")+"?code=canary-code-made-up&state="+url.QueryEscape(mustURL(t, to).Query().Get("state")), nil)
	liar.ask(http.MethodPost, "/signin/with/trust/ended", url.Values{"logout_token": {"canary.logout.token"}})
	secrets = append(secrets, "canary-code-made-up", "canary.logout.token")
	sessions, err := w.db.SignIn().ProvidedSessions(w.ctx, "Trust", w.clock.now().Add(time.Hour), 10)
	if err != nil || len(sessions) != 1 || sessions[0].Refresh == "" {
		t.Fatalf("sessions of the provider = %+v, %v; want one with a refresh token", sessions, err)
	}
	secrets = append(secrets, sessions[0].Refresh)

	// The directory, by its token and by one that is wrong.
	for _, token := range []string{scimToken, "canary-wrong-scim-token"} {
		g.scim(token, http.MethodGet, "/scim/v2/Users", "")
		g.scim(token, http.MethodPost, "/scim/v2/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"maud","password":"canary-scim-password"}`)
		g.scim(token, http.MethodPut, "/scim/v2/Users/"+token, `{"nonsense":"`+token+`"}`)
	}
	secrets = append(secrets, "canary-wrong-scim-token", "canary-scim-password")

	// A second factor that is set up, and one that is begun.
	secret, codes := g.app(g.person("Grace Lin"))
	begun := g.person("Joan Hughes")
	secrets = append(append(secrets, secret), codes...)
	secrets = append(secrets, begun.key())
	for _, code := range []string{codes[0], codes[0], "canary-code"} {
		half := g.anew()
		half.ask(http.MethodPost, "/signin/"+g.link("Grace Lin"), nil)
		half.ask(http.MethodPost, "/signin/code", url.Values{"code": {code}})
	}

	if _, err := w.Audit.Sequence(w.ctx); err != nil {
		t.Fatal(err)
	}
	if err := w.streaming.Do(w.ctx); err != nil {
		t.Fatal(err)
	}
	g.noneOf(secrets)
	w.stop()
	refuses.Store(true)
	stream := w.config.Streams[0]
	sender, err := stream.sender()
	if err != nil {
		t.Fatal(err)
	}
	if err := sender.Send(t.Context(), []siem.Event{{Action: "person.created"}}); err == nil || strings.Contains(err.Error(), header) {
		t.Errorf("a collector that refuses and says the token again: %v; want an error without it", err)
	}
}

// guest asks a whole server as browsers and directories do.
type guest struct {
	t      *testing.T
	w      *world
	client *http.Client
}

func (g *guest) anew() *guest {
	g.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		g.t.Fatal(err)
	}
	return &guest{g.t, g.w, &http.Client{Transport: g.w.people.Transport, Jar: jar, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (g *guest) ask(method, path string, form url.Values) (status int, to, body string) {
	g.t.Helper()
	return g.send(g.client, method, path, form.Encode(), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
}

func (g *guest) scim(token, method, path, body string) {
	g.t.Helper()
	g.send(g.w.people, method, path, body, http.Header{"Content-Type": {"application/scim+json"}, "Authorization": {"Bearer " + token}})
}

func (g *guest) send(c *http.Client, method, path, in string, h http.Header) (status int, to, body string) {
	g.t.Helper()
	r, err := http.NewRequestWithContext(context.WithoutCancel(g.t.Context()), method, g.w.URL()+path, strings.NewReader(in))
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header = h
	res, err := c.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil {
		g.t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Location"), b.String()
}

func (g *guest) link(name string) string {
	g.t.Helper()
	console := ward.WithActor(g.w.ctx, ward.Actor{Name: "console", Via: ward.ViaConsole})
	p, err := g.w.Access.PersonByName(console, name)
	if err != nil {
		g.t.Fatal(err)
	}
	secret, err := g.w.Access.CreateLink(console, p.ID, access.LinkSignIn, time.Hour)
	if err != nil {
		g.t.Fatal(err)
	}
	return secret
}

// person is somebody new who has signed in by a link.
func (g *guest) person(name string) *guest {
	g.t.Helper()
	console := ward.WithActor(g.w.ctx, ward.Actor{Name: "console", Via: ward.ViaConsole})
	if _, err := g.w.Access.CreatePerson(console, access.NewPerson{Name: name, Roles: []ward.Role{ward.RoleSupport}}); err != nil {
		g.t.Fatal(err)
	}
	v := g.anew()
	if status, to, body := v.ask(http.MethodPost, "/signin/"+g.link(name), nil); status != http.StatusSeeOther {
		g.t.Fatalf("the link was answered %d to %q: %s", status, to, body)
	}
	return v
}

// key begins an authenticator app and returns its secret.
func (g *guest) key() string {
	g.t.Helper()
	_, _, body := g.ask(http.MethodGet, "/settings/second-factor/app", nil)
	m := regexp.MustCompile(`<code>([A-Z2-7 ]+)</code>`).FindStringSubmatch(body)
	if m == nil {
		g.t.Fatalf("the page shows no key: %s", body)
	}
	return strings.ReplaceAll(m[1], " ", "")
}

// app sets an authenticator app up.
func (g *guest) app(v *guest) (secret string, codes []string) {
	g.t.Helper()
	secret = v.key()
	code, err := totp.GenerateCode(secret, g.w.clock.now())
	if err != nil {
		g.t.Fatal(err)
	}
	_, _, body := v.ask(http.MethodPost, "/settings/second-factor/app", url.Values{"code": {code}})
	for _, m := range regexp.MustCompile(`<code>([a-z2-7]{4}(?:-[a-z2-7]{4}){3})</code>`).FindAllStringSubmatch(body, -1) {
		codes = append(codes, m[1])
	}
	if len(codes) != 10 {
		g.t.Fatalf("there are %d recovery codes: %s", len(codes), body)
	}
	return secret, codes
}

// noneOf looks for secrets wherever somebody else may read.
func (g *guest) noneOf(secrets []string) {
	t, w := g.t, g.w
	t.Helper()
	places := map[string]string{}
	for _, l := range w.logs.All() {
		places["the log"] += fmt.Sprint(l.Message, l.ContextMap(), "\n")
	}
	entries, err := w.Audit.List(w.ctx, audit.Filter{Limit: 500})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(entries)
	if err != nil {
		t.Fatal(err)
	}
	places["the audit log"] = string(raw)
	var dump bytes.Buffer
	if err := w.db.Dump(w.ctx, &dump); err != nil {
		t.Fatal(err)
	}
	places["a backup"] = dump.String()
	bearer := http.Header{"Authorization": {"Bearer " + w.token}}
	for _, path := range []string{"/metrics", "/api/v1/health", "/api/v1/people?limit=100", "/api/v1/audit?limit=100"} {
		status, _, body := g.send(w.people, http.MethodGet, path, "", bearer)
		if status != http.StatusOK {
			t.Errorf("GET %s = %d: %s", path, status, body)
		}
		places[path] = body
	}
	for place, text := range places {
		if len(text) < 200 {
			t.Errorf("%s holds nothing to look into: %q", place, text)
		}
		for _, s := range secrets {
			if s == "" || strings.Contains(text, s) || strings.Contains(text, url.QueryEscape(s)) {
				t.Errorf("%s holds the secret %q", place, s)
			}
		}
	}
}

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
