package source

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/intent"
)

// clinical is the category of apps that are made for patient data: it can't be blocked
// as a whole, by mistake.
const clinical = "clinical"

// The modes of a block.
const (
	denyList  = "deny-list"
	allowList = "allow-list"
)

func (r *reader) block(l *layer) shape {
	b := &l.block
	return r.begins(&b.at, r.clearly(object{
		what: "block", def: "block",
		doc: "What is kept off. Devices that can't keep an app off report it.",
		fields: []field{
			{name: "mode", doc: "deny-list: what is named does not run. allow-list: nothing runs but approved apps and what allow names.", shape: single(r, &b.mode, func(v *string) shape {
				return r.choice("mode", []string{denyList, allowList}, v)
			})},
			{name: "categories", doc: "Categories of the catalogue.", shape: r.list("categories", func() shape { return r.category(&b.categories) })},
			{name: "apps", doc: "Apps by their name in the catalogue.", shape: r.list("apps", func() shape { return r.app("apps", &b.apps) })},
			{name: "except", doc: "Apps that are not kept off, although this layer or an earlier one names them or their category.", shape: r.list("except", func() shape { return r.app("except", &b.except) })},
			{name: "allow", doc: "With allow-list: what may run beside the approved apps, as apps of the catalogue or identifiers of a platform.", shape: r.list("allow", func() shape { return r.allow(&b.allow) })},
			{name: "web", doc: "Keep the web versions of these apps off too; true unless said.", shape: single(r, &b.web, func(v *bool) shape { return r.boolean("web", v) })},
			{name: "network", doc: "Keep names off the network that only these apps use; false unless said.", shape: single(r, &b.network, func(v *bool) shape { return r.boolean("network", v) })},
			{name: "stores", doc: "Close other app stores and installation from the web.", shape: single(r, &b.stores, func(v *bool) shape { return r.boolean("stores", v) })},
			{name: "reason_without_alternative", doc: "Why apps are kept off though no approved app takes their place. Needed only then.", shape: single(r, &b.reason, func(v *string) shape {
				return r.text("reason_without_alternative", v)
			})},
		},
	}))
}

// clearly reads a block and notes whether it had mistakes: a misspelt category would make
// every exception look idle.
func (r *reader) clearly(o object) shape {
	s := r.object(o)
	return shape{
		read: func(n *yaml.Node) bool {
			before := len(r.mistakes)
			given := s.read(n)
			r.unclear = r.unclear || len(r.mistakes) > before
			return given
		},
		schema: s.schema,
	}
}

func (r *reader) category(into *[]item[string]) shape {
	known := r.categories
	return shape{
		read: func(n *yaml.Node) bool {
			name, ok := r.word(n, "categories")
			switch {
			case !ok:
			case name == clinical:
				r.wrong(n, "clinical apps can't be blocked as a category: name the apps")
			case !slices.Contains(known, name):
				hint := r.near(name, known)
				if hint == "" {
					hint = "; it must be one of " + strings.Join(known, ", ")
				}
				r.wrong(n, "the catalogue has no category %q%s", name, hint)
			case slices.ContainsFunc(*into, func(i item[string]) bool { return i.name == name }):
				r.wrong(n, "categories lists %q twice", name)
			default:
				*into = append(*into, item[string]{name: name, value: name, at: r.here(n)})
			}
			return true
		},
		schema: func(s *definitions) schema {
			return s.define("category", func() schema {
				return schema{"enum": anys(known), "description": "A category of the catalogue."}
			})
		},
	}
}

// word reads an item of a list that may not be blank.
func (r *reader) word(n *yaml.Node, what string) (string, bool) {
	s, ok := r.scalar(n, "an item of "+what)
	blank := s == "" || null(n)
	if ok && blank {
		r.wrong(n, "an item of %s is empty", what)
	}
	return s, ok && !blank
}

// app reads the name of an app, by slug, alias or identifier, and keeps the slug.
func (r *reader) app(what string, into *[]item[string]) shape {
	return shape{
		read: func(n *yaml.Node) bool {
			name, ok := r.word(n, what)
			if !ok {
				return true
			}
			app, found := r.find(name)
			switch {
			case !found:
				r.wrong(n, "the catalogue has no app %q%s", name, r.near(name, r.names()))
			case slices.ContainsFunc(*into, func(i item[string]) bool { return i.name == app.Slug }):
				r.wrong(n, "%s names %s twice", what, app.Slug)
			default:
				*into = append(*into, item[string]{name: app.Slug, value: app.Slug, at: r.here(n)})
			}
			return true
		},
		schema: r.appSchema,
	}
}

// appSchema offers the names of the catalogue, and lets others pass: a site's own
// catalogue may know them.
func (r *reader) appSchema(s *definitions) schema {
	return s.define("app", func() schema {
		return schema{"description": "An app of the catalogue, or of the site's own.", "anyOf": []any{
			schema{"enum": anys(r.names())}, schema{"type": []any{"string", "number", "boolean"}, "pattern": `\S`},
		}}
	})
}

// find looks an app up by slug, alias or an identifier of any platform.
func (r *reader) find(name string) (catalogue.App, bool) {
	if app, ok := r.catalogue.Lookup(name); ok {
		return app, true
	}
	for _, p := range platforms {
		if apps := r.catalogue.ByIdentifier(p, name); len(apps) > 0 {
			return apps[0], true
		}
	}
	return catalogue.App{}, false
}

// How the identifiers of each platform look, for what an allow list may name beyond the
// catalogue. Linux names say which kind they are, as they do in the catalogue.
var (
	reverseName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)+$`)
	packageFamily = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*_[a-z0-9]{13}$`)
	executable    = regexp.MustCompile(`^[^\\/:*?"<>|]+\.[eE][xX][eE]$`)
	linuxName     = regexp.MustCompile(`^(flatpak|snap|deb|exec):\S+$`)
)

// platformsOf tells on which platforms a bare identifier can stand.
func platformsOf(id string) []ward.Platform {
	switch {
	case linuxName.MatchString(id):
		return []ward.Platform{ward.Linux}
	case packageFamily.MatchString(id), executable.MatchString(id):
		return []ward.Platform{ward.Windows}
	case reverseName.MatchString(id):
		return []ward.Platform{ward.IOS, ward.MacOS, ward.Android}
	}
	return nil
}

func (r *reader) allow(into *[]item[string]) shape {
	return shape{
		read: func(n *yaml.Node) bool {
			name, ok := r.word(n, "allow")
			if !ok {
				return true
			}
			app, found := r.catalogue.Lookup(name)
			switch {
			case found:
				name = app.Slug
			case len(platformsOf(name)) == 0:
				r.wrong(n, "%q is neither an app of the catalogue nor an identifier such as org.example.app, Example.App_1a2b3c4d5e6f7, example.exe or flatpak:org.example.App%s", name, r.near(name, r.names()))
				return true
			}
			if slices.ContainsFunc(*into, func(i item[string]) bool { return i.name == name }) {
				r.wrong(n, "allow names %s twice", name)
				return true
			}
			*into = append(*into, item[string]{name: name, value: name, at: r.here(n)})
			return true
		},
		schema: r.appSchema,
	}
}

// switches reads a section of intent.Switches.
func (r *reader) switches(section string, at *place, l *layer, doc string) shape {
	if l.switches == nil {
		l.switches = make([]setting[bool], len(intent.Switches()))
	}
	var fields []field
	for i, s := range intent.Switches() {
		if s.Section == section {
			text := s.Words + ". " + s.Doc
			if need, ok := switchOf(s.Needs); ok {
				text += " Needs " + need.Field + "."
			}
			fields = append(fields, field{name: s.Field, doc: text, shape: single(r, &l.switches[i], func(v *bool) shape { return r.boolean(s.Field, v) })})
		}
	}
	for _, name := range []string{"wipe_after_failed_attempts", "erase_after_failed_attempts"} {
		fields = append(fields, field{name: name, refused: noAutomaticWipe})
	}
	slices.SortStableFunc(fields, func(a, b field) int { return cmp.Compare(a.name, b.name) })
	return r.begins(at, r.object(object{what: section, def: section, doc: doc, fields: fields}))
}

func switchOf(id intent.ID) (intent.Switch, bool) {
	all := intent.Switches()
	i := slices.IndexFunc(all, func(s intent.Switch) bool { return s.ID == id })
	if id == "" || i < 0 {
		return intent.Switch{}, false
	}
	return all[i], true
}
