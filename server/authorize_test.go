package server

import (
	"crypto/tls"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/appgate"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/lost"
)

// door asks a server whether the holder of a certificate may come in.
type door struct {
	w      *world
	client *http.Client
}

// door connects as the holder of a certificate.
func (w *world) door(t testing.TB, c tls.Certificate) door {
	t.Helper()
	rt := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: w.Authority.Pool(), Certificates: []tls.Certificate{c}}}
	t.Cleanup(rt.CloseIdleConnections)
	return door{w, &http.Client{Transport: rt, Timeout: 10 * time.Second}}
}

// ask returns "" for yes, or the reason.
func (d door) ask(t testing.TB) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.w.URL()+"/authorize/app/"+messenger, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := d.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, res.Body)
	if err = firstOf(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	reason := res.Header.Get("X-Ward-Reason")
	if (res.StatusCode == http.StatusNoContent) != (reason == "") {
		t.Fatalf("answered %d with the reason %q", res.StatusCode, reason)
	}
	return reason
}

func (d door) says(t testing.TB, when, want string) {
	t.Helper()
	last := "nothing"
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s: the last answer was %q, want %q", when, last, want)
		}
	})
	eventually(t, when, func() bool {
		last = d.ask(t)
		return last == want
	})
}

// TestAuthorize follows a phone through what decides whether its app comes in.
func TestAuthorize(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		w := start(t, url, nil)
		p := w.phone(t, "A", func(o *virtual.Options) { o.Supervised = true })
		id := w.enrol(t, p, ward.Corporate)
		if _, err := w.Policy.Publish(w.ctx, profiles.ExamplePolicy()); err != nil {
			t.Fatal(err)
		}
		checkIn := func() {
			t.Helper()
			if err := p.CheckIn(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "the app", func() bool { checkIn(); return hasToken(p) })
		app := w.appOf(t, p)
		d := w.door(t, app)
		d.says(t, "a phone that complies", "")

		if err := p.SetPasscode(""); err != nil {
			t.Fatal(err)
		}
		if err := w.Devices.Refresh(w.ctx, id); err != nil {
			t.Fatal(err)
		}
		checkIn()
		d.says(t, "a phone whose passcode was taken away", "non-compliant")
		if err := p.SetPasscode("481516"); err != nil {
			t.Fatal(err)
		}
		if err := w.Devices.Refresh(w.ctx, id); err != nil {
			t.Fatal(err)
		}
		checkIn()
		d.says(t, "a phone with a passcode again", "")

		group := w.show(t, string(id)).Device.Group
		if err := w.Devices.Move(w.ctx, id, "quarantine"); err != nil {
			t.Fatal(err)
		}
		d.says(t, "a phone in quarantine", "quarantined")
		if err := w.Devices.Move(w.ctx, id, group); err != nil {
			t.Fatal(err)
		}
		d.says(t, "a phone let out of quarantine", "")

		w.clock.forward(compliance.TooOld + time.Minute)
		d.says(t, "a phone that has been silent for three days", "stale")
		checkIn()
		d.says(t, "a phone that is back", "")

		w.lostAndFound(t, p, id, d)
	})
}

// lostAndFound: a report shuts the app out at once, its old certificate for good, and
// when the phone leaves management so does the new one.
func (w *world) lostAndFound(t *testing.T, p *virtual.Phone, id ward.DeviceID, d door) {
	t.Helper()
	cases, err := w.Lost.Report(w.ctx, lost.Report{Devices: []ward.DeviceID{id}})
	if err != nil {
		t.Fatal(err)
	}
	if got := d.ask(t); got != "lost" {
		t.Errorf("right after the report the answer is %q, want lost", got)
	}
	if _, err := w.Lost.Found(w.ctx, cases[0].ID, "in a drawer"); err != nil {
		t.Fatal(err)
	}
	d.says(t, "the old certificate of a phone that was found", "revoked")
	token := func() string {
		config, _ := p.ManagedConfig(messenger)
		s, _ := config[virtual.ConfigToken].(string)
		return s
	}
	old := token()
	eventually(t, "a new token", func() bool {
		if err := p.CheckIn(t.Context()); err != nil {
			t.Fatal(err)
		}
		return token() != old
	})
	next := w.door(t, w.appOf(t, p))
	t.Cleanup(func() {
		if t.Failed() {
			v, err := w.db.Authorize().Verdict(w.ctx, id)
			t.Logf("verdict %+v, %v; assessed %+v", v, err, w.show(t, string(id)).Assessment)
		}
	})
	next.says(t, "a new certificate of a phone that was found", "")
	if err := w.Authorizer.Flush(w.ctx); err != nil {
		t.Fatal(err)
	}
	uses, err := w.db.Authorize().Uses(t.Context(), id)
	if err != nil || len(uses) != 2 {
		t.Errorf("Uses() = %v, %v; want two certificates", uses, err)
	}
	if n := w.audited(t, "certificate.refused"); n == 0 {
		t.Error("no refusal stands in the audit log")
	}
	if err := p.RemoveManagement(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := next.ask(t); got != "unenrolled" {
		t.Errorf("when management was removed the answer is %q, want unenrolled", got)
	}
}

// TestAuthorizeCopies: what one copy of the server is told counts at the other within a
// second, also while that is asked all the time.
func TestAuthorizeCopies(t *testing.T) {
	t.Parallel()
	a, b, push := twoCopies(t)
	a.devices.Roots().AppendCertsFromPEM(push.CAPEM())
	p := a.phone(t, "1", func(o *virtual.Options) {
		o.PushURL, o.Supervised = push.URL(), true
		o.Store = []virtual.StoreApp{{ID: 42, Installed: virtual.Installed{BundleID: messenger, Name: "Ward Messenger"}}}
	})
	id := a.enrol(t, p, ward.Corporate)
	a.on(t, p)
	if _, err := b.Policy.Publish(b.ctx, storePolicy(t)); err != nil {
		t.Fatal(err)
	}
	await(t, p, "the approved app", hasToken)
	d := a.door(t, a.appOf(t, p))
	d.says(t, "a phone that complies", "")
	if _, err := b.Lost.Report(b.ctx, lost.Report{Devices: []ward.DeviceID{id}}); err != nil {
		t.Fatal(err)
	}
	reported := time.Now()
	asked := 0
	for d.ask(t) == "" {
		if asked++; time.Since(reported) > patience {
			t.Fatal("the other copy lets the phone in for ever")
		}
	}
	took := time.Since(reported)
	t.Logf("the other copy said no %s after the report, at the question %d", took, asked+1)
	if took > time.Second {
		t.Errorf("the other copy said no after %s, want less than a second", took)
	}
}

// TestAuthorizeMistakes: a configuration that would let nobody or anybody ask is refused.
func TestAuthorizeMistakes(t *testing.T) {
	t.Parallel()
	short := filepath.Join(t.TempDir(), "short")
	writeFile(t, short, []byte("short"))
	words := filepath.Join(t.TempDir(), "words")
	writeFile(t, words, []byte(strings.Repeat("two words ", 8)))
	for name, c := range map[string]struct {
		change func(*Authorize)
		want   string
	}{
		"no header":              {func(a *Authorize) { a.Header = "" }, "authorize.certificate_header"},
		"a header with a blank":  {func(a *Authorize) { a.Header = "X Cert" }, "authorize.certificate_header"},
		"the secret's header":    {func(a *Authorize) { a.Header = strings.ToLower(appgate.SecretHeader) }, "authorize.certificate_header"},
		"no network":             {func(a *Authorize) { a.SecretFile, a.TrustedProxies = short, []string{"10.1.2.3"} }, "authorize.trusted_proxies"},
		"proxies without secret": {func(a *Authorize) { a.TrustedProxies = []string{"10.1.2.3/32"} }, "authorize.trusted_proxies"},
		"no file":                {func(a *Authorize) { a.SecretFile = short + "er" }, "authorize.secret_file"},
		"a short secret":         {func(a *Authorize) { a.SecretFile = short }, "authorize.secret_file"},
		"a secret of words":      {func(a *Authorize) { a.SecretFile = words }, "authorize.secret_file"},
	} {
		conf := trialConfig(t, listen(t), "")
		c.change(&conf.Authorize)
		if _, err := New(t.Context(), conf); ward.KindOf(err) != ward.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want invalid for %s", name, err, c.want)
		}
	}
}
