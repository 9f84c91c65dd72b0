package api

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/policy"
)

// Policy is one version of the policy with all that it says.
type Policy struct {
	PolicyVersion
	Text    string            `json:"text" doc:"The file as it was sent."`
	Files   map[string][]byte `json:"files,omitempty" doc:"The files that it names, by their names there."`
	Digest  string            `json:"digest" doc:"SHA-256 over all that an approver decides on."`
	Summary Summary           `json:"summary"`
}

// PolicyVersion is one version of the policy as lists show it.
type PolicyVersion struct {
	Generation   int64         `json:"generation" doc:"Counts the versions."`
	State        policy.State  `json:"state" enum:"proposed,rolling,stopped,current,superseded,withdrawn"`
	Note         string        `json:"note,omitempty" doc:"What is new, as the file says."`
	Reason       string        `json:"reason,omitempty" doc:"Why it was published."`
	Rings        *Rings        `json:"rings,omitempty" doc:"Left out: every device at once."`
	Base         int64         `json:"base" doc:"The generation that was in force when it was made; 0 for none."`
	Devices      int           `json:"devices" doc:"Enrolled when it was made."`
	Changed      int           `json:"changed" doc:"Of them, those for which something would change, at once or when an exception begins or ends."`
	Together     int           `json:"together" doc:"Those, and the ones for which something was changed without a second person in the 24 hours before."`
	Published    time.Time     `json:"published" doc:"When it was made."`
	PublishedBy  ward.PersonID `json:"published_by,omitempty"`
	Author       string        `json:"author,omitempty" doc:"Name of who made it."`
	ApprovedBy   ward.PersonID `json:"approved_by,omitempty" doc:"The second person; left out where none was needed."`
	ApproverName string        `json:"approver,omitempty"`
	Approved     *time.Time    `json:"approved,omitempty"`
	Ended        *time.Time    `json:"ended,omitempty" doc:"When it was superseded or withdrawn."`
	EndReason    string        `json:"end_reason,omitempty"`
	Told         []string      `json:"told,omitempty" doc:"What who published it should know of its rings; only in the answer to publishing."`
}

// Rings says how a version reaches the fleet.
type Rings struct {
	Canary  []string `json:"canary" nullable:"false" doc:"Groups of devices that are the first ring."`
	Percent []int    `json:"percent" nullable:"false" doc:"How many of a hundred of the other devices have it once each further ring is open."`
	Pause   int64    `json:"pause_seconds" doc:"How long a ring is watched before the next one opens."`
	StopAt  float64  `json:"stop_at" doc:"The share of devices in open rings at which failures stop it."`
}

func versionOf(v policy.Version) PolicyVersion {
	out := PolicyVersion{
		Generation: v.Generation, State: v.State, Note: v.Note, Reason: v.Reason, Base: v.Base, Devices: v.Devices, Changed: v.Changed, Together: v.Together,
		Published: v.Published.UTC(), PublishedBy: v.PublishedBy, Author: v.AuthorName, ApprovedBy: v.Approver, ApproverName: v.ApproverName,
		Approved: when(v.Approved), Ended: when(v.Ended), EndReason: v.EndReason, Told: v.Told,
	}
	if !v.Rings.AtOnce() {
		out.Rings = &Rings{Canary: notNil(v.Rings.Canary), Percent: v.Rings.Percent, Pause: int64(v.Rings.Pause / time.Second), StopAt: v.Rings.StopAt}
	}
	return out
}

// Summary is what a policy says.
type Summary struct {
	Name        string     `json:"name"`
	Note        string     `json:"note,omitempty"`
	Approved    []Approved `json:"approved" nullable:"false"`
	Blocked     []Blocked  `json:"blocked" nullable:"false"`
	Excepted    []string   `json:"excepted" nullable:"false" doc:"Names of apps that are not blocked though their kind is."`
	Containment []string   `json:"containment" nullable:"false" doc:"What is switched on, in words."`
	Notice      string     `json:"notice,omitempty" doc:"The words staff see."`
	Warnings    []string   `json:"warnings" nullable:"false"`
	Text        string     `json:"text" doc:"All of it, for a terminal."`
}

// Approved is an app of the register.
type Approved struct {
	Name      string    `json:"name"`
	BundleID  string    `json:"bundle_id"`
	Purpose   string    `json:"purpose"`
	Owner     string    `json:"owner"`
	DPIA      string    `json:"dpia"`
	Retention string    `json:"retention"`
	ReviewBy  time.Time `json:"review_by"`
	Overdue   bool      `json:"overdue"`
	Required  bool      `json:"required"`
}

// Blocked is an app that is kept off.
type Blocked struct {
	Slug      string   `json:"slug"`
	Name      string   `json:"name"`
	Category  string   `json:"category"`
	BundleIDs []string `json:"bundle_ids" nullable:"false"`
}

func summaryOf(p *profiles.Policy, now time.Time) Summary {
	s := p.Summary(now)
	return Summary{
		Name: s.Name, Note: s.Note, Excepted: notNil(s.Excepted), Containment: notNil(s.Containment), Notice: s.Notice, Warnings: notNil(s.Warnings), Text: s.String(),
		Approved: shapes(s.Approved, func(a profiles.ApprovedLine) Approved {
			return Approved{Name: a.Name, BundleID: a.BundleID, Purpose: a.Purpose, Owner: a.Owner, DPIA: a.DPIA, Retention: a.Retention, ReviewBy: a.ReviewBy.UTC(), Overdue: a.Overdue, Required: a.Required}
		}),
		Blocked: shapes(s.Blocked, func(b profiles.BlockedLine) Blocked {
			return Blocked{Slug: b.Slug, Name: b.Name, Category: b.Category, BundleIDs: notNil(b.BundleIDs)}
		}),
	}
}

func notNil(all []string) []string {
	if all == nil {
		return []string{}
	}
	return all
}

type noInput struct{}

func (s *server) showPolicy(ctx context.Context, _ *noInput) (*reply[Policy], error) {
	v, err := s.Policies.Published(ctx)
	if err != nil {
		return nil, err
	}
	return s.policyAnswer(v)
}

func (s *server) policyAnswer(v policy.Version) (*reply[Policy], error) {
	digest, err := v.Digest()
	if err != nil {
		return nil, err
	}
	out := Policy{PolicyVersion: versionOf(v), Text: v.Text, Files: v.Files, Digest: digest}
	p, err := v.Read()
	switch {
	case err == nil:
		out.Summary = summaryOf(p, s.Now())
	case v.State == policy.Current:
		return nil, ward.Errorf(ward.Internal, "The published policy can't be read.").Because(err)
	default:
		out.Summary = Summary{Approved: []Approved{}, Blocked: []Blocked{}, Excepted: []string{}, Containment: []string{}, Warnings: []string{"This version of Ward can't read it any more."}}
	}
	return answer(out), nil
}

func (s *server) publishPolicy(ctx context.Context, in *policyInput) (*reply[Policy], error) {
	d, err := in.draft()
	if err != nil {
		return nil, err
	}
	v, err := s.Policies.Submit(ctx, d)
	if err != nil {
		return nil, err
	}
	return s.policyAnswer(v)
}

// Preview says what publishing a policy would come to.
type Preview struct {
	Summary Summary       `json:"summary"`
	Devices int           `json:"devices" doc:"How many devices are looked at: those that are enrolled."`
	Changed int           `json:"changed" doc:"On how many of them something would change."`
	Lines   []PreviewLine `json:"lines" nullable:"false" doc:"One for each kind of device in the fleet."`
}

// PreviewLine says what a policy comes to on the devices that are alike.
type PreviewLine struct {
	Class   string  `json:"class"`
	Devices int     `json:"devices"`
	Limits  []Limit `json:"limits" nullable:"false" doc:"What is enforced there, and what can't be and why."`
}

// validatePolicy reads a policy and says what it would come to. It changes nothing.
func (s *server) validatePolicy(ctx context.Context, in *policyInput) (*reply[Preview], error) {
	p, err := s.plan(ctx, in)
	if err != nil {
		return nil, err
	}
	return answer(Preview{
		Summary: summaryOf(p.Policy, s.Now()), Devices: p.Devices, Changed: p.Changed,
		Lines: shapes(p.Kinds, func(k policy.KindPlan) PreviewLine {
			return PreviewLine{Class: k.Kind, Devices: k.Devices, Limits: shapes(k.Limits, limitOf)}
		}),
	}), nil
}
