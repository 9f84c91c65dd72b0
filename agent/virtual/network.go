package virtual

import (
	"maps"
	"slices"
	"strings"

	"github.com/wardmdm/ward/agent"
)

// Network is a Wi-Fi network that the device joins without a question.
type Network struct {
	SSID        string
	Hidden      bool
	EAPTLS      bool
	Identity    bool     // the device has the certificate that the network asks for
	ServerNames []string // of the RADIUS servers it believes
	Roots       int      // authorities it believes them by
	PrivateAddr bool     // the device shows a private hardware address, which it can from iOS 14
}

// WebClip is a link on the home screen. Without Shown it is there but a restriction
// hides it.
type WebClip struct {
	Label, URL string
	Removable  bool
	Shown      bool
}

// Tunnel is a VPN or a relay.
type Tunnel struct {
	Name     string // as the user sees it
	Server   string // host name or address
	PerApp   bool
	Identity bool     // it names an identity that the device has
	Domains  []string // that go through a relay, sorted; nil: all
}

// each calls f for the payloads of some types that are in force, in the order of the
// identifiers of their profiles. The caller holds b.mu.
func (b *body) each(f func(h *held, q agent.Payload), types ...string) {
	for _, id := range slices.Sorted(maps.Keys(b.profiles)) {
		h := b.profiles[id]
		for _, q := range h.payloads {
			if slices.Contains(types, q.Type) {
				f(h, q)
			}
		}
	}
}

// has reports whether a profile gave the device the identity that key of m names.
func (h *held) has(m map[string]any, key string) bool {
	u, _ := m[key].(string)
	return u != "" && slices.ContainsFunc(h.payloads, func(q agent.Payload) bool {
		return q.UUID == u && slices.Contains(identityTypes(), q.Type)
	})
}

// WiFi returns the networks that profiles have set up. prepare has got every identity
// that they name, or the profile would not be here.
func (b *body) WiFi() []Network {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []Network
	b.each(func(h *held, q agent.Payload) {
		eap := nestedIn(q.Content, "EAPClientConfiguration")
		types, _ := eap["AcceptEAPTypes"].([]any)
		n := Network{
			Identity: h.has(q.Content, "PayloadCertificateUUID"), PrivateAddr: b.since("14.0", "15.0") && q.Content["DisableAssociationMACRandomization"] != true,
			EAPTLS: slices.ContainsFunc(types, func(v any) bool { return number(v) == 13 }), ServerNames: stringsOf(eap["TLSTrustedServerNames"]),
			Roots: len(stringsOf(eap["PayloadCertificateAnchorUUID"])),
		}
		n.SSID, _ = q.Content["SSID_STR"].(string)
		n.Hidden, _ = q.Content["HIDDEN_NETWORK"].(bool)
		out = append(out, n)
	}, typeWiFi)
	return out
}

// WebClips returns the links that profiles have put on the home screen.
func (b *body) WebClips() []WebClip {
	b.mu.Lock()
	defer b.mu.Unlock()
	shown := b.blocked(bundleWebClip) == nil
	var out []WebClip
	b.each(func(_ *held, q agent.Payload) {
		w := WebClip{Shown: shown, Removable: q.Content["IsRemovable"] != false}
		w.Label, _ = q.Content["Label"].(string)
		w.URL, _ = q.Content["URL"].(string)
		out = append(out, w)
	}, typeWebClip)
	return out
}

// VPNs returns the VPN connections that profiles have set up.
func (b *body) VPNs() []Tunnel {
	b.mu.Lock()
	defer b.mu.Unlock()
	const perApp = "com.apple.vpn.managed.applayer"
	var out []Tunnel
	b.each(func(h *held, q agent.Payload) {
		t := Tunnel{PerApp: q.Type == perApp}
		t.Name, _ = q.Content["UserDefinedName"].(string)
		for _, part := range []string{"IKEv2", "VPN", "IPSec"} {
			in := nestedIn(q.Content, part)
			if s, ok := in["RemoteAddress"].(string); ok {
				t.Server = s
			}
			t.Identity = t.Identity || h.has(in, "PayloadCertificateUUID")
		}
		out = append(out, t)
	}, "com.apple.vpn.managed", perApp)
	return out
}

// Relays returns the network relays that profiles have set up.
func (b *body) Relays() []Tunnel {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []Tunnel
	b.each(func(h *held, q agent.Payload) {
		list, _ := q.Content["Relays"].([]any)
		for _, v := range list {
			m, _ := v.(map[string]any)
			t := Tunnel{Name: q.Name, PerApp: q.Content["RelayUUID"] != nil, Identity: h.has(m, "PayloadCertificateUUID")}
			for _, key := range []string{"HTTP2RelayURL", "HTTP3RelayURL"} {
				if u, ok := m[key].(string); ok {
					t.Server = strings.TrimSpace(u)
				}
			}
			if q.Content["MatchDomains"] != nil {
				t.Domains = slices.Sorted(slices.Values(stringsOf(q.Content["MatchDomains"])))
			}
			out = append(out, t)
		}
	}, typeRelay)
	return out
}
