package web

import (
	"net/http"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/evidence"
	"github.com/wardmdm/ward/server/report"
)

// monthsOffered is how many months back a report of one can be chosen.
const monthsOffered = 13

type evidencePage struct {
	Page
	Head  pageHead
	Packs []packView
}

// packView is a kind of report with the form that asks for it.
type packView struct {
	ID, Title, For, Href string
	Months               []optionView // of a month
	Moment               bool         // of a moment: the form asks for a day
	Open                 string       // words of the button
	Erase                string       // address of the erasure of a person; empty for none
}

// reportPage shows a report.
type reportPage struct {
	Page
	Head     pageHead
	Says     string
	Zip      string // address of the signed archive; empty where the reader may take none
	PDF      string
	JSON     string
	Sections []sectionView
}

type sectionView struct {
	Heading, Anchor string
	Text            []string
	Facts           []factView
	Charts          []chartView
	Tables          []tableView
	Titles          []string // of the tables
	Notes           []string
}

// evidenceService is what makes reports, or Unavailable.
func (s *Server) evidenceService() (*evidence.Service, error) {
	if s.Evidence.Service == nil {
		return nil, ward.Errorf(ward.Unavailable, "No reports are made here.")
	}
	return s.Evidence.Service, nil
}

// evidenceList lists the reports that there are: GET /evidence.
func (s *Server) evidenceList(w http.ResponseWriter, r *http.Request) error {
	a := ward.ActorFrom(r.Context())
	v := &evidencePage{Page: Page{Title: "Evidence", Section: "evidence"}, Head: pageHead{Title: "Evidence", Caption: "Reports that say what is recorded, and prove it. Whoever takes one away is recorded."}}
	for _, p := range evidence.Packs() {
		if p.Whole && !a.Scope.All() {
			continue
		}
		x := packView{ID: p.ID, Title: p.Title, For: p.For, Href: "/evidence/" + p.ID, Open: "Open", Moment: p.Of == evidence.OfMoment && p.ID != evidence.AccessReview}
		if p.Of == evidence.OfMonth {
			x.Months = s.months()
		}
		if p.Of == evidence.OfPerson || p.Of == evidence.OfApp {
			x.Open = "Ask"
		}
		if p.Of == evidence.OfPerson && access.Allows(a, access.PersonErase) {
			x.Erase = "/evidence/erasure"
		}
		v.Packs = append(v.Packs, x)
	}
	return render(s, w, r, http.StatusOK, s.pages.evidence, v)
}

// months offers the last months, the last whole one chosen.
func (s *Server) months() (out []optionView) {
	p := evidence.Month(s.Now())
	for i := range monthsOffered {
		text := p.Words()
		if i == 0 {
			text += ", so far"
		}
		out = append(out, optionView{p.String(), text, i == 1})
		p = p.Before()
	}
	return out
}

// evidenceReport shows a report, or answers with its files: GET
// /evidence/{pack}?period=&as_of=&format=.
func (s *Server) evidenceReport(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	p, err := evidence.Find(r.PathValue("pack"))
	if err != nil {
		return err
	}
	req := evidence.Request{Pack: p.ID}
	if p.Of == evidence.OfMonth {
		if req.Period, err = evidence.ParsePeriod(q.Get("period"), s.Now()); err != nil {
			return err
		}
	} else if req.AsOf, err = s.moment(q.Get("as_of")); err != nil {
		return err
	}
	return s.answerReport(w, r, req, q.Get("format"))
}

// answerReport shows a report or sends its files.
func (s *Server) answerReport(w http.ResponseWriter, r *http.Request, req evidence.Request, form string) error {
	service, err := s.evidenceService()
	if err != nil {
		return err
	}
	ctx := r.Context()
	if form != "" {
		if err := s.exporters.take(ward.ActorFrom(ctx).Person, s.Now()); err != nil {
			return err
		}
		f, err := service.File(ctx, req)
		if err != nil {
			return err
		}
		return s.sendReport(w, r, f, form)
	}
	d, err := service.Make(ctx, req)
	if err != nil {
		return err
	}
	v := s.reportView(d)
	if access.Allows(ward.ActorFrom(ctx), access.ExportMake) && r.Method == http.MethodGet {
		v.Zip, v.PDF, v.JSON = withFormat(r.URL.RequestURI(), "zip"), withFormat(r.URL.RequestURI(), "pdf"), withFormat(r.URL.RequestURI(), "json")
	}
	return render(s, w, r, http.StatusOK, s.pages.report, v)
}

// sendReport answers with a report's files: all in one archive, or one of them.
func (s *Server) sendReport(w http.ResponseWriter, r *http.Request, f evidence.File, form string) error {
	switch form {
	case "zip":
		return s.sendZip(w, r, "ward-"+f.ID, f)
	case "pdf", "json":
		p, err := f.Part("." + form)
		if err != nil {
			return err
		}
		return s.sendFile(w, r, "ward-"+p.Name, "application/"+form, p.Body)
	}
	return ward.Errorf(ward.Invalid, "A report is given as zip, pdf or json, not as %q.", form)
}

// moment reads a day, which means its end, or a time; "" is now and the zero time.
func (s *Server) moment(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	zone := s.Zone
	if zone == nil {
		zone = time.UTC
	}
	if t, err := time.ParseInLocation("2006-01-02T15:04", text, zone); err == nil {
		return t, nil
	}
	t, err := time.ParseInLocation(time.DateOnly, text, zone)
	if err != nil {
		return t, ward.Errorf(ward.Invalid, "The time %q is not one. Write a day such as 2026-03-12, or a day and a time such as 2026-03-12T09:30.", text)
	}
	end := t.AddDate(0, 0, 1).Add(-time.Second)
	if now := s.Now(); end.After(now) && !t.After(now) {
		return time.Time{}, nil // today: as it is now
	}
	return end, nil
}

func (s *Server) reportView(d report.Document) *reportPage {
	now := s.Now()
	v := &reportPage{
		Page: Page{Title: d.Title, Section: "evidence", Backlink: "/evidence", Backname: "Evidence"},
		Head: pageHead{Title: d.Title, Caption: strings.Join(d.Says, "; "), AsOf: at(d.AsOf, now)},
	}
	for i, x := range d.Sections {
		y := sectionView{Heading: x.Heading, Anchor: "part-" + report.Thousands(i+1), Text: x.Text, Notes: x.Notes}
		for _, f := range x.Facts {
			y.Facts = append(y.Facts, linkedFact(f))
		}
		for _, c := range x.Charts {
			chart := chartOf(c)
			y.Charts = append(y.Charts, chart)
		}
		for _, t := range x.Tables {
			table := tableOf(t, now)
			if table.Caption == "" {
				table.Caption = x.Heading
			}
			table.Empty = emptyView{Title: "None"}
			y.Tables, y.Titles = append(y.Tables, table), append(y.Titles, t.Title)
		}
		v.Sections = append(v.Sections, y)
	}
	return v
}

// linkedFact leads to the page that a value names at its end in brackets, such as
// "(/devices?os=old)".
func linkedFact(f report.Fact) factView {
	out := factView{Label: f.Label, Value: f.Value}
	head, rest, ok := strings.Cut(f.Value, " (/")
	if !ok || strings.Contains(head, "\n") {
		return out
	}
	address, tail, ok := strings.Cut(rest, ")")
	if !ok || tail != "" || local("/"+address) != "/"+address { // a name that somebody gave may lead to no other site
		return out
	}
	address, _, _ = strings.Cut(address, "&format=")
	out.Value, out.Href = head, "/"+strings.TrimSuffix(strings.ReplaceAll(address, "?format=csv", ""), "?")
	return out
}

type questionPage struct {
	Page
	Head   pageHead
	App    fieldView
	Moment fieldView
}

// evidenceQuestion asks which app and when, and answers: GET
// /evidence/question?app=&as_of=&format=.
func (s *Server) evidenceQuestion(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if q.Get("app") != "" {
		asOf, err := s.moment(q.Get("as_of"))
		if err != nil {
			return err
		}
		return s.answerReport(w, r, evidence.Request{Pack: evidence.Question, App: q.Get("app"), AsOf: asOf}, q.Get("format"))
	}
	v := &questionPage{
		Page:   Page{Title: "Which devices had an app?", Section: "evidence", Narrow: true, Backlink: "/evidence", Backname: "Evidence"},
		Head:   pageHead{Title: "Which devices had an app?", Caption: "On which devices it was at one moment, where it was blocked, who was told and what was done after."},
		App:    fieldView{Name: "app", Label: "App", Required: true},
		Moment: fieldView{Name: "as_of", Label: "When", Type: "datetime-local", Hint: "Empty for now. What is older than Ward's record can't be answered."},
	}
	for _, a := range catalogue.Builtin().Apps() {
		v.App.Options = append(v.App.Options, optionView{a.Slug, a.Name, a.Slug == "whatsapp"})
	}
	return render(s, w, r, http.StatusOK, s.pages.question, v)
}
