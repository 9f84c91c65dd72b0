package virtual

import (
	"slices"
	"strings"

	"github.com/wardmdm/ward/agent"
)

const (
	typeDNS            = "com.apple.dnsSettings.managed"
	typeDNSDeclaration = "com.apple.configuration.network.dns-settings"
)

// Resolver is a server that the device looks names up at, over an encrypted connection.
type Resolver struct {
	Name      string   // as the user sees it
	Server    string   // its address for DNS over HTTPS, or its host name for DNS over TLS
	Addresses []string // that it is asked at; nil: those of its name
	Domains   []string // that it is asked about, sorted; nil: all
	// Everywhere: it is asked on every network, mobile ones too; otherwise only on Wi-Fi
	// networks that management set up.
	Everywhere bool
	// MaySwitchOff: the user can choose another one in Settings.
	MaySwitchOff bool
}

// Resolver returns the encrypted resolver that the device has been given; false: it asks
// the servers of the network that it is on. Where there are several, which Apple says
// nothing about, it is the first declared one, or that of the first profile.
// Source: Apple, DNSSettings payload and its notes; NetworkDNSSettings declaration.
func (b *body) Resolver() (Resolver, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if list := b.inForce(typeDNSDeclaration); len(list) > 0 {
		p := list[0].payload
		name, _ := p["VisibleName"].(string)
		return b.resolver(name, p, b.opt.Supervised), true
	}
	var all []Resolver
	b.each(func(h *held, q agent.Payload) {
		all = append(all, b.resolver(q.Name, q.Content, h.by == byHand))
	}, typeDNS)
	if len(all) == 0 {
		return Resolver{}, false
	}
	return all[0], true
}

// resolver reads what a payload or a declaration says of one.
func (b *body) resolver(name string, m map[string]any, everywhere bool) Resolver {
	in := nestedIn(m, "DNSSettings")
	key := "ServerName"
	if in["DNSProtocol"] == "HTTPS" {
		key = "ServerURL"
	}
	r := Resolver{Name: name, Everywhere: everywhere, MaySwitchOff: m["ProhibitDisablement"] != true || !b.opt.Supervised}
	r.Server, _ = in[key].(string)
	if in["ServerAddresses"] != nil {
		r.Addresses = stringsOf(in["ServerAddresses"])
	}
	if in["SupplementalMatchDomains"] != nil {
		r.Domains = slices.Sorted(slices.Values(stringsOf(in["SupplementalMatchDomains"])))
	}
	return r
}

// faultOfDNS is what Apple's description of DNSSettings has against a server, "" for
// nothing: HTTPS needs ServerURL, TLS ServerName, and ServerName is for TLS alone.
func faultOfDNS(m map[string]any) string {
	in := nestedIn(m, "DNSSettings")
	url, _ := in["ServerURL"].(string)
	name, _ := in["ServerName"].(string)
	switch in["DNSProtocol"] {
	case "HTTPS":
		if !strings.HasPrefix(url, "https://") {
			return "DNSProtocol HTTPS needs a ServerURL that begins with https://"
		}
		if in["ServerName"] != nil {
			return "ServerName is for DNSProtocol TLS only"
		}
	case "TLS":
		if name == "" {
			return "DNSProtocol TLS needs ServerName"
		}
	default:
		return "DNSProtocol must be HTTPS or TLS"
	}
	return ""
}

func checkDNS(q agent.Payload) error {
	if fault := faultOfDNS(q.Content); fault != "" {
		return &agent.ProfileError{Domain: agent.PayloadErrorDomain, Code: 2003, Text: fault}
	}
	return nil
}
