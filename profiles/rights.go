package profiles

import (
	"slices"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// withinRights takes back what the enrolment's rights do not carry, and says so. Rights
// play no part under user enrolment, for Apple ignores them there.
func withinRights(st *State, s Subject, c Class) {
	if s.Rights == 0 || c.Enrolment == intent.ByUser || !apples(c.Platform) {
		return
	}
	lacking := func(id intent.ID, words, what string) {
		st.Limits = append(slices.Clip(st.Limits), intent.Outcome{
			ID: id, Subject: "rights", Intent: words, Verdict: intent.Impossible,
			Why:  "This device was enrolled without the right to " + what + ".",
			Cure: "Rights can't be added later: enrol it again.",
		})
	}
	if len(st.Profiles)+len(st.Declarations) > 0 && !s.Rights.Has(ward.RightInspectProfiles|ward.RightInstallProfiles) {
		st.Profiles, st.Declarations, st.DeclarationsToken, st.Documents = nil, nil, "", nil
		st.Limits = without(st.Limits, "This device was enrolled without the right to install profiles.", func(o intent.Outcome) bool {
			return o.Mechanism != "" && o.ID != intent.InstallApp && o.ID != intent.LoseDevice && (o.ID != intent.CertifyApp || o.Since != "")
		})
		lacking(intent.OwnProfile, "Install the messaging profile", "install profiles")
	}
	if len(st.Apps) > 0 && !s.Rights.Has(ward.RightManageApps) {
		st.Apps = nil
		st.Limits = without(st.Limits, "This device was enrolled without the right to manage apps.", func(o intent.Outcome) bool { return o.ID == intent.InstallApp || o.ID == intent.CertifyApp })
		lacking(intent.InstallApp, "Install the approved apps", "manage apps")
	}
	if len(st.WatchApps) > 0 && !s.Rights.Has(ward.RightInspectApps) {
		st.WatchApps = nil
		st.Limits = without(st.Limits, "This device does not block apps, and it can't be asked which it has.", func(o intent.Outcome) bool { return o.Verdict == intent.DetectOnly })
		lacking(intent.BlockApps, "See whether blocked apps are installed", "ask for installed apps")
	}
}

// without turns the outcomes that lost what carried them into "impossible here", in a copy.
func without(limits []intent.Outcome, why string, lost func(intent.Outcome) bool) []intent.Outcome {
	limits = slices.Clone(limits)
	for i, l := range limits {
		if lost(l) && l.Verdict != intent.Impossible && l.Verdict != intent.NotEnforced {
			limits[i].Verdict, limits[i].Mechanism = intent.Impossible, ""
			limits[i].Why, limits[i].Cure = why, "Rights can't be added later: enrol it again."
		}
	}
	return limits
}
