package apple

import (
	"github.com/wardmdm/ward/profiles/intent"
)

// storeKeys close ways by which apps come beside Apple's store. It is a table, never
// changed. A way that a system does not have is not missed there.
var storeKeys = []control{
	{key: "allowEnterpriseAppTrust", need: need{noUser: true}},
	{key: "allowMarketplaceAppInstallation", need: need{since: ver(17, 4), supervised: true, noUser: true}, gap: ver(17, 4)},
	{key: "allowWebDistributionAppInstallation", need: need{since: ver(17, 5), supervised: true, noUser: true}, gap: ver(17, 5)},
}

// blockStores closes other app stores, installation from the web and apps of unknown
// developers.
func (c *compiler) blockStores() {
	if !c.w.Block.Stores {
		return
	}
	o := intent.Outcome{ID: intent.BlockStores, Intent: "No apps from other stores, the web or files", Verdict: intent.Enforced}
	if !c.d.ios() {
		c.macStores(o)
		return
	}
	var set []control
	var out []left
	for _, row := range storeKeys {
		switch r := c.d.lacks(row.need); {
		case c.d.OS.Known() && row.gap.Known() && !c.d.OS.AtLeast(row.gap):
		case r != takes:
			out = append(out, left{row, r})
		default:
			c.restrictions[row.key] = false
			set = append(set, row)
		}
	}
	for i, row := range set {
		if i > 0 {
			o.Mechanism += ", "
		}
		o.Mechanism += row.mechanism()
	}
	switch {
	case len(set) == 0:
		o.Verdict = intent.Impossible
		o.Why, o.Cure = c.d.refusal(out[0].why, out[0].need)
	case len(out) > 0:
		o.Verdict = intent.Partly
		_, o.Cure = c.d.refusal(out[0].why, out[0].need)
		o.Why = "Apps of unknown developers are not trusted, but only a supervised phone can be kept from other app stores and from installation off the web."
	}
	c.tell(o)
}

// gatekeeper gathers what is asked of a Mac's judge of downloads.
type gatekeeper struct {
	noOverride bool // nobody can let through what it refuses
	storeOnly  bool // only apps of Apple's store pass
}

func (c *compiler) macStores(o intent.Outcome) {
	n := need{noUser: true, whole: true}
	if r := c.d.lacks(n); r != takes {
		o.Verdict = intent.Impossible
		o.Why, o.Cure = c.d.refusal(r, n)
		c.tell(o)
		return
	}
	c.gatekeeper.storeOnly = true
	o.Verdict, o.Mechanism = intent.Partly, typeGatekeeper+" AllowIdentifiedDevelopers"
	o.Why = "Gatekeeper lets only apps of the App Store through, but it judges downloads only: a program that comes another way still runs."
	c.tell(o)
}

func (c *compiler) gatekeeperProfile() {
	var payloads []payload
	if g := c.gatekeeper; g.noOverride || g.storeOnly {
		payloads = append(payloads, payload{Type: typeGatekeeper, ID: "gatekeeper", Name: "Gatekeeper", Keys: map[string]any{
			"EnableAssessment": true, "AllowIdentifiedDevelopers": !g.storeOnly,
		}})
		if g.noOverride {
			payloads = append(payloads, payload{Type: typeNoOverride, ID: "override", Name: "Gatekeeper", Keys: map[string]any{"DisableOverride": true}})
		}
		c.drafts = append(c.drafts, draft{id: c.profileID("gatekeeper"), name: "Ward: Gatekeeper", payloads: payloads})
	}
}
