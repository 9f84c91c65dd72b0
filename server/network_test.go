package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/smallstep/scep"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/credential"
	"github.com/wardmdm/ward/server/lost"
)

const networkProfile = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<!-- for {{device.name}} -->
<dict>%s</dict>
</plist>
`

// issuer numbers the challenges that it issues and keeps for what.
type issuer struct {
	grants []credential.ChallengeGrant
	err    error
}

func (i *issuer) Issue(_ context.Context, g credential.ChallengeGrant, n int) (all []string, err error) {
	for range n {
		i.grants = append(i.grants, g)
		all = append(all, fmt.Sprint("challenge-", len(i.grants)))
	}
	return all, i.err
}

// TestBind: every string of a profile gets the device's own values, whatever they are,
// and the property list says the same as before about everything else.
func TestBind(t *testing.T) {
	t.Parallel()
	d := ward.Device{ID: "dev_1", Name: "Ada's <b>&amp; \"phone\" ]]></string> {{server.url}} {{network.challenge}}", Email: "ada+ward@hospital.example"}
	for _, tc := range []struct {
		name, body string
		want       map[string]any
		issued     int
	}{
		{"nothing to bind", `<key>A</key><string>x</string>`, map[string]any{"A": "x"}, 0},
		{
			"every variable", `<key>A</key><string>{{device.id}} {{user.email}} {{server.url}} {{cert.alias}} {{network.scep_url}}</string>`,
			map[string]any{"A": "dev_1 ada+ward@hospital.example https://ward.example ward https://ward.example/scep"},
			0,
		},
		{"spaces around its name", `<key>A</key><string>{{ device.id	}}</string>`, map[string]any{"A": "dev_1"}, 0},
		{"a hostile name, not read again", `<key>A</key><string>&lt;{{device.name}}&gt;</string>`, map[string]any{"A": "<" + d.Name + ">"}, 0},
		{"a hostile name in a section of plain text", `<key>A</key><string><![CDATA[<{{device.name}}>]]></string>`, map[string]any{"A": "<" + d.Name + ">"}, 0},
		{
			"a challenge for each place", `<key>A</key><string>{{network.challenge}}</string><key>B</key><array><string>x</string><string>y{{network.challenge}}</string></array>`,
			map[string]any{"A": "challenge-1", "B": []any{"x", "ychallenge-2"}},
			2,
		},
		{
			"what is no string", `<key>{{network.challenge}}</key><integer>7</integer><!-- {{network.challenge}} -->`,
			map[string]any{"{{network.challenge}}": uint64(7)},
			0,
		},
		{
			"what has no value here", `<key>A</key><string>{{enrolment_token}} {{Vorname}} {{</string>`,
			map[string]any{"A": "{{enrolment_token}} {{Vorname}} {{"},
			0,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var i issuer
			b := &Binder{Challenges: &i, ServerURL: "https://ward.example"}
			raw := fmt.Appendf(nil, networkProfile, tc.body)
			bound, err := b.Bind(t.Context(), d, ward.Enrolment{ID: "enr_1"}, raw)
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := agent.DecodePlist(bound, 1<<20, &got); err != nil {
				t.Fatalf("Bind() = %s: %v", bound, err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("Bind() mismatch (-want +got):\n%s", diff)
			}
			if !bytes.Contains(bound, []byte("<!-- for {{device.name}} -->")) {
				t.Errorf("the comment is not as it was:\n%s", bound)
			}
			sum := sha256.Sum256(raw)
			want := credential.ChallengeGrant{Purpose: credential.ForNetwork, Device: "dev_1", Enrolment: "enr_1", Profile: hex.EncodeToString(sum[:])}
			for _, g := range i.grants {
				if g != want {
					t.Errorf("a challenge was issued for %+v, want %+v", g, want)
				}
			}
			if len(i.grants) != tc.issued {
				t.Errorf("%d challenges were issued, want %d", len(i.grants), tc.issued)
			}
		})
	}
}

func TestBindRefuses(t *testing.T) {
	t.Parallel()
	i := issuer{err: errBoom}
	b := &Binder{Challenges: &i, ServerURL: "https://ward.example"}
	for name, raw := range map[string]string{
		"no property list": "{{device.id}} <",
		"cut short":        "<plist><string>{{device.id}}</string>",
		"crossed elements": "<plist><string>{{device.id}}</plist></string>",
	} {
		if out, err := b.Bind(t.Context(), ward.Device{}, ward.Enrolment{}, []byte(raw)); ward.KindOf(err) != ward.Invalid {
			t.Errorf("%s: Bind() = %q, %v; want kind invalid", name, out, err)
		}
	}
	raw := fmt.Appendf(nil, networkProfile, `<key>A</key><string>{{network.challenge}}</string>`)
	if out, err := b.Bind(t.Context(), ward.Device{}, ward.Enrolment{}, raw); !errors.Is(err, errBoom) || out != nil {
		t.Errorf("without a challenge: Bind() = %q, %v; want %v", out, err, errBoom)
	}
	plain := []byte("no list, and nothing to bind")
	if out, err := b.Bind(t.Context(), ward.Device{}, ward.Enrolment{}, plain); err != nil || &out[0] != &plain[0] {
		t.Errorf("Bind() = %q, %v; want the same bytes", out, err)
	}
}

// FuzzBind: whatever a device is called, a profile stays a property list that holds the
// name and nothing else new.
func FuzzBind(f *testing.F) {
	for _, s := range []string{"Ward 7", "</string>", "]]>", "&#0;&lt;", "{{network.challenge}}", "\x00\x1b\xff", "\r\n", "a--b-->", "🏥"} {
		f.Add(s)
	}
	raw := fmt.Appendf(nil, networkProfile, `<key>A</key><string>a {{device.name}} b</string><key>B</key><string>c</string>`)
	f.Fuzz(func(t *testing.T, name string) {
		var i issuer
		b := &Binder{Challenges: &i, ServerURL: "https://ward.example"}
		out, err := b.Bind(t.Context(), ward.Device{Name: name}, ward.Enrolment{}, raw)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]string
		if err := agent.DecodePlist(out, 1<<20, &got); err != nil {
			t.Fatalf("Bind() = %q: %v", out, err)
		}
		readable := strings.Map(func(r rune) rune { // it reads a byte that is no UTF-8 as U+FFFD
			if r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
				return 0xfffd // no XML can hold it
			}
			return r
		}, name)
		if diff := cmp.Diff(map[string]string{"A": "a " + readable + " b", "B": "c"}, got); diff != "" || len(i.grants) > 0 {
			t.Errorf("%d challenges were issued; mismatch (-want +got):\n%s", len(i.grants), diff)
		}
	})
}

var errBoom = errors.New("boom")

// networkFixture is a device that enrolled by messages alone, and what it is given for
// networks.
type networkFixture struct {
	w    *world
	wire wire
	id   ward.DeviceID
}

func newNetworkFixture(t *testing.T, url string) *networkFixture {
	t.Helper()
	w := start(t, url, nil)
	f := &networkFixture{w: w, wire: w.identity(t, w.invite(t, ward.Corporate, nil).Token, "UDID-1")}
	enrolWire(t, f.wire, "SN1")
	f.wire.drain(t)
	f.id = w.show(t, "SN1").Device.ID
	return f
}

// challenge delivers a profile and takes the challenge out of it.
func (f *networkFixture) challenge(t *testing.T) string {
	t.Helper()
	show := f.w.show(t, "SN1")
	raw := fmt.Appendf(nil, networkProfile, `<key>URL</key><string>{{network.scep_url}}</string><key>Challenge</key><string>{{network.challenge}}</string>`)
	bound, err := f.w.binder().Bind(t.Context(), show.Device, show.Enrolment, raw)
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ URL, Challenge string }
	if err := agent.DecodePlist(bound, 1<<20, &got); err != nil {
		t.Fatal(err)
	}
	if got.URL != f.w.URL()+"/scep" {
		t.Errorf("the challenge is for %s", got.URL)
	}
	return got.Challenge
}

func (f *networkFixture) worthless(t *testing.T, what, challenge string) {
	t.Helper()
	if cert, fail := f.w.scepOf(t, challenge); cert != nil || fail != scep.BadRequest {
		t.Errorf("%s: certificate %v, fail info %q; want a refusal", what, cert != nil, fail)
	}
}

func (f *networkFixture) certificate(t *testing.T) *x509.Certificate {
	t.Helper()
	cert, fail := f.w.scepOf(t, f.challenge(t))
	if cert == nil {
		t.Fatalf("the authority refuses: %s", fail)
	}
	return cert
}

// TestNetworkCertificate: a profile's challenge gets the device a certificate that is
// good for networks and for nothing of Ward's own, and that a report of loss ends.
func TestNetworkCertificate(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		f := newNetworkFixture(t, url)
		first, second := f.challenge(t), f.challenge(t)
		cert, fail := f.w.scepOf(t, first)
		if cert == nil {
			t.Fatalf("the first of two deliveries: %s", fail)
		}
		f.worthless(t, "a challenge used before", first)
		if other, fail := f.w.scepOf(t, second); other == nil {
			t.Errorf("the second of two deliveries: %s", fail)
		}
		got, err := f.w.Authority.Check(t.Context(), cert)
		if err != nil || got.Kind != ca.KindNetwork || got.Device != f.id || got.Enrolment != f.w.show(t, "SN1").Enrolment.ID {
			t.Errorf("Check = %+v, %v; want a network certificate of %s", got, err, f.id)
		}
		f.useless(t, cert)
		open := f.challenge(t)
		if _, err := f.w.Lost.Report(f.w.ctx, lost.Report{Devices: []ward.DeviceID{f.id}}); err != nil {
			t.Fatal(err)
		}
		if _, err := f.w.Authority.Check(t.Context(), cert); err == nil {
			t.Error("the certificate of a lost device is good")
		}
		f.worthless(t, "a challenge from before the loss", open)
		f.worthless(t, "a challenge of a lost device", f.challenge(t))
		if _, err := f.w.Authority.Check(t.Context(), f.wire.cert); err != nil {
			t.Errorf("the identity of a lost device: %v, want it to work", err)
		}
		if got := f.wire.idle(t); got.status != http.StatusOK {
			t.Errorf("a lost device's Idle was answered %d", got.status)
		}
	})
}

// useless checks that nothing of Ward's own takes a network certificate.
func (f *networkFixture) useless(t *testing.T, cert *x509.Certificate) {
	t.Helper()
	thief := wire{f.w, "UDID-1", cert, sharedKey(t)}
	if got := thief.idle(t); got.status != http.StatusForbidden {
		t.Errorf("Idle with a network certificate was answered %d, want 403", got.status)
	}
	thief.udid = "UDID-9"
	if got := thief.authenticate(t, "SN9"); got.status != http.StatusForbidden {
		t.Errorf("Authenticate with a network certificate was answered %d, want 403", got.status)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.w.URL()+"/app/v1/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := f.w.mutual(t, cert, sharedKey(t)).Do(req)
	if err = firstOf(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("the app's endpoint answered a network certificate %d, want 403", res.StatusCode)
	}
}

// TestNetworkCertificateEnds: a challenge is worth nothing after its time and after its
// enrolment, and a certificate ends with the management.
func TestNetworkCertificateEnds(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		f := newNetworkFixture(t, url)
		late := f.challenge(t)
		f.w.clock.forward(credential.ChallengeLife)
		f.worthless(t, "an expired challenge", late)
		cert, left := f.certificate(t), f.challenge(t)
		if got := f.wire.checkOut(t); got.status != http.StatusOK {
			t.Fatalf("CheckOut was answered %d", got.status)
		}
		f.worthless(t, "a challenge of a device that left", left)
		if _, err := f.w.Authority.Check(t.Context(), cert); err == nil {
			t.Error("the certificate of a device that left is good")
		}
	})
}
