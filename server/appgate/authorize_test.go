package appgate_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward/server/appgate"
	"github.com/wardmdm/ward/server/authorize"
)

// der is what would be a certificate if anybody parsed it; its base64 has plus signs and
// slashes.
var der = append([]byte{0x30, 0x82, 0x01, 0x00}, []byte(strings.Repeat("\xfb\xff\xbe>?", 52))...)

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

const (
	secret = "0123456789abcdef0123456789abcdef"
	header = "X-SSL-Client-Escaped-Cert"
)

// asked is what the gate asked the rules.
type asked struct {
	Hash string
	Want authorize.Want
}

type gate struct {
	http.Handler
	asked   []asked
	counted []authorize.Reason
	answer  authorize.Decision
	err     error
}

func newGate(change func(*appgate.AuthorizeOptions)) *gate {
	g := &gate{answer: authorize.Decision{Reason: authorize.Allowed, Device: "d1", App: "org.example.chat", Email: "ada@hospital.example"}}
	o := appgate.AuthorizeOptions{
		Ask: func(_ context.Context, hash string, w authorize.Want) (authorize.Decision, error) {
			g.asked = append(g.asked, asked{hash, w})
			return g.answer, g.err
		},
		Header: header, Secret: secret, Count: func(r authorize.Reason) { g.counted = append(g.counted, r) },
	}
	if change != nil {
		change(&o)
	}
	g.Handler = appgate.NewAuthorize(o)
	return g
}

// got is what matters of an answer.
type got struct {
	Status                    int
	Reason, Device, App, User string
	Body                      string
}

func (g *gate) ask(t *testing.T, path string, change func(*http.Request)) got {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	h := w.Header()
	if w.Code < 300 && h.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: the answer may be cached", path)
	}
	return got{w.Code, h.Get("X-Ward-Reason"), h.Get("X-Ward-Device"), h.Get("X-Ward-App"), h.Get("X-Ward-User"), w.Body.String()}
}

func passing(value string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set(appgate.SecretHeader, secret)
		r.Header.Set(header, value)
	}
}

func direct(r *http.Request) {
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: der}}}
}

func TestWhoIsBelieved(t *testing.T) {
	t.Parallel()
	refused := func(r authorize.Reason) got {
		return got{Status: http.StatusForbidden, Reason: string(r), Body: string(r) + ": " + r.Text() + "\n"}
	}
	yes := got{Status: http.StatusNoContent, Device: "d1", App: "org.example.chat"}
	for _, c := range []struct {
		name    string
		options func(*appgate.AuthorizeOptions)
		request func(*http.Request)
		want    got
		asks    bool
	}{
		{"a client with its own certificate", nil, direct, yes, true},
		{"a proxy that knows the secret", nil, passing(hash(der)), yes, true},
		{"nobody", nil, nil, refused(authorize.NoCertificate), false},
		{"a connection without a certificate", nil, func(r *http.Request) { r.TLS = &tls.ConnectionState{} }, refused(authorize.NoCertificate), false},
		{"a header without the secret", nil, func(r *http.Request) { r.Header.Set(header, hash(der)) }, refused(authorize.Untrusted), false},
		{"a header without the secret beside a certificate", nil, func(r *http.Request) { direct(r); r.Header.Set(header, hash(der)) }, refused(authorize.Untrusted), false},
		{"a wrong secret", nil, func(r *http.Request) { passing(hash(der))(r); r.Header.Set(appgate.SecretHeader, secret+"x") }, refused(authorize.Untrusted), false},
		{"an empty secret", nil, func(r *http.Request) { passing(hash(der))(r); r.Header.Set(appgate.SecretHeader, "") }, refused(authorize.Untrusted), false},
		{"two secrets", nil, func(r *http.Request) { passing(hash(der))(r); r.Header.Add(appgate.SecretHeader, secret) }, refused(authorize.Untrusted), false},
		{"no secret configured, none sent", func(o *appgate.AuthorizeOptions) { o.Secret = "" }, func(r *http.Request) { r.Header.Set(header, hash(der)) }, refused(authorize.Untrusted), false},
		{"no secret configured, an empty one sent", func(o *appgate.AuthorizeOptions) { o.Secret = "" }, func(r *http.Request) { passing(hash(der))(r); r.Header.Set(appgate.SecretHeader, "") }, refused(authorize.Untrusted), false},
		{"a proxy without a client's certificate", nil, passing(""), refused(authorize.NoCertificate), false},
		{"a proxy that shows a certificate of its own and passes none", nil, func(r *http.Request) { direct(r); r.Header.Set(appgate.SecretHeader, secret) }, refused(authorize.NoCertificate), false},
		{"two certificates", nil, func(r *http.Request) { passing(hash(der))(r); r.Header.Add(header, hash(der)) }, refused(authorize.Unreadable), false},
		{"no certificate", nil, passing("certificate"), refused(authorize.Unreadable), false},
		{"from a trusted network", func(o *appgate.AuthorizeOptions) { o.Proxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} }, passing(hash(der)), yes, true},
		{"from another network", func(o *appgate.AuthorizeOptions) {
			o.Proxies = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
		}, passing(hash(der)), refused(authorize.Untrusted), false},
		{"with the owner", func(o *appgate.AuthorizeOptions) { o.User = true }, direct, got{Status: http.StatusNoContent, Device: "d1", App: "org.example.chat", User: "ada@hospital.example"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := newGate(c.options)
			if diff := cmp.Diff(c.want, g.ask(t, "/authorize", c.request)); diff != "" {
				t.Errorf("answer mismatch (-want +got)\n%s", diff)
			}
			var want []asked
			if c.asks {
				want = []asked{{hash(der), authorize.Want{Kind: authorize.App}}}
			}
			if diff := cmp.Diff(want, g.asked); diff != "" {
				t.Errorf("asked mismatch (-want +got)\n%s", diff)
			}
			if len(g.counted) != 1 || (c.want.Reason == "") != (g.counted[0] == authorize.Allowed) {
				t.Errorf("counted %v", g.counted)
			}
		})
	}
}

// TestPaths: what is wanted stands in the path, and nothing that a client writes into a
// path behind it, or into a query, changes that.
func TestPaths(t *testing.T) {
	t.Parallel()
	chat, network, anyApp := authorize.Want{Kind: authorize.App, App: "org.example.chat"}, authorize.Want{Kind: authorize.Network}, authorize.Want{Kind: authorize.App}
	for path, c := range map[string]struct {
		want   *authorize.Want
		status int
	}{
		"/authorize": {&anyApp, http.StatusNoContent},
		"/authorize?app=org.example.other&kind=network":          {&anyApp, http.StatusNoContent},
		"/authorize/app/org.example.chat":                        {&chat, http.StatusNoContent},
		"/authorize/app/org.example.chat/":                       {&chat, http.StatusOK},
		"/authorize/app/org.example.chat/v1/messages?x=/network": {&chat, http.StatusOK},
		"/authorize/app/org.example.chat/app/org.example.other":  {&chat, http.StatusOK},
		"/authorize/network":                                     {&network, http.StatusNoContent},
		"/authorize/network/app/org.example.chat":                {&network, http.StatusOK},
		"/authorize/app/org.example.chat/../../network":          {nil, http.StatusTemporaryRedirect},
		"/authorize/app/org.example.chat/%2e%2e/%2e%2e/network":  {&chat, http.StatusOK},
		"/authorize/":         {nil, http.StatusNotFound},
		"/authorize/app":      {nil, http.StatusNotFound},
		"/authorize/anything": {nil, http.StatusNotFound},
	} {
		g := newGate(nil)
		if got := g.ask(t, path, direct); got.Status != c.status {
			t.Errorf("%s was answered %d, want %d", path, got.Status, c.status)
		}
		var want []asked
		if c.want != nil {
			want = []asked{{hash(der), *c.want}}
		}
		if diff := cmp.Diff(want, g.asked); diff != "" {
			t.Errorf("%s: asked mismatch (-want +got)\n%s", path, diff)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	g := newGate(func(o *appgate.AuthorizeOptions) { o.User = true })
	g.answer.Reason = authorize.Lost
	if diff := cmp.Diff(got{Status: http.StatusForbidden, Reason: "lost", Body: "lost: " + authorize.Lost.Text() + "\n"}, g.ask(t, "/authorize", direct)); diff != "" {
		t.Errorf("refusal mismatch (-want +got)\n%s", diff)
	}
	g.answer, g.err = authorize.Decision{Reason: authorize.Failed}, errors.New("down")
	if got := g.ask(t, "/authorize", direct); got.Status != http.StatusServiceUnavailable || got.Reason != "failed" || strings.Contains(got.Body, "down") {
		t.Errorf("without the record: %+v, want 503 failed, and nothing of the error", got)
	}
	g.answer = authorize.Decision{Reason: authorize.Allowed}
	if got := g.ask(t, "/authorize", direct); got.Status != http.StatusServiceUnavailable {
		t.Errorf("an answer that comes with an error: %+v, want 503", got)
	}
}

// forms are the ways in which proxies pass one certificate.
func forms() map[string]string {
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	b64 := base64.StdEncoding.EncodeToString(der)
	var colons []string
	for i := 0; i < 64; i += 2 {
		colons = append(colons, strings.ToUpper(hash(der)[i:i+2]))
	}
	escaped := strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
	return map[string]string{
		"nginx":                           escaped,
		"PEM with blanks for line breaks": strings.ReplaceAll(strings.TrimSpace(text), "\n", " "),
		"PEM with an issuer behind it":    strings.ReplaceAll(text+text, "\n", " "),
		"Traefik":                         b64,
		"Traefik, with the issuer":        b64 + "," + base64.StdEncoding.EncodeToString([]byte{0x30, 1}),
		"RFC 9440":                        ":" + b64 + ":",
		"SHA-256":                         hash(der),
		"SHA-256 in capitals":             strings.ToUpper(hash(der)),
		"SHA-256 with colons":             strings.Join(colons, ":"),
		"Envoy":                           `By=spiffe://x/y;Hash=` + hash(der) + `;Cert="` + escaped + `";Subject="CN=a\",b;c";URI=urn:ward:device:d1`,
		"Envoy, the hash alone":           "Hash=" + hash(der),
		"Envoy, the certificate alone":    `Cert="` + escaped + `"`,
	}
}

func TestPassedCertificates(t *testing.T) {
	t.Parallel()
	for name, value := range forms() {
		g := newGate(nil)
		if got := g.ask(t, "/authorize", passing(value)); got.Status != http.StatusNoContent || len(g.asked) != 1 || g.asked[0].Hash != hash(der) {
			t.Errorf("%s: %+v, asked %v; want it asked about %s", name, got, g.asked, hash(der))
		}
	}
	envoy := forms()["Envoy"]
	for name, value := range map[string]string{
		"SHA-1":                      strings.Repeat("ab", 20),
		"no base64":                  "MIIB!!!!",
		"no SEQUENCE":                base64.StdEncoding.EncodeToString([]byte("hello, world")),
		"too short":                  base64.StdEncoding.EncodeToString([]byte{0x30}),
		"PEM without an end":         "-----BEGIN CERTIFICATE----- MIIB",
		"a half-escaped text":        "%2",
		"a colon":                    ":",
		"an open RFC 9440":           ":MIIB",
		"very long":                  strings.Repeat("A", 40_000),
		"Envoy, two elements":        envoy + "," + envoy,
		"Envoy, a client's before":   "Hash=" + hash([]byte("x")) + "," + envoy,
		"Envoy, hash of another":     "Hash=" + hash([]byte("x")) + `;Cert="` + forms()["nginx"] + `"`,
		"Envoy, neither":             `By=x;Subject="CN=a"`,
		"Envoy, an open quotation":   `Hash=` + hash(der) + `;Subject="CN=a`,
		"Envoy, text behind a quote": `Subject="CN=a"x;Hash=` + hash(der),
	} {
		g := newGate(nil)
		if got := g.ask(t, "/authorize", passing(value)); got.Reason != string(authorize.Unreadable) || len(g.asked) != 0 {
			t.Errorf("%s: %+v, asked %v; want bad-certificate", name, got, g.asked)
		}
	}
}

// FuzzPassedCertificate: whatever a header holds, it is refused or asked about by a
// SHA-256.
func FuzzPassedCertificate(f *testing.F) {
	for _, v := range forms() {
		f.Add(v)
	}
	for _, v := range []string{"", ":", "%", `="`, `Hash=`, `Cert="Cert=\"Cert=\\\"`, ";Hash=;", "-----BEGIN CERTIFICATE----------END CERTIFICATE-----"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		g := newGate(nil)
		got := g.ask(t, "/authorize", passing(value))
		switch {
		case got.Status == http.StatusNoContent && len(g.asked) == 1 && len(g.asked[0].Hash) == 64 && strings.Trim(g.asked[0].Hash, "0123456789abcdef") == "":
		case got.Status == http.StatusForbidden && len(g.asked) == 0:
		default:
			t.Errorf("%q: %+v, asked %v", value, got, g.asked)
		}
	})
}
