package estate

import (
	"cmp"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/reconcile"
)

// Words for an app that management put on the device and that is there.
// Source: Apple's schema, mdm/commands/application.managed.list.yaml, Status, and
// declarative/status/app.managed.list.yaml, state.
const (
	managedStatus = "Managed"
	managedState  = "managed"
)

// Of returns the posture of a device as it was judged. Since, and the Since of findings that
// the record does not know the beginning of, is now: follow lays the posture before it under
// it. It is pure.
func Of(v reconcile.View, a compliance.Assessment, now time.Time) Device {
	d, e := v.Device, v.Enrolment
	out := Device{
		ID: d.ID, Name: cmp.Or(d.Name, d.Serial, string(d.ID)), Serial: d.Serial, Owner: d.Owner, Email: d.Email, Model: d.Model, Role: d.Role,
		Site: d.Site, Group: d.Group, Platform: d.Platform, OSVersion: d.OSVersion, Ownership: d.Ownership,
		Supervised: cmp.Or(v.Got.Supervised(), e.Supervised), Managed: e.State == ward.EnrolmentActive && d.State != ward.Erased,
		State: a.State, Since: now, LastSeen: e.LastSeen, Enrolled: e.Enrolled,
	}
	for _, f := range a.Findings {
		since := f.Since
		if since.IsZero() || since.After(now) {
			since = now
		}
		out.Findings = append(out.Findings, Finding{State: f.State, Code: f.Code, Subject: f.Subject, Text: f.Text, Cure: f.Cure, Since: since.UTC(), Until: f.Until})
	}
	slices.SortStableFunc(out.Findings, func(x, y Finding) int { return worse(y.State) - worse(x.State) })
	if out.Managed {
		out.Apps, out.Approved, out.Told = appsOn(v), approvedOn(v, now), told(v)
	}
	return out
}

// worse orders the states as the verdict does: the worst finding decides.
func worse(s compliance.State) int {
	return slices.Index([]compliance.State{
		compliance.Compliant, compliance.Pending, compliance.InGrace, compliance.Unknown, compliance.NonCompliant, compliance.Lost, compliance.Retired,
	}, s)
}

// appsOn returns the slugs of the catalogue's apps that the device told it has.
func appsOn(v reconcile.View) []string {
	c := catalogue.Builtin()
	if v.Policy != nil && v.Policy.Policy != nil && v.Policy.Catalogue != nil {
		c = v.Policy.Catalogue
	}
	var slugs []string
	add := func(bundle string) {
		for _, a := range c.ByIdentifier(v.Device.Platform, bundle) {
			slugs = append(slugs, a.Slug)
		}
	}
	if v.Got.Apps != nil {
		for _, a := range v.Got.Apps.Value {
			add(a.BundleID)
		}
	}
	if v.Got.Managed != nil {
		for _, a := range v.Got.Managed.Value {
			if a.Status == managedStatus {
				add(a.BundleID)
			}
		}
	}
	if v.Got.DeclaredApps != nil {
		for _, a := range v.Got.DeclaredApps.Value {
			if a.State == managedState {
				add(a.BundleID)
			}
		}
	}
	slices.Sort(slugs)
	return slices.Compact(slugs)
}

// approvedOn tells how the apps stand that the policy puts on the device.
func approvedOn(v reconcile.View, now time.Time) (out []AppStanding) {
	for _, w := range v.Want.Apps {
		if w.Remove {
			continue
		}
		out = append(out, AppStanding{
			Bundle: w.BundleID, Installed: v.HasApp(w), Certificate: !w.NeedsCertificate || v.Got.Credentials[w.BundleID].ValidUntil.After(now),
		})
	}
	slices.SortFunc(out, func(a, b AppStanding) int { return cmp.Compare(a.Bundle, b.Bundle) })
	return out
}

// told returns when the oldest fact was true that the judgement rests on.
func told(v reconcile.View) (oldest time.Time) {
	use := func(at time.Time) {
		if oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
	}
	if v.Got.Information != nil {
		use(v.Got.Information.At)
	}
	if v.Got.Security != nil {
		use(v.Got.Security.At)
	}
	if v.Got.Apps != nil && len(v.Want.WatchApps) > 0 {
		use(v.Got.Apps.At)
	}
	return oldest
}

// follow lays the posture before under one that was just judged: what was the matter before
// goes on since then, and what is the same has not begun anew.
func (d *Device) follow(was *Device, now time.Time) {
	if was == nil {
		if len(d.Findings) > 0 && d.Findings[0].Since.Before(d.Since) {
			d.Since = d.Findings[0].Since
		}
		return
	}
	if was.State == d.State {
		d.Since = was.Since
	}
	for i := range d.Findings {
		f := &d.Findings[i]
		j := slices.IndexFunc(was.Findings, func(w Finding) bool { return w.Code == f.Code && w.Subject == f.Subject })
		if j < 0 {
			continue
		}
		old := was.Findings[j]
		if !f.Until.IsZero() && !old.Until.IsZero() && f.Since.Equal(now) { // its beginning is not recorded: its grace does not begin anew
			f.Until = old.Until
		}
		if !old.Since.IsZero() && old.Since.Before(f.Since) {
			f.Since = old.Since
		}
	}
}

// Next returns when the posture changes by the mere passing of time if nothing is heard from
// the device, zero for never: a grace ends, what it told grows too old, a certificate ends.
func Next(v reconcile.View, a compliance.Assessment, now time.Time) (next time.Time) {
	at := func(t time.Time) {
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, f := range a.Findings {
		at(f.Until)
	}
	if v.Enrolment.State != ward.EnrolmentActive || v.Device.State == ward.Erased {
		return next
	}
	seen, p := v.Enrolment.LastSeen, v.Want.Posture
	const instant = time.Microsecond // what is older than a time is so just after it
	if !seen.IsZero() {
		at(seen.Add(compliance.TooOld + instant))
		if p.LastSeen.On {
			at(seen.Add(p.LastSeenWithin + p.LastSeen.Grace + instant))
		}
	}
	if v.Got.Apps != nil && len(v.Want.WatchApps) > 0 {
		at(v.Got.Apps.At.Add(compliance.TooOld + instant))
	}
	if v.Got.Security != nil {
		at(v.Got.Security.At.Add(compliance.TooOld + instant))
	}
	for _, w := range v.Want.Apps {
		if c, ok := v.Got.Credentials[w.BundleID]; ok && w.NeedsCertificate {
			at(c.ValidUntil)
			if p.Certificate.On && !c.Revoked.IsZero() {
				at(c.Revoked.Add(p.Certificate.Grace + instant))
			}
		}
	}
	return next
}
