package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/urfave/cli/v2"
	"github.com/wardmdm/ward/server/compliance"
)

// answer prints what the server said: with --json as it came, otherwise as text does.
func answer[T any](c *cli.Context, raw []byte, text func(p *printer, v T)) error {
	if c.Bool("json") {
		return printJSON(c.App.Writer, raw)
	}
	var v T
	if err := decode(raw, &v); err != nil {
		return err
	}
	p := &printer{w: c.App.Writer}
	text(p, v)
	return p.err
}

// decode reads an answer of the server.
func decode(raw []byte, v any) error {
	if err := json.Unmarshal(raw, v); err != nil {
		return unexpected(err)
	}
	return nil
}

func unexpected(err error) error {
	return fmt.Errorf("the server's answer is not what this version of ward expects: %w", err)
}

// said prints the answer with --json, an empty one as {}, and otherwise one sentence.
func said(c *cli.Context, raw []byte, sentence string) error {
	if c.Bool("json") {
		if len(bytes.TrimSpace(raw)) == 0 {
			raw = []byte("{}")
		}
		return printJSON(c.App.Writer, raw)
	}
	_, err := fmt.Fprintln(c.App.Writer, clean(sentence))
	return err
}

func printJSON(w io.Writer, raw []byte) error {
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(raw), "", "  "); err != nil {
		return fmt.Errorf("the server's answer is no JSON: %w", err)
	}
	b.WriteByte('\n')
	_, err := w.Write(b.Bytes())
	return err
}

// printer writes text for people and keeps the first error. Everything that came from
// outside is cleaned: a phone's name must not be able to steer a terminal.
type printer struct {
	w   io.Writer
	err error
}

// line prints one line. Strings among args are cleaned.
func (p *printer) line(format string, args ...any) {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = clean(s)
		}
	}
	p.write(fmt.Sprintf(format+"\n", args...))
}

func (p *printer) write(s string) {
	if p.err == nil {
		_, p.err = io.WriteString(p.w, s)
	}
}

// table prints rows in columns. A nil header prints none.
func (p *printer) table(header []string, rows [][]string) {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	if header != nil {
		rows = append([][]string{header}, rows...)
	}
	for _, r := range rows {
		cells := make([]string, len(r))
		for i, cell := range r {
			cells[i] = clean(cell)
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	t.Flush() //nolint:errcheck // b takes everything
	for l := range strings.Lines(b.String()) {
		p.write(strings.TrimRight(l, " \n") + "\n")
	}
}

// facts prints names and values, leaving out what is empty.
func (p *printer) facts(pairs ...string) {
	var rows [][]string
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			rows = append(rows, []string{"  " + pairs[i], pairs[i+1]})
		}
	}
	p.table(nil, rows)
}

// clean makes a string one harmless line.
func clean(s string) string { return strings.Map(harmless, strings.ReplaceAll(s, "\n", " ")) }

// cleanLines is clean for a text of several lines.
func cleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = clean(l)
	}
	return strings.Join(lines, "\n")
}

func harmless(r rune) rune {
	if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
		return unicode.ReplacementChar
	}
	return r
}

// stamp prints a time as every part of Ward does.
func stamp(t time.Time) string { return compliance.Stamp(t) }

// at prints a time, or none where it has not come.
func at(t *time.Time, none string) string {
	if t == nil || t.IsZero() {
		return none
	}
	return stamp(*t)
}

// printValue prints what this command made itself as JSON.
func printValue(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
