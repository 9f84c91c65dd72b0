package profiles

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/profiles/source"
)

// Summary is a policy as people read it: what holds for a work phone in no group, the
// groups and exceptions that differ from it, and what the reader should know.
type Summary struct {
	Name        string
	Note        string
	Baselines   []string
	Approved    []ApprovedLine
	AllowOnly   bool
	Blocked     []BlockedLine
	Excepted    []string // exceptions in force, in words
	Ended       []string // exceptions that ended lately, in words
	Groups      []string // names
	Containment []string // what is switched on, in words
	Lost        source.LostWords
	Notice      string
	Warnings    []string // what the reader should know; never empty sentences
}

// ApprovedLine is one app of the register.
type ApprovedLine struct {
	Name, BundleID, Purpose, Owner, DPIA, Retention string
	ReviewBy                                        time.Time
	Overdue, Required, NeedsCertificate             bool
	Platforms                                       []ward.Platform
}

// BlockedLine is one app that is kept off.
type BlockedLine struct {
	Slug, Name, Category string
	BundleIDs            []string // that are sent to iPhones, in the catalogue's order
	Unconfirmed          []string // those of them that are known at grade B only
}

// Summary describes the policy at a time, which decides what is overdue.
func (p *Policy) Summary(now time.Time) Summary {
	w := p.Settle(ward.Device{Platform: ward.IOS, Ownership: ward.Corporate}, now).Wanted
	s := Summary{
		Name: p.Name, Note: p.Note, Baselines: p.Baselines, AllowOnly: w.Block.AllowOnly, Lost: p.Lost, Notice: w.Notice, Warnings: p.Warnings(now),
	}
	for _, a := range p.Register {
		s.Approved = append(s.Approved, ApprovedLine{
			Name: a.Name, BundleID: a.IOS.BundleID, Purpose: a.Purpose, Owner: a.Owner, DPIA: a.DPIA,
			Retention: a.Retention, ReviewBy: a.ReviewBy, Overdue: a.Overdue(now),
			Required: a.Required, NeedsCertificate: a.NeedsCertificate, Platforms: platforms(a),
		})
	}
	for _, a := range w.Block.Apps {
		if len(a.IOS) > 0 {
			s.Blocked = append(s.Blocked, blockedLine(a))
		}
	}
	for _, e := range p.Exceptions {
		if e.InForce(now) {
			s.Excepted = append(s.Excepted, exceptionWords(e.Exception, e.For.String(), "until the end of"))
		}
	}
	for _, e := range p.Ended(now) {
		s.Ended = append(s.Ended, exceptionWords(e, "", "ended with"))
	}
	for _, g := range p.Groups {
		s.Groups = append(s.Groups, g.Name)
	}
	for _, t := range intent.Switches() {
		if w.On[t.ID] {
			s.Containment = append(s.Containment, t.Words)
		}
	}
	return s
}

func exceptionWords(e intent.Exception, scope, until string) string {
	if scope != "" {
		scope = " for " + scope
	}
	return fmt.Sprintf("%s: %s%s, %s %s, approved by %s", e.ID, e.AppName, scope, until, e.Expires.Format("2 January 2006"), e.Approver)
}

func platforms(a source.Approved) []ward.Platform {
	all := []ward.Platform{ward.IOS, ward.MacOS, ward.Android, ward.Windows, ward.Linux}
	return slices.DeleteFunc(all, func(p ward.Platform) bool { return !a.Runs(p) })
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

// String writes the summary for a terminal, one fact a line.
func (s Summary) String() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("Policy: %s", s.Name)
	if s.Note != "" {
		line("Version note: %s", s.Note)
	}
	if len(s.Baselines) > 0 {
		line("Laid over: %s", strings.Join(s.Baselines, ", "))
	}
	line("\nApproved apps: %d", len(s.Approved))
	for _, a := range s.Approved {
		a.write(line)
	}
	if s.AllowOnly {
		line("\nOnly the approved apps and those that are allowed run.")
	}
	line("\nBlocked apps: %d", len(s.Blocked))
	for _, a := range s.Blocked {
		mark := ""
		if len(a.Unconfirmed) > 0 {
			mark = ", unconfirmed: " + strings.Join(a.Unconfirmed, " ")
		}
		line("  %s (%s%s)", a.Name, strings.Join(a.BundleIDs, " "), mark)
	}
	for _, section := range []struct {
		title string
		items []string
	}{
		{"Groups", s.Groups},
		{"Exceptions in force", s.Excepted},
		{"Exceptions that ended", s.Ended},
		{"Containment and hardening", s.Containment},
		{"To know", s.Warnings},
	} {
		if len(section.items) > 0 {
			line("\n%s:\n  %s", section.title, strings.Join(section.items, "\n  "))
		}
	}
	return b.String()
}

func (a ApprovedLine) write(line func(string, ...any)) {
	on := make([]string, len(a.Platforms))
	for i, p := range a.Platforms {
		on[i] = names[p]
	}
	line("  %s (%s)", a.Name, strings.Join(on, ", "))
	line("    for %s", a.Purpose)
	line("    owner %s, DPIA %s, retention %s", a.Owner, a.DPIA, a.Retention)
	overdue := ""
	if a.Overdue {
		overdue = ", overdue"
	}
	line("    review by %s%s", a.ReviewBy.Format(time.DateOnly), overdue)
}
