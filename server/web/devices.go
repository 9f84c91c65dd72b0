package web

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/report"
)

// listPage is how many devices stand on one page.
const listPage = 50

type devicesPage struct {
	Page
	Head   pageHead
	Filter filterBar
	Tabs   []tabView
	Table  tableView
	Fleet  int    // devices there are
	Bounds string // what the reader is bounded to; empty for nothing
	Bulk   *bulkView
}

// bulkView is what can be done with the devices that are ticked, or with all of a list.
type bulkView struct {
	Refresh, Lost bool   // what the reader may do
	Query         string // the filter
	Total         int
}

// Told is how many devices the filter has, as people read it.
func (b bulkView) Told() string { return count(b.Total) }

// boundWords says to whoever sees no device what they are bounded to; nothing where they see
// everything.
func boundWords(s ward.Scope) string {
	all := slices.Concat(s.Sites, s.Groups)
	if len(all) == 0 {
		return ""
	}
	return fmt.Sprintf(textBounds, strings.Join(all, ", "))
}

// scope bounds what the reader sees.
func scope(ctx context.Context) ward.Scope { return ward.ActorFrom(ctx).Scope }

// filterOf reads the filter of an address, bounded to what the reader may see. A day that
// has not ended means now.
func (s *Server) filterOf(r *http.Request) (estate.Filter, error) {
	f, err := estate.ParseFilter(r.URL.Query())
	if err != nil {
		return f, err
	}
	f.Scope = scope(r.Context())
	if today := s.Now().UTC().Truncate(24 * time.Hour); f.AsOf.After(s.Now()) && f.AsOf.Before(today.AddDate(0, 0, 1)) {
		f.AsOf = time.Time{}
	}
	return f, nil
}

// snapshot is every device at the time of a filter.
func (s *Server) snapshot(ctx context.Context, f estate.Filter) (*estate.Snapshot, error) {
	ctx = ward.Unbounded(ctx) // the filter bounds it, and the estate is everybody's
	if f.AsOf.IsZero() {
		return s.Fleet.Estate.Current(ctx)
	}
	return s.Fleet.Estate.At(ctx, f.AsOf)
}

// devices lists devices: GET /devices with the words of a filter, and after.
func (s *Server) devices(w http.ResponseWriter, r *http.Request) error {
	f, err := s.filterOf(r)
	if err != nil {
		return err
	}
	ctx := r.Context()
	snap, err := s.snapshot(ctx, f)
	if err != nil {
		return err
	}
	if done, err := s.export(w, r, func() (report.Table, error) { return s.devicesTable(snap, f, snap.Match(f)), nil }); done || err != nil {
		return err
	}
	after := ward.DeviceID(r.URL.Query().Get("after"))
	page, first, total := snap.Page(f, after, listPage)
	v := &devicesPage{Page: Page{Title: "Devices", Section: "devices"}, Fleet: len(snap.Match(estate.Filter{Scope: f.Scope})), Bounds: boundWords(f.Scope)}
	counts := snap.Counts(f)
	v.head(ctx, snap, f, s.Now())
	if f.AsOf.IsZero() {
		v.Live = "/events"
	}
	v.Filter = s.filterBar(r, snap, f)
	if err := s.addViews(r, &v.Filter, f); err != nil {
		return err
	}
	v.Tabs = stateTabs("/devices", f, counts)
	v.table(s, snap, f, page, first, total)
	v.bulk(ctx, f, total)
	return render(s, w, r, http.StatusOK, s.pages.devices, v)
}

// head says what the list is of.
func (v *devicesPage) head(ctx context.Context, snap *estate.Snapshot, f estate.Filter, now time.Time) {
	said := f
	said.States, said.AsOf = nil, time.Time{}
	stale := stateFilter(f, compliance.Unknown)
	stale.Enrolled = true // whoever never enrolled has no facts that could be too old
	v.Head = pageHead{
		Title: "Devices", Caption: capital(strings.Join(said.Words(), " · ")), AsOf: at(snap.At, now), Stale: len(snap.Match(stale)),
		StaleHref: filtered("/devices", stale, nil),
	}
	if access.Allows(ward.ActorFrom(ctx), access.ExportMake) {
		v.Head.Exports = filtered("/devices", f, nil)
	}
}

// stateTabs are the counts of a filter by state, each of which leads to what it counts.
func stateTabs(path string, f estate.Filter, counts map[compliance.State]int) []tabView {
	all := f
	all.States = nil
	total := 0
	for _, n := range counts {
		total += n
	}
	tabs := []tabView{{Text: "All", Href: filtered(path, all, nil), Current: len(f.States) == 0, Count: total, Counted: true}}
	for _, st := range estate.Attention {
		t := stateTag(st)
		tabs = append(tabs, tabView{Text: t.Text, Href: filtered(path, stateFilter(f, st), nil), Current: len(f.States) == 1 && f.States[0] == st, Count: counts[st], Counted: true, Tag: &t})
	}
	return tabs
}

// devicesTable is the list as pages show it and files keep it.
func (s *Server) devicesTable(snap *estate.Snapshot, f estate.Filter, devices []*estate.Device) report.Table {
	t := report.Table{
		Name: "devices", Title: "Devices", Says: f.Words(), AsOf: snap.At,
		Columns: []report.Column{
			{Head: "State", Kind: report.State, Share: 12},
			{Head: "Name", Share: 14},
			{Head: "Reason", Share: 22},
			{Head: "Owner", Share: 12},
			{Head: "Ward", Share: 8},
			{Head: "Site", Share: 8},
			{Head: "Ownership", Share: 8},
			{Head: "System", Share: 8},
			{Head: "Last seen", Kind: report.Time, Share: 8},
		},
		Rows: make([][]report.Cell, 0, len(devices)),
	}
	for _, d := range devices {
		g := stateTag(d.State)
		t.Rows = append(t.Rows, []report.Cell{
			{Text: g.Text, Tone: g.Tone, Icon: g.Icon},
			{Text: calledName(d), Href: deviceAddress(d.ID)},
			{Text: d.Reason()},
			{Text: d.Owner},
			{Text: d.Group, Href: groupAddress(d.Group, f.AsOf)},
			{Text: d.Site},
			{Text: ownershipName(d.Ownership)},
			{Text: strings.TrimSpace(platformName(d.Platform) + " " + d.OSVersion)},
			{Time: d.LastSeen},
		})
	}
	return t
}

// table is a page of the list.
func (v *devicesPage) table(s *Server, snap *estate.Snapshot, f estate.Filter, page []*estate.Device, first, total int) {
	v.Table = tableOf(s.devicesTable(snap, f, page), s.Now())
	v.Table.Caption = "Devices, the most urgent first"
	v.Table.From, v.Table.To, v.Table.Total = first+1, first+len(page), total
	v.Table.Class += " devices"
	for i, class := range map[int]string{2: "lead", 5: "wide900", 6: "wide900", 7: "wide900"} {
		v.Table.Columns[i].Class += " " + class
	}
	if first+len(page) < total {
		v.Table.Next = filtered("/devices", f, url.Values{"after": {string(page[len(page)-1].ID)}})
	}
	if first > 0 {
		v.Table.First = filtered("/devices", f, nil)
	}
	v.Table.Empty = emptyView{Title: "No device matches", Text: []string{"No device is " + strings.Join(f.Words(), " and ") + "."}, Action: &action{Text: "Show all " + count(v.Fleet), Href: "/devices"}}
	for i, d := range page {
		v.Table.Rows[i].Value = string(d.ID)
	}
}

// bulk offers what the reader may do with many devices, in the present.
func (v *devicesPage) bulk(ctx context.Context, f estate.Filter, total int) {
	a := ward.ActorFrom(ctx)
	b := bulkView{Refresh: access.Allows(a, access.DeviceRefresh), Lost: access.Allows(a, access.DeviceLost), Query: f.Values().Encode(), Total: total}
	if !f.AsOf.IsZero() || !b.Refresh && !b.Lost || total == 0 {
		return
	}
	v.Bulk, v.Table.Pick, v.Table.PickName = &b, "picking", "device"
}

// maxTicked is how many devices one form may name.
const maxTicked = 100

// refreshMany is POST /devices/refresh: the devices that are ticked, or all of a filter.
func (s *Server) refreshMany(w http.ResponseWriter, r *http.Request) error {
	if s.Fleet.RefreshMany == nil {
		return ward.Errorf(ward.Unavailable, "Many devices can’t be asked at once here. Ask one on its page.")
	}
	q, err := url.ParseQuery(field(r, "filter"))
	if err != nil {
		return ward.Errorf(ward.Invalid, "The filter of the list can’t be read. Open the list anew.")
	}
	f, err := estate.ParseFilter(q)
	if err != nil {
		return err
	}
	back := filtered("/devices", f, nil)
	ctx := r.Context()
	f.Scope = scope(ctx)
	snap, err := s.snapshot(ctx, estate.Filter{})
	if err != nil {
		return err
	}
	said := f.Words()
	ticked := map[ward.DeviceID]bool{}
	if field(r, "which") != "all" {
		for _, id := range r.PostForm["device"] {
			ticked[ward.DeviceID(id)] = true
		}
		if len(ticked) == 0 || len(ticked) > maxTicked {
			return ward.Errorf(ward.Invalid, "Tick 1 to %d devices first, or refresh all of the list.", maxTicked)
		}
		f, said = estate.Filter{Scope: f.Scope}, nil
	}
	var ids []ward.DeviceID
	for _, d := range snap.Match(f) {
		if (len(ticked) == 0 || ticked[d.ID]) && d.Managed {
			ids = append(ids, d.ID)
		}
	}
	asked, err := s.Fleet.RefreshMany(ctx, ids, said)
	if err != nil {
		return err
	}
	s.flash(r, textAsked, plural(asked, "device"))
	return see(w, r, back)
}

// calledName is what a device is called by people.
func calledName(d *estate.Device) string { return cmp.Or(d.Name, d.Serial, string(d.ID)) }

// nameOf is what a device is called by people.
func nameOf(d ward.Device) string { return cmp.Or(d.Name, d.Serial, string(d.ID)) }

func platformName(p ward.Platform) string { return estate.PlatformName(p) }

func osOf(d ward.Device) string {
	return strings.TrimSpace(platformName(d.Platform) + " " + d.OSVersion)
}

func deviceAddress(id ward.DeviceID) string { return "/devices/" + url.PathEscape(string(id)) }

// groupAddress is the list of a ward, at the same moment.
func groupAddress(group string, asOf time.Time) string {
	if group == "" {
		return ""
	}
	return filtered("/devices", estate.Filter{Groups: []string{group}, AsOf: asOf}, nil)
}

// capital is s with a capital at its beginning.
func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
