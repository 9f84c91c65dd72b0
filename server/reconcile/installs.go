package reconcile

import (
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/fleet"
)

// profiles installs what is wanted and removes what Ward once put there and no longer
// wants.
func (p *planner) profiles() {
	wanted := map[string]bool{}
	for i := range p.want.Profiles {
		w := &p.want.Profiles[i]
		wanted[w.Identifier] = true
		if w.Declared {
			continue
		}
		prefix := "profile:" + w.Identifier + ":"
		if !p.inPlace(prefix, w.Hash, toldAt(p.got.Profiles), p.holdsProfile(w.Identifier)) {
			p.again(prefix, reinstallProfile, Step{Key: prefix + w.Hash, Deed: InstallProfile, Profile: w})
		}
	}
	if p.got.Profiles == nil {
		return
	}
	for _, have := range p.got.Profiles.Value {
		if !strings.HasPrefix(have.Identifier, profiles.ProfilePrefix) || wanted[have.Identifier] {
			continue
		}
		key := "remove-profile:" + have.Identifier
		if a := p.tried[key]; a.State == command.Accepted {
			if due := a.Answered.Add(reinstallProfile); a.Answered.After(p.got.Profiles.At) || due.After(p.now) {
				p.at(due)
				continue // removed since the list was told, or so the device said lately
			}
		}
		p.issue(Step{Key: key, Deed: RemoveProfile, Target: have.Identifier})
	}
}

// How long to wait before doing again what a device accepted and then did not keep to:
// a person who declined an app is not asked again and again.
const (
	reinstallProfile = time.Hour
	reinstallApp     = 24 * time.Hour
)

// again issues an installation, but not soon after the device accepted the same one.
func (p *planner) again(prefix string, wait time.Duration, s Step) {
	if last, ok := p.lastAccepted(prefix); ok && last.Key == s.Key {
		if due := last.Answered.Add(wait); due.After(p.now) {
			p.at(due)
			return
		}
	}
	p.issue(s)
}

// inPlace reports whether the version hash is the one last accepted under prefix and
// the device, if it has told its list since, still holds the thing.
func (p *planner) inPlace(prefix, hash string, told time.Time, held bool) bool {
	last, ok := p.lastAccepted(prefix)
	if !ok || last.Key != prefix+hash {
		return false
	}
	return held || !told.After(last.Answered)
}

func (p *planner) lastAccepted(prefix string) (best Attempt, ok bool) {
	for key, a := range p.tried {
		if strings.HasPrefix(key, prefix) && a.State == command.Accepted && (!ok || a.Answered.After(best.Answered)) {
			best, ok = a, true
		}
	}
	return best, ok
}

// acceptedAt returns when a step under prefix was last accepted, zero if never.
func (p *planner) acceptedAt(prefix string) time.Time {
	last, _ := p.lastAccepted(prefix)
	return last.Answered
}

func (p *planner) holdsProfile(identifier string) bool {
	return p.got.Profiles != nil && slices.ContainsFunc(p.got.Profiles.Value, func(h fleet.Profile) bool { return h.Identifier == identifier })
}

// apps installs the approved apps and keeps them supplied with tokens.
func (p *planner) apps() {
	for i := range p.want.Apps {
		a := &p.want.Apps[i]
		if a.Remove || a.Declared {
			continue
		}
		prefix := "app:" + a.BundleID + ":"
		if !p.inPlace(prefix, a.Hash, toldAt(p.got.Managed), p.manages(a.BundleID)) {
			p.again(prefix, reinstallApp, Step{Key: prefix + a.Hash, Deed: InstallApp, App: a})
			continue
		}
		if a.NeedsCertificate && a.Delivery == intent.ByToken {
			p.token(a)
		}
	}
	p.dropApps()
}

// dropApps removes, with their data, the apps that Ward put there and no longer wants.
func (p *planner) dropApps() {
	if p.got.Managed == nil {
		return
	}
	for _, m := range p.got.Managed.Value {
		last, ours := p.lastAccepted("app:" + m.BundleID + ":")
		wanted := slices.ContainsFunc(p.want.Apps, func(a profiles.App) bool { return a.BundleID == m.BundleID })
		if !ours || wanted || m.Status != managed || last.Answered.After(p.got.Managed.At) {
			continue
		}
		key := "drop-app:" + m.BundleID
		if a := p.tried[key]; a.State == command.Accepted {
			if due := a.Answered.Add(reinstallApp); a.Answered.After(p.got.Managed.At) || due.After(p.now) {
				p.at(due)
				continue // removed since the list was told, or so the device said lately
			}
		}
		p.issue(Step{Key: key, Deed: RemoveApp, App: &profiles.App{BundleID: m.BundleID}})
	}
}

// managesDropped reports whether the device, by its last word, still manages an app that
// Ward put there.
func (p *planner) managesDropped() bool {
	return p.got.Managed != nil && slices.ContainsFunc(p.got.Managed.Value, func(m fleet.ManagedApp) bool {
		_, ours := p.lastAccepted("app:" + m.BundleID + ":")
		return ours && m.Status == managed
	})
}

// managed is the state of an app that is installed and managed.
// Source: https://developer.apple.com/documentation/devicemanagement/managedapplicationlistresponse
const managed = "Managed"

// status returns what the device says of a managed app, "" if it does not list it.
func (p *planner) status(bundle string) string {
	if p.got.Managed == nil {
		return ""
	}
	i := slices.IndexFunc(p.got.Managed.Value, func(m fleet.ManagedApp) bool { return m.BundleID == bundle })
	if i < 0 {
		return ""
	}
	return p.got.Managed.Value[i].Status
}

// manages reports whether the app is there, or on its way, as a managed app.
// Source: Apple, ManagedApplicationList, Status.
func (p *planner) manages(bundle string) bool {
	switch p.status(bundle) {
	case "", "UserRejected", "ManagementRejected", "Failed", "ManagedButUninstalled", "Unknown", "UserInstalledApp":
		return false
	}
	return true
}

// token gives the app a new one-time token when its certificate is missing, revoked or
// in the last third of its life, and it has none that it could still use.
func (p *planner) token(a *profiles.App) {
	c := p.got.Credentials[a.BundleID]
	if renew := c.ValidUntil.Add(-c.Life / 3); !c.ValidUntil.IsZero() && renew.After(p.now) {
		p.at(renew)
		return
	}
	usable := c.TokenIssued.After(c.Revoked) && !c.TokenIssued.IsZero()
	if patience := c.TokenIssued.Add(tokenPatience); usable && patience.After(p.now) {
		p.at(patience)
		return
	}
	p.issue(Step{Key: "configure-app:" + a.BundleID, Deed: ConfigureApp, App: a})
}
