package catalogue

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// categories are the categories that an app may have.
func categories() []string {
	return []string{"clinical", "collaboration", "consumer-messaging", "multi-messenger", "sms", "social-with-dm", "video-call"}
}

func grades() []string { return []string{string(GradeA), string(GradeL), string(GradeB)} }

func statuses() []string { return []string{string(Active), string(Retired), string(Unconfirmed)} }

// Problems tells everything that is wrong with the catalogue, each in a line that names
// the app, in the catalogue's order; none is an empty slice. Of what Extend returned
// nothing is ever wrong.
func (c *Catalogue) Problems() []string {
	problems := []string{}
	for _, a := range c.apps {
		for _, p := range c.appProblems(a) {
			problems = append(problems, a.Slug+": "+p)
		}
		for _, kind := range Kinds() {
			for _, id := range a.Platforms()[kind] {
				for _, p := range slices.Concat(identifierProblems(kind, id), systemProblems(kind, id, a)) {
					problems = append(problems, fmt.Sprintf("%s: %s %s %s", a.Slug, kind, id.ID, p))
				}
			}
		}
	}
	return slices.Concat(problems, c.clashes(), c.signers())
}

func (c *Catalogue) appProblems(a App) []string {
	var problems []string
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			problems = append(problems, fmt.Sprintf(format, args...))
		}
	}
	for _, name := range append([]string{a.Slug}, a.Aliases...) {
		add(!slugName.MatchString(name), "%s", badSlug(name))
		add(c.apps[c.byName[name]].Slug != a.Slug, "the name %q is that of %s", name, c.apps[c.byName[name]].Slug)
	}
	add(strings.TrimSpace(a.Name) == "", "it has no name")
	add(!slices.Contains(categories(), a.Category), "there is no category %q%s", a.Category, suggest(a.Category, categories()))
	add(!slices.Contains(statuses(), string(a.Status)), "there is no status %q%s", a.Status, suggest(string(a.Status), statuses()))
	add(a.NeverBlock && a.Caution == "", "never_block needs a caution that says why")
	for _, text := range []string{a.Name, a.Caution, a.Notes} {
		add(!plain(text), "%q holds a control character", text)
	}
	for field, others := range map[string][]string{"forks_of": {a.ForksOf}, "shares_with": a.SharesWith} {
		for _, other := range others {
			add(other != "" && !c.isSlug(other), "%s names %q, which is no app's slug%s", field, other, suggest(other, c.Names()))
			add(other == a.Slug, "%s names the app itself", field)
		}
	}
	slices.Sort(problems)
	return problems
}

func badSlug(name string) string {
	return fmt.Sprintf("the name %q is not lower-case words joined by hyphens", name)
}

func (c *Catalogue) isSlug(name string) bool {
	i, ok := c.byName[name]
	return ok && c.apps[i].Slug == name
}

// identifierProblems tells what is wrong with an identifier by itself.
func identifierProblems(kind string, id Identifier) []string {
	var problems []string
	if p := shapeProblem(kind, id.ID); p != "" {
		return []string{p}
	}
	if w, wrong := FindWrong(kind, id.ID); wrong {
		problems = append(problems, w.String())
	}
	if !slices.Contains(grades(), string(id.Grade)) {
		problems = append(problems, fmt.Sprintf("has the grade %q, which is none of %s", id.Grade, strings.Join(grades(), ", ")))
	}
	switch {
	case strings.TrimSpace(id.Source) == "":
		problems = append(problems, "has no source: say where a stranger finds it")
	case !plain(id.Source):
		problems = append(problems, "has a source with a control character")
	case id.Source == Unrecorded && id.Grade != GradeB:
		problems = append(problems, "has no recorded source, so its grade is B")
	}
	host := kind == "web" || kind == "network"
	if id.Shared && !host {
		problems = append(problems, "is marked shared, which is for hosts")
	}
	if reason, refused := Refused(id.ID); host && refused && !id.Shared {
		problems = append(problems, "may not be blocked: "+reason)
	}
	return append(problems, teamProblems(kind, id)...)
}

// teamProblems tells what is wrong with what an identifier says of its signer.
func teamProblems(kind string, id Identifier) []string {
	switch {
	case id.Team == "" && id.TeamGrade == "" && id.TeamSource == "":
		return nil
	case kind != "macos":
		return []string{"has a team, which is for Mac apps"}
	case id.Team == "":
		return []string{"says how well its team is known, but has no team"}
	case strings.HasPrefix(id.ID, "com.apple."):
		return []string{"has a team, but a Mac knows Apple's own apps without"}
	case !teamID.MatchString(id.Team):
		return []string{fmt.Sprintf("has the team %q, which is not ten capital letters and digits", id.Team)}
	}
	var problems []string
	if !slices.Contains(grades(), string(id.TeamGrade)) {
		problems = append(problems, fmt.Sprintf("has the team_grade %q, which is none of %s", id.TeamGrade, strings.Join(grades(), ", ")))
	}
	switch {
	case strings.TrimSpace(id.TeamSource) == "":
		problems = append(problems, "has a team without a source: say where a stranger finds it")
	case !plain(id.TeamSource):
		problems = append(problems, "has a team_source with a control character")
	case id.TeamSource == Unrecorded && id.TeamGrade != GradeB:
		problems = append(problems, "has no recorded source of its team, so its team_grade is B")
	}
	return problems
}

// signers tells of Mac apps that are said to have two signers.
func (c *Catalogue) signers() []string {
	var problems []string
	for _, id := range slices.Sorted(maps.Keys(c.byID["macos"])) {
		if text := c.twoSigners("macos", id); text != "" {
			problems = append(problems, fmt.Sprintf("%s: macos %s %s", c.apps[c.byID["macos"][id][0]].Slug, id, text))
		}
	}
	return problems
}

// twoSigners says which two teams sign one Mac app, "" if none or one does.
func (c *Catalogue) twoSigners(kind, id string) string {
	if kind != "macos" {
		return ""
	}
	first := ""
	for _, i := range c.byID[kind][id] {
		for _, m := range c.apps[i].MacOS {
			switch {
			case m.ID != id || m.Team == "" || m.Team == first:
			case first == "":
				first = m.Team
			default:
				return fmt.Sprintf("has the team %s, but also %s: it has one", first, m.Team)
			}
		}
	}
	return ""
}

// clashes tells of identifiers that stand more than once: twice in one app, in two
// spellings, or in two apps that do not say that they share them.
func (c *Catalogue) clashes() []string {
	var problems []string
	family := c.families()
	for _, kind := range Kinds() {
		for _, low := range slices.Sorted(maps.Keys(c.byFold[kind])) {
			owners := c.byFold[kind][low]
			for _, o := range owners[1:] {
				if p := c.clash(family, c.apps[o.app].Slug, o.id, owners[0]); p != "" {
					problems = append(problems, fmt.Sprintf("%s: %s %s %s", c.apps[o.app].Slug, kind, o.id, p))
				}
			}
		}
	}
	return problems
}

// spared reports whether the row of a slug may not be blocked.
func (c *Catalogue) spared(slug string) bool { return c.apps[c.byName[slug]].NeverBlock }

// clash says what stands against slug having id where first has it already, "" for nothing.
func (c *Catalogue) clash(family map[string]string, slug, id string, first owner) string {
	other := c.apps[first.app].Slug
	switch {
	case first.id != id:
		return fmt.Sprintf("is spelt %s for %s: case counts", first.id, other)
	case other == slug:
		return "stands there already"
	case c.spared(other) && !c.spared(slug):
		return fmt.Sprintf("belongs to %s, which is never blocked", other)
	case family[other] != family[slug]:
		return fmt.Sprintf("belongs to %s: if both have it, say shares_with: [%s]", other, other)
	}
	return ""
}
