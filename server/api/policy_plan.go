package api

import (
	"context"
	"time"

	"github.com/wardmdm/ward/server/policy"
)

// PolicyPlan is what publishing a policy would change on the enrolled devices.
type PolicyPlan struct {
	Summary      Summary    `json:"summary"`
	Base         int64      `json:"base" doc:"The generation that is compared with; 0: none is in force."`
	Devices      int        `json:"devices" doc:"How many devices are enrolled."`
	Changed      int        `json:"changed" doc:"For how many of them something would change, at once or later."`
	Together     int        `json:"together" doc:"Those, and the ones for which something was changed without a second person in the last 24 hours. It decides whether a second person is needed."`
	Later        []Later    `json:"later" nullable:"false" doc:"Of those that change, the ones that do so only when an exception begins or ends."`
	SecondPerson bool       `json:"second_person" doc:"Whether a second person would have to approve it."`
	Kinds        []KindPlan `json:"kinds" nullable:"false" doc:"By kind of device, those that change first."`
	Vanish       []AppCount `json:"vanish" nullable:"false" doc:"Apps that devices have and would keep from running from then on."`
	Breach       []AppCount `json:"breach" nullable:"false" doc:"Blocked apps on devices that can't keep them from running, which would comply no longer."`
	Breaching    int        `json:"breaching" doc:"Devices that would comply no longer, for such an app or for their system's version."`
	OldSystem    int        `json:"old_system" doc:"Of them, those whose system is older than the policy would ask for."`
	Warnings     []string   `json:"warnings" nullable:"false"`
}

// Later says for how many devices more something would change from a time on.
type Later struct {
	At      time.Time `json:"at"`
	Devices int       `json:"devices"`
}

// KindPlan is what would change for devices that are alike.
type KindPlan struct {
	Kind    string   `json:"kind" doc:"In words."`
	Devices int      `json:"devices"`
	Changes []Change `json:"changes" nullable:"false" doc:"Empty where nothing changes."`
	Limits  []Limit  `json:"limits" nullable:"false" doc:"What is enforced there then, and what can't be and why."`
}

// Change is one thing that would be otherwise.
type Change struct {
	How  string `json:"how" enum:"added,removed,changed"`
	What string `json:"what" enum:"profile,declaration,app,setting"`
	Name string `json:"name"`
}

// AppCount says on how many devices an app is.
type AppCount struct {
	Slug    string `json:"slug"`
	Name    string `json:"name"`
	Devices int    `json:"devices"`
}

func (s *server) plan(ctx context.Context, in *policyInput) (policy.Plan, error) {
	d, err := in.draft()
	if err != nil {
		return policy.Plan{}, err
	}
	return s.Policies.Plan(ctx, d.Text, d.Files)
}

// planPolicy says what a policy would change. It changes nothing.
func (s *server) planPolicy(ctx context.Context, in *policyInput) (*reply[PolicyPlan], error) {
	p, err := s.plan(ctx, in)
	if err != nil {
		return nil, err
	}
	count := func(a policy.AppCount) AppCount { return AppCount(a) }
	return answer(PolicyPlan{
		Summary: summaryOf(p.Policy, s.Now()), Base: p.Base, Devices: p.Devices, Changed: p.Changed, Together: p.Together, SecondPerson: p.SecondPerson,
		Later: shapes(p.Later, func(l policy.Later) Later { return Later{At: l.At.UTC(), Devices: l.Devices} }),
		Kinds: shapes(p.Kinds, func(k policy.KindPlan) KindPlan {
			return KindPlan{Kind: k.Kind, Devices: k.Devices, Changes: shapes(k.Changes, func(c policy.Change) Change { return Change(c) }), Limits: shapes(k.Limits, limitOf)}
		}),
		Vanish: shapes(p.Vanish, count), Breach: shapes(p.Breach, count), Breaching: p.Breaching, OldSystem: p.OldSystem, Warnings: notNil(p.Warnings),
	}), nil
}
