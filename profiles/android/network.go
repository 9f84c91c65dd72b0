package android

import (
	"encoding/base64"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/wardmdm/ward/profiles/intent"
)

// identity is what a phone calls itself to a RADIUS server, bound at delivery. The
// server goes by the certificate.
const identity = "{{device.id}}"

// guid names a network or a certificate by what it is, the same in every policy.
func guid(parts ...string) string {
	space := uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/wardmdm/ward/android"))
	return uuid.NewSHA1(space, []byte(strings.Join(parts, "\x00"))).String()
}

// wifi sets up networks that are joined with the device's own certificate. Google
// refuses one without the servers' names or roots, and needs Android 12 to take a key
// pair that an app installed.
// Source: https://developers.google.com/android/management/configure-networks
func (c *compiler) wifi() {
	certificates := map[string]oncCertificate{}
	for _, n := range c.w.WiFi {
		o := intent.Outcome{ID: intent.JoinWiFi, Subject: n.SSID, Intent: "Join the Wi-Fi network " + n.SSID, Verdict: intent.NotEnforced, Covers: []string{n.SSID}}
		switch {
		case len(n.ServerNames) == 0 || len(n.TrustedRoots) == 0:
			o.Why = "Android refuses a network of this kind without the names of its servers and the certificate that they are known by."
			o.Cure = "Add server names and trusted roots to the network."
		case len(c.keyApps()) == 0:
			o.Why = "No approved app fetches a certificate on Android, and the network is joined with one."
			o.Cure = "Approve an app that needs a certificate, or a helper app that fetches one."
		case !c.has(sinceKeyAlias):
			o.Since = intent.Version{Major: sinceKeyAlias}.String()
			o.Why, o.Cure = c.older("To join a network with the phone's own certificate", sinceKeyAlias)
		default:
			c.join(n, certificates, &o)
		}
		c.told(o)
	}
	if c.doc.OpenNetworkConfiguration == nil {
		return
	}
	for _, id := range sortedKeys(certificates) {
		c.doc.OpenNetworkConfiguration.Certificates = append(c.doc.OpenNetworkConfiguration.Certificates, certificates[id])
	}
}

func sortedKeys(m map[string]oncCertificate) []string {
	ids := make([]string, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (c *compiler) join(n intent.WiFi, certificates map[string]oncCertificate, o *intent.Outcome) {
	net := oncNetwork{GUID: guid("wifi", n.SSID), Name: n.SSID, Type: "WiFi", WiFi: oncWiFi{
		SSID: n.SSID, HiddenSSID: n.Hidden, AutoConnect: true, Security: "WPA-EAP",
		EAP: oncEAP{
			Outer: "EAP-TLS", Identity: identity, DomainSuffixMatch: intent.Sorted(n.ServerNames),
			ClientCertType: "KeyPairAlias", ClientCertKeyPairAlias: certificateAlias,
		},
	}}
	for _, der := range n.TrustedRoots {
		id := guid("root", string(der))
		certificates[id] = oncCertificate{GUID: id, Type: "Authority", X509: base64.StdEncoding.EncodeToString(der)}
		net.WiFi.EAP.ServerCARefs = append(net.WiFi.EAP.ServerCARefs, id)
	}
	net.WiFi.EAP.ServerCARefs = intent.Sorted(net.WiFi.EAP.ServerCARefs)
	o.Verdict, o.Mechanism, o.Since = intent.Partly, "openNetworkConfiguration EAP-TLS", intent.Version{Major: sinceKeyAlias}.String()
	o.Why = "The phone joins once an approved app has put its certificate into the key chain."
	if n.NoPrivateAddr {
		if c.has(sinceRealAddress) {
			net.WiFi.MACAddressRandomization = "Hardware"
		} else {
			why, cure := c.older("To show the real hardware address", sinceRealAddress)
			o.Why, o.Cure = o.Why+" "+why, cure
		}
	}
	if c.doc.OpenNetworkConfiguration == nil {
		c.doc.OpenNetworkConfiguration = &onc{Type: "UnencryptedConfiguration"}
	}
	all := c.doc.OpenNetworkConfiguration
	if slices.ContainsFunc(all.NetworkConfigurations, func(x oncNetwork) bool { return x.GUID == net.GUID }) {
		o.Verdict, o.Why = intent.NotEnforced, "The policy names this network twice; the first one is used."
		return
	}
	all.NetworkConfigurations = append(all.NetworkConfigurations, net)
}

// networks tells of connections that Android leaves to apps.
func (c *compiler) networks() {
	for _, v := range c.w.VPN {
		c.told(intent.Outcome{
			ID: intent.ConnectVPN, Subject: v.Name, Intent: "Connect by the VPN " + v.Name, Verdict: intent.Impossible, Covers: []string{v.Server},
			Why:  "The Android Management API sets up no VPN; on Android each VPN comes as an app.",
			Cure: "Approve the VPN's app with a configuration of its own.",
		})
	}
	for _, r := range c.w.Relays {
		c.told(intent.Outcome{
			ID: intent.UseRelay, Subject: r.Name, Intent: "Use the network relay " + r.Name, Verdict: intent.Impossible, Covers: []string{r.URL},
			Why: "Android has no network relays of this kind.",
		})
	}
}
