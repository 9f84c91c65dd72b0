package web

import (
	"cmp"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/declare"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/posture"
	"github.com/wardmdm/ward/server/reconcile"
)

// apps lists the approved apps with what the device says of each.
func apps(d posture.Detail, now time.Time) []holding {
	var out []holding
	for _, a := range d.View.Want.Apps {
		status, when, told := appStatus(d.View, a)
		h := holding{Name: a.Name, Note: a.BundleID, Tag: tag{"Not installed yet", "info", "clock"}}
		switch {
		case a.Remove && status == "":
			h.Tag = tag{"Removed", "quiet", "gone"}
		case a.Remove:
			h.Tag = tag{"To be removed", "info", "clock"}
		case status == "Managed":
			h.Tag = tag{"Installed", "good", "check"}
		case status != "":
			h.Tag.Text, h.Note = "On its way", a.BundleID+" · the phone says "+status
		case !told:
			h.Tag = tag{"Not known yet", "warn", "question"}
		}
		if told {
			h.Note += " · told " + at(when, now).Ago
		}
		out = append(out, h)
	}
	return out
}

// appStatus is what the device says of an app that it should have, and when it said so: where
// a declaration installs it, in the device's reports; else in its answer about managed apps.
func appStatus(v reconcile.View, a profiles.App) (status string, when time.Time, told bool) {
	if told := v.Got.DeclaredApps; a.Declared && told != nil {
		i := slices.IndexFunc(told.Value, func(d declare.App) bool { return d.BundleID == a.BundleID })
		switch {
		case i < 0:
		case v.HasApp(a):
			status = "Managed"
		default:
			status = told.Value[i].State
		}
		return status, told.At, true
	}
	if told := v.Got.Managed; told != nil {
		if i := slices.IndexFunc(told.Value, func(m fleet.ManagedApp) bool { return m.BundleID == a.BundleID }); i >= 0 {
			status = told.Value[i].Status
		}
		return status, told.At, true
	}
	return "", time.Time{}, false
}

// blockedApps lists the apps on the device that the policy blocks.
func blockedApps(d posture.Detail, now time.Time) []holding {
	if d.View.Got.Apps == nil {
		return nil
	}
	ids := make([]string, len(d.View.Got.Apps.Value))
	for i, a := range d.View.Got.Apps.Value {
		ids[i] = a.BundleID
	}
	t := tag{"Present, can’t be opened", "warn", "half"}
	if slices.ContainsFunc(d.Assessment.Findings, func(f compliance.Finding) bool { return f.Code == "blocked-app-present" }) {
		t = tag{"Present", "bad", "alert"}
	}
	var out []holding
	for _, a := range d.View.Want.Present(ids) {
		out = append(out, holding{t, a.Name, "Blocked by the policy · seen " + at(d.View.Got.Apps.At, now).Ago})
	}
	return out
}

// installed lists the profiles that are wanted and those that the device has besides.
func installed(d posture.Detail) []holding {
	var out []holding
	wanted := map[string]bool{}
	for _, p := range d.View.Want.Profiles {
		wanted[p.Identifier] = true
		h := holding{Name: p.Name, Note: p.Identifier, Tag: tag{"Not installed yet", "info", "clock"}}
		for _, t := range d.View.Attempts {
			if t.Key == "profile:"+p.Identifier+":"+p.Hash {
				h.Tag = commandTag(t.State)
			}
		}
		if d.View.HasProfile(p) {
			h.Tag = tag{"Installed", "good", "check"}
		}
		if p.Declared {
			h.Note += " · by declaration"
		}
		out = append(out, h)
	}
	if d.View.Got.Profiles == nil {
		return out
	}
	for _, p := range d.View.Got.Profiles.Value {
		if !wanted[p.Identifier] {
			out = append(out, holding{tag{"Installed", "quiet", "check"}, cmp.Or(p.Name, p.Identifier), p.Identifier})
		}
	}
	return out
}

// certificates lists what the record knows of the certificates of the device's apps.
func certificates(d posture.Detail, now time.Time) []holding {
	var out []holding
	for _, a := range d.View.Want.Apps {
		if !a.NeedsCertificate {
			continue
		}
		c := d.View.Got.Credentials[a.BundleID]
		h := holding{Name: a.Name}
		switch {
		case c.ValidUntil.After(now):
			h.Tag, h.Note = tag{"Valid", "good", "check"}, "until "+at(c.ValidUntil, now).Exact
		case !c.Revoked.IsZero():
			h.Tag, h.Note = tag{"Revoked", "bad", "cross"}, at(c.Revoked, now).Exact
		case !c.ValidUntil.IsZero():
			h.Tag, h.Note = tag{"Expired", "warn", "clock"}, at(c.ValidUntil, now).Exact
		case !c.TokenIssued.IsZero():
			h.Tag, h.Note = tag{"Not fetched yet", "info", "clock"}, "the app was told how "+at(c.TokenIssued, now).Ago
		default:
			h.Tag, h.Note = tag{"None yet", "info", "clock"}, "comes after the app is installed"
		}
		out = append(out, h)
	}
	return out
}

func enrolments(all []ward.Enrolment, now time.Time) []enrolmentView {
	out := make([]enrolmentView, len(all))
	for i, e := range all {
		rights := "Work phone: all rights"
		if !e.Rights.Has(ward.RightErase) {
			rights = "Without the right to erase"
		}
		out[i] = enrolmentView{enrolmentTag(e.State), e.Epoch, e.Kind, rights, at(e.Enrolled, now), at(e.Ended, now), e.EndReason, at(e.LastSeen, now)}
	}
	return out
}
