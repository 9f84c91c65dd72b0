package report

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// bom begins a CSV file, so that Excel reads it as UTF-8 and not in the code page of the
// machine.
const bom = "\ufeff"

// csvTime is how times stand in a CSV file: spreadsheets read it as a time, and the head of
// the column says that it is UTC.
const csvTime = "2006-01-02 15:04:05"

// WriteCSV writes the table as CSV (RFC 4180), UTF-8 with a byte order mark: one line of
// heads, then the rows. It writes as it goes. A value that a spreadsheet would take for a
// formula gets an apostrophe before it; a number in a column of numbers does not.
func (t Table) WriteCSV(w io.Writer) error {
	if err := t.check(); err != nil {
		return err
	}
	buf := bufio.NewWriter(w)
	if _, err := buf.WriteString(bom); err != nil {
		return err
	}
	out := csv.NewWriter(buf)
	out.UseCRLF = true
	line := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		line[i] = guarded(c.Head)
		if c.Kind == Time {
			line[i] += " (UTC)"
		}
	}
	if err := out.Write(line); err != nil {
		return err
	}
	for _, row := range t.Rows {
		for i, c := range row {
			line[i] = t.Columns[i].csv(c)
		}
		if err := out.Write(line); err != nil {
			return err
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return err
	}
	return buf.Flush()
}

// check finds a row that has not a cell for each column: a fault of whoever made it.
func (t Table) check() error {
	for i, row := range t.Rows {
		if len(row) != len(t.Columns) {
			return fmt.Errorf("report %s: row %d has %d cells for %d columns", t.Name, i+1, len(row), len(t.Columns))
		}
	}
	return nil
}

func (c Column) csv(v Cell) string {
	if c.Kind == Time && !v.Time.IsZero() {
		return v.Time.UTC().Format(csvTime)
	}
	if c.Kind == Number {
		plain := strings.NewReplacer(",", "", "\u202f", "", "−", "-").Replace(v.Text) // as people write thousands
		if _, err := strconv.ParseFloat(plain, 64); err == nil {
			return plain
		}
	}
	return guarded(v.Text)
}

// guarded keeps a spreadsheet from taking text for a formula. Source:
// https://owasp.org/www-community/attacks/CSV_Injection
func guarded(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\n|%＝＋－＠", []rune(s)[0]) {
		return "'" + s
	}
	return s
}

// words is how a cell reads in a PDF.
func (c Column) words(v Cell) string {
	if c.Kind == Time && !v.Time.IsZero() {
		return v.Time.UTC().Format("02 Jan 2006 15:04")
	}
	return v.Text
}

// Moment writes a time for people who read a file.
func Moment(t time.Time) string {
	if t.IsZero() {
		return "not known"
	}
	return t.UTC().Format("2 January 2006, 15:04 UTC")
}

// Day writes a day for people who read a file.
func Day(t time.Time) string {
	if t.IsZero() {
		return "not known"
	}
	return t.UTC().Format("2 January 2006")
}
