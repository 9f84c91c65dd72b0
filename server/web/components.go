package web

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward/server/report"
)

// The components are the parts that pages are made of; templates/components.html draws
// them and /style shows each in all its states.

// action is a link that looks like a button.
type action struct {
	Text, Href string
	Primary    bool
}

// pageHead is the head of a page: what it is, how fresh, and what can be done with it.
type pageHead struct {
	Title     string
	Tag       *tag   // a state beside the title
	Caption   string // one line under the title
	AsOf      moment
	Stale     int    // devices whose facts are too old or were never told
	StaleHref string // their list
	Actions   []action
	Exports   string // address to which format=csv or format=pdf is added; empty for none
}

// CSV is the address of the same list as a file.
func (h pageHead) CSV() string { return withFormat(h.Exports, "csv") }

// PDF is the address of the same list as a signed document.
func (h pageHead) PDF() string { return withFormat(h.Exports, "pdf") }

func withFormat(address, format string) string {
	if strings.Contains(address, "?") {
		return address + "&format=" + format
	}
	return address + "?format=" + format
}

// columnView is a column of a table.
type columnView struct {
	Head  string
	Class string // how it is set, and its share of the width
	Key   bool   // names the row
}

// cellView is one cell: a text, a link, a tag or a time.
type cellView struct {
	Text string
	Href string
	Tag  *tag
	When moment // shown where it is known, or where Text and Tag are empty
	Time bool   // the cell is a time
	Full string // shown when one points at a text that may be cut off
}

// Empty reports whether nothing stands in the cell.
func (c cellView) Empty() bool { return c.Text == "" && c.Tag == nil && !c.Time }

// rowView is a row of a table.
type rowView struct {
	Value string // what its tick sends; empty where it can't be ticked
	Name  string // what it is called to those who hear the page
	Cells []cellView
}

// emptyView says that there is nothing, why, and what to do.
type emptyView struct {
	Title  string
	Text   []string
	Action *action
}

// tableView is a table with its pager.
type tableView struct {
	Caption         string // read out, not shown
	Class           string
	Columns         []columnView
	Rows            []rowView
	Empty           emptyView
	Next, First     string // addresses of pages; empty for none
	From, To, Total int    // rows shown and there are; 0 shows no numbers
	Pick            string // id of the form that ticks belong to; empty for no ticks
	PickName        string // name of the field that a tick sends
}

// Range says which rows are shown, of how many.
func (t tableView) Range() string {
	if t.To == 0 {
		return count(t.Total)
	}
	return fmt.Sprintf(textRange, count(t.From), count(t.To), count(t.Total))
}

// Cells pairs the columns of a table with the cells of a row.
func (t tableView) Cells(r rowView) []struct {
	columnView
	cellView
} {
	out := make([]struct {
		columnView
		cellView
	}, 0, len(r.Cells))
	for i, c := range r.Cells {
		out = append(out, struct {
			columnView
			cellView
		}{t.Columns[i], c})
	}
	return out
}

// tableOf shows a table as a page does.
func tableOf(t report.Table, now time.Time) tableView {
	v := tableView{Caption: t.Title, Class: "auto"}
	key := keyColumn(t.Columns)
	for i, c := range t.Columns {
		class := kindClass(c.Kind)
		if c.Share > 0 {
			v.Class = "fixed"
			class += " s" + strconv.Itoa(min(max(c.Share, 4), 60)/2*2)
		}
		v.Columns = append(v.Columns, columnView{Head: c.Head, Class: class, Key: i == key})
	}
	for _, row := range t.Rows {
		r := rowView{Cells: make([]cellView, len(row))}
		for i, c := range row {
			r.Cells[i] = cellOf(c, t.Columns[i].Kind, now)
		}
		if key < len(row) {
			r.Name = row[key].Text
		}
		v.Rows = append(v.Rows, r)
	}
	return v
}

// keyColumn finds the column that names the row: the first text.
func keyColumn(columns []report.Column) int {
	for i, c := range columns {
		if c.Kind == report.Text {
			return i
		}
	}
	return 0
}

func kindClass(k report.Kind) string {
	switch k {
	case report.Number:
		return "num"
	case report.Time:
		return "when"
	case report.State:
		return "state"
	case report.Text:
	}
	return "text"
}

func cellOf(c report.Cell, k report.Kind, now time.Time) cellView {
	v := cellView{Text: c.Text, Href: c.Href, Full: c.Text}
	switch {
	case k == report.State && c.Text != "":
		v.Tag = &tag{Text: c.Text, Tone: cmp.Or(c.Tone, "quiet"), Icon: cmp.Or(c.Icon, toneIcons[c.Tone])}
	case k == report.Number:
		if n, err := strconv.Atoi(c.Text); err == nil && !strings.HasPrefix(c.Text, "+") { // a change keeps its sign
			v.Text, v.Full = count(n), count(n)
		}
	case k == report.Time && (!c.Time.IsZero() || c.Text == ""):
		v.When, v.Time = at(c.Time, now), true
	}
	return v
}

// toneIcons is the shape of a tone where a cell names none, for colour alone says nothing.
var toneIcons = map[string]string{"good": "check", "bad": "alert", "warn": "clock", "info": "clock", "lost": "pin", "quiet": "gone", "": "gone"}

// factView is a line of a summary list.
type factView struct {
	Label, Value string
	Href         string
	Tag          *tag
}

// taskView is a line of a task list.
type taskView struct {
	Text, Hint, Href string
	Tag              tag
}

// tileLine is a line of a tile that leads to what it says.
type tileLine struct {
	Text, Href string
	Count      string // how many stand where it leads; may be empty
}

// tileView is a number with what it is of, how it came to be and how fresh it is.
type tileView struct {
	Title, Href string // Href is of the number
	Number      string
	Of          string // what the number is of
	Tag         *tag
	Lines       []tileLine
	Bar         []barPart // shares of a whole, where there is one
	Wide        bool      // takes two columns
	Chart       *chartView
	AsOf        moment
	Stale       int
	StaleHref   string
}

// barPart is a part of a bar: its count leads to its list.
type barPart struct {
	Tag   tag
	Count int
	Href  string
	Start float64 // per cent from the left
	Width float64
}

// Told is the count as people read it.
func (p barPart) Told() string { return count(p.Count) }

// tabView is a tab, which is a link.
type tabView struct {
	Text, Href string
	Current    bool
	Count      int
	Counted    bool // show the count though it is 0
	Tag        *tag // its shape, where it is a state
}

// Told is the count as people read it.
func (t tabView) Told() string { return count(t.Count) }

// noteView is something to know before one reads on.
type noteView struct {
	Tone  string // good, bad, warn, info
	Title string
	Text  string
	Link  *action
}

// Icon is the shape of its tone.
func (n noteView) Icon() string { return toneIcons[n.Tone] }

// optionView is a choice of a field.
type optionView struct {
	Value, Text string
	Selected    bool
}

// fieldView is a field of a form with its label, its hint and what is wrong with it.
type fieldView struct {
	Name, Label, Hint, Value, Type, Error, Autocomplete string
	Required                                            bool
	Options                                             []optionView // makes it a choice
	Rows                                                int          // makes it a text of so many lines
	Max                                                 int          // characters; 0 for no bound
}

// Kind is the type of its input.
func (f fieldView) Kind() string { return cmp.Or(f.Type, "text") }

// DescribedBy names what is read out with the field.
func (f fieldView) DescribedBy() string {
	var ids []string
	if f.Hint != "" {
		ids = append(ids, f.Name+"-hint")
	}
	if f.Error != "" {
		ids = append(ids, f.Name+"-error")
	}
	return strings.Join(ids, " ")
}

// barOf lays out the parts of a bar by their shares.
func barOf(parts []barPart) []barPart {
	total := 0
	for _, p := range parts {
		total += p.Count
	}
	start := 0.
	for i := range parts {
		parts[i].Start = start
		if total > 0 {
			parts[i].Width = float64(parts[i].Count) * 100 / float64(total)
		}
		start += parts[i].Width
	}
	return parts
}
