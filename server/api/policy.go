package api

import (
	"context"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/policy"
)

// Policy is a published policy.
type Policy struct {
	Generation  int64         `json:"generation" doc:"Counts the publications."`
	Published   time.Time     `json:"published"`
	PublishedBy ward.PersonID `json:"published_by,omitempty"`
	Text        string        `json:"text" doc:"The file as it was published."`
	Summary     Summary       `json:"summary"`
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
	p, err := profiles.Parse([]byte(v.Text))
	if err != nil {
		return nil, ward.Errorf(ward.Internal, "The published policy can't be read.").Because(err)
	}
	return answer(Policy{Generation: v.Generation, Published: v.Published.UTC(), PublishedBy: v.PublishedBy, Text: v.Text, Summary: summaryOf(p, s.Now())}), nil
}

type policyInput struct {
	RawBody []byte `contentType:"text/yaml" doc:"The policy file."`
}

func (s *server) publishPolicy(ctx context.Context, in *policyInput) (*reply[Policy], error) {
	v, err := s.Policies.Publish(ctx, in.RawBody)
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
	p, err := profiles.Parse(in.RawBody)
	if err != nil {
		return nil, err
	}
	current, _, err := s.Policies.Current(ctx)
	if err != nil {
		return nil, err
	}
	subjects, err := s.subjects(ctx)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	out := Preview{Summary: summaryOf(p, now), Devices: len(subjects)}
	for _, one := range subjects {
		if differ(profiles.Desired(one, current, now), profiles.Desired(one, p, now)) {
			out.Changed++
		}
	}
	out.Lines = shapes(profiles.Preview(p, subjects), func(l profiles.PreviewLine) PreviewLine {
		return PreviewLine{Class: l.Class.String(), Devices: l.Devices, Limits: shapes(l.Limits, limitOf)}
	})
	return answer(out), nil
}

// subjects returns every enrolled device as policies see it.
func (s *server) subjects(ctx context.Context) ([]profiles.Subject, error) {
	const batch = 500
	var all []profiles.Subject
	var after ward.DeviceID
	for {
		rows, err := s.Posture.List(ctx, after, batch)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			e := r.Enrolment
			if e.State != ward.EnrolmentActive {
				continue
			}
			all = append(all, profiles.Subject{Device: r.Device, Supervised: r.Supervised, Rights: e.Rights, Kind: e.Kind})
		}
		if len(rows) < batch {
			return all, nil
		}
		after = rows[len(rows)-1].Device.ID
	}
}

// differ reports whether one state asks for other profiles or apps than another.
func differ(a, b profiles.State) bool {
	sameProfile := func(p, q profiles.Profile) bool { return p.Identifier == q.Identifier && p.Hash == q.Hash }
	sameApp := func(p, q profiles.App) bool {
		return p.BundleID == q.BundleID && p.Hash == q.Hash && p.Remove == q.Remove
	}
	return !slices.EqualFunc(a.Profiles, b.Profiles, sameProfile) || !slices.EqualFunc(a.Apps, b.Apps, sameApp)
}
