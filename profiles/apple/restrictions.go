// Package apple turns what a policy wants into payloads for iPhones and iPads, and
// says for each wish what the target allows. It builds configuration profiles only:
// it sends nothing, signs nothing and knows no device.
package apple

import (
	"cmp"
	"slices"
)

// PayloadRestrictions and PayloadNotifications are the payload types that this package
// emits. Source: github.com/apple/device-management, mdm/profiles.
const (
	PayloadRestrictions  = "com.apple.applicationaccess"
	PayloadNotifications = "com.apple.notificationsettings"
)

// Target is what decides which keys a device honours.
type Target struct {
	OS            Version
	Supervised    bool
	UserEnrolment bool // Apple's user enrolment, not device enrolment of a personal phone
}

// Wish is one thing that a policy can want from a device.
type Wish string

// The wishes.
const (
	BlockApps            Wish = "block apps"
	ManagedOpenIn        Wish = "managed open-in"
	ManagedPasteboard    Wish = "managed pasteboard"
	AirDropUnmanaged     Wish = "airdrop unmanaged"
	NoScreenshots        Wish = "no screenshots"
	NoLockScreenPreviews Wish = "no lock screen previews"
	NoBackup             Wish = "no backup"
	NoIMessage           Wish = "no imessage"
	NoRCS                Wish = "no rcs"
)

// Wanted is what a policy wants, before it is known of which device.
type Wanted struct {
	BlockedApps []string      // bundle ids in exact case; none means no wish to block
	Previews    []string      // bundle ids whose notification previews are hidden
	On          map[Wish]bool // every wish but BlockApps
}

func (w Wanted) has(wish Wish) bool {
	if wish == BlockApps {
		return len(w.BlockedApps) > 0
	}
	return w.On[wish]
}

// Reason says why a key was left out.
type Reason string

// The reasons.
const (
	NeedsSupervision Reason = "needs supervision"
	NeedsNewerOS     Reason = "needs a newer iOS"
	UnknownOS        Reason = "iOS version unknown"
	NotForUserEnrol  Reason = "forbidden under user enrolment"
)

// LeftOut is a key that the target does not take.
type LeftOut struct {
	Key    string
	Reason Reason
	Since  Version // from which iOS the key exists
}

// Outcome says what became of one wish: which keys were set, which were left out.
type Outcome struct {
	Wish Wish
	Set  []string
	Left []LeftOut
}

// setting is one key that serves a wish, with the conditions of Apple's schema.
// Source: github.com/apple/device-management, mdm/profiles/com.apple.applicationaccess.yaml
// and com.apple.notificationsettings.yaml.
type setting struct {
	wish       Wish
	payload    string
	key        string
	value      any // nil: taken from Wanted
	since      Version
	supervised bool
	userOK     bool // allowed under user enrolment
	// closesNewGap marks a key for something that older systems do not have: without the
	// system there is no gap, so it is not counted as left out.
	closesNewGap bool
	// wholeDevice marks a key that reaches beyond work data and that Apple deprecates
	// without supervision: Ward sends it to supervised devices only.
	wholeDevice bool
}

// settings is a table, never changed.
var settings = []setting{
	{wish: BlockApps, payload: PayloadRestrictions, key: "blockedAppBundleIDs", since: Version{15, 0}, supervised: true},
	{wish: ManagedOpenIn, payload: PayloadRestrictions, key: "allowOpenFromManagedToUnmanaged", value: false, since: Version{7, 0}, userOK: true},
	{wish: ManagedOpenIn, payload: PayloadRestrictions, key: "allowOpenFromUnmanagedToManaged", value: false, since: Version{7, 0}, userOK: true},
	{wish: ManagedPasteboard, payload: PayloadRestrictions, key: "requireManagedPasteboard", value: true, since: Version{15, 0}, userOK: true},
	{wish: AirDropUnmanaged, payload: PayloadRestrictions, key: "forceAirDropUnmanaged", value: true, since: Version{9, 0}, userOK: true},
	{wish: NoScreenshots, payload: PayloadRestrictions, key: "allowScreenShot", value: false, since: Version{3, 1}, userOK: true},
	{wish: NoScreenshots, payload: PayloadRestrictions, key: "allowiPhoneMirroring", value: false, since: Version{18, 0}, supervised: true, closesNewGap: true},
	{wish: NoLockScreenPreviews, payload: PayloadRestrictions, key: "allowLockScreenNotificationsView", value: false, since: Version{7, 0}, userOK: true},
	{wish: NoLockScreenPreviews, payload: PayloadNotifications, key: "PreviewType", since: Version{14, 0}, supervised: true},
	{wish: NoBackup, payload: PayloadRestrictions, key: "allowManagedAppsCloudSync", value: false, since: Version{8, 0}, userOK: true},
	{wish: NoBackup, payload: PayloadRestrictions, key: "forceEncryptedBackup", value: true, since: Version{4, 0}, userOK: true},
	{wish: NoBackup, payload: PayloadRestrictions, key: "allowCloudBackup", value: false, since: Version{5, 0}, wholeDevice: true},
	{wish: NoIMessage, payload: PayloadRestrictions, key: "allowChat", value: false, since: Version{5, 0}, supervised: true},
	{wish: NoRCS, payload: PayloadRestrictions, key: "allowRCSMessaging", value: false, since: Version{18, 1}, supervised: true},
}

// wishes is the order in which outcomes are told.
var wishes = []Wish{
	BlockApps, ManagedOpenIn, ManagedPasteboard, AirDropUnmanaged, NoScreenshots,
	NoLockScreenPreviews, NoBackup, NoIMessage, NoRCS,
}

// Band returns the newest version, not newer than v, at which the keys of this package
// change: devices in one band get the same bytes. The zero Version stays zero.
func Band(v Version) Version {
	var band Version
	for _, s := range settings {
		if v.AtLeast(s.since) && (!band.Known() || s.since.AtLeast(band)) {
			band = s.since
		}
	}
	return band
}

// Bands returns every version that Band can return, oldest first, beginning with the
// zero Version.
func Bands() []Version {
	bands := []Version{{}}
	for _, s := range settings {
		if !slices.Contains(bands, s.since) {
			bands = append(bands, s.since)
		}
	}
	slices.SortFunc(bands, func(a, b Version) int {
		return cmp.Or(cmp.Compare(a.Major, b.Major), cmp.Compare(a.Minor, b.Minor))
	})
	return bands
}

// Restrict returns the payloads that carry what is wanted, as far as the target takes
// it, and one outcome for each wish in a fixed order. A key that the target would
// ignore or reject is never emitted, for one forbidden payload can make iOS reject a
// whole profile. No payload at all is an empty slice.
func Restrict(t Target, w Wanted) ([]Payload, []Outcome) {
	restrictions, notify := map[string]any{}, false
	var outcomes []Outcome
	for _, wish := range wishes {
		if !w.has(wish) {
			continue
		}
		o := Outcome{Wish: wish}
		for _, s := range settings {
			if s.wish != wish || s.payload == PayloadNotifications && len(w.Previews) == 0 {
				continue
			}
			if reason, out := s.leftOut(t); out {
				if !s.closesNewGap || !t.OS.Known() || t.OS.AtLeast(s.since) {
					o.Left = append(o.Left, LeftOut{Key: s.key, Reason: reason, Since: s.since})
				}
				continue
			}
			o.Set = append(o.Set, s.key)
			switch {
			case s.payload == PayloadNotifications:
				notify = true
			case s.wish == BlockApps:
				restrictions[s.key] = sortedUnique(w.BlockedApps)
			default:
				restrictions[s.key] = s.value
			}
		}
		outcomes = append(outcomes, o)
	}
	var payloads []Payload
	if len(restrictions) > 0 {
		payloads = append(payloads, Payload{Type: PayloadRestrictions, Name: "Restrictions", Keys: restrictions})
	}
	if notify {
		payloads = append(payloads, notifications(w.Previews))
	}
	return payloads, outcomes
}

func (s setting) leftOut(t Target) (Reason, bool) {
	switch {
	case !t.OS.Known():
		return UnknownOS, true
	case t.UserEnrolment && !s.userOK:
		return NotForUserEnrol, true
	case !t.OS.AtLeast(s.since):
		return NeedsNewerOS, true
	case (s.supervised || s.wholeDevice) && !t.Supervised:
		return NeedsSupervision, true
	}
	return "", false
}

// notifications hides previews: PreviewType 2 is "never".
func notifications(bundleIDs []string) Payload {
	var items []any
	for _, id := range sortedUnique(bundleIDs) {
		items = append(items, map[string]any{"BundleIdentifier": id, "PreviewType": 2})
	}
	return Payload{Type: PayloadNotifications, Name: "Notifications", Keys: map[string]any{"NotificationSettings": items}}
}

func sortedUnique(ids []string) []string {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return slices.Compact(ids)
}
