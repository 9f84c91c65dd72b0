package casefile

import (
	"bytes"
	"fmt"

	"codeberg.org/go-pdf/fpdf"
	"github.com/wardmdm/ward/server/report"
)

// Measures of the page, A4, in millimetres.
const (
	margin     = 18.0
	textWidth  = 210 - 2*margin
	labelWidth = 38.0
	bottom     = 20.0 // the lower margin, in which the footer stands
	body       = 9.0  // size of the text in points
	line       = 4.3  // its height
	gap        = 2.4  // between columns
	family     = "Helvetica"
)

// pages stands for the number of pages until it is known. No text has this character.
const pages = "\x01"

// sheet is a PDF in the making.
type sheet struct {
	f     *fpdf.Fpdf
	whole bool // every character could be shown
}

// renderPDF makes the document. The same view gives the same bytes. compress is false only
// where a test reads them.
func renderPDF(v View, compress bool) ([]byte, error) {
	s := &sheet{f: fpdf.New("P", "mm", "A4", ""), whole: true}
	s.f.SetCompression(compress)
	s.f.SetCatalogSort(true)
	s.f.SetCreationDate(v.MadeAt)
	s.f.SetModificationDate(v.MadeAt)
	s.f.SetTitle(report.Wide(v.Title+", "+v.ID), false)
	s.f.SetAuthor(report.Wide(v.Organisation), false)
	s.f.SetCreator("Ward", false)
	s.f.SetProducer("Ward", false)
	s.f.SetLang("en-GB")
	s.f.SetMargins(margin, margin, margin)
	s.f.SetAutoPageBreak(false, bottom)
	s.f.SetCellMargin(0)
	s.f.AliasNbPages(pages)
	s.footer(v)
	s.f.AddPage()
	s.head(v)
	for _, x := range v.Sections {
		s.section(x)
	}
	if !s.whole {
		s.room(3 * line)
		s.f.Ln(line)
		s.small("This document's fonts lack some characters of what was written: they stand here without their accents, or as a question mark. The JSON pack has the true text.")
	}
	var b bytes.Buffer
	if err := s.f.Output(&b); err != nil {
		return nil, fmt.Errorf("make PDF: %w", err)
	}
	return b.Bytes(), nil
}

// text is text in the encoding of the fonts.
func (s *sheet) text(t string) string {
	out, whole := report.Latin(t)
	s.whole = s.whole && whole
	return out
}

// Colours of text and lines.
func (s *sheet) ink()  { s.f.SetTextColor(20, 20, 20) }
func (s *sheet) grey() { s.f.SetTextColor(85, 85, 85) }

func (s *sheet) footer(v View) {
	left := s.text(v.ID + "  ·  " + v.Made)
	s.f.SetFooterFunc(func() {
		s.f.SetXY(margin, -14)
		s.f.SetFont(family, "", 7.5)
		s.grey()
		s.f.CellFormat(textWidth-30, 4, left, "", 0, "L", false, 0, "")
		s.f.CellFormat(30, 4, fmt.Sprintf("Page %d of %s", s.f.PageNo(), pages), "", 0, "R", false, 0, "")
		s.ink()
	})
}

func (s *sheet) head(v View) {
	if v.Organisation != "" {
		s.f.SetFont(family, "", body)
		s.grey()
		s.paragraph(v.Organisation, line)
	}
	s.f.SetFont(family, "B", 17)
	s.ink()
	s.paragraph(v.Title, 7.5)
	s.f.SetFont(family, "", body)
	s.grey()
	s.paragraph(v.ID+"  ·  "+v.Made, line)
	s.ink()
	if v.Banner != "" {
		s.f.Ln(2)
		s.f.SetFont(family, "B", 10.5)
		s.f.SetFillColor(255, 243, 205)
		for _, l := range s.split(v.Banner, textWidth-6) {
			s.f.CellFormat(3, 5.6, "", "", 0, "L", true, 0, "")
			s.f.CellFormat(textWidth-3, 5.6, l, "", 1, "L", true, 0, "")
		}
	}
}

// split breaks text into lines of a width, in the present font.
func (s *sheet) split(t string, width float64) []string {
	var out []string
	for _, l := range s.f.SplitLines([]byte(s.text(t)), width) {
		out = append(out, string(l))
	}
	return out
}

// room begins a new page where less than height is left, and reports whether it did.
func (s *sheet) room(height float64) bool {
	_, page := s.f.GetPageSize()
	if s.f.GetY()+height <= page-bottom {
		return false
	}
	s.f.AddPage()
	return true
}

// paragraph writes text over the whole width, in the present font.
func (s *sheet) paragraph(t string, height float64) {
	for _, l := range s.split(t, textWidth) {
		s.room(height)
		s.f.CellFormat(textWidth, height, l, "", 1, "L", false, 0, "")
	}
}

func (s *sheet) small(t string) {
	s.f.SetFont(family, "", 7.5)
	s.grey()
	s.paragraph(t, 3.6)
	s.ink()
}

func (s *sheet) section(x Section) {
	s.room(24) // no heading at the foot of a page
	s.f.Ln(4.5)
	s.f.SetFont(family, "B", 11.5)
	s.paragraph(x.Heading, 5.6)
	s.f.Ln(0.8)
	s.f.SetFont(family, "", body)
	for _, t := range x.Text {
		s.paragraph(t, line)
	}
	for _, r := range x.Rows {
		s.row([]string{r.Label, r.Value}, []float64{labelWidth, textWidth - labelWidth}, true)
	}
	for _, t := range x.Tables {
		s.table(t)
	}
	for _, t := range x.Notes {
		s.f.Ln(1)
		s.small(t)
	}
}

func (s *sheet) table(t Table) {
	widths := make([]float64, len(t.Head))
	for i := range widths {
		widths[i] = textWidth / float64(len(t.Head))
		if i < len(t.Shares) {
			widths[i] = textWidth * float64(t.Shares[i]) / 100
		}
	}
	s.f.Ln(1)
	if t.Caption != "" {
		s.f.SetFont(family, "", body)
		s.paragraph(t.Caption, line)
	}
	s.room(4 * line)
	head := func() {
		s.f.SetFont(family, "B", 8)
		s.row(t.Head, widths, false)
		s.rule(110)
		s.f.SetFont(family, "", 8.5)
	}
	head()
	for _, r := range t.Rows {
		if s.room(s.height(r, widths)) {
			head()
		}
		s.row(r, widths, false)
		s.rule(215)
	}
}

// height is how much of the page a row takes, at most a quarter of it: a longer one flows.
func (s *sheet) height(cells []string, widths []float64) float64 {
	most := 1
	for i, c := range cells {
		most = max(most, len(s.split(c, widths[i]-gap)))
	}
	return min(float64(most)*line+1, 70)
}

// row writes cells side by side, each wrapped in its own width. A row that is longer than
// the page flows on to the next. The first cell of a labelled row is grey.
func (s *sheet) row(cells []string, widths []float64, labelled bool) {
	wrapped := make([][]string, len(cells))
	most := 1
	for i, c := range cells {
		wrapped[i] = s.split(c, widths[i]-gap)
		most = max(most, len(wrapped[i]))
	}
	s.room(min(float64(most)*line, 4*line))
	for n := range most {
		s.room(line)
		for i := range cells {
			t := ""
			if n < len(wrapped[i]) {
				t = wrapped[i][n]
			}
			if labelled && i == 0 {
				s.grey()
			}
			s.f.CellFormat(widths[i], line, t, "", 0, "L", false, 0, "")
			s.ink()
		}
		s.f.Ln(line)
	}
}

// rule draws a thin line in a shade of grey under what stands above.
func (s *sheet) rule(shade int) {
	y := s.f.GetY() + 0.4
	s.f.SetDrawColor(shade, shade, shade)
	s.f.SetLineWidth(0.15)
	s.f.Line(margin, y, margin+textWidth, y)
	s.f.SetY(y + 0.4)
}
