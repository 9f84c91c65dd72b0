package reconcile

import (
	"slices"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/fleet"
)

// Deviation is one thing that is otherwise than the policy wants, by what the device has
// told. What is on its way for the first time is none.
type Deviation struct {
	Kind    DeviationKind
	Subject string // what of it: an identifier, an app's slug; empty where there is one only
}

// DeviationKind says what is otherwise.
type DeviationKind string

// The kinds. The first three are drift: they were in place once.
const (
	DriftedProfile     DeviationKind = "profile"
	DriftedDeclaration DeviationKind = "declaration"
	DriftedApp         DeviationKind = "app"
	BlockedApp         DeviationKind = "blocked-app" // there, and it can run
	NoPasscode         DeviationKind = "passcode"
	NotEncrypted       DeviationKind = "encryption"
	OldSystem          DeviationKind = "os"
	OldApp             DeviationKind = "app-version"
)

// Deviations returns what is otherwise than the policy wants, in a fixed order.
func (v View) Deviations() []Deviation {
	var out []Deviation
	add := func(k DeviationKind, subject string) { out = append(out, Deviation{k, subject}) }
	p := v.planner()
	for _, w := range v.Want.Profiles {
		if !w.Declared && p.drifted("profile:"+w.Identifier+":", w.Hash, p.holdsProfile(w.Identifier), v.Got.Profiles != nil && v.Got.Profiles.At.After(p.acceptedAt("profile:"+w.Identifier+":"))) {
			add(DriftedProfile, w.Identifier)
		}
	}
	if last, ok := p.lastAccepted(declarationsKey); ok && last.Key == declarationsKey+v.Want.DeclarationsToken && toldAt(v.Got.Declarations).After(last.Answered) {
		for _, d := range v.Want.Declarations {
			if _, held := v.Got.declaration(d); !held {
				add(DriftedDeclaration, d.Identifier)
			}
		}
	}
	for _, a := range v.Want.Apps {
		prefix := "app:" + a.BundleID + ":"
		if !a.Remove && !a.Declared && p.drifted(prefix, a.Hash, p.manages(a.BundleID), toldAt(v.Got.Managed).After(p.acceptedAt(prefix))) {
			add(DriftedApp, a.BundleID)
		}
		if version := v.Got.appVersion(a.BundleID); a.MinimumVersion != "" && version != "" && older(version, a.MinimumVersion) {
			add(OldApp, a.BundleID)
		}
	}
	for _, a := range v.BlockedRunnable() {
		add(BlockedApp, a.Slug)
	}
	return append(out, v.deviantSystem()...)
}

// deviantSystem returns what is otherwise of the device itself.
func (v View) deviantSystem() (out []Deviation) {
	if s, p := v.Got.Security, v.Want.Posture; s != nil {
		if p.Passcode.On && (s.Value.PasscodePresent != nil && !*s.Value.PasscodePresent || s.Value.PasscodeCompliant != nil && !*s.Value.PasscodeCompliant) {
			out = append(out, Deviation{Kind: NoPasscode})
		}
		if p.Encryption.On && s.Value.Encrypted != nil && !*s.Value.Encrypted {
			out = append(out, Deviation{Kind: NotEncrypted})
		}
	}
	if least := v.Want.Posture.MinimumOS[v.Device.Platform]; least != "" && v.Device.OSVersion != "" && older(v.Device.OSVersion, least) {
		out = append(out, Deviation{Kind: OldSystem})
	}
	return out
}

// drifted reports whether this version was accepted last and the device has told since
// that it is not there.
func (p *planner) drifted(prefix, hash string, held, toldSince bool) bool {
	last, ok := p.lastAccepted(prefix)
	return ok && last.Key == prefix+hash && toldSince && !held
}

// BlockedRunnable returns the blocked apps that are on the device and that it does not
// keep from running: where the compilers promise a block, it counts once the profile or
// declaration that carries it is in place.
func (v View) BlockedRunnable() []catalogue.App {
	if v.Got.Apps == nil {
		return nil
	}
	ids := make([]string, len(v.Got.Apps.Value))
	for i, a := range v.Got.Apps.Value {
		ids[i] = a.BundleID
	}
	carried := v.carriesBlock()
	return slices.DeleteFunc(v.Want.Present(ids), func(a catalogue.App) bool {
		for _, id := range a.Identifiers(v.Device.Platform) {
			if slices.Contains(ids, id.ID) && (!carried || !v.Want.Blocks(id.ID)) {
				return false
			}
		}
		return true
	})
}

// appsDeclaration keeps apps from running, from iOS 27 and macOS 27.
// Source: Apple's schema, declarative/configurations/app.settings.yaml.
const appsDeclaration = "com.apple.configuration.app.settings"

// carriesBlock reports whether what carries the block is in place, be it of an earlier
// version: the newer one is then on its way, which is told by itself.
func (v View) carriesBlock() bool {
	if v.Got.Supervised() != ward.Supervised {
		return false
	}
	for _, d := range v.Want.Declarations {
		if d.Type == appsDeclaration {
			return v.Got.holdsSome(d.Identifier)
		}
	}
	for _, w := range v.Want.Profiles {
		if w.Identifier != profiles.MessagingProfile {
			continue
		}
		if !w.Declared {
			p := v.planner()
			last, ok := p.lastAccepted("profile:" + w.Identifier + ":")
			return ok && (p.holdsProfile(w.Identifier) || !toldAt(v.Got.Profiles).After(last.Answered))
		}
		return slices.ContainsFunc(v.Want.Declarations, func(d profiles.Declaration) bool {
			return d.Names(w.Hash) && v.Got.holdsSome(d.Identifier)
		})
	}
	return false
}

// holdsSome reports whether the device says that it holds some version of a declaration,
// active and valid.
func (o Observed) holdsSome(identifier string) bool {
	return o.Declarations != nil && slices.ContainsFunc(o.Declarations.Value, func(h fleet.Declaration) bool {
		return h.Identifier == identifier && h.Active && h.Valid == Valid
	})
}

func (o Observed) appVersion(bundle string) string {
	if o.Apps == nil {
		return ""
	}
	i := slices.IndexFunc(o.Apps.Value, func(a fleet.App) bool { return a.BundleID == bundle })
	if i < 0 {
		return ""
	}
	return o.Apps.Value[i].Version
}

// older reports whether a version is below another. One that is no version is not older.
func older(version, least string) bool {
	c, ok := intent.CompareVersions(version, least)
	return ok && c < 0
}
