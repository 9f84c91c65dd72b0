package source

import (
	"net/netip"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/wardmdm/ward/profiles/intent"
)

// dns reads the organisation's resolver. There is one: a later layer's takes its place
// whole.
func (r *reader) dns(d *intent.DNS) shape {
	return r.object(object{
		what: "dns", def: "dns", who: &d.Name, anyOf: []string{"server_url", "server_name"},
		doc: "The organisation's own resolver, which devices ask over an encrypted connection. A device that can't reach it finds no names at all, so it must answer wherever devices are.",
		fields: []field{
			needed(field{name: "name", doc: "Its name, as staff see it.", shape: r.text("name", &d.Name)}),
			{name: "server_url", doc: "Its address for DNS over HTTPS, which begins with https://. Apple devices and browsers use it.", shape: r.address("server_url", &d.ServerURL, plain)},
			{name: "server_name", doc: "Its host name for DNS over TLS. Android asks no other way; Apple devices use it where there is no server_url.", shape: r.host("server_name", &d.ServerName)},
			{name: "addresses", doc: "Its IP addresses; those that its name has unless said.", shape: r.ipAddresses("addresses", &d.Addresses)},
			{name: "only", doc: "Domains whose names are asked of it, with all beneath them; all names unless said.", shape: r.hosts("only", &d.Only)},
		},
		check: func(n *yaml.Node, present map[string]bool) {
			if !present["server_url"] && !present["server_name"] {
				r.wrong(n, "dns has neither a server_url nor a server_name")
			}
		},
	})
}

// ipPattern is how an address looks, for the schema; what it is, the reader knows.
var ipPattern = regexp.MustCompile(`^[0-9A-Fa-f]*[.:][0-9A-Fa-f.:]+$`)

// ipAddresses reads a list of addresses that a device can ask, which is kept sorted and
// in their shortest form.
func (r *reader) ipAddresses(what string, into *[]string) shape {
	return r.list(what, func() shape {
		var text string
		one := r.pattern("an item of "+what, ipPattern, "an IP address, such as 192.0.2.53", &text)
		return shape{
			read: func(n *yaml.Node) bool {
				before := len(r.mistakes)
				if null(n) || !one.read(n) {
					r.wrong(n, "an item of %s is empty", what)
				}
				if len(r.mistakes) > before {
					return true
				}
				ip, err := netip.ParseAddr(text)
				switch {
				case err != nil:
					r.wrong(n, "%q is no IP address", text)
				case ip.IsUnspecified() || ip.IsLoopback() || ip.IsMulticast() || ip.IsLinkLocalUnicast():
					r.wrong(n, "%s is no address that a device can ask wherever it is", text)
				case slices.Contains(*into, ip.String()):
					r.wrong(n, "%s lists %s twice", what, ip)
				default:
					*into = append(*into, ip.String())
					slices.Sort(*into)
				}
				return true
			},
			schema: one.schema,
		}
	})
}
