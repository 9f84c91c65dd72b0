package main

import (
	"strings"
	"testing"
)

// A phone's name comes from the phone: it must not be able to steer a terminal.
func TestPrinterCleans(t *testing.T) {
	t.Parallel()
	const hostile = "iPhone\x1b[2J\u202e\r\n\tx"
	for _, tt := range []struct {
		name  string
		print func(p *printer)
	}{
		{"line", func(p *printer) { p.line("%s", hostile) }},
		{"facts", func(p *printer) { p.facts("name", hostile) }},
		{"table", func(p *printer) { p.table([]string{"NAME"}, [][]string{{hostile}}) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var b strings.Builder
			p := &printer{w: &b}
			tt.print(p)
			if p.err != nil {
				t.Fatal(p.err)
			}
			if got := b.String(); strings.ContainsAny(got, "\x1b\r\t\u202e") || !strings.Contains(got, "iPhone") {
				t.Errorf("printed %q, want the name without what steers a terminal", got)
			}
		})
	}
}
