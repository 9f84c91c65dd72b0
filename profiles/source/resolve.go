package source

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/intent"
)

// cause is why an app is kept off: a layer names it, or its category.
type cause struct {
	at       place
	category string // empty where the app itself is named
}

// blocked is what the blocks of some layers come to, by the index of each app in the
// catalogue. An app is kept off where by is given and off is not.
type blocked struct {
	by  []cause
	off []place // what took it away again
}

func (b blocked) holds(i int) bool { return b.by[i].at.layer != nil && b.off[i].layer == nil }

func (b blocked) none() bool {
	for i := range b.by {
		if b.holds(i) {
			return false
		}
	}
	return true
}

// and returns what either names.
func (b blocked) and(c blocked) blocked {
	out := blocked{by: slices.Clone(b.by), off: b.off}
	for i := range c.by {
		if out.by[i].at.layer == nil {
			out.by[i] = c.by[i]
		}
	}
	return out
}

// resolve lays blocks over one another: each layer adds what it names and then takes away
// what it excepts.
func (p *Policy) resolve(layers []*layer) blocked {
	s := blocked{by: make([]cause, len(p.apps)), off: make([]place, len(p.apps))}
	for _, l := range layers {
		for _, c := range l.block.categories {
			for _, i := range p.members[c.value] {
				s.add(i, cause{at: c.at, category: c.value})
			}
		}
		for _, a := range l.block.apps {
			if i, ok := p.index[a.value]; ok {
				s.add(i, cause{at: a.at})
			}
		}
		for _, e := range l.block.except {
			if i, ok := p.index[e.value]; ok {
				s.off[i] = e.at
			}
		}
	}
	return s
}

func (b blocked) add(i int, why cause) {
	if !b.holds(i) || why.category == "" {
		b.by[i] = why
	}
	b.off[i] = place{}
}

// lift takes excepted apps out of what is kept off.
func (b blocked) lift(lifted map[int]bool) blocked {
	if len(lifted) == 0 {
		return b
	}
	out := blocked{by: slices.Clone(b.by), off: b.off}
	for i := range lifted {
		out.by[i] = cause{}
	}
	return out
}

// prepare works out what does not depend on a device.
func (p *Policy) prepare() {
	p.apps = p.Catalogue.Apps()
	p.index = make(map[string]int, len(p.apps))
	p.members = map[string][]int{}
	for i, a := range p.apps {
		p.apps[i] = a.Blockable()
		p.index[a.Slug] = i
		p.members[a.Category] = append(p.members[a.Category], i)
	}
	p.layers = append(slices.Clone(p.baselines), p.own)
	p.base = (&layer{}).over(&layer{})
	for _, l := range p.layers {
		p.base = l.over(p.base)
	}
}

// chosen returns the apps of the register that devices with these layers get.
func (p *Policy) chosen(merged *layer) []Approved {
	if merged.chooses.layer == nil {
		return p.Register
	}
	var out []Approved
	for _, a := range p.Register {
		if slices.ContainsFunc(merged.approved, func(i item[struct{}]) bool { return i.name == a.Name }) {
			out = append(out, a)
		}
	}
	return out
}

// spared are names that are never kept off: of approved apps and of apps that were
// excepted.
type spared struct {
	ids   map[ward.Platform]map[string]bool
	hosts []string
}

func (s *spared) app(a catalogue.App) {
	for _, p := range platforms {
		for _, id := range a.Identifiers(p) {
			s.id(p, id.ID)
		}
	}
	s.catalogueHosts(a)
}

func (s *spared) id(p ward.Platform, id string) {
	if s.ids[p] == nil {
		s.ids[p] = map[string]bool{}
	}
	s.ids[p][spelling(p, id)] = true
}

// spelling is id as the platform compares it: Windows does so whatever its case.
func spelling(p ward.Platform, id string) string {
	if p == ward.Windows {
		return strings.ToLower(id)
	}
	return id
}

// catalogueHosts spares the hosts that are the app's alone.
func (s *spared) catalogueHosts(a catalogue.App) {
	for _, hosts := range [][]catalogue.Identifier{a.Web, a.Network} {
		for _, h := range hosts {
			if !h.Shared {
				s.hosts = append(s.hosts, h.ID)
			}
		}
	}
}

// spare gathers what may not be kept off from these apps.
func (p *Policy) spare(apps []Approved, s blocked, lifted map[int]bool) *spared {
	out := &spared{ids: map[ward.Platform]map[string]bool{}}
	for _, a := range apps {
		out.hosts = append(out.hosts, a.Web...)
		for _, pl := range platforms {
			for _, id := range identifiers(a.App, pl) {
				out.id(pl, id)
				for _, row := range p.Catalogue.ByIdentifier(pl, id) {
					out.catalogueHosts(row)
				}
			}
		}
	}
	for i := range p.apps {
		if lifted[i] || s.off[i].layer != nil {
			out.app(p.apps[i])
		}
	}
	return out
}

// free reports whether a host may be kept off: it is no spared host, and neither above
// nor beneath one.
func (s *spared) free(host string) bool {
	return !slices.ContainsFunc(s.hosts, func(h string) bool {
		return h == host || under(h, host) || under(host, h)
	})
}

func under(host, parent string) bool {
	rest, ok := strings.CutSuffix(host, parent)
	return ok && strings.HasSuffix(rest, ".")
}

// without returns the app without its spared identifiers, and whether anything is left of
// it that a device of the platform could be kept from.
func (s *spared) without(a catalogue.App, p ward.Platform) (catalogue.App, bool) {
	had := len(a.Identifiers(p))
	for _, l := range []struct {
		p    ward.Platform
		list *[]catalogue.Identifier
	}{{ward.IOS, &a.IOS}, {ward.MacOS, &a.MacOS}, {ward.Android, &a.Android}, {ward.Windows, &a.Windows}, {ward.Linux, &a.Linux}} {
		gone := func(id catalogue.Identifier) bool { return s.ids[l.p][spelling(l.p, id.ID)] }
		if slices.ContainsFunc(*l.list, gone) {
			*l.list = slices.DeleteFunc(slices.Clone(*l.list), gone)
		}
	}
	return a, had == 0 || len(a.Identifiers(p)) > 0
}

// blockOf is the block that devices of a platform get, but for the apps that exceptions
// lift.
func (p *Policy) blockOf(merged *layer, s blocked, apps []Approved, pl ward.Platform, lifted map[int]bool) intent.Block {
	keep := p.spare(apps, s, lifted)
	b := merged.block
	s = s.lift(lifted)
	out := intent.Block{AllowOnly: b.mode.value == allowList, Stores: b.stores.value}
	web, network := map[string]bool{}, map[string]bool{}
	for i, a := range p.apps {
		switch {
		case !s.holds(i):
			continue
		case a.NeverBlock:
			out.Spared = append(out.Spared, a)
			continue
		}
		kept, left := keep.without(a, pl)
		if !left {
			continue
		}
		out.Apps = append(out.Apps, kept)
		if b.web.value || !b.web.given() {
			keep.hostsOf(p.web[i], web)
		}
		if b.network.value {
			keep.hostsOf(p.network[i], network)
		}
	}
	out.Web, out.Network = slices.Sorted(maps.Keys(web)), slices.Sorted(maps.Keys(network))
	if out.AllowOnly {
		allow := slices.Clone(b.allow)
		for i := range lifted {
			allow = append(allow, item[string]{value: p.apps[i].Slug})
		}
		out.Allow = p.allowed(allow)
	}
	if pl == ward.MacOS {
		out.Teams = p.teams(out, apps)
	}
	return out
}

// teams are the signers of the Mac apps that a block names or lets run, by bundle id. For
// an approved app the register's word counts before the catalogue's. It is nil if none is
// known.
func (p *Policy) teams(b intent.Block, apps []Approved) map[string]string {
	out := map[string]string{}
	add := func(id, known string) {
		if team := cmp.Or(known, p.Catalogue.Signer(id)); team != "" {
			out[id] = team
		}
	}
	for _, a := range b.Apps {
		for _, id := range a.MacOS {
			add(id.ID, "")
		}
	}
	for _, id := range b.Allow[ward.MacOS] {
		add(id, "")
	}
	for _, a := range apps {
		add(a.MacOS.BundleID, a.MacOS.TeamID)
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func (s *spared) hostsOf(hosts []string, into map[string]bool) {
	for _, h := range hosts {
		if s.free(h) {
			into[h] = true
		}
	}
}

// allowed sorts what an allow list names by platform.
func (p *Policy) allowed(names []item[string]) map[ward.Platform][]string {
	out := map[ward.Platform][]string{}
	for _, n := range names {
		i, known := p.index[n.value]
		if !known {
			for _, pl := range platformsOf(n.value) {
				out[pl] = append(out[pl], n.value)
			}
			continue
		}
		for _, pl := range platforms {
			for _, id := range p.apps[i].Identifiers(pl) {
				out[pl] = append(out[pl], id.ID)
			}
		}
	}
	for pl, ids := range out {
		slices.Sort(ids)
		out[pl] = slices.Compact(ids)
	}
	return out
}
