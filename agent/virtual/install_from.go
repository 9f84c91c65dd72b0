package virtual

import (
	"fmt"

	"github.com/wardmdm/ward/agent"
)

// CanInstallFrom returns nil if the user can get apps from a source: app-store,
// marketplace (iOS 17.4), web (iOS 17.5) or enterprise, which is an app signed by a
// developer whom the user has to trust. On a Mac, web is an app of an identified developer
// and enterprise one of a developer whom Apple does not know; Gatekeeper keeps a person
// from them only where they can't pass it by. Source: Apple, Restrictions,
// allowAppInstallation, allowUIAppInstallation, allowMarketplaceAppInstallation,
// allowWebDistributionAppInstallation, allowEnterpriseAppTrust; SystemPolicyControl and
// SystemPolicyManaged.
func (b *body) CanInstallFrom(source string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mac() && (source == "web" || source == "enterprise") {
		return b.gatekeeper(source == "web")
	}
	var keys []string
	switch source {
	case "app-store":
		keys = []string{"allowAppInstallation", "allowUIAppInstallation"}
	case "marketplace":
		keys = []string{"allowAppInstallation", "allowMarketplaceAppInstallation"}
		if !b.since("17.4", never) {
			return ErrAbsent
		}
	case "web":
		keys = []string{"allowAppInstallation", "allowWebDistributionAppInstallation"}
		if !b.since("17.5", never) {
			return ErrAbsent
		}
	case "enterprise":
		keys = []string{"allowEnterpriseAppTrust"}
	default:
		return fmt.Errorf("install from %q: %w", source, ErrNoSuchKind)
	}
	for _, key := range keys {
		if b.off(key) {
			return by(key)
		}
	}
	return nil
}

// gatekeeper returns ErrBlocked if a Mac keeps a person from an app that comes neither
// from the App Store nor from management, of a developer whom Apple knows or not.
func (b *body) gatekeeper(identified bool) error {
	var asks, fixed bool
	allowed := true
	b.each(func(_ *held, q agent.Payload) {
		asks = asks || q.Content["EnableAssessment"] == true
		allowed = allowed && q.Content["AllowIdentifiedDevelopers"] != false
		fixed = fixed || q.Content["DisableOverride"] == true
	}, "com.apple.systempolicy.control", "com.apple.systempolicy.managed")
	if asks && fixed && (!identified || !allowed) {
		return by("com.apple.systempolicy.control")
	}
	return nil
}

// FileVaultKept reports whether a profile keeps a Mac's disk from being decrypted once it
// is encrypted. Source: Apple, FDEFileVaultOptions, dontAllowFDEDisable.
func (b *body) FileVaultKept() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := false
	b.each(func(_ *held, q agent.Payload) { kept = kept || q.Content["dontAllowFDEDisable"] == true }, "com.apple.MCX")
	return kept
}
