package evidence

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/report"
)

// cyberEssentials maps what is recorded to the five controls.
func (s *Service) cyberEssentials(ctx context.Context, r Request, out *made) error {
	n, err := s.standing(ctx, r.AsOf)
	if err != nil {
		return err
	}
	out.Says = []string{"controls as in Cyber Essentials: Requirements for IT infrastructure v3.2, April 2025, of the NCSC"}
	out.Sections = []report.Section{{
		Heading: "How to read this",
		Text: []string{
			"For each control this says what Ward has recorded and what has to come from elsewhere. It claims no control as met: the assessor decides. Check whether a later version of the requirements applies to your assessment.",
			"Ward does not know which versions a maker still supports: the list below counts devices by version, for you to hold against the maker's own statement.",
		},
	}, {Heading: "Devices in scope, by system and version", Tables: []report.Table{n.systems()}}}
	people, err := s.everybody(ctx)
	if err != nil {
		return err
	}
	active := 0
	for _, p := range people {
		active += one(p.DisabledAt.IsZero())
	}
	for _, x := range []mapped{
		{
			"Firewalls", "Every device in scope is behind a firewall that is configured.", nil,
			"firewalls: Ward configures none on phones, and does not ask networks about theirs.",
		},
		{"Secure configuration", "Devices have no needless apps and accounts, and are locked when they are left.", []report.Fact{
			{Label: "Passcode missing or weak", Value: share(n.noPasscode, n.devices())},
			{Label: "Settings that are enforced", Value: "for each class of device, with the reason where its system does not allow it (/policies/explain)"},
			{Label: "Apps that the policy keeps off", Value: "on the devices where it can; the others are watched (/apps)"},
		}, "settings of the organisation's servers and cloud services, and default passwords of other equipment."},
		{"Security update management", "Software is supported, and important updates are installed within 14 days.", []report.Fact{
			{Label: "Below the policy's minimum version", Value: share(n.old, n.devices()) + " (/devices?enrolled=yes&os=old)"},
			{Label: "Not known", Value: count(n.unknown, "device has", "devices have") + " not told lately"},
		}, "when an update came out, so whether 14 days were kept: raise the minimum version in the policy when an update that matters appears, and the figure above counts the devices that lag. Nor updates of apps that Ward does not manage."},
		{"User access control", "People have accounts of their own, no more rights than they need, and a second factor.", []report.Fact{
			{Label: "Accounts in Ward", Value: count(active, "person", "people") + " (the access review lists each with roles, factor and last use)"},
			{Label: "Deeds that take two people", Value: "erasing, clearing passcodes and removing management take two people with passkeys of their own (/approvers)"},
		}, "accounts on the devices themselves and in other systems."},
		{"Malware protection", "Devices run no malware: by an allow list of apps, or by software against it.", []report.Fact{
			{Label: "Apps from outside the store", Value: "closed where the policy says so and the system allows (/policies/explain)"},
			{Label: "Allow list", Value: "where the policy lets nothing but listed apps run (/policies)"},
		}, "software against malware on workstations: Ward does not judge it."},
	} {
		out.Sections = append(out.Sections, x.section())
	}
	return nil
}

// systems counts devices by system, version and owner.
func (t standing) systems() report.Table {
	type key struct {
		platform ward.Platform
		version  string
		owner    ward.Ownership
	}
	counts, old := map[key]int{}, map[key]int{}
	for _, d := range t.snap.Devices {
		if d.State == compliance.Retired || d.Enrolled.IsZero() {
			continue
		}
		k := key{d.Platform, cmp.Or(d.OSVersion, "not told"), d.Ownership}
		counts[k]++
		for _, f := range d.Findings {
			old[k] += one(f.Code == codeOld)
		}
	}
	keys := make([]key, 0, len(counts))
	for k := range counts {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.platform, b.platform), versionOrder(b.version, a.version), cmp.Compare(a.owner, b.owner))
	})
	out := report.Table{Name: "systems", Columns: []report.Column{{Head: "System"}, {Head: "Version"}, {Head: "Owner"}, {Head: "Devices", Kind: report.Number}, {Head: "Below the policy's minimum", Kind: report.Number}}}
	for _, k := range keys {
		out.Rows = append(out.Rows, []report.Cell{{Text: platformName(k.platform)}, {Text: k.version}, {Text: string(k.owner)}, {Text: report.Thousands(counts[k])}, {Text: report.Thousands(old[k])}})
	}
	return out
}

// versionOrder compares versions by their numbers.
func versionOrder(a, b string) int {
	var x, y [3]int
	_, errA := fmt.Sscanf(a+".0.0", "%d.%d.%d", &x[0], &x[1], &x[2])
	_, errB := fmt.Sscanf(b+".0.0", "%d.%d.%d", &y[0], &y[1], &y[2])
	if errA != nil || errB != nil {
		return cmp.Compare(a, b)
	}
	return slices.Compare(x[:], y[:])
}

func platformName(p ward.Platform) string {
	switch p {
	case ward.IOS:
		return "iOS and iPadOS"
	case ward.MacOS:
		return "macOS"
	case ward.Android:
		return "Android"
	case ward.Windows:
		return "Windows"
	case ward.Linux:
		return "Linux"
	}
	return string(p)
}
