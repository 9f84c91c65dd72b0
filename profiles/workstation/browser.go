package workstation

import (
	"slices"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// What the browsers call things:
// https://chromeenterprise.google/policies,
// https://learn.microsoft.com/deployedge/microsoft-edge-policies and
// https://mozilla.github.io/policy-templates. Where they look:
// https://support.google.com/chrome/a/answer/9027408,
// https://learn.microsoft.com/deployedge/configure-microsoft-edge.

// places are where each browser reads its policy. It is a table, never changed. Chrome,
// Edge and Safari on a Mac take policies from device management only.
var places = map[ward.Platform][]Browser{
	ward.Linux: {
		{Name: "chrome", Document: ChromeDocument, Places: []string{
			"/etc/opt/chrome/policies/managed/ward.json", "/etc/chromium/policies/managed/ward.json",
		}},
		{Name: "edge", Document: EdgeDocument, Places: []string{"/etc/opt/edge/policies/managed/ward.json"}},
		{Name: "firefox", Document: FirefoxDocument, Places: []string{"/etc/firefox/policies/policies.json"}},
	},
	ward.Windows: {
		{Name: "chrome", Document: ChromeDocument, Places: []string{`SOFTWARE\Policies\Google\Chrome`}},
		{Name: "edge", Document: EdgeDocument, Places: []string{`SOFTWARE\Policies\Microsoft\Edge`}},
		{Name: "firefox", Document: FirefoxDocument, Places: []string{`%ProgramFiles%\Mozilla Firefox\distribution\policies.json`}},
	},
	ward.MacOS: {
		{Name: "firefox", Document: FirefoxDocument, Places: []string{"/Applications/Firefox.app/Contents/Resources/distribution/policies.json"}},
	},
}

// both sets a policy that Chrome and Edge call by one name.
func (c *compiler) both(key string, value any) { c.chrome[key], c.edge[key] = value, value }

// browsers says which browsers heed Ward here, for a sentence's start.
func (c *compiler) browsers() string {
	if c.is(ward.MacOS) {
		return "Firefox"
	}
	return "Chrome, Edge and Firefox"
}

// keys is the mechanism of a setting by its names in Chrome and Edge, and in Firefox.
func (c *compiler) keys(chrome, firefox string) string {
	if c.is(ward.MacOS) {
		return "Firefox " + firefox
	}
	if chrome == "ManagedBookmarks" {
		return "Chrome ManagedBookmarks, Edge ManagedFavorites, Firefox " + firefox
	}
	return "Chrome and Edge " + chrome + ", Firefox " + firefox
}

// others says which browsers do not heed Ward here.
func (c *compiler) others() string {
	if c.is(ward.MacOS) {
		return "Safari, Chrome, Edge and others take such a setting from the Mac's own management only."
	}
	return "Other browsers take no setting from Ward."
}

// browserDocuments writes the policies that are not empty and names them to the agent.
func (c *compiler) browserDocuments() ([]intent.Artifact, error) {
	var docs []intent.Artifact
	for _, b := range places[c.p] {
		var content map[string]any
		switch b.Name {
		case "chrome":
			content = c.chrome
		case "edge":
			content = c.edge
		case "firefox":
			if content = c.firefox; len(content) > 0 {
				content = map[string]any{"policies": content}
			}
		}
		if len(content) == 0 {
			continue
		}
		data, err := canonical(content)
		if err != nil {
			return nil, err
		}
		docs = append(docs, intent.Artifact{Name: b.Document, Kind: "browser-policy", Data: data})
		c.policy.Browsers = append(c.policy.Browsers, b)
	}
	return docs, nil
}

// blockHosts keeps browsers from opening web versions and the services' own names. A
// host stands for what is beneath it too: Chrome takes it so, Firefox by its pattern.
func (c *compiler) blockHosts() {
	hosts := intent.Sorted(slices.Concat(c.w.Block.Web, c.w.Block.Network))
	if len(hosts) == 0 {
		return
	}
	if !c.personal {
		c.policy.Hosts = hosts
		c.both("URLBlocklist", hosts)
		patterns := make([]string, len(hosts))
		for i, h := range hosts {
			patterns[i] = "*://*." + h + "/*" // matches the host itself too
		}
		c.firefox["WebsiteFilter"] = map[string]any{"Block": patterns}
	}
	tell := func(id intent.ID, what string, covers []string, more, cure string) {
		if len(covers) == 0 {
			return
		}
		o := intent.Outcome{ID: id, Intent: what, Verdict: intent.Partly, Covers: intent.Sorted(covers)}
		o.Mechanism = c.keys("URLBlocklist", "WebsiteFilter")
		o.Why = c.browsers() + " do not open these addresses. " + c.others() + more
		if c.is(ward.MacOS) {
			o.Why = c.browsers() + " does not open these addresses. " + c.others() + more
		}
		o.Cure = cure
		if c.personal {
			o.Verdict, o.Mechanism, o.Why, o.Cure = intent.NotEnforced, "", leftAlone, giveWorkComputer
		}
		c.told(o)
	}
	const cure = "Block these addresses on the organisation's network"
	tell(intent.BlockWeb, "Block the web versions of these apps", c.w.Block.Web, "", cure+".")
	more, there := " Other programs still reach these names.", cure+", which reaches no further than that network."
	if asked := c.w.DNS.Asked(c.w.Block.Network); len(asked) > 0 {
		more = " Other programs still reach these names, unless the system asks " + c.w.DNS.Name + " for " + intent.List(asked) + " and is refused."
		there = "Give that resolver the list of names: ward policy export --network --format rpz (or hosts) writes it."
	}
	tell(intent.BlockNetwork, "Block the network names of these services", c.w.Block.Network, more, there)
}

// bookmark is a link among a browser's managed bookmarks.
type bookmark struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

// links puts web clips and the page for staff among the bookmarks.
func (c *compiler) links() {
	var marks []bookmark
	tell := func(id intent.ID, subject, what, url string) {
		o := intent.Outcome{
			ID: id, Subject: subject, Intent: what, Verdict: intent.Partly, Covers: []string{url},
			Mechanism: c.keys("ManagedBookmarks", "ManagedBookmarks"),
			Why:       "It stands among the bookmarks of " + c.browsers() + ", not on the desktop.",
		}
		if c.personal {
			o.Verdict, o.Mechanism, o.Why, o.Cure = intent.NotEnforced, "", leftAlone, "Send the person the address."
		}
		c.told(o)
	}
	if c.w.StaffPage != "" {
		marks = append(marks, bookmark{"Help with this computer", c.w.StaffPage})
		tell(intent.StaffPage, "", "Put a link to the page for staff on the computer", c.w.StaffPage)
	}
	for _, clip := range c.w.WebClips {
		marks = append(marks, bookmark{clip.Label, clip.URL})
		tell(intent.WebClips, clip.Label, "Put a link to "+clip.Label+" on the computer", clip.URL)
	}
	if len(marks) > 0 && !c.personal {
		c.chrome["ManagedBookmarks"], c.edge["ManagedFavorites"], c.firefox["ManagedBookmarks"] = marks, marks, marks
	}
}
