package web_test

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/signin"
	"github.com/wardmdm/ward/server/signin/signintest"
	"github.com/wardmdm/ward/server/web"
)

// setUpApp sets up an authenticator app and returns its secret and the recovery codes.
func (v *visitor) setUpApp(t *testing.T) (secret string, codes []string) {
	t.Helper()
	page := v.get("/settings/second-factor/app")
	page.want(t, 200, "Set up an authenticator app")
	found := regexp.MustCompile(`<code>([A-Z2-7 ]+)</code>`).FindStringSubmatch(page.body)
	if found == nil || !strings.Contains(page.body, `src="data:image/png;base64,`) {
		t.Fatalf("the page shows no key or no QR code: %s", page.text())
	}
	secret = strings.ReplaceAll(found[1], " ", "")
	v.post("/settings/second-factor/app", url.Values{"code": {"000000"}}).want(t, 400, "not the code that the app shows")
	done := v.post("/settings/second-factor/app", url.Values{"code": {code(t, secret, 0)}})
	done.want(t, 200, "Your recovery codes", "shown this once")
	for _, c := range regexp.MustCompile(`<code>([a-z2-7]{4}(?:-[a-z2-7]{4}){3})</code>`).FindAllStringSubmatch(done.body, -1) {
		codes = append(codes, c[1])
	}
	if len(codes) != 10 {
		t.Fatalf("there are %d recovery codes, want 10", len(codes))
	}
	return secret, codes
}

func code(t *testing.T, secret string, steps int) string {
	t.Helper()
	c, err := totp.GenerateCode(secret, time.Now().Add(time.Duration(steps)*30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// byPassphrase is a visitor who has signed in by name and passphrase.
func (w *world) byPassphrase(p access.Person) *visitor {
	w.t.Helper()
	v := w.visitor()
	v.post("/signin", url.Values{"name": {p.Name}, "passphrase": {passphrase}}).to(w.t, "/")
	return v
}

// TestSecondFactor: after the passphrase a code is asked for, each is good once, and recovery
// codes stand in for the app.
func TestSecondFactor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("Maud Ellery", ward.RoleSupport)
	v := w.byPassphrase(p)
	secret, codes := v.setUpApp(t)
	v.get("/settings/second-factor").want(t, 200, "10 recovery codes left")

	half := w.visitor()
	half.get("/signin/code").to(t, "/signin")
	half.post("/signin", url.Values{"name": {p.Name}, "passphrase": {passphrase}, "next": {"/orders"}}).to(t, "/signin/code")
	half.get("/devices").to(t, "/signin?next=%2Fdevices")
	half.post("/signin/code", url.Values{"code": {"123456"}}).want(t, 401, "This code is wrong")
	half.post("/signin/code", url.Values{"code": {code(t, secret, 0)}}).want(t, 401, "used already") // it confirmed the app
	half.post("/signin/code", url.Values{"code": {code(t, secret, 1)}}).to(t, "/orders")
	half.get("/settings/sessions").want(t, 200, "Passphrase and code", "this one")

	other := w.visitor()
	for i, want := range []string{"/settings/second-factor", ""} {
		other.post("/signin", url.Values{"name": {p.Name}, "passphrase": {passphrase}}).to(t, "/signin/code")
		a := other.post("/signin/code", url.Values{"code": {strings.ToUpper(codes[3])}})
		if i == 0 {
			a.to(t, want)
			other.get(want).want(t, 200, "9 recovery codes left")
			other = w.visitor()
		} else {
			a.want(t, 401, "used already")
		}
	}
	third := w.visitor() // a link is one of two things as well
	link, err := w.access.CreateLink(w.system(), p.ID, access.LinkSignIn, time.Hour)
	w.must(err)
	third.post("/signin/"+link, nil).to(t, "/signin/code")

	for range 8 { // codes can't be tried at will
		half.post("/signin", url.Values{"name": {p.Name}, "passphrase": {passphrase}})
		half.post("/signin/code", url.Values{"code": {"654321"}})
	}
	half.post("/signin", url.Values{"name": {p.Name}, "passphrase": {passphrase}})
	half.post("/signin/code", url.Values{"code": {codes[5]}}).want(t, 403, "too many attempts")

	admin := w.byPassphrase(w.person("Ada Marsh", ward.RoleAdmin))
	admin.get("/settings/people/"+string(p.ID)).want(t, 200, "Reset the second factor")
	admin.post("/settings/people/"+string(p.ID)+"/reset", nil).to(t, "/settings/people/"+string(p.ID))
	v.get("/devices").to(t, "/signin?next=%2Fdevices")
}

// TestFactorRequired: where a second factor is required, who has none can do nothing before.
func TestFactorRequired(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signIn.SecondFactor = access.FactorRequired
	p := w.person("Maud Ellery", ward.RoleSupport)
	v := w.byPassphrase(p)
	for _, path := range []string{"/devices", "/orders", "/settings/sessions", "/settings"} {
		v.get(path).to(t, "/settings/second-factor")
	}
	v.post("/devices/dev-01/lock", nil).to(t, "/settings/second-factor")
	v.get("/settings/second-factor").want(t, 200, "A second factor is required here")
	v.setUpApp(t)
	v.get("/devices").want(t, 200)
	v.post("/settings/second-factor/app/remove", nil).want(t, 409, "A second factor is required")
}

// TestWeakPassphrase: what is guessed first is refused, with the reason.
func TestWeakPassphrase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.signedIn(w.person("Maud Ellery", ward.RoleSupport))
	for weak, why := range map[string]string{
		"password1234": "everybody tries first", "qwertyuiop[]": "keyboard", "maud ellery!!": "your name", "aaaabbbbaaaa": "easy to guess", "abcdefghijkl": "easy to guess",
	} {
		v.post("/passphrase", url.Values{"passphrase": {weak}, "again": {weak}}).want(t, 400, "easy to guess", why)
	}
}

// TestRecent: what is dangerous asks anew who it is, brings one back, and does nothing before.
func TestRecent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin, p := w.person("Ada Marsh", ward.RoleAdmin), w.person("Maud Ellery", ward.RoleSupport)
	v := w.byPassphrase(admin)
	address := "/settings/people/" + string(p.ID)
	v.get("/settings/people").want(t, 200, "Maud Ellery", "Passphrase only", "Help desk")
	w.later(11 * time.Minute)
	v.get(address).want(t, 200, "Maud Ellery") // to look is not dangerous
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+address+"/disable", nil)
	w.must(err)
	r.Header.Set("Referer", w.url+address)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	v.do(r).to(t, "/confirm?next="+url.QueryEscape(address))
	v.get(address).want(t, 200, "Active")
	v.get("/confirm?next="+url.QueryEscape(address)).want(t, 200, "Confirm that it is you", "Your passphrase")
	v.post("/confirm", url.Values{"passphrase": {"not this one at all"}, "next": {address}}).want(t, 400, "not this one")
	v.post("/confirm", url.Values{"passphrase": {passphrase}, "next": {"https://evil.example/"}}).to(t, "/")
	w.later(11 * time.Minute)
	v.get("/settings/tokens/new").to(t, "/confirm?next=%2Fsettings%2Ftokens%2Fnew")
	v.post("/confirm", url.Values{"passphrase": {passphrase}, "next": {address}}).to(t, address)
	v.post(address+"/disable", nil).to(t, address)
	v.get(address).want(t, 200, "Disabled")
}

// TestSessionLimits: sessions end when they are not used, and after a time at most; what a
// browser holds changes meanwhile.
func TestSessionLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("Maud Ellery", ward.RoleSupport)
	v := w.byPassphrase(p)
	cookie := func() string {
		u, err := url.Parse(w.url)
		w.must(err)
		return v.Jar.Cookies(u)[0].Value
	}
	first := cookie()
	for range 6 {
		w.later(110 * time.Minute)
		v.get("/devices").want(t, 200)
	}
	if cookie() == first {
		t.Error("the session kept its token for eleven hours")
	}
	list, err := w.signIn.SessionsOf(w.as(p), p.ID)
	if w.must(err); len(list) != 1 || list[0].How != access.ByPassphrase {
		t.Errorf("sessions = %+v; want the one that moved", list)
	}
	w.later(61 * time.Minute)
	v.get("/devices").to(t, "/signin?next=%2Fdevices") // twelve hours

	v = w.byPassphrase(p)
	w.later(121 * time.Minute)
	v.get("/devices").to(t, "/signin?next=%2Fdevices") // two without a request
}

// TestSessionsAreListed: one sees where one is signed in and ends it, and administrators too.
func TestSessionsAreListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("Maud Ellery", ward.RoleSupport)
	a, b, c := w.byPassphrase(p), w.byPassphrase(p), w.signedIn(p)
	page := a.get("/settings/sessions")
	page.want(t, 200, "127.0.0.1", "Passphrase", "One-time link", "this one")
	ids := regexp.MustCompile(`name="id" value="(session-[a-z0-9]+)"`).FindAllStringSubmatch(page.body, -1)
	if len(ids) != 3 {
		t.Fatalf("there are %d sessions, want 3", len(ids))
	}
	stranger := w.byPassphrase(w.person("Grace Lin", ward.RoleSupport))
	for _, id := range ids {
		stranger.post("/settings/sessions/end", url.Values{"id": {id[1]}}).to(t, "/settings/sessions")
	}
	b.get("/devices").want(t, 200)
	a.post("/settings/sessions/end-others", nil).to(t, "/settings/sessions")
	a.get("/settings/sessions").want(t, 200, "2 sessions", "!One-time link")
	b.get("/devices").to(t, "/signin?next=%2Fdevices")
	c.get("/devices").to(t, "/signin?next=%2Fdevices")

	stranger.get("/settings/people/"+string(p.ID)).want(t, 403)
	admin := w.byPassphrase(w.person("Ada Marsh", ward.RoleAdmin))
	admin.get("/settings/people/"+string(p.ID)).want(t, 200, "Where they are signed in", "127.0.0.1")
	admin.post("/settings/people/"+string(p.ID)+"/sessions/end-all", nil).to(t, "/settings/people/"+string(p.ID))
	a.get("/devices").to(t, "/signin?next=%2Fdevices")
}

// trust adds a provider to a world before it serves.
func trust(t *testing.T, users ...signintest.User) (w *world, op *signintest.OP) {
	t.Helper()
	grants := map[string]ward.Role{"ward-helpdesk": ward.RoleSupport, "ward-admins": ward.RoleAdmin, "all-staff": ward.RoleStaff}
	w = newWorldWith(t, func(w *world, o *web.Options) {
		op = signintest.New(t, signintest.Options{Redirect: w.url + web.ProviderBack("trust")}, users...)
		p, err := signin.New(signin.Config{
			Name: "Trust", Issuer: op.URL, ClientID: signintest.ClientID, Secret: signintest.Secret, Scopes: []string{"profile", "email", "offline_access"},
			Redirect: w.url + web.ProviderBack("trust"), Client: op.Client, Now: w.now,
		})
		w.must(err)
		o.Accounts.Providers = []web.NamedProvider{{Slug: "trust", Provider: p}}
		w.provider = p
		w.signIn.Provided = true
		w.signIn.Grant = func(provider string, groups []string) (roles []ward.Role, scope ward.Scope) {
			for _, g := range groups {
				if r, ok := grants[g]; ok && provider == "Trust" {
					roles = append(roles, r)
				}
				if g == "ward-north" {
					scope.Sites = append(scope.Sites, "North")
				}
			}
			return roles, scope
		}
	})
	return w, op
}

// arrive signs a user in by the provider and returns the answer to coming back.
func (v *visitor) arrive(op *signintest.OP, from, user string) answer {
	v.w.t.Helper()
	out := v.get(from)
	if out.status != http.StatusSeeOther || !strings.HasPrefix(out.location, op.URL) {
		v.w.t.Fatalf("GET %s = %d to %q: %s", from, out.status, out.location, out.text())
	}
	back := op.SignIn(out.location, user)
	return v.get(strings.TrimPrefix(back, v.w.url))
}

// TestProvider: people come in by their organisation's account, with what their groups give, and
// lose it when their groups or their account do.
func TestProvider(t *testing.T) {
	t.Parallel()
	maud := signintest.User{ID: "maud", Name: "Maud Ellery", Email: "maud@trust.example", Groups: []string{"ward-helpdesk", "ward-north"}}
	w, op := trust(t, maud, signintest.User{ID: "joan", Name: "Joan Hughes", Groups: []string{"kitchen"}}, signintest.User{ID: "tess", Name: "Maud Ellery", Groups: []string{"all-staff"}})
	v := w.visitor()
	v.get("/signin").want(t, 200, "Sign in with Trust", "emergency account")
	v.arrive(op, "/signin/with/trust?next=%2Forders", "maud").to(t, "/orders")
	v.get("/devices").want(t, 200, "Maud Ellery")
	p, err := w.access.PersonByName(w.system(), "Maud Ellery")
	w.must(err)
	if len(p.Roles) != 1 || p.Roles[0] != ward.RoleSupport || len(p.Scope.Sites) != 1 || p.Scope.Sites[0] != "North" || p.Email != "maud@trust.example" {
		t.Errorf("person = %+v; want a help desk of the site North", p)
	}

	n := w.visitor() // nobody comes in whom no group lets in
	n.arrive(op, "/signin/with/trust", "joan").want(t, 403, "none of your groups there gives you anything")
	n.get("/devices").to(t, "/signin?next=%2Fdevices")
	if _, err := w.access.PersonByName(w.system(), "Joan Hughes"); ward.KindOf(err) != ward.NotFound {
		t.Errorf("a person was made for one who may not come in: %v", err)
	}

	s := w.visitor() // of the same name, and somebody else
	s.arrive(op, "/signin/with/trust", "tess").to(t, "/mine")
	if _, err := w.access.PersonByName(w.system(), "Maud Ellery (2)"); err != nil {
		t.Errorf("the second of a name: %v", err)
	}

	local := w.person("Grace Lin", ward.RoleSupport) // passphrases are for emergencies
	w.visitor().post("/signin", url.Values{"name": {local.Name}, "passphrase": {passphrase}}).want(t, 403, "organisation’s account")
	w.must(w.signIn.SetBreakGlass(w.system(), local.ID, true))
	w.byPassphrase(local)

	// Groups change: the next check carries it over.
	maud.Groups = []string{"ward-admins"}
	op.Set(maud)
	w.recheck(0)
	v.get("/settings/people").want(t, 200, "Maud Ellery")
	// The provider is away: for an hour everything goes on.
	op.Away(true)
	w.recheck(0)
	v.get("/devices").want(t, 200)
	op.Away(false)
	// The account goes: the next check ends the session.
	op.Leave("maud")
	w.recheck(1)
	v.get("/devices").to(t, "/signin?next=%2Fdevices")
}

// TestProviderAway: without a word of the provider for an hour sessions end.
func TestProviderAway(t *testing.T) {
	t.Parallel()
	w, op := trust(t, signintest.User{ID: "maud", Name: "Maud Ellery", Groups: []string{"ward-helpdesk"}})
	v := w.visitor()
	v.arrive(op, "/signin/with/trust", "maud").to(t, "/")
	op.Away(true)
	w.recheck(0)
	v.get("/devices").want(t, 200)
	w.later(61 * time.Minute)
	w.recheck(1)
	v.get("/devices").to(t, "/signin?next=%2Fdevices")
}

// TestProviderWrong: what was begun elsewhere, or is answered twice, signs nobody in.
func TestProviderWrong(t *testing.T) {
	t.Parallel()
	w, op := trust(t, signintest.User{ID: "maud", Name: "Maud Ellery", Groups: []string{"ward-helpdesk"}}, signintest.User{ID: "ben", Name: "Ben Carter", Groups: []string{"ward-helpdesk"}})
	v, thief := w.visitor(), w.visitor()
	out := v.get("/signin/with/trust")
	back := strings.TrimPrefix(op.SignIn(out.location, "maud"), w.url)
	thief.get(back).want(t, 403, "another browser") // without a session
	thief.get("/signin/with/trust")
	thief.get(back).want(t, 403, "another browser") // with one of their own
	v.get(back).to(t, "/")
	v.get(back).want(t, 403, "another browser") // a second time
	v.get("/devices").want(t, 200)
	v.get("/signin/with/nobody").want(t, 404)

	w.later(11 * time.Minute) // asked again, and somebody else answers
	v.get("/settings/tokens/new").to(t, "/confirm?next=%2Fsettings%2Ftokens%2Fnew")
	v.get("/confirm?next=%2Fsettings%2Ftokens%2Fnew").want(t, 200, "Confirm with Trust")
	v.arrive(op, "/confirm/with?next=%2Fsettings%2Ftokens%2Fnew", "ben").want(t, 403)
	v.get("/settings/tokens/new").to(t, "/confirm?next=%2Fsettings%2Ftokens%2Fnew")
}

// TestSignedOutThere: a provider that says that somebody has signed out is believed if it is
// the provider.
func TestSignedOutThere(t *testing.T) {
	t.Parallel()
	w, op := trust(t, signintest.User{ID: "maud", Name: "Maud Ellery", Groups: []string{"ward-helpdesk"}})
	v := w.visitor()
	v.arrive(op, "/signin/with/trust", "maud").to(t, "/")
	w.visitor().post("/signin/with/trust/ended", url.Values{"logout_token": {"forged"}}).want(t, 400)
	v.get("/devices").want(t, 200)
	w.visitor().post("/signin/with/trust/ended", url.Values{"logout_token": {op.LogoutToken("maud", nil)}}).want(t, 200)
	v.get("/devices").to(t, "/signin?next=%2Fdevices")
}

// recheck asks the provider about everybody, and wants so many sessions ended.
func (w *world) recheck(want int) {
	w.t.Helper()
	n, err := w.signIn.Recheck(ward.WithActor(context.Background(), ward.System), "Trust", w.provider, w.now().Add(time.Second))
	if w.must(err); n != want {
		w.t.Errorf("the check ended %d sessions, want %d", n, want)
	}
}

// TestSettingsPages: the pages open for who may, each form does what it says.
func TestSettingsPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.byPassphrase(w.person("Ada Marsh", ward.RoleAdmin))
	admin.get("/settings").want(t, 200, "People", "Roles", "Sessions", "Tokens")
	admin.get("/settings/roles").want(t, 200, "Help desk", "Who may do what", "lock a device")
	admin.post("/settings/people/new", url.Values{"name": {"Joan Hughes"}, "role": {"nobody"}}).want(t, 400, "There is no role")
	made := admin.post("/settings/people/new", url.Values{"name": {"Joan Hughes"}, "email": {"joan@example.org"}, "role": {"support"}, "sites": {"North\nSouth"}})
	made.want(t, 200, "https://ward.example.nhs.uk/setup/", "shown this once")
	p, err := w.access.PersonByName(w.system(), "Joan Hughes")
	w.must(err)
	address := "/settings/people/" + string(p.ID)
	admin.get(address).want(t, 200, "The sites North, South", "Invited", "Make a new set-up link")
	admin.post(address+"/roles", url.Values{"role": {"auditor"}}).to(t, address)
	admin.get(address).want(t, 200, "Nothing: everything")
	admin.post(address+"/roles", nil).want(t, 400, "At least one role is needed")
	admin.post("/settings/roles/new", url.Values{"id": {"clerk"}, "name": {"Ward clerk"}, "description": {"Sees devices"}, "permission": {"device:read"}}).to(t, "/settings/roles")
	admin.get("/settings/roles").want(t, 200, "Ward clerk", "Made here")
	admin.post("/settings/roles/clerk", url.Values{"name": {"Clerk"}, "description": {"Sees devices"}, "permission": {"device:read", "invite:read"}}).to(t, "/settings/roles")
	admin.post("/settings/roles/clerk/remove", nil).to(t, "/settings/roles")
	admin.get("/settings/roles").want(t, 200, "The role Clerk is removed")
	admin.get("/settings/roles").want(t, 200, "!Clerk")

	token := admin.post("/settings/tokens/new", url.Values{"name": {"nightly"}, "days": {"30"}, "scope": {"device:read"}})
	token.want(t, 200, "ward_", "shown this once")
	admin.get("/settings/tokens").want(t, 200, "nightly", "1 permission", "!ward_")

	desk := w.byPassphrase(w.person("Maud Ellery", ward.RoleSupport))
	desk.get("/settings").want(t, 200, "Sessions", "!People")
	desk.get("/settings/people").want(t, 403)
	desk.get("/settings/people/new").want(t, 403)
	desk.post(address+"/roles", url.Values{"role": {"admin"}}).want(t, 403)
}
