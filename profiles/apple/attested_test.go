package apple_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/apple"
	"github.com/wardmdm/ward/profiles/intent"
)

// TestAttestedHasNoFallback: where no declaration can give an app an attested identity, it
// is told that it gets none, and no token reaches it that could get another.
func TestAttestedHasNoFallback(t *testing.T) {
	t.Parallel()
	const manifest = "https://apps.example.org/chat.plist"
	for _, tt := range []struct {
		name         string
		at           intent.Target
		manifest     string
		wants, cures string
	}{
		{"old", phone("17.4"), manifest, "needs iOS 18.4", "18.4"},
		{"not told yet", phone(""), manifest, "is not known", ""},
		{"of the store", phone("18.6"), "", "only a required app with a manifest_url", "Set required: true and a manifest_url."},
		{"a Mac", mac("15.0"), manifest, "no identity by declaration", "leave attested out"},
	} {
		a := intent.App{
			Name: "Chat", Required: true, NeedsCertificate: true, Certificate: intent.Certificate{Delivery: intent.ByManagedApp, Attested: true},
			Config: map[string]any{"url": "{{server.url}}", "token": "{{ enrolment_token }}", "deep": map[string]any{"t": []any{"x{{enrolment_token}}"}}},
		}
		from := intent.AppleApp{BundleID: "org.example.chat", ManifestURL: tt.manifest}
		if tt.manifest == "" {
			from.StoreID = 1
		}
		if a.IOS = from; tt.at.Platform == ward.MacOS {
			a.MacOS = from
		}
		r := mustCompile(t, intent.Wanted{Apps: []intent.App{a}}, tt.at)
		var o intent.Outcome
		for _, x := range r.Outcomes {
			if x.ID == intent.CertifyApp {
				o = x
			}
		}
		if o.Verdict != intent.Impossible || !strings.Contains(o.Why, tt.wants) || !strings.Contains(o.Why, "to be attested") || !strings.Contains(o.Cure, tt.cures) || strings.Contains(o.Cure, "enrolment_token") {
			t.Errorf("%s: %+v, want impossible", tt.name, o)
		}
		if got := r.Apps[0]; got.Delivery != "" || !got.NeedsCertificate {
			t.Errorf("%s: delivery %q, needs %t; want none, and still needed", tt.name, got.Delivery, got.NeedsCertificate)
		}
		if sent := everything(r); strings.Contains(sent, "enrolment_token") || !strings.Contains(sent, "{{server.url}}") {
			t.Errorf("%s: sent %s, want the configuration without the token", tt.name, sent)
		}
	}
}

// everything is all that a device would be sent.
func everything(r apple.Result) string {
	var b strings.Builder
	for _, a := range r.Apps {
		fmt.Fprint(&b, a.Config, a.Command)
	}
	for _, d := range r.Documents {
		b.Write(d.Data)
	}
	for _, d := range r.Declarations {
		b.Write(d.Payload)
	}
	return b.String()
}
