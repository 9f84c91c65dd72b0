package source

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wardmdm/ward/profiles/intent"
)

// maxSSID is the longest name of a network (IEEE 802.11, 9.4.2.2), in bytes.
const maxSSID = 32

var hostPattern = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

const hostMust = "a host name in lower case, such as chat.example.org"

func (r *reader) host(what string, into *string) shape {
	return r.pattern(what, hostPattern, hostMust, into)
}

// hosts reads a list of host names, which is kept sorted.
func (r *reader) hosts(what string, into *[]string) shape {
	return r.list(what, func() shape {
		var host string
		one := r.host("an item of "+what, &host)
		return shape{
			read: func(n *yaml.Node) bool {
				before := len(r.mistakes)
				if null(n) || !one.read(n) {
					r.wrong(n, "an item of %s is empty", what)
				}
				switch {
				case len(r.mistakes) > before:
				case slices.Contains(*into, host):
					r.wrong(n, "%s lists %q twice", what, host)
				default:
					*into = append(*into, host)
					slices.Sort(*into)
				}
				return true
			},
			schema: one.schema,
		}
	})
}

func (r *reader) networks(l *layer) shape {
	w := &l.networks
	return r.object(object{
		what: "networks", def: "networks", doc: "Networks that devices join by themselves, with a certificate of their own, and the resolver that they ask.",
		fields: []field{
			{name: "wifi", shape: r.list("wifi", func() shape { return named(r, "wifi", &w.wifi, r.wifi) })},
			{name: "vpn", shape: r.list("vpn", func() shape { return named(r, "vpn", &w.vpn, r.vpn) })},
			{name: "dns", shape: single(r, &w.dns, r.dns)},
			{name: "relays", shape: r.list("relays", func() shape { return named(r, "relays", &w.relays, r.relay) })},
		},
	})
}

func (r *reader) wifi(w *intent.WiFi, name *string) shape {
	return r.object(object{
		what: "a Wi-Fi network", who: name, doc: "A network with EAP-TLS.",
		fields: []field{
			needed(field{name: "ssid", doc: "Its name.", shape: r.text("ssid", name)}),
			{name: "hidden", doc: "It does not tell its name.", shape: r.boolean("hidden", &w.Hidden)},
			needed(field{name: "server_names", doc: "The names in the certificates of its RADIUS servers. Without them a device would trust any server with a certificate of the same authority.", shape: r.hosts("server_names", &w.ServerNames)}),
			needed(field{name: "trusted_roots", doc: "Files with the certificates (PEM) of the authorities of those servers.", shape: r.certificates("trusted_roots", &w.TrustedRoots)}),
			{name: "no_private_address", doc: "The network needs the device's real hardware address.", shape: r.boolean("no_private_address", &w.NoPrivateAddr)},
		},
		check: func(n *yaml.Node, present map[string]bool) {
			w.SSID = *name
			if len(w.SSID) > maxSSID {
				r.wrong(n, "ssid is longer than %d bytes", maxSSID)
			}
			if present["server_names"] && len(w.ServerNames) == 0 {
				r.wrong(n, "%s has no server_names", *name)
			}
		},
	})
}

func (r *reader) vpn(v *intent.VPN, name *string) shape {
	return r.object(object{
		what: "a VPN", who: name, doc: "An IKEv2 connection.",
		fields: []field{
			needed(field{name: "name", doc: "Its name, as staff see it.", shape: r.text("name", name)}),
			needed(field{name: "server", doc: "The host name of its server.", shape: r.host("server", &v.Server)}),
			{name: "remote_id", doc: "The name by which the server proves itself; its host name unless said.", shape: r.text("remote_id", &v.RemoteID)},
			{name: "per_app", doc: "It carries approved apps only.", shape: r.boolean("per_app", &v.PerApp)},
			needed(field{name: "trusted_roots", doc: "Files with the certificates (PEM) of the server's authorities.", shape: r.certificates("trusted_roots", &v.TrustedRoots)}),
		},
		check: func(*yaml.Node, map[string]bool) { v.Name = *name },
	})
}

func (r *reader) relay(v *intent.Relay, name *string) shape {
	return r.object(object{
		what: "a relay", who: name, doc: "A MASQUE network relay.",
		fields: []field{
			needed(field{name: "name", doc: "Its name, as staff see it.", shape: r.text("name", name)}),
			needed(field{name: "url", doc: "Its address, which begins with https://.", shape: r.address("url", &v.URL, plain)}),
			{name: "domains", doc: "What goes through it; everything unless said.", shape: r.hosts("domains", &v.Domains)},
			{name: "per_app", doc: "It carries approved apps only.", shape: r.boolean("per_app", &v.PerApp)},
		},
		check: func(*yaml.Node, map[string]bool) { v.Name = *name },
	})
}

// How much of an address may be filled in per device.
type addressKind int

const (
	plain      addressKind = iota // nothing
	fromServer                    // {{server.url}} at its beginning
	template                      // that, and {{device.id}} and {{server.url}} after its host
)

const serverPrefix = "{{" + serverVariable + "}}/"

// secure is how an address begins, for the schema.
var secure = map[addressKind]string{
	plain: `^https://[^\s{}]+$`, fromServer: `^(https://|\{\{server\.url\}\}/)[^\s{}]*$`,
	template: `^(https://|\{\{server\.url\}\}/)\S*$`,
}

// address reads an https address.
func (r *reader) address(what string, into *string, kind addressKind) shape {
	return shape{
		read: func(n *yaml.Node) bool {
			value, ok := r.scalar(n, what)
			*into = value
			if ok && value != "" {
				r.checkAddress(n, what, value, kind)
			}
			return !ok || value != ""
		},
		schema: func(*definitions) schema {
			return schema{"type": "string", "pattern": orBlank(regexp.MustCompile(secure[kind]))}
		},
	}
}

func (r *reader) checkAddress(n *yaml.Node, what, value string, kind addressKind) {
	rest, onServer := strings.CutPrefix(value, serverPrefix)
	if !onServer || kind == plain {
		rest = value
		u, err := url.Parse(variable.ReplaceAllString(value, inHost))
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
			begins := "https:// and a host"
			if kind != plain {
				begins += " or " + serverPrefix
			}
			r.wrong(n, "%s must begin with %s", what, begins)
			return
		}
		if kind == template && strings.Contains(u.Host, inHost) {
			r.wrong(n, "%s may hold variables after its host only", what)
		}
	}
	switch {
	case strings.ContainsAny(rest, " \t\n") && kind != template:
		r.wrong(n, "%s may hold no space", what)
	case kind == template:
		r.templateAddress(n, what, rest)
	case strings.ContainsAny(rest, "{}"):
		if kind == plain {
			r.wrong(n, "%s may hold no variable", what)
			return
		}
		r.wrong(n, "%s may hold {{%s}} at its beginning only", what, serverVariable)
	}
}

// inHost stands for a variable while the parts of an address are told apart.
const inHost = "ward-variable"

// addressVariables are those whose values are fit for an address as they are: what people
// call a device, or an e-mail address, can hold what changes where a link leads.
func addressVariables() []string { return []string{"device.id", serverVariable} }

// templateAddress checks what follows the host of an address with variables.
func (r *reader) templateAddress(n *yaml.Node, what, rest string) {
	if strings.ContainsAny(variable.ReplaceAllString(rest, ""), " \t\n") {
		r.wrong(n, "%s may hold no space", what)
	}
	r.variables(n, what, rest)
	for _, name := range Variables() {
		switch {
		case !uses(rest, name) || slices.Contains(addressVariables(), name):
		case name == TokenVariable || name == CertVariable:
			r.wrong(n, "%s may not hold {{%s}}: an address is seen by others", what, name)
		default:
			r.wrong(n, "%s may not hold {{%s}}, whose value can change where an address leads: use {{device.id}}", what, name)
		}
	}
}

// StaffPage is the page for staff that Ward itself serves, where a policy asks for it
// with staff_page: true.
const StaffPage = serverPrefix + "staff"

// staffPage reads true, false or an address.
func (r *reader) staffPage(l *layer) shape {
	return single(r, &l.staffPage, func(v *string) shape {
		own := r.address("staff_page", v, template)
		return shape{
			read: func(n *yaml.Node) bool {
				on, ok := truth(n)
				switch {
				case ok && on:
					*v = StaffPage
				case ok:
					*v = ""
				default:
					return own.read(n)
				}
				return true
			},
			schema: func(s *definitions) schema {
				return schema{"anyOf": []any{schema{"type": "boolean"}, own.schema(s)}}
			},
		}
	})
}

func (r *reader) webClip(c *intent.WebClip, name *string) shape {
	return r.object(object{
		what: "a web clip", who: name, doc: "A link on the home screen.",
		fields: []field{
			needed(field{name: "label", doc: "What stands under it.", shape: r.text("label", name)}),
			needed(field{name: "url", doc: "Where it leads; it may hold {{device.id}} and {{server.url}}.", shape: r.address("url", &c.URL, template)}),
			{name: "icon", doc: "A file with its picture, a PNG.", shape: r.icon(&c.Icon)},
		},
		check: func(*yaml.Node, map[string]bool) { c.Label = *name },
	})
}

// updates reads what is enforced for each platform that can enforce an update.
func (r *reader) updates(l *layer) shape {
	var fields []field
	for i, name := range platforms {
		fields = append(fields, field{name: string(name), shape: single(r, &l.updates[i], func(u *intent.Update) shape { return r.update(string(name), u) })})
	}
	return r.object(object{what: "updates", def: "updates", doc: "Updates of the operating system that must be installed by a day and hour.", fields: fields})
}

const byLayout = "2006-01-02T15:04"

var byPattern = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}$`)

func (r *reader) update(platform string, u *intent.Update) shape {
	return r.object(object{
		what: "the update of " + platform,
		fields: []field{
			needed(field{name: "version", shape: r.version("version", &u.Version)}),
			needed(field{name: "by", doc: "When it must be there, in the device's own time, such as 2027-01-15T20:00.", shape: shape{
				read: func(n *yaml.Node) bool {
					t, err := time.Parse(byLayout, n.Value)
					if n.Kind != yaml.ScalarNode || err != nil {
						r.wrong(n, "by must be a day and hour such as 2027-01-15T20:00")
					}
					u.By = t
					return true
				},
				schema: func(*definitions) schema { return schema{"type": "string", "pattern": byPattern.String()} },
			}}),
		},
	})
}
