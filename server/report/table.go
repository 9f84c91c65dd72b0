package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/wardmdm/ward"
)

// MaxPDFRows is how many rows of a table a PDF takes. More than that nobody reads; a CSV
// file takes any number.
const MaxPDFRows = 5000

// Stamp says for whom a file was made, and when.
type Stamp struct {
	Organisation string
	By           string
	Made         time.Time
}

// PDF returns the table as a PDF, A4 across, with its heads on every page. The same table
// and stamp give the same bytes. A *ward.Error of kind Invalid means that it is too long.
func (t Table) PDF(m Stamp) ([]byte, error) { return t.pdf(m, true) }

func (t Table) pdf(m Stamp, compress bool) ([]byte, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	if len(t.Rows) > MaxPDFRows {
		return nil, ward.Errorf(ward.Invalid, "The list has %s rows, and a PDF takes %s. Narrow the filter, or take the CSV file.", Thousands(len(t.Rows)), Thousands(MaxPDFRows))
	}
	says := append(append([]string(nil), t.Says...), Thousands(len(t.Rows))+" "+plural(len(t.Rows), "row", "rows"))
	about := meta{t.Title, m.Organisation, m.By, m.Made}
	s := newSheet("L", about, compress)
	s.f.AddPage()
	s.title(about, says, t.AsOf)
	s.f.Ln(2)
	s.table(t)
	return s.bytes()
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// Thousands writes a number as people read it.
func Thousands(n int) string {
	if n < 0 {
		return "-" + Thousands(-n)
	}
	text := fmt.Sprint(n)
	start := len(text) % 3
	var parts []string
	if start > 0 {
		parts = append(parts, text[:start])
	}
	for i := start; i < len(text); i += 3 {
		parts = append(parts, text[i:i+3])
	}
	return strings.Join(parts, ",")
}

// widths shares the page among the columns.
func (s *sheet) widths(columns []Column) []float64 {
	given, equal := 0, 0
	for _, c := range columns {
		given += c.Share
		if c.Share == 0 {
			equal++
		}
	}
	each := 0.0
	if equal > 0 {
		each = float64(max(100-given, 8*equal)) / float64(equal)
	}
	sum := float64(given) + each*float64(equal)
	out := make([]float64, len(columns))
	for i, c := range columns {
		share := float64(c.Share)
		if c.Share == 0 {
			share = each
		}
		out[i] = s.width * share / sum
	}
	return out
}

// table writes a table, with its heads again on each page.
func (s *sheet) table(t Table) {
	if len(t.Columns) == 0 {
		return
	}
	widths := s.widths(t.Columns)
	heads := make([]string, len(t.Columns))
	aligns := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		heads[i], aligns[i] = c.Head, "L"
		switch c.Kind {
		case Number:
			aligns[i] = "R"
		case Time:
			heads[i] += " (UTC)"
		}
	}
	head := func() {
		s.f.SetFont(family, "B", 7.6)
		s.row(heads, widths, aligns)
		s.rule(110)
		s.f.SetFont(family, "", 8)
	}
	s.room(4 * line)
	head()
	cells := make([]string, len(t.Columns))
	for _, r := range t.Rows {
		for i, c := range r {
			cells[i] = t.Columns[i].words(c)
		}
		if s.room(s.height(cells, widths)) {
			head()
		}
		s.row(cells, widths, aligns)
		s.rule(218)
	}
	if len(t.Rows) == 0 {
		s.grey()
		s.paragraph("None.", line)
		s.ink()
	}
}

// height is how much of the page a row takes, at most a quarter of it: a longer one flows.
func (s *sheet) height(cells []string, widths []float64) float64 {
	most := 1
	for i, c := range cells {
		most = max(most, len(s.split(c, widths[i]-gap)))
	}
	return min(float64(most)*line+1, 50)
}

// row writes cells side by side, each wrapped in its own width. A row that is longer than
// the page flows on to the next.
func (s *sheet) row(cells []string, widths []float64, aligns []string) {
	wrapped := make([][]string, len(cells))
	most := 1
	for i, c := range cells {
		wrapped[i] = s.split(c, widths[i]-gap)
		most = max(most, len(wrapped[i]))
	}
	for n := range most {
		s.room(line)
		for i := range cells {
			t := ""
			if n < len(wrapped[i]) {
				t = wrapped[i][n]
			}
			s.f.CellFormat(widths[i]-gap, line, t, "", 0, aligns[i], false, 0, "")
			s.f.CellFormat(gap, line, "", "", 0, "", false, 0, "")
		}
		s.f.Ln(line)
	}
}
