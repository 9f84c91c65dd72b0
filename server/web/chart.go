package web

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward/server/report"
)

// The area of a chart in its own units; its width on the page is another matter.
const (
	chartWide = 600
	chartHigh = 120
)

// chartView is a chart as inline SVG with a table of the same numbers. Its texts stand
// beside the picture, so that they keep their size however wide it is.
type chartView struct {
	ID     string
	Title  string
	Unit   string
	Desc   string // what it shows, in a sentence
	Small  bool   // without axes, for a tile
	Bars   []chartBar
	Lines  []chartLine
	Top    string // the number at the top of the scale
	From   string // the first and the last time
	To     string
	Legend []chartKey
	Heads  []string // of the table
	Rows   [][]string
}

// chartLine is a line, in pieces where something is not known.
type chartLine struct {
	Class  string
	Points []string
	Area   string // the polygon under the line; empty where there are several
}

type chartBar struct {
	Class      string
	X, Y, W, H string
}

type chartKey struct{ Name, Class, Last string }

// chartOf draws a chart.
func chartOf(c report.Chart) chartView {
	v := chartView{ID: "chart-" + slug(c.Title), Title: c.Title, Unit: c.Unit}
	top := scaleTop(c)
	v.Top = number(top)
	if len(c.Times) == 0 {
		v.Desc = c.Title + ": nothing is recorded yet."
		return v
	}
	v.From, v.To = c.Times[0].Format("2 Jan 2006"), c.Times[len(c.Times)-1].Format("2 Jan 2006")
	for i, s := range c.Series {
		class := strings.TrimSpace(s.Tone + " d" + strconv.Itoa(i%4))
		if c.Bars {
			v.Bars = append(v.Bars, bars(s.Values, top, class, i, len(c.Series))...)
		} else {
			v.Lines = append(v.Lines, chartLineOf(s.Values, top, class, len(c.Series) == 1))
		}
		v.Legend = append(v.Legend, chartKey{s.Name, class, lastKnown(s.Values)})
	}
	v.Desc = describe(c)
	v.Heads = []string{"Day"}
	for _, s := range c.Series {
		v.Heads = append(v.Heads, s.Name)
	}
	for i, t := range c.Times {
		row := []string{t.Format("2 Jan 2006")}
		for _, s := range c.Series {
			row = append(row, numberAt(s.Values, i))
		}
		v.Rows = append(v.Rows, row)
	}
	slices.Reverse(v.Rows) // the newest first
	return v
}

// sparkOf draws a chart for a tile.
func sparkOf(c report.Chart) *chartView {
	v := chartOf(c)
	v.Small = true
	return &v
}

// scaleTop is the round number at the top of the scale, at least 1.
func scaleTop(c report.Chart) float64 {
	top := 1.
	for _, s := range c.Series {
		for _, v := range s.Values {
			if !math.IsNaN(v) {
				top = max(top, v)
			}
		}
	}
	if c.Unit == "%" {
		return 100
	}
	step := math.Pow(10, math.Floor(math.Log10(top)))
	for _, m := range []float64{1, 2, 2.5, 5, 10} {
		if m*step >= top {
			return m * step
		}
	}
	return top
}

func along(i, n int) float64 {
	if n < 2 {
		return chartWide
	}
	return float64(i) * chartWide / float64(n-1)
}

// chartLineOf is the line of a series.
func chartLineOf(values []float64, top float64, class string, fill bool) chartLine {
	l := chartLine{Class: class}
	var piece []string
	var area []string
	first, last := 0., 0.
	flush := func() {
		if len(piece) == 1 { // a point alone is a short stroke
			piece = append(piece, piece[0])
		}
		if piece != nil {
			l.Points = append(l.Points, strings.Join(piece, " "))
		}
		piece = nil
	}
	for i, v := range values {
		if math.IsNaN(v) {
			flush()
			continue
		}
		x, y := along(i, len(values)), chartHigh-v/top*chartHigh
		p := coordinate(x) + "," + coordinate(y)
		if area == nil {
			first = x
		}
		last = x
		piece, area = append(piece, p), append(area, p)
	}
	flush()
	if fill && len(area) > 1 && len(l.Points) == 1 {
		l.Area = coordinate(first) + "," + coordinate(chartHigh) + " " + strings.Join(area, " ") + " " + coordinate(last) + "," + coordinate(chartHigh)
	}
	return l
}

// bars are those of one of n series.
func bars(values []float64, top float64, class string, series, n int) (out []chartBar) {
	slot := chartWide / float64(len(values))
	wide := slot * .72 / float64(n)
	for i, v := range values {
		if math.IsNaN(v) {
			continue
		}
		h := v / top * chartHigh
		out = append(out, chartBar{class, coordinate(float64(i)*slot + slot*.14 + wide*float64(series)), coordinate(chartHigh - h), coordinate(wide), coordinate(h)})
	}
	return out
}

func coordinate(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

// number is v with separators between thousands, and a decimal where it has one.
func number(v float64) string {
	if math.IsNaN(v) {
		return "not known"
	}
	if v != math.Trunc(v) {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return count(int(v))
}

// count is n with separators between thousands.
func count(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func numberAt(values []float64, i int) string {
	if i >= len(values) {
		return "not known"
	}
	return number(values[i])
}

func lastKnown(values []float64) string {
	for _, v := range slices.Backward(values) {
		if !math.IsNaN(v) {
			return number(v)
		}
	}
	return "not known"
}

// describe says in words what a chart shows.
func describe(c report.Chart) string {
	var out []string
	for _, s := range c.Series {
		first := "not known"
		for _, v := range s.Values {
			if !math.IsNaN(v) {
				first = number(v)
				break
			}
		}
		out = append(out, fmt.Sprintf("%s from %s to %s", s.Name, first, lastKnown(s.Values)))
	}
	unit := ""
	if c.Unit != "" {
		unit = " (" + c.Unit + ")"
	}
	return fmt.Sprintf("%s%s, %s to %s: %s.", c.Title, unit, day(c.Times[0]), day(c.Times[len(c.Times)-1]), strings.Join(out, "; "))
}

func day(t time.Time) string { return t.Format("2 January 2006") }

// slug makes an id of a title.
func slug(s string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(s)), "-")
}
