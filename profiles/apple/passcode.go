package apple

import (
	"fmt"
	"time"

	"github.com/wardmdm/ward/profiles/intent"
)

const typePasscodeSettings = "com.apple.configuration.passcode.settings" //nolint:gosec // the name of a type, not a secret

// longestIdle is the longest time in minutes that Apple lets a rule ask for.
const longestIdle = 15

// wantsPasscode reports whether the policy asks anything of a passcode.
func (c *compiler) wantsPasscode() bool { return c.w.Passcode != intent.PasscodeRule{} }

// needPasscode is what a passcode rule asks: a user-enrolled iPhone ignores the profile
// and takes the declaration, a user-enrolled Mac takes neither.
func (d device) needPasscode() need {
	if d.ios() && d.user {
		return need{since: ver(16, 0)}
	}
	return need{noUser: !d.ios()}
}

// passcode asks for a passcode, by a declaration where there are any.
func (c *compiler) passcode() {
	if !c.wantsPasscode() {
		return
	}
	o := intent.Outcome{ID: intent.Passcode, Intent: "Protect the " + c.d.one() + " by a passcode", Verdict: intent.Enforced}
	if r := c.d.lacks(c.d.needPasscode()); r != takes {
		o.Verdict = intent.Impossible
		o.Why, o.Cure = c.d.refusal(r, c.d.needPasscode())
		c.tell(o)
		return
	}
	if c.d.declares() {
		c.configs = append(c.configs, config{last: "passcode", kind: typePasscodeSettings, payload: c.passcodeSettings()})
		o.Mechanism = typePasscodeSettings
	} else {
		c.drafts = append(c.drafts, draft{id: c.profileID("passcode"), name: "Ward: Passcode", payloads: []payload{
			{Type: typePasscode, ID: "passcode", Name: "Passcode", Keys: c.passcodePolicy()},
		}})
		o.Mechanism = typePasscode
	}
	c.passcodeWords(&o)
	c.tell(o)
}

func (c *compiler) passcodeWords(o *intent.Outcome) {
	idle := c.w.Passcode.LockAfter
	switch {
	case c.d.user:
		o.Verdict = intent.Partly
		o.Why = "A user-enrolled phone asks for a passcode of six digits or more that is not simple; Apple does not say that it honours more."
	case c.w.Passcode.Complex && c.d.declares() && !c.d.OS.AtLeast(c.d.alphanumericSince()):
		o.Verdict = intent.Partly
		v := c.d.alphanumericSince()
		o.Why = fmt.Sprintf("Simple passcodes are refused, but letters and digits can be asked for from %s %s on.", c.d.os(), v)
		o.Cure = c.d.updateCure(v)
	case idle > 0 && idle < time.Minute:
		o.Verdict = intent.Partly
		o.Why = fmt.Sprintf("The shortest time after which a %s can be made to lock is 1 minute.", c.d.one())
	case idle > longestIdle*time.Minute:
		o.Why = fmt.Sprintf("The longest time after which a %s can be made to lock is %d minutes, so it locks after that.", c.d.one(), longestIdle)
	}
}

// alphanumericSince is when the declaration got RequireAlphanumericPasscode.
func (d device) alphanumericSince() intent.Version {
	if d.ios() {
		return ver(16, 2)
	}
	return ver(13, 1)
}

// idleMinutes is LockAfter in whole minutes, never longer than asked unless that is
// less than one. 0: not asked.
func (c *compiler) idleMinutes() int {
	idle := c.w.Passcode.LockAfter
	if idle <= 0 {
		return 0
	}
	return min(max(int(idle/time.Minute), 1), longestIdle)
}

// length is the minimum length within Apple's bounds. 0: not asked.
func (c *compiler) length() int { return min(max(c.w.Passcode.MinimumLength, 0), 16) }

// passcodeSettings is the declaration's payload. There is no MaximumFailedAttempts: it
// erases the device, which nobody may do by a setting.
// Source: declarative/declarations/configurations/passcode.settings.yaml.
func (c *compiler) passcodeSettings() map[string]any {
	p := map[string]any{}
	if c.w.Passcode.Required {
		p["RequirePasscode"] = true
	}
	if n := c.length(); n > 0 {
		p["MinimumLength"] = n
	}
	if c.w.Passcode.Complex {
		p["RequireComplexPasscode"] = true
		if c.d.OS.AtLeast(c.d.alphanumericSince()) {
			p["RequireAlphanumericPasscode"] = true
		}
	}
	if n := c.idleMinutes(); n > 0 {
		p["MaximumInactivityInMinutes"] = n
	}
	return p
}

// passcodePolicy is the profile's payload; again without maxFailedAttempts.
// Source: mdm/profiles/com.apple.mobiledevice.passwordpolicy.yaml.
func (c *compiler) passcodePolicy() map[string]any {
	p := map[string]any{}
	if c.w.Passcode.Required {
		p["forcePIN"] = true
	}
	if n := c.length(); n > 0 {
		p["minLength"] = n
	}
	if c.w.Passcode.Complex {
		p["allowSimple"], p["requireAlphanumeric"] = false, true
	}
	if n := c.idleMinutes(); n > 0 {
		p["maxInactivity"] = n
	}
	return p
}

// encryption says how storage is encrypted. An iPhone does it by itself. On a Mac Ward
// keeps FileVault from being turned off but does not turn it on, because it keeps no
// recovery keys: a forgotten password would lose the data.
func (c *compiler) encryption() {
	if !c.w.Encryption {
		return
	}
	o := intent.Outcome{ID: intent.Encryption, Intent: "Encrypt the " + c.d.one() + "'s storage"}
	if c.d.ios() {
		o.Verdict, o.Mechanism = intent.Enforced, "Data Protection"
		o.Why = "An iPhone encrypts its storage by itself as soon as it has a passcode."
		switch {
		case !c.w.Passcode.Required:
			o.Verdict, o.Cure = intent.Partly, "Ask for a passcode."
		case !c.d.takes(c.d.needPasscode()):
			o.Verdict = intent.Partly
			_, o.Cure = c.d.refusal(c.d.lacks(c.d.needPasscode()), c.d.needPasscode())
		}
		c.tell(o)
		return
	}
	n := need{noUser: true}
	if r := c.d.lacks(n); r != takes {
		o.Verdict = intent.DetectOnly
		_, o.Cure = c.d.refusal(r, n)
		o.Why = "Ward asks whether FileVault is on and reports it."
		c.tell(o)
		return
	}
	c.drafts = append(c.drafts, draft{id: c.profileID("filevault"), name: "Ward: FileVault", payloads: []payload{
		{Type: typeMCX, ID: "filevault", Name: "FileVault", Keys: map[string]any{"dontAllowFDEDisable": true}},
	}})
	o.Verdict, o.Mechanism = intent.Partly, typeMCX+" dontAllowFDEDisable"
	o.Why = "FileVault can't be turned off once it is on. Ward does not turn it on, because it keeps no recovery keys, but asks whether it is on and reports it."
	o.Cure = "Turn FileVault on when the Mac is set up."
	c.tell(o)
}

const typeUpdate = "com.apple.configuration.softwareupdate.enforcement.specific"

func (d device) needUpdate() need {
	if d.ios() {
		return need{since: ver(17, 0), noUser: true}
	}
	return need{since: ver(14, 0), noUser: true}
}

// updates enforces an update of the system by a day.
// Source: declarative/declarations/configurations/softwareupdate.enforcement.specific.yaml.
func (c *compiler) updates() {
	u := c.w.Update
	if u.Version == "" {
		return
	}
	n := c.d.needUpdate()
	o := intent.Outcome{
		ID: intent.UpdateOS, Subject: u.Version, Since: c.d.since(n), Verdict: intent.Enforced,
		Intent: updateWords(c.d, u),
	}
	if u.By.IsZero() {
		o.Verdict, o.Why, o.Cure = intent.NotEnforced, "The policy names no day by which the update must be installed.", "Set by beside the version."
		c.tell(o)
		return
	}
	if r := c.d.lacks(n); r != takes {
		o.Verdict = intent.Impossible
		o.Why, o.Cure = c.d.refusal(r, n)
		c.tell(o)
		return
	}
	o.Mechanism = typeUpdate
	c.configs = append(c.configs, config{last: "update", kind: typeUpdate, payload: map[string]any{
		"TargetOSVersion": u.Version, "TargetLocalDateTime": u.By.Format("2006-01-02T15:04:05"),
	}})
	c.tell(o)
}

func updateWords(d device, u intent.Update) string {
	words := fmt.Sprintf("Update to %s %s", d.os(), u.Version)
	if u.By.IsZero() {
		return words
	}
	return words + " by " + u.By.Format("2 January 2006, 15:04")
}
