package web

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/source"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/policy"
)

// scopeKinds are whom an exception may be for.
var scopeKinds = []struct {
	kind source.ScopeKind
	text string
}{
	{source.ForWard, "A ward or team"}, {source.ForSite, "A site"}, {source.ForDevice, "One device (id or serial number)"}, {source.ForOwner, "All devices of a person (e-mail address)"}, {source.ForGroup, "A group of the policy"},
}

// exceptionView is the form that proposes an exception, with what was typed.
func (s *Server) exceptionView(r *http.Request, v policy.Version) (*sheetPage, error) {
	p, err := v.Read()
	if err != nil {
		return nil, err
	}
	val := func(name string) string { return field(r, name) }
	var apps, kinds []optionView
	blocked := blockedSlugs(p)
	known := slices.DeleteFunc(p.Catalogue.Apps(), func(a catalogue.App) bool { return !blocked[a.Slug] })
	slices.SortFunc(known, func(a, b catalogue.App) int { return estate.CompareNames(a.Name, b.Name) })
	for _, a := range known {
		apps = append(apps, optionView{a.Slug, a.Name, a.Slug == val("app")})
	}
	for _, k := range scopeKinds {
		kinds = append(kinds, optionView{string(k.kind), k.text, string(k.kind) == val("kind")})
	}
	page := &sheetPage{Page: Page{Title: "Propose an exception", Section: "register", Narrow: true, Backlink: "/exceptions", Backname: "Exceptions"}}
	page.Head = pageHead{Title: "Propose an exception", Caption: "It becomes a line of the policy. The next page shows what it would change; nothing is published before you say so there."}
	page.Segments = []segment{{Anchor: "form", Forms: []formView{{
		Action: "/exceptions/new", Submit: "See what it would change",
		Fields: []fieldView{
			{Name: "id", Label: "Its own name", Hint: "It never changes, such as EX-2026-03.", Value: val("id"), Required: true},
			{Name: "app", Label: "App", Options: apps, Required: true},
			{Name: "kind", Label: "For", Options: kinds, Required: true},
			{Name: "value", Label: "Which", Hint: "The name of the ward, the site or the group, the device’s serial number, or the e-mail address.", Value: val("value"), Required: true},
			{Name: "who", Label: "Who asks for it", Value: val("who"), Required: true},
			{Name: "reason", Label: "Why there is no practical alternative", Hint: "No patient’s data: it stands in the policy.", Value: val("reason"), Required: true, Rows: 3},
			{Name: "approver", Label: "Who approved it", Hint: "Another person than who asks.", Value: val("approver"), Required: true},
			{Name: "from", Label: "First day", Type: "date", Value: val("from"), Required: true},
			{Name: "expires", Label: "Last day", Hint: "At most 90 days after the first. It ends by itself.", Type: "date", Value: val("expires"), Required: true},
			{Name: "review", Label: "Who looks at it again, and when", Value: val("review"), Required: true},
		},
	}}}}
	return page, nil
}

// newException is GET /exceptions/new.
func (s *Server) newException(w http.ResponseWriter, r *http.Request) error {
	v, err := s.Rules.Policy.Published(r.Context())
	if err != nil {
		return err
	}
	page, err := s.exceptionView(r, v)
	if err != nil {
		return err
	}
	return s.sheet(w, r, page)
}

// draftException is POST /exceptions/new: it shows what the policy with the exception
// would change. It keeps and publishes nothing.
func (s *Server) draftException(w http.ResponseWriter, r *http.Request) error {
	v, err := s.Rules.Policy.Published(r.Context())
	if err != nil {
		return err
	}
	page, err := s.exceptionView(r, v)
	if err != nil {
		return err
	}
	e := source.Exception{For: source.Scope{Kind: source.ScopeKind(field(r, "kind")), Value: field(r, "value")}}
	e.ID, e.App, e.Who, e.Reason, e.Approver, e.Review = field(r, "id"), field(r, "app"), field(r, "who"), field(r, "reason"), field(r, "approver"), field(r, "review")
	for _, d := range []struct {
		name string
		into *time.Time
	}{{"from", &e.From}, {"expires", &e.Expires}} {
		if *d.into, err = time.Parse(time.DateOnly, field(r, d.name)); err != nil {
			return again(s, w, r, s.pages.sheet, page, ward.Errorf(ward.Invalid, "%s: give a day, such as 2026-12-01.", d.name), d.name)
		}
	}
	text, err := source.Exempt([]byte(v.Text), source.Inputs{Files: v.Files}, e)
	if ward.KindOf(err) == ward.Conflict {
		page.Segments = append([]segment{{
			Anchor: "lines", Title: "The lines to add", Code: codeLines(source.ExemptionLines(e, 2)),
			Text: []string{"The exceptions of the policy in force are written in a way that can’t be added to by itself. Put these lines into its list of exceptions, then plan it.", message(err)},
		}}, page.Segments...)
	}
	if err != nil {
		return again(s, w, r, s.pages.sheet, page, withoutLines(err), "id")
	}
	d := policyDraft{Text: string(text), Files: v.Files, Reason: "Exception " + e.ID + ": " + e.Reason}
	return s.showPlan(w, r, d)
}

// withoutLines takes the line and column in the policy from what is wrong with an
// exception: whoever fills in a form sees no lines.
func withoutLines(err error) error {
	e, ok := errors.AsType[*ward.Error](err)
	if !ok || len(e.Details) == 0 {
		return err
	}
	out := *e
	out.Details = nil
	for _, d := range e.Details {
		if head, rest, ok := strings.Cut(d, ": "); ok && strings.HasPrefix(head, "line ") {
			d = sentenceCase(rest)
		}
		out.Details = append(out.Details, d)
	}
	return &out
}
