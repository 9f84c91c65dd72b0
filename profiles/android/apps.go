package android

import (
	"fmt"
	"strings"

	"github.com/wardmdm/ward/profiles/intent"
)

// certificateAlias names the device's key pair in Android's key chain. It is bound at
// delivery.
const certificateAlias = "{{cert.alias}}"

// installApps provides the approved apps. An app that proves itself by a certificate
// may put one into the key chain (CERT_INSTALL) and is given it without a question.
// Source: https://developers.google.com/android/management/apps
func (c *compiler) installApps() {
	seen := map[string]bool{}
	for i, a := range c.w.Apps {
		id := a.Android.Package
		o := intent.Outcome{ID: intent.InstallApp, Subject: a.Name, Intent: "Install " + a.Name}
		switch {
		case id == "":
			o.Verdict, o.Why = intent.NotEnforced, "The register has no Android app for "+a.Name+"."
			o.Cure = "Add the app's package to the register, if it has one."
		case seen[id]:
			o.Verdict, o.Covers = intent.NotEnforced, []string{id}
			o.Why = "Another approved app has the same package, and its settings are used."
		default:
			c.install(i, a, &o)
		}
		seen[id] = true
		c.told(o)
	}
	if len(c.keyApps()) > 0 {
		c.doc.ChoosePrivateKeyRules = []privateKeyRule{{PackageNames: c.keyApps(), PrivateKeyAlias: certificateAlias}}
	}
}

// keyApps are the packages that are given the device's certificate, sorted.
func (c *compiler) keyApps() []string {
	var ids []string
	for _, a := range c.w.Apps {
		if a.NeedsCertificate && !a.Certificate.Attested && a.Android.Package != "" {
			ids = append(ids, a.Android.Package)
		}
	}
	return intent.Sorted(ids)
}

// install fills in the application that was reserved for an approved app.
func (c *compiler) install(place int, a intent.App, o *intent.Outcome) {
	p := c.apps[a.Android.Package]
	p.ManagedConfiguration = a.Config
	where := "on this phone"
	if !c.full() {
		where = "in the work profile"
	}
	o.Verdict, o.Covers = intent.Enforced, []string{p.PackageName}
	switch {
	case a.Required && c.full():
		p.InstallType = "REQUIRED_FOR_SETUP"
		o.Why = a.Name + " is installed while the phone is set up, and can't be removed."
	case a.Required:
		p.InstallType, p.InstallPriority = "FORCE_INSTALLED", min(place+1, 10_000)
		o.Why = a.Name + " is installed " + where + " without a question, and can't be removed there."
	default:
		p.InstallType, o.Verdict = "AVAILABLE", intent.Partly
		o.Why = a.Name + " is offered in the Play store " + where + "; the person installs it."
		o.Cure = "Mark it as required to have it installed."
	}
	o.Mechanism = "applications installType " + p.InstallType
	if a.Required {
		p.AutoUpdateMode = "AUTO_UPDATE_HIGH_PRIORITY"
		if c.has(sinceUserControl) {
			p.UserControlSettings = "USER_CONTROL_DISALLOWED"
		}
	}
	switch {
	case a.NeedsCertificate && a.Certificate.Attested:
		o.Verdict = intent.Partly
		o.Why += " It gets no certificate: its key is to be attested, which Ward can't have on Android."
		o.Cure = "Leave attested out of its certificate."
	case a.NeedsCertificate:
		p.DelegatedScopes = []string{"CERT_INSTALL"}
		o.Verdict = intent.Partly
		o.Mechanism += ", delegatedScopes CERT_INSTALL, choosePrivateKeyRules"
		o.Why += " It fetches its certificate itself, with the address and the token of its configuration: the Android Management API hands out none."
	}
	c.minimumCode(p, a, o)
	c.clash(p, a, o)
}

func (c *compiler) minimumCode(p *application, a intent.App, o *intent.Outcome) {
	code := a.Android.MinimumVersionCode
	if code <= 0 {
		return
	}
	if c.minimum == mostMinimumCode {
		o.Verdict = intent.Partly
		o.Why += fmt.Sprintf(" A policy asks at most %d apps for a minimum version, so this one's is not asked for.", mostMinimumCode)
		return
	}
	c.minimum++
	p.MinimumVersionCode = code
}

// clash tells where an approved Chrome's own configuration gives way.
func (c *compiler) clash(p *application, a intent.App, o *intent.Outcome) {
	if p.PackageName != chrome {
		return
	}
	var keys []string
	for k := range a.Config {
		if c.claims(k) {
			keys = append(keys, k)
		}
	}
	if len(keys) > 0 {
		o.Verdict = intent.Partly
		o.Why += " Ward sets " + strings.Join(intent.Sorted(keys), ", ") + " itself, in place of the app's own configuration."
	}
}

// claims reports whether the policy sets a key of Chrome's, now or later.
func (c *compiler) claims(key string) bool {
	switch key {
	case "URLBlocklist":
		return len(c.w.Block.Web)+len(c.w.Block.Network) > 0
	case "ManagedBookmarks":
		return len(c.w.WebClips) > 0 || c.w.StaffPage != ""
	case "SSLErrorOverrideAllowed":
		return c.on(intent.NoUntrustedTLS)
	case "PasswordManagerEnabled":
		return c.on(intent.NoCloudKeychain)
	}
	return false
}
