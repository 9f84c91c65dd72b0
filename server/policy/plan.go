package policy

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/fleet"
)

// Plan is what publishing a policy would change on the devices that are enrolled.
type Plan struct {
	Policy       *profiles.Policy // as it was read
	Base         int64            // the generation that it was compared with; 0: none is in force
	Devices      int
	Changed      int  // devices for which something would change, at once or later
	Together     int  // with those for which something was changed without a second person in the last 24 hours
	SecondPerson bool // whether a second person would have to approve it
	Later        []Later
	Kinds        []KindPlan
	Vanish       []AppCount // apps that devices would keep from running from then on, the most first
	Breach       []AppCount // blocked apps on devices that can't keep them from running, which would comply no longer
	Breaching    int        // devices that would comply no longer, for such an app or for their system's version
	OldSystem    int        // of them, those whose system is older than the policy would ask for
	Warnings     []string
}

// KindPlan is what would change for devices that are alike.
type KindPlan struct {
	Kind    string // in words
	Devices int
	Changes []Change // empty: nothing changes
	Limits  []intent.Outcome
}

// Change is one thing that would be added, removed or changed.
type Change struct {
	How  string // added, removed or changed
	What string // profile, declaration, app or setting
	Name string
}

// AppCount says on how many devices an app is.
type AppCount struct {
	Slug, Name string
	Devices    int
}

// Plan compares a policy with what is in force on every enrolled device. It changes
// nothing. It is to be called outside a unit of work.
func (s *Service) Plan(ctx context.Context, text []byte, files map[string][]byte) (Plan, error) {
	p, err := parse(text, files)
	if err != nil {
		return Plan{}, err
	}
	f, err := s.InForce(ctx)
	if err != nil {
		return Plan{}, err
	}
	now := s.now()
	c, err := s.newCounter(ctx, f, p)
	if err != nil {
		return Plan{}, err
	}
	pl := planning{counter: c, now: now, groups: map[groupKey]*group{}, apps: map[string][]string{}, vanish: map[string]*AppCount{}, breach: map[string]*AppCount{}}
	if err := s.store.Subjects(ctx, true, pl.device); err != nil {
		return Plan{}, fmt.Errorf("plan policy: %w", err)
	}
	out := Plan{Policy: p, Devices: c.devices, Changed: c.changed, Together: c.together, Later: c.laters(), Kinds: pl.kinds(), Vanish: most(pl.vanish), Breach: most(pl.breach), Breaching: pl.breaching, OldSystem: pl.oldSystem}
	_, out.Base = f.Current()
	out.SecondPerson = c.needsTwo(s.Rule)
	out.Warnings = append(slices.Clone(p.Summary(now).Warnings), evidence(out.Vanish)...)
	out.Warnings = append(out.Warnings, dropped(out.Kinds)...)
	return out, nil
}

// dropped says what becomes of apps that are approved no longer: their data goes with them.
func dropped(kinds []KindPlan) (out []string) {
	on := map[string]int{}
	for _, k := range kinds {
		for _, c := range k.Changes {
			if c.How == "removed" && c.What == "app" {
				on[c.Name] += k.Devices
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(on)) {
		out = append(out, fmt.Sprintf("%s is approved no longer: it is removed from %s with its data, where Ward installed it. Move what belongs to the record first.", name, devices(on[name])))
	}
	return out
}

// evidence asks for what would be out of reach to be saved first: a picture that exists
// only in an app that no longer opens may belong in the patient's record.
func evidence(vanish []AppCount) (out []string) {
	for _, a := range vanish {
		out = append(out, fmt.Sprintf("%s is on %s and would no longer open there. Messages and pictures that exist only in it may have to be moved to the record first.", a.Name, devices(a.Devices)))
	}
	return out
}

func devices(n int) string {
	if n == 1 {
		return "1 device"
	}
	return fmt.Sprintf("%d devices", n)
}

// planning gathers a plan, device by device. What is worked out is kept by what devices
// get before and after, never by device.
type planning struct {
	*counter
	now    time.Time
	groups map[groupKey]*group
	apps   map[string][]string // bundle ids by the fact that lists them
	vanish map[string]*AppCount
	breach map[string]*AppCount

	breaching, oldSystem int
}

type groupKey struct{ before, now alike }

// group are devices that get the same before and after.
type group struct {
	kind        string
	devices     int
	before, now *profiles.State
	changes     []Change        // not nil once they are worked out
	found       map[string]fate // by bundle id
}

// fate is what becomes of an app that is on a device.
type fate struct {
	app            catalogue.App
	vanish, breach bool
}

func (pl *planning) device(d Subject) error {
	pl.add(d)
	old, _ := pl.f.For(d.Device)
	s := d.subject()
	before, a := pl.states.of(s, old, pl.now)
	now, b := pl.states.of(s, pl.draft, pl.now)
	g := pl.groups[groupKey{a, b}]
	if g == nil {
		g = &group{kind: b.class.String(), before: before, now: now, found: map[string]fate{}}
		pl.groups[groupKey{a, b}] = g
	}
	g.devices++
	if g.changes == nil {
		g.changes = changes(before, now)
	}
	late := outdated(d.Device, now) && !outdated(d.Device, before)
	ids, err := pl.installed(d.Apps)
	if err != nil {
		return fmt.Errorf("apps of device %s: %w", d.Device.ID, err)
	}
	var counted [2][]string // an app may have several ids
	for _, id := range ids {
		f := g.fate(id)
		for i, all := range []map[string]*AppCount{pl.vanish, pl.breach} {
			if hit := [2]bool{f.vanish, f.breach}[i]; hit && !slices.Contains(counted[i], f.app.Slug) {
				tally(all, f.app)
				counted[i] = append(counted[i], f.app.Slug)
			}
		}
	}
	if late {
		pl.oldSystem++
	}
	if late || len(counted[1]) > 0 {
		pl.breaching++
	}
	return nil
}

// outdated reports whether a device's system is older than a state asks for, where that
// makes it comply no longer.
func outdated(d ward.Device, st *profiles.State) bool {
	rule := st.Posture.MinimumOSRule
	if !rule.On || rule.Severity != intent.Breach {
		return false
	}
	c, ok := intent.CompareVersions(d.OSVersion, st.Posture.MinimumOS[d.Platform])
	return ok && c < 0
}

// installed returns the bundle ids in the fact that lists a device's apps. Most devices
// tell one of a few lists.
func (pl *planning) installed(raw []byte) ([]string, error) {
	if len(raw) <= 2 {
		return nil, nil
	}
	if ids, ok := pl.apps[string(raw)]; ok {
		return ids, nil
	}
	var apps []fleet.App
	if err := json.Unmarshal(raw, &apps); err != nil {
		return nil, err
	}
	ids := names(apps, func(a fleet.App) string { return a.BundleID })
	if len(pl.apps) < 10000 {
		pl.apps[string(raw)] = ids
	}
	return ids, nil
}

// fate says what becomes of an installed app on the devices of the group.
func (g *group) fate(id string) fate {
	f, ok := g.found[id]
	if ok {
		return f
	}
	if is := g.now.Present([]string{id}); len(is) > 0 {
		held := g.now.Blocks(id)
		was := len(g.before.Present([]string{id})) > 0
		f = fate{app: is[0], vanish: held && !g.before.Blocks(id), breach: !held && (!was || g.before.Blocks(id))}
	}
	g.found[id] = f
	return f
}

func tally(all map[string]*AppCount, a catalogue.App) {
	c := all[a.Slug]
	if c == nil {
		c = &AppCount{Slug: a.Slug, Name: a.Name}
		all[a.Slug] = c
	}
	c.Devices++
}

// most sorts counts, the most first.
func most(all map[string]*AppCount) []AppCount {
	out := make([]AppCount, 0, len(all))
	for _, c := range all {
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b AppCount) int {
		return cmp.Or(cmp.Compare(b.Devices, a.Devices), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// kinds puts groups that read alike together: those for which something changes first,
// the largest first.
func (pl *planning) kinds() []KindPlan {
	var out []KindPlan
	at := map[string]int{}
	for _, g := range pl.groups {
		k := KindPlan{Kind: g.kind, Devices: g.devices, Changes: g.changes, Limits: g.now.Limits}
		read := fmt.Sprint(k.Kind, k.Changes, k.Limits)
		if i, ok := at[read]; ok {
			out[i].Devices += k.Devices
			continue
		}
		at[read] = len(out)
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b KindPlan) int {
		return cmp.Or(-compareBool(len(a.Changes) > 0, len(b.Changes) > 0), cmp.Compare(b.Devices, a.Devices), cmp.Compare(a.Kind, b.Kind),
			cmp.Compare(fmt.Sprint(a.Changes), fmt.Sprint(b.Changes)))
	})
	return out
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
