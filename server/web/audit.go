package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/report"
)

// entriesListed is how many entries stand on one page, entriesExported how many a file holds
// at most.
const (
	entriesListed   = 50
	entriesExported = 100000
)

type auditPage struct {
	Page
	Head   pageHead
	Form   auditForm
	Table  tableView
	Verify bool
}

// auditForm is what was searched for.
type auditForm struct {
	From, Until, Who, Subject string
	Actions                   []optionView
	Oldest                    bool
	Any                       bool // something is searched for
}

// unscoped refuses people who may see a part of the devices: the log is of everything.
func unscoped(ctx context.Context) error {
	if ward.ActorFrom(ctx).Scope.All() {
		return nil
	}
	return ward.Errorf(ward.Forbidden, "The audit log is of every site and group, and you may see some only. Ask somebody who may see all.")
}

// auditSearch reads what is searched for. A person is found by name, a device by what it is
// called.
func (s *Server) auditSearch(ctx context.Context, q url.Values) (f audit.Filter, form auditForm, err error) {
	form = auditForm{From: q.Get("from"), Until: q.Get("until"), Who: strings.TrimSpace(q.Get("who")), Subject: strings.TrimSpace(q.Get("subject")), Oldest: q.Get("order") == "oldest"}
	f = audit.Filter{Action: q.Get("action"), Oldest: form.Oldest, Limit: entriesListed}
	var wrong []string
	day := func(text, name string, add int) time.Time {
		if text == "" {
			return time.Time{}
		}
		t, err := time.ParseInLocation(time.DateOnly, text, s.zone())
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("%s: %q is not a date such as 2026-03-12.", name, text))
			return time.Time{}
		}
		return t.AddDate(0, 0, add)
	}
	f.From, f.Until = day(form.From, "From", 0), day(form.Until, "Until", 1)
	if !f.From.IsZero() && !f.Until.IsZero() && !f.From.Before(f.Until) {
		wrong = append(wrong, "From: it is after Until.")
	}
	if q.Get("after") != "" {
		if f.After, err = strconv.ParseInt(q.Get("after"), 10, 64); err != nil || f.After < 1 {
			wrong = append(wrong, "The page does not exist.")
		}
	}
	if len(wrong) > 0 {
		return f, form, &ward.Error{Kind: ward.Invalid, Message: "The search has mistakes.", Details: wrong}
	}
	if f.Actor, err = s.actorNamed(ctx, form.Who); err != nil {
		return f, form, err
	}
	if f.Subject, err = s.subjectNamed(ctx, form.Subject); err != nil {
		return f, form, err
	}
	form.Any = form.From != "" || form.Until != "" || form.Who != "" || form.Subject != "" || f.Action != ""
	form.Actions = actionChoices(f.Action)
	return f, form, nil
}

// actionChoices are the actions by their words, in areas.
func actionChoices(chosen string) []optionView {
	out := make([]optionView, 0, len(deedsInWords)+2)
	for action := range deedsInWords {
		out = append(out, optionView{Value: action, Text: deedsInWords[action].area + ": " + sentenceOf(action, "a device", nil), Selected: action == chosen})
	}
	slices.SortFunc(out, func(a, b optionView) int { return strings.Compare(a.Text+a.Value, b.Text+b.Value) })
	if _, known := deedsInWords[chosen]; !known && chosen != "" {
		out = slices.Insert(out, 0, optionView{Value: chosen, Text: chosen, Selected: true})
	}
	return slices.Insert(out, 0, optionView{Text: "Any deed", Selected: chosen == ""})
}

// actorNamed returns the id of a person by their name, or what was typed: an id, or the name
// of what acts by itself.
func (s *Server) actorNamed(ctx context.Context, typed string) (string, error) {
	if typed == "" {
		return "", nil
	}
	p, err := s.Access.PersonByName(ctx, typed)
	switch {
	case err == nil:
		return string(p.ID), nil
	case ward.KindOf(err) == ward.NotFound:
		return typed, nil
	}
	return "", err
}

// subjectNamed returns the id of a device by what it is called, of a person by their name, or
// what was typed.
func (s *Server) subjectNamed(ctx context.Context, typed string) (string, error) {
	if typed == "" {
		return "", nil
	}
	d, err := s.Posture.Find(ctx, typed)
	switch k := ward.KindOf(err); {
	case err == nil:
		return string(d.ID), nil
	case k != ward.NotFound && k != ward.Conflict && k != ward.Invalid:
		return "", err
	}
	return s.actorNamed(ctx, typed)
}

// auditLog searches the audit log: GET /audit.
func (s *Server) auditLog(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	if err := unscoped(ctx); err != nil {
		return err
	}
	v := &auditPage{Page: Page{Title: "Audit", Section: "audit"}, Verify: s.Operate.Verifier != nil}
	v.Head = pageHead{Title: "Audit", Caption: "Who did what, and when. Nothing here can be changed or deleted."}
	if v.Verify {
		v.Head.Actions = []action{{Text: "Verify", Href: "/audit/verify"}}
	}
	f, form, err := s.auditSearch(ctx, r.URL.Query())
	v.Form = form
	if err != nil {
		v.Form.Actions = actionChoices(f.Action)
		return again(s, w, r, s.pages.audit, v, err, "from")
	}
	if format := r.URL.Query().Get("format"); format != "" {
		if err := access.Check(ctx, access.AuditExport); err != nil {
			return err
		}
		if format == "json" {
			return s.auditJSON(w, r, f)
		}
	}
	done, err := s.export(w, r, func() (report.Table, error) { return s.allEntries(ctx, f, form) })
	if done || err != nil {
		return err
	}
	list, err := s.Operate.Audit.List(ctx, f)
	if err != nil {
		return err
	}
	t, err := s.auditTable(ctx, list, form)
	if err != nil {
		return err
	}
	v.Table = tableOf(t, s.Now())
	s.auditPaging(r, v, f, list)
	return render(s, w, r, http.StatusOK, s.pages.audit, v)
}

func (s *Server) auditPaging(r *http.Request, v *auditPage, f audit.Filter, list []audit.Recorded) {
	order := ""
	if f.Oldest {
		order = "oldest"
	}
	address := func(after string) string {
		return addressWith("/audit", "from", v.Form.From, "until", v.Form.Until, "who", v.Form.Who, "subject", v.Form.Subject, "action", f.Action, "order", order, "after", after)
	}
	if access.Allows(ward.ActorFrom(r.Context()), access.AuditExport) {
		v.Head.Exports = exportable(r, address(""))
	}
	if len(list) == entriesListed {
		v.Table.Next = address(strconv.FormatInt(list[len(list)-1].ID, 10))
	}
	if f.After > 0 {
		v.Table.First = address("")
	}
	v.Table.Empty = emptyView{Title: "Nothing was recorded yet", Text: []string{"Every deed stands here from the moment on at which it is done."}}
	if v.Form.Any {
		v.Table.Empty = emptyView{Title: "No entry matches", Text: []string{"Search by an exact name, a serial number or an id; or widen the dates. What was erased of a person is not found by their name."}, Action: &action{Text: "Show all", Href: "/audit"}}
	}
}

// allEntries reads every entry that is searched for.
func (s *Server) allEntries(ctx context.Context, f audit.Filter, form auditForm) (report.Table, error) {
	var all []audit.Recorded
	err := s.eachEntry(ctx, f, func(list []audit.Recorded) error {
		all = append(all, list...)
		return nil
	})
	if err != nil {
		return report.Table{}, err
	}
	return s.auditTable(ctx, all, form)
}

// eachEntry hands on every entry that is searched for, page by page.
func (s *Server) eachEntry(ctx context.Context, f audit.Filter, fn func([]audit.Recorded) error) error {
	f.After, f.Limit = 0, 500
	for n := 0; n < entriesExported; {
		list, err := s.Operate.Audit.List(ctx, f)
		if err != nil {
			return err
		}
		if err := fn(list); err != nil {
			return err
		}
		if len(list) < f.Limit {
			return nil
		}
		n += len(list)
		f.After = list[len(list)-1].ID
	}
	return nil
}

// auditTable is the list of entries.
func (s *Server) auditTable(ctx context.Context, list []audit.Recorded, form auditForm) (report.Table, error) {
	t := report.Table{
		Name: "audit", Title: "Entries of the audit log", AsOf: s.Now(), Says: form.words(),
		Columns: []report.Column{{Head: "When (UTC)", Share: 18}, {Head: "Who", Share: 18}, {Head: "What", Share: 36}, {Head: "About", Share: 20}, {Head: "Entry", Kind: report.Number, Share: 8}},
	}
	n := s.newNamer()
	for _, e := range list {
		it, err := n.subject(ctx, e)
		if err != nil {
			return t, err
		}
		who, err := n.actor(ctx, e)
		if err != nil {
			return t, err
		}
		what := report.Cell{Text: s.says(e, it.Text), Href: entryAddress(e.ID)}
		t.Rows = append(t.Rows, []report.Cell{{Text: e.At.UTC().Format("2006-01-02 15:04:05")}, who, what, it, {Text: strconv.FormatInt(e.ID, 10), Href: entryAddress(e.ID)}})
	}
	return t, nil
}

// says is what an entry says in a sentence.
func (s *Server) says(e audit.Recorded, it string) string {
	if e.Damaged {
		return "DAMAGED: what is stored is not what was recorded (" + e.Action + ")"
	}
	if it == "" {
		it = "a device"
	}
	return sentenceOf(e.Action, it, e.Detail)
}

// words says what was searched for.
func (f auditForm) words() (out []string) {
	for _, p := range []struct{ text, words string }{{f.From, "from " + f.From}, {f.Until, "until " + f.Until}, {f.Who, "by " + f.Who}, {f.Subject, "about " + f.Subject}} {
		if p.text != "" {
			out = append(out, p.words)
		}
	}
	for _, a := range f.Actions {
		if a.Selected && a.Value != "" {
			out = append(out, a.Text)
		}
	}
	return out
}

func entryAddress(id int64) string { return "/audit/" + strconv.FormatInt(id, 10) }
