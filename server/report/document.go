package report

import "bytes"

// labelWidth is that of the labels of facts.
const labelWidth = 46.0

// PDF returns the document as a PDF, A4 upright: headings, words, facts, charts with their
// numbers, and tables. The same document gives the same bytes.
func (d Document) PDF() ([]byte, error) { return d.pdf(true) }

func (d Document) pdf(compress bool) ([]byte, error) {
	for _, x := range d.Sections {
		for _, t := range x.Tables {
			if err := t.check(); err != nil {
				return nil, err
			}
		}
	}
	about := meta{d.Title, d.Organisation, d.By, d.Made}
	s := newSheet("P", about, compress)
	s.f.AddPage()
	s.title(about, d.Says, d.AsOf)
	for _, x := range d.Sections {
		s.section(x)
	}
	return s.bytes()
}

// Tables returns the tables of every section, each under a name that no other has.
func (d Document) Tables() []Table {
	var out []Table
	seen := map[string]int{}
	for _, x := range d.Sections {
		for _, t := range x.Tables {
			if t.Name == "" {
				t.Name = "table"
			}
			seen[t.Name]++
			if n := seen[t.Name]; n > 1 {
				t.Name += "-" + Thousands(n)
			}
			out = append(out, t)
		}
		for _, c := range x.Charts {
			t := c.Table()
			seen[t.Name]++
			if n := seen[t.Name]; n > 1 {
				t.Name += "-" + Thousands(n)
			}
			out = append(out, t)
		}
	}
	return out
}

func (s *sheet) section(x Section) {
	if x.Break {
		s.f.AddPage()
	} else {
		s.room(20) // no heading at the foot of a page
		s.f.Ln(3)
	}
	if x.Heading != "" {
		s.f.SetFont(family, "B", 10.5)
		s.paragraph(x.Heading, 5)
		s.f.Ln(0.5)
	}
	s.f.SetFont(family, "", body)
	for _, t := range x.Text {
		s.paragraph(t, line)
		s.f.Ln(0.6)
	}
	s.facts(x.Facts)
	s.charts(x.Charts)
	for _, t := range x.Tables {
		s.f.Ln(1)
		if t.Title != "" {
			s.room(5 * line)
			s.f.SetFont(family, "B", body)
			s.paragraph(t.Title, line)
		}
		if len(t.Rows) > MaxPDFRows {
			rest := len(t.Rows) - MaxPDFRows
			t.Rows = t.Rows[:MaxPDFRows]
			s.table(t)
			s.small("And " + Thousands(rest) + " more rows: they stand in the CSV file.")
			continue
		}
		s.table(t)
	}
	for _, t := range x.Notes {
		s.f.Ln(0.8)
		s.small(t)
	}
}

// facts writes labels with their values.
func (s *sheet) facts(all []Fact) {
	widths, aligns := []float64{labelWidth, s.width - labelWidth}, []string{"L", "L"}
	for _, f := range all {
		cells := []string{f.Label, f.Value}
		s.f.SetFont(family, "", body)
		s.room(s.height(cells, widths))
		s.row(cells, widths, aligns)
		s.rule(228)
	}
}

// Pages counts the pages of a PDF that was made here.
func Pages(pdf []byte) int { return bytes.Count(pdf, []byte("/Type /Page\n")) }
