package intent

import (
	"cmp"
	"strings"
)

// UseDNS is the intent that names are looked up at the organisation's own resolver.
const UseDNS ID = "dns"

// DNS is the organisation's own resolver, which is asked over an encrypted connection
// wherever the device is. The zero DNS is not wanted. At least one of ServerURL and
// ServerName is set; where both are, they are the same resolver.
type DNS struct {
	Name       string   // shown to staff in Settings
	ServerURL  string   // DNS over HTTPS (RFC 8484), without variables; may be empty
	ServerName string   // host name for DNS over TLS (RFC 7858); may be empty
	Addresses  []string // of the resolver, sorted; empty: those that its name has
	Only       []string // domains that are asked of it, sorted, in lower case; empty: all
}

// Wanted reports whether there is a resolver to use.
func (d DNS) Wanted() bool { return d.Name != "" }

// Server is what the resolver is known by: its address for DNS over HTTPS, or else its
// host name.
func (d DNS) Server() string { return cmp.Or(d.ServerURL, d.ServerName) }

// Asked returns those of names that are looked up at the resolver, in their order. Names
// are in lower case.
func (d DNS) Asked(names []string) []string {
	if !d.Wanted() {
		return nil
	}
	var out []string
	for _, name := range names {
		if d.asked(name) {
			out = append(out, name)
		}
	}
	return out
}

func (d DNS) asked(name string) bool {
	for _, domain := range d.Only {
		if name == domain || strings.HasSuffix(name, "."+domain) {
			return true
		}
	}
	return len(d.Only) == 0
}
