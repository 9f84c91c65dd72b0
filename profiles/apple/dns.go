package apple

import (
	"slices"

	"github.com/wardmdm/ward/profiles/intent"
)

// typeDNSSettings is the declaration that sets a resolver from iOS 27 and macOS 27 on.
// Its keys are those of Apple's documentation; Apple's published schema of iOS 18 does
// not have it yet.
// Source: https://developer.apple.com/documentation/devicemanagement/networkdnssettings
const typeDNSSettings = "com.apple.configuration.network.dns-settings"

// reach is where a device asks the organisation's resolver.
type reach int

const (
	nowhere      reach = iota
	managedWiFi        // on Wi-Fi networks that management set up
	everyNetwork       // wherever the device is
)

func dnsSettingsSince() intent.Version { return ver(27, 0) }

func (d device) needDNS() need {
	if d.ios() {
		return need{since: ver(14, 0), noUser: true}
	}
	return need{noUser: true}
}

// sole reports whether the organisation can take a setting out of the person's hands: on
// a supervised device, as which Apple counts every Mac that is enrolled as a device.
func (d device) sole() bool { return !d.user && (!d.ios() || d.Supervised) }

// dns has the device ask the organisation's resolver, and notes how far that reaches. It
// is nil where none is wanted.
//
// Of the profile Apple says that from management it applies to managed Wi-Fi networks
// only, of the declaration that on supervised devices it applies to all networks, on
// others to managed ones.
// Source: mdm/profiles/com.apple.dnsSettings.managed.yaml, its notes.
func (c *compiler) dns() []intent.Outcome {
	if !c.w.DNS.Wanted() {
		return nil
	}
	n := c.d.needDNS()
	o := intent.Outcome{ID: intent.UseDNS, Intent: useDNS, Since: c.d.since(n), Covers: []string{c.w.DNS.Server()}}
	switch r := c.d.lacks(n); {
	case r != takes:
		o.Verdict = intent.Impossible
		o.Why, o.Cure = c.d.refusal(r, n)
	case c.d.Personal() && c.d.sole() && len(c.w.DNS.Only) == 0:
		o.Verdict = intent.NotEnforced
		o.Why = "The resolver would be told every name that the person's own " + c.d.one() + " looks up, so Ward sets it on the organisation's devices only."
		o.Cure = "Name the domains that are asked of it under only, or give the person a " + c.d.workOne() + "."
	default:
		c.dnsType = c.setDNS()
		o.Mechanism = c.dnsType
		c.dnsWords(&o)
	}
	return []intent.Outcome{o}
}

const useDNS = "Use the organisation's resolver"

// setDNS makes the declaration or the profile and returns its type.
func (c *compiler) setDNS() string {
	keys := map[string]any{"DNSSettings": c.dnsServer()}
	if c.d.sole() {
		keys["ProhibitDisablement"] = true
	}
	if c.managesWiFi() {
		c.resolver = managedWiFi
	}
	if !c.d.OS.AtLeast(dnsSettingsSince()) {
		c.drafts = append(c.drafts, draft{
			id: c.profileID("dns"), name: "Ward: Name server", description: c.w.Notice,
			payloads: []payload{{Type: typeDNS, ID: "dns", Name: c.w.DNS.Name, Keys: keys}},
		})
		return typeDNS
	}
	if c.d.sole() {
		c.resolver = everyNetwork
	}
	keys["VisibleName"] = c.w.DNS.Name
	c.configs = append(c.configs, config{last: "dns", kind: typeDNSSettings, payload: keys})
	return typeDNSSettings
}

// managesWiFi reports whether the policy sets up a Wi-Fi network.
func (c *compiler) managesWiFi() bool {
	return len(c.w.WiFi) > 0 || slices.ContainsFunc(c.w.Own, func(p intent.Own) bool {
		return p.Platform == c.d.Platform && slices.Contains(p.Types, typeWiFi)
	})
}

// dnsServer describes the resolver. DNS over HTTPS goes first: it passes where other
// ports than 443 are closed.
func (c *compiler) dnsServer() map[string]any {
	d := c.w.DNS
	server := map[string]any{"DNSProtocol": "TLS", "ServerName": d.ServerName}
	if d.ServerURL != "" {
		server = map[string]any{"DNSProtocol": "HTTPS", "ServerURL": d.ServerURL}
	}
	if len(d.Addresses) > 0 {
		server["ServerAddresses"] = anys(d.Addresses)
	}
	if len(d.Only) > 0 {
		server["SupplementalMatchDomains"] = anys(d.Only)
	}
	return server
}

// dnsWords says how far the resolver reaches.
func (c *compiler) dnsWords(o *intent.Outcome) {
	names := "All names"
	if len(c.w.DNS.Only) > 0 {
		names = "Names under " + intent.List(c.w.DNS.Only)
	}
	o.Verdict = intent.Partly
	o.Why = names + " are looked up at " + c.w.DNS.Name
	switch {
	case c.resolver != everyNetwork:
		c.dnsOnWiFi(o)
	case !c.d.ios():
		o.Why += " on every network, and the person can't switch that off. A VPN that the person sets up goes round it: Apple has no setting against that on a Mac."
	case !c.w.On[intent.NoUserVPN]:
		o.Why += " on every network, and the person can't switch that off. A VPN that the person sets up goes round it."
		o.Cure = "Set no_user_vpn under hardening."
	default:
		o.Verdict = intent.Enforced
		o.Why += " on every network, and the person can't switch that off."
	}
}

// dnsOnWiFi says that the resolver is asked on managed networks only.
func (c *compiler) dnsOnWiFi(o *intent.Outcome) {
	o.Why += " only on Wi-Fi networks that management set up"
	switch {
	case c.resolver == nowhere:
		o.Verdict = intent.NotEnforced
		o.Why += ", and the policy sets up none."
		o.Cure = "Set up the organisation's Wi-Fi under networks."
		if c.d.sole() {
			o.Cure = c.d.updateCure(dnsSettingsSince()) + " Before that, set up the organisation's Wi-Fi under networks."
		}
		return
	case c.d.sole():
		o.Why += ". The person can't switch that off."
		o.Cure = c.d.updateCure(dnsSettingsSince())
		return
	}
	o.Why += ", and the person can switch that off."
	o.Cure = c.d.superviseCure()
	if !c.d.OS.AtLeast(dnsSettingsSince()) {
		o.Cure += " It needs iOS " + dnsSettingsSince().String() + " or later."
	}
}

// blockNetwork says what becomes of names that are to be blocked. No setting of a device
// blocks a name: its name servers do, and Ward can't look into them.
func (c *compiler) blockNetwork() {
	names := c.w.Block.Network
	var asked []string
	if c.resolver != nowhere {
		asked = c.w.DNS.Asked(names)
	}
	if len(asked) > 0 {
		o := intent.Outcome{ID: intent.BlockNetwork, Intent: blockNames, Verdict: intent.Partly, Mechanism: c.dnsType, Covers: asked}
		o.Why = c.w.DNS.Name + " is asked for " + intent.List(asked)
		if c.resolver == managedWiFi {
			o.Why += " on Wi-Fi networks that management set up"
		}
		o.Why += ", and what it refuses is blocked. Ward can't see what it refuses, and an app that knows an address needs no name."
		o.Cure = "Give that resolver the list of names: ward policy export --network --format rpz (or hosts) writes it."
		c.tell(o)
	}
	others := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(asked, n) })
	if len(others) > 0 {
		c.tell(c.resolvedElsewhere(others, len(asked) > 0))
	}
}

const blockNames = "Block the network names of these apps"

// resolvedElsewhere says that names are looked up where the device's network says; rest:
// others are not.
func (c *compiler) resolvedElsewhere(names []string, rest bool) intent.Outcome {
	o := intent.Outcome{
		ID: intent.BlockNetwork, Intent: blockNames, Verdict: intent.NotEnforced, Covers: names,
		Why:  intent.List(names) + " can still be reached: the " + c.d.one() + " asks the name servers of the network that it is on",
		Cure: "Block these names in the name servers of the organisation's network, which reach no further than it.",
	}
	if rest {
		o.Subject = "looked up elsewhere"
	}
	switch {
	case !c.w.DNS.Wanted():
		o.Why += ", and Ward sets no others."
		o.Cure += " Elsewhere an organisation's own resolver can: set dns under networks."
	case c.resolver == nowhere:
		o.Why += ". The organisation's resolver is not in force here."
	default:
		o.Why += ". The policy has only other names looked up at " + c.w.DNS.Name + "."
		o.Cure = "Add these names to only under networks.dns."
	}
	return o
}
