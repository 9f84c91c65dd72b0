package profiles

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/apple"
	"github.com/wardmdm/ward/profiles/catalogue"
)

// Verdict says how far a device carries out one intent of the policy.
type Verdict string

// The verdicts, in words that people read.
const (
	Enforced    Verdict = "enforced"
	Partly      Verdict = "partly"
	DetectOnly  Verdict = "detected only"
	Impossible  Verdict = "impossible here"
	NotEnforced Verdict = "not enforced" // possible here, but not by what the policy or Ward does
)

// Limit says what becomes of one intent on a device: the verdict, why, and what would
// change it. Why and Cure are whole sentences; either is empty where there is nothing
// to say.
type Limit struct {
	Intent  string
	Verdict Verdict
	Why     string
	Cure    string
}

const askedCure = "Ward asks the phone for its version; nothing is to be done."

// superviseCure says what helps where supervision is missing. Supervising is no cure
// for a personal phone: it would erase it first and hand it to the employer.
func superviseCure(c Class) string {
	if c.Ownership == ward.Personal {
		return "Give the person a supervised work phone."
	}
	return "Supervise the phone with Apple Configurator or automated enrolment."
}

// limits tells the fate of every intent for a class, the block first.
func (p *Policy) limits(c Class, outcomes []apple.Outcome, apps []catalogue.App) []Limit {
	var all []Limit
	for _, o := range outcomes {
		if o.Wish == apple.BlockApps {
			all = append(all, p.blockLimits(c, o, apps)...)
		}
	}
	all = append(all, p.neverBlocked()...)
	for _, a := range p.Approved {
		all = append(all, approvedLimit(a, c))
	}
	for _, o := range outcomes {
		if o.Wish != apple.BlockApps {
			all = append(all, wishLimit(c, o))
		}
	}
	return append(all, lostLimit(c))
}

// blockable are the blocked apps with at least one iOS bundle id that is to be blocked.
func (p *Policy) blockable() []catalogue.App {
	var apps []catalogue.App
	for _, a := range p.kept {
		var kept []catalogue.Identifier
		for _, id := range a.IOS {
			if p.blockSet[id.ID] {
				kept = append(kept, id)
			}
		}
		if a.IOS = kept; len(kept) > 0 {
			apps = append(apps, a)
		}
	}
	return apps
}

func (p *Policy) blockLimits(c Class, o apple.Outcome, apps []catalogue.App) []Limit {
	all := []Limit{blockLimit(apps, c, o)}
	if len(o.Set) > 0 {
		if l, ok := unconfirmedLimit(apps); ok {
			all = append(all, l)
		}
	}
	if l, ok := unknownLimit(p.kept); ok {
		all = append(all, l)
	}
	if l, ok := webLimit(apps); ok {
		all = append(all, l)
	}
	return all
}

func blockLimit(apps []catalogue.App, c Class, o apple.Outcome) Limit {
	names := list(appNames(apps))
	l := Limit{Intent: "Block " + names}
	if len(o.Set) > 0 {
		l.Verdict = Enforced
		l.Why = names + " can't be opened on this phone, even if already installed."
		return l
	}
	asks := " Ward asks the phone for these apps and reports them."
	if c.Ownership == ward.Personal {
		asks = " Ward asks this personal phone about these apps only, never for all its apps, and reports them."
	}
	l.Verdict = DetectOnly
	switch o.Left[0].Reason {
	case apple.NotForUserEnrol:
		l.Verdict = Impossible
		l.Why = names + " can't be blocked on this phone, nor seen: under user enrolment Apple shows only managed apps."
		l.Cure = "Give the person a work phone, or enrol this one as a device."
	case apple.NeedsSupervision:
		l.Why = names + " can't be blocked on this phone: Apple lets only supervised iPhones block apps." + asks
		l.Cure = superviseCure(c)
	case apple.NeedsNewerOS:
		l.Why = fmt.Sprintf("%s can't be blocked on this phone: that needs iOS %s.%s", names, o.Left[0].Since, asks)
		l.Cure = fmt.Sprintf("Update the phone to iOS %s or later.", o.Left[0].Since)
		if !c.Supervised {
			l.Cure += " That alone is not enough: only supervised iPhones block apps."
		}
	case apple.UnknownOS:
		l.Why = names + " can't be blocked on this phone yet: its iOS version is not known." + asks
		l.Cure = askedCure
	}
	return l
}

func unconfirmedLimit(apps []catalogue.App) (Limit, bool) {
	var names []string
	for _, a := range apps {
		for _, id := range a.IOS {
			if id.Unconfirmed() {
				names = append(names, fmt.Sprintf("%s (%s)", a.Name, id.ID))
			}
		}
	}
	if len(names) == 0 {
		return Limit{}, false
	}
	return Limit{
		Intent: "Block apps whose bundle id is unconfirmed", Verdict: Partly,
		Why:  "These bundle ids stand in unconfirmed lists only, so the block may miss its app: " + strings.Join(names, ", ") + ".",
		Cure: "Try them on one supervised phone.",
	}, true
}

func unknownLimit(apps []catalogue.App) (Limit, bool) {
	var names []string
	for _, a := range apps {
		if len(a.IOS) == 0 && len(a.AppStore) > 0 {
			names = append(names, a.Name)
		}
	}
	if len(names) == 0 {
		return Limit{}, false
	}
	return Limit{
		Intent: "Block " + list(names), Verdict: NotEnforced,
		Why:  "The App Store has " + list(names) + ", but the bundle id is not known, so a phone can be neither told nor asked about it.",
		Cure: "",
	}, true
}

func webLimit(apps []catalogue.App) (Limit, bool) {
	var hosts []string
	seen := map[string]bool{}
	for _, a := range apps {
		for _, h := range a.Web {
			if !h.Shared && !seen[h.ID] {
				seen[h.ID] = true
				hosts = append(hosts, h.ID)
			}
		}
	}
	if len(hosts) == 0 {
		return Limit{}, false
	}
	return Limit{
		Intent: "Block the web versions of these apps", Verdict: NotEnforced,
		Why:  list(hosts) + " can still be opened in the phone's browser: the policy blocks apps, not web pages.",
		Cure: "Block these addresses on the organisation's network or proxy.",
	}, true
}

// appleMessages is the catalogue's slug of the app that also carries SMS.
const appleMessages = "apple-messages"

func (p *Policy) neverBlocked() []Limit {
	var all []Limit
	for _, a := range p.blocked {
		if !a.NeverBlock || a.Slug == appleMessages && p.Containment.NoIMessage && p.Containment.NoRCS {
			continue
		}
		l := Limit{Intent: "Block " + a.Name, Verdict: NotEnforced, Why: a.Caution}
		if a.Slug == appleMessages {
			l.Cure = "Set no_imessage and no_rcs under containment."
		}
		all = append(all, l)
	}
	return all
}

func approvedLimit(a Approved, c Class) Limit {
	l := Limit{Intent: "Install " + a.Name, Verdict: Enforced}
	switch {
	case !c.Supervised:
		l.Verdict = Partly
		l.Why = "This phone asks the person before it installs " + a.Name + ", and they may refuse."
		l.Cure = "Tell staff to accept it. Supervised phones don't ask."
	case a.IOS.StoreID != 0:
		l.Verdict = Partly
		l.Why = a.Name + " comes from the App Store without a licence assigned by Ward, so the phone may ask for an Apple account."
		l.Cure = "Sign the phone in to the App Store."
	}
	return l
}

// lostLimit says what reporting the phone lost will do.
func lostLimit(c Class) Limit {
	l := Limit{Intent: "Lock and find a lost phone"}
	switch {
	case c.Ownership == ward.Personal || c.UserEnrolment:
		l.Verdict = Partly
		l.Why = "A lost personal phone is locked and its management removed, with the work apps and their data. It is never located and never erased."
	case c.Supervised:
		l.Verdict = Enforced
		l.Why = "A lost phone is put into lost mode and asked once where it is."
	default:
		l.Verdict = Partly
		l.Why = "A lost phone is locked, which holds only if it has a passcode. Apple lets only supervised iPhones be put into lost mode and located."
		l.Cure = superviseCure(c)
	}
	return l
}

func otherPlatform(p ward.Platform) Limit {
	return Limit{
		Intent: "Apply the messaging policy", Verdict: Impossible,
		Why: fmt.Sprintf("The messaging policy reaches iPhones and iPads; this is a %s device.", p),
	}
}

// withinRights takes back what the enrolment's rights do not carry, and says so. Rights
// play no part under user enrolment, for Apple ignores them there.
func withinRights(st *State, s Subject, c Class) {
	if s.Rights == 0 || c.UserEnrolment || c.Platform != ward.IOS {
		return
	}
	lacking := func(intent, what string) {
		st.Limits = append(slices.Clip(st.Limits), Limit{
			Intent: intent, Verdict: Impossible,
			Why:  "This phone was enrolled without the right to " + what + ".",
			Cure: "Rights can't be added later: enrol the phone again.",
		})
	}
	if len(st.Profiles) > 0 && !s.Rights.Has(ward.RightInspectProfiles|ward.RightInstallProfiles) {
		st.Profiles = nil
		lacking("Install the messaging profile", "install profiles")
	}
	if len(st.Apps) > 0 && !s.Rights.Has(ward.RightManageApps) {
		st.Apps = nil
		lacking("Install the approved apps", "manage apps")
	}
	if len(st.WatchApps) > 0 && !s.Rights.Has(ward.RightInspectApps) {
		st.WatchApps = nil
		st.Limits = undetected(st.Limits)
		lacking("See whether blocked apps are installed", "ask for installed apps")
	}
}

// undetected turns "detected only" into "impossible here", in a copy.
func undetected(limits []Limit) []Limit {
	limits = slices.Clone(limits)
	for i, l := range limits {
		if l.Verdict == DetectOnly {
			limits[i].Verdict = Impossible
			limits[i].Why = "This phone does not block apps, and it can't be asked which it has."
		}
	}
	return limits
}

func appNames(apps []catalogue.App) []string {
	names := make([]string, len(apps))
	for i, a := range apps {
		names[i] = a.Name
	}
	return names
}

// list joins words as a sentence does: the first three, then how many more.
func list(words []string) string {
	const most = 3
	switch n := len(words); {
	case n == 0:
		return "nothing"
	case n == 1:
		return words[0]
	case n <= most:
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	case n == most+1:
		return strings.Join(words[:most], ", ") + " and 1 other"
	}
	return fmt.Sprintf("%s and %d others", strings.Join(words[:most], ", "), len(words)-most)
}
