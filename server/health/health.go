// Package health says what is wrong with an installation, or is about to be, in words for
// whoever runs it, and what is left to do on its first day. It judges measurements that it is
// given; it measures nothing, mends nothing and tells nobody.
package health

import (
	"cmp"
	"slices"
	"time"
)

// Severity says how much a trouble matters.
type Severity string

// The severities, the worst first.
const (
	Fault   Severity = "fault"   // something does not work, or will stop within days
	Warning Severity = "warning" // it works, and will not for ever
	Notice  Severity = "notice"  // good to know
)

// rank orders severities, the worst first.
func (s Severity) rank() int {
	return slices.Index([]Severity{Fault, Warning, Notice}, s)
}

// Kind is one thing that can be wrong: an entry of the catalogue.
type Kind struct {
	Code  string // lower-case words joined by hyphens; it never changes its meaning
	Title string
	About string // what is looked at
	Cure  string // what is done about it in general
}

// Trouble is one thing that is wrong now.
type Trouble struct {
	Code     string
	Title    string
	Severity Severity
	Text     string    // what is wrong, a sentence or two
	Cure     string    // what to do
	Href     string    // where in the pages; empty for nowhere
	Since    time.Time // zero where it is not known
}

// Look is one line of the list of all that is looked at.
type Look struct {
	Kind
	Troubles []Trouble // what is wrong there, the worst first; empty if nothing is
}

// Report is how an installation fares at one time.
type Report struct {
	At      time.Time
	Version string
	Looks   []Look // in the order of the catalogue
}

// Troubles returns all that is wrong, the worst first.
func (r Report) Troubles() (out []Trouble) {
	for _, l := range r.Looks {
		out = append(out, l.Troubles...)
	}
	slices.SortStableFunc(out, func(a, b Trouble) int { return cmp.Compare(a.Severity.rank(), b.Severity.rank()) })
	return out
}

// Worst returns the worst severity there is, "" where nothing is wrong.
func (r Report) Worst() Severity {
	if all := r.Troubles(); len(all) > 0 {
		return all[0].Severity
	}
	return ""
}

// Count returns how many troubles there are of a severity.
func (r Report) Count(s Severity) (n int) {
	for _, t := range r.Troubles() {
		if t.Severity == s {
			n++
		}
	}
	return n
}

// say tells of a trouble. An empty cure stands for the catalogue's.
type say func(severity Severity, since time.Time, cure, href, format string, args ...any)

// check is an entry of the catalogue with what finds it.
type check struct {
	Kind
	find func(f Facts, tell say)
}

// Catalogue lists all that is looked at.
func Catalogue() []Kind {
	var out []Kind
	for _, c := range checks() {
		out = append(out, c.Kind)
	}
	return out
}

// Judge says what is wrong by what was measured.
func Judge(f Facts) Report {
	r := Report{At: f.Now, Version: f.Version}
	for _, c := range checks() {
		l := Look{Kind: c.Kind}
		c.find(f, func(severity Severity, since time.Time, cure, href, format string, args ...any) {
			l.Troubles = append(l.Troubles, Trouble{
				Code: c.Code, Title: c.Title, Severity: severity, Text: sentence(format, args...), Cure: cmp.Or(cure, c.Cure), Href: href, Since: since,
			})
		})
		for _, u := range f.Unmeasured {
			if u.Code == c.Code {
				l.Troubles = append(l.Troubles, Trouble{
					Code: c.Code, Title: c.Title, Severity: Warning, Text: "It could not be looked at: " + u.Why, Cure: "The server’s log says why. What can’t be seen is not taken to be well.",
				})
			}
		}
		slices.SortStableFunc(l.Troubles, func(a, b Trouble) int { return cmp.Compare(a.Severity.rank(), b.Severity.rank()) })
		r.Looks = append(r.Looks, l)
	}
	return r
}
