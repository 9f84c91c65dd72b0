package profiles

import (
	"fmt"
	"slices"

	"github.com/wardmdm/ward/profiles/apple"
)

// wishText holds the words for one containment wish.
type wishText struct {
	wish   apple.Wish
	field  string // of the policy file
	intent string
	// partial is said when essential is not among the keys that were set.
	essential string
	partial   string
	// note is said when the wish is met but noteKey was left out.
	noteKey, note string
}

// wishTexts is a table, never changed. An empty essential means every key counts.
var wishTexts = []wishText{
	{wish: apple.ManagedOpenIn, field: "managed_open_in", intent: "Keep work documents in managed apps"},
	{wish: apple.ManagedPasteboard, field: "managed_pasteboard", intent: "Keep what is copied from managed apps in them"},
	{wish: apple.AirDropUnmanaged, field: "airdrop_unmanaged", intent: "Keep work documents off AirDrop"},
	{
		wish: apple.NoScreenshots, field: "no_screenshots", intent: "No screenshots or screen recording",
		essential: "allowiPhoneMirroring",
		partial:   "Screenshots are off, but only a supervised phone can also be kept from showing its screen on a Mac.",
	},
	{
		wish: apple.NoLockScreenPreviews, field: "no_lock_screen_previews", intent: "No message text on the lock screen",
		essential: "PreviewType",
		partial:   "Earlier notifications are hidden on the lock screen, but a new one still shows its text as it arrives.",
	},
	{
		wish: apple.NoBackup, field: "no_backup", intent: "Keep work data out of backups",
		noteKey: "allowCloudBackup",
		note:    "Managed apps are kept out of backups; the phone's own iCloud backup goes on without them.",
	},
	{wish: apple.NoIMessage, field: "no_imessage", intent: "Turn off iMessage"},
	{wish: apple.NoRCS, field: "no_rcs", intent: "Turn off RCS messages"},
}

func textOf(w apple.Wish) wishText {
	i := slices.IndexFunc(wishTexts, func(t wishText) bool { return t.wish == w })
	return wishTexts[i]
}

// wishLimit puts an outcome of the compiler into words.
func wishLimit(c Class, o apple.Outcome) Limit {
	t := textOf(o.Wish)
	l := Limit{Intent: t.intent, Verdict: Enforced}
	if len(o.Set) == 0 {
		l.Verdict = Impossible
		l.Why, l.Cure = refusal(c, o.Left[0])
		return l
	}
	for _, left := range o.Left {
		if left.Key == t.noteKey {
			l.Why = t.note
			continue
		}
		l.Verdict = Partly
		l.Why, l.Cure = refusal(c, left)
		if t.essential == left.Key {
			l.Why = t.partial
		}
	}
	// Without an approved app there are no notifications whose previews could be hidden.
	if o.Wish == apple.NoLockScreenPreviews && !slices.Contains(o.Set, t.essential) && l.Verdict == Enforced {
		l.Verdict, l.Why = Partly, t.partial
	}
	return l
}

func refusal(c Class, left apple.LeftOut) (why, cure string) {
	switch left.Reason {
	case apple.NeedsSupervision:
		return "Apple lets only supervised iPhones do this.", superviseCure(c)
	case apple.NeedsNewerOS:
		return fmt.Sprintf("This needs iOS %s.", left.Since), fmt.Sprintf("Update the phone to iOS %s or later.", left.Since)
	case apple.UnknownOS:
		return "The phone's iOS version is not known.", askedCure
	case apple.NotForUserEnrol:
		return "Apple forbids this under user enrolment.", "Enrol the phone as a device."
	}
	return string(left.Reason), ""
}
