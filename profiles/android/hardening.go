package android

import (
	"github.com/wardmdm/ward/profiles/intent"
)

func (c *compiler) sources(o *intent.Outcome) {
	c.security().UntrustedAppsPolicy = "DISALLOW_INSTALL"
	does(o, intent.Enforced, "advancedSecurityOverrides.untrustedAppsPolicy DISALLOW_INSTALL", "Apps from unknown sources can't be installed.")
	if !c.byod() {
		return
	}
	o.Since = intent.Version{Major: sinceGlobalSource}.String()
	if !c.has(sinceGlobalSource) {
		o.Verdict = intent.Partly
		why, cure := c.older("To close them on the personal side", sinceGlobalSource)
		o.Why, o.Cure = "Apps from unknown sources can't be installed in the work profile. "+why, cure
	}
}

func (c *compiler) tls(o *intent.Outcome) {
	c.ask("SSLErrorOverrideAllowed", false)
	c.doc.CredentialsConfigDisabled = true
	does(o, intent.Partly, "credentialsConfigDisabled, applications "+chrome+" managedConfiguration SSLErrorOverrideAllowed",
		"Certificates can't be added to those that are trusted, and Chrome offers no way past a warning. Other browsers and apps decide for themselves.")
	if a := c.apps[chrome]; a != nil && a.InstallType == "BLOCKED" {
		o.Mechanism = "credentialsConfigDisabled"
		o.Why = "Certificates can't be added to those that are trusted. Browsers and apps decide for themselves whether a person may pass a warning."
	}
}

func (c *compiler) accounts(o *intent.Outcome) {
	c.doc.ModifyAccountsDisabled = true
	does(o, intent.Enforced, "modifyAccountsDisabled", "Accounts can't be added or removed.")
	if !c.full() {
		o.Verdict = intent.Partly
		o.Why = "Accounts of the work profile can't be added or removed. Those of the personal side belong to the person."
	}
}

func (c *compiler) reset(o *intent.Outcome) {
	if c.byod() {
		o.Why = "A personal phone stays the person's own: they can always erase it."
		return
	}
	c.doc.FactoryResetDisabled = true
	does(o, intent.Partly, "factoryResetDisabled", "The phone can't be erased from Settings. Whoever holds its buttons while it starts can still do so.")
}

func (c *compiler) pairing(o *intent.Outcome) {
	c.debugging(o, "No computer can debug the phone or install apps on it.",
		"No computer can debug the work profile. The personal side belongs to the person.")
}

func (c *compiler) developer(o *intent.Outcome) {
	c.debugging(o, "Developer options, debugging and safe boot are off.",
		"Debugging of the work profile is off. Safe boot and the personal side belong to the person.")
}

func (c *compiler) debugging(o *intent.Outcome, all, some string) {
	c.security().DeveloperSettings = "DEVELOPER_SETTINGS_DISABLED"
	does(o, intent.Enforced, "advancedSecurityOverrides.developerSettings DEVELOPER_SETTINGS_DISABLED", all)
	if c.byod() {
		o.Verdict, o.Why, o.Cure = intent.Partly, some, giveWorkPhone
	}
}

func (c *compiler) keychain(o *intent.Outcome) {
	c.ask("PasswordManagerEnabled", false)
	does(o, intent.Partly, "applications "+chrome+" managedConfiguration PasswordManagerEnabled",
		"Android has no iCloud. Chrome keeps no passwords; other apps may keep their own.")
	if a := c.apps[chrome]; a != nil && a.InstallType == "BLOCKED" {
		o.Mechanism, o.Why = "", "Android has no iCloud, but its own services may keep passwords in a cloud."
	}
	if c.has(sinceCredentials) {
		c.doc.CredentialProviderPolicyDefault = "CREDENTIAL_PROVIDER_DEFAULT_DISALLOWED"
		o.Mechanism = join(o.Mechanism, "credentialProviderPolicyDefault CREDENTIAL_PROVIDER_DEFAULT_DISALLOWED")
		o.Why += " No app may fill in passwords or passkeys for others."
	}
	if !c.full() {
		o.Why += " This holds for the work profile."
	}
}

func (c *compiler) photos(o *intent.Outcome) {
	o.Verdict = intent.NotEnforced
	o.Why = "Android has no iCloud, but Google Photos uploads to the Google account that is signed in. The Android Management API can't forbid that."
	o.Cure = "Block the app com.google.android.apps.photos, or forbid account changes."
	if c.on(intent.NoAccountChanges) {
		does(o, intent.Partly, "modifyAccountsDisabled", "Android has no iCloud, and a person can add no account to which Google Photos would upload.")
		o.Cure = ""
		if !c.full() {
			o.Why = "Android has no iCloud, and a person can add no account to the work profile to which Google Photos would upload. Photos of the personal side are not touched by it."
		}
	}
}

func (c *compiler) quickSettings(o *intent.Outcome) {
	o.Why = "Android has no setting that keeps the quick settings off the lock screen."
}

func (c *compiler) assistant(o *intent.Outcome) {
	o.Why = "The Android Management API has no setting for the assistant on the lock screen."
	o.Cure = "Turn the assistant off when the phone is set up."
}

// hidden closes the private space. A fully managed phone has none: Android does not let
// a person add profiles there.
// Source: https://developer.android.com/reference/android/os/UserManager#DISALLOW_ADD_PRIVATE_PROFILE
func (c *compiler) hidden(o *intent.Outcome) {
	o.Since = intent.Version{Major: sinceAssist}.String()
	switch {
	case c.full():
		does(o, intent.Enforced, "", "A fully managed phone has no private space.")
		o.Since = ""
	case c.byod():
		o.Why = "The personal side of this phone belongs to the person, its private space too."
		o.Cure = giveWorkPhone
	case c.has(sinceAssist):
		c.doc.PersonalUsage.PrivateSpacePolicy = "PRIVATE_SPACE_DISALLOWED"
		does(o, intent.Enforced, "personalUsagePolicies.privateSpacePolicy PRIVATE_SPACE_DISALLOWED", "The phone has no private space; one that is there is removed with its data.")
	case c.t.OS.Known():
		does(o, intent.Partly, "", "Android has no private space before version 15. A maker's own hidden folder can't be closed.")
	default:
		o.Verdict = intent.NotEnforced
		o.Why, o.Cure = c.older("To close the private space", sinceAssist)
	}
}

func (c *compiler) vpn(o *intent.Outcome) {
	c.doc.VPNConfigDisabled = true
	does(o, intent.Enforced, "vpnConfigDisabled", "VPNs can't be set up by the person.")
	if !c.full() {
		o.Verdict = intent.Partly
		o.Why = "VPNs can't be set up in the work profile. On the personal side they can."
	}
}

func (c *compiler) profiles(o *intent.Outcome) {
	c.doc.CredentialsConfigDisabled, c.doc.AddUserDisabled = true, true
	does(o, intent.Enforced, "credentialsConfigDisabled, addUserDisabled", "Android has no configuration profiles. Certificates, users and further profiles can't be added.")
	if !c.full() {
		o.Verdict = intent.Partly
		o.Why = "Android has no configuration profiles. Certificates can't be added to the work profile; on the personal side they can."
		if c.byod() {
			c.doc.AddUserDisabled = false
			o.Mechanism = "credentialsConfigDisabled"
		}
	}
}
