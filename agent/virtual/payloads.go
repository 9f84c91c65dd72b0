package virtual

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wardmdm/ward/agent"
)

const (
	typeWebFilter     = "com.apple.webcontent-filter"
	typeWiFi          = "com.apple.wifi.managed"
	typeWebClip       = "com.apple.webClip.managed"
	typeNotifications = "com.apple.notificationsettings"
	typeRelay         = "com.apple.relay.managed"
	typeDNSProxy      = "com.apple.dnsProxy.managed"
)

// payloadRule says from which version a device takes a type of payload, what it asks
// for, and the keys without which it refuses it.
type payloadRule struct {
	ios, mac string
	needs    demand
	required string // keys, separated by spaces
}

func refusal(code int, format string, args ...any) *agent.ProfileError {
	return &agent.ProfileError{Domain: domainInstall, Code: code, Text: fmt.Sprintf(format, args...)}
}

// acceptable holds a profile against what this device takes. One payload that it must
// not have makes iOS refuse the profile whole; a Mac in user enrolment leaves such a
// payload out without a word. Source: Apple's schema, userenrollment, supervised and
// multiple of each profile; legacy.yaml on what is refused and what is trimmed.
func (b *body) acceptable(prof *agent.Profile) error {
	if _, err := prof.Roots(); err != nil {
		return err
	}
	if prof.RemovalDisallowed && b.opt.UserEnrolment && !b.mac() {
		return refusal(codeUnacceptable, "PayloadRemovalDisallowed is forbidden in user enrolment")
	}
	count := map[string]int{}
	for _, q := range prof.Payloads {
		count[q.Type]++
		if count[q.Type] > 1 && !b.mac() && payloadRules[q.Type].needs&once != 0 {
			return refusal(codeInstallFailed, "the device takes one %s", q.Type)
		}
		if err := b.acceptablePayload(prof, q); err != nil {
			return err
		}
	}
	return nil
}

func (b *body) acceptablePayload(prof *agent.Profile, q agent.Payload) error {
	if q.Type == "com.apple.declarations" || q.Type == "com.apple.applicationaccess.new" && !b.mac() {
		return refusal(codeUnacceptable, "%s cannot be installed here", q.Type)
	}
	r, known := payloadRules[q.Type]
	if !known || !b.since(r.ios, r.mac) {
		return nil // it does nothing
	}
	switch {
	case b.mac() && r.needs&userChannel != 0:
		return refusal(codeUnacceptable, "%s is for a person's channel", q.Type)
	case b.mac() && b.forbidden(r.needs):
		return nil // trimmed
	case b.forbidden(r.needs):
		return refusal(codeUnacceptable, "%s is forbidden in user enrolment", q.Type)
	case !b.mac() && r.needs&sup != 0 && !b.opt.Supervised:
		return refusal(codeSupervision, "%s needs supervision", q.Type)
	}
	for key := range strings.FieldsSeq(r.required) {
		if q.Content[key] == nil {
			return &agent.ProfileError{Domain: agent.PayloadErrorDomain, Code: 2002, Text: q.Type + " has no " + key}
		}
	}
	switch q.Type {
	case typeRestrictions:
		return b.checkRestrictions(q)
	case typeWebFilter:
		return b.checkWebFilter(q)
	case typeWiFi:
		return b.checkWiFi(prof, q)
	case typeRelay:
		return b.checkRelays(prof, q)
	case typeDNS:
		return checkDNS(q)
	case typeDNSProxy:
		return b.checkPerApp(q, "DNSProxyUUID")
	case "com.apple.vpn.managed", "com.apple.vpn.managed.applayer":
		return b.checkVPN(prof, q)
	case typeACME:
		return b.checkACME(q, false)
	}
	return nil
}

// checkVPN makes sure that the identities that the parts of a VPN name are in its profile.
func (b *body) checkVPN(prof *agent.Profile, q agent.Payload) error {
	for _, part := range []string{"IKEv2", "VPN", "IPSec"} {
		if err := b.checkReferences(prof, "PayloadCertificateUUID", nestedIn(q.Content, part)); err != nil {
			return err
		}
	}
	return nil
}

// checkRelays does so for the relays of a payload.
func (b *body) checkRelays(prof *agent.Profile, q agent.Payload) error {
	list, _ := q.Content["Relays"].([]any)
	for _, v := range list {
		m, _ := v.(map[string]any)
		if err := b.checkReferences(prof, "PayloadCertificateUUID", m); err != nil {
			return err
		}
	}
	return b.checkPerApp(q, "RelayUUID")
}

// checkPerApp holds a payload that user enrolment takes for named apps alone.
// Source: Apple, Relay and DNSProxy payloads.
func (b *body) checkPerApp(q agent.Payload, key string) error {
	if b.opt.UserEnrolment && !b.mac() && q.Content[key] == nil {
		return refusal(codeUnacceptable, "in user enrolment %s needs %s", q.Type, key)
	}
	return nil
}

func nestedIn(m map[string]any, key string) map[string]any {
	in, _ := m[key].(map[string]any)
	return in
}

// wifiForbidden are the keys of Wi-Fi that user enrolment forbids on iOS.
// Source: Apple, WiFi payload, userenrollment of each key.
func wifiForbidden() []string {
	return []string{"ProxyType", "ProxyServer", "ProxyServerPort", "ProxyUsername", "ProxyPassword", "ProxyPACURL", "ProxyPACFallbackAllowed", "DisableAssociationMACRandomization"}
}

// checkWiFi holds a network against what user enrolment forbids, and its certificates
// against the payloads of the same profile.
func (b *body) checkWiFi(prof *agent.Profile, q agent.Payload) error {
	if b.opt.UserEnrolment && !b.mac() {
		for _, key := range wifiForbidden() {
			if q.Content[key] != nil {
				return refusal(codeUnacceptable, "%s is forbidden in user enrolment", key)
			}
		}
	}
	if err := b.checkReferences(prof, "PayloadCertificateUUID", q.Content); err != nil {
		return err
	}
	for _, u := range stringsOf(nestedIn(q.Content, "EAPClientConfiguration")["PayloadCertificateAnchorUUID"]) {
		if !slices.ContainsFunc(prof.Payloads, func(p agent.Payload) bool { return p.UUID == u }) {
			return &agent.ProfileError{Domain: agent.PayloadErrorDomain, Code: 2003, Text: "PayloadCertificateAnchorUUID names no payload of the profile"}
		}
	}
	return nil
}

// identityTypes are the payloads that give an identity.
func identityTypes() []string {
	return []string{typeSCEP, typeACME, "com.apple.security.pkcs12"}
}

// checkReferences makes sure that the identity that a payload names is in its profile, and
// of a kind that this system knows: an ACME payload is none before iOS 16.
func (b *body) checkReferences(prof *agent.Profile, key string, content map[string]any) error {
	u, ok := content[key].(string)
	if !ok {
		return nil
	}
	for _, p := range prof.Payloads {
		if p.UUID == u && slices.Contains(identityTypes(), p.Type) && len(b.takes([]agent.Payload{p})) > 0 {
			return nil
		}
	}
	return &agent.ProfileError{Domain: agent.PayloadErrorDomain, Code: 2003, Text: key + " names no identity of the profile"}
}

// takes returns the payloads that do something on this device.
func (b *body) takes(list []agent.Payload) []agent.Payload {
	var out []agent.Payload
	for _, q := range list {
		r, known := payloadRules[q.Type]
		if known && b.since(r.ios, r.mac) && !b.forbidden(r.needs) {
			out = append(out, b.trim(q))
		}
	}
	return out
}

// trim returns q without the restrictions that a Mac in user enrolment leaves out.
func (b *body) trim(q agent.Payload) agent.Payload {
	if !b.mac() || !b.opt.UserEnrolment || q.Type != typeRestrictions {
		return q
	}
	kept := map[string]any{}
	for key, v := range q.Content {
		if r, ok := restrictionRules[key]; !ok || !b.forbidden(r.needs) {
			kept[key] = v
		}
	}
	q.Content = kept
	return q
}
