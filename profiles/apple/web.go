package apple

import (
	"fmt"
	"slices"

	"github.com/wardmdm/ward/profiles/intent"
)

// mostURLs is how many addresses Apple's own filter takes: "about 500" by Apple's
// description of DenyListURLs.
const mostURLs = 500

const networkCure = "Block these addresses on the organisation's network or proxy."

// needFilter is what Apple's own web filter asks. Without supervision a filter is only
// for managed apps and needs an app that filters, which Ward does not have.
func needFilter() need { return need{supervised: true, noUser: true} }

// blockWeb keeps web versions from opening in browsers.
func (c *compiler) blockWeb() {
	hosts := c.w.Block.Web
	if len(hosts) == 0 {
		c.openWeb()
		return
	}
	o := intent.Outcome{ID: intent.BlockWeb, Intent: "Block the web versions of these apps", Covers: slices.Clone(hosts)}
	if !c.d.ios() {
		o.Verdict = intent.NotEnforced
		o.Why = intent.List(hosts) + " can still be opened on this Mac: a Mac filters the web only with a filter app, which Ward does not have."
		o.Cure = networkCure
		c.tell(o)
		return
	}
	switch r := c.d.lacks(needFilter()); r {
	case takes:
		c.filter(o)
		return
	case unknownOS:
		o.Verdict = intent.Impossible
		o.Why, o.Cure = c.d.refusal(r, needFilter())
	case needsNewerOS:
		o.Verdict = intent.Impossible
		o.Why, o.Cure = c.d.refusal(r, needFilter())
	default:
		o.Verdict = intent.NotEnforced
		o.Why = intent.List(hosts) + " can still be opened in the phone's browser: Apple filters the web on supervised iPhones; elsewhere only in managed apps and by a filter app, which Ward does not have."
		o.Cure = networkCure
	}
	c.tell(o)
}

// filter makes the profile with Apple's own web filter. Apple matches the beginning of
// an address with its scheme, so that each host is listed with both.
func (c *compiler) filter(o intent.Outcome) {
	o.Verdict = intent.Enforced
	if most := mostURLs / 2; len(o.Covers) > most {
		o.Verdict, o.Covers = intent.Partly, o.Covers[:most]
		o.Why = fmt.Sprintf("Apple's filter takes about %d addresses, so %s of the list stay open.", mostURLs, count(len(c.w.Block.Web)-most, "host"))
		o.Cure = networkCure
	}
	var urls []any
	for _, h := range o.Covers {
		urls = append(urls, "http://"+h, "https://"+h)
	}
	key := "DenyListURLs"
	if !c.d.OS.AtLeast(ver(14, 5)) {
		key = "BlacklistedURLs"
	}
	c.drafts = append(c.drafts, draft{
		id: c.profileID("web"), name: "Ward: Web filter", description: c.w.Notice,
		payloads: []payload{{Type: typeWebFilter, Name: "Web filter", Keys: map[string]any{
			"FilterType": "BuiltIn", "AutoFilterEnabled": false, key: urls,
		}}},
	})
	o.Mechanism = typeWebFilter + " " + key
	c.tell(o)
}

// openWeb says that web versions stay open where the policy does not ask for more.
func (c *compiler) openWeb() {
	var hosts []string
	for _, a := range c.w.Block.Apps {
		for _, h := range a.Web {
			if !h.Shared && !slices.Contains(hosts, h.ID) {
				hosts = append(hosts, h.ID)
			}
		}
	}
	if len(hosts) == 0 {
		return
	}
	c.tell(intent.Outcome{
		ID: intent.BlockWeb, Intent: "Block the web versions of these apps", Verdict: intent.NotEnforced, Covers: hosts,
		Why:  fmt.Sprintf("%s can still be opened in the %s's browser: the policy blocks apps, not web pages.", intent.List(hosts), c.d.one()),
		Cure: networkCure,
	})
}
