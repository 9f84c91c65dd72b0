package android

import (
	"github.com/wardmdm/ward/profiles/intent"
)

type privateDNS struct {
	PrivateDNSMode string `json:"privateDnsMode"`
	PrivateDNSHost string `json:"privateDnsHost"`
}

// resolves reports whether the phone asks the organisation's resolver.
func (c *compiler) resolves() bool {
	d := c.w.DNS
	return d.Wanted() && c.full() && d.ServerName != "" && len(d.Only) == 0 && c.has(sincePrivateDNS)
}

// dns has the phone ask the organisation's resolver for all names, by DNS over TLS: the
// one way that Android has. Chrome would otherwise ask servers of its own.
// Source: PrivateDnsSettings of the Android Management API;
// https://chromeenterprise.google/policies/#DnsOverHttpsMode
func (c *compiler) dns() {
	d := c.w.DNS
	if !d.Wanted() {
		return
	}
	o := intent.Outcome{
		ID: intent.UseDNS, Intent: "Use the organisation's resolver", Verdict: intent.NotEnforced, Covers: []string{d.Server()},
		Since: intent.Version{Major: sincePrivateDNS}.String(),
	}
	switch {
	case c.cope():
		o.Verdict, o.Since = intent.Impossible, ""
		o.Why = "On a company-owned phone with a personal side Android lets the employer choose no resolver."
		o.Cure = "Manage the phone fully, if it is for work alone."
	case c.byod():
		o.Verdict, o.Since = intent.Impossible, ""
		o.Why, o.Cure = "On a personal phone Android lets the employer choose no resolver.", giveWorkPhone
	case d.ServerName == "":
		o.Why, o.Cure = "Android asks a resolver by DNS over TLS only, for which the policy names no host.", "Give the resolver a server_name."
	case len(d.Only) > 0:
		o.Why, o.Cure = "Android asks one resolver for all names, and the policy names one for some.", "Leave out only for the groups that have Android phones."
	case !c.has(sincePrivateDNS):
		o.Why, o.Cure = c.older("To be told its resolver", sincePrivateDNS)
	default:
		c.connectivity().PrivateDNS = &privateDNS{PrivateDNSMode: "PRIVATE_DNS_SPECIFIED_HOST", PrivateDNSHost: d.ServerName}
		c.ask("DnsOverHttpsMode", "off")
		o.Covers = []string{d.ServerName}
		does(&o, intent.Enforced, "deviceConnectivityManagement.privateDnsSettings PRIVATE_DNS_SPECIFIED_HOST",
			"All names are looked up at "+d.Name+" on every network, and the person can't change that.")
		if len(d.Addresses) > 0 {
			o.Why += " Android finds the resolver by its host name, not by the addresses that the policy names."
		}
	}
	c.told(o)
}
