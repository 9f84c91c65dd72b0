package web

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/source"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/report"
)

// exceptionSoon is how long before its end an exception is told of.
const exceptionSoon = 14 * 24 * time.Hour

// exceptionTag says whether an exception holds, and the order in which people look.
func exceptionTag(e source.Exception, now time.Time) (t tag, order int, word string) {
	switch {
	case e.InForce(now) && e.Ends().Before(now.Add(exceptionSoon)):
		return tag{"Ends soon", "warn", "clock"}, 0, "force"
	case e.InForce(now):
		return tag{"In force", "info", "half"}, 1, "force"
	case e.From.After(now):
		return tag{"Coming", "quiet", "clock"}, 2, "coming"
	}
	return tag{"Ended", "quiet", "gone"}, 3, "ended"
}

// forWords says whom an exception is for.
func forWords(s source.Scope) string {
	return map[source.ScopeKind]string{
		source.ForDevice: "the device ", source.ForOwner: "all devices of ", source.ForGroup: "the policy’s group ", source.ForWard: "", source.ForSite: "the site ",
	}[s.Kind] + s.Value
}

func exceptionAddress(id string) string { return "/exceptions/" + url.PathEscape(id) }

// asDevice is a device as policies see it.
func asDevice(d *estate.Device) ward.Device {
	return ward.Device{ID: d.ID, Serial: d.Serial, Platform: d.Platform, OSVersion: d.OSVersion, Ownership: d.Ownership, Group: d.Group, Site: d.Site, Role: d.Role, Email: d.Email}
}

// concerned returns the devices that an exception is about.
func concerned(p *profiles.Policy, e source.Exception, devices []*estate.Device) (out []*estate.Device) {
	for _, d := range devices {
		if p.Concerns(e, asDevice(d)) {
			out = append(out, d)
		}
	}
	return out
}

// exceptions lists the exceptions of the policy in force: GET /exceptions?show=.
func (s *Server) exceptions(w http.ResponseWriter, r *http.Request) error {
	p, generation, err := s.current(r.Context())
	if err != nil {
		return err
	}
	f, snap, err := s.looked(r)
	if err != nil {
		return err
	}
	f.Enrolled = true
	show := r.URL.Query().Get("show")
	t, counts := s.exceptionTable(p, f, snap, show)
	if done, err := s.export(w, r, func() (report.Table, error) { return t, nil }); done || err != nil {
		return err
	}
	v := &sheetPage{Page: Page{Title: "Exceptions", Section: "register"}}
	v.Head = pageHead{Title: "Exceptions", Caption: "Written approvals of apps that are otherwise kept off", AsOf: at(snap.At, s.Now()), Exports: here(r)}
	v.Head.Actions = []action{{Text: "Approved apps", Href: "/register"}}
	if generation > 0 && access.Allows(ward.ActorFrom(r.Context()), access.ExceptionWrite) {
		v.Head.Actions = append(v.Head.Actions, action{Text: "Propose an exception", Href: "/exceptions/new", Primary: true})
	}
	for _, part := range []struct{ word, text string }{{"", "All"}, {"force", "In force"}, {"coming", "Coming"}, {"ended", "Ended"}} {
		v.Tabs = append(v.Tabs, tabView{Text: part.text, Href: here(r, "show", part.word), Current: part.word == show, Count: counts[part.word]})
	}
	shown := wrapped(t, s.Now())
	shown.Empty = emptyView{Title: "No exception", Text: []string{"The policy in force has none like this. One ends by itself on its last day, at most 90 days after its first."}}
	v.Segments = []segment{{Anchor: "list", Tables: []tableView{shown}}}
	return s.sheet(w, r, v)
}

// exceptionTable lists exceptions, those that end first above, with how many there are of
// each kind.
func (s *Server) exceptionTable(p *profiles.Policy, f estate.Filter, snap *estate.Snapshot, show string) (report.Table, map[string]int) {
	now, counts := s.Now(), map[string]int{}
	t := report.Table{Name: "exceptions", Title: "Exceptions", Says: f.Words(), AsOf: snap.At, Columns: []report.Column{
		{Head: "Exception", Share: 8},
		{Head: "State", Kind: report.State, Share: 10},
		{Head: "App", Share: 8},
		{Head: "For", Share: 12},
		{Head: "Devices", Kind: report.Number, Share: 6},
		{Head: "Reason", Share: 20},
		{Head: "Asked by", Share: 8},
		{Head: "Approved by", Share: 8},
		{Head: "From", Share: 8},
		{Head: "To the end of", Share: 8},
		{Head: "Review", Share: 10},
	}}
	if p == nil {
		return t, counts
	}
	all := slices.Clone(p.Exceptions)
	slices.SortStableFunc(all, func(a, b source.Exception) int {
		_, x, _ := exceptionTag(a, now)
		_, y, _ := exceptionTag(b, now)
		if x == 3 && y == 3 {
			return b.Expires.Compare(a.Expires)
		}
		return cmp.Or(x-y, a.Expires.Compare(b.Expires))
	})
	devices := snap.Match(f)
	for _, e := range all {
		st, _, word := exceptionTag(e, now)
		counts[""]++
		counts[word]++
		if show != "" && show != word {
			continue
		}
		t.Rows = append(t.Rows, []report.Cell{
			{Text: e.ID, Href: exceptionAddress(e.ID)},
			stateCell(st),
			{Text: e.AppName, Href: appAddress(e.App)},
			textCell(forWords(e.For)), numberCell(len(concerned(p, e, devices)), exceptionAddress(e.ID)), textCell(e.Reason),
			textCell(e.Who), textCell(e.Approver), textCell(e.From.Format("2 Jan 2006")), textCell(e.Expires.Format("2 Jan 2006")), textCell(e.Review),
		})
	}
	return t, counts
}

// exception shows one exception and the devices it is about: GET /exceptions/{id}.
func (s *Server) exception(w http.ResponseWriter, r *http.Request) error {
	p, generation, err := s.current(r.Context())
	if err != nil {
		return err
	}
	i := -1
	if p != nil {
		i = slices.IndexFunc(p.Exceptions, func(e source.Exception) bool { return e.ID == r.PathValue("id") })
	}
	if i < 0 {
		return ward.Errorf(ward.NotFound, "The policy in force has no exception %q.", r.PathValue("id"))
	}
	e := p.Exceptions[i]
	f, snap, err := s.looked(r)
	if err != nil {
		return err
	}
	f.Enrolled = true
	devices, title := concerned(p, e, snap.Match(f)), "Devices that it is about"
	if done, err := s.export(w, r, func() (report.Table, error) {
		return s.deviceTable("exception-devices", "Devices of exception "+e.ID, f, snap, devices), nil
	}); done || err != nil {
		return err
	}
	st, _, _ := exceptionTag(e, s.Now())
	v := &sheetPage{Page: Page{Title: "Exception " + e.ID, Section: "register", Backlink: "/exceptions", Backname: "Exceptions"}}
	v.Head = pageHead{Title: "Exception " + e.ID, Tag: &st, Caption: e.AppName + " for " + forWords(e.For), AsOf: at(snap.At, s.Now()), Exports: here(r)}
	v.Segments = []segment{
		{Anchor: "approval", Title: "The approval", Facts: []factView{
			{Label: "App", Value: e.AppName, Href: appAddress(e.App)},
			{Label: "For", Value: forWords(e.For)},
			{Label: "Reason", Value: e.Reason},
			{Label: "Asked by", Value: e.Who},
			{Label: "Approved by", Value: e.Approver},
			{Label: "From", Value: e.From.Format("2 January 2006")},
			{Label: "To the end of", Value: e.Expires.Format("2 January 2006")},
			{Label: "Review", Value: e.Review},
			{Label: "Written in", Value: fmt.Sprintf("generation %d, line %d", generation, e.Line), Href: lineAddress(generation, e.Line)},
		}},
		{Anchor: "devices", Title: title, Tables: []tableView{s.pagedDevices(r, title, f, snap, devices)}},
	}
	return s.sheet(w, r, v)
}
