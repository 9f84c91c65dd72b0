package report

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"

	"codeberg.org/go-pdf/fpdf"
)

// Measures in millimetres, and the size of the text in points.
const (
	margin = 15.0
	bottom = 16.0 // the lower margin, in which the footer stands
	body   = 8.5
	line   = 3.9 // the height of body
	gap    = 2.2 // between columns
	family = "Helvetica"
)

// total stands for the number of pages until it is known. No text has this character.
const total = "\x01"

// sheet is a PDF in the making.
type sheet struct {
	f     *fpdf.Fpdf
	width float64 // of the text
	whole bool    // every character could be shown
}

// meta is what every file says of itself.
type meta struct {
	title, organisation, by string
	made                    time.Time
}

func (m meta) words() string {
	var out []string
	if m.organisation != "" {
		out = append(out, m.organisation)
	}
	made := "Made " + Moment(m.made)
	if m.by != "" {
		made += " for " + m.by
	}
	return strings.Join(append(out, made), "  ·  ")
}

// newSheet begins a PDF. The same content gives the same bytes: it has no clock and no
// identifier of its own. compress is false only where a test reads it.
func newSheet(orientation string, m meta, compress bool) *sheet {
	s := &sheet{f: fpdf.New(orientation, "mm", "A4", ""), whole: true}
	page, _ := s.f.GetPageSize()
	s.width = page - 2*margin
	s.f.SetCompression(compress)
	s.f.SetCatalogSort(true)
	s.f.SetCreationDate(m.made.UTC())
	s.f.SetModificationDate(m.made.UTC())
	s.f.SetTitle(Wide(m.title), false)
	s.f.SetAuthor(Wide(m.organisation), false)
	s.f.SetCreator("Ward", false)
	s.f.SetProducer("Ward", false)
	s.f.SetLang("en-GB")
	s.f.SetMargins(margin, margin, margin)
	s.f.SetAutoPageBreak(false, bottom)
	s.f.SetCellMargin(0)
	s.f.AliasNbPages(total)
	left := s.clip(m.title+"  ·  "+m.words(), 7.2, s.width-34)
	s.f.SetFooterFunc(func() {
		_, height := s.f.GetPageSize()
		s.f.SetXY(margin, height-11)
		s.f.SetFont(family, "", 7.2)
		s.grey()
		s.f.CellFormat(s.width-30, 4, left, "", 0, "L", false, 0, "")
		s.f.CellFormat(30, 4, fmt.Sprintf("Page %d of %s", s.f.PageNo(), total), "", 0, "R", false, 0, "")
		s.ink()
	})
	return s
}

// bytes ends the PDF.
func (s *sheet) bytes() ([]byte, error) {
	if !s.whole {
		s.room(3 * line)
		s.f.Ln(line / 2)
		s.small("The fonts of this file lack some characters of what was written: they stand here without their accents, or as a question mark. The CSV and JSON files have the true text.")
	}
	var b bytes.Buffer
	if err := s.f.Output(&b); err != nil {
		return nil, fmt.Errorf("make PDF: %w", err)
	}
	return b.Bytes(), nil
}

// Wide writes text in UTF-16 with its mark (ISO 32000-1, section 7.9.2.2), which a title
// may have. The library's own way panics at what is beyond 16 bits or no UTF-8.
func Wide(t string) string {
	out := []byte{0xfe, 0xff}
	for _, u := range utf16.Encode([]rune(t)) {
		out = binary.BigEndian.AppendUint16(out, u)
	}
	return string(out)
}

// text is text in the encoding of the fonts.
func (s *sheet) text(t string) string {
	out, whole := Latin(t)
	s.whole = s.whole && whole
	return out
}

// Colours of text and lines.
func (s *sheet) ink()  { s.f.SetTextColor(20, 20, 20) }
func (s *sheet) grey() { s.f.SetTextColor(85, 85, 85) }

// clip shortens text to a width in a size.
func (s *sheet) clip(t string, size, width float64) string {
	s.f.SetFont(family, "", size)
	b := s.text(strings.ReplaceAll(t, "\n", " "))
	if s.f.GetStringWidth(b) <= width {
		return b
	}
	for len(b) > 0 && s.f.GetStringWidth(b+"...") > width {
		b = b[:len(b)-1]
	}
	return b + "..."
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
	for _, l := range s.split(t, s.width) {
		s.room(height)
		s.f.CellFormat(s.width, height, l, "", 1, "L", false, 0, "")
	}
}

func (s *sheet) small(t string) {
	s.f.SetFont(family, "", 7.2)
	s.grey()
	s.paragraph(t, 3.3)
	s.ink()
}

// title writes what the file is.
func (s *sheet) title(m meta, says []string, asOf time.Time) {
	s.f.SetFont(family, "B", 15)
	s.ink()
	s.paragraph(m.title, 6.6)
	s.f.SetFont(family, "", body)
	s.grey()
	s.paragraph(m.words(), line)
	if !asOf.IsZero() {
		says = append([]string{"As of " + Moment(asOf)}, says...)
	}
	if len(says) > 0 {
		s.paragraph(strings.Join(says, "; ")+".", line)
	}
	s.ink()
}

// rule draws a thin line in a shade of grey under what stands above.
func (s *sheet) rule(shade int) {
	y := s.f.GetY() + 0.3
	s.f.SetDrawColor(shade, shade, shade)
	s.f.SetLineWidth(0.15)
	s.f.Line(margin, y, margin+s.width, y)
	s.f.SetY(y + 0.3)
}
