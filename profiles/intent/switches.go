package intent

// Switch is an intent that is either on or off, with the words for it. The policy file
// has a field for each.
type Switch struct {
	ID      ID
	Section string // of the policy file: containment or hardening
	Field   string // of the policy file
	Words   string // as an intent: "Keep work data out of backups"
	Doc     string // one sentence for whoever writes a policy
	// Needs is another switch without which this one does nothing; empty for none.
	Needs ID
}

// The switches of containment: they keep work data where it belongs.
const (
	ManagedOpenIn        ID = "managed-open-in"
	ManagedPasteboard    ID = "managed-pasteboard"
	ManagedContacts      ID = "managed-contacts"
	AirDropUnmanaged     ID = "airdrop-unmanaged"
	NoScreenshots        ID = "no-screenshots"
	NoLockScreenPreviews ID = "no-lock-screen-previews"
	NoBackup             ID = "no-backup"
	NoIMessage           ID = "no-imessage"
	NoRCS                ID = "no-rcs"
	NoFaceTime           ID = "no-facetime"
	NoUSBTransfer        ID = "no-usb-transfer"
)

// The switches of hardening: they keep the device itself sound.
const (
	NoAppStore         ID = "no-app-store"
	NoEnterpriseTrust  ID = "no-enterprise-trust"
	NoUntrustedTLS     ID = "no-untrusted-tls"
	NoAccountChanges   ID = "no-account-changes"
	NoEraseByUser      ID = "no-erase-by-user"
	NoHostPairing      ID = "no-host-pairing"
	NoCloudKeychain    ID = "no-cloud-keychain"
	NoCloudPhotos      ID = "no-cloud-photos"
	NoControlCentre    ID = "no-control-centre-when-locked"
	NoAssistantLocked  ID = "no-assistant-when-locked"
	NoHiddenApps       ID = "no-hidden-apps"
	NoUserVPN          ID = "no-user-vpn"
	NoUserProfiles     ID = "no-user-profiles"
	NoDeveloperOptions ID = "no-developer-options"
)

// Switches returns all switches in the order in which people read them.
func Switches() []Switch {
	const c, h = "containment", "hardening"
	return []Switch{
		{ManagedOpenIn, c, "managed_open_in", "Keep work documents in managed apps", "Documents do not pass between managed and other apps, in either direction.", ""},
		{ManagedPasteboard, c, "managed_pasteboard", "Keep what is copied from managed apps in them", "What is copied in a managed app can't be pasted into another.", ManagedOpenIn},
		{ManagedContacts, c, "managed_contacts", "Keep work contacts from other apps", "Apps that are not managed can't read the contacts of work accounts.", ManagedOpenIn},
		{AirDropUnmanaged, c, "airdrop_unmanaged", "Keep work documents off AirDrop", "AirDrop counts as outside.", ManagedOpenIn},
		{NoScreenshots, c, "no_screenshots", "No screenshots or screen recording", "The screen can't be captured, recorded or mirrored.", ""},
		{NoLockScreenPreviews, c, "no_lock_screen_previews", "No message text on the lock screen", "Notifications of approved apps show no text while the device is locked.", ""},
		{NoBackup, c, "no_backup", "Keep work data out of backups", "Data of managed apps goes into no backup and no cloud.", ""},
		{NoIMessage, c, "no_imessage", "Turn off iMessage", "Messages sends SMS only.", ""},
		{NoRCS, c, "no_rcs", "Turn off RCS messages", "Messages sends SMS only.", ""},
		{NoFaceTime, c, "no_facetime", "Turn off FaceTime", "FaceTime is hidden.", ""},
		{NoUSBTransfer, c, "no_usb_transfer", "No files over a cable", "Files can't be copied to a computer or a USB drive.", ""},
		{NoAppStore, h, "no_app_store", "No apps installed by the person", "Only Ward installs apps.", ""},
		{NoEnterpriseTrust, h, "no_enterprise_trust", "No apps signed by unknown developers", "Apps that come outside a store are not trusted by the person.", ""},
		{NoUntrustedTLS, h, "no_untrusted_tls", "No untrusted TLS certificates accepted", "Nobody is asked whether to trust an unknown server.", ""},
		{NoAccountChanges, h, "no_account_changes", "No accounts added or removed by the person", "Accounts are as Ward set them.", ""},
		{NoEraseByUser, h, "no_erase_by_user", "No erasing by the person", "Erase All Content and Settings is off.", ""},
		{NoHostPairing, h, "no_host_pairing", "No pairing with other computers", "Only the supervising computer can pair.", ""},
		{NoCloudKeychain, h, "no_cloud_keychain", "No iCloud Keychain", "Passwords do not go to iCloud.", ""},
		{NoCloudPhotos, h, "no_cloud_photos", "No iCloud Photos", "Photos do not go to iCloud.", ""},
		{NoControlCentre, h, "no_control_centre_when_locked", "No Control Centre while locked", "A locked device can't be put into flight mode.", ""},
		{NoAssistantLocked, h, "no_assistant_when_locked", "No voice assistant while locked", "A locked device answers no questions.", ""},
		{NoHiddenApps, h, "no_hidden_apps", "No hidden or locked apps", "Apps can't be hidden from view.", ""},
		{NoUserVPN, h, "no_user_vpn", "No VPN set up by the person", "The block of networks can't be gone round.", ""},
		{NoUserProfiles, h, "no_user_profiles", "No profiles installed by the person", "Only Ward installs profiles.", ""},
		{NoDeveloperOptions, h, "no_developer_options", "No developer options", "Debugging and side-loading are off.", ""},
	}
}
