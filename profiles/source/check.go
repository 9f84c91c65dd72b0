package source

import (
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// complete checks what can be told only once the whole file was read.
func (r *reader) complete(root *yaml.Node, present map[string]bool) {
	if !slices.ContainsFunc([]string{
		"baseline", "approved", "block", "containment", "hardening", "posture", "networks", "web_clips",
		"staff_page", "updates", "profiles", "groups",
	}, func(name string) bool { return present[name] }) {
		r.wrong(root, "the policy approves, blocks and contains nothing")
	}
	r.groupsExist()
	r.registered()
	r.chains()
	r.policy.prepare()
	whole := place{line: root.Line, column: root.Column}
	r.dependencies(r.policy.base, whole)
	for i := range r.policy.Groups {
		g := &r.policy.Groups[i]
		r.dependencies(g.layer.over(r.policy.base), g.layer.at)
	}
	if r.unclear {
		return
	}
	r.blocks(whole)
}

func (r *reader) groupsExist() {
	var names []string
	for _, g := range r.policy.Groups {
		names = append(names, g.Name)
	}
	for _, m := range r.mentioned {
		if m.group != "" && !slices.Contains(names, m.group) {
			r.wrongAt(m.at, "the policy has no group %q%s", m.group, r.near(m.group, names))
		}
	}
}

func (r *reader) registered() {
	var names []string
	known := map[string]bool{}
	for _, a := range r.policy.Register {
		names, known[a.Name] = append(names, a.Name), true
	}
	for _, g := range r.policy.Groups {
		for _, a := range g.layer.approved {
			if !known[a.name] {
				r.wrongAt(a.at, "the register has no app %q%s", a.name, r.near(a.name, names))
			}
		}
	}
}

// dependencies reports switches that do nothing without another one, where a layer of
// this file had a part in it.
func (r *reader) dependencies(l *layer, otherwise place) {
	all := intent.Switches()
	for i, s := range all {
		need, ok := switchOf(s.Needs)
		if !ok || !l.switches[i].value {
			continue
		}
		at := slices.IndexFunc(all, func(o intent.Switch) bool { return o.ID == s.Needs })
		if l.switches[at].value {
			continue
		}
		section := l.containment
		if s.Section == "hardening" {
			section = l.hardening
		}
		if section.layer == nil || slices.Contains(r.policy.baselines, section.layer) {
			section = otherwise
		}
		m := mistake{line: section.line, column: section.column, text: s.Field + " does nothing without " + need.Field + ": true"}
		if !slices.Contains(r.mistakes, m) { // a group inherits what is wrong with the policy
			r.mistakes = append(r.mistakes, m)
		}
	}
}

// blocks checks the block of the policy and of each group over it.
func (r *reader) blocks(whole place) {
	p := r.policy
	base := p.base
	own := p.own.block.at
	if own.layer == nil {
		own = whole
	}
	state := p.resolve(p.layers)
	if p.own.block.at.layer != nil && state.none() && base.block.mode.value != allowList && !base.block.stores.value {
		r.wrongAt(own, "block names no categories and no apps")
	}
	r.idle(p.own, state, state)
	reason := base.block.reason.value != ""
	if !reason && p.keepsOff(base, state) && len(p.Register) == 0 {
		r.wrongAt(own, "apps are blocked but none is approved to be used instead: approve one, or give a reason_without_alternative")
		reason = true // a group would only say the same again
	}
	before := state
	listed := base.block.mode.value == allowList
	for i := range p.Groups {
		g := &p.Groups[i]
		merged := g.layer.over(base)
		listed = listed || merged.block.mode.value == allowList
		here := p.resolve(append(slices.Clone(p.layers), g.layer))
		r.idle(g.layer, here, before)
		before = before.and(here)
		if reason || merged.block.reason.value != "" || !p.keepsOff(merged, here) || p.alternative(g, merged) {
			continue
		}
		at := g.layer.at
		if g.layer.block.at.layer != nil {
			at = g.layer.block.at
		}
		r.wrongAt(at, "apps are blocked for group %s but none is approved that it can use instead: approve one, or give a reason_without_alternative", g.Name)
	}
	for _, l := range append(slices.Clone(p.layers), groupLayers(p.Groups)...) {
		if len(l.block.allow) > 0 && !listed && !slices.Contains(p.baselines, l) {
			r.wrongAt(l.block.allow[0].at, "allow does nothing in the mode deny-list")
		}
	}
}

func groupLayers(groups []Group) []*layer {
	out := make([]*layer, len(groups))
	for i, g := range groups {
		out[i] = g.layer
	}
	return out
}

// keepsOff reports whether people lose an app by a block.
func (p *Policy) keepsOff(merged *layer, s blocked) bool {
	return !s.none() || merged.block.mode.value == allowList
}

// alternative reports whether a group gets an approved app that runs on what it has.
func (p *Policy) alternative(g *Group, merged *layer) bool {
	return slices.ContainsFunc(p.chosen(merged), func(a Approved) bool {
		return len(g.match.platforms) == 0 || len(a.Web) > 0 ||
			slices.ContainsFunc(g.match.platforms, func(pl ward.Platform) bool { return a.Runs(pl) })
	})
}

// idle reports what a layer excepts in vain: state is what it comes to with that layer,
// before what other layers name.
func (r *reader) idle(l *layer, state, before blocked) {
	for _, e := range l.block.except {
		i, ok := r.policy.index[e.value]
		if !ok {
			continue
		}
		switch twin := r.twin(i, state); {
		case twin != "":
			r.wrongAt(e.at, "except names %q, but %q has the same bundle id and stays blocked: except it as well", e.value, twin)
		case state.by[i].at.layer == nil && before.by[i].at.layer == nil:
			r.wrongAt(e.at, "except names %q, which is not blocked anyway", e.value)
		}
	}
}

// twin returns a row that stays blocked though it has a bundle id of the excepted one,
// "" if there is none.
func (r *reader) twin(app int, s blocked) string {
	for _, id := range r.policy.apps[app].BundleIDs() {
		for _, owner := range r.catalogue.ByBundleID(id) {
			if i, ok := r.policy.index[owner.Slug]; ok && s.holds(i) {
				return owner.Slug
			}
		}
	}
	return ""
}
