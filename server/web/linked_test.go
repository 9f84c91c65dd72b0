package web

import (
	"testing"

	"github.com/wardmdm/ward/server/report"
)

// TestLinkedFact: what a value names in brackets is linked to, unless it leads to another
// site, as a name that somebody chose might.
func TestLinkedFact(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"12 devices (/devices?os=old)":        "/devices?os=old",
		"Maud Ellery (//evil.example)":        "",
		`Maud Ellery (/\evil.example)`:        "",
		"Maud Ellery (https://evil.example)":  "",
		"Maud Ellery (/devices) of the North": "",
		"Maud Ellery\n (/devices)":            "",
	} {
		if got := linkedFact(report.Fact{Label: "Name", Value: value}); got.Href != want || want == "" && got.Value != value {
			t.Errorf("linkedFact(%q) = %+v, want the address %q", value, got, want)
		}
	}
}
