package reconcile

import (
	"slices"
	"strings"

	"github.com/wardmdm/ward/profiles"
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
// it last, and if it has told its list since, the profile was there.
func (v View) HasProfile(w profiles.Profile) bool {
	p := v.planner()
	return p.inPlace("profile:"+w.Identifier+":", w.Hash, toldAt(v.Got.Profiles), p.holdsProfile(w.Identifier))
}

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
	case "profile":
		return slices.ContainsFunc(v.Want.Profiles, func(w profiles.Profile) bool { return w.Identifier+":"+w.Hash == rest })
	case "remove-profile":
		p := v.planner()
		return p.holdsProfile(rest) && !slices.ContainsFunc(v.Want.Profiles, func(w profiles.Profile) bool { return w.Identifier == rest })
	case "app", "configure-app":
		return slices.ContainsFunc(v.Want.Apps, wants(rest))
	case "apps":
		return rest == digest(v.Want.WatchApps)
	case "managed-apps":
		return len(v.Want.Apps) > 0
	case "lost-mode-off":
		i := v.Got.Information
		return v.Case == nil && (i == nil || i.Value.LostMode == nil || *i.Value.LostMode)
	case "lost-mode", "locate", "lock", "remove-app", "remove-management":
		return v.Case != nil && strings.HasSuffix(key, ":"+string(v.Case.ID))
	}
	return true
}

// renewal reports whether a step gives an app that has or had a certificate, which was
// not revoked, the token for another.
func (v View) renewal(s Step) bool {
	return s.Deed == ConfigureApp && !v.Got.Credentials[s.App.BundleID].ValidUntil.IsZero()
}
