package web

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/report"
)

// driftWords say what drifted.
var driftWords = map[string]string{
	"profile": "Profile gone or changed", "declaration": "Declaration not held", "app": "Approved app gone", "blocked-app": "Blocked app is there", "passcode": "No passcode that complies",
	"encryption": "Not encrypted", "os": "System too old", "app-version": "App too old",
}

func driftName(kind string) string { return cmp.Or(driftWords[kind], kind) }

// drift lists what was found otherwise than the policy wants, the newest first:
// GET /policies/drift?kind=&open=yes&before=.
func (s *Server) drift(w http.ResponseWriter, r *http.Request) error {
	before, err := keyOf(r, "before")
	if err != nil {
		return err
	}
	q := r.URL.Query()
	f := policy.DriftFilter{Kind: q.Get("kind"), Open: q.Get("all") == "", Before: before, Limit: listPage + 1}
	if done, err := s.export(w, r, func() (report.Table, error) {
		g := f
		g.Before, g.Limit = 0, 500
		t, _, err := s.driftTable(r, g, -1)
		return t, err
	}); done || err != nil {
		return err
	}
	t, next, err := s.driftTable(r, f, listPage)
	if err != nil {
		return err
	}
	now := s.Now()
	v := &sheetPage{Page: Page{Title: "Drift", Section: "policies"}, Tabs: policyTabs("/policies/drift")}
	v.Head = pageHead{Title: "Drift", Caption: "What was found otherwise than the policy wants. Ward puts back what it can by itself.", AsOf: at(now, now), Exports: here(r, "before", "")}
	shown := tableOf(t, now)
	shown.Empty = emptyView{Title: "No drift", Text: []string{"Nothing is otherwise than the policy wants, as far as devices have told."}}
	if next > 0 {
		shown.Next = here(r, "before", strconv.FormatInt(next, 10))
	}
	if before > 0 {
		shown.First = here(r, "before", "")
	}
	counts, err := s.driftCounts(r)
	if err != nil {
		return err
	}
	v.Segments = append(counts, segment{Anchor: "list", Title: "Found", Tabs: []tabView{
		{Text: "Not put right yet", Href: here(r, "all", "", "before", ""), Current: f.Open}, {Text: "All", Href: here(r, "all", "yes", "before", ""), Current: !f.Open},
	}, Tables: []tableView{shown}})
	return s.sheet(w, r, v)
}

// driftTable reads drift, of all pages where most is below 0; next is the key of the page
// after, 0 for none.
func (s *Server) driftTable(r *http.Request, f policy.DriftFilter, most int) (t report.Table, next int64, err error) {
	t = report.Table{Name: "drift", Title: "Drift", AsOf: s.Now(), Columns: []report.Column{{Head: "Device"}, {Head: "What"}, {Head: "Of"}, {Head: "State", Kind: report.State}, {Head: "Found", Kind: report.Time}, {Head: "Put right", Kind: report.Time}}}
	seen, err := s.visible(r)
	if err != nil {
		return t, 0, err
	}
	for {
		ds, err := s.Rules.Policy.Drifted(r.Context(), f)
		if err != nil {
			return t, 0, err
		}
		for _, d := range ds {
			name, ok := seen(d.Device)
			if !ok {
				f.Before = d.Seq
				continue
			}
			if most >= 0 && len(t.Rows) == most {
				return t, f.Before, nil
			}
			f.Before = d.Seq
			st := tag{"Is so", "warn", "alert"}
			if !d.Righted.IsZero() {
				st = tag{"Put right", "good", "check"}
			}
			t.Rows = append(t.Rows, []report.Cell{{Text: name, Href: deviceAddress(d.Device)}, textCell(driftName(d.Kind)), textCell(d.Subject), stateCell(st), {Time: d.Found}, {Time: d.Righted, Text: "–"}})
		}
		if len(ds) < f.Limit {
			return t, 0, nil
		}
	}
}

// visible returns a function that names the devices which the reader may see.
func (s *Server) visible(r *http.Request) (func(ward.DeviceID) (string, bool), error) {
	if s.Fleet.Estate == nil {
		return nil, errNoEstate
	}
	snap, err := s.Fleet.Estate.Current(r.Context())
	if err != nil {
		return nil, err
	}
	names := map[ward.DeviceID]string{}
	for _, d := range snap.Match(estate.Filter{Scope: ward.ActorFrom(r.Context()).Scope}) {
		names[d.ID] = cmp.Or(d.Name, d.Serial, string(d.ID))
	}
	return func(id ward.DeviceID) (string, bool) { n, ok := names[id]; return n, ok }, nil
}

// driftCounts counts drift by kind, of the whole fleet: whoever sees a part of it is told
// no counts.
func (s *Server) driftCounts(r *http.Request) ([]segment, error) {
	if !ward.ActorFrom(r.Context()).Scope.All() {
		return nil, nil
	}
	cs, err := s.Rules.Policy.DriftCounts(r.Context())
	if err != nil || len(cs) == 0 {
		return nil, err
	}
	t := report.Table{Title: "Drift by kind", Columns: []report.Column{{Head: "Kind"}, {Head: "Not put right yet", Kind: report.Number}, {Head: "On devices", Kind: report.Number}, {Head: "Found in 30 days", Kind: report.Number}, {Head: "Of those put right", Kind: report.Number}}}
	for _, c := range cs {
		t.Rows = append(t.Rows, []report.Cell{
			textCell(driftName(c.Kind)), numberCell(c.Open, here(r, "kind", c.Kind, "all", "", "before", "")), textCell(strconv.Itoa(c.Devices)), textCell(strconv.Itoa(c.Found)), textCell(strconv.Itoa(c.Righted)),
		})
	}
	title := "By kind"
	if k := r.URL.Query().Get("kind"); k != "" {
		title = "By kind; below stands only: " + strings.ToLower(driftName(k))
	}
	return []segment{{Anchor: "kinds", Title: title, Tables: []tableView{tableOf(t, s.Now())}}}, nil
}
