package evidence

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/report"
)

// fewest is the smallest number that is told to the public: a smaller one could point at a
// person.
const fewest = 5

// few writes a number so that it points at nobody.
func few(n int) string {
	if n > 0 && n < fewest {
		return "fewer than 5"
	}
	return report.Thousands(n)
}

// foi makes an answer to the public. It holds no name of a person, nor free text that
// somebody wrote about one: of an exception there is the app and no reason, of a version no
// author, and of the register no owner.
func (s *Service) foi(ctx context.Context, r Request, out *made) error {
	m, err := s.month(ctx, r.Period)
	if err != nil {
		return err
	}
	out.Title, out.Name, out.AsOf, out.By = "Messaging apps: information for the public, "+m.Words(), "foi-"+m.String(), m.end, ""
	out.Says = []string{"without personal data", "numbers below 5 are not given exactly, as they could point at a person"}
	if m.policy == nil {
		out.Sections = []report.Section{{Heading: "Policy", Text: []string{"No policy was in force."}}}
		return nil
	}
	versions, err := s.versionsIn(ctx, m.Period)
	if err != nil {
		return err
	}
	out.Sections = []report.Section{
		{Heading: "Which apps are approved for work, and by which assessment?", Tables: []report.Table{approvedForAll(m)}},
		{Heading: "Which policies were in force?", Text: []string{fmt.Sprintf("Version %d of the mobile messaging policy was in force at the end of the month, from %s on.", m.version.Generation, report.Day(inForceFrom(m.version)))}, Tables: []report.Table{versions}},
		{Heading: "Which apps are blocked?", Text: []string{blockedWords(m)}, Tables: []report.Table{blockedTable(m)}},
		{Heading: "How many exceptions are there?", Text: []string{exceptionsForAll(m)}, Tables: []report.Table{exceptionCounts(m)}},
		{Heading: "How many incidents were there?", Facts: incidents(m)},
		{Notes: []string{"Ward manages the devices that are enrolled in it. What people do on devices of their own that are not enrolled is not known to it, and no message is ever read by it."}},
	}
	return nil
}

func approvedForAll(m month) report.Table {
	t := report.Table{Name: "approved", Columns: []report.Column{{Head: "App"}, {Head: "Approved for", Share: 34}, {Head: "Impact assessment"}, {Head: "Retention"}, {Head: "Next review"}}}
	for _, a := range m.policy.Register {
		t.Rows = append(t.Rows, []report.Cell{{Text: a.Name}, {Text: a.Purpose}, {Text: a.DPIA}, {Text: a.Retention}, {Text: report.Day(a.ReviewBy)}})
	}
	return t
}

func (s *Service) versionsIn(ctx context.Context, p Period) (report.Table, error) {
	t := report.Table{Name: "versions", Title: "Versions that came into force in the month", Columns: []report.Column{{Head: "Version", Kind: report.Number, Share: 12}, {Head: "In force from"}, {Head: "Approved by a second person"}}}
	for before := int64(0); ; {
		page, err := s.Policies.Versions(ctx, before, 100)
		if err != nil {
			return t, err
		}
		for _, v := range page {
			if v.State != policy.Proposed && v.State != policy.Withdrawn && p.Has(inForceFrom(v)) {
				t.Rows = append(t.Rows, []report.Cell{{Text: fmt.Sprint(v.Generation)}, {Text: report.Day(inForceFrom(v))}, {Text: map[bool]string{true: "yes", false: "not needed for this change"}[v.Approver != ""]}})
			}
		}
		if len(page) < 100 || page[len(page)-1].Published.Before(p.From()) {
			return t, nil
		}
		before = page[len(page)-1].Generation
	}
}

func blockedWords(m month) string {
	sum := m.policy.Summary(m.end)
	if sum.AllowOnly {
		return "Nothing but apps that are listed may run on work phones. By name these are kept off besides:"
	}
	return fmt.Sprintf("The policy keeps %s off work phones by name:", count(len(sum.Blocked), "app", "apps"))
}

func blockedTable(m month) report.Table {
	t := report.Table{Name: "blocked", Columns: []report.Column{{Head: "App"}, {Head: "Kind"}}}
	for _, b := range m.policy.Summary(m.end).Blocked {
		t.Rows = append(t.Rows, []report.Cell{{Text: b.Name}, {Text: b.Category}})
	}
	slices.SortFunc(t.Rows, func(a, b []report.Cell) int { return cmp.Compare(a[0].Text, b[0].Text) })
	return t
}

func exceptionsForAll(m month) string {
	n := len(m.exceptions)
	if n == 0 {
		return "None was in force at the end of the month."
	}
	return "In force at the end of the month: " + few(n) + "."
}

func exceptionCounts(m month) report.Table {
	by := map[string]int{}
	for _, e := range m.exceptions {
		by[e.AppName]++
	}
	t := report.Table{Name: "exceptions", Columns: []report.Column{{Head: "App"}, {Head: "Exceptions in force", Kind: report.Number}}}
	for app, n := range by {
		t.Rows = append(t.Rows, []report.Cell{{Text: app}, {Text: few(n)}})
	}
	slices.SortFunc(t.Rows, func(a, b []report.Cell) int { return cmp.Compare(a[0].Text, b[0].Text) })
	return t
}

func incidents(m month) []report.Fact {
	told, assessed := 0, 0
	for _, l := range m.cases {
		told += one(l.reported)
		assessed += one(!l.assessed.IsZero())
	}
	out := []report.Fact{
		{Label: "Devices lost or stolen", Value: few(len(m.cases))},
		{Label: "Assessed", Value: few(assessed)},
		{Label: "Regulator to be told", Value: few(told)},
	}
	if m.ok {
		out = append(out, report.Fact{Label: "Devices with a blocked app", Value: few(m.last.Blocked) + " at the end of the month"}, report.Fact{Label: "Devices managed", Value: few(m.last.Devices)})
	}
	if m.removals.Removed >= fewest {
		out = append(out, report.Fact{Label: "Time until one was gone", Value: "half within " + took(m.removals.P50)})
	}
	return append(out, report.Fact{Label: "Period", Value: m.From().Format("2 January 2006") + " to " + m.end.Add(-time.Second).Format("2 January 2006")})
}
