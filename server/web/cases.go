package web

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/report"
)

// casesListed is how many cases stand on one page.
const casesListed = 50

type casesPage struct {
	Page
	States []stateLink
	State  lost.State
	Rows   []caseRow
	Next   string
	Start  string
}

type caseRow struct {
	Href, Device, Reference string
	Tag                     tag
	Words                   string
	By                      string
	Reported                moment
}

// cases lists cases: GET /cases?state=&after=.
func (s *Server) cases(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	f := lost.Filter{State: lost.State(q.Get("state")), Which: lost.OnlyReal, After: ward.CaseID(q.Get("after")), Limit: casesListed}
	v := &casesPage{Page: Page{Title: "Cases", Section: "cases", Exports: casesAddress(f.State, "")}, State: f.State}
	known := false
	for _, st := range []struct {
		state lost.State
		text  string
	}{{"", "All"}, {lost.Open, "Open"}, {lost.Found, "Found"}, {lost.Closed, "Closed"}} {
		known = known || st.state == f.State
		v.States = append(v.States, stateLink{st.text, casesAddress(st.state, ""), st.state == f.State})
	}
	if !known {
		return ward.Errorf(ward.NotFound, "There is no state %q of cases.", string(f.State))
	}
	if done, err := s.export(w, r, func() (report.Table, error) { return s.casesTable(r.Context(), f.State) }); done || err != nil { //nolint:contextcheck // the rows are read in the context of the request
		return err
	}
	list, err := s.Lost.List(r.Context(), f)
	if err != nil {
		return err
	}
	for _, c := range list {
		row, err := s.caseRow(r.Context(), c)
		if err != nil {
			return err
		}
		v.Rows = append(v.Rows, row)
	}
	if len(list) == casesListed {
		v.Next = casesAddress(f.State, list[len(list)-1].ID)
	}
	if f.After != "" {
		v.Start = casesAddress(f.State, "")
	}
	return render(s, w, r, http.StatusOK, s.pages.cases, v)
}

func casesAddress(st lost.State, after ward.CaseID) string {
	q := url.Values{}
	if st != "" {
		q.Set("state", string(st))
	}
	if after != "" {
		q.Set("after", string(after))
	}
	if len(q) == 0 {
		return "/cases"
	}
	return "/cases?" + q.Encode()
}

func (s *Server) caseRow(ctx context.Context, c lost.Case) (caseRow, error) {
	row := caseRow{
		Href: caseAddress(c.ID), Reference: reference(c.ID), Tag: caseTag(c), By: cmp.Or(c.ReportedName, "Ward"), Reported: at(c.Reported, s.Now()),
		Words: sentenceCase(string(c.Kind)),
	}
	if c.LastSeenWhere != "" {
		row.Words += ", last seen: " + c.LastSeenWhere
	}
	d, err := s.Lost.Fleet.Device(ctx, c.Device)
	if ward.KindOf(err) == ward.NotFound {
		d, err = ward.Device{ID: c.Device}, nil
	}
	row.Device = nameOf(d)
	return row, err
}

func caseTag(c lost.Case) tag {
	switch c.State {
	case lost.Open:
		if c.Drill != lost.Real {
			return tag{"Live rehearsal", "lost", "pin"}
		}
		return tag{sentenceCase(string(c.Kind)), "lost", "pin"}
	case lost.Rehearsal:
		return tag{"Rehearsal", "quiet", "clock"}
	case lost.Found:
		return tag{"Found", "good", "check"}
	case lost.Closed:
		return tag{"Closed", "quiet", "gone"}
	}
	return tag{string(c.State), "quiet", "question"}
}

type drillsPage struct {
	Page
	Last, Due moment
	Overdue   bool
	Rows      []drillRow
	Start     bool // the reader may start one
	Device    string
}

type drillRow struct {
	Href, Device, Words, By string
	Tag                     tag
	At                      moment
	Would                   []string
	Times                   string // of a live one
}

// drills shows rehearsals as evidence: GET /drills.
func (s *Server) drills(w http.ResponseWriter, r *http.Request) error {
	if done, err := s.export(w, r, func() (report.Table, error) { return s.drillsTable(r.Context()) }); done || err != nil {
		return err
	}
	v, err := s.drillsView(r)
	if err != nil {
		return err
	}
	return render(s, w, r, http.StatusOK, s.pages.drills, v)
}

func (s *Server) drillsView(r *http.Request) (*drillsPage, error) {
	ctx, now := r.Context(), s.Now()
	v := &drillsPage{Page: Page{Title: "Rehearsals", Section: "cases", Exports: "/drills", Backlink: "/cases", Backname: "Cases"}, Start: access.Allows(ward.ActorFrom(ctx), access.DeviceLost)}
	last, due, err := s.Lost.DueDrill(ctx)
	if err != nil {
		return nil, err
	}
	v.Last, v.Due, v.Overdue = at(last, now), at(due, now), !due.After(now)
	all, err := s.Lost.Drills(ctx, lost.Filter{Limit: casesListed})
	if err != nil {
		return nil, err
	}
	for _, d := range all {
		c, err := s.caseRow(ctx, d.Case)
		if err != nil {
			return nil, err
		}
		row := drillRow{Href: c.Href, Device: c.Device, Words: sentenceCase(d.Case.Drill.Words()), By: c.By, Tag: c.Tag, At: c.Reported, Would: d.Would}
		if d.Case.Drill == lost.Live {
			row.Times = "Queued " + after(d.Queued) + ", delivered " + after(d.Delivered) + ", accepted " + after(d.Accepted)
		}
		v.Rows = append(v.Rows, row)
	}
	return v, nil
}

// after says how long after the report something happened.
func after(d time.Duration) string {
	if d < 0 {
		return "never"
	}
	return "after " + d.Round(100*time.Millisecond).String()
}

// startDrill is POST /drills: it finds the device and asks the questions of a report.
func (s *Server) startDrill(w http.ResponseWriter, r *http.Request) error {
	word := field(r, "word")
	d, err := s.Posture.Find(r.Context(), word)
	if k := ward.KindOf(err); k == ward.NotFound || k == ward.Conflict {
		v, e := s.drillsView(r)
		if e != nil {
			return e
		}
		v.Device = word
		return again(s, w, r, s.pages.drills, v, ward.Errorf(ward.Invalid, "%s", message(err)), "word")
	}
	if err != nil {
		return err
	}
	return see(w, r, "/lost/new?drill=1&device="+url.QueryEscape(string(d.ID)))
}
