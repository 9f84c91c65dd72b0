package evidence

import (
	"fmt"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/report"
)

// Period is a calendar month, UTC.
type Period struct{ from time.Time }

// Month returns the month of a time.
func Month(t time.Time) Period {
	t = t.UTC()
	return Period{time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)}
}

// ParsePeriod reads a month such as "2026-10". The month may not lie ahead; "" is the last
// one that is over.
func ParsePeriod(text string, now time.Time) (Period, error) {
	if text == "" {
		return Month(now).Before(), nil
	}
	t, err := time.Parse("2006-01", text)
	if err != nil {
		return Period{}, ward.Errorf(ward.Invalid, "The month %q is not one. Write it as year and month: %s.", text, Month(now).Before())
	}
	if t.After(now) || t.Year() < 2000 {
		return Period{}, ward.Errorf(ward.Invalid, "Nothing is recorded of %s. Choose a month that has begun.", text)
	}
	return Month(t), nil
}

// From is the first moment of the month.
func (p Period) From() time.Time { return p.from }

// To is the first moment after the month.
func (p Period) To() time.Time { return p.from.AddDate(0, 1, 0) }

// Before is the month before.
func (p Period) Before() Period { return Period{p.from.AddDate(0, -1, 0)} }

// Has reports whether a time lies in the month.
func (p Period) Has(t time.Time) bool { return !t.Before(p.From()) && t.Before(p.To()) }

// String writes the month as ParsePeriod reads it.
func (p Period) String() string { return p.from.Format("2006-01") }

// Words writes the month for people.
func (p Period) Words() string { return p.from.Format("January 2006") }

// share writes a part of a whole.
func share(n, of int) string {
	if of == 0 {
		return fmt.Sprintf("%s of 0", report.Thousands(n))
	}
	return fmt.Sprintf("%s of %s (%s %%)", report.Thousands(n), report.Thousands(of), percent(n, of))
}

func percent(n, of int) string {
	if of == 0 {
		return "–"
	}
	return report.Figure(100 * float64(n) / float64(of))
}

// count writes a number with what it is of.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return report.Thousands(n) + " " + many
}

// took writes how long something took, as people say it.
func took(d time.Duration) string {
	switch {
	case d < 0:
		return "not yet"
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 72*time.Hour:
		return fmt.Sprintf("%.1f h", d.Hours())
	default:
		return fmt.Sprintf("%.1f days", d.Hours()/24)
	}
}
