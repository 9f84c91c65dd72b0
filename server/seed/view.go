package seed

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/declare"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
)

// tooOld is when what a silent device told is too old to go by.
const tooOld = compliance.TooOld + time.Second

// view is what would be wanted and known of a device at a time. It is judged by the same
// rules as a device that is there.
func (m *maker) view(p *phone, t time.Time) reconcile.View {
	v := reconcile.View{Device: p.Device, Enrolment: p.enrolment, Policy: m.Policy, Generation: m.Generation}
	if p.enrolment.ID == "" {
		return v
	}
	if !p.updated.IsZero() && !p.updated.After(t) {
		v.Device.OSVersion = p.newer
	}
	if !p.left.IsZero() && !p.left.After(t) {
		v.Device.State, v.Enrolment.State, v.Enrolment.Ended, v.Enrolment.EndReason, v.Enrolment.LastSeen = ward.Unenrolled, ward.EnrolmentEnded, p.left, "it left management", p.left
		return v
	}
	heard, told := t, t
	if e := p.during(silent, t); e != nil {
		heard, told = e.from, e.from
	} else if t.Equal(m.Now) {
		heard = t.Add(-p.delay)
		told = p.lately(t)
	}
	v.Enrolment.LastSeen = heard
	known := heard // what it told is as it was then
	if told.After(heard) {
		v.Enrolment.LastSeen = told
	}
	c := m.kinds.class(m.Options, &v)
	v.Want, v.Shared = c.want, c.want
	v.Got = m.told(p, &v, known, told)
	for _, key := range c.keys {
		if p.during(unapproved, known) != nil && c.app[key] {
			continue
		}
		v.Attempts = append(v.Attempts, reconcile.Attempt{Key: key, State: command.Accepted, Queued: p.enrolment.Enrolled, Answered: p.enrolment.Enrolled})
	}
	v.Since = map[reconcile.Deviation]time.Time{}
	for _, d := range v.Deviations() {
		v.Since[d] = p.found(d, known)
	}
	return v
}

// lately is when a device that is heard from told of itself last: since what happened to it
// last, and within the hours in which it is asked again.
func (p *phone) lately(now time.Time) time.Time {
	told := now.Add(-p.delay * 6)
	for _, e := range p.episodes {
		for _, t := range []time.Time{e.from, e.to} {
			if t.After(told) && !t.After(now) {
				told = t
			}
		}
	}
	for _, t := range []time.Time{p.updated, p.since()} {
		if t.After(told) && !t.After(now) {
			told = t
		}
	}
	return told
}

// found is since when the record has a deviation that is there as of a time.
func (p *phone) found(d reconcile.Deviation, as time.Time) time.Time {
	since := p.since()
	for w, kind := range map[what]reconcile.DeviationKind{blocked: reconcile.BlockedApp, unlocked: reconcile.NoPasscode} {
		if e := p.during(w, as); d.Kind == kind && e != nil {
			since = e.from
			if s := p.during(silent, e.from); s != nil { // it told when it was back
				since = s.to
			}
		}
	}
	return since
}

// told are the facts that a device told at a time, as things were at another.
func (m *maker) told(p *phone, v *reconcile.View, as, at time.Time) (o reconcile.Observed) {
	yes, locked, supervised := true, p.during(unlocked, as) == nil, p.kind.supervised == ward.Supervised
	o.Information = known(reconcile.Information{Supervised: &supervised, OSVersion: v.Device.OSVersion, Model: p.Model, Serial: p.Serial, Name: p.Name}, at)
	o.Security = known(reconcile.Security{PasscodePresent: &locked, PasscodeCompliant: &yes, Encrypted: &yes}, at)
	has := p.during(unapproved, as) == nil
	var apps []fleet.App
	var managed []fleet.ManagedApp
	var declared []declare.App
	for _, w := range v.Want.Apps {
		switch {
		case w.Remove || !has:
		case w.Declared:
			declared = append(declared, declare.App{BundleID: w.BundleID, State: "managed"})
		default:
			managed = append(managed, fleet.ManagedApp{BundleID: w.BundleID, Status: "Managed"})
		}
		if !w.Remove && has {
			apps = append(apps, fleet.App{BundleID: w.BundleID, Version: "2.1"})
		}
	}
	if e := p.during(blocked, as); e != nil {
		apps = append(apps, fleet.App{BundleID: m.kinds.bundles[p.kind.platform][e.app]})
	}
	if len(v.Want.WatchApps) > 0 {
		o.Apps = known(apps, at)
	}
	if len(v.Want.Apps) > 0 {
		o.Managed = known(managed, at)
	}
	if len(declared) > 0 {
		o.DeclaredApps = known(declared, at)
	}
	var held []fleet.Profile
	for _, w := range v.Want.Profiles {
		held = append(held, fleet.Profile{Identifier: w.Identifier, Name: w.Name, Managed: true})
	}
	o.Profiles = known(held, at)
	if v.Want.DeclarationsToken != "" {
		var all []fleet.Declaration
		for _, d := range v.Want.Declarations {
			all = append(all, fleet.Declaration{Identifier: d.Identifier, Token: d.Token, Active: true, Valid: reconcile.Valid})
		}
		o.Declarations = known(all, at)
	}
	return o
}

func known[T any](v T, at time.Time) *reconcile.Known[T] {
	return &reconcile.Known[T]{Value: v, At: at}
}

// facts writes what a device told as the record keeps it.
func facts(o reconcile.Observed) (out []fleet.Fact, err error) {
	add := func(kind fleet.FactKind, v any, at time.Time) {
		b, e := json.Marshal(v)
		if e != nil && err == nil {
			err = fmt.Errorf("fact %s: %w", kind, e)
		}
		out = append(out, fleet.Fact{Kind: kind, Value: b, Observed: at})
	}
	if o.Information == nil {
		return nil, nil
	}
	add(fleet.Information, o.Information.Value, o.Information.At)
	add(fleet.Security, o.Security.Value, o.Security.At)
	add(fleet.Profiles, o.Profiles.Value, o.Profiles.At)
	if o.Apps != nil {
		add(fleet.Apps, o.Apps.Value, o.Apps.At)
	}
	if o.Managed != nil {
		add(fleet.ManagedApps, o.Managed.Value, o.Managed.At)
	}
	if o.DeclaredApps != nil {
		add(declare.Apps, o.DeclaredApps.Value, o.DeclaredApps.At)
	}
	if o.Declarations != nil {
		add(fleet.Declarations, o.Declarations.Value, o.Declarations.At)
	}
	return out, err
}

// settledKeys are the keys of all steps that a device which wants this has done, by the
// planner itself.
func settledKeys(want profiles.State, got reconcile.Observed, now time.Time) (keys []string) {
	var done []reconcile.Attempt
	for range 8 {
		steps, _ := reconcile.Plan(want, got, done, reconcile.Case{}, now)
		if len(steps) == 0 {
			break
		}
		for _, s := range steps {
			done = append(done, reconcile.Attempt{Key: s.Key, State: command.Accepted, Queued: now.Add(-2 * day), Answered: now.Add(-2 * day)})
			keys = append(keys, s.Key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
