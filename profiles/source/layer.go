package source

import (
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// place is where something stands: a layer of the policy, and the spot in its file.
type place struct {
	layer        *layer
	line, column int
}

// setting is a single value that a layer may give. Without a layer nobody gave it.
type setting[T any] struct {
	value T
	at    place
}

func (s setting[T]) given() bool { return s.at.layer != nil }

// over returns top where it was given, base elsewhere.
func (s setting[T]) over(base setting[T]) setting[T] {
	if s.given() {
		return s
	}
	return base
}

// item is one thing of a list that has a name.
type item[T any] struct {
	name  string
	value T
	at    place
}

// joined returns base and top; an item of top takes the place of its namesake.
func joined[T any](base, top []item[T]) []item[T] {
	if len(top) == 0 {
		return base
	}
	out := slices.Clone(base)
	for _, t := range top {
		if i := slices.IndexFunc(out, func(b item[T]) bool { return b.name == t.name }); i >= 0 {
			out[i] = t
			continue
		}
		out = append(out, t)
	}
	return out
}

// layer is what one baseline, the policy or one group says. The zero layer says nothing.
type layer struct {
	name    string // in words: "group Ward 7"
	file    string
	sources map[string]string // of a baseline: what each of its settings rests on

	at          place // where it begins
	notice      setting[map[string]string]
	block       blockWords
	containment place // where the section begins
	hardening   place
	switches    []setting[bool] // in the order of intent.Switches
	posture     postureWords
	chooses     place            // where a group says which apps it gets
	approved    []item[struct{}] // the apps that it gets
	networks    networkWords
	clips       []item[intent.WebClip]
	staffPage   setting[string] // empty text: none
	updates     [len(platforms)]setting[intent.Update]
	own         []item[intent.Own]
}

// platforms is a table, never changed: in the order in which people read them.
var platforms = [...]ward.Platform{ward.IOS, ward.MacOS, ward.Android, ward.Windows, ward.Linux}

func platformIndex(p ward.Platform) int { return slices.Index(platforms[:], p) }

// blockWords are the section block.
type blockWords struct {
	at                              place
	mode                            setting[string]
	categories, apps, except, allow []item[string]
	web, network, stores            setting[bool]
	reason                          setting[string]
}

type networkWords struct {
	wifi   []item[intent.WiFi]
	vpn    []item[intent.VPN]
	relays []item[intent.Relay]
	dns    setting[intent.DNS]
}

// ruleWords are one rule of the posture.
type ruleWords struct {
	at       place // where it was first asked
	severity setting[string]
	grace    setting[time.Duration]
}

func (w ruleWords) over(base ruleWords) ruleWords {
	if w.at.layer == nil {
		return base
	}
	return ruleWords{at: w.at, severity: w.severity.over(base.severity), grace: w.grace.over(base.grace)}
}

// postureWords are the section posture.
type postureWords struct {
	minimumOS     ruleWords
	versions      [len(platforms)]setting[string]
	passcode      ruleWords
	minimumLength setting[int64]
	complexity    setting[bool]
	lockAfter     setting[time.Duration]
	encryption    ruleWords
	lastSeen      ruleWords
	within        setting[time.Duration]
	approvedApp   ruleWords
	certificate   ruleWords
	blockedApp    ruleWords
}

func (w postureWords) over(base postureWords) postureWords {
	out := postureWords{
		minimumOS: w.minimumOS.over(base.minimumOS), passcode: w.passcode.over(base.passcode),
		minimumLength: w.minimumLength.over(base.minimumLength), complexity: w.complexity.over(base.complexity),
		lockAfter: w.lockAfter.over(base.lockAfter), encryption: w.encryption.over(base.encryption),
		lastSeen: w.lastSeen.over(base.lastSeen), within: w.within.over(base.within),
		approvedApp: w.approvedApp.over(base.approvedApp), certificate: w.certificate.over(base.certificate),
		blockedApp: w.blockedApp.over(base.blockedApp),
	}
	for i := range platforms {
		out.versions[i] = w.versions[i].over(base.versions[i])
	}
	return out
}

// over returns what holds where l lies on base. Its lists of the block are both layers'
// in their order: what they come to is worked out by kept, which knows the layers.
func (l *layer) over(base *layer) *layer {
	b, t := base.block, l.block
	out := &layer{
		notice: l.notice.over(base.notice),
		block: blockWords{
			at: b.at, mode: t.mode.over(b.mode),
			categories: slices.Concat(b.categories, t.categories), apps: slices.Concat(b.apps, t.apps),
			except: slices.Concat(b.except, t.except), allow: joined(b.allow, t.allow),
			web: t.web.over(b.web), network: t.network.over(b.network), stores: t.stores.over(b.stores),
			reason: t.reason.over(b.reason),
		},
		containment: base.containment, hardening: base.hardening,
		switches: make([]setting[bool], len(intent.Switches())),
		posture:  l.posture.over(base.posture),
		chooses:  base.chooses, approved: joined(base.approved, l.approved),
		networks: networkWords{
			wifi: joined(base.networks.wifi, l.networks.wifi), vpn: joined(base.networks.vpn, l.networks.vpn),
			relays: joined(base.networks.relays, l.networks.relays), dns: l.networks.dns.over(base.networks.dns),
		},
		clips: joined(base.clips, l.clips), staffPage: l.staffPage.over(base.staffPage),
		own: joined(base.own, l.own),
	}
	for _, p := range []struct {
		into *place
		top  place
	}{{&out.block.at, t.at}, {&out.containment, l.containment}, {&out.hardening, l.hardening}, {&out.chooses, l.chooses}} {
		if p.top.layer != nil {
			*p.into = p.top
		}
	}
	copy(out.switches, base.switches)
	for i := range l.switches {
		out.switches[i] = l.switches[i].over(out.switches[i])
	}
	for i := range platforms {
		out.updates[i] = l.updates[i].over(base.updates[i])
	}
	return out
}

// here is the place of n in the layer that is being read.
func (r *reader) here(n *yaml.Node) place {
	return place{layer: r.layer, line: n.Line, column: n.Column}
}

// single makes a shape of a setting out of the shape of its value.
func single[T any](r *reader, into *setting[T], of func(*T) shape) shape {
	var value T
	inner := of(&value)
	return shape{
		read: func(n *yaml.Node) bool {
			before := len(r.mistakes)
			given := inner.read(n)
			if given && len(r.mistakes) == before {
				*into = setting[T]{value: value, at: r.here(n)}
			}
			return given
		},
		schema: inner.schema,
	}
}

// named makes a shape of one item of a list: of reads its value and its name.
func named[T any](r *reader, what string, into *[]item[T], of func(value *T, name *string) shape) shape {
	var value T
	var name string
	inner := of(&value, &name)
	return shape{
		read: func(n *yaml.Node) bool {
			inner.read(n)
			if name == "" {
				return true
			}
			if slices.ContainsFunc(*into, func(i item[T]) bool { return i.name == name }) {
				r.wrong(n, "%s lists %q twice", what, name)
				return true
			}
			*into = append(*into, item[T]{name: name, value: value, at: r.here(n)})
			return true
		},
		schema: inner.schema,
	}
}

// begins notes where a section begins, and reads it.
func (r *reader) begins(at *place, s shape) shape {
	return shape{
		read:   func(n *yaml.Node) bool { *at = r.here(n); return s.read(n) },
		schema: s.schema,
	}
}
