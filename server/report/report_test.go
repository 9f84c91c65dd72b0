package report

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"golang.org/x/text/encoding/charmap"
)

var look = flag.String("look", "", "write the PDFs of the tests into this folder, to be looked at")

func day(d int) time.Time { return time.Date(2026, 3, d, 9, 30, 0, 0, time.UTC) }

func devices(n int) Table {
	t := Table{
		Name: "devices", Title: "Devices", Says: []string{"at Royal Infirmary"}, AsOf: day(12),
		Columns: []Column{{Head: "Name", Share: 30}, {Head: "State", Kind: State}, {Head: "Apps", Kind: Number}, {Head: "Last seen", Kind: Time}, {Head: "Why", Share: 35}},
	}
	for i := range n {
		t.Rows = append(t.Rows, []Cell{{Text: fmt.Sprintf("iPhone %d of Zoë Żółć", i), Href: "/devices/x"}, {Text: "Compliant", Tone: "good"}, {Text: Thousands(i * 37)}, {Time: day(11)}, {Text: strings.Repeat("Not seen for long. ", 1+i%3)}})
	}
	return t
}

// TestCSV: what a spreadsheet opens is what was written, and no formula.
func TestCSV(t *testing.T) {
	t.Parallel()
	table := Table{
		Columns: []Column{{Head: "Name"}, {Head: "Number", Kind: Number}, {Head: "Seen", Kind: Time}},
		Rows: [][]Cell{
			{{Text: `Zoë, "Zo"`}, {Text: "1,204"}, {Time: day(12)}},
			{{Text: `=HYPERLINK("https://evil.example","x")`}, {Text: "-5"}, {Text: "never"}},
			{{Text: "+44 20 7946 0000"}, {Text: "-5+cmd"}, {Text: "@SUM(A1)"}},
			{{Text: "two\nlines"}, {Text: ""}, {Text: "\tx"}},
		},
	}
	var b bytes.Buffer
	if err := table.WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	want := "\ufeffName,Number,Seen (UTC)\r\n" +
		"\"Zoë, \"\"Zo\"\"\",1204,2026-03-12 09:30:00\r\n" +
		"\"'=HYPERLINK(\"\"https://evil.example\"\",\"\"x\"\")\",-5,never\r\n" +
		"'+44 20 7946 0000,'-5+cmd,'@SUM(A1)\r\n" +
		"\"two\r\nlines\",,'\tx\r\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("CSV mismatch (-want +got):\n%s", diff)
	}
}

func TestCSVRefusesRaggedRows(t *testing.T) {
	t.Parallel()
	table := Table{Name: "x", Columns: []Column{{Head: "A"}}, Rows: [][]Cell{{{Text: "1"}, {Text: "2"}}}}
	if err := table.WriteCSV(&bytes.Buffer{}); err == nil {
		t.Error("a row with two cells for one column was written")
	}
}

// shown is what a PDF that is not compressed shows.
var shown = regexp.MustCompile(`\((?:\\.|[^\\)])*\) ?Tj`)

// read returns the text of a PDF, a line for each piece and a line of dashes for each page.
// With -look it keeps the PDF as it is handed out.
func read(t *testing.T, name string, pdf func(compress bool) ([]byte, error)) string {
	t.Helper()
	plain, err := pdf(false)
	if err != nil {
		t.Fatal(err)
	}
	if *look != "" {
		b, err := pdf(true)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(*look, name+".pdf"), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	for _, stream := range bytes.Split(plain, []byte("stream\n"))[1:] {
		found := shown.FindAll(stream, -1)
		for _, m := range found {
			raw := strings.NewReplacer(`\\`, `\`, `\(`, `(`, `\)`, `)`).Replace(string(m[1:bytes.LastIndexByte(m, ')')]))
			s, err := charmap.Windows1252.NewDecoder().String(raw)
			if err != nil {
				t.Fatal(err)
			}
			out.WriteString(s + "\n")
		}
		if len(found) > 0 {
			out.WriteString("\f")
		}
	}
	return out.String()
}

func TestTablePDF(t *testing.T) {
	t.Parallel()
	stamp := Stamp{Organisation: "St Example’s Hospital", By: "Maud Ellery", Made: day(13)}
	pdf, err := devices(90).PDF(stamp)
	if err != nil {
		t.Fatal(err)
	}
	again, err := devices(90).PDF(stamp)
	if err != nil || !bytes.Equal(pdf, again) {
		t.Error("the same table does not give the same bytes")
	}
	text := read(t, "table", func(c bool) ([]byte, error) { return devices(90).pdf(stamp, c) })
	pages := strings.Split(strings.TrimSuffix(text, "\f"), "\f")
	for i, p := range pages {
		for _, want := range []string{"Last seen (UTC)", fmt.Sprintf("Page %d of %d", i+1, len(pages))} {
			if !strings.Contains(p, want) {
				t.Errorf("page %d lacks %q:\n%s", i+1, want, p)
			}
		}
	}
	for _, want := range []string{"St Example’s Hospital", "for Maud Ellery", "As of 12 March 2026, 09:30 UTC", "at Royal Infirmary", "90 rows", "Zoë", "without their accents", "11 Mar 2026 09:30"} {
		if !strings.Contains(text, want) {
			t.Errorf("the PDF lacks %q", want)
		}
	}
}

// TestTablePDFTooLong: nobody reads a thousand pages, and making them would hold the server up.
func TestTablePDFTooLong(t *testing.T) {
	t.Parallel()
	_, err := devices(MaxPDFRows + 1).PDF(Stamp{Made: day(1)})
	if ward.KindOf(err) != ward.Invalid || !strings.Contains(err.Error(), "CSV") {
		t.Errorf("PDF() = %v, want a refusal that says to take the CSV file", err)
	}
}

func TestDocumentPDF(t *testing.T) {
	t.Parallel()
	c := Chart{Title: "Compliant devices", Unit: "%", Series: []Series{{Name: "All", Tone: "good"}, {Name: "Royal Infirmary"}}}
	for i := range 30 {
		c.Times = append(c.Times, day(1).AddDate(0, 0, i))
		c.Series[0].Values = append(c.Series[0].Values, 80+float64(i%7))
		v := 70 + float64(i%5)
		if i > 10 && i < 14 {
			v = math.NaN()
		}
		c.Series[1].Values = append(c.Series[1].Values, v)
	}
	bars := c
	bars.Title, bars.Bars = "Removals", true
	d := Document{
		Name: "board", Title: "Board report", Organisation: "St Example’s Hospital", Says: []string{"March 2026"}, AsOf: day(31), Made: day(31), By: "Maud Ellery",
		Sections: []Section{
			{Heading: "In short", Text: []string{"More complied than the month before."}, Facts: []Fact{{"Devices", "1,204"}, {"Policy", "version 7\napproved by Ada Byron"}}},
			{Heading: "Trend", Charts: []Chart{c, bars}},
			{Heading: "List", Break: true, Tables: []Table{devices(3), devices(2)}, Notes: []string{"In small print."}},
		},
	}
	pdf, err := d.PDF()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := d.PDF(); err != nil || !bytes.Equal(pdf, again) {
		t.Error("the same document does not give the same bytes")
	}
	if got := Pages(pdf); got != 2 {
		t.Errorf("Pages() = %d, want 2", got)
	}
	text := read(t, "document", d.pdf)
	for _, want := range []string{"Board report", "version 7", "approved by Ada Byron", "Compliant devices (%)", "All: first 80, last 81, lowest 80, highest 86", "In small print.", "Page 2 of 2"} {
		if !strings.Contains(text, want) {
			t.Errorf("the PDF lacks %q:\n%s", want, text)
		}
	}
	var names []string
	for _, x := range d.Tables() {
		names = append(names, x.Name)
	}
	if diff := cmp.Diff([]string{"compliant-devices", "removals", "devices", "devices-2"}, names); diff != "" {
		t.Errorf("Tables() mismatch (-want +got):\n%s", diff)
	}
	if got := c.Table().Rows[11]; got[0].Text != "2026-03-12" || got[2].Text != "–" {
		t.Errorf("the row of a day that is not known = %v", got)
	}
}

func TestThousands(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", -4: "-4", -1234: "-1,234", 1000: "1,000", 100000: "100,000", 1234567: "1,234,567"} {
		if got := Thousands(n); got != want {
			t.Errorf("Thousands(%d) = %q, want %q", n, got, want)
		}
	}
}

// FuzzPDF: no text of a device or a person breaks a PDF.
func FuzzPDF(f *testing.F) {
	f.Add("plain", "Zoë")
	f.Add("\x00\xff\x01", "\U0001F600 漢字")
	f.Fuzz(func(t *testing.T, title, text string) {
		d := Document{Title: title, By: text, Made: day(1), Sections: []Section{{
			Heading: text, Text: []string{title}, Facts: []Fact{{title, text}},
			Tables: []Table{{Title: title, Columns: []Column{{Head: text}}, Rows: [][]Cell{{{Text: title}}}}},
			Charts: []Chart{{Title: text, Unit: title, Times: []time.Time{day(1)}, Series: []Series{{Name: text, Values: []float64{1}}}}},
		}}}
		if _, err := d.PDF(); err != nil {
			t.Error(err)
		}
	})
}
