package web

import (
	"math"
	"net/http"
	"time"

	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/report"
)

// stylePage shows each component in all its states, for those who make pages.
type stylePage struct {
	Page
	Head    pageHead
	Tones   []tag
	States  []tag
	Tabs    []tabView
	Filter  filterBar
	Table   tableView
	Loose   tableView
	Nothing tableView
	Facts   []factView
	Tasks   []taskView
	Tiles   []tileView
	Lines   chartView
	Bars    chartView
	None    chartView
	Fields  []fieldView
	Notes   []noteView
	Empty   emptyView
	Moments []moment
}

// style shows the components: GET /style.
func (s *Server) style(w http.ResponseWriter, r *http.Request) error {
	now := s.Now()
	v := &stylePage{
		Page: Page{Title: "Style"},
		Head: pageHead{
			Title: "Style", Caption: "Each component in all its states", AsOf: at(now, now), Stale: 3, StaleHref: "/devices?state=unknown", Exports: "/devices",
			Actions: []action{{Text: "Second", Href: "#buttons"}, {Text: "First", Href: "#buttons", Primary: true}},
		},
		Tones: []tag{{"Good", "good", "check"}, {"Bad", "bad", "alert"}, {"Warning", "warn", "clock"}, {"Information", "info", "half"}, {"Lost", "lost", "pin"}, {"Quiet", "quiet", "gone"}},
		Tabs:  []tabView{{Text: "All", Href: "#tabs", Current: true, Count: 28}, {Text: "Lost", Href: "#tabs", Count: 1, Tag: &tag{"Lost", "lost", "pin"}}, {Text: "In grace", Href: "#tabs", Counted: true, Tag: &tag{"In grace", "warn", "clock"}}},
		Facts: []factView{{Label: "Serial number", Value: "F2LX1417Q1"}, {Label: "State", Value: "since Tuesday", Tag: &tag{"Compliant", "good", "check"}}, {Label: "Policy", Value: "Version 12", Href: "#facts"}, {Label: "Several lines", Value: "One\nTwo"}},
		Tasks: []taskView{{Text: "Install the push certificate", Hint: "Apple phones hear from Ward by it.", Href: "#tasks", Tag: tag{"Done", "good", "check"}}, {Text: "Invite two approvers", Hint: "Orders take two people.", Href: "#tasks", Tag: tag{"To do", "info", "clock"}}, {Text: "Publish a policy", Tag: tag{"Cannot start yet", "quiet", "gone"}}},
		Notes: []noteView{{Tone: "info", Title: "Title of a note", Text: "What to know before one reads on."}, {Tone: "good", Text: "What was done."}, {Tone: "warn", Text: "What needs care.", Link: &action{Text: "See why", Href: "#notes"}}, {Tone: "bad", Title: "What is broken", Text: "And what to do."}},
		Empty: emptyView{Title: "Nothing here yet", Text: []string{"Why, and what makes something stand here."}, Action: &action{Text: "Do it", Href: "#empty", Primary: true}},
		Fields: []fieldView{
			{Name: "f-text", Label: "A text", Hint: "With a hint.", Value: "Ward 7", Required: true},
			{Name: "f-wrong", Label: "A text that is wrong", Value: "x", Error: "Give at least two characters.", Required: true},
			{Name: "f-choice", Label: "A choice", Options: []optionView{{"", "Choose", false}, {"a", "One", true}, {"b", "Two", false}}},
			{Name: "f-lines", Label: "Several lines", Rows: 3},
			{Name: "f-file", Label: "A file", Type: "file"},
			{Name: "f-day", Label: "A day", Type: "date"},
		},
		Moments: []moment{at(now.Add(-30*time.Second), now), at(now.Add(-3*time.Hour), now), at(now.Add(26*time.Hour), now), at(time.Time{}, now)},
	}
	for _, st := range estate.Attention {
		v.States = append(v.States, stateTag(st))
	}
	v.Filter = filterBar{
		Action: "/devices", AsOfMax: now.Format(time.DateOnly), Clear: "#filter", Chips: []chip{{"Ward 7", "#filter"}, {"Has WhatsApp", "#filter"}},
		Choices: []filterChoice{choiceOf(keySite, "Site", "Any", []string{"Royal"}, []string{"Royal", "Infirmary"}, same), choiceOf(keyGroup, "Ward", "Any", []string{"A", "B"}, []string{"A", "B", "C"}, same)},
		More:    []filterChoice{choiceOf(keyNotSeen, "Not seen for", "Any time", nil, []string{"7", "30"}, daysName)},
		Views:   []savedLink{{Name: "My ward", Href: "#filter", Current: true}, {Name: "Board", Href: "#filter", Shared: true}},
		Save:    "#filter",
	}
	v.sampleTables(now)
	v.sampleTiles(now)
	return render(s, w, r, http.StatusOK, s.pages.style, v)
}

// sampleTables fills in the tables.
func (v *stylePage) sampleTables(now time.Time) {
	t := report.Table{Title: "A table of shares", Columns: []report.Column{{Head: "State", Kind: report.State}, {Head: "Name", Share: 24}, {Head: "What", Share: 40}, {Head: "Number", Kind: report.Number, Share: 10}, {Head: "When", Kind: report.Time}}}
	for i, st := range []compliance.State{compliance.Lost, compliance.NonCompliant, compliance.Compliant} {
		g := stateTag(st)
		t.Rows = append(t.Rows, []report.Cell{{Text: g.Text, Tone: g.Tone, Icon: g.Icon}, {Text: "Asha’s iPhone", Href: "#tables"}, {Text: "A reason that is longer than its column and so is cut off, to be read in full where it leads"}, {Text: count(17 * (i + 1) * (i + 1) * 90)}, {Time: now.Add(-time.Duration(i*i*9) * time.Hour)}})
	}
	v.Table = tableOf(t, now)
	v.Table.From, v.Table.To, v.Table.Total, v.Table.Next, v.Table.Pick, v.Table.PickName = 1, 3, 28, "#tables", "picking", "device"
	for i := range v.Table.Rows {
		v.Table.Rows[i].Value = "x"
	}
	t.Title = "A table that takes the room it needs"
	for i := range t.Columns {
		t.Columns[i].Share = 0
	}
	v.Loose = tableOf(t, now)
	v.Nothing = tableOf(report.Table{Title: "Nothing"}, now)
	v.Nothing.Empty = emptyView{Title: "No device matches", Text: []string{"A table without rows says why."}}
}

// sampleTiles fills in the tiles and the charts.
func (v *stylePage) sampleTiles(now time.Time) {
	c := report.Chart{Title: "Compliant devices", Unit: "devices", Series: []report.Series{{Name: "Compliant", Tone: "good"}, {Name: "Non-compliant", Tone: "bad"}}}
	for i := range 30 {
		c.Times = append(c.Times, now.AddDate(0, 0, i-30))
		c.Series[0].Values = append(c.Series[0].Values, 1200+40*math.Sin(float64(i)/4)+float64(i)*6)
		c.Series[1].Values = append(c.Series[1].Values, math.Trunc(160-float64(i)*3.5))
	}
	for i := range c.Series[0].Values {
		c.Series[0].Values[i] = math.Trunc(c.Series[0].Values[i])
	}
	c.Series[1].Values[11] = math.NaN()
	v.Lines = chartOf(c)
	one := c
	one.Title, one.Series = "Compliant devices in a tile", c.Series[:1]
	c.Title, c.Bars = "Compliant devices as bars", true
	v.Bars, v.None = chartOf(c), chartOf(report.Chart{Title: "A chart of nothing"})
	bar := barOf([]barPart{{Tag: stateTag(compliance.Compliant), Count: 1310, Href: "#tiles"}, {Tag: stateTag(compliance.InGrace), Count: 90, Href: "#tiles"}, {Tag: stateTag(compliance.NonCompliant), Count: 58, Href: "#tiles"}})
	v.Tiles = []tileView{
		{Title: "Compliance", Number: "90 %", Of: "of 1,458 devices", Href: "#tiles", Bar: bar, Chart: sparkOf(one), AsOf: at(now, now), Stale: 12, StaleHref: "#tiles"},
		{Title: "Blocked apps present", Number: "58", Of: "devices", Href: "#tiles", Lines: []tileLine{{Text: "WhatsApp", Count: "41", Href: "#tiles"}, {Text: "Median time to removal 3 days"}}, AsOf: at(now, now)},
		{Title: "Push certificate", Number: "12 days", Of: "left", Tag: &tag{"Renew it", "warn", "clock"}, Lines: []tileLine{{Text: "Ends 3 December 2026"}}},
	}
}
