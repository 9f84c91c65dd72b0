package web

import (
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/profiles/source"
)

// deviceClass is a kind of device for which pages say what becomes of a policy.
type deviceClass struct {
	Key, Name, Short string
	subject          profiles.Subject
}

// deviceClasses are the kinds that platforms tell apart, each of a current system and in
// no group.
func deviceClasses() []deviceClass {
	apple := func(p ward.Platform, o ward.Ownership, s ward.Supervision, kind string) profiles.Subject {
		return profiles.Subject{Device: ward.Device{Platform: p, Ownership: o, OSVersion: "26.1"}, Supervised: s, Rights: ward.RightsFor(o), Kind: kind}
	}
	other := func(p ward.Platform, o ward.Ownership, kind, os string) profiles.Subject {
		return profiles.Subject{Device: ward.Device{Platform: p, Ownership: o, OSVersion: os}, Kind: kind}
	}
	return []deviceClass{
		{"iphone", "Work iPhone, supervised", "supervised iPhone", apple(ward.IOS, ward.Corporate, ward.Supervised, "Device")},
		{"iphone-unsupervised", "Work iPhone, not supervised", "iPhone", apple(ward.IOS, ward.Corporate, ward.Unsupervised, "Device")},
		{"iphone-personal", "Personal iPhone, user-enrolled", "own iPhone", apple(ward.IOS, ward.Personal, ward.Unsupervised, "User Enrollment")},
		{"mac", "Work Mac, supervised", "supervised Mac", apple(ward.MacOS, ward.Corporate, ward.Supervised, "Device")},
		{"mac-unsupervised", "Work Mac, not supervised", "Mac", apple(ward.MacOS, ward.Corporate, ward.Unsupervised, "Device")},
		{"android", "Work Android phone, fully managed", "Android", other(ward.Android, ward.Corporate, string(intent.FullyManaged), "16")},
		{"android-personal", "Personal Android phone, work profile", "Android work profile", other(ward.Android, ward.Personal, string(intent.WorkProfile), "16")},
		{"windows", "Work PC with Windows", "Windows", other(ward.Windows, ward.Corporate, "", "10.0.26100")},
		{"linux", "Work PC with Linux", "Linux", other(ward.Linux, ward.Corporate, "", "")},
	}
}

// reach is what becomes of one app on one kind of device.
type reach struct {
	class   deviceClass
	known   bool // the platform has a name for the app
	outcome intent.Outcome
}

// reachOf says what becomes of a blocked app on each kind of device.
func reachOf(a catalogue.App, p *profiles.Policy, now time.Time) []reach {
	var out []reach
	for _, c := range deviceClasses() {
		ids := a.Identifiers(c.subject.Device.Platform)
		r := reach{class: c, known: len(ids) > 0}
		for _, o := range profiles.Desired(c.subject, p, now).Limits {
			named := o.ID == intent.AllowOnly && (o.Verdict == intent.Enforced || o.Verdict == intent.Partly)
			named = named || o.ID == intent.BlockApps && slices.ContainsFunc(ids, func(id catalogue.Identifier) bool { return slices.Contains(o.Covers, id.ID) })
			if named && (r.outcome.Verdict == "" || better(o.Verdict, r.outcome.Verdict)) {
				r.outcome = o
			}
		}
		out = append(out, r)
	}
	return out
}

// better reports whether a reaches further than b.
func better(a, b intent.Verdict) bool {
	order := []intent.Verdict{intent.Enforced, intent.Partly, intent.DetectOnly, intent.NotEnforced, intent.Impossible}
	return slices.Index(order, a) < slices.Index(order, b)
}

// words says it in the cells of a table: the verdict, by what, and why.
func (r reach) words(blocked bool) (t tag, by, why string) {
	switch {
	case !r.known:
		return tag{"No name known", "quiet", "question"}, "", "Nothing that an app is called by there is known of it, so it can be neither found nor kept off."
	case r.outcome.Verdict == "" && !blocked:
		return tag{"Not blocked", "quiet", "gone"}, "", "The policy does not block it."
	case r.outcome.Verdict == "":
		return tag{"Not enforced", "quiet", "gone"}, "", "Nothing that this kind of device is given keeps it off."
	}
	why = r.outcome.Why
	if r.outcome.Cure != "" {
		why += " " + r.outcome.Cure
	}
	return verdictTag(r.outcome.Verdict), mechanism(r.outcome), why
}

// standing says what a policy makes of an app of the catalogue.
func standing(a catalogue.App, p *profiles.Policy, blocked map[string]bool, now time.Time) (word string, t tag) {
	switch {
	case p == nil:
		return "watched", tag{"No policy", "quiet", "question"}
	case approvedApp(a, p):
		return "approved", tag{"Approved", "good", "check"}
	case blocked[a.Slug] && slices.ContainsFunc(p.Exceptions, func(e source.Exception) bool { return e.App == a.Slug && e.InForce(now) }):
		return "blocked", tag{"Blocked, with exceptions", "warn", "half"}
	case blocked[a.Slug]:
		return "blocked", tag{"Blocked", "info", "cross"}
	case a.NeverBlock:
		return "watched", tag{"Never blocked", "quiet", "gone"}
	}
	return "watched", tag{"Watched", "quiet", "eye"}
}

// approvedApp reports whether an app of the catalogue stands in the register.
func approvedApp(a catalogue.App, p *profiles.Policy) bool {
	has := func(ids []catalogue.Identifier, id string) bool {
		return id != "" && slices.ContainsFunc(ids, func(i catalogue.Identifier) bool { return i.ID == id })
	}
	for _, r := range p.Register {
		if has(a.IOS, r.IOS.BundleID) || has(a.MacOS, r.MacOS.BundleID) || has(a.Android, r.Android.Package) || has(a.Windows, r.Windows.PackageFamilyName) {
			return true
		}
	}
	return false
}

// blockedSlugs are the apps that a policy keeps off devices that are in no group.
func blockedSlugs(p *profiles.Policy) map[string]bool {
	out := map[string]bool{}
	if p == nil {
		return out
	}
	for _, pl := range []ward.Platform{ward.IOS, ward.MacOS, ward.Android, ward.Windows, ward.Linux} {
		for _, a := range p.Base(pl).Wanted.Block.Apps {
			out[a.Slug] = true
		}
	}
	return out
}
