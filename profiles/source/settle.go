package source

import (
	"maps"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// Ward's own defaults for the posture, where no layer says anything.
const (
	defaultLastSeen = 72 * time.Hour
	defaultRule     = "breach"
)

// Settle lays the layers for a device over one another and says what they come to:
// categories are resolved to apps, groups and exceptions applied, and what is never kept
// off is left out. What it wants is for the device's platform.
func (p *Policy) Settle(d ward.Device, now time.Time) intent.Settled {
	groups := p.matching(&d, nil)
	return p.settle(d.Platform, groups, p.excepted(&d, now, groups, nil))
}

// Base says what the baselines and the policy come to on a platform, without any group or
// exception.
func (p *Policy) Base(pl ward.Platform) intent.Settled { return p.settle(pl, nil, nil) }

func (p *Policy) settle(pl ward.Platform, groups, exceptions []int) intent.Settled {
	merged, layers := p.base, p.layers
	if len(groups) > 0 {
		layers = slices.Clone(layers)
	}
	for _, g := range groups {
		l := p.Groups[g].layer
		merged, layers = l.over(merged), append(layers, l)
	}
	state := p.resolve(layers)
	lifted := map[int]bool{}
	var s intent.Settled
	for _, e := range exceptions {
		x := p.Exceptions[e]
		if i, ok := p.index[x.App]; ok {
			lifted[i] = true
		}
		s.Excepted = append(s.Excepted, x.Exception)
	}
	apps := p.chosen(merged)
	s.Wanted = p.wanted(merged, pl, apps)
	s.Wanted.Block = p.blockOf(merged, state, apps, pl, lifted)
	s.Posture = merged.posture.settled()
	s.Watch = watch(s.Wanted, pl)
	o := origins{policy: p, merged: merged, state: state, platform: pl}
	o.all(apps, exceptions, s)
	s.Origins = o.list
	return s
}

func (p *Policy) wanted(m *layer, pl ward.Platform, apps []Approved) intent.Wanted {
	w := intent.Wanted{
		Name: p.Name, Notice: m.notice.value["en"], On: map[intent.ID]bool{},
		Passcode: m.posture.passcodeRule(), Encryption: m.posture.encryption.asks(),
		StaffPage: m.staffPage.value,
		WiFi:      values(m.networks.wifi), VPN: values(m.networks.vpn), Relays: values(m.networks.relays), DNS: m.networks.dns.value,
		WebClips: values(m.clips),
	}
	for i, s := range intent.Switches() {
		if m.switches[i].value {
			w.On[s.ID] = true
		}
	}
	for _, a := range apps {
		app := a.App
		app.NoBackup = w.On[intent.NoBackup]
		w.Apps = append(w.Apps, app)
	}
	if i := platformIndex(pl); i >= 0 {
		w.Update = m.updates[i].value
	}
	for _, o := range m.own {
		if o.value.Platform == pl {
			w.Own = append(w.Own, o.value)
		}
	}
	return w
}

func values[T any](items []item[T]) []T {
	var out []T
	for _, i := range items {
		out = append(out, i.value)
	}
	return out
}

// asks reports whether a rule is asked of a device.
func (w ruleWords) asks() bool { return w.at.layer != nil && w.severity.value != noSeverity }

// rule settles the words of one rule; without any it is otherwise.
func (w ruleWords) rule(otherwise intent.Rule) intent.Rule {
	switch {
	case w.at.layer == nil:
		return otherwise
	case !w.asks():
		return intent.Rule{}
	case w.severity.given():
		return intent.Rule{On: true, Severity: intent.Severity(w.severity.value), Grace: w.grace.value}
	}
	return intent.Rule{On: true, Severity: intent.Breach, Grace: w.grace.value}
}

func (w postureWords) passcodeRule() intent.PasscodeRule {
	if !w.passcode.asks() {
		return intent.PasscodeRule{}
	}
	return intent.PasscodeRule{
		Required: true, MinimumLength: int(w.minimumLength.value), Complex: w.complexity.value, LockAfter: w.lockAfter.value,
	}
}

// settled is the posture that the words come to, with Ward's own defaults.
func (w postureWords) settled() intent.Posture {
	always := intent.Rule{On: true, Severity: intent.Breach}
	out := intent.Posture{
		Passcode: w.passcode.rule(always), Encryption: w.encryption.rule(intent.Rule{}),
		LastSeen: w.lastSeen.rule(intent.Rule{}), ApprovedApp: w.approvedApp.rule(always),
		Certificate: w.certificate.rule(always), BlockedApp: w.blockedApp.rule(always),
	}
	if out.LastSeen.On {
		out.LastSeenWithin = defaultLastSeen
		if w.within.given() {
			out.LastSeenWithin = w.within.value
		}
	}
	versions := map[ward.Platform]string{}
	for i, p := range platforms {
		if w.versions[i].given() {
			versions[p] = w.versions[i].value
		}
	}
	if len(versions) > 0 && w.minimumOS.asks() {
		out.MinimumOS, out.MinimumOSRule = versions, w.minimumOS.rule(intent.Rule{})
	}
	return out
}

// watch lists the identifiers to ask a device about.
func watch(w intent.Wanted, pl ward.Platform) []string {
	ids := map[string]bool{}
	for _, a := range w.Apps {
		for _, id := range identifiers(a, pl) {
			ids[id] = true
		}
	}
	for _, a := range w.Block.Apps {
		for _, id := range a.Identifiers(pl) {
			ids[id.ID] = true
		}
	}
	return slices.Sorted(maps.Keys(ids))
}
