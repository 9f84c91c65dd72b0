package apple

import (
	"slices"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// switchWords are the words for a switch that is not carried out in full.
type switchWords struct {
	id intent.ID
	// partial is said when the key essential was not set; with always, whatever was set.
	essential string
	always    bool
	partial   string
	// note is said when the switch is carried out but noteKey was left out.
	noteKey, note string
	// absent is said when the system is too old to have what is to be turned off.
	absent string
}

// iosWords is a table, never changed.
var iosWords = []switchWords{
	{
		id: intent.NoScreenshots, essential: "allowiPhoneMirroring",
		partial: "Screenshots are off, but only a supervised phone can also be kept from showing its screen on a Mac.",
	},
	{
		id: intent.NoLockScreenPreviews, essential: "PreviewType",
		partial: "Earlier notifications are hidden on the lock screen, but a new one still shows its text as it arrives.",
	},
	{
		id: intent.NoBackup, noteKey: "allowCloudBackup",
		note: "Managed apps are kept out of backups; the phone's own iCloud backup goes on without them.",
	},
	{id: intent.NoRCS, absent: "iOS before 18 has no RCS messages."},
	{id: intent.NoHiddenApps, absent: "iOS before 18 can neither hide nor lock apps."},
}

// macWords is a table, never changed.
var macWords = []switchWords{
	{
		id: intent.NoBackup, always: true,
		partial: "The person can't change the setting of Time Machine, but a backup that runs already goes on, and other backup programs are not touched.",
	},
	{
		id: intent.NoEnterpriseTrust, always: true,
		partial: "Gatekeeper can't be overridden, but it judges downloads only: a program that comes another way still runs.",
	},
	{
		id: intent.NoUserVPN, always: true,
		partial: "iCloud Private Relay is off, but Apple has no setting that keeps a person from setting up a VPN on a Mac.",
	},
}

func (c *compiler) wordsOf(id intent.ID) switchWords {
	table := macWords
	if c.d.Platform == ward.IOS {
		table = iosWords
	}
	for _, w := range table {
		if w.id == id {
			return w
		}
	}
	return switchWords{}
}

// judge fills in the verdict of a switch and its words.
func (c *compiler) judge(o *intent.Outcome, set []control, out []left) {
	w := c.wordsOf(o.ID)
	switch {
	case len(set) == 0 && len(out) > 0:
		o.Verdict = intent.Impossible
		o.Why, o.Cure = c.d.refusal(out[0].why, out[0].need)
		return
	case len(set) == 0 && w.absent != "":
		o.Why = w.absent
		return
	case len(set) == 0:
		// The only mechanism works app by app, and there is no approved app here.
		o.Verdict = intent.NotEnforced
		o.Why = "The policy approves no app for " + c.d.many() + " whose notifications could be hidden."
		return
	}
	for _, l := range out {
		if l.key == w.noteKey {
			o.Why = w.note
			continue
		}
		o.Verdict = intent.Partly
		o.Why, o.Cure = c.d.refusal(l.why, l.need)
		if l.key == w.essential {
			o.Why = w.partial
		}
	}
	// Without an approved app there are no notifications whose text could be hidden.
	hidden := func(s control) bool { return s.key == w.essential }
	if o.ID == intent.NoLockScreenPreviews && w.essential != "" && o.Verdict == intent.Enforced && !slices.ContainsFunc(set, hidden) {
		o.Verdict, o.Why = intent.Partly, w.partial
	}
	if w.always {
		o.Verdict, o.Why = intent.Partly, w.partial
	}
}

// noSetting is said where Apple has no key at all for a switch.
func (c *compiler) noSetting(o intent.Outcome) intent.Outcome {
	o.Verdict = intent.Impossible
	o.Why = "Apple has no setting for this on " + c.d.many() + "."
	if c.d.Platform == ward.IOS && o.ID == intent.NoDeveloperOptions {
		o.Why = "Apple has no setting for this on iPhones; developer mode shows only on a phone that was paired with a computer."
		if !c.w.On[intent.NoHostPairing] {
			o.Cure = "Set no_host_pairing under hardening, which supervised iPhones honour."
		}
	}
	return o
}
