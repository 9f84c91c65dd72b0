package web

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/report"
)

// versionsListed is how many versions stand on one page.
const versionsListed = 25

func versionAddress(generation int64) string {
	return "/policies/" + strconv.FormatInt(generation, 10)
}

// lineAddress leads to a line of a version's text.
func lineAddress(generation int64, line int) string {
	return versionAddress(generation) + "#L" + strconv.Itoa(line)
}

func versionTag(v policy.Version) tag {
	switch v.State {
	case policy.Proposed:
		return tag{"Waits for a second person", "warn", "clock"}
	case policy.Rolling:
		return tag{"Being rolled out", "info", "half"}
	case policy.Stopped:
		return tag{"Rollout stopped", "bad", "alert"}
	case policy.Current:
		return tag{"In force", "good", "check"}
	case policy.Superseded:
		return tag{"Superseded", "quiet", "gone"}
	case policy.Withdrawn:
		return tag{"Withdrawn", "quiet", "cross"}
	}
	return tag{string(v.State), "quiet", "question"}
}

// policyTabs are the pages about policies.
func policyTabs(current string) []tabView {
	var out []tabView
	for _, t := range []struct{ text, href string }{{"Versions", "/policies"}, {"Plan", "/policies/plan"}, {"Explain", "/policies/explain"}, {"Rollout", "/rollouts"}, {"Drift", "/policies/drift"}} {
		out = append(out, tabView{Text: t.text, Href: t.href, Current: t.href == current})
	}
	return out
}

// versions lists the versions of the policy, the newest first: GET /policies?before=.
func (s *Server) versions(w http.ResponseWriter, r *http.Request) error {
	before, err := keyOf(r, "before")
	if err != nil {
		return err
	}
	if done, err := s.export(w, r, func() (report.Table, error) { return s.allVersions(r) }); done || err != nil {
		return err
	}
	vs, err := s.Rules.Policy.Versions(r.Context(), before, versionsListed+1)
	if err != nil {
		return err
	}
	v := &sheetPage{Page: Page{Title: "Policies", Section: "policies"}, Tabs: policyTabs("/policies")}
	v.Head = pageHead{Title: "Policies", Caption: "Every version, who made it and how far it came", AsOf: at(s.Now(), s.Now()), Exports: "/policies"}
	if access.Allows(ward.ActorFrom(r.Context()), access.PolicyPublish) {
		v.Head.Actions = []action{{Text: "Plan a change", Href: "/policies/plan", Primary: true}}
	}
	more := len(vs) > versionsListed
	vs = vs[:min(len(vs), versionsListed)]
	shown := wrapped(s.versionTable(vs), s.Now())
	shown.Empty = emptyView{Title: "No policy yet", Text: []string{"A policy says which apps are approved and which are kept off. Plan one here from the example, or publish a file with: ward policy publish FILE"}, Action: &action{Text: "Plan a policy", Href: "/policies/plan"}}
	if more {
		shown.Next = "/policies?before=" + strconv.FormatInt(vs[len(vs)-1].Generation, 10)
	}
	if before > 0 {
		shown.First = "/policies"
	}
	v.Segments = []segment{{Anchor: "list", Tables: []tableView{shown}}}
	return s.sheet(w, r, v)
}

// keyOf reads the number that a page begins after; 0 where there is none.
func keyOf(r *http.Request, name string) (int64, error) {
	word := r.URL.Query().Get(name)
	if word == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil || n < 1 {
		return 0, ward.Errorf(ward.Invalid, "%s is no number of a page. Begin with the first page.", name)
	}
	return n, nil
}

// allVersions reads every version, page by page.
func (s *Server) allVersions(r *http.Request) (report.Table, error) {
	var all []policy.Version
	for before := int64(0); ; {
		vs, err := s.Rules.Policy.Versions(r.Context(), before, 500)
		if err != nil {
			return report.Table{}, err
		}
		all = append(all, vs...)
		if len(vs) < 500 {
			return s.versionTable(all), nil
		}
		before = vs[len(vs)-1].Generation
	}
}

func (s *Server) versionTable(vs []policy.Version) report.Table {
	t := report.Table{Name: "policies", Title: "Versions of the policy", AsOf: s.Now(), Columns: []report.Column{
		{Head: "Version", Share: 12},
		{Head: "State", Kind: report.State, Share: 18},
		{Head: "What is new", Share: 22},
		{Head: "Made by", Share: 12},
		{Head: "Second person", Share: 12},
		{Head: "Made", Kind: report.Time, Share: 10},
		{Head: "Changed", Kind: report.Number, Share: 8},
		{Head: "Of", Kind: report.Number, Share: 6},
		{Head: "Reaches", Share: 20},
	}}
	for _, v := range vs {
		t.Rows = append(t.Rows, []report.Cell{
			{Text: fmt.Sprintf("Generation %d", v.Generation), Href: versionAddress(v.Generation)},
			stateCell(versionTag(v)), textCell(cmp.Or(v.Note, v.Reason, "Not said")), textCell(cmp.Or(v.AuthorName, "Ward")), textCell(secondWords(v)),
			{Time: v.Published},
			textCell(strconv.Itoa(v.Changed)), textCell(strconv.Itoa(v.Devices)), textCell(sentenceCase(ringsWords(v.Rings))),
		})
	}
	return t
}

// ringsWords say how a version reaches the fleet.
func ringsWords(r policy.Rings) string {
	if r.AtOnce() {
		return "every device at once"
	}
	names := make([]string, r.Count())
	for i := range names {
		names[i] = r.Name(i)
	}
	return fmt.Sprintf("%s; %s between rings; stops at %g %% failures", strings.Join(names, ", "), lasting(r.Pause), r.StopAt*100)
}

func secondWords(v policy.Version) string {
	switch {
	case v.ApproverName != "":
		return v.ApproverName
	case v.State == policy.Proposed:
		return "Waited for"
	}
	return "Not needed"
}

// version shows one version: GET /policies/{version}?against=.
func (s *Server) version(w http.ResponseWriter, r *http.Request) error {
	v, err := s.generation(r)
	if err != nil {
		return err
	}
	page, err := s.versionView(r, v)
	if err != nil {
		return err
	}
	return s.sheet(w, r, page)
}

// generation reads the version that an address names.
func (s *Server) generation(r *http.Request) (policy.Version, error) {
	n, err := strconv.ParseInt(r.PathValue("version"), 10, 64)
	if err != nil || n < 1 {
		return policy.Version{}, ward.Errorf(ward.NotFound, "There is no version %q of the policy.", r.PathValue("version"))
	}
	return s.Rules.Policy.Version(r.Context(), n)
}

func (s *Server) versionView(r *http.Request, v policy.Version) (*sheetPage, error) {
	title, st, now := fmt.Sprintf("Generation %d", v.Generation), versionTag(v), s.Now()
	page := &sheetPage{Page: Page{Title: title, Section: "policies", Backlink: "/policies", Backname: "Policies"}}
	page.Head = pageHead{Title: title, Tag: &st, Caption: cmp.Or(v.Note, v.Reason), AsOf: at(now, now)}
	may := access.Allows(ward.ActorFrom(r.Context()), access.PolicyPublish)
	if may {
		page.Head.Actions = append(page.Head.Actions, action{Text: "Plan a change of it", Href: "/policies/plan?from=" + strconv.FormatInt(v.Generation, 10)})
	}
	if v.State == policy.Rolling || v.State == policy.Stopped {
		page.Head.Actions = append(page.Head.Actions, action{Text: "Rollout", Href: "/rollouts", Primary: true})
	}
	page.Segments = append(page.Segments, segment{Anchor: "about", Title: "About", Facts: versionFacts(v, now)})
	p, err := v.Read()
	if err != nil {
		page.Notes = append(page.Notes, noteView{Tone: "warn", Text: "This version of Ward can’t read it any more; its text stands below as it was."})
	} else {
		page.Segments = append(page.Segments, summarySegment(p.Summary(now)))
	}
	if may {
		deeds, err := versionDeeds(v, ward.ActorFrom(r.Context()))
		if err != nil {
			return nil, err
		}
		page.Segments = append(page.Segments, deeds...)
	}
	d, err := s.diffSegment(r, v)
	if err != nil {
		return nil, err
	}
	page.Segments = append(page.Segments, d, segment{Anchor: "text", Title: "Its text", Code: codeLines(v.Text)})
	for name := range v.Files {
		page.Segments = append(page.Segments, segment{Anchor: "file", Title: "Its file " + name, Text: []string{fmt.Sprintf("%d bytes, kept with the version.", len(v.Files[name]))}})
	}
	return page, nil
}

func versionFacts(v policy.Version, now time.Time) []factView {
	out := []factView{
		{Label: "Made", Value: at(v.Published, now).Exact + " by " + cmp.Or(v.AuthorName, "Ward")},
		{Label: "Second person", Value: secondWords(v)},
		{Label: "Devices changed", Value: count(v.Changed) + " of " + count(v.Devices) + " enrolled then"},
		{Label: "Reaches", Value: sentenceCase(ringsWords(v.Rings))},
	}
	if !v.Approved.IsZero() {
		out[1].Value += ", " + at(v.Approved, now).Exact
	}
	if v.Together > v.Changed {
		out = append(out, factView{Label: "With the day before", Value: fmt.Sprintf("%d devices were changed without a second person in the 24 hours before it, with these", v.Together)})
	}
	if v.Reason != "" {
		out = append(out, factView{Label: "Why", Value: v.Reason})
	}
	if v.Base > 0 {
		out = append(out, factView{Label: "Made from", Value: fmt.Sprintf("generation %d", v.Base), Href: versionAddress(v.Base)})
	}
	if !v.Ended.IsZero() {
		out = append(out, factView{Label: "Ended", Value: at(v.Ended, now).Exact + because(v.EndReason)})
	}
	return out
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

// summarySegment says what a policy says.
func summarySegment(p profiles.Summary) segment {
	names := func(n int, each func(i int) string) string {
		all := make([]string, n)
		for i := range all {
			all[i] = each(i)
		}
		return cmp.Or(strings.Join(all, ", "), "None")
	}
	g := segment{Anchor: "summary", Title: "What it says", List: p.Warnings, Facts: []factView{
		{Label: "Name", Value: p.Name},
		{Label: "Approved apps", Value: names(len(p.Approved), func(i int) string { return p.Approved[i].Name }), Href: ""},
		{Label: "Kept off work phones", Value: names(len(p.Blocked), func(i int) string { return p.Blocked[i].Name })},
	}}
	for _, part := range []struct {
		label string
		items []string
	}{{"Laid over", p.Baselines}, {"Groups", p.Groups}, {"Exceptions in force", p.Excepted}, {"Exceptions that ended", p.Ended}, {"Switched on", p.Containment}} {
		if len(part.items) > 0 {
			g.Facts = append(g.Facts, factView{Label: part.label, Value: strings.Join(part.items, "\n")})
		}
	}
	if p.AllowOnly {
		g.Facts = append(g.Facts, factView{Label: "Only", Value: "Nothing runs but the approved apps and those that are allowed."})
	}
	return g
}

// versionDeeds are what may be done about a version.
func versionDeeds(v policy.Version, a ward.Actor) ([]segment, error) {
	reason := func(name string) fieldView {
		return fieldView{Name: name, Label: "Why", Hint: "It stands in the audit log.", Required: true, Max: 2000}
	}
	number := hiddenField{"generation", strconv.FormatInt(v.Generation, 10)}
	switch v.State {
	case policy.Proposed:
		digest, err := v.Digest()
		if err != nil {
			return nil, err
		}
		g := segment{Anchor: "decide", Title: "It waits for a second person"}
		if v.PublishedBy != a.Person {
			g.Forms = append(g.Forms, formView{
				Action: versionAddress(v.Generation) + "/approve", Hidden: []hiddenField{{"digest", digest}}, Submit: "Approve and publish",
				Text: "You are the second person: what stands here comes into force as it is.",
			})
		} else {
			g.Text = []string{"You proposed it, so somebody else approves it: here, or with ward policy approve."}
		}
		g.Forms = append(g.Forms, formView{Action: versionAddress(v.Generation) + "/withdraw", Fields: []fieldView{reason("reason")}, Submit: "Withdraw it", Danger: true})
		return []segment{g}, nil
	case policy.Superseded:
		return []segment{{Anchor: "back", Title: "Go back to it", Forms: []formView{{
			Action: "/rollouts/back", Hidden: []hiddenField{number}, Fields: []fieldView{reason("back_reason")}, Submit: "Publish this text again", Danger: true,
			Text: "Its text becomes a new version for every device at once. Going back further than the newest change may need a second person.",
		}}}}, nil
	case policy.Rolling, policy.Stopped, policy.Current, policy.Withdrawn:
	}
	return nil, nil
}

// diffSegment compares a version with another.
func (s *Server) diffSegment(r *http.Request, v policy.Version) (segment, error) {
	against, err := keyOf(r, "against")
	if err != nil {
		return segment{}, err
	}
	d, err := s.Rules.Policy.Diff(r.Context(), against, v.Generation)
	if err != nil {
		return segment{}, err
	}
	vs, err := s.Rules.Policy.Versions(r.Context(), 0, 50)
	if err != nil {
		return segment{}, err
	}
	var options []optionView
	for _, o := range vs {
		if o.Generation != v.Generation {
			options = append(options, optionView{strconv.FormatInt(o.Generation, 10), fmt.Sprintf("Generation %d, %s", o.Generation, o.Published.UTC().Format("2 Jan 2006")), o.Generation == d.From})
		}
	}
	g := segment{Anchor: "diff", Title: "What changed", List: d.Words, Code: diffLines(d.Unified), Code2: true}
	switch d.From {
	case 0:
		g.Title, g.Code = "What changed from no policy", nil
	default:
		g.Title = fmt.Sprintf("What changed from generation %d", d.From)
		if d.Unified == "" {
			g.Text = []string{"The two say the same, to the letter."}
		}
	}
	if len(options) > 0 {
		slices.SortFunc(options, func(a, b optionView) int { return estate.CompareNames(b.Value, a.Value) })
		g.Forms = []formView{{Action: versionAddress(v.Generation), Get: true, Fields: []fieldView{{Name: "against", Label: "Compare with", Options: options, Required: true}}, Submit: "Compare"}}
	}
	return g, nil
}

// codeLines numbers the lines of a text.
func codeLines(text string) (out []codeLine) {
	n := 0
	for l := range strings.Lines(text) {
		n++
		out = append(out, codeLine{N: n, Text: strings.TrimRight(l, "\r\n")})
	}
	return out
}

// diffLines are those of a difference; the sign at the beginning of each says what its
// tone does.
func diffLines(unified string) (out []codeLine) {
	for l := range strings.Lines(unified) {
		c := codeLine{Text: strings.TrimRight(l, "\r\n")}
		switch {
		case strings.HasPrefix(l, "+++"), strings.HasPrefix(l, "---"), strings.HasPrefix(l, "@@"):
			c.Tone = "place"
		case strings.HasPrefix(l, "+"):
			c.Tone = "added"
		case strings.HasPrefix(l, "-"):
			c.Tone = "removed"
		}
		out = append(out, c)
	}
	return out
}
