package server

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
)

const (
	iphone18 = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1"
	iphone15 = "Mozilla/5.0 (iPhone; CPU iPhone OS 15_8_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.6.4 Mobile/15E148 Safari/604.1"
	ipad17   = "Mozilla/5.0 (iPad; CPU OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1"
	ipadAsPC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15"
	oldAsPC  = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.6 Safari/605.1.15"
	chromePC = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
)

// TestWish: what a browser tells is enough for phones and tablets, and never for a Mac.
func TestWish(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, agent, query string
		platform           ward.Platform
		want               enrollment.Identity
	}{
		{"a phone of today", iphone18, "", ward.IOS, enrollment.Attested},
		{"a phone before ACME", iphone15, "", ward.IOS, ""},
		{"a tablet", ipad17, "", ward.IOS, enrollment.Attested},
		{"a tablet that says it is a Mac", ipadAsPC, "?download=1", ward.IOS, enrollment.Attested},
		{"an old tablet that says it is a Mac", oldAsPC, "?download=1", ward.IOS, ""},
		{"a Mac", ipadAsPC, "?download=1", ward.MacOS, ""},
		{"a phone with a Mac's invitation", iphone18, "", ward.MacOS, ""},
		{"a PC", chromePC, "?download=1", ward.IOS, ""},
		{"a tool", "curl/8.5", "", ward.IOS, ""},
		{"nothing", "", "", ward.IOS, ""},
		{"a version beyond numbers", strings.Replace(iphone18, "18_6", "9999999999999999999_1", 1), "", ward.IOS, ""},
		{"who asked for the other profile", iphone18, "?download=1&identity=scep", ward.IOS, enrollment.SCEP},
		{"who asked for anything", iphone15, "?identity=attested", ward.IOS, ""},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/invite/x"+tt.query, nil)
		r.Header.Set("User-Agent", tt.agent)
		if got := wish(r, enrollment.Invitation{Platform: tt.platform}); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// opened asks for a link as a browser does, and returns the answer's type and body.
func (w *world) opened(t *testing.T, link, agent, accept string) (kind, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("User-Agent", agent)
	req.Header.Set("Accept", accept)
	res, err := w.people.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err = firstOf(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s was answered %d %s", link, res.StatusCode, b)
	}
	kind, _, _ = strings.Cut(res.Header.Get("Content-Type"), ";")
	return kind, string(b)
}

const (
	html        = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8" // Safari's
	profileType = "application/x-apple-aspen-config"
	acmeType    = "com.apple.security.acme"
	scepType    = "com.apple.security.scep"
)

// TestInviteLink: which profile a link gives, or the page to choose on.
func TestInviteLink(t *testing.T) {
	t.Parallel()
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, rootPEM(t), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		rule                 enrollment.Attestation
		pin                  enrollment.Identity
		agent, accept, query string
		want                 string // "page", "page+" with the second link, or the payload of the identity
	}{
		{enrollment.AttestationPreferred, "", iphone18, html, "", "page+"},
		{enrollment.AttestationPreferred, "", iphone18, html, "?download=1", acmeType},
		{enrollment.AttestationPreferred, "", iphone18, html, "?download=1&identity=scep", scepType},
		{enrollment.AttestationPreferred, "", iphone15, html, "?download=1", scepType},
		{enrollment.AttestationPreferred, "", "curl/8.5", "*/*", "", scepType},
		{enrollment.AttestationPreferred, "", chromePC, html, "", "page+"},
		{enrollment.AttestationPreferred, enrollment.Attested, chromePC, html, "", "page"},
		{enrollment.AttestationPreferred, enrollment.Attested, iphone18, html, "?identity=scep", acmeType},
		{enrollment.AttestationPreferred, enrollment.SCEP, iphone18, html, "", scepType},
		{enrollment.AttestationRequired, "", iphone18, html, "", acmeType},
		{enrollment.AttestationRequired, "", iphone15, html, "?download=1&identity=scep", "too old"},
		{enrollment.AttestationRequired, "", iphone15, html, "", "too old"},
		{enrollment.AttestationRequired, "", oldAsPC, html, "?download=1", acmeType},
		{enrollment.AttestationPreferred, enrollment.Attested, iphone15, html, "?download=1", "too old"},
		{enrollment.AttestationRequired, "", chromePC, html, "", "page"},
		{enrollment.AttestationOff, "", iphone18, html, "", scepType},
		{enrollment.AttestationOff, "", chromePC, html, "", "page"},
	} {
		w := start(t, "", func(c *Config) {
			c.Enrolment = Enrolment{Attestation: tt.rule, AttestationRoots: []string{roots}}
		})
		in := w.invite(t, ward.Corporate, func(r *enrollment.Request) { r.Identity = tt.pin })
		kind, body := w.opened(t, w.InviteURL(in.Token)+tt.query, tt.agent, tt.accept)
		got := "page"
		switch {
		case kind == profileType && strings.Contains(body, acmeType):
			got = acmeType
		case kind == profileType && strings.Contains(body, scepType):
			got = scepType
		case kind == profileType:
			got = "a profile without an identity"
		case strings.Contains(body, "needs iOS or iPadOS 16 or later") && !strings.Contains(body, "download=1"):
			got = "too old"
		case strings.Contains(body, "identity=scep"):
			got = "page+"
		}
		if got != tt.want {
			t.Errorf("%s, pinned %q, %s %s: %s, want %s", tt.rule, tt.pin, tt.agent, tt.query, got, tt.want)
		}
		w.stop()
	}
}

// TestTrialAsksNoAttestation: the phones of a trial are virtual, so that nothing is asked of
// them that Apple alone could say, unless the trial names who says it.
func TestTrialAsksNoAttestation(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		trial bool
		rule  enrollment.Attestation
		roots []string
		want  enrollment.Attestation
	}{
		{true, enrollment.AttestationPreferred, nil, enrollment.AttestationOff},
		{true, enrollment.AttestationPreferred, []string{"roots.pem"}, enrollment.AttestationPreferred},
		{true, enrollment.AttestationRequired, nil, enrollment.AttestationRequired},
		{false, enrollment.AttestationPreferred, nil, enrollment.AttestationPreferred},
		{false, enrollment.AttestationOff, nil, enrollment.AttestationOff},
	} {
		c := Config{Trial: tt.trial, Enrolment: Enrolment{Attestation: tt.rule, AttestationRoots: tt.roots}}
		if got := c.attestation(); got != tt.want {
			t.Errorf("trial %v, %s, roots %v: %s, want %s", tt.trial, tt.rule, tt.roots, got, tt.want)
		}
	}
	for name, text := range map[string]string{"none": "", "no certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		path := filepath.Join(t.TempDir(), "roots.pem")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c := trialConfig(t, listen(t), "")
		c.Enrolment.AttestationRoots = []string{path}
		if _, err := New(t.Context(), c); ward.KindOf(err) != ward.Invalid || !strings.Contains(err.Error(), "enrolment.attestation_roots") {
			t.Errorf("roots with %s: %v, want invalid with the field", name, err)
		}
	}
}

// rootPEM is an authority of attestations that nobody uses.
func rootPEM(t *testing.T) []byte {
	t.Helper()
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: selfSigned(t, sharedKey(t)).Raw})
}
