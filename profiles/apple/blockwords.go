package apple

import (
	"fmt"
	"strings"

	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/intent"
)

func (c *compiler) blockOutcome(apps []known) intent.Outcome {
	return intent.Outcome{
		ID: intent.BlockApps, Intent: "Block " + intent.List(names(apps)), Since: c.d.since(c.d.needBlock()), Covers: idsOf(apps),
	}
}

// closed says that apps can't run.
func (c *compiler) closed(apps []known, mechanism string) intent.Outcome {
	o := c.blockOutcome(apps)
	o.Verdict, o.Mechanism = intent.Enforced, mechanism
	o.Why = fmt.Sprintf("%s can't be opened on this %s, even if already installed.", intent.List(names(apps)), c.d.one())
	return o
}

// asks says how Ward looks for apps that it can't block.
func (c *compiler) asks() string {
	if c.d.Personal() {
		return fmt.Sprintf(" Ward asks this personal %s about these apps only, never for all its apps, and reports them.", c.d.one())
	}
	return " Ward asks the " + c.d.one() + " for these apps and reports them."
}

// unblocked says that apps can't be blocked, and whether they are seen.
func (c *compiler) unblocked(apps []known, r reason) intent.Outcome {
	o := c.blockOutcome(apps)
	o.Verdict = intent.DetectOnly
	start := fmt.Sprintf("%s can't be blocked on this %s", intent.List(names(apps)), c.d.one())
	n := c.d.needBlock()
	switch r {
	case forbiddenForUser:
		o.Verdict = intent.Impossible
		o.Why = start + ", nor seen: under user enrolment Apple shows only managed apps."
		o.Cure = fmt.Sprintf("Give the person a work %s, or enrol this one as a device.", c.d.one())
	case needsSupervision:
		o.Why = start + ": Apple lets only supervised iPhones block apps." + c.asks()
		o.Cure = c.d.superviseCure()
	case needsNewerOS:
		o.Why = fmt.Sprintf("%s: that needs %s %s.%s", start, c.d.os(), n.since, c.asks())
		o.Cure = c.d.updateCure(n.since)
		if c.d.ios() && !c.d.Supervised {
			o.Cure += " That alone is not enough: only supervised iPhones block apps."
		}
	case unknownOS:
		o.Why = fmt.Sprintf("%s yet: its %s version is not known.%s", start, c.d.os(), c.asks())
		o.Cure = c.d.askedCure()
	}
	return o
}

// unsigned says that Mac apps are watched only, because their signers are not known.
func (c *compiler) unsigned(apps []known) intent.Outcome {
	o := c.blockOutcome(apps)
	o.Verdict = intent.DetectOnly
	o.Why = fmt.Sprintf("%s can't be blocked on this Mac: a Mac tells programs by the team that signed them, and that is not known.%s", intent.List(names(apps)), c.asks())
	return o
}

// unconfirmed names blocked identifiers that may be wrong.
func (c *compiler) unconfirmed(apps []known) (intent.Outcome, bool) {
	var words, covers []string
	for _, a := range apps {
		for _, id := range a.ids {
			if id.Unconfirmed() {
				words = append(words, fmt.Sprintf("%s (%s)", a.Name, id.ID))
				covers = append(covers, id.ID)
			}
		}
	}
	one := "supervised phone"
	if !c.d.ios() {
		one = "Mac"
	}
	return intent.Outcome{
		ID: intent.BlockApps, Subject: "unconfirmed", Intent: "Block apps whose bundle id is unconfirmed", Verdict: intent.Partly,
		Why:    "These bundle ids stand in unconfirmed lists only, so the block may miss its app: " + strings.Join(words, ", ") + ".",
		Cure:   "Try them on one " + one + ".",
		Covers: covers,
	}, len(words) > 0
}

func appNames(apps []catalogue.App) []string {
	out := make([]string, len(apps))
	for i, a := range apps {
		out[i] = a.Name
	}
	return out
}

// unknown names apps of the App Store whose bundle id is not known.
func (c *compiler) unknown(apps []catalogue.App) intent.Outcome {
	words := intent.List(appNames(apps))
	return intent.Outcome{
		ID: intent.BlockApps, Subject: "unknown", Intent: "Block " + words, Verdict: intent.NotEnforced,
		Why: "The App Store has " + words + ", but the bundle id is not known, so a phone can be neither told nor asked about it.",
	}
}

// absent says that none of the apps is known on this platform.
func (c *compiler) absent(apps []catalogue.App) intent.Outcome {
	words := intent.List(appNames(apps))
	return intent.Outcome{
		ID: intent.BlockApps, Intent: "Block " + words, Verdict: intent.NotEnforced,
		Why: fmt.Sprintf("The catalogue knows no identifier of %s for %s, so there is nothing to block here.", words, c.d.many()),
	}
}

// appleMessages is the catalogue's slug of the app that also carries SMS.
const appleMessages = "apple-messages"

// neverBlocked says why an app that the policy names is left alone.
func (c *compiler) neverBlocked(a catalogue.App) intent.Outcome {
	o := intent.Outcome{ID: intent.BlockApps, Subject: a.Slug, Intent: "Block " + a.Name, Verdict: intent.NotEnforced, Why: a.Caution}
	if a.Slug == appleMessages && (!c.w.On[intent.NoIMessage] || !c.w.On[intent.NoRCS]) {
		o.Cure = "Set no_imessage and no_rcs under containment."
	}
	return o
}

// count writes a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
