package workstation

import (
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// answer is what becomes of a switch for which a computer has no setting of Ward's.
type answer struct {
	verdict   intent.Verdict
	why, cure string
}

const (
	noBorder = "A computer draws no border between work apps and others."
	notAgent = "Ward's agent does not control this."
)

// answers for Windows and Linux; what is in none is NotEnforced. It is a table, never
// changed.
var answers = map[intent.ID]answer{
	intent.ManagedOpenIn:     {intent.Impossible, noBorder, "Keep patient data in apps that hold it on their server."},
	intent.ManagedPasteboard: {intent.Impossible, noBorder, "Keep patient data in apps that hold it on their server."},
	intent.ManagedContacts:   {intent.Impossible, noBorder, "Keep patient data in apps that hold it on their server."},
	intent.AirDropUnmanaged:  {intent.Enforced, "This computer has no AirDrop, so there is nothing to turn off.", ""},
	intent.NoScreenshots:     {intent.Impossible, "The system lets every program capture the screen.", ""},
	intent.NoIMessage:        {intent.Enforced, "This computer has no iMessage, so there is nothing to turn off.", ""},
	intent.NoRCS:             {intent.Enforced, "A computer sends no RCS messages of its own, so there is nothing to turn off.", ""},
	intent.NoFaceTime:        {intent.Partly, "This computer has no FaceTime, but a link to a FaceTime call opens in the browser.", "Block facetime.apple.com on the organisation's network."},
	intent.NoHostPairing:     {intent.Impossible, "It is a setting of phones.", ""},
	intent.NoHiddenApps:      {intent.Impossible, "It is a setting of phones.", ""},
}

// switches tells of every switch that is on, in the order in which people read them.
func (c *compiler) switches() {
	for _, s := range intent.Switches() {
		if c.on(s.ID) {
			o := intent.Outcome{ID: s.ID, Intent: s.Words}
			c.answer(&o)
			c.told(o)
		}
	}
}

func (c *compiler) answer(o *intent.Outcome) {
	a, has := answers[o.ID]
	o.Verdict, o.Why, o.Cure = a.verdict, a.why, a.cure
	switch {
	case has && !c.is(ward.MacOS), has && a.why == noBorder:
		return
	case c.personal:
		o.Verdict, o.Why, o.Cure = intent.NotEnforced, leftAlone, giveWorkComputer
		return
	}
	switch o.ID {
	case intent.NoUntrustedTLS:
		c.tls(o)
	case intent.NoCloudKeychain:
		c.keychain(o)
	case intent.NoAppStore:
		c.appStore(o)
	case intent.NoEnterpriseTrust:
		c.elsewhere(o)
	default:
		o.Verdict, o.Why = intent.NotEnforced, notAgent
		o.Cure = "Set it by the organisation's own tools, if it is wanted on computers."
		if c.is(ward.MacOS) {
			o.Cure = "Enrol the Mac in device management too; its own table says what that does."
		}
	}
}

// tls takes away the way past a warning.
func (c *compiler) tls(o *intent.Outcome) {
	c.both("SSLErrorOverrideAllowed", false)
	c.firefox["DisableSecurityBypass"] = map[string]any{"InvalidCertificate": true}
	o.Verdict, o.Mechanism = intent.Partly, c.keys("SSLErrorOverrideAllowed", "DisableSecurityBypass")
	o.Why = "No way past a warning is offered in " + c.browsers() + ". " + c.others() + " Other programs decide for themselves."
}

// keychain keeps browsers from keeping passwords.
func (c *compiler) keychain(o *intent.Outcome) {
	c.both("PasswordManagerEnabled", false)
	c.firefox["PasswordManagerEnabled"] = false
	o.Verdict, o.Mechanism = intent.Partly, c.keys("PasswordManagerEnabled", "PasswordManagerEnabled")
	o.Why = "No passwords are kept in " + c.browsers() + ". " + c.others() + " Ward's agent does not control iCloud."
}

// appStore closes Microsoft's store and its installer.
func (c *compiler) appStore(o *intent.Outcome) {
	if !c.is(ward.Windows) {
		c.elsewhere(o)
		return
	}
	for _, name := range []string{"Microsoft.WindowsStore_8wekyb3d8bbwe", "Microsoft.DesktopAppInstaller_8wekyb3d8bbwe"} {
		c.denied = append(c.denied, windowsIdentity(name))
	}
	c.elsewhere(o)
	o.Verdict, o.Mechanism = intent.Partly, "AppLocker RuleCollection Appx"
	o.Why = "The Microsoft Store and its installer do not start. " + o.Why
}
