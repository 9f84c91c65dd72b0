package workstation

import (
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// approvedApps tells the agent what to look for.
func (c *compiler) approvedApps() {
	for _, a := range c.w.Apps {
		ids := approved(c.p, a)
		o := intent.Outcome{ID: intent.InstallApp, Subject: a.Name, Intent: "Install " + a.Name}
		if len(ids) == 0 {
			o.Verdict, o.Why = intent.NotEnforced, "The register has no app for "+c.system()+" for "+a.Name+"."
			o.Cure = "Add the app to the register, if there is one."
			c.told(o)
			continue
		}
		for _, i := range ids {
			o.Covers = append(o.Covers, i.text())
		}
		o.Covers = intent.Sorted(o.Covers)
		c.policy.Apps = append(c.policy.Apps, App{Name: a.Name, Identities: ids, Required: a.Required, MinimumVersion: a.MinimumVersion[c.p]})
		o.Verdict, o.Mechanism = intent.DetectOnly, "Ward's agent"
		o.Why = "Ward's agent installs no software; it reports whether " + a.Name + " is there, and in which version."
		if a.Config != nil {
			o.Why += " It hands the app no configuration either."
		}
		o.Cure = "Install it by the organisation's own software distribution."
		c.told(o)
	}
}

// blockStores tells of software from elsewhere.
func (c *compiler) blockStores() {
	if !c.w.Block.Stores {
		return
	}
	o := intent.Outcome{ID: intent.BlockStores, Intent: "Close other app stores and unknown sources"}
	c.elsewhere(&o)
	c.told(o)
}

// elsewhere is what becomes of programs that a person brings along.
func (c *compiler) elsewhere(o *intent.Outcome) {
	o.Verdict = intent.NotEnforced
	switch {
	case c.personal:
		o.Why, o.Cure = leftAlone, giveWorkComputer
	case c.is(ward.Windows) && c.w.Block.AllowOnly:
		o.Verdict, o.Mechanism = intent.Partly, "AppLocker RuleCollection Exe and Appx"
		o.Why = "What a person downloads does not start. Administrators may start and install anything that is not blocked."
		o.Cure = "Give nobody the rights of an administrator who does not need them."
	case c.is(ward.Windows):
		o.Why = "A person can download and start programs that the policy does not block by name."
		o.Cure = "Let only listed apps run."
	case c.is(ward.Linux):
		o.Why = "A person can install Flatpaks and start downloaded programs without the rights of an administrator, unless the policy blocks them by name."
		o.Cure = "Mount home folders without the right to execute (noexec)."
	default:
		o.Why = "Ward's agent ends apps that the policy blocks by name; it does not close a source of apps."
		o.Cure = "Enrol the Mac in device management too."
	}
}

// device tells of the computer itself: the agent asks and reports.
func (c *compiler) device() {
	report := func(id intent.ID, what, why, cure string) {
		c.told(intent.Outcome{ID: id, Intent: what, Verdict: intent.DetectOnly, Mechanism: "Ward's agent", Why: why, Cure: cure})
	}
	tools := "Set it by the organisation's own tools."
	if c.is(ward.MacOS) {
		tools = "Enrol the Mac in device management too."
	}
	if c.personal {
		tools = "Ask the person to set it."
	}
	if c.w.Passcode != (intent.PasscodeRule{}) {
		report(intent.Passcode, "Ask for a password", "Ward's agent reports whether the screen locks by itself and asks for a password; it sets no rule for it.", tools)
	}
	if c.w.Encryption {
		report(intent.Encryption, "Encrypt the storage", "Ward's agent reports whether the disks are encrypted; it encrypts none.", tools)
	}
	if u := c.w.Update; u.Version != "" {
		what := "Update to " + c.system() + " " + u.Version
		if !u.By.IsZero() {
			what += " by " + u.By.Format("2 January 2006")
		}
		report(intent.UpdateOS, what, "Ward's agent reports the version; it installs no updates.", tools)
	}
	c.told(intent.Outcome{
		ID: intent.LoseDevice, Intent: "Lock and find a lost computer", Verdict: intent.NotEnforced,
		Why:  "Ward's agent neither locks nor finds a computer.",
		Cure: "Close the person's account, and encrypt the disks of all computers.",
	})
}

// networks tells of connections and profiles, which the agent does not set up.
func (c *compiler) networks() {
	tell := func(id intent.ID, subject, what, covers string) {
		o := intent.Outcome{
			ID: id, Subject: subject, Intent: what, Verdict: intent.NotEnforced, Covers: []string{covers},
			Why: "Ward's agent sets up no networks.", Cure: "Set it up by the organisation's own tools.",
		}
		if c.is(ward.MacOS) {
			o.Cure = "Enrol the Mac in device management too."
		}
		c.told(o)
	}
	for _, n := range c.w.WiFi {
		tell(intent.JoinWiFi, n.SSID, "Join the Wi-Fi network "+n.SSID, n.SSID)
	}
	for _, n := range c.w.VPN {
		tell(intent.ConnectVPN, n.Name, "Connect by the VPN "+n.Name, n.Server)
	}
	for _, n := range c.w.Relays {
		tell(intent.UseRelay, n.Name, "Use the network relay "+n.Name, n.URL)
	}
	for _, p := range c.w.Own {
		o := intent.Outcome{
			ID: intent.OwnProfile, Subject: p.Name, Intent: "Install the profile " + p.Name, Verdict: intent.Impossible, Covers: intent.Sorted(p.Types),
			Why: "It is a configuration profile of Apple's kind; " + c.system() + " takes none.",
		}
		if c.is(ward.MacOS) {
			o.Verdict, o.Why = intent.NotEnforced, "A Mac takes profiles from its own management, not from Ward's agent."
			o.Cure = "Enrol the Mac in device management too."
		}
		c.told(o)
	}
}
