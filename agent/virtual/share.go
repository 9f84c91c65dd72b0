package virtual

import (
	"errors"
	"fmt"
)

// ErrAbsent says that the system of the device does not have what is asked about.
var ErrAbsent = errors.New("the system does not have it")

// ErrNoSuchKind says that a question named something that it does not know.
var ErrNoSuchKind = errors.New("no such kind")

// by returns ErrBlocked with the key that blocks.
func by(key string) error { return fmt.Errorf("%w: %s", ErrBlocked, key) }

// CanShare returns nil if a document may pass from one app to another by the open-in
// rules, for apps of which the first and the second are managed or not. A Mac has no
// such rules.
// Source: Apple, Restrictions, allowOpenFromManagedToUnmanaged and its counterpart.
func (b *body) CanShare(fromManaged, toManaged bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.canShare(fromManaged, toManaged)
}

func (b *body) canShare(fromManaged, toManaged bool) error {
	key := ""
	switch {
	case fromManaged && !toManaged:
		key = "allowOpenFromManagedToUnmanaged"
	case !fromManaged && toManaged:
		key = "allowOpenFromUnmanagedToManaged"
	}
	if b.off(key) {
		return by(key)
	}
	return nil
}

// CanPaste is CanShare for the pasteboard, which follows the open-in rules only where
// requireManagedPasteboard says so.
func (b *body) CanPaste(fromManaged, toManaged bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.forced("requireManagedPasteboard") {
		return nil
	}
	return b.canShare(fromManaged, toManaged)
}

// MayShare is CanShare for two apps that must be installed.
func (b *body) MayShare(from, to string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	x, y := b.apps[from], b.apps[to]
	if x == nil || y == nil {
		return ErrNotInstalled
	}
	return b.canShare(x.managed, y.managed)
}

// MayPaste is MayShare for the pasteboard, which follows the open-in rules only where
// requireManagedPasteboard says so.
func (b *body) MayPaste(from, to string) error {
	if v, ok := b.Restriction("requireManagedPasteboard"); !ok || v != true {
		return nil
	}
	return b.MayShare(from, to)
}

// CanAirDrop returns nil if AirDrop takes a document from an app that is managed or not.
// It counts as unmanaged only where forceAirDropUnmanaged says so.
func (b *body) CanAirDrop(fromManaged bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.off("allowAirDrop") {
		return by("allowAirDrop")
	}
	if b.forced("forceAirDropUnmanaged") {
		return b.canShare(fromManaged, false)
	}
	return nil
}

// CanReadContacts returns nil if an app that is not managed may read the contacts of
// managed accounts. The key counts only beside the open-in rule.
// Source: Apple, Restrictions, allowUnmanagedToReadManagedContacts (default false).
func (b *body) CanReadContacts() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.off("allowOpenFromManagedToUnmanaged") && !b.forced("allowUnmanagedToReadManagedContacts") && b.since("12.0", never) {
		return by("allowUnmanagedToReadManagedContacts")
	}
	return nil
}

// CanScreenshot returns nil if the screen can be captured or recorded.
func (b *body) CanScreenshot() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.off("allowScreenShot") {
		return by("allowScreenShot")
	}
	return nil
}

// CanMessage returns nil if Apple's own app can send a kind of message: imessage, rcs
// (iOS 18.0), sms or facetime, which is a call. A Mac has none of the keys for it.
// Source: Apple, Restrictions, allowChat, allowRCSMessaging, allowVideoConferencing.
func (b *body) CanMessage(kind string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	app, key := bundleMessages, ""
	switch kind {
	case "imessage":
		key = "allowChat"
	case "rcs":
		if !b.since("18.0", never) { // the key for it came with 18.1
			return ErrAbsent
		}
		key = "allowRCSMessaging"
	case "sms":
	case "facetime":
		app, key = bundleFaceTime, "allowVideoConferencing"
	default:
		return fmt.Errorf("message by %q: %w", kind, ErrNoSuchKind)
	}
	if b.off(key) {
		return by(key)
	}
	return b.blocked(app)
}

// LockScreenText reports whether the lock screen of a locked device shows the text of an
// app's notification as it arrives. allowLockScreenNotificationsView=false only takes
// the earlier ones away, and does not count.
// Source: Apple, NotificationSettings, PreviewType (0 always, 1 when unlocked, 2 never).
func (b *body) LockScreenText(bundleID string) (shown bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.profiles {
		for _, q := range h.payloads {
			if q.Type == typeNotifications && b.silenced(q.Content["NotificationSettings"], bundleID) {
				return false
			}
		}
	}
	return true
}

func (b *body) silenced(settings any, bundleID string) bool {
	list, _ := settings.([]any)
	for _, v := range list {
		m, _ := v.(map[string]any)
		if m["BundleIdentifier"] != bundleID {
			continue
		}
		if m["NotificationsEnabled"] == false || m["ShowInLockScreen"] == false || b.since("14.0", never) && number(m["PreviewType"]) >= 1 {
			return true
		}
	}
	return false
}

// LockScreenHistory reports whether a locked device shows the notifications that came
// before.
func (b *body) LockScreenHistory() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.off("allowLockScreenNotificationsView")
}

// flagNoBackup is the bit of ManagementFlags that keeps an app's data out of backups.
// Source: Apple, InstallApplication.
const flagNoBackup = 4

// BacksUp reports whether an app's data goes into any backup: iCloud's, or that of a
// computer. It is false for an app that is not installed.
func (b *body) BacksUp(bundleID string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.apps[bundleID]
	if a == nil || a.managed && a.flags&flagNoBackup != 0 {
		return false
	}
	return !b.off("allowCloudBackup") || !b.off("allowHostPairing")
}

// SyncsToCloud reports whether an app may keep its data in iCloud.
// Source: Apple, Restrictions, allowManagedAppsCloudSync, allowCloudDocumentSync.
func (b *body) SyncsToCloud(bundleID string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.apps[bundleID]
	return a != nil && !b.off("allowCloudDocumentSync") && (!a.managed || !b.off("allowManagedAppsCloudSync"))
}
