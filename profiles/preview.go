package profiles

import (
	"cmp"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// PreviewLine says what a policy will come to on the devices that are alike.
type PreviewLine struct {
	Class   Class
	Devices int
	Limits  []intent.Outcome
}

// Preview says, before a policy is published, how far each class of device in the fleet
// will carry it out. Devices of one class stand in more than one line where their
// enrolments have different rights. Open cases play no part. The order is fixed.
func Preview(p *Policy, subjects []Subject, now time.Time) []PreviewLine {
	type group struct {
		class  Class
		rights ward.AccessRights
	}
	if p == nil {
		return nil
	}
	lines := map[group]*PreviewLine{}
	for _, s := range subjects {
		g := group{class: ClassOf(s, p, now), rights: relevant(s)}
		if lines[g] == nil {
			s.Case = nil
			lines[g] = &PreviewLine{Class: g.class, Limits: Desired(s, p, now).Limits}
		}
		lines[g].Devices++
	}
	groups := make([]group, 0, len(lines))
	for g := range lines {
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(a.class.String(), b.class.String()), cmp.Compare(a.class.Layers, b.class.Layers), cmp.Compare(a.rights, b.rights))
	})
	all := make([]PreviewLine, len(groups))
	for i, g := range groups {
		all[i] = *lines[g]
	}
	return all
}

// relevant keeps the rights that withinRights looks at.
func relevant(s Subject) ward.AccessRights {
	const needed = ward.RightInspectProfiles | ward.RightInstallProfiles | ward.RightManageApps | ward.RightInspectApps
	if s.Rights == 0 {
		return needed
	}
	return s.Rights & needed
}
