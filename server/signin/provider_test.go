package signin_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/signin"
	"github.com/wardmdm/ward/server/signin/signintest"
)

const redirect = "https://ward.example/signin/with/trust/back"

// rig is a provider and its client, with a clock that the test moves.
type rig struct {
	*signin.Provider
	t     *testing.T
	op    *signintest.OP
	ahead atomic.Int64 // of the client's clock
}

func newRig(t *testing.T, o signintest.Options, change func(*signin.Config), users ...signintest.User) *rig {
	t.Helper()
	o.Redirect = redirect
	g := &rig{t: t, op: signintest.New(t, o, users...)}
	c := signin.Config{
		Name: "Trust", Issuer: g.op.URL, ClientID: signintest.ClientID, Secret: signintest.Secret, Scopes: []string{"profile", "email", "offline_access"}, Redirect: redirect,
		Client: g.op.Client, Now: func() time.Time { return time.Now().Add(time.Duration(g.ahead.Load())) },
	}
	if change != nil {
		change(&c)
	}
	var err error
	if g.Provider, err = signin.New(c); err != nil {
		t.Fatal(err)
	}
	return g
}

// begin sends somebody to the provider, who signs in there and is sent back.
func (g *rig) begin(user string, again bool) (keep string, back url.Values) {
	g.t.Helper()
	address, keep, err := g.Begin(g.t.Context(), again)
	if err != nil {
		g.t.Fatal(err)
	}
	u, err := url.Parse(g.op.SignIn(address, user))
	if err != nil || !strings.HasPrefix(u.String(), redirect+"?") {
		g.t.Fatalf("sent back to %v, %v", u, err)
	}
	return keep, u.Query()
}

var maud = signintest.User{ID: "maud", Name: "Maud Ellery", Email: "maud@trust.example", Groups: []string{"ward-helpdesk", "all-staff"}}

// TestFinish: who somebody is, by the ID token and by the user info, with a secret and with a key.
func TestFinish(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		options signintest.Options
		change  func(*signin.Config)
	}{
		"user info": {},
		"ID token":  {options: signintest.Options{InToken: true}},
		"key": {signintest.Options{Key: key}, func(c *signin.Config) {
			c.Secret, c.Key, c.KeyID = "", key, signintest.KeyID
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, c.options, c.change, maud)
			keep, back := g.begin("maud", false)
			a, x, err := g.Finish(t.Context(), keep, back)
			if err != nil {
				t.Fatal(err)
			}
			want := access.Arrival{Provider: "Trust", Issuer: g.op.URL, Subject: "maud", External: "maud", Name: "Maud Ellery", Email: "maud@trust.example", Groups: maud.Groups, Grouped: true}
			if diff := cmp.Diff(want, a); diff != "" {
				t.Errorf("arrival mismatch (-want +got):\n%s", diff)
			}
			if x.How != access.ByProvider || x.Provider != "Trust" || x.Subject != "maud" || x.Refresh == "" {
				t.Errorf("session = %+v", x)
			}
			// The code is good once, whoever holds what the session kept.
			if _, _, err := g.Finish(t.Context(), keep, back); ward.KindOf(err) != ward.Forbidden {
				t.Errorf("a second time: %v; want Forbidden", err)
			}
		})
	}
}

// TestWrongAnswers: what is not the answer to this very question lets nobody in.
func TestWrongAnswers(t *testing.T) {
	t.Parallel()
	flight := func(keep string, change func(map[string]any)) string {
		var f map[string]any
		if err := json.Unmarshal([]byte(keep), &f); err != nil {
			t.Error(err)
		}
		change(f)
		b, err := json.Marshal(f)
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	for name, c := range map[string]struct {
		options signintest.Options
		do      func(g *rig, keep *string, back url.Values)
		says    string
	}{
		"another session's state": {do: func(g *rig, keep *string, _ url.Values) { _, *keep, _ = g.Begin(t.Context(), false) }, says: "another browser"},
		"no state":                {do: func(_ *rig, _ *string, back url.Values) { back.Del("state") }, says: "another browser"},
		"no flight":               {do: func(_ *rig, keep *string, _ url.Values) { *keep = "" }, says: "another browser"},
		"too late":                {do: func(g *rig, _ *string, _ url.Values) { g.ahead.Store(int64(16 * time.Minute)) }, says: "took too long"},
		"another issuer":          {do: func(_ *rig, _ *string, back url.Values) { back.Set("iss", "https://evil.example") }, says: "another provider"},
		"another provider's": {do: func(_ *rig, keep *string, _ url.Values) {
			*keep = flight(*keep, func(f map[string]any) { f["p"] = "Other" })
		}, says: "another browser"},
		"another nonce": {do: func(_ *rig, keep *string, _ url.Values) {
			*keep = flight(*keep, func(f map[string]any) { f["n"] = "another" })
		}, says: "does not hold"},
		"another verifier": {do: func(_ *rig, keep *string, _ url.Values) {
			*keep = flight(*keep, func(f map[string]any) { f["v"] = strings.Repeat("v", 43) })
		}, says: "does not hold"},
		"another code": {do: func(_ *rig, _ *string, back url.Values) { back.Set("code", "another") }, says: "does not hold"},
		"expired":      {options: signintest.Options{Life: time.Second}, do: func(g *rig, _ *string, _ url.Values) { g.ahead.Store(int64(5 * time.Minute)) }, says: "does not hold"},
		"of the future": {do: func(g *rig, keep *string, _ url.Values) {
			g.ahead.Store(int64(-5 * time.Minute))
			*keep = flight(*keep, func(f map[string]any) { f["t"] = time.Now().Add(-6 * time.Minute) })
		}, says: "does not hold"},
		"stopped": {do: func(_ *rig, _ *string, back url.Values) { back.Set("error", "access_denied") }, says: "did not let you in"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, c.options, nil, maud)
			keep, back := g.begin("maud", false)
			c.do(g, &keep, back)
			_, _, err := g.Finish(t.Context(), keep, back)
			if ward.KindOf(err) != ward.Forbidden || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Finish: %v; want Forbidden with %q", err, c.says)
			}
		})
	}
}

// TestAnotherAudience: a token that the provider made for another of its clients is not ours.
func TestAnotherAudience(t *testing.T) {
	t.Parallel()
	var other atomic.Value
	g := newRig(t, signintest.Options{InToken: true}, func(c *signin.Config) { c.Client = swapped(c.Client, &other) }, maud)
	their, err := signin.New(signin.Config{Name: "Trust", Issuer: g.op.URL, ClientID: "other", Secret: signintest.Secret, Redirect: redirect, Client: keeping(g.op.Client, &other), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	address, keep, err := their.Begin(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(g.op.SignIn(address, "maud"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := their.Finish(t.Context(), keep, u.Query()); err != nil {
		t.Fatal(err)
	}
	keep, back := g.begin("maud", false)
	if _, _, err := g.Finish(t.Context(), keep, back); ward.KindOf(err) != ward.Forbidden || !strings.Contains(err.Error(), "audience") {
		t.Errorf("Finish with another client's ID token: %v; want Forbidden for its audience", err)
	}
}

// TestAgain: who is asked anew has to prove it now; a provider that does not say when is refused.
func TestAgain(t *testing.T) {
	t.Parallel()
	g := newRig(t, signintest.Options{}, nil, maud)
	address, _, err := g.Begin(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	if u, err := url.Parse(address); err != nil || u.Query().Get("prompt") != "login" || u.Query().Get("max_age") != "0" || u.Query().Get("code_challenge_method") != "S256" {
		t.Errorf("address = %s, %v", address, err)
	}
	keep, back := g.begin("maud", true)
	if _, _, err := g.Finish(t.Context(), keep, back); err != nil {
		t.Errorf("Finish after a fresh sign-in: %v", err)
	}
	keep, back = g.begin("maud", true)
	keep = strings.Replace(keep, `"t":"`+time.Now().UTC().Format("2006"), `"t":"2999`, 1)
	if _, _, err := g.Finish(t.Context(), keep, back); ward.KindOf(err) != ward.Forbidden {
		t.Errorf("Finish with an old sign-in: %v; want Forbidden", err)
	}
}

// TestRecheck: what a provider says later of somebody who has a session.
func TestRecheck(t *testing.T) {
	t.Parallel()
	g := newRig(t, signintest.Options{}, nil, maud)
	keep, back := g.begin("maud", false)
	_, x, err := g.Finish(t.Context(), keep, back)
	if err != nil {
		t.Fatal(err)
	}
	a, refresh, err := g.Recheck(t.Context(), x)
	if err != nil || !cmp.Equal(a.Groups, maud.Groups) || refresh == "" || refresh == x.Refresh {
		t.Fatalf("Recheck = %+v, %q, %v", a, refresh, err)
	}
	x.Refresh = refresh
	g.op.Away(true)
	if _, _, err := g.Recheck(t.Context(), x); ward.KindOf(err) != ward.Unavailable {
		t.Errorf("Recheck while the provider is away: %v; want Unavailable", err)
	}
	g.op.Away(false)
	g.op.Leave("maud")
	if _, _, err := g.Recheck(t.Context(), x); ward.KindOf(err) != ward.Forbidden {
		t.Errorf("Recheck of one who left: %v; want Forbidden", err)
	}
}

// TestLoggedOut: what a provider says when somebody signs out there.
func TestLoggedOut(t *testing.T) {
	t.Parallel()
	g := newRig(t, signintest.Options{}, nil, maud)
	if sub, sid, err := g.LoggedOut(t.Context(), g.op.LogoutToken("maud", map[string]any{"sid": "s1"})); sub != "maud" || sid != "s1" || err != nil {
		t.Errorf("LoggedOut = %q, %q, %v; want maud, s1", sub, sid, err)
	}
	for name, c := range map[string]map[string]any{
		"a nonce": {"nonce": "n"}, "another client": {"aud": "other"}, "another issuer": {"iss": "https://evil.example"}, "no event": {"events": map[string]any{}},
		"old": {"iat": time.Now().Add(-time.Hour).Unix(), "exp": time.Now().Add(time.Hour).Unix()}, "nobody": {"sub": nil}, "expired": {"exp": time.Now().Add(-10 * time.Minute).Unix()},
	} {
		if _, _, err := g.LoggedOut(t.Context(), g.op.LogoutToken("maud", c)); ward.KindOf(err) != ward.Invalid {
			t.Errorf("with %s: %v; want Invalid", name, err)
		}
	}
}

// TestOverage: Entra ID leaves the groups out where there are too many, and it is said.
func TestOverage(t *testing.T) {
	t.Parallel()
	u := maud
	u.Groups, u.Claims = nil, map[string]any{"_claim_names": map[string]string{"groups": "src1"}, "_claim_sources": map[string]any{"src1": map[string]string{"endpoint": "https://graph.example/maud"}}, "oid": "object-7"}
	g := newRig(t, signintest.Options{InToken: true}, func(c *signin.Config) { c.ExternalClaim = "oid" }, u)
	keep, back := g.begin("maud", false)
	a, _, err := g.Finish(t.Context(), keep, back)
	if err != nil || a.Grouped || a.External != "object-7" || !strings.Contains(a.Why, "more groups") {
		t.Errorf("arrival = %+v, %v; want it to say that there are too many groups", a, err)
	}
}

// TestAway: a provider that does not answer is told as such, and asked again later.
func TestAway(t *testing.T) {
	t.Parallel()
	g := newRig(t, signintest.Options{}, nil, maud)
	g.op.Away(true)
	if _, _, err := g.Begin(t.Context(), false); ward.KindOf(err) != ward.Unavailable {
		t.Errorf("Begin while the provider is away: %v; want Unavailable", err)
	}
	g.op.Away(false)
	if _, _, err := g.Begin(t.Context(), false); err != nil {
		t.Errorf("Begin afterwards: %v", err)
	}
}

// keeping keeps the ID token of the last answer; swapped gives it in the place of another.
func keeping(c *http.Client, kept *atomic.Value) *http.Client {
	return &http.Client{Transport: swap{c.Transport, kept, false}}
}

func swapped(c *http.Client, kept *atomic.Value) *http.Client {
	return &http.Client{Transport: swap{c.Transport, kept, true}}
}
