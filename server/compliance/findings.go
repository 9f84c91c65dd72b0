package compliance

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
)

// by adds a finding about a deviation under a rule of the posture, none if the rule is
// off. Its grace runs from when the deviation was first recorded; one not recorded yet
// was found just now.
func (a *assessor) by(r intent.Rule, d reconcile.Deviation, code, cure, format string, args ...any) {
	if !r.On {
		return
	}
	since, recorded := a.v.Since[d]
	ends := since.Add(r.Grace)
	if !recorded {
		ends = a.now.Add(r.Grace)
	}
	text := fmt.Sprintf(format, args...)
	switch {
	case r.Severity == intent.Advice:
		a.about(d.Subject, Compliant, code, since, cure, "%s", text)
	case a.now.Before(ends):
		a.about(d.Subject, InGrace, code, since, strings.TrimSpace(cure+" It has until "+Stamp(ends)+"."), "%s", text)
		a.found[len(a.found)-1].Until = ends
	default:
		a.about(d.Subject, NonCompliant, code, since, cure, "%s", text)
	}
}

func (a *assessor) contact() {
	e := a.v.Enrolment
	if a.v.Device.Group == fleet.QuarantineGroup {
		a.add(Unknown, "quarantined", e.Enrolled, "Move it to a group, and it gets the policy: ward device move.", "Adopted from another server; it waits for a person to sort it.")
		return
	}
	if a.v.Got.Information == nil {
		a.add(Unknown, "never-told", e.Enrolled, "It is asked and answers when it is next awake.", "It has not told anything about itself yet.")
		return
	}
	p := a.v.Want.Posture
	if away := a.now.Sub(e.LastSeen); p.LastSeen.On && away > p.LastSeenWithin+p.LastSeen.Grace && p.LastSeen.Severity == intent.Breach {
		a.add(NonCompliant, "not-seen", e.LastSeen, "Ask its owner to connect it to a network.", "Not seen since %s; the policy allows %s.", Stamp(e.LastSeen), days(p.LastSeenWithin))
	} else if away > TooOld {
		a.add(Unknown, "not-seen", e.LastSeen, "Ask its owner to connect it to a network.", "Not seen since %s.", Stamp(e.LastSeen))
	}
}

// days writes a duration as people say it.
func days(d time.Duration) string {
	if d >= 48*time.Hour && d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	}
	return fmt.Sprintf("%d hours", int(d.Hours()))
}

func (a *assessor) blockedApps() {
	if a.v.Policy == nil || len(a.v.Want.WatchApps) == 0 {
		return
	}
	apps := a.v.Got.Apps
	if apps == nil || a.now.Sub(apps.At) > TooOld {
		a.add(Unknown, "apps-unknown", time.Time{}, "It is asked for its apps when it is next awake.", "Which apps are installed is not known.")
		return
	}
	for _, app := range a.v.BlockedRunnable() {
		a.by(a.v.Want.Posture.BlockedApp, reconcile.Deviation{Kind: reconcile.BlockedApp, Subject: app.Slug}, CodeBlockedApp,
			"Ask the person to delete it: Apple lets only supervised iPhones block apps.", "Has %s, which the policy blocks.", app.Name)
	}
}

func (a *assessor) profiles() {
	for _, w := range a.v.Want.Profiles {
		if !a.v.HasProfile(w) {
			a.about(w.Identifier, Pending, "profile-missing", time.Time{}, "It is installed when the device is next awake.", "The profile %q is not installed yet.", w.Name)
		}
	}
	for _, d := range a.v.RefusedDeclarations() {
		if bundle := a.identity(d.Identifier); bundle != "" {
			a.about(bundle, Pending, codeRefused, a.v.Got.Declarations.At, "It is tried again after six hours.", "The device could not get the identity of %s: %s.", bundle, strings.TrimSuffix(strings.Join(d.Reasons, "; "), "."))
			continue
		}
		a.about(d.Identifier, NonCompliant, "declaration-refused", a.v.Got.Declarations.At, "", "The device calls the declaration %s invalid: %s.", d.Identifier, strings.TrimSuffix(strings.Join(d.Reasons, "; "), "."))
	}
}

// identity returns the app to whose identity a declaration belongs, "" for any other.
func (a *assessor) identity(declaration string) string {
	i := slices.IndexFunc(a.v.Want.Declarations, func(d profiles.Declaration) bool { return d.Identifier == declaration })
	if i < 0 {
		return ""
	}
	return a.v.Want.Declarations[i].App
}

func (a *assessor) apps() {
	for _, w := range a.v.Want.Apps {
		if w.Remove || a.v.Case != nil {
			continue
		}
		if w.Overdue {
			a.about(w.BundleID, Pending, "review-overdue", time.Time{}, "Review the app and publish the policy with a new date.", "The review of %s is overdue.", w.Name)
		}
		if !a.v.HasApp(w) {
			a.missingApp(w)
			continue
		}
		posture := a.v.Want.Posture
		if d := (reconcile.Deviation{Kind: reconcile.OldApp, Subject: w.BundleID}); slices.Contains(a.deviations(), d) {
			a.by(posture.ApprovedApp, d, "app-too-old", "Update it from the store.", "%s is older than version %s, which the policy asks for.", w.Name, w.MinimumVersion)
		}
		if c := a.v.Got.Credentials[w.BundleID]; w.NeedsCertificate && !c.ValidUntil.After(a.now) {
			state := Pending
			if r := posture.Certificate; r.On && r.Severity == intent.Breach && !c.Revoked.IsZero() && a.now.Sub(c.Revoked) > r.Grace {
				state = NonCompliant
			}
			a.about(w.BundleID, state, codeMissing, c.Revoked, a.certificateCure(w), "%s has no valid certificate.", w.Name)
		}
	}
}

func (a *assessor) certificateCure(w profiles.App) string {
	switch w.Delivery {
	case intent.ByManagedApp:
		return "The device fetches it when it is next awake."
	case intent.ByToken:
		return "The app fetches one when it is next opened."
	case intent.ByNetwork:
	}
	return "It has no way to one on this device: see what the policy comes to here."
}

// missingApp tells of an app that is not there: a required one that was there and went
// counts by the posture's rule, one that never came is on its way.
func (a *assessor) missingApp(w profiles.App) {
	const cure = "It is installed when the device is next awake; an unsupervised phone asks its owner first."
	d := reconcile.Deviation{Kind: reconcile.DriftedApp, Subject: w.BundleID}
	if r := a.v.Want.Posture.ApprovedApp; r.On && w.Required && slices.Contains(a.deviations(), d) {
		a.by(r, d, "app-missing", cure, "%s is not installed any more.", w.Name)
		return
	}
	a.about(w.BundleID, Pending, "app-missing", time.Time{}, cure, "%s is not installed yet.", w.Name)
}

func (a *assessor) passcode() {
	s := a.v.Got.Security
	d := reconcile.Deviation{Kind: reconcile.NoPasscode}
	switch {
	case a.v.Got.Information == nil: // said already: it has told nothing
	case s == nil || s.Value.PasscodePresent == nil || a.now.Sub(s.At) > TooOld:
		a.add(Unknown, "passcode-unknown", time.Time{}, "It is asked when it is next awake.", "Whether it has a passcode is not known.")
	case !*s.Value.PasscodePresent:
		a.by(a.v.Want.Posture.Passcode, d, "no-passcode", "Ask the person to set one in Settings, Face ID & Passcode.", "It has no passcode, so its storage is not protected.")
	case s.Value.PasscodeCompliant != nil && !*s.Value.PasscodeCompliant:
		a.by(a.v.Want.Posture.Passcode, d, "weak-passcode", "Ask the person to choose another in Settings, Face ID & Passcode.", "Its passcode is weaker than the policy asks for.")
	}
}

// system tells of the device itself: its storage and its system's version.
func (a *assessor) system() {
	p := a.v.Want.Posture
	for _, d := range a.deviations() {
		switch d.Kind {
		case reconcile.NotEncrypted:
			a.by(p.Encryption, d, "not-encrypted", "Set a passcode; on a Mac turn FileVault on.", "Its storage is not encrypted.")
		case reconcile.OldSystem:
			least := p.MinimumOS[a.v.Device.Platform]
			a.by(p.MinimumOSRule, d, "old-system", "Update it to version "+least+" or later.", "It runs version %s; the policy asks for %s.", a.v.Device.OSVersion, least)
		case reconcile.DriftedProfile, reconcile.DriftedDeclaration, reconcile.DriftedApp, reconcile.BlockedApp, reconcile.NoPasscode, reconcile.OldApp:
			// told where they belong
		}
	}
}

func (a *assessor) deviations() []reconcile.Deviation {
	if a.deviant == nil {
		a.deviant = append([]reconcile.Deviation{}, a.v.Deviations()...)
	}
	return a.deviant
}

func (a *assessor) refused() {
	for _, t := range a.v.Attempts {
		if (t.State == command.Refused || t.State == command.Withheld) && a.v.Concerns(t.Key) {
			step, _, _ := strings.Cut(t.Key, ":")
			a.about(step, NonCompliant, "step-refused", t.Answered, "", "The device refused %s: %s.", strings.ReplaceAll(step, "-", " "), strings.TrimSuffix(t.Error, "."))
		}
	}
	for _, x := range a.v.Want.Excepted {
		a.about(x.App, Compliant, "exception", time.Time{}, "", "%s is allowed until the end of %s: %s.", x.AppName, x.Expires.Format("2 January 2006"), strings.TrimSuffix(x.Reason, "."))
	}
}
