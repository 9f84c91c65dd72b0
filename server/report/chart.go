package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// chartHeight is that of the plot, without title and legend.
const chartHeight = 34.0

// Table returns the numbers of the chart: a row for each time.
func (c Chart) Table() Table {
	t := Table{Name: slug(c.Title), Title: c.Title, Columns: []Column{{Head: "Day"}}}
	for _, s := range c.Series {
		head := s.Name
		if c.Unit != "" {
			head += " (" + c.Unit + ")"
		}
		t.Columns = append(t.Columns, Column{Head: head, Kind: Number})
	}
	for i, at := range c.Times {
		row := []Cell{{Text: at.UTC().Format(time.DateOnly)}}
		for _, s := range c.Series {
			row = append(row, Cell{Text: Figure(value(s, i))})
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

func value(s Series, i int) float64 {
	if i >= len(s.Values) {
		return math.NaN()
	}
	return s.Values[i]
}

// Figure writes a number with at most one place behind the point; one that is not known is
// "–".
func Figure(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "–"
	}
	text := strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
	if n, err := strconv.Atoi(text); err == nil {
		return Thousands(n)
	}
	return text
}

// slug makes the name of a file of a title.
func slug(title string) string {
	out := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return ' '
	}, title)
	if out = strings.Join(strings.Fields(out), "-"); out == "" {
		return "chart"
	}
	return out
}

// charts draws charts two by two.
func (s *sheet) charts(all []Chart) {
	for i := 0; i < len(all); i += 2 {
		pair := all[i:min(i+2, len(all))]
		s.room(chartHeight + 9 + 3.4*float64(max(len(pair[0].Series), len(pair[len(pair)-1].Series))))
		y := s.f.GetY() + 1
		width, end := (s.width-6*float64(len(pair)-1))/float64(len(pair)), y
		for n, c := range pair {
			end = max(end, s.chart(c, margin+float64(n)*(width+6), y, width))
		}
		s.f.SetXY(margin, end+1.5)
	}
}

// chart draws one chart and returns where it ends.
func (s *sheet) chart(c Chart, x, y, width float64) float64 {
	s.f.SetXY(x, y)
	title := c.Title
	if c.Unit != "" {
		title += " (" + c.Unit + ")"
	}
	text := s.clip(title, 8, width)
	s.f.SetFont(family, "B", 8)
	s.f.CellFormat(width, 4, text, "", 0, "L", false, 0, "")
	hi := c.top()
	p := plot{x: x + 10, y: y + 5, w: width - 11, h: chartHeight, hi: hi, n: len(c.Times)}
	s.axes(c, p)
	for i, series := range c.Series {
		s.series(c, series, i, p)
	}
	at := p.y + p.h + 4
	for i, series := range c.Series {
		s.legend(series, i, x, at, width, c.Bars)
		at += 3.4
	}
	s.ink()
	return at
}

// plot is where a chart is drawn, and what its upper edge stands for; the lower one is zero.
type plot struct {
	x, y, w, h, hi float64
	n              int
}

func (p plot) at(i int) float64 {
	if p.n < 2 {
		return p.x + p.w/2
	}
	return p.x + p.w*float64(i)/float64(p.n-1)
}

func (p plot) of(v float64) float64 { return p.y + p.h*(1-v/p.hi) }

// top is a round number that no value exceeds.
func (c Chart) top() float64 {
	hi := 0.0
	for _, s := range c.Series {
		for _, v := range s.Values {
			if !math.IsNaN(v) {
				hi = max(hi, v)
			}
		}
	}
	if hi <= 0 {
		return 1
	}
	step := math.Pow(10, math.Floor(math.Log10(hi)))
	for _, f := range []float64{.2, .25, .5, 1, 2, 2.5, 5} {
		if hi <= f*step*4 {
			return f * step * 4
		}
	}
	return 10 * step
}

// axes draws the lines behind the values, with what they stand for.
func (s *sheet) axes(c Chart, p plot) {
	s.f.SetLineWidth(0.1)
	s.f.SetDrawColor(205, 205, 205)
	s.f.SetFont(family, "", 6.5)
	s.grey()
	for i := 0; i <= 4; i += 2 {
		v := p.hi * float64(i) / 4
		s.f.Line(p.x, p.of(v), p.x+p.w, p.of(v))
		s.f.SetXY(p.x-10, p.of(v)-1.6)
		s.f.CellFormat(9, 3.2, Figure(v), "", 0, "R", false, 0, "")
	}
	if len(c.Times) == 0 {
		return
	}
	const form = "2 Jan 06"
	s.f.SetXY(p.x, p.y+p.h+0.5)
	s.f.CellFormat(p.w/2, 3, c.Times[0].UTC().Format(form), "", 0, "L", false, 0, "")
	s.f.CellFormat(p.w/2, 3, c.Times[len(c.Times)-1].UTC().Format(form), "", 0, "R", false, 0, "")
}

// strokes tell series apart without colour.
var strokes = [][]float64{{}, {1.6, 1}, {0.5, 0.8}, {3, 0.8, 0.5, 0.8}}

// pen sets how a series is drawn, by its tone and its place.
func (s *sheet) pen(tone string, i int) {
	r, g, b := 30, 80, 160
	switch tone {
	case "good":
		r, g, b = 20, 110, 60
	case "bad":
		r, g, b = 170, 35, 35
	case "warn":
		r, g, b = 150, 95, 0
	case "lost":
		r, g, b = 110, 40, 140
	case "quiet":
		r, g, b = 100, 100, 100
	}
	s.f.SetDrawColor(r, g, b)
	s.f.SetFillColor(r, g, b)
	s.f.SetLineWidth(0.4)
	s.f.SetDashPattern(strokes[i%len(strokes)], 0)
}

func (s *sheet) series(c Chart, x Series, i int, p plot) {
	s.pen(x.Tone, i)
	defer s.f.SetDashPattern([]float64{}, 0)
	if c.Bars {
		share := p.w / float64(max(p.n, 1))
		width := share * 0.8 / float64(len(c.Series))
		for n := range c.Times {
			if v := value(x, n); !math.IsNaN(v) && v > 0 {
				s.f.Rect(p.x+share*(float64(n)+.1)+width*float64(i), p.of(v), width, p.y+p.h-p.of(v), "F")
			}
		}
		return
	}
	last := -1
	for n := range c.Times {
		v := value(x, n)
		if math.IsNaN(v) {
			last = -1
			continue
		}
		if last >= 0 {
			s.f.Line(p.at(last), p.of(value(x, last)), p.at(n), p.of(v))
		} else if n+1 >= len(c.Times) || math.IsNaN(value(x, n+1)) {
			s.f.Circle(p.at(n), p.of(v), 0.4, "F")
		}
		last = n
	}
}

// legend names a series, with the numbers that matter most.
func (s *sheet) legend(x Series, i int, left, y, width float64, bars bool) {
	s.pen(x.Tone, i)
	if bars {
		s.f.Rect(left+1, y+0.8, 6, 1.8, "F")
	} else {
		s.f.Line(left+1, y+1.7, left+8, y+1.7)
	}
	s.f.SetDashPattern([]float64{}, 0)
	s.f.SetXY(left+10, y)
	s.f.CellFormat(width-10, 3.4, s.clip(x.Name+": "+x.summary(), 7, width-10), "", 0, "L", false, 0, "")
}

// summary says the first, the last, the lowest and the highest value.
func (x Series) summary() string {
	first, last, lo, hi := math.NaN(), math.NaN(), math.Inf(1), math.Inf(-1)
	for _, v := range x.Values {
		if math.IsNaN(v) {
			continue
		}
		if math.IsNaN(first) {
			first = v
		}
		last, lo, hi = v, min(lo, v), max(hi, v)
	}
	if math.IsNaN(first) {
		return "not recorded"
	}
	return fmt.Sprintf("first %s, last %s, lowest %s, highest %s", Figure(first), Figure(last), Figure(lo), Figure(hi))
}
