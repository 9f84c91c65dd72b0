// Package report makes files of what pages show: tables and documents as CSV, PDF and
// signed. It knows nothing of devices or of HTTP.
package report

import "time"

// Table is a list as a page shows it and a file keeps it.
type Table struct {
	Name    string // of the file, without its ending: "devices"
	Title   string
	Says    []string  // what it is of, a phrase each: the filter, the scope
	AsOf    time.Time // when it was true
	Columns []Column
	Rows    [][]Cell // each as long as Columns
}

// Column is a column of a Table.
type Column struct {
	Head  string
	Kind  Kind
	Share int // of the width in a PDF; 0 takes an equal part
}

// Kind says how a column is set.
type Kind int

// The kinds of columns.
const (
	Text   Kind = iota
	Number      // right-aligned, tabular figures
	Time        // Cell.Time, or Cell.Text where it is zero
	State       // Cell.Text with a tone: never by colour alone
)

// Cell is one value.
type Cell struct {
	Text string
	Href string // where a page leads from it; files leave it out
	Tone string // good, bad, warn, info, lost or quiet; of a State
	Icon string
	Time time.Time
}

// Document is a report in words, tables and charts, in the order of reading.
type Document struct {
	Name         string // of the file, without its ending
	Title        string
	Organisation string
	Says         []string
	AsOf         time.Time
	Made         time.Time
	By           string // for whom
	Sections     []Section
}

// Section is one part of a Document. Any of its contents may be empty.
type Section struct {
	Heading string
	Text    []string
	Facts   []Fact
	Charts  []Chart
	Tables  []Table
	Notes   []string // small print
	Break   bool     // in a PDF it begins a page
}

// Fact is a label with its value, which may have several lines.
type Fact struct{ Label, Value string }

// Chart is lines or bars over time, each point of every series at the same times; whatever
// shows it shows the numbers beside it.
type Chart struct {
	Title  string
	Unit   string // of the numbers, such as "devices" or "%"
	Bars   bool
	Times  []time.Time
	Series []Series
}

// Series is one line of a Chart.
type Series struct {
	Name   string
	Tone   string
	Values []float64 // as long as Chart.Times; NaN where nothing is known
}
