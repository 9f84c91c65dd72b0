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
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/report"
)

// spans are for how many days a trend can be shown.
var spans = []int{7, 30, 90, 365}

// usualSpan is shown where nobody chose another.
const usualSpan = 30

// worst is how many devices "What to do next" names.
const worst = 10

type overviewPage struct {
	Page
	Head      pageHead
	Filter    filterBar
	Spans     []tabView
	Tiles     []tileView // in the order in which the reader needs them
	Next      *tableView // what to do next
	First     bool       // it stands above the tiles
	NextAll   string     // address of all of it, where that is more
	NextWords string
	Trend     string // why there is no trend
	Fleet     int
	Bounds    string // what the reader is bounded to; empty for nothing
}

// overlook is what an overview is made of.
type overlook struct {
	*Server
	snap  *estate.Snapshot
	f     estate.Filter // of the devices that are counted
	now   time.Time
	days  []estate.Day // nil where there is no trend
	span  int
	stale int
	actor ward.Actor
}

// home is GET /: the overview, or for those who may see no device the pages that are theirs.
func (s *Server) home(w http.ResponseWriter, r *http.Request) error {
	a := ward.ActorFrom(r.Context())
	if !access.Allows(a, access.DeviceRead) {
		for _, to := range []string{"/mine", "/health", "/settings"} {
			if s.opens(a, to) {
				return see(w, r, to)
			}
		}
		return see(w, r, "/passphrase")
	}
	o, err := s.overlook(r)
	if err != nil {
		return err
	}
	v := &overviewPage{Page: Page{Title: "Overview", Section: "overview"}, Fleet: len(o.snap.Match(estate.Filter{Scope: o.f.Scope})), Bounds: boundWords(o.f.Scope)}
	v.Head = pageHead{Title: "Overview", Caption: capital(strings.Join(o.said(), " · ")), AsOf: at(o.snap.At, o.now), Stale: o.stale, StaleHref: o.list(stateFilter(o.f, compliance.Unknown))}
	if o.f.AsOf.IsZero() {
		v.Live = "/events"
	}
	shown := o.f
	shown.Enrolled = false // it is meant by every number here
	v.Filter = s.filterBar(r, o.snap, shown, "days")
	if err := s.addViews(r, &v.Filter, shown); err != nil {
		return err
	}
	v.Spans = o.spans()
	if v.Trend, err = o.trend(r.Context()); err != nil {
		return err
	}
	if err := o.fill(r.Context(), v); err != nil {
		return err
	}
	return render(s, w, r, http.StatusOK, s.pages.overview, v)
}

// overlook reads what the overview of a request is of.
func (s *Server) overlook(r *http.Request) (*overlook, error) {
	f, err := s.filterOf(r)
	if err != nil {
		return nil, err
	}
	o := &overlook{Server: s, f: f, now: s.Now(), span: usualSpan, actor: ward.ActorFrom(r.Context())}
	if d := r.URL.Query().Get("days"); d != "" {
		if o.span, err = strconv.Atoi(d); err != nil || !slices.Contains(spans, o.span) {
			return nil, ward.Errorf(ward.Invalid, "A trend is shown for 7, 30, 90 or 365 days.")
		}
	}
	if o.snap, err = s.snapshot(r.Context(), f); err != nil {
		return nil, err
	}
	o.f.Enrolled = true
	o.stale = o.count(stateFilter(o.f, compliance.Unknown))
	return o, nil
}

// said is what the numbers are of, in words.
func (o *overlook) said() []string {
	f := o.f
	f.Enrolled, f.AsOf = false, time.Time{}
	return f.Words()
}

func (o *overlook) count(f estate.Filter) int { return len(o.snap.Match(f)) }

// list is the address of the devices that a number counts.
func (o *overlook) list(f estate.Filter) string { return filtered("/devices", f, nil) }

// with is the filter of the page with something more.
func (o *overlook) with(change func(*estate.Filter)) estate.Filter {
	f := o.f
	change(&f)
	return f
}

// spans are the links to other trends.
func (o *overlook) spans() (out []tabView) {
	shown := o.f
	shown.Enrolled = false
	for _, n := range spans {
		out = append(out, tabView{Text: daysName(strconv.Itoa(n)), Href: filtered("/", shown, url.Values{"days": {strconv.Itoa(n)}}), Current: n == o.span})
	}
	return out
}

// fill puts the tiles into the order in which the reader needs them: who helps people with
// their devices sees what to do next, who governs sees the trends, who runs the server sees
// whether anything is about to break.
func (o *overlook) fill(ctx context.Context, v *overviewPage) error {
	devices, err := o.deviceTiles(ctx)
	if err != nil {
		return err
	}
	works, err := o.workTiles(ctx)
	if err != nil {
		return err
	}
	helps := access.Allows(o.actor, access.DeviceLost)
	v.Tiles = append(slices.Clone(devices), works...)
	if !helps && access.Allows(o.actor, access.HealthRead) && !access.Allows(o.actor, access.RegisterRead) {
		v.Tiles = append(works, devices...)
	}
	if helps {
		t, total, all := o.next()
		v.Next, v.First = &t, o.f.AsOf.IsZero()
		if total > len(t.Rows) {
			v.NextAll, v.NextWords = all, fmt.Sprintf(textSeeAll, count(total))
		}
	}
	return nil
}

// next names the devices that somebody should look at first, with what to do, and says how
// many there are and where.
func (o *overlook) next() (next tableView, total int, all string) {
	t := report.Table{Title: "What to do next", Columns: []report.Column{
		{Head: "State", Kind: report.State, Share: 12}, {Head: "Device", Share: 16}, {Head: "Why", Share: 28}, {Head: "What to do", Share: 30}, {Head: "Owner", Share: 12}, {Head: "Since", Kind: report.Time, Share: 8},
	}}
	urgent := o.f
	if len(urgent.States) == 0 {
		urgent.States = []compliance.State{compliance.Lost, compliance.NonCompliant, compliance.InGrace, compliance.Unknown}
	}
	page, _, total := o.snap.Page(urgent, "", worst)
	for _, d := range page {
		g := stateTag(d.State)
		row := []report.Cell{{Text: g.Text, Tone: g.Tone, Icon: g.Icon}, {Text: calledName(d), Href: deviceAddress(d.ID)}, {Text: d.Reason()}, {}, {Text: d.Owner}, {Time: d.Since}}
		if len(d.Findings) > 0 {
			row[3].Text = d.Findings[0].Cure
		}
		t.Rows = append(t.Rows, row)
	}
	v := tableOf(t, o.now)
	v.Columns[2].Class += " lead"
	v.Columns[4].Class += " wide900"
	v.Empty = emptyView{Title: "Nothing to do", Text: []string{"Every device that is counted here complies."}}
	return v, total, o.list(urgent)
}
