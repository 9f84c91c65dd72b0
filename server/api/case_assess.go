package api

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/lost"
)

// Assessment is what a loss put at risk, computed from what is known, and what people
// decided on it.
type Assessment struct {
	Case      ward.CaseID   `json:"case"`
	At        time.Time     `json:"at"`
	Level     lost.Level    `json:"level" enum:"low,medium,high" doc:"As the rules suggest: a person decides."`
	Reasons   []string      `json:"reasons" nullable:"false"`
	Findings  []CaseFinding `json:"findings" nullable:"false"`
	Aware     time.Time     `json:"aware"`
	Deadline  time.Time     `json:"deadline"`
	Decisions []Decision    `json:"decisions" nullable:"false" doc:"The oldest first; the last counts."`
}

// CaseFinding is one fact that an assessment rests on.
type CaseFinding struct {
	Key   string      `json:"key"`
	Name  string      `json:"name" doc:"The question, in words."`
	Value lost.Answer `json:"value,omitempty" enum:"yes,no" doc:"Left out for what is not known."`
	At    *time.Time  `json:"at,omitempty" doc:"When it was true or happened."`
	Text  string      `json:"text" doc:"The answer in words."`
	Bad   bool        `json:"bad,omitempty" doc:"It counts against the device: also what is not known and would matter."`
}

// Decision says whether a loss must be reported to the Information Commissioner.
type Decision struct {
	Reportable bool       `json:"reportable"`
	Reasoning  string     `json:"reasoning"`
	Reference  string     `json:"reference,omitempty"`
	Link       string     `json:"link,omitempty"`
	At         time.Time  `json:"at"`
	By         Someone    `json:"by"`
	Level      lost.Level `json:"level,omitempty" enum:"low,medium,high" doc:"That the assessment suggested at that time."`
}

func caseFindingOf(f lost.Finding) CaseFinding {
	return CaseFinding{Key: f.Key, Name: f.Name, Value: f.Value, At: when(f.At), Text: f.Text, Bad: f.Bad}
}

func decisionOf(d lost.Decision) Decision {
	return Decision{
		Reportable: d.Reportable, Reasoning: d.Reasoning, Reference: d.Reference, Link: d.Link, At: d.At.UTC(), By: by(d.Person, d.Name), Level: d.Assessed.Level,
	}
}

func (s *server) assessCase(ctx context.Context, in *CasePath) (*reply[Assessment], error) {
	a, err := s.Lost.Assess(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	ds, err := s.Lost.Store.Decisions(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return answer(Assessment{
		Case: a.Case, At: a.At.UTC(), Level: a.Level, Reasons: append([]string{}, a.Reasons...), Findings: shapes(a.Findings, caseFindingOf),
		Aware: a.Aware.UTC(), Deadline: a.Deadline.UTC(), Decisions: shapes(ds, decisionOf),
	}), nil
}

type decideInput struct {
	CasePath
	Body struct {
		Reportable bool   `json:"reportable" doc:"Whether the loss must be reported to the Information Commissioner."`
		Reasoning  string `json:"reasoning" doc:"The reasons; they stand in the case file."`
		Reference  string `json:"reference,omitempty" doc:"Of the Commissioner, or of the incident."`
		Link       string `json:"link,omitempty" doc:"Into the incident system: https://…"`
	} `nameHint:"DecisionRequest"`
}

func (s *server) decideCase(ctx context.Context, in *decideInput) (*reply[Decision], error) {
	b := in.Body
	d, err := s.Lost.Decide(ctx, in.ID, lost.Decision{Reportable: b.Reportable, Reasoning: b.Reasoning, Reference: b.Reference, Link: b.Link})
	if err != nil {
		return nil, err
	}
	return answer(decisionOf(d)), nil
}

type awareInput struct {
	CasePath
	Body struct {
		At     time.Time `json:"at" doc:"When the organisation became aware of the loss."`
		Reason string    `json:"reason" doc:"Why it was another time than the report."`
	} `nameHint:"AwareRequest"`
}

// setAware sets, once, when the organisation became aware of a loss.
func (s *server) setAware(ctx context.Context, in *awareInput) (*reply[Case], error) {
	c, err := s.Lost.SetAware(ctx, in.ID, in.Body.At, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return answer(caseOf(c)), nil
}
