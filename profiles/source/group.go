package source

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wardmdm/ward"
)

// Group says what differs for some devices.
type Group struct {
	Name  string
	Line  int // in the policy file
	match match
	layer *layer
}

func (r *reader) group() shape {
	l := &layer{}
	g := Group{layer: l}
	s := r.object(object{
		what: "a group", who: &g.Name, doc: "What differs for some devices.",
		fields: slices.Concat([]field{
			needed(field{name: "name", shape: r.text("name", &g.Name)}),
			needed(field{name: "match", shape: r.match(&g.match)}),
			{name: "approved", doc: "Which apps of the register these devices get; all unless said.", shape: r.begins(&l.chooses, r.list("approved", func() shape { return r.choose(l) }))},
		}, r.sections(l)),
		check: func(n *yaml.Node, _ map[string]bool) {
			if g.Name != "" && slices.ContainsFunc(r.policy.Groups, func(o Group) bool { return o.Name == g.Name }) {
				r.wrong(n, "groups lists %q twice", g.Name)
			}
			g.Line, l.at = n.Line, r.here(n)
			l.name = "group " + g.Name
			r.policy.Groups = append(r.policy.Groups, g)
		},
	})
	return shape{
		read: func(n *yaml.Node) bool {
			outer := r.layer
			l.file, l.name = outer.file, "a group"
			r.layer = l
			defer func() { r.layer = outer }()
			return s.read(n)
		},
		schema: s.schema,
	}
}

// choose reads the name of an app of the register; whether there is one is known later.
func (r *reader) choose(l *layer) shape {
	return shape{
		read: func(n *yaml.Node) bool {
			name, ok := r.word(n, "approved")
			switch {
			case !ok:
			case slices.ContainsFunc(l.approved, func(i item[struct{}]) bool { return i.name == name }):
				r.wrong(n, "approved lists %q twice", name)
			default:
				l.approved = append(l.approved, item[struct{}]{name: name, at: r.here(n)})
			}
			return true
		},
		schema: func(*definitions) schema {
			return schema{"type": []any{"string", "number", "boolean"}, "pattern": `\S`}
		},
	}
}

// holds reports whether a device is one of those that m is for.
func (m *match) holds(d *ward.Device) bool {
	ownership := d.Ownership
	if ownership != ward.Corporate {
		ownership = ward.Personal
	}
	return oneOf(m.sites, d.Site) && oneOf(m.wards, d.Group) && oneOf(m.roles, d.Role) &&
		(len(m.ownership) == 0 || slices.Contains(m.ownership, ownership)) &&
		(len(m.platforms) == 0 || slices.Contains(m.platforms, d.Platform))
}

// oneOf reports whether value is among names, whatever its case; no names allow any.
func oneOf(names []string, value string) bool {
	if len(names) == 0 {
		return true
	}
	for _, n := range names {
		if strings.EqualFold(n, value) {
			return true
		}
	}
	return false
}
