package android

import (
	"maps"
	"slices"

	"github.com/wardmdm/ward/profiles/intent"
)

// What Google lets one policy hold.
const (
	mostApps        = 3000 // applications
	mostMinimumCode = 20   // applications with a minimumVersionCode
	shortMessage    = 200  // characters that are surely shown
	longMessage     = 4096
)

const chrome = "com.android.chrome"

// compiler holds a policy while it is made.
type compiler struct {
	w    intent.Wanted
	t    intent.Target
	kind intent.Enrolment // one of Android's three
	doc  policy
	out  []intent.Outcome
	err  error

	// apps are the applications by package: what comes first is kept where there are too
	// many.
	apps map[string]*application
	// personal are the packages of the personal side, where there is one to govern.
	personal map[string]string
	browser  map[string]any // what Ward asks of Chrome
	minimum  int            // how many applications have a minimumVersionCode
}

func newCompiler(w intent.Wanted, t intent.Target) *compiler {
	kind := t.Enrolment
	if kind != intent.FullyManaged && kind != intent.CompanyOwned {
		kind = intent.WorkProfile
	}
	return &compiler{
		w: w, t: t, kind: kind,
		apps: map[string]*application{}, personal: map[string]string{}, browser: map[string]any{},
	}
}

func (c *compiler) full() bool          { return c.kind == intent.FullyManaged }
func (c *compiler) cope() bool          { return c.kind == intent.CompanyOwned }
func (c *compiler) byod() bool          { return c.kind == intent.WorkProfile }
func (c *compiler) on(s intent.ID) bool { return c.w.On[s] }

// add puts an application into the policy; one that is there already stays as it is.
func (c *compiler) add(a application) {
	if c.apps[a.PackageName] == nil {
		c.apps[a.PackageName] = &a
	}
}

// room is how many applications the policy can still take; one place is kept for Chrome.
func (c *compiler) room() int {
	used := len(c.apps)
	if c.apps[chrome] == nil {
		used++
	}
	return max(0, mostApps-used)
}

// settle sets what every device gets. A personal phone tells about its work profile
// only, and not what was removed from it.
func (c *compiler) settle() {
	d := &c.doc
	d.PlayStoreMode = "BLACKLIST"
	d.StatusReporting = statusReporting{
		ApplicationReportsEnabled: true, DeviceSettingsEnabled: true, SoftwareInfoEnabled: true,
		ApplicationReportingSettings: &applicationReporting{IncludeRemovedApps: !c.byod()},
		NetworkInfoEnabled:           !c.byod(),
	}
	if c.w.Notice != "" {
		d.ShortSupportMessage = &message{shorten(c.w.Notice, shortMessage)}
		d.LongSupportMessage = &message{shorten(c.w.Notice, longMessage)}
	}
	if c.cope() {
		d.PersonalUsage = &personalUsage{PersonalPlayStoreMode: "BLOCKLIST"}
	}
	if c.byod() {
		d.AdvancedSecurity = &advancedSecurity{UntrustedAppsPolicy: "ALLOW_INSTALL_IN_PERSONAL_PROFILE_ONLY"}
	}
	if c.has(sinceCredentials) {
		d.CredentialProviderPolicyDefault = "CREDENTIAL_PROVIDER_DEFAULT_DISALLOWED_EXCEPT_SYSTEM"
	}
}

// ask sets a key of Chrome's managed configuration. Names and values:
// https://chromeenterprise.google/policies
func (c *compiler) ask(key string, value any) { c.browser[key] = value }

// gather puts applications, Chrome's configuration and the personal side into the
// document, sorted by package.
func (c *compiler) gather() {
	if len(c.browser) > 0 {
		c.add(application{PackageName: chrome, InstallType: "AVAILABLE"})
		a := c.apps[chrome]
		config := maps.Clone(a.ManagedConfiguration)
		if config == nil {
			config = map[string]any{}
		}
		maps.Copy(config, c.browser) // where both say something, the block holds
		a.ManagedConfiguration = config
		if a.InstallType == "BLOCKED" {
			a.ManagedConfiguration = nil
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.apps)) {
		c.doc.Applications = append(c.doc.Applications, *c.apps[name])
	}
	if c.cope() {
		for _, name := range slices.Sorted(maps.Keys(c.personal)) {
			c.doc.PersonalUsage.PersonalApplications = append(c.doc.PersonalUsage.PersonalApplications,
				personalApplication{PackageName: name, InstallType: c.personal[name]})
		}
	}
	slices.Sort(c.doc.KeyguardDisabledFeatures)
}

// security returns the part that is made when it is first needed.
func (c *compiler) security() *advancedSecurity {
	if c.doc.AdvancedSecurity == nil {
		c.doc.AdvancedSecurity = &advancedSecurity{}
	}
	return c.doc.AdvancedSecurity
}

func (c *compiler) connectivity() *connectivity {
	if c.doc.Connectivity == nil {
		c.doc.Connectivity = &connectivity{}
	}
	return c.doc.Connectivity
}

func (c *compiler) across() *crossProfile {
	if c.doc.CrossProfile == nil {
		c.doc.CrossProfile = &crossProfile{}
	}
	return c.doc.CrossProfile
}
