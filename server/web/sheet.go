package web

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/report"
)

// sheetPage is a page of segments beneath one head: most pages about policies and apps
// are one.
type sheetPage struct {
	Page
	Head     pageHead
	Notes    []noteView
	Tabs     []tabView
	Filter   *filterBar
	Segments []segment
}

// segment is a part of a sheet. What is empty is not shown.
type segment struct {
	Anchor, Title string
	Text          []string
	List          []string
	Facts         []factView
	Tabs          []tabView
	Charts        []chartView
	Tables        []tableView
	Code          []codeLine
	Code2         bool // Code is a difference
	Forms         []formView
}

// codeLine is a line of a policy's text or of a difference.
type codeLine struct {
	N    int    // counts from 1; 0 shows none
	Text string // with its sign in a difference
	Tone string // added, removed, place or empty
}

// formView is a form of a sheet.
type formView struct {
	Action string
	Get    bool
	Upload bool // it sends a file
	Title  string
	Text   string
	Hidden []hiddenField
	Fields []fieldView
	Submit string
	Danger bool
}

func (s *Server) sheet(w http.ResponseWriter, r *http.Request, v *sheetPage) error {
	if !access.Allows(ward.ActorFrom(r.Context()), access.ExportMake) {
		v.Head.Exports = ""
	}
	return render(s, w, r, http.StatusOK, s.pages.sheet, v)
}

// errNoEstate is the answer where nothing keeps the postures of devices.
var errNoEstate = ward.Errorf(ward.Unavailable, "The posture of the devices is not kept here, so this can’t be told.")

// looked is the filter of a request with the devices at its time, bounded by what the
// reader may see.
func (s *Server) looked(r *http.Request) (estate.Filter, *estate.Snapshot, error) {
	f, err := estate.ParseFilter(r.URL.Query())
	if err != nil {
		return f, nil, err
	}
	snap, err := s.snapshotAt(r, f.AsOf)
	f.Scope = ward.ActorFrom(r.Context()).Scope
	return f, snap, err
}

// snapshotAt returns the devices at a time, those of now for the zero time.
func (s *Server) snapshotAt(r *http.Request, t time.Time) (*estate.Snapshot, error) {
	switch {
	case s.Fleet.Estate == nil:
		return nil, errNoEstate
	case t.IsZero():
		return s.Fleet.Estate.Current(r.Context())
	}
	return s.Fleet.Estate.At(r.Context(), t)
}

// devicesAddress is the list of the devices that a filter means.
func devicesAddress(f estate.Filter) string { return address("/devices", f.Values()) }

// address adds a query to a path.
func address(path string, q url.Values) string {
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// with returns the query of a request with other values; an empty value takes a key out.
func with(r *http.Request, pairs ...string) url.Values {
	q := r.URL.Query()
	q.Del("format")
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			q.Del(pairs[i])
			continue
		}
		q.Set(pairs[i], pairs[i+1])
	}
	return q
}

// here is the address of a request with other values in its query.
func here(r *http.Request, pairs ...string) string { return address(r.URL.Path, with(r, pairs...)) }

// wrapped shows a table whose texts are read whole rather than cut off.
func wrapped(t report.Table, now time.Time) tableView {
	v := tableOf(t, now)
	v.Class += " wrap"
	return v
}

// stateCell is a cell that shows a tag.
func stateCell(t tag) report.Cell { return report.Cell{Text: t.Text, Tone: t.Tone, Icon: t.Icon} }

// numberCell is a number that leads to what it counts; none where nothing is known.
func numberCell(n int, href string) report.Cell {
	if n == 0 {
		href = ""
	}
	return report.Cell{Text: decimal(n), Href: href}
}

// textCell is a text.
func textCell(text string) report.Cell { return report.Cell{Text: text} }

// lasting says how long something took, in its largest unit.
func lasting(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "under 1 min"
	case d < time.Hour:
		return plural(int(d/time.Minute), "minute")
	case d < 48*time.Hour:
		return plural(int(d/time.Hour), "hour")
	}
	return plural(int(d/(24*time.Hour)), "day")
}

// ruleDays are the spans of a trend, in days.
var ruleDays = []int{7, 30, 90, 365}

// daysOf reads the span of a trend from an address, with a tab for each.
func daysOf(r *http.Request, otherwise int) (days int, tabs []tabView) {
	days = otherwise
	for _, d := range ruleDays {
		if r.URL.Query().Get("days") == decimal(d) {
			days = d
		}
	}
	for _, d := range ruleDays {
		tabs = append(tabs, tabView{Text: plural(d, "day"), Href: here(r, "days", decimal(d)), Current: d == days})
	}
	return days, tabs
}

func decimal(n int) string { return strconv.Itoa(n) }
