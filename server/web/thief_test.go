package web_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/approver/approvertest"
	"github.com/wardmdm/ward/server/audit"
)

// passkey is one in software, for this world's address.
func (w *world) passkey() *approvertest.Passkey {
	w.t.Helper()
	k, err := approvertest.New(w.signIn.RPID, w.signIn.Origin)
	w.must(err)
	return k
}

var asked = regexp.MustCompile(`data-ask="([^"]+)"`)

// question is what a page gives to a passkey.
func (v *visitor) question(path string) []byte {
	v.w.t.Helper()
	page := v.get(path)
	m := asked.FindStringSubmatch(page.body)
	if page.status != http.StatusOK || m == nil {
		v.w.t.Fatalf("GET %s = %d to %q and asks no passkey: %s", path, page.status, page.location, page.text())
	}
	return []byte(strings.NewReplacer("&#34;", `"`, "&amp;", "&", "&#43;", "+", "&lt;", "<", "&gt;", ">").Replace(m[1]))
}

// addPasskey makes a passkey for signing in theirs.
func (v *visitor) addPasskey(k *approvertest.Passkey) {
	v.w.t.Helper()
	response, err := k.Create(v.question("/settings/second-factor/passkey"))
	v.w.must(err)
	v.post("/settings/second-factor/passkey", url.Values{"name": {"Phone"}, "response": {string(response)}}).to(v.w.t, "/settings/second-factor")
}

// answers is what a passkey says to a question that names none: the person chooses.
func (w *world) answers(k *approvertest.Passkey, question []byte) string {
	w.t.Helper()
	var o struct {
		PublicKey struct {
			Challenge protocol.URLEncodedBase64 `json:"challenge"`
		} `json:"publicKey"`
	}
	w.must(json.Unmarshal(question, &o))
	return string(k.SignChallenge(o.PublicKey.Challenge))
}

// byPasskey answers the page for passkeys.
func (v *visitor) byPasskey(k *approvertest.Passkey, next string) answer {
	v.w.t.Helper()
	return v.post("/signin/passkey", url.Values{"response": {v.w.answers(k, v.question("/signin/passkey"))}, "next": {next}})
}

// TestPasskeySignIn: a passkey stands in for passphrase and code; one that lies about any of
// what makes it one lets nobody in, and each question is answered once.
func TestPasskeySignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signIn.SecondFactor = access.FactorRequired
	p := w.person("Maud Ellery", ward.RoleSupport)
	v, k := w.byPassphrase(p), w.passkey()
	v.get("/devices").to(t, "/settings/second-factor")
	v.addPasskey(k)
	v.get("/settings/second-factor").want(t, 200, "Phone")
	v.get("/devices").want(t, 200)

	w.visitor().byPasskey(k, "/orders").to(t, "/orders")
	w.visitor().byPasskey(k, "https://evil.example/").to(t, "/")
	w.visitor().post("/signin", url.Values{"name": {p.Name}, "passphrase": {passphrase}}).want(t, 403, "Sign in with your passkey")

	lies := map[string]func(k *approvertest.Passkey){
		"nobody touched it":          func(k *approvertest.Passkey) { k.Absent = true },
		"it recognised nobody":       func(k *approvertest.Passkey) { k.Unverified = true },
		"its browser was elsewhere":  func(k *approvertest.Passkey) { k.Origin = "https://evil.example" },
		"it signed for another host": func(k *approvertest.Passkey) { k.RPID = "evil.example" },
	}
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			one := *k
			lie(&one)
			u := w.visitor()
			u.byPasskey(&one, "/devices").want(t, 401, "does not sign you in")
			u.get("/devices").to(t, "/signin?next=%2Fdevices")
		})
	}
	w.visitor().byPasskey(w.passkey(), "/devices").want(t, 401, "does not sign you in") // that nobody knows

	// The answer to one question, sent again, and sent by another browser.
	u := w.visitor()
	form := url.Values{"response": {w.answers(k, u.question("/signin/passkey"))}}
	other := w.visitor()
	other.question("/signin/passkey")
	other.post("/signin/passkey", form).want(t, 401)
	u.post("/signin/passkey", form).to(t, "/")
	u.post("/signout", nil).to(t, "/signin")
	u.post("/signin/passkey", form).want(t, 403, "was asked already")
	late := w.answers(k, u.question("/signin/passkey"))
	w.later(6 * time.Minute)
	u.post("/signin/passkey", url.Values{"response": {late}}).want(t, 403, "took longer")
}

// TestPasskeyCopied: a key that counts and whose count goes back was copied.
func TestPasskeyCopied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v, k := w.byPassphrase(w.person("Maud Ellery", ward.RoleSupport)), w.passkey()
	k.Counter = 5
	v.addPasskey(k)
	for _, step := range []struct {
		count uint32
		in    bool
	}{{6, true}, {6, false}, {2, false}, {7, true}} {
		k.Counter = step.count
		a := w.visitor().byPasskey(k, "/devices")
		if step.in {
			a.to(t, "/devices")
		} else {
			a.want(t, 403, "may have been copied")
		}
	}
}

// TestPasskeyEnds: a passkey ends with its person's account, with a reset, and when it is
// removed; and it proves nobody else.
func TestPasskeyEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := w.byPassphrase(w.person("Root", ward.RoleAdmin))
	people, keys, seats := map[string]access.Person{}, map[string]*approvertest.Passkey{}, map[string]*visitor{}
	for _, name := range []string{"Disabled", "Reset", "Removed", "Other"} {
		people[name], keys[name] = w.person(name, ward.RoleSupport), w.passkey()
		seats[name] = w.byPassphrase(people[name])
		seats[name].addPasskey(keys[name])
	}
	w.later(11 * time.Minute)
	v := seats["Removed"]
	confirm := func(k *approvertest.Passkey) answer {
		response := w.answers(k, v.question("/confirm?next=%2Fsettings%2Ftokens%2Fnew"))
		return v.post("/confirm/passkey", url.Values{"response": {response}, "next": {"/settings/tokens/new"}})
	}
	v.get("/settings/tokens/new").to(t, "/confirm?next=%2Fsettings%2Ftokens%2Fnew")
	confirm(keys["Other"]).want(t, 403, "somebody else")
	v.get("/settings/tokens/new").to(t, "/confirm?next=%2Fsettings%2Ftokens%2Fnew")
	confirm(keys["Removed"]).to(t, "/settings/tokens/new")
	v.get("/settings/tokens/new").want(t, 200)

	v.post("/settings/second-factor/passkey/remove", url.Values{"id": {v.passkeyID()}}).to(t, "/settings/second-factor")
	root.post("/confirm", url.Values{"passphrase": {passphrase}}).to(t, "/")
	root.post("/settings/people/"+string(people["Reset"].ID)+"/reset", nil).to(t, "/settings/people/"+string(people["Reset"].ID))
	root.post("/settings/people/"+string(people["Disabled"].ID)+"/disable", nil)
	for _, name := range []string{"Disabled", "Reset", "Removed"} {
		w.visitor().byPasskey(keys[name], "/devices").want(t, 401, "does not sign you in")
	}
	w.visitor().byPasskey(keys["Other"], "/devices").to(t, "/devices")
}

// passkeyID is the id of the one passkey on the page.
func (v *visitor) passkeyID() string {
	v.w.t.Helper()
	m := regexp.MustCompile(`name="id" value="([^"]+)"`).FindStringSubmatch(v.get("/settings/second-factor").body)
	if m == nil {
		v.w.t.Fatal("the page shows no passkey")
	}
	return m[1]
}

// TestPasskeyNotForProvided: where providers are set up, a passkey is for emergencies only.
func TestPasskeyNotForProvided(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person("Maud Ellery", ward.RoleSupport)
	k := w.passkey()
	w.byPassphrase(p).addPasskey(k)
	w.signIn.Provided = true
	w.visitor().byPasskey(k, "/devices").want(t, 403, "organisation’s account")
	w.must(w.signIn.SetBreakGlass(w.system(), p.ID, true))
	w.visitor().byPasskey(k, "/devices").to(t, "/devices")
}

// TestLinkIsNoSecondFactor: a link that was found lets nobody in where a passkey is needed, and
// the log does not say that somebody signed in who did not.
func TestLinkIsNoSecondFactor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.signIn.SecondFactor = access.FactorRequired
	byKey, byApp := w.person("Maud Ellery", ward.RoleSupport), w.person("Grace Lin", ward.RoleSupport)
	w.byPassphrase(byKey).addPasskey(w.passkey())
	w.byPassphrase(byApp).setUpApp(t)
	signedIn := func(p access.Person) int {
		all, err := w.audit.List(w.system(), audit.Filter{Subject: string(p.ID), Action: access.ActionSignedIn, Limit: 50})
		w.must(err)
		return len(all)
	}
	for _, p := range []access.Person{byKey, byApp} {
		before := signedIn(p)
		link, err := w.access.CreateLink(w.system(), p.ID, access.LinkSignIn, time.Hour)
		w.must(err)
		v := w.visitor()
		if a := v.post("/signin/"+link, nil); p.ID == byKey.ID {
			a.want(t, 403, "Sign in with your passkey")
		} else {
			a.to(t, "/signin/code")
		}
		v.get("/devices").to(t, "/signin?next=%2Fdevices")
		if got := signedIn(p); got != before {
			t.Errorf("%s signed in %d times by the log, want %d: nobody did by the link", p.Name, got, before)
		}
	}
	w.signIn.SecondFactor = access.FactorOptional
	joan := w.person("Joan Hughes", ward.RoleSupport)
	w.signedIn(joan).get("/devices").want(t, 200)
	if got := signedIn(joan); got != 1 {
		t.Errorf("Joan Hughes signed in %d times by the log, want once", got)
	}
}
