package catalogue

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// fields are the values of a mapping by name.
type fields map[string]*yaml.Node

// each calls read for each item of a list.
func (s *site) each(n *yaml.Node, what string, read func(*yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		s.wrong(n, "%s must be a list", what)
		return
	}
	for _, item := range n.Content {
		read(item)
	}
}

// mapping reads the fields of n and reports unknown and repeated ones. An empty value
// counts as absent. It returns nil for what is no mapping.
func (s *site) mapping(n *yaml.Node, what string, known []string) fields {
	if n.Kind != yaml.MappingNode {
		s.wrong(n, "%s must be a list of fields", what)
		return nil
	}
	got, seen := fields{}, map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || !slices.Contains(known, key.Value):
			s.wrong(key, "%s has no field %q%s", what, key.Value, suggest(key.Value, known))
		case seen[key.Value]:
			s.wrong(key, "%s has the field %q twice", what, key.Value)
		case value.Kind == yaml.AliasNode:
			s.wrong(value, "%s: aliases are not supported; write the value out", key.Value)
		case value.Kind == yaml.ScalarNode && value.ShortTag() == "!!null":
		default:
			got[key.Value] = value
		}
		seen[key.Value] = true
	}
	return got
}

// text reads a scalar as it is written, so that the number of an app needs no quotes.
func (s *site) text(n *yaml.Node, what string) string {
	switch {
	case n == nil:
		return ""
	case n.Kind != yaml.ScalarNode:
		s.wrong(n, "%s must be text", what)
		return ""
	case !plain(n.Value):
		s.wrong(n, "%s holds a control character or a line's end", what)
		return ""
	}
	return strings.TrimSpace(n.Value)
}

// truth reads true and false only: YAML's older yes, no, on and off mean too many things.
func (s *site) truth(n *yaml.Node, what string) bool {
	if n == nil {
		return false
	}
	if n.Kind != yaml.ScalarNode || n.Value != "true" && n.Value != "false" {
		s.wrong(n, "%s must be true or false", what)
	}
	return n.Value == "true"
}

// oneOf reads a word that must be among known; absent stands for a missing one.
func (s *site) oneOf(n *yaml.Node, what, absent string, known []string) string {
	if n == nil {
		return absent
	}
	word := s.text(n, what)
	if word == "" {
		return absent
	}
	if !slices.Contains(known, word) {
		hint := suggest(word, known)
		if hint == "" {
			hint = ": it is one of " + strings.Join(known, ", ")
		}
		s.wrong(n, "there is no %s %q%s", what, word, hint)
	}
	return word
}

// app reads one app: a new one, or more of a known one.
func (s *site) app(n *yaml.Node) {
	own := []string{"name", "category", "status", "forks_of", "never_block", "caution", "notes"}
	f := s.mapping(n, "an app", slices.Concat([]string{"slug", "aliases", "shares_with"}, own, Kinds()))
	if f == nil {
		return
	}
	if f["slug"] == nil || f["slug"].Kind == yaml.ScalarNode && strings.TrimSpace(f["slug"].Value) == "" {
		s.wrong(n, "an app needs a slug")
		return
	}
	slug := s.text(f["slug"], "slug")
	if slug == "" {
		return
	}
	// A mistake in the name does not hide those beneath it.
	at, known := s.c.byName[slug]
	switch {
	case s.seen[slug]:
		s.wrong(f["slug"], "%s stands in this file already", slug)
	case known && s.c.apps[at].Slug != slug:
		s.wrong(f["slug"], "%q is another name of %s: use that", slug, s.c.apps[at].Slug)
	case known:
		for _, name := range own {
			if f[name] != nil {
				s.wrong(f[name], "the catalogue has %s already: identifiers, aliases and shares_with can be added to it, but no %s", slug, name)
			}
		}
	default:
		at = s.newApp(f, slug)
	}
	if s.seen == nil {
		s.seen = map[string]bool{}
	}
	s.seen[slug] = true
	s.names(f, at)
	for _, kind := range Kinds() {
		if list := f[kind]; list != nil {
			s.each(list, kind, func(item *yaml.Node) { s.identifier(item, kind, at) })
		}
	}
}

// newApp adds an app to the catalogue and returns its place.
func (s *site) newApp(f fields, slug string) int {
	a := App{
		Slug: slug, Name: s.text(f["name"], "name"), Category: s.oneOf(f["category"], "category", "", categories()),
		Status:     Status(s.oneOf(f["status"], "status", string(Active), statuses())),
		ForksOf:    s.text(f["forks_of"], "forks_of"),
		NeverBlock: s.truth(f["never_block"], "never_block"),
		Caution:    s.text(f["caution"], "caution"), Notes: s.text(f["notes"], "notes"),
	}
	switch {
	case f["name"] == nil && f["category"] == nil:
		s.wrong(f["slug"], "the catalogue has no app %q%s (a new app needs a name and a category)", slug, suggest(slug, s.c.Names()))
	case a.Name == "":
		s.wrong(f["slug"], "%s needs a name", slug)
	case a.Category == "":
		s.wrong(f["slug"], "%s needs a category: one of %s", slug, strings.Join(categories(), ", "))
	}
	if !slugName.MatchString(slug) {
		s.wrong(f["slug"], "%s", badSlug(slug))
	}
	if a.NeverBlock && a.Caution == "" {
		s.wrong(f["never_block"], "never_block needs a caution that says why")
	}
	s.c.apps = append(s.c.apps, a)
	at := len(s.c.apps) - 1
	s.c.byName[slug] = at
	if a.ForksOf != "" {
		s.related = append(s.related, placed{node: f["forks_of"], app: at, name: a.ForksOf})
	}
	return at
}

// names reads aliases and shares_with.
func (s *site) names(f fields, at int) {
	a := &s.c.apps[at]
	if n := f["aliases"]; n != nil {
		s.each(n, "aliases", func(item *yaml.Node) {
			alias := s.text(item, "an alias")
			owner, taken := s.c.byName[alias]
			switch {
			case taken:
				s.wrong(item, "the name %q is that of %s", alias, s.c.apps[owner].Slug)
			case !slugName.MatchString(alias):
				s.wrong(item, "%s", badSlug(alias))
			default:
				a.Aliases = append(a.Aliases, alias)
				s.c.byName[alias] = at
			}
		})
	}
	if n := f["shares_with"]; n != nil {
		s.each(n, "shares_with", func(item *yaml.Node) {
			if other := s.text(item, "an item of shares_with"); other != "" {
				a.SharesWith = append(a.SharesWith, other)
				s.related = append(s.related, placed{node: item, app: at, name: other})
			}
		})
	}
}

func (s *site) identifier(n *yaml.Node, kind string, at int) {
	f := s.mapping(n, "an identifier", []string{"id", "grade", "source", "shared", "team", "team_grade", "team_source"})
	if f == nil {
		return
	}
	if f["id"] == nil {
		s.wrong(n, "an identifier needs an id")
		return
	}
	id := Identifier{
		ID: s.text(f["id"], "id"), Grade: Grade(s.oneOf(f["grade"], "grade", string(GradeB), grades())),
		Source: s.text(f["source"], "source"), Shared: s.truth(f["shared"], "shared"), File: s.file,
	}
	s.team(f, &id)
	checked := id
	if !slices.Contains(grades(), string(id.Grade)) {
		checked.Grade = GradeB // reported already, at its own place
	}
	if id.TeamGrade != "" && !slices.Contains(grades(), string(id.TeamGrade)) {
		checked.TeamGrade = GradeB
	}
	for _, p := range slices.Concat(identifierProblems(kind, checked), systemProblems(kind, checked, s.c.apps[at])) {
		s.wrong(f["id"], "%s %s %s", kind, id.ID, p)
	}
	if kind == "macos" && id.Team != "" && s.signs(f["team"], id, at) {
		return
	}
	list := s.c.apps[at].list(kind)
	*list = append(*list, id)
	s.added = append(s.added, placed{node: f["id"], app: at, kind: kind, name: id.ID})
}

// team reads who signs a Mac app. A grade and a source that are not given are those of the
// identifier.
func (s *site) team(f fields, id *Identifier) {
	id.Team = s.text(f["team"], "team")
	if id.Team != "" || f["team_grade"] != nil {
		id.TeamGrade = Grade(s.oneOf(f["team_grade"], "team_grade", string(id.Grade), grades()))
	}
	id.TeamSource = s.text(f["team_source"], "team_source")
	if id.Team != "" && id.TeamSource == "" {
		id.TeamSource = id.Source
	}
}

// signs gives a Mac app that the catalogue has already the signer that the site found, in
// every row that has the app. What is well known gives way only to what is as well known.
// It returns false for an identifier that app has not, or has from this same file.
func (s *site) signs(n *yaml.Node, id Identifier, app int) bool {
	known := func(k Identifier) bool { return k.ID == id.ID && k.File != s.file }
	at := slices.IndexFunc(s.c.apps[app].MacOS, known)
	if at < 0 {
		return false
	}
	if old := s.c.apps[app].MacOS[at]; old.Team != "" && old.TeamGrade != GradeB && id.TeamGrade == GradeB {
		s.wrong(n, "macos %s has the team %s, of grade %s: another needs a team_grade as good", id.ID, old.Team, old.TeamGrade)
	}
	for i := range s.c.apps {
		for j := range s.c.apps[i].MacOS {
			if m := &s.c.apps[i].MacOS[j]; known(*m) {
				m.Team, m.TeamGrade, m.TeamSource = id.Team, id.TeamGrade, id.TeamSource
			}
		}
	}
	return true
}

// relations checks the slugs that forks_of and shares_with name, which may stand later.
func (s *site) relations() {
	for _, r := range s.related {
		switch {
		case !s.c.isSlug(r.name):
			s.wrong(r.node, "the catalogue has no app %q%s", r.name, suggest(r.name, s.c.Names()))
		case s.c.apps[r.app].Slug == r.name:
			s.wrong(r.node, "%s names itself", r.name)
		}
	}
}

// duplicates checks the identifiers of this file against those that stood before them.
func (s *site) duplicates() {
	family := s.c.families()
	for _, p := range s.added {
		owners := s.c.byFold[p.kind][strings.ToLower(p.name)]
		// An app's own identifier is the nearer mistake than that of another.
		own := slices.IndexFunc(owners, func(o owner) bool { return o.app == p.app })
		text := ""
		if len(owners) > 0 {
			text = s.c.clash(family, s.c.apps[p.app].Slug, p.name, owners[max(own, 0)])
		}
		s.c.indexID(p.kind, p.app, p.name)
		if text == "" {
			text = s.c.twoSigners(p.kind, p.name)
		}
		if text != "" {
			s.wrong(p.node, "%s %s %s", p.kind, p.name, text)
		}
	}
}
