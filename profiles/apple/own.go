package apple

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/micromdm/plist"

	"github.com/wardmdm/ward/profiles/intent"
)

// own carries the organisation's own profiles under an identifier of Ward's, so that
// they are removed when the policy drops them. A profile that the target would not take
// is left out whole. Keys in it that the device merely ignores are not looked at.
func (c *compiler) own() {
	for _, p := range c.w.Own {
		if p.Platform != c.d.Platform {
			continue
		}
		o := intent.Outcome{ID: intent.OwnProfile, Subject: p.Name, Intent: "Install the profile " + p.Name, Covers: slices.Clone(p.Types)}
		var doc map[string]any
		if err := plist.Unmarshal(p.Data, &doc); err != nil {
			c.failed(fmt.Errorf("read profile %s: %w", p.Name, err))
			return
		}
		payloads, err := payloadsOf(doc)
		if err != nil {
			c.failed(fmt.Errorf("read profile %s: %w", p.Name, err))
			return
		}
		if why, cure := c.refuses(payloads); why != "" {
			o.Verdict, o.Why, o.Cure = intent.Impossible, why, cure
			c.tell(o)
			continue
		}
		id := c.profileID("own." + slug(p.Name))
		o.Verdict, o.Mechanism = intent.Enforced, strings.Join(p.Types, ", ")
		c.drafts = append(c.drafts, draft{id: id, name: p.Name, whole: c.wrapped(doc, id), wholeTypes: p.Types})
		c.tell(o)
	}
}

// payloadsOf returns the payloads of a profile. Their cross-references are by
// PayloadUUID, which stays as it is.
func payloadsOf(doc map[string]any) ([]map[string]any, error) {
	content, ok := doc["PayloadContent"].([]any)
	if !ok || len(content) == 0 {
		return nil, fmt.Errorf("it has no list of payloads")
	}
	all := make([]map[string]any, len(content))
	for i, x := range content {
		dict, ok := x.(map[string]any)
		if kind, _ := dict["PayloadType"].(string); !ok || kind == "" {
			return nil, fmt.Errorf("payload %d has no type", i+1)
		}
		all[i] = dict
	}
	return all, nil
}

// wrapped gives the profile Ward's identifier and the scope of the channel. What Ward
// installs a person can't remove from an iPhone anyway, and PayloadRemovalDisallowed is
// refused by one that is not supervised.
func (c *compiler) wrapped(doc map[string]any, id string) map[string]any {
	out := maps.Clone(doc)
	out["PayloadIdentifier"] = id
	if c.d.ios() {
		delete(out, "PayloadRemovalDisallowed")
	} else {
		out["PayloadScope"] = "System"
	}
	return out
}

// refuses returns why the target would not take a profile, empty if it does.
func (c *compiler) refuses(payloads []map[string]any) (why, cure string) {
	for _, p := range payloads {
		kind, _ := p["PayloadType"].(string)
		if why, cure = c.refusesType(kind); why != "" {
			return "The profile is left out because of its payload " + kind + ". " + why, cure
		}
		if why, cure = c.refusesKeys(kind, p); why != "" {
			return "The profile is left out because of its payload " + kind + ". " + why, cure
		}
	}
	return "", ""
}

func (c *compiler) refusesType(kind string) (why, cure string) {
	i, known := slices.BinarySearchFunc(payloadTypes, kind, func(t payloadType, name string) int { return strings.Compare(t.name, name) })
	var traits trait
	var since intent.Version
	if known {
		traits, since = payloadTypes[i].mac, payloadTypes[i].macSince
		if c.d.ios() {
			traits, since = payloadTypes[i].ios, payloadTypes[i].iosSince
		}
	}
	switch {
	case known && traits&has == 0:
		return fmt.Sprintf("Apple does not have it on %s.", c.d.many()), ""
	case !known && (c.d.ios() || c.d.user || strings.HasPrefix(kind, "com.apple.")):
		return fmt.Sprintf("Ward does not know whether this %s takes it.", c.d.one()), ""
	case !known && !c.d.OS.Known():
		return c.d.refusal(unknownOS, need{})
	case !known:
		return "", "" // settings of an app for Macs
	case traits&noDevice != 0:
		return "A Mac takes it on the channel of the person who is signed in, not on its own.", ""
	}
	n := need{since: since, supervised: traits&supervised != 0, noUser: traits&noUser != 0}
	if r := c.d.lacks(n); r != takes {
		return c.d.refusal(r, n)
	}
	if traits&single != 0 && c.sets(kind) {
		return "A device takes one of them, and Ward sets one already.", "Take it out of the profile."
	}
	if kind == typeDNS && c.dnsType != "" {
		return "Ward sets a resolver too, and Apple does not say which of two is asked.", "Take it out of the profile."
	}
	if kind == typePasscode && c.d.user {
		return "A user-enrolled device ignores it.", "Set the passcode in the policy."
	}
	return "", ""
}

// sets reports whether a profile of Ward's, or an own one before, has such a payload.
func (c *compiler) sets(kind string) bool {
	if slices.ContainsFunc(c.messaging, func(p payload) bool { return p.Type == kind }) {
		return true
	}
	return slices.ContainsFunc(c.drafts, func(d draft) bool { return slices.Contains(d.types(), kind) })
}

// refusesKeys looks for keys for which a device refuses a profile, and for restrictions
// that Ward sets too: Apple does not say which of two holds.
func (c *compiler) refusesKeys(kind string, keys map[string]any) (why, cure string) {
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if strings.HasPrefix(key, "Payload") {
			continue
		}
		_, ours := c.restrictions[key]
		switch {
		case kind == typeRestrictions && ours:
			return "It sets " + key + ", which Ward sets too, and Apple does not say which one holds.", "Take the key out of the profile."
		case kind == typeRestrictions && c.d.user && !slices.Contains(userRestrictions, key),
			kind == typeWiFi && c.d.user && (strings.HasPrefix(key, "Proxy") || key == "DisableAssociationMACRandomization"):
			return "Apple forbids " + key + " under user enrolment.", "Make a profile without it for user-enrolled devices."
		}
	}
	if !c.d.ios() || c.d.Supervised {
		return "", ""
	}
	switch lacking := func(key string) bool { return keys[key] == nil }; {
	case kind == typeWebFilter && lacking("ContentFilterUUID"):
		return "Without supervision a content filter needs ContentFilterUUID.", ""
	case kind == typeRelay && c.d.user && lacking("RelayUUID"):
		return "Under user enrolment a relay needs RelayUUID.", ""
	case kind == "com.apple.dnsProxy.managed" && c.d.user && lacking("DNSProxyUUID"):
		return "Under user enrolment a DNS proxy needs DNSProxyUUID.", ""
	}
	return "", ""
}

// userRestrictions are the restrictions that Apple allows under user enrolment. It is a
// table, never changed. Source: mdm/profiles/com.apple.applicationaccess.yaml.
var userRestrictions = []string{
	"allowAssistant", "allowAssistantWhileLocked", "allowDiagnosticSubmission", "allowEnterpriseBookBackup",
	"allowEnterpriseBookMetadataSync", "allowExternalIntelligenceIntegrations", "allowExternalIntelligenceIntegrationsSignIn",
	"allowLockScreenControlCenter", "allowLockScreenNotificationsView", "allowLockScreenTodayView", "allowManagedAppsCloudSync",
	"allowOpenFromManagedToUnmanaged", "allowOpenFromUnmanagedToManaged", "allowRemoteScreenObservation", "allowScreenShot",
	"allowUnmanagedToReadManagedContacts", "forceAirDropUnmanaged", "forceAirPlayOutgoingRequestsPairingPassword",
	"forceEncryptedBackup", "forceOnDeviceOnlyDictation", "forceOnDeviceOnlyTranslation", "forceWatchWristDetection",
	"ratingRegion", "requireManagedPasteboard", "safariForceFraudWarning",
}
