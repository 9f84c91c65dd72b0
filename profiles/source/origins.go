package source

import (
	"fmt"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// origins gathers where each setting of a device came from, in the order of the file's
// sections.
type origins struct {
	policy   *Policy
	merged   *layer
	state    blocked
	platform ward.Platform
	list     []intent.Origin
}

func (o *origins) add(at place, path, value string) {
	o.list = append(o.list, intent.Origin{
		Path: path, Value: value, File: at.layer.file, Line: at.line, Layer: at.layer.name, Source: at.layer.source(path),
	})
}

// source finds what a setting of a baseline rests on: what is cited for its path, or for
// the section it stands in.
func (l *layer) source(path string) string {
	for path != "" {
		if s := l.sources[path]; s != "" {
			return s
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return ""
}

// maybe adds a setting where it was given.
func maybe[T any](o *origins, s setting[T], path string, words func(T) string) {
	if s.given() {
		o.add(s.at, path, words(s.value))
	}
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func asIs(s string) string { return s }

func (o *origins) all(apps []Approved, exceptions []int, s intent.Settled) {
	m := o.merged
	maybe(o, m.notice, "notice", func(t map[string]string) string { return t["en"] })
	for _, a := range apps {
		at := place{layer: o.policy.own, line: a.Line}
		o.add(at, "approved["+a.Name+"]", "approved for: "+a.Purpose)
	}
	maybe(o, setting[bool]{true, m.chooses}, "approved", func(bool) string { return "these apps of the register" })
	o.block(s)
	for _, e := range exceptions {
		x := o.policy.Exceptions[e]
		o.list = append(o.list, intent.Origin{
			Path: "block.apps[" + x.App + "]", Value: fmt.Sprintf("lifted until the end of %s for %s: %s", x.Expires.Format(time.DateOnly), x.For, x.Reason),
			File: o.policy.own.file, Line: x.Line, Layer: "exception " + x.ID,
		})
	}
	for i, sw := range intent.Switches() {
		maybe(o, m.switches[i], sw.Section+"."+sw.Field, onOff)
	}
	o.posture(s.Posture)
	o.provided()
}

func (o *origins) block(s intent.Settled) {
	b := o.merged.block
	maybe(o, b.mode, "block.mode", asIs)
	for _, c := range b.categories {
		o.add(c.at, "block.categories["+c.value+"]", "kept off")
	}
	for _, a := range s.Wanted.Block.Apps {
		why := o.state.by[o.policy.index[a.Slug]]
		value := "kept off"
		if why.category != "" {
			value = "kept off, as one of " + why.category
		}
		o.add(why.at, "block.apps["+a.Slug+"]", a.Name+": "+value)
		if last := &o.list[len(o.list)-1]; why.category != "" {
			last.Source = why.at.layer.source("block.categories[" + why.category + "]")
		}
	}
	for i, off := range o.state.off {
		if off.layer != nil {
			o.add(off, "block.except["+o.policy.apps[i].Slug+"]", o.policy.apps[i].Name+": not kept off")
		}
	}
	for _, a := range b.allow {
		o.add(a.at, "block.allow["+a.value+"]", "may run")
	}
	maybe(o, b.web, "block.web", onOff)
	maybe(o, b.network, "block.network", onOff)
	maybe(o, b.stores, "block.stores", func(on bool) string {
		if on {
			return "other app stores are closed"
		}
		return "other app stores stay open"
	})
	maybe(o, b.reason, "block.reason_without_alternative", asIs)
}

func (o *origins) posture(settled intent.Posture) {
	w := o.merged.posture
	for i, p := range platforms {
		maybe(o, w.versions[i], "posture.minimum_os."+string(p), func(v string) string { return v + " or later" })
	}
	o.rule("minimum_os", w.minimumOS, settled.MinimumOSRule)
	o.rule("passcode", w.passcode, settled.Passcode)
	maybe(o, w.minimumLength, "posture.passcode.minimum_length", func(n int64) string { return fmt.Sprintf("%d characters", n) })
	maybe(o, w.complexity, "posture.passcode.complex", onOff)
	maybe(o, w.lockAfter, "posture.passcode.lock_after", span)
	o.rule("encryption", w.encryption, settled.Encryption)
	o.rule("last_seen", w.lastSeen, settled.LastSeen)
	switch {
	case w.within.given():
		o.add(w.within.at, "posture.last_seen.within", span(w.within.value))
	case settled.LastSeen.On:
		o.byDefault("posture.last_seen.within", span(settled.LastSeenWithin))
	}
	o.rule("approved_app", w.approvedApp, settled.ApprovedApp)
	o.rule("certificate", w.certificate, settled.Certificate)
	o.rule("blocked_app", w.blockedApp, settled.BlockedApp)
}

// rule adds the origin of one rule's severity and grace.
func (o *origins) rule(name string, w ruleWords, settled intent.Rule) {
	path := "posture." + name
	switch {
	case w.at.layer == nil && settled.On:
		o.byDefault(path, defaultRule)
		return
	case w.at.layer == nil:
		return
	case w.severity.given():
		o.add(w.severity.at, path+".severity", w.severity.value)
	default:
		o.add(w.at, path, defaultRule)
	}
	maybe(o, w.grace, path+".grace", span)
}

func (o *origins) byDefault(path, value string) {
	o.list = append(o.list, intent.Origin{Path: path, Value: value, Layer: "Ward's own default"})
}

// provided adds what the device is given.
func (o *origins) provided() {
	m := o.merged
	for _, w := range m.networks.wifi {
		o.add(w.at, "networks.wifi["+w.name+"]", "joined by itself")
	}
	for _, v := range m.networks.vpn {
		o.add(v.at, "networks.vpn["+v.name+"]", v.value.Server)
	}
	for _, r := range m.networks.relays {
		o.add(r.at, "networks.relays["+r.name+"]", r.value.URL)
	}
	maybe(o, m.networks.dns, "networks.dns", func(d intent.DNS) string { return d.Name + ", " + d.Server() })
	for _, c := range m.clips {
		o.add(c.at, "web_clips["+c.name+"]", c.value.URL)
	}
	maybe(o, m.staffPage, "staff_page", func(url string) string {
		if url == "" {
			return "off"
		}
		return url
	})
	if i := platformIndex(o.platform); i >= 0 {
		maybe(o, m.updates[i], "updates."+string(o.platform), func(u intent.Update) string {
			return fmt.Sprintf("%s by %s", u.Version, u.By.Format(byLayout))
		})
	}
	for _, p := range m.own {
		if p.value.Platform == o.platform {
			o.add(p.at, "profiles["+p.name+"]", strings.Join(p.value.Types, ", "))
		}
	}
}
