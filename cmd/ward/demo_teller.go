package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// figure is one measured step of the story.
type figure struct {
	Step    string         `json:"step"`
	OK      bool           `json:"ok"`
	Seconds float64        `json:"seconds"`
	Seen    map[string]any `json:"seen"`
}

// teller shows the story: a bar on a terminal, plain lines elsewhere, JSON at the end if
// asked.
type teller struct {
	w    io.Writer
	json bool
	tty  bool
	bar  *progressbar.ProgressBar
	held []string // what was seen in a step, shown below its name
}

func newTeller(w io.Writer, asJSON bool) *teller {
	f, ok := w.(*os.File)
	return &teller{w: w, json: asJSON, tty: ok && term.IsTerminal(int(f.Fd()))}
}

func (t *teller) line(format string, args ...any) {
	if !t.json {
		fmt.Fprintf(t.w, format+"\n", args...)
	}
}

// begin shows that a step of n parts begins.
func (t *teller) begin(name string, n int) {
	if t.tty && !t.json {
		t.bar = progressbar.NewOptions(n, progressbar.OptionSetDescription(name), progressbar.OptionSetWriter(t.w),
			progressbar.OptionSetWidth(24), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
	}
}

// part shows that one more part is done.
func (t *teller) part() {
	if t.bar != nil {
		t.bar.Add(1) //nolint:errcheck // a bar that can't be drawn stops nothing
	}
}

func (t *teller) done(f figure) {
	if t.bar != nil {
		t.bar.Finish() //nolint:errcheck // a bar that can't be drawn stops nothing
		t.bar = nil
	}
	mark := "done"
	if !f.OK {
		mark = "FAILED"
	}
	t.line("%s: %s (%.2f s)", f.Step, mark, f.Seconds)
	for _, l := range t.held {
		t.line("    %s", l)
	}
	t.held = nil
}

// said keeps what was seen in a step until the step is done.
func (t *teller) said(format string, args ...any) {
	t.held = append(t.held, fmt.Sprintf(format, args...))
}

// end shows the outcome.
func (t *teller) end(s *story, err error) error {
	total := time.Since(s.began).Seconds()
	if t.json {
		e := json.NewEncoder(t.w)
		e.SetIndent("", "  ")
		failure := ""
		if err != nil {
			failure = err.Error()
		}
		return e.Encode(struct {
			Devices int      `json:"devices"`
			OK      bool     `json:"ok"`
			Seconds float64  `json:"seconds"`
			Steps   []figure `json:"steps"`
			Failure string   `json:"failure,omitempty"`
		}{s.n, err == nil, total, s.figures, failure})
	}
	if err == nil {
		t.line("The story is told: every step happened on the phones. %d iPhones, %.1f s.", s.n, total)
	}
	return nil
}
