package workstation

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

const (
	giveWorkComputer = "Give the person a work computer."
	leftAlone        = "Nothing on a personal computer is changed."
)

// compiler holds the documents while they are made.
type compiler struct {
	w        intent.Wanted
	p        ward.Platform
	personal bool
	policy   Policy
	out      []intent.Outcome
	chrome   map[string]any // Chrome's and Chromium's policy
	edge     map[string]any
	firefox  map[string]any
	denied   []Identity // for AppLocker, beyond what Block names
}

func newCompiler(w intent.Wanted, t intent.Target) *compiler {
	return &compiler{
		w: w, p: t.Platform, personal: t.Personal(),
		policy: Policy{
			Format: Format, Platform: t.Platform, Name: w.Name, Notice: w.Notice, Mode: DenyList,
			Questions: []Question{ApprovedApps, BlockedApps, DiskEncryption, OSVersion, ScreenLock},
		},
		chrome: map[string]any{}, edge: map[string]any{}, firefox: map[string]any{},
	}
}

func (c *compiler) on(s intent.ID) bool          { return c.w.On[s] }
func (c *compiler) told(o intent.Outcome)        { c.out = append(c.out, o) }
func (c *compiler) is(p ward.Platform) bool      { return c.p == p }
func (c *compiler) governs(p ward.Platform) bool { return c.p == p && !c.personal }

// system is the platform's name for people.
func (c *compiler) system() string {
	switch c.p {
	case ward.Windows:
		return "Windows"
	case ward.MacOS:
		return "macOS"
	}
	return "Linux"
}

// group is one kind of blocked identity with what is promised for it.
type group struct {
	subject, mechanism, why, cure string
	verdict                       intent.Verdict
	names, ids                    []string
}

// blockApps makes a rule of each identity of a blocked app that no approved app shares.
func (c *compiler) blockApps() {
	if len(c.w.Block.Apps) == 0 {
		return
	}
	taken := map[Identity]bool{}
	for _, a := range c.w.Apps {
		for _, i := range approved(c.p, a) {
			taken[i.key(c.p)] = true
		}
	}
	packaged, programs := c.groups()
	var unknown, guessed, shared, guessedIDs []string
	for _, a := range c.w.Block.Apps {
		rules := 0
		for _, id := range identifiers(c.p, a) {
			i := identity(c.p, id.ID)
			if i == (Identity{}) {
				continue
			}
			rules++
			if taken[i.key(c.p)] {
				shared = append(shared, id.ID)
				continue
			}
			g := &programs
			if i.packageName() != "" {
				g = &packaged
			}
			g.ids, g.names = append(g.ids, id.ID), append(g.names, a.Name)
			if id.Unconfirmed() {
				guessed, guessedIDs = append(guessed, fmt.Sprintf("%s (%s)", a.Name, id.ID)), append(guessedIDs, id.ID)
			}
			c.policy.Block = append(c.policy.Block, Rule{App: a.Slug, Name: a.Name, Identity: i, Act: c.act(), Unconfirmed: id.Unconfirmed()})
		}
		if rules == 0 {
			unknown = append(unknown, a.Name)
		}
	}
	slices.SortStableFunc(c.policy.Block, func(a, b Rule) int {
		return cmp.Or(cmp.Compare(a.App, b.App), compareIdentities(a.Identity, b.Identity))
	})
	c.policy.Block = slices.CompactFunc(c.policy.Block, func(a, b Rule) bool { return a.App == b.App && a.Identity == b.Identity })
	c.tellGroups(packaged, programs)
	c.remarks(unknown, shared, guessed, guessedIDs)
}

// act is what the agent does about blocked programs here.
func (c *compiler) act() Act {
	switch {
	case c.personal:
		return Report
	case c.is(ward.MacOS):
		return End
	}
	return Prevent
}

// groups says what is promised for packaged apps of Windows, and for all others.
func (c *compiler) groups() (packaged, programs group) {
	packaged = group{
		subject: "packaged", verdict: intent.Enforced, mechanism: "AppLocker RuleCollection Appx",
		why: "AppLocker starts and installs none of these packaged apps. It needs Windows 10 version 2004 or later; before that, the Enterprise edition.",
	}
	programs = group{verdict: intent.Partly}
	switch c.p {
	case ward.Windows:
		programs.mechanism = "AppLocker RuleCollection Exe"
		programs.why = "AppLocker knows these programs by the names of their files, so a renamed one starts."
		programs.cure = "Let only listed apps run."
		if c.w.Block.AllowOnly {
			programs.why = "AppLocker knows these programs by the names of their files. A renamed one starts only for an administrator, or where an administrator put it."
			programs.cure = "Give nobody the rights of an administrator who does not need them."
		}
	case ward.Linux:
		programs.mechanism = "fanotify FAN_OPEN_EXEC_PERM"
		programs.why = "Ward's agent keeps ordinary users from starting these programs, as packages, Flatpaks, snaps or files of these names. Root can undo it, and a renamed or copied program may start."
		programs.cure = "Give nobody the rights of an administrator who does not need them."
	default:
		programs.mechanism = "Ward's agent"
		programs.why = "Ward's agent ends these apps when it sees them; they may open for a moment. From macOS 27 the Mac's own management prevents apps whose signer is known."
		programs.cure = "Enrol the Mac in device management too."
	}
	if c.personal {
		for _, g := range []*group{&packaged, &programs} {
			g.verdict, g.mechanism, g.cure = intent.DetectOnly, "Ward's agent", giveWorkComputer
			g.why = leftAlone + " Ward asks this one about these apps only, never for all its apps, and reports them."
		}
	}
	return packaged, programs
}

func (c *compiler) tellGroups(groups ...group) {
	for _, g := range groups {
		if len(g.ids) == 0 {
			continue
		}
		c.told(intent.Outcome{
			ID: intent.BlockApps, Subject: g.subject, Intent: "Block " + intent.List(unique(g.names)), Verdict: g.verdict,
			Mechanism: g.mechanism, Why: g.why, Cure: g.cure, Covers: intent.Sorted(g.ids),
		})
	}
}

func (c *compiler) remarks(unknown, shared, guessed, guessedIDs []string) {
	if len(guessed) > 0 {
		c.told(intent.Outcome{
			ID: intent.BlockApps, Subject: "unconfirmed", Intent: "Block apps whose name on " + c.system() + " is unconfirmed", Verdict: intent.Partly, Covers: intent.Sorted(guessedIDs),
			Why:  "These names stand in unconfirmed lists only, so the block may miss its app or meet another one: " + strings.Join(guessed, ", ") + ".",
			Cure: "Try them on one computer.",
		})
	}
	if len(unknown) > 0 {
		c.told(intent.Outcome{
			ID: intent.BlockApps, Subject: "unknown", Intent: "Block " + intent.List(unknown), Verdict: intent.NotEnforced,
			Why: "No program for " + c.system() + " is known for " + strings.Join(unknown, ", ") + ", so there is nothing to look for.",
		})
	}
	if len(shared) > 0 {
		c.told(intent.Outcome{
			ID: intent.BlockApps, Subject: "approved", Intent: "Block programs that approved apps use too", Verdict: intent.NotEnforced, Covers: intent.Sorted(shared),
			Why: "These programs belong to approved apps too, and stay.",
		})
	}
}

// allowOnly lets nothing run but what is listed, which only Windows can.
func (c *compiler) allowOnly() {
	if !c.w.Block.AllowOnly {
		return
	}
	o := intent.Outcome{ID: intent.AllowOnly, Intent: "Let only listed apps run", Verdict: intent.NotEnforced}
	switch {
	case c.personal:
		o.Why, o.Cure = leftAlone, giveWorkComputer
	case c.is(ward.Windows):
		c.policy.Mode = AllowList
		o.Verdict, o.Mechanism = intent.Partly, "AppLocker RuleCollection Exe and Appx"
		o.Why = "Nothing starts but what Windows brings, what an administrator installed for all, and listed apps, which are known by name. Administrators may start anything that is not blocked."
		o.Cure = "Give nobody the rights of an administrator who does not need them."
		o.Covers = c.allow()
	default:
		o.Why = "Ward's agent on " + c.system() + " knows only what is blocked by name; it does not stop all other programs."
		if c.is(ward.MacOS) {
			o.Cure = "Enrol the Mac in device management too: from macOS 27 it has lists of allowed apps."
		}
	}
	c.told(o)
}

// allow fills in what may run, and returns the identifiers of the policy's own list.
func (c *compiler) allow() []string {
	var covers []string
	seen := map[Identity]bool{}
	put := func(i Identity) {
		if i != (Identity{}) && !seen[i.key(c.p)] {
			seen[i.key(c.p)] = true
			c.policy.Allow = append(c.policy.Allow, i)
		}
	}
	for _, r := range c.policy.Block {
		seen[r.Identity.key(c.p)] = true // listed as allowed too: the block holds
	}
	for _, id := range c.w.Block.Allow[c.p] {
		if i := identity(c.p, id); i != (Identity{}) && !seen[i.key(c.p)] {
			put(i)
			covers = append(covers, id)
		}
	}
	for _, a := range c.w.Apps {
		for _, i := range approved(c.p, a) {
			put(i)
		}
	}
	slices.SortFunc(c.policy.Allow, compareIdentities)
	return intent.Sorted(covers)
}
