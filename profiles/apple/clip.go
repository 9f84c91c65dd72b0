package apple

import (
	"github.com/wardmdm/ward/profiles/intent"
)

// webClip is the payload of a link on the home screen; on a Mac it is in the Dock.
// Source: mdm/profiles/com.apple.webClip.managed.yaml.
func (c *compiler) webClip(id, label, url string, icon []byte) payload {
	keys := map[string]any{"Label": label, "URL": url}
	if c.d.ios() {
		keys["IsRemovable"] = false
	}
	if len(icon) > 0 {
		keys["Icon"] = icon
	}
	return payload{Type: typeWebClip, ID: id, Name: label, Keys: keys}
}

// clipOutcome says whether the target takes links at all.
func (c *compiler) clipOutcome(o intent.Outcome) (intent.Outcome, bool) {
	if !c.d.ios() && !c.d.UserChannel {
		o.Verdict = intent.NotEnforced
		o.Why = "A Mac takes links on the channel of the person who is signed in, not on its own."
		return o, false
	}
	if r := c.d.lacks(need{}); r != takes {
		o.Verdict = intent.Impossible
		o.Why, o.Cure = c.d.refusal(r, need{})
		return o, false
	}
	o.Verdict, o.Mechanism = intent.Enforced, typeWebClip
	return o, true
}

// webClips puts the policy's links on the home screen, all in one profile.
func (c *compiler) webClips() {
	var payloads []payload
	for _, w := range c.w.WebClips {
		o, ok := c.clipOutcome(intent.Outcome{ID: intent.WebClips, Subject: w.Label, Intent: "Show the link " + w.Label})
		if ok {
			id := c.unique("clip-"+slug(w.Label+" "+w.URL), 60)
			payloads = append(payloads, c.webClip(id, w.Label, w.URL, w.Icon))
		}
		c.tell(o)
	}
	if len(payloads) > 0 {
		c.drafts = append(c.drafts, draft{id: c.profileID("web-clips"), name: "Ward: Links", payloads: payloads})
	}
}

// staffPage puts a link to the page for staff on the home screen.
func (c *compiler) staffPage() {
	if c.w.StaffPage == "" {
		return
	}
	o, ok := c.clipOutcome(intent.Outcome{ID: intent.StaffPage, Intent: "Show the link to the page for staff"})
	if ok {
		c.drafts = append(c.drafts, draft{
			id: c.profileID("staff-page"), name: "Ward: Page for staff",
			payloads: []payload{c.webClip("staff-page", "Ward", c.w.StaffPage, nil)},
		})
	}
	c.tell(o)
}
