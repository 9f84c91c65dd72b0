package apple

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// control is one key that serves a switch, with the conditions of Apple's schema.
// Source: mdm/profiles/com.apple.applicationaccess.yaml, com.apple.notificationsettings.yaml
// and com.apple.systempolicy.managed.yaml.
type control struct {
	id      intent.ID
	payload string // empty: com.apple.applicationaccess
	key     string
	value   any // nil: not set from the table but by the code that knows the payload
	need    need
	// gap is the version that brought what the key turns off. Older systems have nothing
	// to turn off, so that the key is not missed there. Zero: all have it.
	gap intent.Version
}

func (s control) mechanism() string {
	if s.payload != "" {
		return s.payload + " " + s.key
	}
	return typeRestrictions + " " + s.key
}

// controlsFor returns the keys of a platform. The first of a switch is its main one.
func controlsFor(p ward.Platform) []control {
	if p == ward.IOS {
		return iosControls
	}
	return macControls
}

// iosControls is a table, never changed.
var iosControls = []control{
	{id: intent.ManagedOpenIn, key: "allowOpenFromManagedToUnmanaged", value: false},
	{id: intent.ManagedOpenIn, key: "allowOpenFromUnmanagedToManaged", value: false},
	{id: intent.ManagedPasteboard, key: "requireManagedPasteboard", value: true, need: need{since: ver(15, 0)}},
	{id: intent.ManagedContacts, key: "allowUnmanagedToReadManagedContacts", value: false, need: need{since: ver(12, 0)}},
	{id: intent.AirDropUnmanaged, key: "forceAirDropUnmanaged", value: true},
	{id: intent.NoScreenshots, key: "allowScreenShot", value: false},
	{id: intent.NoScreenshots, key: "allowiPhoneMirroring", value: false, need: need{since: ver(18, 0), supervised: true, noUser: true}, gap: ver(18, 0)},
	{id: intent.NoLockScreenPreviews, key: "allowLockScreenNotificationsView", value: false},
	{id: intent.NoLockScreenPreviews, payload: typeNotifications, key: "PreviewType", need: need{since: ver(14, 0), supervised: true, noUser: true}},
	{id: intent.NoBackup, key: "allowManagedAppsCloudSync", value: false},
	{id: intent.NoBackup, key: "forceEncryptedBackup", value: true},
	{id: intent.NoBackup, key: "allowCloudBackup", value: false, need: need{noUser: true, whole: true}},
	{id: intent.NoIMessage, key: "allowChat", value: false, need: need{supervised: true, noUser: true}},
	{id: intent.NoRCS, key: "allowRCSMessaging", value: false, need: need{since: ver(18, 1), supervised: true, noUser: true}, gap: ver(18, 0)},
	{id: intent.NoFaceTime, key: "allowVideoConferencing", value: false, need: need{supervised: true, noUser: true}},
	{id: intent.NoUSBTransfer, key: "allowHostPairing", value: false, need: need{supervised: true, noUser: true}},
	{id: intent.NoUSBTransfer, key: "allowFilesUSBDriveAccess", value: false, need: need{since: ver(13, 0), supervised: true, noUser: true}, gap: ver(13, 0)},
	// Before iOS 10 the key keeps Ward from installing apps too.
	{id: intent.NoAppStore, key: "allowAppInstallation", value: false, need: need{since: ver(10, 0), supervised: true, noUser: true}},
	{id: intent.NoAppStore, key: "allowMarketplaceAppInstallation", value: false, need: need{since: ver(17, 4), supervised: true, noUser: true}, gap: ver(17, 4)},
	{id: intent.NoAppStore, key: "allowWebDistributionAppInstallation", value: false, need: need{since: ver(17, 5), supervised: true, noUser: true}, gap: ver(17, 5)},
	{id: intent.NoAppStore, key: "allowAppClips", value: false, need: need{since: ver(14, 0), supervised: true, noUser: true}, gap: ver(14, 0)},
	{id: intent.NoEnterpriseTrust, key: "allowEnterpriseAppTrust", value: false, need: need{noUser: true}},
	{id: intent.NoUntrustedTLS, key: "allowUntrustedTLSPrompt", value: false, need: need{noUser: true}},
	{id: intent.NoAccountChanges, key: "allowAccountModification", value: false, need: need{supervised: true, noUser: true}},
	{id: intent.NoEraseByUser, key: "allowEraseContentAndSettings", value: false, need: need{supervised: true, noUser: true}},
	{id: intent.NoHostPairing, key: "allowHostPairing", value: false, need: need{supervised: true, noUser: true}},
	{id: intent.NoCloudKeychain, key: "allowCloudKeychainSync", value: false, need: need{noUser: true, whole: true}},
	{id: intent.NoCloudPhotos, key: "allowCloudPhotoLibrary", value: false, need: need{noUser: true, whole: true}},
	{id: intent.NoControlCentre, key: "allowLockScreenControlCenter", value: false},
	// Deprecated in iOS 26.4 in favour of a declaration whose content Apple has not
	// published where it could be read; deprecated keys still work.
	{id: intent.NoAssistantLocked, key: "allowAssistantWhileLocked", value: false},
	{id: intent.NoHiddenApps, key: "allowAppsToBeHidden", value: false, need: need{since: ver(18, 0), supervised: true, noUser: true}, gap: ver(18, 0)},
	{id: intent.NoHiddenApps, key: "allowAppsToBeLocked", value: false, need: need{since: ver(18, 0), supervised: true, noUser: true}, gap: ver(18, 0)},
	{id: intent.NoUserVPN, key: "allowVPNCreation", value: false, need: need{since: ver(11, 0), supervised: true, noUser: true}},
	{id: intent.NoUserVPN, key: "allowCloudPrivateRelay", value: false, need: need{since: ver(15, 0), supervised: true, noUser: true}, gap: ver(15, 0)},
	{id: intent.NoUserProfiles, key: "allowUIConfigurationProfileInstallation", value: false, need: need{supervised: true, noUser: true}},
}

// macControls is a table, never changed.
var macControls = []control{
	{id: intent.NoScreenshots, key: "allowScreenShot", value: false},
	{id: intent.NoLockScreenPreviews, payload: typeNotifications, key: "ShowInLockScreen", need: need{noUser: true}},
	{id: intent.NoBackup, key: "allowTimeMachineBackup", value: false, need: need{since: ver(14, 0), noUser: true, whole: true}},
	{id: intent.NoEnterpriseTrust, payload: typeNoOverride, key: "DisableOverride", need: need{noUser: true, whole: true}},
	{id: intent.NoAccountChanges, key: "allowAccountModification", value: false, need: need{since: ver(14, 0), noUser: true, whole: true}},
	{id: intent.NoEraseByUser, key: "allowEraseContentAndSettings", value: false, need: need{since: ver(12, 0), noUser: true, whole: true}},
	{id: intent.NoCloudKeychain, key: "allowCloudKeychainSync", value: false, need: need{noUser: true, whole: true}},
	{id: intent.NoCloudPhotos, key: "allowCloudPhotoLibrary", value: false, need: need{noUser: true, whole: true}},
	{id: intent.NoUserVPN, key: "allowCloudPrivateRelay", value: false, need: need{since: ver(12, 0), noUser: true, whole: true}},
	{id: intent.NoUserProfiles, key: "allowUIConfigurationProfileInstallation", value: false, need: need{since: ver(13, 0), noUser: true, whole: true}},
}

// left is a key that was left out.
type left struct {
	control
	why reason
}

// switches carries out every switch that is on, in the order in which people read them.
func (c *compiler) switches() {
	for _, s := range intent.Switches() {
		if c.w.On[s.ID] {
			c.tell(c.turn(s))
		}
	}
}

func (c *compiler) turn(s intent.Switch) intent.Outcome {
	o := intent.Outcome{ID: s.ID, Intent: s.Words, Verdict: intent.Enforced}
	var rows []control
	for _, row := range controlsFor(c.d.Platform) {
		if row.id == s.ID {
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		return c.noSetting(o)
	}
	if s.Needs != "" && !c.w.On[s.Needs] {
		other := switchOf(s.Needs)
		o.Verdict = intent.NotEnforced
		o.Why = fmt.Sprintf("This does nothing without %q.", other.Words)
		o.Cure = fmt.Sprintf("Set %s under %s.", other.Field, other.Section)
		return o
	}
	o.Since = c.d.since(rows[0].need)
	var set []control
	var out []left
	for _, row := range rows {
		switch r := c.d.lacks(row.need); {
		case c.d.OS.Known() && row.gap.Known() && !c.d.OS.AtLeast(row.gap):
			// There is nothing to turn off.
		case r != takes:
			out = append(out, left{row, r})
		case row.value != nil:
			c.restrictions[row.key] = row.value
			set = append(set, row)
		case c.special(row):
			set = append(set, row)
		}
	}
	names := make([]string, len(set))
	for i, row := range set {
		names[i] = row.mechanism()
	}
	o.Mechanism = strings.Join(names, ", ")
	c.judge(&o, set, out)
	return o
}

// special sets the keys that are no restriction. It reports whether there was anything
// to set.
func (c *compiler) special(row control) bool {
	switch row.payload {
	case typeNotifications:
		return c.notifications(row.key)
	case typeNoOverride:
		c.gatekeeper.noOverride = true
		return true
	}
	return false
}

// notifications hides the text of approved apps' notifications on the lock screen:
// PreviewType 2 is "never". A Mac has no such key; there they are kept off the lock
// screen altogether.
func (c *compiler) notifications(key string) bool {
	var items []any
	for _, id := range c.approvedIDs() {
		item := map[string]any{"BundleIdentifier": id, key: 2}
		if key == "ShowInLockScreen" {
			item[key] = false
		}
		items = append(items, item)
	}
	if len(items) == 0 {
		return false
	}
	c.messaging = append(c.messaging, payload{Type: typeNotifications, Name: "Notifications", Keys: map[string]any{"NotificationSettings": items}})
	return true
}

// approvedIDs are the bundle ids of the approved apps on this platform, sorted.
func (c *compiler) approvedIDs() []string {
	var ids []string
	for _, a := range c.w.Apps {
		if id := c.source(a).BundleID; id != "" {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func switchOf(id intent.ID) intent.Switch {
	all := intent.Switches()
	return all[slices.IndexFunc(all, func(s intent.Switch) bool { return s.ID == id })]
}
