package api

import (
	"context"
	"strconv"

	"github.com/wardmdm/ward/server/policy"
)

type listVersionsInput struct{ Paging }

func (s *server) listVersions(ctx context.Context, in *listVersionsInput) (*reply[List[PolicyVersion]], error) {
	before, err := number(in.After)
	if err != nil {
		return nil, err
	}
	vs, err := s.Policies.Versions(ctx, before, in.Limit)
	if err != nil {
		return nil, err
	}
	return answer(page(vs, in.Limit, func(v policy.Version) string { return strconv.FormatInt(v.Generation, 10) }, versionOf)), nil
}

// VersionPath names a version in a path.
type VersionPath struct {
	Generation int64 `path:"generation" minimum:"1"`
}

func (s *server) showVersion(ctx context.Context, in *VersionPath) (*reply[Policy], error) {
	v, err := s.Policies.Version(ctx, in.Generation)
	if err != nil {
		return nil, err
	}
	return s.policyAnswer(v)
}

// PolicyDiff is what changed from one version to another.
type PolicyDiff struct {
	From    int64    `json:"from" doc:"0: no policy."`
	To      int64    `json:"to"`
	Words   []string `json:"words" nullable:"false" doc:"What it means, a sentence each."`
	Unified string   `json:"unified" doc:"Of the text and the files, as diff -u has it."`
}

type diffInput struct {
	VersionPath
	From int64 `query:"from" minimum:"0" doc:"The version to compare with; left out: the one that was in force when this one was made."`
}

func (s *server) diffPolicy(ctx context.Context, in *diffInput) (*reply[PolicyDiff], error) {
	d, err := s.Policies.Diff(ctx, in.From, in.Generation)
	if err != nil {
		return nil, err
	}
	return answer(PolicyDiff{From: d.From, To: d.To, Words: notNil(d.Words), Unified: d.Unified}), nil
}

type approvePolicyInput struct {
	VersionPath
	Body struct {
		Digest string `json:"digest" doc:"Of the proposal that was shown."`
	} `nameHint:"PolicyApproval"`
}

func (s *server) approvePolicy(ctx context.Context, in *approvePolicyInput) (*reply[Policy], error) {
	v, err := s.Policies.Approve(ctx, in.Generation, in.Body.Digest)
	if err != nil {
		return nil, err
	}
	return s.policyAnswer(v)
}

// Because is a deed's reason.
type Because struct {
	Reason string `json:"reason" doc:"Why, for the record."`
}

type withdrawPolicyInput struct {
	VersionPath
	Body Because
}

func (s *server) withdrawPolicy(ctx context.Context, in *withdrawPolicyInput) (*reply[PolicyVersion], error) {
	v, err := s.Policies.Withdraw(ctx, in.Generation, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return answer(versionOf(v)), nil
}

type rollbackInput struct {
	Body struct {
		Because
		Generation int64 `json:"generation,omitempty" minimum:"0" doc:"The version to go back to; left out: the one before."`
	} `nameHint:"PolicyRollback"`
}

func (s *server) rollBack(ctx context.Context, in *rollbackInput) (*reply[PolicyVersion], error) {
	v, err := s.Policies.Rollback(ctx, in.Body.Generation, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return answer(versionOf(v)), nil
}
