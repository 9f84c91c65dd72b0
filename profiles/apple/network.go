package apple

import (
	"fmt"

	"github.com/wardmdm/ward/profiles/intent"
)

// identity is the payload by which the device gets a certificate of its own for one
// profile. Other payloads of the profile name it by id.
// Source: mdm/profiles/com.apple.security.scep.yaml.
func (c *compiler) identity(profile string) (p payload, id string) {
	keys := map[string]any{
		"URL": variableSCEP, "Challenge": variableChallenge, "Name": variableSCEPName,
		"Subject": []any{[]any{[]any{"CN", variableDevice}}},
		"Keysize": 2048, "Key Type": "RSA",
		"Key Usage": 5, // signing and encryption
	}
	if !c.d.ios() {
		keys["KeyIsExtractable"] = false
	}
	p = payload{Type: typeSCEP, ID: "identity", Name: "Identity", Keys: map[string]any{"PayloadContent": keys}}
	return p, c.idIn(profile, p)
}

// roots are the payloads of certificates that a connection's server is checked against.
func (c *compiler) roots(profile string, ders [][]byte) (all []payload, ids []any) {
	for i, der := range ders {
		p := payload{
			Type: typeRoot, ID: fmt.Sprintf("root-%d", i+1), Name: fmt.Sprintf("Certificate %d", i+1),
			Keys: map[string]any{"PayloadContent": der},
		}
		all, ids = append(all, p), append(ids, c.idIn(profile, p))
	}
	return all, ids
}

// idIn returns the PayloadUUID that p will have in a profile.
func (c *compiler) idIn(profile string, p payload) string {
	dict, err := p.sealed(profile)
	if err != nil {
		c.failed(fmt.Errorf("write profile %s: %w", profile, err))
		return ""
	}
	id, _ := dict["PayloadUUID"].(string)
	return id
}

// gated says that a connection comes and goes with the passcode.
const gated = "It is there only while the passcode is as the policy asks."

// gates reports whether the device itself takes access away while its passcode is not
// as asked. A Mac has no such status item.
func (c *compiler) gates() bool {
	return c.d.ios() && c.d.declares() && c.wantsPasscode()
}

func (c *compiler) connected(o *intent.Outcome, mechanism string) {
	o.Verdict, o.Mechanism = intent.Enforced, mechanism
	if c.gates() {
		o.Why = gated
	}
}

func needRealAddress(d device) need {
	if d.ios() {
		return need{since: ver(14, 0), noUser: true}
	}
	return need{since: ver(15, 0), noUser: true}
}

// wifi makes a profile for each network, with the device's own certificate.
// Source: mdm/profiles/com.apple.wifi.managed.yaml.
func (c *compiler) wifi() []intent.Outcome {
	var all []intent.Outcome
	for _, w := range c.w.WiFi {
		o := intent.Outcome{ID: intent.JoinWiFi, Subject: w.SSID, Intent: "Join the Wi-Fi network " + w.SSID}
		if r := c.d.lacks(need{}); r != takes {
			o.Verdict = intent.Impossible
			o.Why, o.Cure = c.d.refusal(r, need{})
			all = append(all, o)
			continue
		}
		c.connected(&o, typeWiFi)
		id := c.profileID("wifi." + slug(w.SSID))
		scep, identity := c.identity(id)
		roots, anchors := c.roots(id, w.TrustedRoots)
		eap := map[string]any{"AcceptEAPTypes": []any{13}} // EAP-TLS
		if len(anchors) > 0 {
			eap["PayloadCertificateAnchorUUID"] = anchors
		}
		if len(w.ServerNames) > 0 {
			eap["TLSTrustedServerNames"] = anys(w.ServerNames)
		}
		if !c.d.ios() || c.d.OS.AtLeast(ver(11, 0)) {
			eap["TLSMinimumVersion"] = "1.2"
		}
		keys := map[string]any{
			"SSID_STR": w.SSID, "HIDDEN_NETWORK": w.Hidden, "AutoJoin": true, "EncryptionType": "WPA2",
			"PayloadCertificateUUID": identity, "EAPClientConfiguration": eap,
		}
		if w.NoPrivateAddr {
			c.realAddress(keys, &o)
		}
		payloads := append(roots, scep, payload{Type: typeWiFi, ID: "wifi", Name: "Wi-Fi " + w.SSID, Keys: keys})
		c.drafts = append(c.drafts, draft{id: id, name: "Ward: Wi-Fi " + w.SSID, payloads: payloads, grants: true})
		all = append(all, o)
	}
	return all
}

// realAddress has the device show its real hardware address to a network, where it can
// be asked to. Before the system that hides it there is nothing to ask.
func (c *compiler) realAddress(keys map[string]any, o *intent.Outcome) {
	n := needRealAddress(c.d)
	switch c.d.lacks(n) {
	case takes:
		keys["DisableAssociationMACRandomization"] = true
	case needsNewerOS:
	default:
		if c.d.OS.AtLeast(n.since) {
			o.Verdict = intent.Partly
			o.Why = "The " + c.d.one() + " hides its real hardware address from the network: Apple lets nobody change that under user enrolment."
			o.Cure = "Let the network accept private addresses."
		}
	}
}

// vpn makes a profile for each VPN. One that carries approved apps only is named by the
// apps themselves, of which each can name one.
// Source: mdm/profiles/com.apple.vpn.managed.yaml and com.apple.vpn.managed.applayer.yaml.
func (c *compiler) vpn() []intent.Outcome {
	var all []intent.Outcome
	for _, v := range c.w.VPN {
		o := intent.Outcome{ID: intent.ConnectVPN, Subject: v.Name, Intent: "Connect by the VPN " + v.Name}
		n := need{noUser: !v.PerApp}
		r := c.d.lacks(n)
		switch {
		case r != takes:
			o.Verdict = intent.Impossible
			o.Why, o.Cure = c.d.refusal(r, n)
			if r == forbiddenForUser && c.d.ios() {
				o.Cure = "Set per_app, so that it carries the approved apps only."
			}
		case v.PerApp && !c.d.ios():
			o.Verdict = intent.NotEnforced
			o.Why = "A Mac ties a VPN to apps by their code signatures, which Ward does not know."
		case v.PerApp && c.vpnUUID != "":
			o.Verdict = intent.NotEnforced
			o.Why = "An app can use one VPN of this kind, and another stands before this one."
			o.Cure = "Keep one VPN with per_app."
		default:
			c.connected(&o, typeVPN)
			if v.PerApp {
				o.Mechanism = typeAppVPN
				c.vpnUUID = uuidOf([]byte("vpn " + v.Name + " " + v.Server))
			}
			c.vpnProfile(v)
		}
		all = append(all, o)
	}
	return all
}

func (c *compiler) vpnProfile(v intent.VPN) {
	id := c.profileID("vpn." + slug(v.Name))
	scep, identity := c.identity(id)
	roots, _ := c.roots(id, v.TrustedRoots)
	remote := v.RemoteID
	if remote == "" {
		remote = v.Server
	}
	security := func() map[string]any {
		return map[string]any{"EncryptionAlgorithm": "AES-256", "IntegrityAlgorithm": "SHA2-256", "DiffieHellmanGroup": 19, "LifeTimeInMinutes": 1440}
	}
	p := payload{Type: typeVPN, ID: "vpn", Name: "VPN " + v.Name, Keys: map[string]any{
		"VPNType": "IKEv2", "UserDefinedName": v.Name,
		"IKEv2": map[string]any{
			"RemoteAddress": v.Server, "RemoteIdentifier": remote, "LocalIdentifier": variableDevice,
			"AuthenticationMethod": "Certificate", "CertificateType": "RSA", "PayloadCertificateUUID": identity,
			"DeadPeerDetectionRate": "Medium", "EnablePFS": 1,
			"IKESecurityAssociationParameters": security(), "ChildSecurityAssociationParameters": security(),
		},
	}}
	if v.PerApp {
		p.Type = typeAppVPN
		p.Keys["VPNUUID"] = c.vpnUUID
		p.Keys["OnDemandMatchAppEnabled"] = true
	}
	c.drafts = append(c.drafts, draft{id: id, name: "Ward: VPN " + v.Name, payloads: append(roots, scep, p), grants: true})
}

func (d device) needRelay() need {
	if d.ios() {
		return need{since: ver(17, 0)}
	}
	return need{since: ver(14, 0), noUser: true}
}

// relays makes a profile for each relay, which knows the device by its certificate.
// Source: mdm/profiles/com.apple.relay.managed.yaml.
func (c *compiler) relays() []intent.Outcome {
	var all []intent.Outcome
	n := c.d.needRelay()
	for _, r := range c.w.Relays {
		o := intent.Outcome{ID: intent.UseRelay, Subject: r.Name, Intent: "Use the relay " + r.Name, Since: c.d.since(n)}
		why := c.d.lacks(n)
		switch {
		case why != takes:
			o.Verdict = intent.Impossible
			o.Why, o.Cure = c.d.refusal(why, n)
		case !r.PerApp && c.d.user:
			o.Verdict = intent.Impossible
			o.Why = "Under user enrolment Apple lets a relay carry managed apps only."
			o.Cure = "Set per_app, so that it carries the approved apps only."
		case r.PerApp && !c.d.ios():
			o.Verdict = intent.NotEnforced
			o.Why = "Ward can't tie a relay to apps on a Mac."
			o.Cure = "Name the domains that go through the relay."
		case r.PerApp && c.relayUUID != "":
			o.Verdict = intent.NotEnforced
			o.Why = "An app can use one relay of this kind, and another stands before this one."
			o.Cure = "Keep one relay with per_app."
		default:
			c.connected(&o, typeRelay)
			c.relayProfile(r)
		}
		all = append(all, o)
	}
	return all
}

func (c *compiler) relayProfile(r intent.Relay) {
	id := c.profileID("relay." + slug(r.Name))
	scep, identity := c.identity(id)
	keys := map[string]any{"Relays": []any{map[string]any{"HTTP3RelayURL": r.URL, "PayloadCertificateUUID": identity}}}
	if len(r.Domains) > 0 {
		keys["MatchDomains"] = anys(r.Domains)
	}
	if r.PerApp {
		c.relayUUID = uuidOf([]byte("relay " + r.Name + " " + r.URL))
		keys["RelayUUID"] = c.relayUUID
	}
	c.drafts = append(c.drafts, draft{
		id: id, name: "Ward: Relay " + r.Name, grants: true,
		payloads: []payload{scep, {Type: typeRelay, ID: "relay", Name: "Relay " + r.Name, Keys: keys}},
	})
}
