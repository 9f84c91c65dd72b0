package evidence

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/report"
)

// What stands in the lists of a board report at most, so that it keeps to two pages. The
// CSV files of other reports have them whole.
const (
	boardLosses     = 8
	boardExceptions = 6
)

// board makes the report of a month on two pages.
func (s *Service) board(ctx context.Context, r Request, out *made) error {
	m, err := s.month(ctx, r.Period)
	if err != nil {
		return err
	}
	before, err := s.month(ctx, r.Period.Before())
	if err != nil {
		return err
	}
	held, err := s.Brake.Holds(ctx)
	if err != nil {
		return fmt.Errorf("what the brake holds: %w", err)
	}
	out.Title, out.Name, out.AsOf = "Board report, "+m.Words(), "board-"+m.String(), m.end
	out.Says = []string{"every device of the organisation"}
	if m.end.Before(m.To()) {
		out.Says = append(out.Says, "the month is not over")
	}
	out.Sections = []report.Section{
		{Heading: "In short", Text: m.sentences(before)},
		{Tables: []report.Table{m.numbers(before)}},
		{Charts: []report.Chart{m.chart("Devices that comply", "%", true, compliant), m.chart("Devices with a blocked app", "devices", false, func(d estate.Day) float64 { return float64(d.Blocked) })}},
		{Heading: "Lost and stolen devices", Break: true, Text: m.lossWords(), Tables: []report.Table{m.lossTable(boardLosses)}},
		{Heading: "Approved apps and systems", Charts: []report.Chart{
			m.chart("Approved apps ready", "% of the devices that should have them", true, func(d estate.Day) float64 { return ratio(d.AppReady, d.AppWant) }),
			m.chart("Not seen, and old systems", "devices", false, func(d estate.Day) float64 { return float64(d.NotSeen30) }, func(d estate.Day) float64 { return float64(d.OldOS) }),
		}},
		{Heading: "Exceptions in force", Text: []string{m.exceptionWords()}, Tables: []report.Table{m.exceptionTable(boardExceptions)}},
		{Heading: "Orders, brake and drills", Text: []string{m.orderWords(len(held))}},
		{Notes: []string{"A device that has not told for 72 hours is unknown and counts as not compliant. Median and 95th percentile by nearest rank, of the blocked apps that a device itself told to be gone in the month; where a device fell silent, was lost or retired, or the policy changed, nothing is counted. Figures of a day are those of its end, UTC."}},
	}
	for i, name := range []string{"Not seen for 30 days", "Below the minimum version"} {
		out.Sections[4].Charts[1].Series[i].Name = name
	}
	return nil
}

func compliant(d estate.Day) float64 { return ratio(d.States[compliance.Compliant], d.Devices) }

func ratio(n, of int) float64 {
	if of == 0 {
		return math.NaN()
	}
	return 100 * float64(n) / float64(of)
}

// chart draws something of each day of the month.
func (m month) chart(title, unit string, good bool, of ...func(estate.Day) float64) report.Chart {
	c := report.Chart{Title: title, Unit: unit}
	by := map[time.Time]estate.Day{}
	for _, d := range m.days {
		by[d.Day.UTC().Truncate(24*time.Hour)] = d
	}
	for t := m.From(); t.Before(m.end); t = t.AddDate(0, 0, 1) {
		c.Times = append(c.Times, t)
	}
	for i, f := range of {
		x := report.Series{Name: "All devices", Tone: "bad"}
		if good {
			x.Tone = "good"
		} else if i > 0 {
			x.Tone = "warn"
		}
		for _, t := range c.Times {
			v := math.NaN()
			if d, ok := by[t]; ok {
				v = f(d)
			}
			x.Values = append(x.Values, v)
		}
		c.Series = append(c.Series, x)
	}
	return c
}

// sentences say in words what the numbers come to.
func (m month) sentences(b month) []string {
	if !m.ok {
		return []string{"Nothing is recorded of the devices in " + m.Words() + ": Ward did not run then, or has deleted it as the retention says."}
	}
	good, of := m.last.States[compliance.Compliant], m.last.Devices
	first := fmt.Sprintf("At the end of %s %s devices complied with the policy", m.Words(), share(good, of))
	if b.ok && of > 0 && b.last.Devices > 0 {
		first += ", " + compared(compliant(m.last)-compliant(b.last), "points") + " than a month before"
	}
	unknown, bad, grace, pending := m.last.States[compliance.Unknown], m.last.States[compliance.NonCompliant], m.last.States[compliance.InGrace], m.last.States[compliance.Pending]
	second := fmt.Sprintf("Of the others %s not comply, %s in grace, for %s is on its way, and %s unknown: what is not known is not counted as compliant.", verb(bad, "does", "do"), verb(grace, "is", "are"), verb(pending, "what the policy wants", "what the policy wants"), verb(unknown, "is", "are"))
	third := "Blocked apps were on " + count(m.last.Blocked, "device", "devices")
	if len(m.days) > 1 {
		third += fmt.Sprintf(" at the end and on %s at the beginning", report.Thousands(m.days[0].Blocked))
	}
	if r := m.removals; r.Removed > 0 {
		third += fmt.Sprintf("; %s removed, half of them within %s and 95 in a hundred within %s", were(r.Removed, "was", "were"), took(r.P50), took(r.P95))
	} else {
		third += "; none was removed in the month"
	}
	if !m.removals.Oldest.IsZero() {
		third += fmt.Sprintf(". The longest that is still there has been there for %s", took(m.end.Sub(m.removals.Oldest)))
	}
	return []string{first + ".", second, third + ".", m.exceptionWords() + " " + m.brief()}
}

// brief says the month's losses in a sentence.
func (m month) brief() string {
	if len(m.cases) == 0 {
		return "No device was reported lost."
	}
	late := 0
	for _, l := range m.cases {
		late += one(!l.inTime() && m.end.After(l.deadline))
	}
	words := count(len(m.cases), "device was", "devices were") + " reported lost or stolen"
	if late > 0 {
		return words + "; of " + report.Thousands(late) + " it was not decided within 72 hours whether the regulator must be told."
	}
	return words + "; no decision on telling the regulator is late."
}

func verb(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return report.Thousands(n) + " " + many
}

func were(n int, one, many string) string { return verb(n, one, many) }

// compared says how a number stands to the one before.
func compared(d float64, unit string) string {
	text := report.Figure(math.Abs(d)) + " " + unit
	switch {
	case math.Abs(d) < .05:
		return "no more and no fewer"
	case d > 0:
		return text + " more"
	}
	return text + " fewer"
}

// numbers are the figures of the month beside those of the month before.
func (m month) numbers(b month) report.Table {
	t := report.Table{
		Name: "numbers", Title: "Figures",
		Columns: []report.Column{{Head: "Figure", Share: 52}, {Head: m.Words(), Kind: report.Number, Share: 16}, {Head: b.Words(), Kind: report.Number, Share: 16}, {Head: "Change", Kind: report.Number, Share: 16}},
	}
	row := func(name string, of func(month) float64) {
		now, then := of(m), of(b)
		change := "–"
		if d := now - then; !math.IsNaN(d) {
			change = report.Figure(d)
			if d > 0 {
				change = "+" + change
			}
		}
		t.Rows = append(t.Rows, []report.Cell{{Text: name}, {Text: report.Figure(now)}, {Text: report.Figure(then)}, {Text: change}})
	}
	last := func(f func(estate.Day) int) func(month) float64 {
		return func(x month) float64 {
			if !x.ok {
				return math.NaN()
			}
			return float64(f(x.last))
		}
	}
	row("Devices under management", last(func(d estate.Day) int { return d.Devices }))
	row("Enrolled in the month", func(x month) float64 { return float64(x.enrolled) })
	for _, st := range []struct {
		words string
		state compliance.State
	}{{"Compliant", compliance.Compliant}, {"Pending", compliance.Pending}, {"In grace", compliance.InGrace}, {"Non-compliant", compliance.NonCompliant}, {"Unknown", compliance.Unknown}, {"Lost", compliance.Lost}} {
		row(st.words, last(func(d estate.Day) int { return d.States[st.state] }))
	}
	row("Devices with a blocked app", last(func(d estate.Day) int { return d.Blocked }))
	row("Blocked apps removed in the month", func(x month) float64 { return float64(x.removals.Removed) })
	row("Time to removal, median (days)", func(x month) float64 { return span(x.removals.Removed, x.removals.P50) })
	row("Time to removal, 95th percentile (days)", func(x month) float64 { return span(x.removals.Removed, x.removals.P95) })
	row("Approved apps ready with certificate (% of those that should)", func(x month) float64 { return ratio(x.last.AppReady, x.last.AppWant) })
	row("Not seen for 7 days", last(func(d estate.Day) int { return d.NotSeen7 }))
	row("Not seen for 30 days", last(func(d estate.Day) int { return d.NotSeen30 }))
	row("Below the minimum version of the system", last(func(d estate.Day) int { return d.OldOS }))
	row("Reported lost or stolen", func(x month) float64 { return float64(len(x.cases)) })
	row("Exceptions in force", func(x month) float64 { return float64(len(x.exceptions)) })
	row("Orders asked for", func(x month) float64 { return float64(x.asked()) })
	row("Drills", func(x month) float64 { return float64(x.drills) })
	return t
}

func span(n int, d time.Duration) float64 {
	if n == 0 {
		return math.NaN()
	}
	return d.Hours() / 24
}

func (m month) lossWords() []string {
	if len(m.cases) == 0 {
		return []string{"None was reported."}
	}
	var locked, found, erased, assessed, told int
	var worst time.Duration = -1
	for _, l := range m.cases {
		locked += one(l.lock >= 0)
		worst = max(worst, l.lock)
		found += one(!l.Found.IsZero())
		erased += one(l.erased)
		assessed += one(l.inTime())
		told += one(l.reported)
	}
	n := len(m.cases)
	words := fmt.Sprintf("%s reported. %s accepted a lock", count(n, "was", "were"), share(locked, n))
	if worst >= 0 {
		words += ", the slowest " + took(worst) + " after the report"
	}
	words += fmt.Sprintf("; %s found again, %s accepted an erase. Of %s it was decided within 72 hours whether the regulator must be told; %s to be told.", share(found, n), share(erased, n), share(assessed, n), verb(told, "was", "were"))
	return []string{words}
}

func (m month) lossTable(most int) report.Table {
	t := report.Table{Name: "losses", Columns: []report.Column{
		{Head: "Reported", Kind: report.Time, Share: 19}, {Head: "Case", Share: 23}, {Head: "Locked after", Share: 13}, {Head: "Found", Share: 15}, {Head: "Erase accepted", Share: 11}, {Head: "Regulator", Share: 19},
	}}
	for i, l := range m.cases {
		if i == most {
			t.Rows = append(t.Rows, []report.Cell{{Text: "and " + report.Thousands(len(m.cases)-most) + " more"}, {}, {}, {}, {}, {}})
			break
		}
		found, erased, told := "no", "no", "not decided yet"
		if !l.Found.IsZero() {
			found = l.Found.UTC().Format("2 Jan 2006")
		}
		if l.erased {
			erased = "yes"
		}
		switch {
		case !l.assessed.IsZero() && l.reported:
			told = "to be told"
		case !l.assessed.IsZero():
			told = "need not be told"
		}
		if !l.assessed.IsZero() && !l.inTime() {
			told += ", late"
		}
		t.Rows = append(t.Rows, []report.Cell{{Time: l.Reported}, {Text: string(l.ID), Href: "/cases/" + string(l.ID)}, {Text: took(l.lock)}, {Text: found}, {Text: erased}, {Text: told}})
	}
	return t
}

func (m month) exceptionWords() string {
	switch n := len(m.exceptions); {
	case m.policy == nil:
		return "No policy was in force, or it can't be read any more."
	case n == 0:
		return "No exception was in force at the end."
	default:
		return count(n, "exception was", "exceptions were") + " in force at the end."
	}
}

func (m month) exceptionTable(most int) report.Table {
	t := report.Table{Name: "exceptions", Columns: []report.Column{{Head: "Exception", Share: 22}, {Head: "App", Share: 22}, {Head: "Reason", Share: 40}, {Head: "Until the end of", Share: 16}}}
	for i, e := range m.exceptions {
		if i == most {
			t.Rows = append(t.Rows, []report.Cell{{Text: "and " + report.Thousands(len(m.exceptions)-most) + " more"}, {}, {}, {}})
			break
		}
		t.Rows = append(t.Rows, []report.Cell{{Text: shortened(e.ID, 40), Href: "/exceptions"}, {Text: shortened(e.AppName, 40)}, {Text: shortened(e.Reason, 80)}, {Text: report.Day(e.Expires)}})
	}
	return t
}

// shortened keeps a text to some characters.
func shortened(text string, most int) string {
	r := []rune(strings.Join(strings.Fields(text), " "))
	if len(r) <= most {
		return string(r)
	}
	return string(r[:most-1]) + "…"
}

func (m month) orderWords(held int) string {
	words := fmt.Sprintf("%s asked for: %s carried out, %s refused, %s cancelled, %s expired without two signatures. %s to erase a device %s issued.",
		count(m.asked(), "order was", "orders were"), report.Thousands(m.orders[order.Issued]), report.Thousands(m.orders[order.Refused]), report.Thousands(m.orders[order.Cancelled]), report.Thousands(m.orders[order.Expired]),
		count(m.erased, "order", "orders"), map[bool]string{true: "was", false: "were"}[m.erased == 1])
	if m.glass > 0 {
		words += " The sealed key was used " + count(m.glass, "time", "times") + "."
	} else {
		words += " The sealed key was not used."
	}
	if held > 0 {
		words += " The brake holds " + count(held, "kind of deed", "kinds of deed") + " as this is made."
	} else {
		words += " The brake holds nothing as this is made."
	}
	return words + " " + count(m.drills, "drill was", "drills were") + " held."
}
