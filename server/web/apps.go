package web

import (
	"context"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/report"
)

// mostName bounds the search for an app, in bytes.
const mostName = 200

// removalDays is how far back the list of apps counts removals.
const removalDays = 90

// appsAsked is what the list of apps is of.
type appsAsked struct {
	filter estate.Filter
	snap   *estate.Snapshot
	show   string // present, blocked, approved, watched or empty
	search string
}

// wide reports whether the whole fleet of now is meant, of which trends are kept.
func (q appsAsked) wide() bool {
	f := q.filter
	return f.Scope.All() && len(f.Values()) == 0
}

// appShows are the parts of the catalogue that can be shown.
var appShows = []struct{ word, text string }{{"", "All"}, {"present", "On devices"}, {"blocked", "Blocked"}, {"approved", "Approved"}, {"watched", "Watched"}}

// apps lists the catalogue: GET /apps?show=&app_q= and the filter of devices.
func (s *Server) apps(w http.ResponseWriter, r *http.Request) error {
	f, snap, err := s.looked(r)
	if err != nil {
		return err
	}
	f.App, f.Blocked = "", false
	q := appsAsked{filter: f, snap: snap, show: r.URL.Query().Get("show"), search: strings.TrimSpace(r.URL.Query().Get("name"))}
	if len(q.search) > mostName {
		return ward.Errorf(ward.Invalid, "name: at most %d characters.", mostName)
	}
	if done, err := s.export(w, r, func() (report.Table, error) { t, _, err := s.appsTable(r.Context(), q); return t, err }); done || err != nil { //nolint:contextcheck // the rows are read in the context of the request
		return err
	}
	t, counts, err := s.appsTable(r.Context(), q)
	if err != nil {
		return err
	}
	v := &sheetPage{Page: Page{Title: "Apps", Section: "apps"}}
	v.Head = pageHead{Title: "Apps", Caption: "Messaging apps of the catalogue, and where each is", AsOf: at(snap.At, s.Now()), Exports: here(r)}
	known := false
	for _, sh := range appShows {
		known = known || sh.word == q.show
		v.Tabs = append(v.Tabs, tabView{Text: sh.text, Href: here(r, "show", sh.word), Current: sh.word == q.show, Count: counts[sh.word]})
	}
	if !known {
		return ward.Errorf(ward.NotFound, "There is no such part of the catalogue. Choose one above the list of apps.")
	}
	bar := s.filterBar(r, snap, f, "show", "name")
	v.Filter = &bar
	if !q.wide() {
		v.Notes = append(v.Notes, noteView{Tone: "info", Text: "Trends and times to removal are kept of the whole fleet, so they are not shown for a part of it or for the past. What the policy says is of now."})
	}
	shown := tableOf(t, s.Now())
	shown.Empty = emptyView{Title: "No app here", Text: []string{"No app of the catalogue is like this."}}
	v.Segments = []segment{
		{Anchor: "find", Forms: []formView{{Action: "/apps", Get: true, Hidden: hiddenOf(r, "name"), Fields: []fieldView{{Name: "name", Label: "Find an app by name, category or identifier", Value: q.search, Type: "search"}}, Submit: "Find"}}},
		{Anchor: "list", Tables: []tableView{shown}},
	}
	return s.sheet(w, r, v)
}

// hiddenOf keeps the query of a request in a form, without the fields of the form.
func hiddenOf(r *http.Request, fields ...string) (out []hiddenField) {
	q := r.URL.Query()
	for name, values := range q {
		if slices.Contains(fields, name) || name == "format" || name == "after" {
			continue
		}
		for _, v := range values {
			out = append(out, hiddenField{name, v})
		}
	}
	slices.SortFunc(out, func(a, b hiddenField) int { return strings.Compare(a.Name+"\x00"+a.Value, b.Name+"\x00"+b.Value) })
	return out
}

// presence counts on how many of the devices meant each app is.
func presence(devices []*estate.Device) map[string]int {
	out := map[string]int{}
	for _, d := range devices {
		for _, slug := range d.Apps {
			out[slug]++
		}
	}
	return out
}

func (s *Server) current(ctx context.Context) (*profiles.Policy, int64, error) {
	f, err := s.Rules.Policy.InForce(ctx)
	if err != nil {
		return nil, 0, err
	}
	p, generation := f.Current()
	return p, generation, nil
}

// catalogueOf is the catalogue with what a policy's site adds.
func catalogueOf(p *profiles.Policy) *catalogue.Catalogue {
	if p == nil {
		return catalogue.Builtin()
	}
	return p.Catalogue
}

// appsTable lists apps, with how many each part of the catalogue has.
func (s *Server) appsTable(ctx context.Context, q appsAsked) (report.Table, map[string]int, error) {
	now := s.Now()
	t := report.Table{Name: "apps", Title: "Apps", Says: q.filter.Words(), AsOf: q.snap.At, Columns: []report.Column{
		{Head: "App", Share: 18},
		{Head: "Policy", Kind: report.State, Share: 14},
		{Head: "Category", Share: 14},
		{Head: "Devices", Kind: report.Number, Share: 8},
		{Head: "30 days ago", Kind: report.Number, Share: 8},
		{Head: "Gone in 90", Kind: report.Number, Share: 8},
		{Head: "Median stay", Share: 8},
		{Head: "95 %", Share: 8},
		{Head: "Kept off on", Share: 22},
	}}
	p, _, err := s.current(ctx)
	if err != nil {
		return t, nil, err
	}
	var gone map[string]estate.Removal
	if q.wide() {
		if gone, err = s.Fleet.Estate.Removals(ctx, "", estate.ByApp, now.AddDate(0, 0, -removalDays), now); err != nil {
			return t, nil, err
		}
	}
	blocked, on, counts := blockedSlugs(p), presence(q.snap.Match(q.filter)), map[string]int{}
	for _, a := range catalogueOf(p).Search(q.search) {
		word, st := standing(a, p, blocked, now)
		counts[""]++
		counts[word]++
		if on[a.Slug] > 0 {
			counts["present"]++
		}
		if q.show != "" && q.show != word && (q.show != "present" || on[a.Slug] == 0) {
			continue
		}
		g := q.filter
		g.App = a.Slug
		row := []report.Cell{{Text: a.Name, Href: appAddress(a.Slug)}, stateCell(st), textCell(categoryName(a.Category)), numberCell(on[a.Slug], devicesAddress(g))}
		more, err := s.appPast(ctx, q, a.Slug, gone[a.Slug], blocked[a.Slug])
		if err != nil {
			return t, nil, err
		}
		t.Rows = append(t.Rows, append(append(row, more...), textCell(keptOffOn(a, p, blocked[a.Slug], now))))
	}
	slices.SortStableFunc(t.Rows, func(a, b []report.Cell) int { return numberOfCell(b[3]) - numberOfCell(a[3]) })
	return t, counts, nil
}

func numberOfCell(c report.Cell) int {
	n := 0
	for _, d := range c.Text {
		n = n*10 + int(d-'0')
	}
	return n
}

// appPast are the cells that tell of the past of an app.
func (s *Server) appPast(ctx context.Context, q appsAsked, slug string, gone estate.Removal, blocked bool) ([]report.Cell, error) {
	none := []report.Cell{{}, {}, {}, {}}
	if !q.wide() || !blocked && gone.Removed == 0 {
		return none, nil
	}
	days, err := s.Fleet.Estate.Trend(ctx, estate.Cut{By: estate.ByApp, Value: slug}, 30)
	if err != nil {
		return nil, err
	}
	if len(days) > 0 {
		none[0] = textCell(decimal(days[0].Blocked))
	}
	none[1] = textCell(decimal(gone.Removed))
	if gone.Removed > 0 {
		none[2], none[3] = textCell(lasting(gone.P50)), textCell(lasting(gone.P95))
	}
	return none, nil
}

// keptOffOn names the kinds of device that keep a blocked app from running.
func keptOffOn(a catalogue.App, p *profiles.Policy, blocked bool, now time.Time) string {
	if !blocked {
		return ""
	}
	var yes []string
	for _, r := range reachOf(a, p, now) {
		if v := r.outcome.Verdict; r.known && (v == intent.Enforced || v == intent.Partly) {
			yes = append(yes, r.class.Short)
		}
	}
	if len(yes) == 0 {
		return "Nothing: only found"
	}
	return sentenceCase(strings.Join(yes, ", "))
}

func appAddress(slug string) string { return "/apps/" + slug }

// categoryName is a category as people read it.
func categoryName(c string) string {
	switch c {
	case "sms":
		return "SMS"
	case "social-with-dm":
		return "Social, with messages"
	}
	return sentenceCase(strings.ReplaceAll(c, "-", " "))
}

// trendChart plots one number of each day.
func trendChart(title, name string, days []estate.Day, of func(estate.Day) float64) report.Chart {
	c := report.Chart{Title: title, Unit: "devices", Series: []report.Series{{Name: name}}}
	for _, d := range days {
		c.Times = append(c.Times, d.Day)
		v := of(d)
		if d.Devices == 0 && v == 0 {
			v = math.NaN()
		}
		c.Series[0].Values = append(c.Series[0].Values, v)
	}
	return c
}
