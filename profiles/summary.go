package profiles

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward/profiles/catalogue"
)

// Summary is a policy as people read it.
type Summary struct {
	Name        string
	Note        string
	Approved    []ApprovedLine
	Blocked     []BlockedLine
	Excepted    []string // names of apps
	Containment []string // what is switched on, in words
	Lost        LostWords
	Notice      string
	Warnings    []string // what the reader should know; never empty sentences
}

// ApprovedLine is one app of the register.
type ApprovedLine struct {
	Name, BundleID, Purpose, Owner, DPIA, Retention string
	ReviewBy                                        time.Time
	Overdue, Required, NeedsCertificate             bool
}

// BlockedLine is one app that is kept off.
type BlockedLine struct {
	Slug, Name, Category string
	BundleIDs            []string // that are sent to iPhones, in the catalogue's order
	Unconfirmed          []string // those of them that are known at grade B only
}

// Summary describes the policy at a time, which decides what is overdue.
func (p *Policy) Summary(now time.Time) Summary {
	s := Summary{Name: p.Name, Note: p.Note, Lost: p.Lost, Notice: p.Notice}
	for _, a := range p.Approved {
		overdue := a.Overdue(now)
		s.Approved = append(s.Approved, ApprovedLine{
			Name: a.Name, BundleID: a.IOS.BundleID, Purpose: a.Purpose, Owner: a.Owner, DPIA: a.DPIA,
			Retention: a.Retention, ReviewBy: a.ReviewBy, Overdue: overdue,
			Required: a.Required, NeedsCertificate: a.NeedsCertificate,
		})
		if overdue {
			s.Warnings = append(s.Warnings, fmt.Sprintf("The review of %s was due by %s.", a.Name, a.ReviewBy.Format(time.DateOnly)))
		}
		if p.blocksRowOf(a.IOS.BundleID) {
			s.Warnings = append(s.Warnings, fmt.Sprintf("%s is approved, so %s is left out of the block.", a.Name, a.IOS.BundleID))
		}
	}
	for _, a := range p.blockable() {
		s.Blocked = append(s.Blocked, blockedLine(a))
		if a.Caution != "" {
			s.Warnings = append(s.Warnings, a.Name+": "+a.Caution)
		}
	}
	for _, l := range p.neverBlocked() {
		s.Warnings = append(s.Warnings, strings.TrimSpace(l.Intent+": "+l.Why+" "+l.Cure))
	}
	for _, slug := range p.Block.Except {
		if app, ok := catalogue.Builtin().Lookup(slug); ok {
			s.Excepted = append(s.Excepted, app.Name)
		}
	}
	on := p.Containment.wishes()
	for _, t := range wishTexts {
		if on[t.wish] {
			s.Containment = append(s.Containment, t.intent)
		}
	}
	return s
}

func blockedLine(a catalogue.App) BlockedLine {
	l := BlockedLine{Slug: a.Slug, Name: a.Name, Category: a.Category, BundleIDs: a.BundleIDs()}
	for _, id := range a.IOS {
		if id.Unconfirmed() {
			l.Unconfirmed = append(l.Unconfirmed, id.ID)
		}
	}
	return l
}

func (p *Policy) blocksRowOf(bundleID string) bool {
	return slices.ContainsFunc(p.kept, func(a catalogue.App) bool {
		return slices.Contains(a.BundleIDs(), bundleID)
	})
}

// String writes the summary for a terminal, one fact a line.
func (s Summary) String() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("Policy: %s", s.Name)
	if s.Note != "" {
		line("Version note: %s", s.Note)
	}
	line("\nApproved apps: %d", len(s.Approved))
	for _, a := range s.Approved {
		line("  %s (%s)", a.Name, a.BundleID)
		line("    for %s", a.Purpose)
		line("    owner %s, DPIA %s, retention %s", a.Owner, a.DPIA, a.Retention)
		overdue := ""
		if a.Overdue {
			overdue = ", overdue"
		}
		line("    review by %s%s", a.ReviewBy.Format(time.DateOnly), overdue)
	}
	line("\nBlocked apps: %d", len(s.Blocked))
	for _, a := range s.Blocked {
		mark := ""
		if len(a.Unconfirmed) > 0 {
			mark = ", unconfirmed: " + strings.Join(a.Unconfirmed, " ")
		}
		line("  %s (%s%s)", a.Name, strings.Join(a.BundleIDs, " "), mark)
	}
	if len(s.Excepted) > 0 {
		line("  except: %s", strings.Join(s.Excepted, ", "))
	}
	for _, section := range []struct {
		title string
		items []string
	}{{"Containment", s.Containment}, {"To know", s.Warnings}} {
		if len(section.items) > 0 {
			line("\n%s:\n  %s", section.title, strings.Join(section.items, "\n  "))
		}
	}
	return b.String()
}
