package web

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/report"
)

// app shows one app of the catalogue: GET /apps/{slug}?days=.
func (s *Server) app(w http.ResponseWriter, r *http.Request) error {
	p, _, err := s.current(r.Context())
	if err != nil {
		return err
	}
	a, ok := catalogueOf(p).Lookup(r.PathValue("slug"))
	if !ok {
		return ward.Errorf(ward.NotFound, "The catalogue has no app %q.", r.PathValue("slug"))
	}
	if a.Slug != r.PathValue("slug") {
		return see(w, r, appAddress(a.Slug)) // an alias
	}
	f, snap, err := s.looked(r)
	if err != nil {
		return err
	}
	f.App, f.Blocked = a.Slug, false
	places := s.placesTable(a, f, snap)
	if done, err := s.export(w, r, func() (report.Table, error) { return places, nil }); done || err != nil {
		return err
	}
	now, blocked := s.Now(), blockedSlugs(p)
	_, st := standing(a, p, blocked, now)
	v := &sheetPage{Page: Page{Title: a.Name, Section: "apps", Backlink: "/apps", Backname: "Apps"}}
	on := snap.Match(f)
	v.Head = pageHead{Title: a.Name, Tag: &st, Caption: categoryName(a.Category), AsOf: at(snap.At, now), Exports: here(r)}
	v.Head.Actions = []action{{Text: plural(len(on), "device") + " with it", Href: devicesAddress(f), Primary: true}}
	narrowed := f
	narrowed.App = ""
	bar := s.filterBar(r, snap, narrowed, "days")
	v.Filter = &bar
	if a.Caution != "" {
		v.Notes = append(v.Notes, noteView{Tone: "warn", Text: a.Caution})
	}
	where := tableOf(places, now)
	where.Empty = emptyView{Title: "On no device", Text: []string{"No device that you may see has it, as far as they have told."}}
	v.Segments = []segment{
		{Anchor: "about", Title: "About", Facts: appFacts(a)},
		{Anchor: "where", Title: "Where it is", Tables: []tableView{where}},
	}
	past, err := s.appHistory(r, a, f)
	if err != nil {
		return err
	}
	v.Segments = append(v.Segments, past...)
	if p != nil {
		v.Segments = append(v.Segments, segment{
			Anchor: "how", Title: "How it is kept off, and where it can’t be", Text: []string{"For devices of current systems that are in no group of the policy."},
			Tables: []tableView{wrapped(reachTable(a, p, blocked[a.Slug], s), now)},
		})
	}
	v.Segments = append(v.Segments, segment{
		Anchor: "names", Title: "What it is called", Text: []string{
			"Grade A: read in the vendor’s source, a packaging manifest or on a device. L: in Apple’s lookup service. B: in a third party’s list, unconfirmed.",
		},
		Tables: []tableView{wrapped(identifierTable(a), now)},
	})
	return s.sheet(w, r, v)
}

func appFacts(a catalogue.App) []factView {
	out := []factView{{Label: "Service", Value: sentenceCase(string(a.Status))}}
	if len(a.Aliases) > 0 {
		out = append(out, factView{Label: "Also called", Value: strings.Join(a.Aliases, ", ")})
	}
	if a.ForksOf != "" {
		out = append(out, factView{Label: "Variant of", Value: a.ForksOf, Href: appAddress(a.ForksOf)})
	}
	if len(a.SharesWith) > 0 {
		out = append(out, factView{Label: "Shares names with", Value: strings.Join(a.SharesWith, ", ")})
	}
	if a.Notes != "" {
		out = append(out, factView{Label: "Good to know", Value: a.Notes})
	}
	return out
}

// placesTable counts the devices with an app by ward and site.
func (s *Server) placesTable(a catalogue.App, f estate.Filter, snap *estate.Snapshot) report.Table {
	t := report.Table{Name: "app-" + a.Slug, Title: a.Name + " by site and ward", Says: f.Words(), AsOf: snap.At, Columns: []report.Column{
		{Head: "Site"}, {Head: "Ward or team"}, {Head: "On devices", Kind: report.Number}, {Head: "Of devices", Kind: report.Number},
	}}
	type place struct{ site, group string }
	all, with := map[place]int{}, map[place]int{}
	g := f
	g.App = ""
	for _, d := range snap.Match(g) {
		k := place{d.Site, d.Group}
		all[k]++
		if slices.Contains(d.Apps, a.Slug) {
			with[k]++
		}
	}
	var keys []place
	for k := range with {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(x, y place) int {
		return cmp.Or(with[y]-with[x], estate.CompareNames(x.site, y.site), estate.CompareNames(x.group, y.group))
	})
	for _, k := range keys {
		in := f
		in.Sites, in.Groups = []string{k.site}, []string{k.group}
		of := in
		of.App = ""
		row := []report.Cell{textCell(cmp.Or(k.site, "No site")), textCell(cmp.Or(k.group, "No ward")), numberCell(with[k], devicesAddress(in)), numberCell(all[k], devicesAddress(of))}
		if f.Ownership == ward.Personal && with[k] < fewest {
			row[2] = textCell("fewer than 5")
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// appHistory are the trend of an app and how long it stayed.
func (s *Server) appHistory(r *http.Request, a catalogue.App, f estate.Filter) ([]segment, error) {
	f.App = ""
	if !(appsAsked{filter: f}).wide() {
		return []segment{{Anchor: "trend", Title: "Trend", Text: []string{"Trends and times to removal are kept of the whole fleet, so they are not shown for a part of it or for the past."}}}, nil
	}
	days, tabs := daysOf(r, 30)
	now := s.Now()
	trend, err := s.Fleet.Estate.Trend(r.Context(), estate.Cut{By: estate.ByApp, Value: a.Slug}, days)
	if err != nil {
		return nil, err
	}
	out := segment{Anchor: "trend", Title: "Trend and removal", Tabs: tabs}
	if len(trend) == 0 {
		out.Text = []string{"No day is recorded yet on which the policy blocked it."}
	} else {
		out.Charts = []chartView{chartOf(trendChart("Devices with "+a.Name, "Devices with it", trend, func(d estate.Day) float64 { return float64(d.Blocked) }))}
	}
	t := report.Table{Title: "Removal of " + a.Name, Columns: []report.Column{
		{Head: "Where"}, {Head: "Gone", Kind: report.Number}, {Head: "Median to removal"}, {Head: "95 %"}, {Head: "Still there", Kind: report.Number}, {Head: "Oldest since", Kind: report.Time},
	}}
	for _, by := range []estate.Dimension{estate.Everything, estate.BySite, estate.ByGroup, estate.ByPlatform} {
		gone, err := s.Fleet.Estate.Removals(r.Context(), a.Slug, by, now.AddDate(0, 0, -days), now)
		if err != nil {
			return nil, err
		}
		t.Rows = append(t.Rows, removalRows(gone, by, a.Slug)...)
	}
	out.Tables = []tableView{tableOf(t, now)}
	out.Tables[0].Empty = emptyView{Title: "Nothing to tell", Text: []string{"It was on no device in these days."}}
	return []segment{out}, nil
}

func removalRows(gone map[string]estate.Removal, by estate.Dimension, slug string) (rows [][]report.Cell) {
	var keys []string
	for k, g := range gone {
		if g.Removed+g.Present > 0 {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, estate.CompareNames)
	for _, k := range keys {
		g := gone[k]
		where, f := k, estate.Filter{App: slug, Blocked: true}
		switch by {
		case estate.Everything:
			where = "Everywhere"
		case estate.BySite:
			where, f.Sites = "Site "+k, []string{k}
		case estate.ByGroup:
			where, f.Groups = "Ward "+k, []string{k}
		case estate.ByPlatform:
			where, f.Platforms = platformName(ward.Platform(k)), []ward.Platform{ward.Platform(k)}
		case estate.ByOwner, estate.ByApp:
		}
		row := []report.Cell{textCell(where), textCell(decimal(g.Removed)), {}, {}, numberCell(g.Present, devicesAddress(f)), {Time: g.Oldest, Text: "–"}}
		if k == "" && by != estate.Everything {
			row[0] = textCell(map[estate.Dimension]string{estate.BySite: "No site", estate.ByGroup: "No ward"}[by])
		}
		if g.Removed > 0 {
			row[2], row[3] = textCell(lasting(g.P50)), textCell(lasting(g.P95))
		}
		rows = append(rows, row)
	}
	return rows
}

func reachTable(a catalogue.App, p *profiles.Policy, blocked bool, s *Server) report.Table {
	t := report.Table{Title: "How " + a.Name + " is kept off", Columns: []report.Column{{Head: "Kind of device", Share: 22}, {Head: "There", Kind: report.State, Share: 12}, {Head: "Why", Share: 44}, {Head: "By", Share: 22}}}
	for _, c := range reachOf(a, p, s.Now()) {
		st, by, why := c.words(blocked)
		t.Rows = append(t.Rows, []report.Cell{{Text: c.class.Name, Href: "/policies/explain?class=" + c.class.Key}, stateCell(st), textCell(why), textCell(by)})
	}
	return t
}

// kindWords are the kinds of identifier as people read them.
var kindWords = map[string]string{
	"ios": "iOS bundle id", "app_store": "App Store number", "android": "Android package", "macos": "macOS bundle id", "windows": "Windows", "linux": "Linux", "web": "Web", "network": "Servers",
}

func identifierTable(a catalogue.App) report.Table {
	t := report.Table{Title: "What " + a.Name + " is called", Columns: []report.Column{{Head: "Kind", Share: 14}, {Head: "Name", Share: 30}, {Head: "Grade", Share: 6}, {Head: "Source", Share: 50}}}
	all := a.Platforms()
	for _, kind := range catalogue.Kinds() {
		for _, id := range all[kind] {
			src := id.Source
			switch {
			case id.File != "":
				src = id.File + ": " + src
			case id.Shared:
				src += " (shared with other services: never blocked)"
			}
			name := id.ID
			if id.Team != "" {
				name += " · team " + id.Team + ", grade " + string(id.TeamGrade)
			}
			t.Rows = append(t.Rows, []report.Cell{textCell(kindWords[kind]), textCell(name), textCell(string(id.Grade)), textCell(src)})
		}
	}
	return t
}
