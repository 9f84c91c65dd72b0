package android

import (
	"github.com/wardmdm/ward/profiles/intent"
)

// switches tells of every switch that is on, in the order in which people read them.
func (c *compiler) switches() {
	for _, s := range intent.Switches() {
		if !c.on(s.ID) {
			continue
		}
		o := intent.Outcome{ID: s.ID, Intent: s.Words, Verdict: intent.Impossible, Why: noField}
		if rule := rules[s.ID]; rule != nil {
			rule(c, &o)
		}
		c.told(o)
	}
}

// rules say what each switch is on Android. It is a table, never changed.
var rules = map[intent.ID]func(*compiler, *intent.Outcome){
	intent.ManagedOpenIn:        (*compiler).openIn,
	intent.ManagedPasteboard:    (*compiler).pasteboard,
	intent.ManagedContacts:      (*compiler).contacts,
	intent.AirDropUnmanaged:     (*compiler).nearby,
	intent.NoScreenshots:        (*compiler).screenshots,
	intent.NoLockScreenPreviews: (*compiler).previews,
	intent.NoBackup:             (*compiler).backup,
	intent.NoIMessage:           (*compiler).iMessage,
	intent.NoRCS:                (*compiler).rcs,
	intent.NoFaceTime:           (*compiler).faceTime,
	intent.NoUSBTransfer:        (*compiler).usb,
	intent.NoAppStore:           (*compiler).appStore,
	intent.NoEnterpriseTrust:    (*compiler).sources,
	intent.NoUntrustedTLS:       (*compiler).tls,
	intent.NoAccountChanges:     (*compiler).accounts,
	intent.NoEraseByUser:        (*compiler).reset,
	intent.NoHostPairing:        (*compiler).pairing,
	intent.NoCloudKeychain:      (*compiler).keychain,
	intent.NoCloudPhotos:        (*compiler).photos,
	intent.NoControlCentre:      (*compiler).quickSettings,
	intent.NoAssistantLocked:    (*compiler).assistant,
	intent.NoHiddenApps:         (*compiler).hidden,
	intent.NoUserVPN:            (*compiler).vpn,
	intent.NoUserProfiles:       (*compiler).profiles,
	intent.NoDeveloperOptions:   (*compiler).developer,
}

// does says that a field carries the switch.
func does(o *intent.Outcome, v intent.Verdict, mechanism, why string) {
	o.Verdict, o.Mechanism, o.Why = v, mechanism, why
}

// oneSide tells that a fully managed phone has no border between work and the rest.
func (c *compiler) oneSide(o *intent.Outcome) bool {
	if !c.full() {
		return false
	}
	o.Why = "A fully managed phone has no personal side: all its apps stand on one, and Android draws no border between them."
	o.Cure = "Let only listed apps run, or enrol the phone with a personal side."
	if c.w.Block.AllowOnly {
		o.Cure = ""
		does(o, intent.Partly, "playStoreMode WHITELIST", "This phone has no personal side, and only listed apps can be installed on it. Apps that came with it are within the border too.")
	}
	return true
}

func (c *compiler) openIn(o *intent.Outcome) {
	if c.oneSide(o) {
		return
	}
	c.across().CrossProfileDataSharing = "CROSS_PROFILE_DATA_SHARING_DISALLOWED"
	does(o, intent.Enforced, "crossProfilePolicies.crossProfileDataSharing CROSS_PROFILE_DATA_SHARING_DISALLOWED",
		"Documents do not pass between the work profile and the personal side.")
}

func (c *compiler) pasteboard(o *intent.Outcome) {
	if c.oneSide(o) {
		return
	}
	c.across().CrossProfileCopyPaste = "COPY_FROM_WORK_TO_PERSONAL_DISALLOWED"
	does(o, intent.Enforced, "crossProfilePolicies.crossProfileCopyPaste COPY_FROM_WORK_TO_PERSONAL_DISALLOWED",
		"What is copied in the work profile can't be pasted on the personal side.")
}

func (c *compiler) contacts(o *intent.Outcome) {
	if c.oneSide(o) {
		return
	}
	c.across().ShowWorkContacts = "SHOW_WORK_CONTACTS_IN_PERSONAL_PROFILE_DISALLOWED"
	does(o, intent.Enforced, "crossProfilePolicies.showWorkContactsInPersonalProfile SHOW_WORK_CONTACTS_IN_PERSONAL_PROFILE_DISALLOWED",
		"Personal apps can't read work contacts. The personal telephone app does not show the names of work callers either.")
}

func (c *compiler) nearby(o *intent.Outcome) {
	c.doc.OutgoingBeamDisabled = true
	does(o, intent.Partly, "outgoingBeamDisabled", "Sharing by NFC is off. Google's Quick Share has no setting in the Android Management API.")
	if c.has(sinceBackup) {
		c.connectivity().BluetoothSharing = "BLUETOOTH_SHARING_DISALLOWED"
		o.Mechanism += ", deviceConnectivityManagement.bluetoothSharing BLUETOOTH_SHARING_DISALLOWED"
		o.Why = "Sharing by Bluetooth and NFC is off. Google's Quick Share has no setting in the Android Management API."
	}
}

func (c *compiler) screenshots(o *intent.Outcome) {
	c.doc.ScreenCaptureDisabled = true
	does(o, intent.Enforced, "screenCaptureDisabled", "The screen can't be captured or recorded.")
	if c.has(sinceAssist) {
		c.doc.AssistContentPolicy = "ASSIST_CONTENT_DISALLOWED"
		o.Mechanism += ", assistContentPolicy ASSIST_CONTENT_DISALLOWED"
	}
	if !c.full() {
		o.Why = "Work apps can't be captured or recorded; personal apps can."
	}
}

func (c *compiler) previews(o *intent.Outcome) {
	c.doc.KeyguardDisabledFeatures = append(c.doc.KeyguardDisabledFeatures, "UNREDACTED_NOTIFICATIONS")
	does(o, intent.Enforced, "keyguardDisabledFeatures UNREDACTED_NOTIFICATIONS", "While the phone is locked, notifications show no text.")
	if !c.full() {
		o.Why = "While the phone is locked, notifications of work apps show no text."
	}
}

// backup keeps Android's own backup off; in a work profile it is off by itself.
// Source: https://developer.android.com/reference/android/app/admin/DevicePolicyManager#setBackupServiceEnabled(android.content.ComponentName,%20boolean)
func (c *compiler) backup(o *intent.Outcome) {
	if !c.full() {
		does(o, intent.Enforced, "", "Android backs up no work profile unless its manager turns that on, and Ward does not.")
		return
	}
	o.Since = intent.Version{Major: sinceBackup}.String()
	if !c.has(sinceBackup) {
		o.Verdict = intent.NotEnforced
		o.Why, o.Cure = c.older("To turn backups off", sinceBackup)
		return
	}
	c.doc.BackupService = "BACKUP_SERVICE_DISABLED"
	does(o, intent.Enforced, "backupService BACKUP_SERVICE_DISABLED", "Android's backup is off. Apps that keep data in a cloud of their own are not touched by it.")
}

func (c *compiler) iMessage(o *intent.Outcome) {
	does(o, intent.Enforced, "", "Android has no iMessage, so there is nothing to turn off.")
}

func (c *compiler) rcs(o *intent.Outcome) {
	o.Why = "The Android Management API has no setting that turns RCS off."
	o.Cure = "Ask the mobile operator to turn RCS off for these lines."
}

func (c *compiler) faceTime(o *intent.Outcome) {
	does(o, intent.Partly, "", "Android has no FaceTime app, but a link to a FaceTime call opens in the browser.")
	o.Cure = "Block facetime.apple.com on the organisation's network."
}

func (c *compiler) usb(o *intent.Outcome) {
	if c.byod() {
		o.Why = "Only a work phone can be kept from sharing files over a cable."
		o.Cure = giveWorkPhone
		return
	}
	c.connectivity().USBDataAccess = "DISALLOW_USB_FILE_TRANSFER"
	c.doc.MountPhysicalMediaDisabled = true
	does(o, intent.Enforced, "deviceConnectivityManagement.usbDataAccess DISALLOW_USB_FILE_TRANSFER, mountPhysicalMediaDisabled",
		"Files can't be copied to a computer, and no USB drive or memory card can be used.")
}

func (c *compiler) appStore(o *intent.Outcome) {
	c.doc.PlayStoreMode = "WHITELIST"
	does(o, intent.Enforced, "playStoreMode WHITELIST", "Google Play offers only the apps of this policy; others are removed with their data.")
	if !c.full() {
		o.Verdict = intent.Partly
		o.Why = "The work profile's Google Play offers only the apps of this policy. On the personal side the person still installs apps."
		o.Cure = giveWorkPhone
		if c.cope() {
			o.Cure = "Enrol the phone without a personal side."
		}
	}
}
