package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent/virtual"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/declare"
	"github.com/wardmdm/ward/server/lost"
)

// identityPolicy is the example policy, whose app gets its identity by a declaration.
func identityPolicy(t *testing.T) []byte {
	t.Helper()
	const before = "    needs_certificate: true\n"
	text := string(profiles.ExamplePolicy())
	if strings.Count(text, before) != 1 {
		t.Fatal("the example policy has no app that needs a certificate")
	}
	return []byte(strings.Replace(text, before, before+`    certificate:
      delivery: managed_app
      identity_name: chat
      life: 3d
      subject: {common_name: "{{device.serial}}", organizational_unit: "{{organisation}} chat"}
      sans: ["urn:example:device:{{device.id}}", "spiffe://hospital.example/{{app.id}}", "urn:example:owner:{{owner.email}}"]
`, 1))
}

// identityStory is a phone whose app gets its identity by a declaration.
type identityStory struct {
	w  *world
	p  *virtual.Phone
	id ward.DeviceID
}

func (s identityStory) identity() (tls.Certificate, bool) {
	c, ok := s.p.AppIdentities(messenger)["chat"]
	return c, ok && len(c.Certificate) > 0
}

func (s identityStory) leaf(t *testing.T) *x509.Certificate {
	t.Helper()
	c, ok := s.identity()
	if !ok {
		t.Fatal("the app has no identity")
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

// me calls the server as the app does, by its identity.
func (s identityStory) me(t *testing.T) (int, string) {
	t.Helper()
	c, ok := s.identity()
	if !ok {
		t.Fatal("the app has no identity")
	}
	return s.fetch(t, s.w.URL()+"/app/v1/me", &c)
}

func (s identityStory) replan(t *testing.T) {
	t.Helper()
	if err := s.w.Loop.Replan(s.w.ctx, s.id); err != nil {
		t.Fatal(err)
	}
}

func newIdentityStory(t *testing.T, url string, attested bool) identityStory {
	t.Helper()
	f := newFoundry(t)
	w := start(t, url, f.rule(map[bool]enrollment.Attestation{true: enrollment.AttestationRequired, false: enrollment.AttestationOff}[attested]))
	p := w.attesting(t, f, adas, func(o *virtual.Options) { o.Supervised, o.OSVersion, o.Clock, o.Apps = true, "18.6", w.clock.now, nil })
	in := w.invite(t, ward.Corporate, named(adas))
	if err := p.Enrol(t.Context(), w.profileLink(in)); err != nil {
		t.Fatal(err)
	}
	w.on(t, p)
	if _, err := w.Policy.Publish(w.ctx, identityPolicy(t)); err != nil {
		t.Fatal(err)
	}
	s := identityStory{w, p, in.Device}
	eventually(t, "the app's identity", func() bool { _, ok := s.identity(); return ok })
	return s
}

// TestAppIdentity: an app gets its identity by a declaration, the key in the phone's hardware
// where it can attest it, with the names that the policy gives it.
func TestAppIdentity(t *testing.T) {
	for _, attested := range []bool{false, true} {
		t.Run(map[bool]string{true: "acme", false: "scep"}[attested], func(t *testing.T) {
			both(t, func(t *testing.T, at string) {
				s := newIdentityStory(t, at, attested)
				leaf := s.leaf(t)
				var uris []string
				for _, u := range leaf.URIs {
					uris = append(uris, u.String())
				}
				want := []string{
					"urn:ward:device:" + string(s.id), "urn:ward:app:" + messenger, "urn:example:device:" + string(s.id),
					"spiffe://hospital.example/" + messenger, "urn:example:owner:" + url.PathEscape("ada@hospital.example"),
				}
				if diff := cmp.Diff(want, uris); diff != "" {
					t.Errorf("names mismatch (-want +got):\n%s", diff)
				}
				if cn, ou := leaf.Subject.CommonName, leaf.Subject.OrganizationalUnit; cn != adas || !slices.Equal(ou, []string{"Test Hospital chat"}) {
					t.Errorf("subject = %s", leaf.Subject)
				}
				if life := leaf.NotAfter.Sub(s.w.clock.now()); life > 72*time.Hour || life < 71*time.Hour {
					t.Errorf("it holds for %s, want three days", life)
				}
				if !slices.Equal(leaf.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) {
					t.Errorf("purposes = %v, want clients' alone", leaf.ExtKeyUsage)
				}
				if _, ec := leaf.PublicKey.(*ecdsa.PublicKey); ec != attested {
					t.Errorf("key = %T, attested %t", leaf.PublicKey, attested)
				}
				c, err := s.w.Authority.Check(t.Context(), leaf)
				if err != nil || c.Kind != ca.KindApp || c.App != messenger || c.Device != s.id || (c.Attested.Serial == adas) != attested {
					t.Errorf("Check() = %+v, %v", c, err)
				}
				if status, body := s.me(t); status != http.StatusOK || !strings.Contains(body, messenger) {
					t.Errorf("the app's call was answered %d %s", status, body)
				}
				if n := asked(s.p, "InstallApplication"); n != 0 {
					t.Errorf("it was sent %d InstallApplication, want none: a declaration manages the app", n)
				}
			})
		})
	}
}

// TestAppIdentityRotates: it is made anew after two thirds of its life while the device
// complies, taken away when it does not, and given back afterwards.
func TestAppIdentityRotates(t *testing.T) {
	both(t, func(t *testing.T, at string) {
		s := newIdentityStory(t, at, false)
		first := s.leaf(t)
		s.w.clock.forward(49 * time.Hour)
		s.replan(t)
		eventually(t, "the identity anew", func() bool {
			c, ok := s.identity()
			return ok && !slices.Equal(c.Certificate[0], first.Raw)
		})
		second := s.leaf(t)
		old := append(identityPolicy(t), "\nposture:\n  minimum_os: {ios: \"26\", severity: breach, grace: 1h}\n"...)
		if _, err := s.w.Policy.Publish(s.w.ctx, old); err != nil {
			t.Fatal(err)
		}
		s.replan(t)
		if _, ok := s.identity(); !ok {
			t.Error("it has no identity within its grace")
		}
		s.w.clock.forward(2 * time.Hour)
		eventually(t, "the identity taken from a phone with an old system", func() bool {
			s.replan(t)
			_, ok := s.identity()
			return !ok
		})
		d := s.w.show(t, adas)
		if i := slices.IndexFunc(d.Assessment.Findings, func(f compliance.Finding) bool { return f.Code == "app-certificate-withheld" }); i < 0 || !strings.Contains(d.Assessment.Findings[i].Text, "18.6") {
			t.Errorf("findings = %+v, want one that says why the certificate is withheld", d.Assessment.Findings)
		}
		if _, err := s.w.Authority.Check(t.Context(), second); err != nil {
			t.Errorf("what it had: %v; want it to run out by itself", err)
		}
		if err := (judge{s.w.Server}).Deserves(t.Context(), s.id, messenger); ward.KindOf(err) != ward.Forbidden || !strings.Contains(err.Error(), "18.6") {
			t.Errorf("Deserves() = %v, want a refusal that says why", err)
		}
		if _, err := s.w.Policy.Publish(s.w.ctx, identityPolicy(t)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the identity given back", func() bool {
			s.replan(t)
			_, ok := s.identity()
			return ok
		})
	})
}

// TestAppIdentityLost: a lost phone's identity is revoked at once and it gets no other; a
// found one gets one anew.
func TestAppIdentityLost(t *testing.T) {
	both(t, func(t *testing.T, at string) {
		s := newIdentityStory(t, at, true)
		leaf := s.leaf(t)
		if _, err := s.w.Lost.Report(s.w.ctx, lost.Report{Devices: []ward.DeviceID{s.id}}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.w.Authority.Check(t.Context(), leaf); err == nil {
			t.Error("the certificate of a lost phone is good")
		}
		if err := (judge{s.w.Server}).Deserves(t.Context(), s.id, messenger); ward.KindOf(err) != ward.Forbidden {
			t.Errorf("Deserves() = %v, want a refusal", err)
		}
		c, err := s.w.Lost.OpenCase(s.w.ctx, s.id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.w.Lost.Found(s.w.ctx, c.ID, "in the canteen"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the identity anew after it was found", func() bool {
			s.replan(t)
			got, ok := s.identity()
			return ok && !slices.Equal(got.Certificate[0], leaf.Raw)
		})
		if status, body := s.me(t); status != http.StatusOK {
			t.Errorf("the app's call by the new identity was answered %d %s", status, body)
		}
	})
}

// TestDocumentLinks: what a declaration refers to is served to its device alone, and an
// identity only while the device deserves it.
func TestDocumentLinks(t *testing.T) {
	t.Parallel()
	s := newIdentityStory(t, "", false)
	d := s.w.show(t, adas)
	links, err := declare.NewLinks(s.w.URL(), bytes.Repeat([]byte{9}, 32))
	if err != nil {
		t.Fatal(err)
	}
	item, err := s.w.documentLink(t, d.Enrolment)
	if err != nil {
		t.Fatal(err)
	}
	mine, err := s.p.ManagementIdentity()
	if err != nil {
		t.Fatal(err)
	}
	theirs, _ := s.identity() // the app's, which proves no device
	for _, tt := range []struct {
		name, link string
		cert       *tls.Certificate
		want       int
	}{
		{"a link alone", item, nil, http.StatusOK},
		{"with the device's identity", item, &mine, http.StatusOK},
		{"with another certificate", item, &theirs, http.StatusForbidden},
		{"a link under another key", links.Document(d.Enrolment.ID, strings.Repeat("0a", 32)), nil, http.StatusNotFound},
		{"a link cut short", item[:len(item)-3], nil, http.StatusNotFound},
	} {
		if got, body := s.fetch(t, tt.link, tt.cert); got != tt.want {
			t.Errorf("%s: %d %s, want %d", tt.name, got, body, tt.want)
		}
	}
	if err := s.w.fleet.SetDeviceState(t.Context(), s.id, ward.Lost); err != nil {
		t.Fatal(err)
	}
	if got, body := s.fetch(t, item, &mine); got != http.StatusForbidden || !strings.Contains(body, "This device is lost") {
		t.Errorf("a lost device: %d %s, want 403 with the reason", got, body)
	}
}

// documentLink returns the link of the identity's document, as the device is told it.
func (w *world) documentLink(t *testing.T, e ward.Enrolment) (string, error) {
	t.Helper()
	set, err := w.Server.declared.Set(t.Context(), e.ID)
	if err != nil {
		return "", err
	}
	for _, i := range set.Items {
		if i.Type != "com.apple.asset.credential.scep" {
			continue
		}
		bound, err := w.Server.declared.Declaration(t.Context(), e, "asset", i.Identifier)
		if err != nil {
			return "", err
		}
		var asset struct{ Reference struct{ DataURL string } }
		err = json.Unmarshal(bound.Payload, &asset)
		return asset.Reference.DataURL, err
	}
	return "", errors.New("no asset brings an identity")
}

// fetch gets a document, with a client certificate where cert is not nil.
func (s identityStory) fetch(t *testing.T, link string, cert *tls.Certificate) (int, string) {
	t.Helper()
	c := &tls.Config{RootCAs: s.w.Authority.Pool()}
	if cert != nil {
		c.Certificates = []tls.Certificate{*cert}
	}
	rt := &http.Transport{TLSClientConfig: c}
	defer rt.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err = firstOf(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}
