package source

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/wardmdm/ward/profiles/intent"
)

var identityName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// certificate reads what certificate an approved app needs.
func (r *reader) certificate(c *intent.Certificate) shape {
	var delivery string
	return r.object(object{
		what: "certificate", doc: "An app's certificate: how it comes, what it says, how long it holds. It is for TLS clients only, and always names the device.",
		fields: []field{
			{name: "delivery", doc: "token: by a one-time token in its config. managed_app: by a declaration, for an app that uses Apple's ManagedApp framework (iOS 18.4). network: none of its own; the per-app VPN or relay proves who it is.", shape: r.choice("delivery", deliveries(), &delivery)},
			{name: "identity_name", doc: "Under which name the app finds its identity, with managed_app; " + intent.DefaultIdentity + " unless said.", shape: r.identityName(&c.IdentityName)},
			{name: "subject", doc: "Parts of the subject. Text may hold " + listOr(certificateVariables()) + ".", shape: r.object(object{
				what: "subject",
				fields: []field{
					{name: "common_name", doc: "The device's id unless said.", shape: r.nameTemplate("common_name", &c.CommonName)},
					{name: "organizational_unit", doc: "The word app unless said.", shape: r.nameTemplate("organizational_unit", &c.OrganizationalUnit)},
					{name: "organization", doc: "The organisation of the server unless said.", shape: r.nameTemplate("organization", &c.Organization)},
				},
			})},
			{name: "sans", doc: "Further names: URIs that begin with urn: or spiffe://. urn:ward: names are the server's own: the device's and the app's are always there, and first.", shape: r.list("sans", func() shape { return r.sanTemplate(c) })},
			{name: "life", doc: "How long it holds: 1h to 30d, 7d unless said.", shape: r.duration("life", intent.LeastLife, intent.MostLife, &c.Life)},
			{name: "attested", doc: "Only for a key that the device's hardware holds and attests, with managed_app.", shape: r.boolean("attested", &c.Attested)},
		},
		check: func(n *yaml.Node, _ map[string]bool) {
			c.Delivery = intent.Delivery(delivery)
			r.checkCertificate(n, *c)
		},
	})
}

func deliveries() []string {
	return []string{string(intent.ByToken), string(intent.ByManagedApp), string(intent.ByNetwork)}
}

// identityName reads the name of an identity. One that is given and empty is no wish for the
// default, but a mistake: no app would find the identity under it.
func (r *reader) identityName(into *string) shape {
	s := r.pattern("identity_name", identityName, "1 to 64 letters, digits, dots, hyphens and underscores", into)
	return shape{
		read: func(n *yaml.Node) bool {
			if n.Kind == yaml.ScalarNode && n.Tag != "!!null" && strings.TrimSpace(n.Value) == "" {
				r.wrong(n, "identity_name is empty: leave it out for %s", intent.DefaultIdentity)
				return true
			}
			return s.read(n)
		},
		schema: func(*definitions) schema {
			return schema{"type": []any{"string", "number", "boolean"}, "pattern": identityName.String()}
		},
	}
}

func certificateVariables() []string {
	var out []string
	for _, v := range intent.CertificateVariables() {
		out = append(out, "{{"+v+"}}")
	}
	return out
}

func (r *reader) checkCertificate(n *yaml.Node, c intent.Certificate) {
	if len(c.URIs) > intent.MostSANs {
		r.wrong(n, "sans has %d names; at most %d are allowed", len(c.URIs), intent.MostSANs)
	}
	if !slices.Contains(deliveries(), string(c.By())) {
		return // told already; what else is wrong depends on what was meant
	}
	if c.By() != intent.ByManagedApp {
		if c.IdentityName != "" {
			r.wrong(n, "certificate has an identity_name, which only delivery: managed_app has")
		}
		if c.Attested {
			r.wrong(n, "certificate is to be attested, which only delivery: managed_app can be: a key that an app makes itself is not attested to Ward")
		}
	}
	if c.By() == intent.ByNetwork && (c.CommonName+c.OrganizationalUnit+c.Organization != "" || len(c.URIs) > 0 || c.Life != 0) {
		r.wrong(n, "certificate says what an app's certificate is like, but with delivery: network the app has none of its own")
	}
}

// template reads text with variables of certificates.
func (r *reader) template(what string, into *string, check func(n *yaml.Node, value string)) shape {
	return shape{
		read: func(n *yaml.Node) bool {
			value, ok := r.scalar(n, what)
			if !ok || value == "" {
				return !ok
			}
			*into = value
			before := len(r.mistakes)
			r.certificateText(n, what, value)
			if len(r.mistakes) == before {
				check(n, value)
			}
			return true
		},
		schema: func(*definitions) schema { return schema{"type": []any{"string", "number", "boolean"}} },
	}
}

// certificateText reports variables that a certificate has not, and braces that are none.
func (r *reader) certificateText(n *yaml.Node, what, text string) {
	if !printable(text) || strings.ContainsAny(text, "\n\t") {
		r.wrong(n, "%s holds a control character", what)
	}
	for _, m := range variable.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(intent.CertificateVariables(), m[1]) {
			r.wrong(n, "%s has {{%s}}, which no certificate may hold; it may hold %s", what, m[1], listOr(certificateVariables()))
		}
	}
	if rest := variable.ReplaceAllString(text, ""); strings.Contains(rest, "{{") || strings.Contains(rest, "}}") {
		r.wrong(n, "%s has a {{ or }} without its counterpart", what)
	}
}

// nameTemplate reads a part of a subject. What its variables come to is cut to what is left
// when the certificate is made.
func (r *reader) nameTemplate(what string, into *string) shape {
	return r.template(what, into, func(n *yaml.Node, value string) {
		if utf8.RuneCountInString(variable.ReplaceAllString(value, "")) > intent.MostName {
			r.wrong(n, "%s is longer than %d characters", what, intent.MostName)
		}
	})
}

// sanTemplate reads one further alternative name.
func (r *reader) sanTemplate(c *intent.Certificate) shape {
	var text string
	return r.template("a name of sans", &text, func(n *yaml.Node, value string) {
		sample := variable.ReplaceAllString(value, "x")
		u, err := url.Parse(sample)
		switch {
		case err != nil || u.Scheme != "urn" && u.Scheme != "spiffe" || u.String() != sample || !ascii(sample):
			r.wrong(n, "%q can't be a name of sans: it must be a URI that begins with urn: or spiffe://; a certificate of Ward's names no host and no mailbox", value)
			return
		case strings.HasPrefix(strings.ToLower(sample), "urn:ward:"):
			r.wrong(n, "%q can't be a name of sans: urn:ward: names are the server's own, and the device's and the app's are there already", value)
			return
		case u.Scheme == "urn" && !strings.Contains(u.Opaque, ":") || u.Scheme == "spiffe" && (u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != ""):
			r.wrong(n, "%q is no whole URI: write it as urn:example:device:{{device.id}} or spiffe://example.org/device/{{device.id}}", value)
			return
		case len(value) > intent.MostSAN:
			r.wrong(n, "a name of sans is longer than %d characters", intent.MostSAN)
			return
		}
		c.URIs = append(c.URIs, value)
	})
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// proof checks that an app that needs a certificate is told how to get it, and that none
// that needs none is given what gets one.
func (r *reader) proof(n *yaml.Node, who string, a *Approved, present map[string]bool) {
	token, alias := uses(a.Config, TokenVariable), uses(a.Config, CertVariable)
	switch by := a.Certificate.By(); {
	case !a.NeedsCertificate && present["certificate"]:
		r.wrong(n, "%s has a certificate described but does not say needs_certificate: true", who)
	case !a.NeedsCertificate && (token || alias):
		name := TokenVariable
		if !token {
			name = CertVariable
		}
		r.wrong(n, "%s is given {{%s}} but does not say needs_certificate: true", who, name)
	case a.NeedsCertificate && by == intent.ByToken && !token && !alias:
		r.wrong(n, "%s needs a certificate, so its config must hold {{%s}} or {{%s}}", who, TokenVariable, CertVariable)
	case a.NeedsCertificate && by == intent.ByManagedApp && !present["ios"]:
		r.wrong(n, "%s gets its certificate by managed_app, which iPhones and iPads have, but names no app for ios", who)
	case a.NeedsCertificate && by == intent.ByNetwork && (token || alias):
		r.wrong(n, "%s has delivery: network, and so no certificate of its own, but its config holds {{%s}} or {{%s}}", who, TokenVariable, CertVariable)
	}
}
