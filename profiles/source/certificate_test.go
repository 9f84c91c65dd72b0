package source_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/profiles/source"
)

// certified is a policy whose app needs a certificate that is described so.
func certified(certificate string) string {
	return record + "    required: true\n    needs_certificate: true\n    certificate: " + certificate + "\n"
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	token := "\n    config: {t: '{{enrolment_token}}'}"
	for name, tt := range map[string]struct {
		certificate string
		want        intent.Certificate
	}{
		"a token":     {"{delivery: token, life: 12h}" + token, intent.Certificate{Delivery: intent.ByToken, Life: 12 * time.Hour}},
		"nothing":     {"{}" + token, intent.Certificate{}},
		"the network": {"{delivery: network}", intent.Certificate{Delivery: intent.ByNetwork}},
		"all": {
			`{delivery: managed_app, identity_name: chat, life: 30d, attested: true, subject: {common_name: "{{ device.serial }}", organizational_unit: "{{app.id}}", organization: "{{organisation}} x"}, sans: ["urn:example:a:{{device.id}}", "spiffe://example.org/{{owner.email}}"]}`,
			intent.Certificate{
				Delivery: intent.ByManagedApp, IdentityName: "chat", Life: 30 * 24 * time.Hour, Attested: true, CommonName: "{{ device.serial }}", OrganizationalUnit: "{{app.id}}",
				Organization: "{{organisation}} x", URIs: []string{"urn:example:a:{{device.id}}", "spiffe://example.org/{{owner.email}}"},
			},
		},
	} {
		p, err := source.Parse([]byte(certified(tt.certificate)), source.Inputs{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, p.Register[0].Certificate); diff != "" {
			t.Errorf("%s mismatch (-want +got):\n%s", name, diff)
		}
	}
}

func TestCertificateMistakes(t *testing.T) {
	t.Parallel()
	managed := func(rest string) string { return certified("{delivery: managed_app, " + rest + "}") }
	for name, tt := range map[string]struct{ text, want string }{
		"not said":                {record + "    certificate: {life: 1d}", "has a certificate described but does not say needs_certificate: true"},
		"delivery":                {certified("{delivery: mail}"), `delivery can't be "mail"`},
		"token without a token":   {certified("{life: 1d}"), "its config must hold {{enrolment_token}}"},
		"network with a token":    {certified("{delivery: network}\n    config: {t: '{{enrolment_token}}'}"), "no certificate of its own"},
		"network with a life":     {certified("{delivery: network, life: 1d}"), "with delivery: network the app has none of its own"},
		"managed_app without ios": {strings.Replace(managed("life: 1d"), "ios: {bundle_id: org.example.chat, app_store_id: 123456789}", "web: [chat.example.org]", 1), "names no app for ios"},
		"a name for a token":      {certified("{identity_name: x}\n    config: {t: '{{enrolment_token}}'}"), "which only delivery: managed_app has"},
		"an attested token":       {certified("{attested: true}\n    config: {t: '{{enrolment_token}}'}"), "is not attested to Ward"},
		"no identity name":        {managed("identity_name: ''"), "identity_name is empty: leave it out for ward.client"},
		"a number for a life":     {managed("life: 3"), "life must be a span of time such as 72h, 7d or 2w"},
		"identity name":           {managed("identity_name: 'a b'"), "identity_name must be 1 to 64 letters"},
		"short life":              {managed("life: 30m"), "life must be between 1h and 30d"},
		"long life":               {managed("life: 31d"), "life must be between 1h and 30d"},
		"another variable":        {managed("subject: {common_name: '{{enrolment_token}}'}"), "has {{enrolment_token}}, which no certificate may hold"},
		"open brace":              {managed("subject: {organization: '{{device.id'}"), "without its counterpart"},
		"long part":               {managed("subject: {organization: '" + strings.Repeat("x", 65) + "'}"), "organization is longer than 64 characters"},
		"control character":       {managed(`subject: {organization: "a\tb"}`), "control character"},
		"a host":                  {managed("sans: ['https://x.example/']"), "must be a URI that begins with urn: or spiffe://"},
		"a mailbox":               {managed("sans: ['{{owner.email}}']"), "must be a URI that begins with urn: or spiffe://"},
		"a name of Ward's":        {managed("sans: ['urn:ward:device:{{device.id}}']"), "urn:ward: names are the server's own"},
		"half a urn":              {managed("sans: ['urn:example']"), "is no whole URI"},
		"spiffe without a domain": {managed("sans: ['spiffe:///x']"), "is no whole URI"},
		"many names":              {managed("sans: [" + strings.Repeat("'urn:a:b', ", 9) + "]"), "at most 8 are allowed"},
	} {
		if got := strings.Join(details(t, tt.text, nil), "\n"); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// TestCertificateDeliveryMisspelt: what a delivery that is not known may not have is not told.
func TestCertificateDeliveryMisspelt(t *testing.T) {
	t.Parallel()
	got := details(t, certified("{delivery: managed_apps, attested: true, identity_name: x}"), nil)
	if len(got) != 1 || !strings.Contains(got[0], `delivery can't be "managed_apps"`) {
		t.Errorf("%q, want the delivery alone", got)
	}
}
