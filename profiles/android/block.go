package android

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// textApps carry text messages and are, each on its makers' phones, the only app that
// does: blocking one would take SMS away. Source: the packages' own Play listings, and
// packages/apps/Messaging of the Android Open Source Project.
var textApps = []string{
	"com.android.messaging", "com.android.mms", "com.google.android.apps.messaging", "com.samsung.android.messaging",
}

// needed are what a phone needs to be one where only listed apps are offered.
var needed = []string{
	"com.android.messaging", "com.android.mms", "com.google.android.apps.messaging", "com.google.android.contacts",
	"com.google.android.dialer", "com.samsung.android.dialer", "com.samsung.android.messaging",
}

// stores are other app stores, by the package that Android names as an app's installer.
var stores = []string{
	"com.amazon.venezia", "com.huawei.appmarket", "com.oppo.market", "com.sec.android.app.samsungapps",
	"com.vivo.appstore", "com.xiaomi.market", "org.fdroid.fdroid",
}

// found is what the blocked apps come to on Android.
type found struct {
	packages, unconfirmed, text []string // identifiers
	names, unknown, guessed     []string // of apps
}

// find sorts the blocked apps by what can be done about them. An approved app's package
// is no part of it.
func (c *compiler) find() found {
	var f found
	approved := map[string]bool{}
	for _, a := range c.w.Apps {
		approved[a.Android.Package] = a.Android.Package != ""
	}
	for _, a := range c.w.Block.Apps {
		if len(a.Android) == 0 {
			f.unknown = append(f.unknown, a.Name)
			continue
		}
		before := len(f.packages)
		for _, id := range a.Android {
			switch {
			case slices.Contains(textApps, id.ID):
				f.text = append(f.text, id.ID)
				continue
			case approved[id.ID]:
				continue
			case id.Unconfirmed():
				f.unconfirmed = append(f.unconfirmed, id.ID)
				f.guessed = append(f.guessed, fmt.Sprintf("%s (%s)", a.Name, id.ID))
			}
			f.packages = append(f.packages, id.ID)
		}
		if len(f.packages) > before {
			f.names = append(f.names, a.Name)
		}
	}
	f.packages = intent.Sorted(f.packages)
	return f
}

func (c *compiler) blockApps() {
	if len(c.w.Block.Apps) == 0 {
		return
	}
	f := c.find()
	var kept, left []string
	for _, id := range f.packages {
		if a := c.apps[id]; a != nil {
			a.InstallType = "BLOCKED" // listed as allowed too: the block holds
		} else if c.room() == 0 {
			left = append(left, id)
			continue
		}
		c.add(application{PackageName: id, InstallType: "BLOCKED"})
		c.personal[id] = "BLOCKED"
		kept = append(kept, id)
	}
	if len(kept) > 0 {
		c.told(c.blocked(f, kept))
	}
	if len(left) > 0 {
		c.told(intent.Outcome{
			ID: intent.BlockApps, Subject: "too many", Intent: "Block all apps of the list", Verdict: intent.NotEnforced, Covers: left,
			Why:  fmt.Sprintf("A policy of the Android Management API holds at most %d apps; %d blocked ones are left out.", mostApps, len(left)),
			Cure: "Block fewer apps, or list the allowed ones instead.",
		})
	}
	c.remarks(f)
	if len(kept)+len(left)+len(f.text)+len(f.unknown) == 0 {
		c.told(intent.Outcome{
			ID: intent.BlockApps, Intent: "Block " + intent.List(c.blockedNames()), Verdict: intent.NotEnforced,
			Why: "All of their packages belong to approved apps too.",
		})
	}
}

func (c *compiler) blockedNames() []string {
	var names []string
	for _, a := range c.w.Block.Apps {
		names = append(names, a.Name)
	}
	return names
}

// blocked tells of the apps that the policy names.
func (c *compiler) blocked(f found, kept []string) intent.Outcome {
	names := intent.List(f.names)
	o := intent.Outcome{ID: intent.BlockApps, Intent: "Block " + names, Verdict: intent.Enforced, Mechanism: "applications installType BLOCKED", Covers: kept}
	switch {
	case c.full():
		o.Why = names + " can't be installed on this phone; what is there is removed with its data."
	case c.cope():
		o.Mechanism = "applications and personalUsagePolicies.personalApplications installType BLOCKED"
		o.Why = names + " can't be installed on either side of this phone; what is there is removed with its data."
	default:
		o.Verdict = intent.Partly
		o.Why = names + " can't be installed in the work profile. On the personal side of this phone Android lets an employer neither block apps nor see them."
		o.Cure = giveWorkPhone
	}
	return o
}

// remarks tell of what is known too little, or must not be blocked.
func (c *compiler) remarks(f found) {
	if len(f.unconfirmed) > 0 {
		c.told(intent.Outcome{
			ID: intent.BlockApps, Subject: "unconfirmed", Intent: "Block apps whose package name is unconfirmed", Verdict: intent.Partly, Covers: intent.Sorted(f.unconfirmed),
			Mechanism: "applications installType BLOCKED",
			Why:       "These package names stand in unconfirmed lists only, so the block may miss its app: " + strings.Join(f.guessed, ", ") + ".",
			Cure:      "Try them on one phone.",
		})
	}
	if len(f.unknown) > 0 {
		c.told(intent.Outcome{
			ID: intent.BlockApps, Subject: "unknown", Intent: "Block " + intent.List(f.unknown), Verdict: intent.NotEnforced,
			Why: "No Android package is known for " + strings.Join(f.unknown, ", ") + ", so there is nothing to block.",
		})
	}
	if len(f.text) > 0 {
		c.told(intent.Outcome{
			ID: intent.BlockApps, Subject: "text messages", Intent: "Block the app for text messages", Verdict: intent.NotEnforced, Covers: intent.Sorted(f.text),
			Why: "On many phones it is the only app for text messages (SMS), so Ward never blocks it.",
		})
	}
}

// reserve takes places for approved apps and, where only listed apps are offered, for
// what is listed and what a phone needs, before blocked ones fill the policy.
func (c *compiler) reserve() {
	for _, a := range c.w.Apps {
		if a.Android.Package != "" {
			c.add(application{PackageName: a.Android.Package, InstallType: "AVAILABLE"})
		}
	}
	if c.w.Block.AllowOnly || c.on(intent.NoAppStore) {
		for _, id := range slices.Concat(needed, c.w.Block.Allow[ward.Android]) {
			if c.room() > 0 {
				c.add(application{PackageName: id, InstallType: "AVAILABLE"})
			}
		}
	}
}

// allowOnly offers nothing but what is listed.
func (c *compiler) allowOnly() {
	if !c.w.Block.AllowOnly {
		return
	}
	c.doc.PlayStoreMode = "WHITELIST"
	o := intent.Outcome{
		ID: intent.AllowOnly, Intent: "Let only listed apps run", Verdict: intent.Partly, Mechanism: "playStoreMode WHITELIST",
		Why: "Only listed apps can be installed, and others are removed with their data. What came with the phone can't be removed; it runs unless the policy blocks it by name.",
	}
	var left int
	for _, id := range intent.Sorted(c.w.Block.Allow[ward.Android]) {
		if a := c.apps[id]; a != nil && a.InstallType != "BLOCKED" {
			o.Covers = append(o.Covers, id)
		} else if a == nil {
			left++
		}
	}
	switch {
	case c.cope():
		o.Mechanism += ", personalUsagePolicies.personalPlayStoreMode ALLOWLIST"
		c.doc.PersonalUsage.PersonalPlayStoreMode = "ALLOWLIST"
		for id, a := range c.apps {
			if c.personal[id] == "" && a.InstallType != "BLOCKED" {
				c.personal[id] = "AVAILABLE"
			}
		}
	case c.byod():
		o.Why = "Only listed apps can be installed in the work profile. On the personal side of this phone Android lets an employer neither block apps nor see them."
		o.Cure = giveWorkPhone
	}
	if left > 0 {
		o.Why += fmt.Sprintf(" A policy holds at most %d apps: %d allowed ones are left out and can't be installed.", mostApps, left)
	}
	c.told(o)
}

// blockHosts keeps Chrome from opening web versions and the services' own names.
func (c *compiler) blockHosts() {
	hosts := intent.Sorted(slices.Concat(c.w.Block.Web, c.w.Block.Network))
	if len(hosts) == 0 {
		return
	}
	c.ask("URLBlocklist", c.jsonText(hosts))
	side := "Chrome"
	if !c.full() {
		side = "Chrome on the work side of this phone"
	}
	tell := func(id intent.ID, what string, covers []string, more, cure string) {
		o := intent.Outcome{
			ID: id, Intent: what, Verdict: intent.Partly, Mechanism: "applications " + chrome + " managedConfiguration URLBlocklist", Covers: intent.Sorted(covers),
			Why: side + " does not open these addresses. Other browsers" + more, Cure: cure,
		}
		if a := c.apps[chrome]; a != nil && a.InstallType == "BLOCKED" {
			o.Verdict, o.Mechanism = intent.NotEnforced, ""
			o.Why = "The policy blocks Chrome, the only browser that takes a list of addresses from Ward. Other browsers open them."
		}
		c.told(o)
	}
	if len(c.w.Block.Web) > 0 {
		tell(intent.BlockWeb, "Block the web versions of these apps", c.w.Block.Web, " and web pages inside apps still do.",
			"Block other browsers by name, or these addresses on the organisation's network.")
	}
	if len(c.w.Block.Network) > 0 {
		more, cure := " and all apps still reach them: the phone asks the name servers of the network that it is on.", "Block these names on the organisation's network, which reaches no further than that network."
		switch {
		case c.resolves():
			more = " and all apps ask " + c.w.DNS.Name + " for them, and what it refuses is blocked. Ward can't see what it refuses, and an app that knows an address needs no name."
			cure = "Give that resolver the list of names: ward policy export --network --format rpz (or hosts) writes it."
		case !c.w.DNS.Wanted() && c.full():
			cure += " Elsewhere an organisation's own resolver can: set dns under networks."
		}
		tell(intent.BlockNetwork, "Block the network names of these services", c.w.Block.Network, more, cure)
	}
}

// jsonText writes a list as the JSON text that Chrome on Android takes for a list.
func (c *compiler) jsonText(v any) string {
	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	c.err = errors.Join(c.err, enc.Encode(v))
	return strings.TrimSpace(out.String())
}

// blockStores closes unknown sources and other stores.
func (c *compiler) blockStores() {
	if !c.w.Block.Stores {
		return
	}
	s := c.security()
	s.UntrustedAppsPolicy, s.GooglePlayProtectVerifyApps = "DISALLOW_INSTALL", "VERIFY_APPS_ENFORCED"
	o := intent.Outcome{
		ID: intent.BlockStores, Intent: "Close other app stores and unknown sources", Verdict: intent.Enforced,
		Mechanism: "advancedSecurityOverrides.untrustedAppsPolicy DISALLOW_INSTALL, googlePlayProtectVerifyApps VERIFY_APPS_ENFORCED",
	}
	for _, id := range stores {
		switch a := c.apps[id]; {
		case a == nil && c.room() > 0:
			c.add(application{PackageName: id, InstallType: "BLOCKED"})
			c.personal[id] = "BLOCKED"
			o.Covers = append(o.Covers, id)
		case a != nil && a.InstallType == "BLOCKED":
			o.Covers = append(o.Covers, id)
		}
	}
	o.Why = "Apps come from Google Play only. A maker's own store that Ward does not know by its package may still install apps."
	if c.byod() {
		o.Verdict = intent.Partly
		o.Since = intent.Version{Major: sinceGlobalSource}.String()
		o.Why = "Apps from unknown sources can't be installed anywhere on this phone, but a store that came with it still works on the personal side."
		o.Cure = giveWorkPhone
		if !c.has(sinceGlobalSource) {
			why, cure := c.older("To close unknown sources on the personal side", sinceGlobalSource)
			o.Why, o.Cure = "The work profile takes apps from Google Play only. "+why, cure
		}
	}
	c.told(o)
}
