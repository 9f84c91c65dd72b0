package workstation

import (
	"slices"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// Resolver is the organisation's own resolver. One of ServerURL and ServerName is set.
type Resolver struct {
	Name       string   `json:"name"`                  // for people
	ServerURL  string   `json:"server_url,omitempty"`  // DNS over HTTPS (RFC 8484)
	ServerName string   `json:"server_name,omitempty"` // host name for DNS over TLS (RFC 7858)
	Addresses  []string `json:"addresses,omitempty"`   // sorted; none: those that its name has
	Only       []string `json:"only,omitempty"`        // domains that are asked of it, sorted; none: all
}

// dns has browsers ask the organisation's resolver, or the system's, and never one of
// their own choice; and it has the agent report what the system asks.
// Sources: https://chromeenterprise.google/policies/#DnsOverHttpsMode,
// https://learn.microsoft.com/deployedge/microsoft-edge-policies/dnsoverhttpsmode,
// https://mozilla.github.io/policy-templates/#dnsoverhttps
func (c *compiler) dns() {
	d := c.w.DNS
	if !d.Wanted() {
		return
	}
	o := intent.Outcome{ID: intent.UseDNS, Intent: "Use the organisation's resolver", Covers: []string{d.Server()}}
	if c.personal {
		o.Verdict, o.Why, o.Cure = intent.NotEnforced, leftAlone, giveWorkComputer
		c.told(o)
		return
	}
	c.policy.Resolver = &Resolver{Name: d.Name, ServerURL: d.ServerURL, ServerName: d.ServerName, Addresses: d.Addresses, Only: d.Only}
	c.policy.Questions = append(c.policy.Questions, NameServers)
	slices.Sort(c.policy.Questions)
	o.Verdict = intent.Partly
	ask, own := "ask", "their own"
	if c.is(ward.MacOS) {
		ask, own = "asks", "its own"
	}
	if c.browsersAsk() {
		c.both("DnsOverHttpsMode", "secure")
		c.both("DnsOverHttpsTemplates", d.ServerURL)
		c.firefox["DNSOverHTTPS"] = map[string]any{"Enabled": true, "ProviderURL": d.ServerURL, "Fallback": false, "Locked": true}
		o.Why = c.browsers() + " " + ask + " " + d.Name + " for all names. Other programs do only if the system does, which Ward's agent reports and does not set. "
	} else {
		c.both("DnsOverHttpsMode", "off")
		c.firefox["DNSOverHTTPS"] = map[string]any{"Enabled": false, "Locked": true}
		o.Why = c.browsers() + " " + ask + " the system for names, never a resolver of " + own + ". Whether the system asks " + d.Name + " Ward's agent reports and does not set. "
	}
	o.Mechanism = c.keys("DnsOverHttpsMode", "DNSOverHTTPS")
	o.Why += c.others()
	o.Cure = "Set the computer's name servers by the organisation's own tools."
	if c.is(ward.MacOS) {
		o.Cure = "Enrol the Mac in device management too."
	}
	c.told(o)
}

// browsersAsk reports whether browsers ask the organisation's resolver by themselves:
// they know DNS over HTTPS only, and one resolver for all names.
func (c *compiler) browsersAsk() bool {
	return !c.personal && c.w.DNS.ServerURL != "" && len(c.w.DNS.Only) == 0
}
