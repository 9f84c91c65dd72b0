package catalogue

import (
	"maps"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
)

// Catalogue is a list of apps with its indexes. It is read-only and safe for
// concurrent use; callers must not change the apps that it returns.
type Catalogue struct {
	apps   []App
	byName map[string]int              // slug and aliases
	byID   map[string]map[string][]int // by kind, then identifier, exact case
	byFold map[string]map[string][]owner
}

// owner is an app that has an identifier, with the case in which it has it.
type owner struct {
	app int
	id  string
}

func newCatalogue(apps []App) *Catalogue {
	c := &Catalogue{
		apps: apps, byName: map[string]int{},
		byID: map[string]map[string][]int{}, byFold: map[string]map[string][]owner{},
	}
	for _, kind := range Kinds() {
		c.byID[kind], c.byFold[kind] = map[string][]int{}, map[string][]owner{}
	}
	for i, a := range apps {
		c.indexNames(i)
		for kind, ids := range a.Platforms() {
			for _, id := range ids {
				c.indexID(kind, i, id.ID)
			}
		}
	}
	return c
}

func (c *Catalogue) indexNames(app int) {
	a := c.apps[app]
	for _, name := range append([]string{a.Slug}, a.Aliases...) {
		if _, taken := c.byName[name]; !taken {
			c.byName[name] = app
		}
	}
}

func (c *Catalogue) indexID(kind string, app int, id string) {
	exact, folded := c.byID[kind], c.byFold[kind]
	if !slices.Contains(exact[id], app) {
		exact[id] = append(exact[id], app)
	}
	low := strings.ToLower(id)
	folded[low] = append(folded[low], owner{app: app, id: id})
}

// clone returns a catalogue that can be added to without changing c.
func (c *Catalogue) clone() *Catalogue {
	apps := slices.Clone(c.apps)
	for i := range apps {
		a := &apps[i]
		a.Aliases, a.SharesWith = slices.Clone(a.Aliases), slices.Clone(a.SharesWith)
		for _, kind := range Kinds() {
			list := a.list(kind)
			*list = slices.Clone(*list)
		}
	}
	return newCatalogue(apps)
}

// Apps returns every app in the catalogue's order.
func (c *Catalogue) Apps() []App { return slices.Clone(c.apps) }

// Lookup finds an app by its slug or one of its aliases, in lower case.
func (c *Catalogue) Lookup(name string) (App, bool) {
	i, ok := c.byName[name]
	if !ok {
		return App{}, false
	}
	return c.apps[i], true
}

// ByBundleID returns the apps that use an iOS bundle id, exact case: more than one
// where a clinical and a consumer service share an app. None is an empty slice.
func (c *Catalogue) ByBundleID(id string) []App { return c.owners("ios", id) }

// ByIdentifier returns the apps that a platform knows by an identifier, exact case, in
// the catalogue's order: more than one where they share it. For iOS the number of an app
// in the App Store is an identifier too. None is an empty slice.
func (c *Catalogue) ByIdentifier(p ward.Platform, id string) []App {
	found := c.owners(string(p), id)
	if p == ward.IOS {
		found = append(found, c.owners("app_store", id)...)
	}
	return found
}

// Signer returns the team that signs the Mac app with a bundle id, exact case, as
// Identifier.Signer tells it; empty where it is not known.
func (c *Catalogue) Signer(bundleID string) string {
	for _, i := range c.byID["macos"][bundleID] {
		for _, id := range c.apps[i].MacOS {
			if team := id.Signer(); id.ID == bundleID && team != "" {
				return team
			}
		}
	}
	return ""
}

// ByHost returns the apps that have a host as their web version or as a name of their
// servers. None is an empty slice.
func (c *Catalogue) ByHost(host string) []App {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	found := c.owners("web", host)
	for _, a := range c.owners("network", host) {
		if !slices.ContainsFunc(found, func(b App) bool { return b.Slug == a.Slug }) {
			found = append(found, a)
		}
	}
	return found
}

func (c *Catalogue) owners(kind, id string) []App {
	found := make([]App, 0, len(c.byID[kind][id]))
	for _, i := range c.byID[kind][id] {
		found = append(found, c.apps[i])
	}
	return found
}

// Category returns the apps of a category in the catalogue's order, none if the
// category does not exist.
func (c *Catalogue) Category(category string) []App {
	var found []App
	for _, a := range c.apps {
		if a.Category == category {
			found = append(found, a)
		}
	}
	return found
}

// Categories returns the names of all categories, sorted.
func (c *Catalogue) Categories() []string {
	seen := map[string]bool{}
	for _, a := range c.apps {
		seen[a.Category] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// Names returns every slug and alias, sorted, for suggestions.
func (c *Catalogue) Names() []string { return slices.Sorted(maps.Keys(c.byName)) }

// Search returns the apps whose name, slug, alias, category or any identifier
// contains text, whatever its case. Empty text finds every app.
func (c *Catalogue) Search(text string) []App {
	text = strings.ToLower(strings.TrimSpace(text))
	var found []App
	for _, a := range c.apps {
		if a.matches(text) {
			found = append(found, a)
		}
	}
	return found
}

// families gives every app one slug of those to which forks_of and shares_with tie it,
// the same for all of them.
func (c *Catalogue) families() map[string]string {
	root := map[string]string{}
	var find func(string) string
	find = func(s string) string {
		if up, ok := root[s]; ok && up != s {
			return find(up)
		}
		return s
	}
	for _, a := range c.apps {
		for _, other := range append([]string{a.ForksOf}, a.SharesWith...) {
			if other != "" {
				root[find(a.Slug)] = find(other)
			}
		}
	}
	all := map[string]string{}
	for _, a := range c.apps {
		all[a.Slug] = find(a.Slug)
	}
	return all
}
