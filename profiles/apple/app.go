package apple

import (
	"fmt"
	"strings"

	"github.com/micromdm/plist"

	"github.com/wardmdm/ward/profiles/intent"
)

// App is an approved app as a device should have it. Unless it is Declared it is
// installed by the InstallApplication command and its configuration changed by the
// Settings command, which both fail for an app that a declaration manages.
//
// A declaration manages an app only if it comes from a manifest, is required and has no
// configuration, or gets its certificate by managed_app. A configuration has to be an
// asset, one document for each device, whose declaration must change whenever a value of
// that device does; and a one-time token in it is renewed by the Settings command, so that
// such an asset holds none. An app that is not required
// would wait for the person to fetch it from a catalogue app, which Ward does not have.
// An app of the App Store needs an assigned licence.
type App struct {
	Name             string
	BundleID         string
	StoreID          int64  // of the App Store; 0: it comes from ManifestURL
	ManifestURL      string // template for variables
	Config           map[string]any
	Required         bool // the person can't remove it, where the system can see to that
	NeedsCertificate bool
	// Certificate is what the policy says of it, and Delivery how it comes on this device:
	// empty where the device has no way to it, or the app has none of its own.
	Certificate    intent.Certificate
	Delivery       intent.Delivery
	NoBackup       bool
	MinimumVersion string // empty: none
	// Declared is set where a declaration of the Result manages the app.
	Declared bool
	// Command is the InstallApplication command without its RequestType, with variables
	// in its texts. It is nil for a declared app.
	Command map[string]any
	// Hash covers all that the policy says of the app on this target, never a device's
	// own values: a new token does not change it. SHA-256 in hexadecimal.
	Hash string
}

// ManagementFlags of InstallApplication.
// Source: https://developer.apple.com/documentation/devicemanagement/installapplicationcommand
const (
	removeWithManagement = 1
	noBackup             = 4
)

const tokenVariable = "enrolment_token" //nolint:gosec // the name of a variable, not a secret

func (c *compiler) source(a intent.App) intent.AppleApp {
	if c.d.ios() {
		return a.IOS
	}
	return a.MacOS
}

// apps lists the approved apps of this platform.
func (c *compiler) apps() {
	for _, a := range c.w.Apps {
		from := c.source(a)
		if from.BundleID == "" {
			o := intent.Outcome{
				ID: intent.InstallApp, Subject: a.Name, Intent: "Install " + a.Name, Verdict: intent.Impossible,
				Why: fmt.Sprintf("The register names no app for %s.", c.d.many()),
			}
			c.tell(o)
			c.uncertified(a, o)
			continue
		}
		// An unknown system is asked to install: an app has always been a command.
		if r := c.d.lacks(need{}); r == needsNewerOS {
			o := intent.Outcome{ID: intent.InstallApp, Subject: a.Name, Intent: "Install " + a.Name, Verdict: intent.Impossible}
			o.Why, o.Cure = c.d.refusal(r, need{})
			c.tell(o)
			c.uncertified(a, o)
			continue
		}
		app := App{
			Name: a.Name, BundleID: from.BundleID, StoreID: from.StoreID, ManifestURL: from.ManifestURL, Config: a.Config,
			Required: a.Required, NoBackup: a.NoBackup || c.w.On[intent.NoBackup],
			MinimumVersion: a.MinimumVersion[c.d.Platform],
		}
		told := c.certify(a, &app)
		content := map[string]any{"NeedsCertificate": app.NeedsCertificate}
		if !app.Certificate.Plain() {
			content["Certificate"] = fmt.Sprintf("%+v by %s", app.Certificate, app.Delivery)
		}
		if app.Delivery == intent.ByManagedApp || c.declarable(app) {
			app.Declared = true
			content["Declaration"] = c.declareApp(app)
		} else {
			app.Command = c.install(app)
			content["Command"] = app.Command
		}
		raw, err := plist.Marshal(content)
		if err != nil {
			c.failed(fmt.Errorf("compile app %s: %w", a.Name, err))
			return
		}
		app.Hash = digest(raw)
		c.result.Apps = append(c.result.Apps, app)
		c.tell(c.installed(app))
		for _, o := range told {
			c.tell(o)
		}
	}
}

const typeManagedApp = "com.apple.configuration.app.managed"

// declareApp has a declaration manage the app and returns its payload.
func (c *compiler) declareApp(a App) map[string]any {
	f := config{last: "app." + slug(a.BundleID), kind: typeManagedApp, payload: c.managedApp(a)}
	if len(a.Config) > 0 {
		c.configure(a, &f)
	}
	if a.Delivery == intent.ByManagedApp {
		c.identify(a, &f)
	}
	c.configs = append(c.configs, f)
	return f.payload
}

// declarable reports whether a declaration can manage the app: see App.
func (c *compiler) declarable(a App) bool {
	return c.d.ios() && c.d.declares() && c.d.OS.AtLeast(ver(17, 2)) && a.ManifestURL != "" && a.Required &&
		len(a.Config) == 0 && !strings.Contains(a.ManifestURL, tokenVariable)
}

// managedApp is the payload of the declaration.
// Source: declarative/declarations/configurations/app.managed.yaml.
func (c *compiler) managedApp(a App) map[string]any {
	payload := map[string]any{
		"ManifestURL":     a.ManifestURL,
		"InstallBehavior": map[string]any{"Install": "Required"},
		"IncludeInBackup": !a.NoBackup,
	}
	if attributes := c.carriers(); len(attributes) > 0 {
		payload["Attributes"] = attributes
	}
	return payload
}

// carriers name the VPN and the relay that carry the app.
func (c *compiler) carriers() map[string]any {
	out := map[string]any{}
	if c.vpnUUID != "" {
		out["VPNUUID"] = c.vpnUUID
	}
	if c.relayUUID != "" {
		out["RelayUUID"] = c.relayUUID
	}
	return out
}

// install is the InstallApplication command.
// Source: mdm/commands/application.install.yaml.
func (c *compiler) install(a App) map[string]any {
	cmd := map[string]any{}
	if a.StoreID != 0 {
		cmd["iTunesStoreID"] = a.StoreID
	} else {
		cmd["ManifestURL"] = a.ManifestURL
	}
	if len(a.Config) > 0 {
		cmd["Configuration"] = a.Config
	}
	flags := removeWithManagement
	if a.NoBackup {
		flags |= noBackup
	}
	if c.d.ios() || !c.d.user {
		cmd["ManagementFlags"] = flags
	}
	if c.d.user {
		cmd["Options"] = map[string]any{"PurchaseMethod": 1}
	} else {
		cmd["ChangeManagementState"] = "Managed"
	}
	if !c.d.ios() {
		if !c.d.user {
			cmd["InstallAsManaged"] = true
		}
		return cmd
	}
	attributes := c.carriers()
	if a.Required && c.d.OS.AtLeast(stays()) {
		attributes["Removable"] = false
	}
	if len(attributes) > 0 {
		cmd["Attributes"] = attributes
	}
	return cmd
}

// stays is the iOS from which a managed app can be kept from being removed.
func stays() intent.Version { return ver(14, 0) }

// installed says what becomes of an approved app.
func (c *compiler) installed(a App) intent.Outcome {
	o := intent.Outcome{
		ID: intent.InstallApp, Subject: a.Name, Intent: "Install " + a.Name, Verdict: intent.Enforced,
		Mechanism: "InstallApplication", Covers: []string{a.BundleID},
	}
	if a.Declared {
		o.Mechanism, o.Since = typeManagedApp, "17.2"
	}
	switch {
	case c.d.user && a.StoreID != 0:
		o.Verdict = intent.Partly
		o.Why = a.Name + " comes from the App Store, which under user enrolment asks for a licence that Ward does not assign, so the " + c.d.one() + " may refuse it."
		o.Cure = "Assign a licence to the person's managed Apple account in Apple Business Manager."
	case c.d.ios() && !c.d.Supervised:
		o.Verdict = intent.Partly
		o.Why = "This phone asks the person before it installs " + a.Name + ", and they may refuse."
		o.Cure = "Tell staff to accept it. Supervised phones don't ask."
	case a.StoreID != 0:
		o.Verdict = intent.Partly
		o.Why = a.Name + " comes from the App Store without a licence assigned by Ward, so the " + c.d.one() + " may ask for an Apple account."
		o.Cure = "Sign the " + c.d.one() + " in to the App Store."
	case !a.Required:
	case !c.d.ios():
		o.Verdict = intent.Partly
		o.Why = "Apple has no setting that keeps a person from removing " + a.Name + " from a Mac."
	case !c.d.OS.AtLeast(stays()):
		o.Verdict = intent.Partly
		r := needsNewerOS
		if !c.d.OS.Known() {
			r = unknownOS
		}
		_, o.Cure = c.d.refusal(r, need{since: stays()})
		o.Why = "A person can remove " + a.Name + "; from iOS 14 on Ward can prevent that."
	}
	return o
}
