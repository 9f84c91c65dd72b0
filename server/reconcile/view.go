package reconcile

import (
	"slices"
	"strings"

	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/declare"
)

// planner returns what answers the same questions as Plan does.
func (v View) planner() planner {
	p := planner{want: v.Want, got: v.Got, tried: make(map[string]Attempt, len(v.Attempts))}
	for _, a := range v.Attempts {
		p.tried[a.Key] = a
	}
	return p
}

// HasProfile reports whether this version of a profile is in place: the device accepted
// it last, and if it has told its list since, the profile was there. One that comes by a
// declaration is in place where the device says that the declaration is active and valid.
func (v View) HasProfile(w profiles.Profile) bool {
	if w.Declared {
		return slices.ContainsFunc(v.Want.Declarations, func(d profiles.Declaration) bool {
			return d.Names(w.Hash) && v.Holds(d)
		})
	}
	p := v.planner()
	return p.inPlace("profile:"+w.Identifier+":", w.Hash, toldAt(v.Got.Profiles), p.holdsProfile(w.Identifier))
}

// HasApp reports whether an app is installed and managed, by whatever manages it.
func (v View) HasApp(a profiles.App) bool {
	if !a.Declared {
		p := v.planner()
		return p.status(a.BundleID) == managed
	}
	return v.Got.DeclaredApps != nil && slices.ContainsFunc(v.Got.DeclaredApps.Value, func(d declare.App) bool {
		return d.BundleID == a.BundleID && d.State == declaredManaged
	})
}

// declaredManaged is the state of an app that is installed and that a declaration manages.
// Source: Apple's schema, declarative/status/app.managed.list.yaml.
const declaredManaged = "managed"

// Concerns reports whether a step still matters: what was tried for an older policy, or
// for a case that is over, says nothing of the device as it should be now.
func (v View) Concerns(key string) bool {
	kind, rest, _ := strings.Cut(key, ":")
	wants := func(bundle string) func(profiles.App) bool {
		return func(a profiles.App) bool {
			return !a.Remove && (a.BundleID == bundle || a.BundleID+":"+a.Hash == bundle)
		}
	}
	switch kind {
	case identityKey: // it says nothing of what the policy wants, and is tried for ever
		return false
	case "profile":
		return slices.ContainsFunc(v.Want.Profiles, func(w profiles.Profile) bool { return w.Identifier+":"+w.Hash == rest })
	case "remove-profile":
		p := v.planner()
		return p.holdsProfile(rest) && !slices.ContainsFunc(v.Want.Profiles, func(w profiles.Profile) bool { return w.Identifier == rest })
	case "declarations":
		return rest == v.Want.DeclarationsToken
	case "app", "configure-app":
		return slices.ContainsFunc(v.Want.Apps, wants(rest))
	case "drop-app":
		return !slices.ContainsFunc(v.Want.Apps, wants(rest))
	case "apps":
		return rest == digest(v.Want.WatchApps)
	case "managed-apps":
		return len(v.Want.Apps) > 0
	case "lost-mode-off":
		i := v.Got.Information
		return v.Case == nil && (i == nil || i.Value.LostMode == nil || *i.Value.LostMode)
	case "locate":
		id, _, _ := strings.Cut(rest, ":") // a slot may follow
		return v.Case != nil && id == string(v.Case.ID)
	case "lost-mode", "lock", "remove-app", "remove-management":
		return v.Case != nil && strings.HasSuffix(key, ":"+string(v.Case.ID))
	case simKey, passcodeKey: // a device that refuses in lost mode does nothing wrong: it is not known
		return false
	}
	return true
}

// renewal reports whether a step gives an app that has or had a certificate, which was
// not revoked, the token for another.
func (v View) renewal(s Step) bool {
	return s.Deed == ConfigureApp && !v.Got.Credentials[s.App.BundleID].ValidUntil.IsZero()
}
