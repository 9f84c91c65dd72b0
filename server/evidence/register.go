package evidence

import (
	"context"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/source"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/report"
)

// register lists the approved apps with what was asked for before they were approved.
func (s *Service) register(ctx context.Context, _ Request, out *made) error {
	v, p, err := s.readAt(ctx, out.AsOf)
	if err != nil {
		return err
	}
	if p == nil {
		out.Sections = []report.Section{{Heading: "Nothing to list", Text: []string{"No policy was in force."}}}
		return nil
	}
	snap, err := s.snapshot(ctx, out.AsOf)
	if err != nil {
		return err
	}
	devices := devicesIn(snap, ward.ActorFrom(ctx).Scope)
	out.about = s.aboutVersion(v)
	out.Sections = []report.Section{{Heading: "The policy in force", Facts: versionFacts(v)}}
	for _, a := range p.Register {
		ready, want := readiness(devices, a)
		overdue := report.Day(a.ReviewBy)
		if a.Overdue(out.AsOf) {
			overdue += " (overdue)"
		}
		out.Sections = append(out.Sections, report.Section{Heading: a.Name, Facts: []report.Fact{
			{Label: "For", Value: a.Purpose},
			{Label: "Owner", Value: a.Owner},
			{Label: "Impact assessment", Value: a.DPIA},
			{Label: "Retention", Value: a.Retention},
			{Label: "Review by", Value: overdue},
			{Label: "Runs on", Value: systemsOf(a)},
			{Label: "Ready on", Value: share(ready, want) + " devices that should have it"},
		}})
	}
	t := report.Table{Name: "approved-apps", Title: "As a table", Columns: []report.Column{
		{Head: "App"}, {Head: "For", Share: 22}, {Head: "Owner"}, {Head: "Impact assessment"}, {Head: "Retention"}, {Head: "Review by"}, {Head: "Devices ready", Kind: report.Number}, {Head: "Should have it", Kind: report.Number},
	}}
	for _, a := range p.Register {
		ready, want := readiness(devices, a)
		t.Rows = append(t.Rows, []report.Cell{{Text: a.Name, Href: "/register"}, {Text: a.Purpose}, {Text: a.Owner}, {Text: a.DPIA}, {Text: a.Retention}, {Text: a.ReviewBy.Format(time.DateOnly)}, {Text: report.Thousands(ready)}, {Text: report.Thousands(want)}})
	}
	out.Sections = append(out.Sections, report.Section{Tables: []report.Table{t}})
	return nil
}

// readAt returns the version in force at a time and how it reads; p is nil where there was
// none, or where it can't be read any more.
func (s *Service) readAt(ctx context.Context, at time.Time) (v policy.Version, p *profiles.Policy, err error) {
	v, ok, err := s.policyAt(ctx, at)
	if err != nil || !ok {
		return v, nil, err
	}
	if p, err = v.Read(); ward.KindOf(err) == ward.Invalid {
		return v, nil, nil //nolint:nilerr // whoever asks says that it can't be read
	}
	return v, p, err
}

func readiness(all []*estate.Device, a source.Approved) (ready, want int) {
	for _, d := range all {
		for _, x := range d.Approved {
			if x.Bundle == a.IOS.BundleID || x.Bundle == a.MacOS.BundleID && x.Bundle != "" {
				want++
				ready += one(x.Ready())
			}
		}
	}
	return ready, want
}

func systemsOf(a source.Approved) string {
	var on []string
	for _, p := range []ward.Platform{ward.IOS, ward.MacOS, ward.Android, ward.Windows, ward.Linux} {
		if a.Runs(p) {
			on = append(on, platformName(p))
		}
	}
	if len(a.Web) > 0 {
		on = append(on, "browsers")
	}
	return strings.Join(on, ", ")
}

// versionFacts say which version holds, who made it and who approved it.
func versionFacts(v policy.Version) []report.Fact {
	out := []report.Fact{{Label: "Version", Value: report.Thousands(int(v.Generation))}, {Label: "In force from", Value: report.Moment(inForceFrom(v))}, {Label: "Published by", Value: orWard(v.AuthorName)}}
	if v.Approver != "" {
		out = append(out, report.Fact{Label: "Approved by", Value: v.ApproverName + ", " + report.Moment(v.Approved)})
	}
	if d, err := v.Digest(); err == nil {
		out = append(out, report.Fact{Label: "SHA-256", Value: d})
	}
	return out
}

func orWard(name string) string {
	if name == "" {
		return "Ward"
	}
	return name
}
