package source

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
)

// soon is how long before its end an exception, or a certificate, is told of.
const soon = 14 * day

// Warnings returns what whoever publishes the policy should know, in whole sentences:
// first what depends on the day.
func (p *Policy) Warnings(now time.Time) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, a := range p.Register {
		if a.Overdue(now) {
			say("The review of %s was due by %s.", a.Name, a.ReviewBy.Format(time.DateOnly))
		}
	}
	for _, e := range p.Exceptions {
		switch {
		case !e.InForce(now):
		case e.Ends().Sub(now) <= soon:
			say("The exception %s (%s for %s) ends at the end of %s.", e.ID, e.AppName, e.For, e.Expires.Format(time.DateOnly))
		}
		if e.InForce(now) && !p.everBlocked(e.App) {
			say("The exception %s lifts nothing: %s is not blocked.", e.ID, e.AppName)
		}
	}
	out = append(out, p.versionWarnings(now)...)
	var roots []string
	for _, l := range p.everyLayer() {
		for _, w := range l.networks.wifi {
			roots = append(roots, rootWarnings("Wi-Fi "+w.name, w.value.TrustedRoots, now)...)
		}
		for _, v := range l.networks.vpn {
			roots = append(roots, rootWarnings("VPN "+v.name, v.value.TrustedRoots, now)...)
		}
	}
	slices.Sort(roots)
	return slices.Concat(out, slices.Compact(roots), p.lasting)
}

func rootWarnings(what string, roots [][]byte, now time.Time) []string {
	var out []string
	for _, der := range roots {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			continue // it was read when the policy was: it can't fail here
		}
		switch end := c.NotAfter.UTC(); {
		case !now.Before(end):
			out = append(out, fmt.Sprintf("The certificate %s of %s ended on %s: devices will not join.", c.Subject.CommonName, what, end.Format(time.DateOnly)))
		case end.Sub(now) <= soon:
			out = append(out, fmt.Sprintf("The certificate %s of %s ends on %s.", c.Subject.CommonName, what, end.Format(time.DateOnly)))
		}
	}
	return out
}

func (p *Policy) everyLayer() []*layer {
	return append(slices.Clone(p.layers), groupLayers(p.Groups)...)
}

// states are what the policy, and each group over it, keep off.
func (p *Policy) states() []blocked {
	out := []blocked{p.resolve(p.layers)}
	for i := range p.Groups {
		out = append(out, p.resolve(append(slices.Clone(p.layers), p.Groups[i].layer)))
	}
	return out
}

// everBlocked reports whether a layer keeps an app off, so that an exception lifts
// something.
func (p *Policy) everBlocked(slug string) bool {
	i, ok := p.index[slug]
	return ok && p.ever[i]
}

// blockedAnywhere works out, by the index of each app, whether the policy or a group over
// it keeps the app off.
func (p *Policy) blockedAnywhere() []bool {
	out := make([]bool, len(p.apps))
	listed := slices.ContainsFunc(p.everyLayer(), func(l *layer) bool { return l.block.mode.value == allowList })
	for _, s := range p.states() {
		for i := range out {
			out[i] = out[i] || listed || s.holds(i)
		}
	}
	return out
}

// lastingWarnings are those that follow from the file alone.
func (p *Policy) lastingWarnings() []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	states := p.states()
	var unconfirmed []string
	some, everywhere := false, p.base.block.mode.value == allowList
	for i, a := range p.apps {
		if !slices.ContainsFunc(states, func(s blocked) bool { return s.holds(i) }) {
			continue
		}
		if a.NeverBlock {
			say("%s is among what is named, but is never blocked. %s", a.Name, a.Caution)
			continue
		}
		some = true
		out = append(out, p.approvedIDs(a)...)
		if a.Caution != "" {
			say("%s: %s", a.Name, a.Caution)
		}
		unconfirmed = append(unconfirmed, unconfirmedIDs(a)...)
	}
	if len(unconfirmed) > 0 {
		say("Not confirmed by the vendor or a device, so that a block may miss: %s.", strings.Join(unconfirmed, ", "))
	}
	for _, l := range p.everyLayer() {
		if w := l.block.web; w.given() && !w.value && some {
			say("%s leaves web versions open (line %d): in a browser the blocked apps still work.", capital(l.name), w.at.line)
		}
	}
	out = append(out, p.resolverWarnings()...)
	if some || everywhere {
		out = append(out, p.withoutAlternative()...)
		say("Before a block takes an app away, move what belongs to the record: images and messages that exist only in a blocked app can't be reached afterwards.")
	}
	return out
}

// resolverWarnings tell what hangs on a resolver that is asked for all names: to be told
// of another one a device must find Ward.
func (p *Policy) resolverWarnings() []string {
	var out []string
	for _, l := range p.everyLayer() {
		if d := l.networks.dns; d.given() && len(d.value.Only) == 0 {
			out = append(out, fmt.Sprintf("Devices look up all names at %s (line %d): where it does not answer they find no names at all, Ward's neither, so that Ward can't take the setting back. Try it on a few devices away from the organisation's network first.", d.value.Name, d.at.line))
		}
	}
	return out
}

// approvedIDs tells which identifiers of a blocked app are left out for an approved one.
func (p *Policy) approvedIDs(a catalogue.App) []string {
	var out []string
	for _, r := range p.Register {
		for _, pl := range platforms {
			for _, id := range identifiers(r.App, pl) {
				if slices.ContainsFunc(a.Identifiers(pl), func(i catalogue.Identifier) bool { return spelling(pl, i.ID) == spelling(pl, id) }) {
					out = append(out, fmt.Sprintf("%s is approved, so %s is left out of the block of %s.", r.Name, id, a.Name))
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func unconfirmedIDs(a catalogue.App) []string {
	var out []string
	for _, pl := range platforms {
		for _, id := range a.Identifiers(pl) {
			if id.Unconfirmed() {
				out = append(out, fmt.Sprintf("%s (%s)", id.ID, pl))
			}
		}
	}
	return out
}

// withoutAlternative tells on which platforms staff have no approved app, if they have
// one somewhere; where they have none at all the policy gives its reason.
func (p *Policy) withoutAlternative() []string {
	var missing []string
	for _, pl := range platforms {
		if !slices.ContainsFunc(p.Register, func(a Approved) bool { return a.Runs(pl) || len(a.Web) > 0 }) {
			missing = append(missing, platformWords[pl])
		}
	}
	if len(missing) == 0 || len(p.Register) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("No approved app is named for %s: there the block leaves staff without one.", listOr(missing))}
}

// platformWords is a table, never changed.
var platformWords = map[ward.Platform]string{
	ward.IOS: "iOS", ward.MacOS: "macOS", ward.Android: "Android", ward.Windows: "Windows", ward.Linux: "Linux",
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
