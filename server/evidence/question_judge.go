package evidence

import (
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/policy"
)

// standsBy is what the policy in force did about an app on a device.
type standsBy struct {
	words string // such as "blocked"
	why   string // a sentence; may be empty
	order int    // the best first
}

// How an app can stand.
var (
	byNone    = standsBy{"no policy was in force", "", 5}
	byNothing = standsBy{"not kept off by the policy", "", 4}
)

// judge says of devices what a policy did about an app at a time, each class once.
type judge struct {
	policy *profiles.Policy
	app    catalogue.App
	at     time.Time
	known  map[judged]standsBy
}

// judged is what devices must have in common to be judged alike.
type judged struct {
	key        string
	platform   ward.Platform
	ownership  ward.Ownership
	supervised ward.Supervision
	version    string
}

func newJudge(_ policy.Version, p *profiles.Policy, app catalogue.App, at time.Time) *judge {
	return &judge{policy: p, app: app, at: at, known: map[judged]standsBy{}}
}

func (j *judge) of(d *estate.Device) standsBy {
	if j.policy == nil {
		return byNone
	}
	w := ward.Device{ID: d.ID, Serial: d.Serial, Name: d.Name, Platform: d.Platform, Model: d.Model, OSVersion: d.OSVersion, Ownership: d.Ownership, Group: d.Group, Site: d.Site, Role: d.Role, Email: d.Email, State: ward.Managed}
	k := judged{j.policy.Key(w, j.at), d.Platform, d.Ownership, d.Supervised, d.OSVersion}
	out, ok := j.known[k]
	if !ok {
		out = j.judge(w, d.Supervised)
		j.known[k] = out
	}
	return out
}

func (j *judge) judge(w ward.Device, sup ward.Supervision) standsBy {
	settled := j.policy.Settle(w, j.at)
	for _, e := range settled.Excepted {
		if e.App == j.app.Slug {
			return standsBy{"allowed by exception " + e.ID, e.Reason, 3}
		}
	}
	block := settled.Wanted.Block
	named := slices.ContainsFunc(block.Apps, func(a catalogue.App) bool { return a.Slug == j.app.Slug })
	if !named && !block.AllowOnly {
		return byNothing
	}
	for _, o := range j.policy.Explain(profiles.Subject{Device: w, Supervised: sup}, j.at).Limits {
		if o.ID != intent.BlockApps && (o.ID != intent.AllowOnly || named) || !j.covers(o, w.Platform) {
			continue
		}
		switch o.Verdict {
		case intent.Enforced:
			return standsBy{"blocked", "", 0}
		case intent.Partly:
			return standsBy{"blocked in part", o.Why, 1}
		default:
			return standsBy{"watched for: it could not be blocked there", o.Why, 2}
		}
	}
	return standsBy{"watched for: it could not be blocked there", "", 2}
}

// covers reports whether an outcome is about the app.
func (j *judge) covers(o intent.Outcome, p ward.Platform) bool {
	if o.Subject != "" {
		return o.Subject == j.app.Slug || o.Subject == j.app.Name
	}
	return len(o.Covers) == 0 || slices.ContainsFunc(j.app.Identifiers(p), func(id catalogue.Identifier) bool { return slices.Contains(o.Covers, id.ID) })
}
