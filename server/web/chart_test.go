package web

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/report"
)

// TestChart: a gap stays a gap, and the table has every number of the picture.
func TestChart(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	c := report.Chart{Title: "Devices seen", Unit: "devices", Times: []time.Time{day, day.AddDate(0, 0, 1), day.AddDate(0, 0, 2), day.AddDate(0, 0, 3)}, Series: []report.Series{{Name: "Seen", Tone: "good", Values: []float64{1000, 1500, math.NaN(), 500}}}}
	v := chartOf(c)
	if diff := cmp.Diff([]chartLine{{Class: "good d0", Points: []string{"0,60 200,30", "600,90 600,90"}}}, v.Lines); diff != "" {
		t.Errorf("lines mismatch (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([][]string{{"4 Nov 2026", "500"}, {"3 Nov 2026", "not known"}, {"2 Nov 2026", "1,500"}, {"1 Nov 2026", "1,000"}}, v.Rows); diff != "" {
		t.Errorf("table mismatch (-want +got):\n%s", diff)
	}
	if want := "Devices seen (devices), 1 November 2026 to 4 November 2026: Seen from 1,000 to 500."; v.Desc != want || v.Top != "2,000" || v.ID != "chart-devices-seen" {
		t.Errorf("chart = %q, top %s, id %s; want %q, 2,000", v.Desc, v.Top, v.ID, want)
	}
	if v := chartOf(report.Chart{Title: "None"}); v.Rows != nil || v.Desc != "None: nothing is recorded yet." {
		t.Errorf("a chart of nothing = %+v", v)
	}
}

// TestPercent never says all or none where it is not quite so.
// TestCellNumbers: a number in a table is told with separators, and a change keeps its sign.
func TestCellNumbers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"2557": "2,557", "+60": "+60", "-1200": "-1,200", "97.2": "97.2", "": "", "12": "12", "None": "None"} {
		if got := cellOf(report.Cell{Text: text}, report.Number, time.Time{}).Text; got != want {
			t.Errorf("the number %q is told as %q, want %q", text, got, want)
		}
	}
	if got := cellOf(report.Cell{Text: "1234"}, report.Text, time.Time{}).Text; got != "1234" {
		t.Errorf("a text of digits is told as %q", got)
	}
}

// TestExpirySaid: what renews by itself is no work for anybody before its last week.
func TestExpirySaid(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		days   int
		renews bool
		want   string
	}{{29, true, "Server: ends in 29 days, renews by itself"}, {3, true, "Server: ends in 3 days"}, {29, false, "Server: ends in 29 days"}} {
		if got := (Expiry{Name: "Server", Ends: now.AddDate(0, 0, c.days), Renews: c.renews}).said(now); got != c.want {
			t.Errorf("%d days, renews %t: %q, want %q", c.days, c.renews, got, c.want)
		}
	}
}

func TestPercent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n, total int
		want     string
	}{{0, 7, "0 %"}, {7, 7, "100 %"}, {9999, 10000, "99 %"}, {1, 10000, "1 %"}, {2, 3, "67 %"}} {
		if got := percent(c.n, c.total); got != c.want {
			t.Errorf("percent(%d, %d) = %s, want %s", c.n, c.total, got, c.want)
		}
	}
}

// TestCuts: a trend is shown only of what it is kept of, and never beyond a scope.
func TestCuts(t *testing.T) {
	t.Parallel()
	royal, both := []string{"Royal"}, []string{"Royal", "Infirmary"}
	for _, c := range []struct {
		name string
		f    estate.Filter
		want []estate.Cut
		ok   bool
	}{
		{"everything", estate.Filter{Enrolled: true}, []estate.Cut{{}}, true},
		{"two sites", estate.Filter{Sites: both}, []estate.Cut{{By: estate.BySite, Value: "Royal"}, {By: estate.BySite, Value: "Infirmary"}}, true},
		{"a scope", estate.Filter{Scope: ward.Scope{Sites: royal}}, []estate.Cut{{By: estate.BySite, Value: "Royal"}}, true},
		{"a site of a scope", estate.Filter{Sites: royal, Scope: ward.Scope{Sites: both}}, []estate.Cut{{By: estate.BySite, Value: "Royal"}}, true},
		{"a site beyond a scope", estate.Filter{Sites: both, Scope: ward.Scope{Sites: royal}}, nil, false},
		{"two dimensions", estate.Filter{Sites: royal, Ownership: ward.Personal}, nil, false},
		{"a scope and a dimension", estate.Filter{Ownership: ward.Personal, Scope: ward.Scope{Groups: []string{"Ward 7"}}}, nil, false},
		{"a search", estate.Filter{Search: "rao"}, nil, false},
	} {
		got, ok := cutsOf(c.f)
		if !ok {
			got = nil
		}
		if diff := cmp.Diff(c.want, got); diff != "" || ok != c.ok {
			t.Errorf("%s: cutsOf = %t, want %t, mismatch (-want +got):\n%s", c.name, ok, c.ok, diff)
		}
	}
}
