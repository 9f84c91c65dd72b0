package android

import (
	"fmt"
	"strconv"

	"github.com/wardmdm/ward/profiles/intent"
)

// passcode asks for a lock. In a work profile it asks for the profile's lock: there a
// length can be asked for, and the person's own phone stays theirs. It never sets how
// many wrong attempts erase the phone.
func (c *compiler) passcode() {
	r := c.w.Passcode
	if r == (intent.PasscodeRule{}) {
		return
	}
	o := intent.Outcome{ID: intent.Passcode, Intent: "Ask for a passcode", Verdict: intent.Enforced, Mechanism: "passwordPolicies"}
	if r.Required || r.MinimumLength > 0 || r.Complex {
		p := passwordRequirements{PasswordScope: "SCOPE_DEVICE", PasswordQuality: "SOMETHING", PasswordMinimumLength: r.MinimumLength}
		switch {
		case r.Complex:
			p.PasswordQuality = "ALPHANUMERIC"
			o.Why = "The passcode needs letters and digits."
		case r.MinimumLength > 0:
			p.PasswordQuality = "NUMERIC"
		}
		if c.byod() {
			p.PasswordScope = "SCOPE_PROFILE"
		}
		c.doc.PasswordPolicies = []passwordRequirements{p}
		o.Mechanism += " " + p.PasswordScope + " " + p.PasswordQuality
	} else {
		o.Mechanism = ""
	}
	if r.LockAfter > 0 {
		c.doc.MaximumTimeToLock = strconv.FormatInt(max(1, r.LockAfter.Milliseconds()), 10)
		o.Mechanism = join(o.Mechanism, "maximumTimeToLock")
	}
	if c.byod() {
		o.Verdict = intent.Partly
		o.Why = "The work profile asks for it. The person may give the profile a lock of its own and keep a simpler one for the phone."
		o.Cure = giveWorkPhone
	}
	c.told(o)
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + ", " + b
}

func (c *compiler) encryption() {
	if !c.w.Encryption {
		return
	}
	c.doc.EncryptionPolicy = "ENABLED_WITHOUT_PASSWORD"
	c.told(intent.Outcome{
		ID: intent.Encryption, Intent: "Encrypt the storage", Verdict: intent.Enforced, Mechanism: "encryptionPolicy ENABLED_WITHOUT_PASSWORD",
		Why: "The phone's storage must be encrypted; phones that came with Android 10 or later always are.",
	})
}

// update lets updates install themselves. Google offers no version and no day.
// Source: Android Management API, enterprises.policies, SystemUpdate.
func (c *compiler) update() {
	u := c.w.Update
	if u.Version == "" {
		return
	}
	o := intent.Outcome{ID: intent.UpdateOS, Intent: "Update to Android " + u.Version}
	if !u.By.IsZero() {
		o.Intent += " by " + u.By.Format("2 January 2006")
	}
	if c.byod() {
		o.Verdict = intent.Impossible
		o.Why = "On a personal phone the person decides about updates. Ward sees the version and reports an older one."
		o.Cure = "Ask the person to update, or give them a work phone."
	} else {
		c.doc.SystemUpdate = &systemUpdate{Type: "AUTOMATIC"}
		o.Verdict, o.Mechanism = intent.Partly, "systemUpdate AUTOMATIC"
		o.Why = "The phone installs each update as soon as its maker offers it. A version or a day can't be asked for."
		o.Cure = "Replace phones whose maker offers no updates any more."
	}
	c.told(o)
}

// lost tells what reporting the phone lost can do: a command, not part of the policy.
// Source: https://developers.google.com/android/management/lost-mode
func (c *compiler) lost() {
	o := intent.Outcome{ID: intent.LoseDevice, Intent: "Lock and find a lost phone", Verdict: intent.Partly, Mechanism: "devices.issueCommand LOCK"}
	since := sinceUserControl
	if c.cope() {
		since = sinceRealAddress
	}
	switch {
	case c.byod():
		o.Why = "A lost personal phone is locked and its work profile removed, with the work apps and their data. It is never located and never erased."
	case c.has(since):
		o.Verdict, o.Mechanism = intent.Enforced, "devices.issueCommand START_LOST_MODE"
		o.Since = intent.Version{Major: since}.String()
		o.Why = "A lost phone is put into lost mode and tells where it is."
	default:
		o.Since = intent.Version{Major: since}.String()
		o.Why, o.Cure = c.older("A lost phone is locked, which holds only if it has a passcode. Lost mode", since)
	}
	c.told(o)
}

// ownProfiles tells of the organisation's own profiles, which are Apple's kind of file.
func (c *compiler) ownProfiles() {
	for _, p := range c.w.Own {
		c.told(intent.Outcome{
			ID: intent.OwnProfile, Subject: p.Name, Intent: "Install the profile " + p.Name, Verdict: intent.Impossible,
			Why: "It is a configuration profile of Apple's kind; Android takes none.", Covers: intent.Sorted(p.Types),
		})
	}
}

// links puts web clips and the page for staff among Chrome's bookmarks.
// Source: https://chromeenterprise.google/policies/#ManagedBookmarks
func (c *compiler) links() {
	type bookmark struct {
		Name string `json:"name"`
		URL  string `json:"url"`
	}
	var marks []bookmark
	tell := func(id intent.ID, subject, what, url string) {
		o := intent.Outcome{
			ID: id, Subject: subject, Intent: what, Verdict: intent.Partly, Covers: []string{url},
			Mechanism: "applications " + chrome + " managedConfiguration ManagedBookmarks",
			Why:       "It stands among the bookmarks of Chrome, not on the home screen.",
		}
		if a := c.apps[chrome]; a != nil && a.InstallType == "BLOCKED" {
			o.Verdict, o.Mechanism, o.Why = intent.NotEnforced, "", "It would stand among the bookmarks of Chrome, which the policy blocks."
		}
		c.told(o)
	}
	if c.w.StaffPage != "" {
		marks = append(marks, bookmark{"Help with this phone", c.w.StaffPage})
		tell(intent.StaffPage, "", "Put a link to the page for staff on the phone", c.w.StaffPage)
	}
	for _, clip := range c.w.WebClips {
		marks = append(marks, bookmark{clip.Label, clip.URL})
		tell(intent.WebClips, clip.Label, fmt.Sprintf("Put a link to %s on the phone", clip.Label), clip.URL)
	}
	if len(marks) > 0 {
		c.ask("ManagedBookmarks", c.jsonText(marks))
	}
}
