package profiles

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wardmdm/ward/profiles/catalogue"
)

// clinical is the category of apps that are made for patient data: it can't be blocked
// as a whole, by mistake.
const clinical = "clinical"

// block reads what to keep off, and works out which apps of the catalogue that is.
func (r *reader) block(n *yaml.Node) {
	b := &r.policy.Block
	mode := "deny-list"
	excepted := map[string]*yaml.Node{}
	before := len(r.mistakes)
	named := r.mapping(n, "block",
		field{"mode", r.text("mode", &mode)},
		field{"categories", r.texts("categories", &b.Categories, r.category)},
		field{"apps", r.slugs("apps", &b.Apps, map[string]*yaml.Node{})},
		field{"except", r.slugs("except", &b.Except, excepted)},
		field{"reason_without_alternative", r.text("reason_without_alternative", &b.ReasonWithoutAlternative)},
	)
	if n.Kind != yaml.MappingNode {
		return
	}
	if mode != "deny-list" {
		r.wrong(n, "block has no mode %q: only deny-list is offered", mode)
	}
	if !named["categories"] && !named["apps"] {
		r.wrong(n, "block names no categories and no apps")
	}
	except := map[string]bool{}
	for _, slug := range b.Except {
		except[slug] = true
	}
	covered := map[string]bool{}
	for _, a := range r.catalogue.Apps() {
		if !slices.Contains(b.Categories, a.Category) && !slices.Contains(b.Apps, a.Slug) {
			continue
		}
		covered[a.Slug] = true
		if !except[a.Slug] {
			r.policy.blocked = append(r.policy.blocked, a)
		}
	}
	if len(r.mistakes) > before {
		return // a misspelt category would make every exception look idle
	}
	for _, slug := range b.Except {
		switch twin := r.twin(slug); {
		case twin != "":
			r.wrong(excepted[slug], "except names %q, but %q has the same bundle id and stays blocked: except it as well", slug, twin)
		case !covered[slug]:
			r.wrong(excepted[slug], "except names %q, which is not blocked anyway", slug)
		}
	}
}

// twin returns a row that stays blocked though it has a bundle id of the excepted one,
// "" if there is none.
func (r *reader) twin(slug string) string {
	app, _ := r.catalogue.Lookup(slug)
	for _, id := range app.BundleIDs() {
		for _, owner := range r.catalogue.ByBundleID(id) {
			if slices.ContainsFunc(r.policy.blocked, func(b catalogue.App) bool { return b.Slug == owner.Slug }) {
				return owner.Slug
			}
		}
	}
	return ""
}

func (r *reader) category(n *yaml.Node, name string) {
	known := slices.DeleteFunc(r.catalogue.Categories(), func(c string) bool { return c == clinical })
	switch {
	case name == clinical:
		r.wrong(n, "clinical apps can't be blocked as a category: name the apps")
	case !slices.Contains(known, name):
		hint := suggest(name, known)
		if hint == "" {
			hint = "; it must be one of " + strings.Join(known, ", ")
		}
		r.wrong(n, "the catalogue has no category %q%s", name, hint)
	}
}

// slugs reads names of apps, by slug or alias, and keeps the slugs; at remembers where
// each stood.
func (r *reader) slugs(what string, into *[]string, at map[string]*yaml.Node) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var names []string
		r.texts(what, &names, func(item *yaml.Node, name string) {
			app, ok := r.find(name)
			switch {
			case !ok:
				r.wrong(item, "the catalogue has no app %q%s", name, suggest(name, r.catalogue.Names()))
			case at[app.Slug] != nil:
				r.wrong(item, "%s names %s twice", what, app.Slug)
			default:
				at[app.Slug] = item
				*into = append(*into, app.Slug)
			}
		})(n)
	}
}

// find looks an app up by slug, alias or bundle id.
func (r *reader) find(name string) (catalogue.App, bool) {
	if app, ok := r.catalogue.Lookup(name); ok {
		return app, true
	}
	if apps := r.catalogue.ByBundleID(name); len(apps) > 0 {
		return apps[0], true
	}
	return catalogue.App{}, false
}

func sortFields(fields []field) {
	slices.SortFunc(fields, func(a, b field) int { return cmp.Compare(a.name, b.name) })
}
