package api

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/policy"
)

// PolicyRollout is how far the rollout of a version is.
type PolicyRollout struct {
	Version  PolicyVersion   `json:"version"`
	Started  time.Time       `json:"started"`
	Opened   time.Time       `json:"opened" doc:"When the newest ring opened, or the rollout was resumed."`
	Next     *time.Time      `json:"next,omitempty" doc:"The earliest moment at which the next ring opens, or the rollout ends; left out while it is stopped."`
	Stopped  *time.Time      `json:"stopped,omitempty"`
	Reason   string          `json:"reason,omitempty" doc:"Why it stopped."`
	Rings    []RingProgress  `json:"rings" nullable:"false"`
	Failures []PolicyFailure `json:"failures" nullable:"false" doc:"The first of them."`
}

// RingProgress is how far one ring is. In an open one each device is done, failed or
// waiting.
type RingProgress struct {
	Name    string `json:"name"`
	Open    bool   `json:"open"`
	Devices int    `json:"devices"`
	Done    int    `json:"done"`
	Failed  int    `json:"failed"`
	Waiting int    `json:"waiting"`
}

// PolicyFailure is a device on which a version failed.
type PolicyFailure struct {
	Device ward.DeviceID `json:"device"`
	Step   string        `json:"step"`
	Error  string        `json:"error,omitempty" doc:"In the device's words."`
}

func rolloutOf(p policy.Progress) PolicyRollout {
	out := PolicyRollout{
		Version: versionOf(p.Version), Started: p.Rollout.Started.UTC(), Opened: p.Rollout.Opened.UTC(), Stopped: when(p.Rollout.Stopped), Reason: p.Rollout.Reason,
		Rings: shapes(p.Rings, func(r policy.RingProgress) RingProgress {
			return RingProgress{Name: r.Name, Open: r.Open, Devices: r.Devices, Done: r.Done, Failed: r.Failed, Waiting: r.Waiting}
		}),
		Failures: shapes(p.Failures, func(f policy.Failure) PolicyFailure { return PolicyFailure(f) }),
	}
	if p.Version.State == policy.Rolling {
		out.Next = when(p.Rollout.Opened.Add(p.Version.Rings.Pause))
	}
	return out
}

func (s *server) showRollout(ctx context.Context, _ *noInput) (*reply[PolicyRollout], error) {
	p, err := s.Policies.Rollout(ctx)
	if err != nil {
		return nil, err
	}
	return answer(rolloutOf(p)), nil
}

type stopRolloutInput struct{ Body Because }

func (s *server) stopRollout(ctx context.Context, in *stopRolloutInput) (*reply[PolicyVersion], error) {
	v, err := s.Policies.Stop(ctx, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return answer(versionOf(v)), nil
}

func (s *server) resumeRollout(ctx context.Context, _ *noInput) (*reply[PolicyVersion], error) {
	v, err := s.Policies.Resume(ctx)
	if err != nil {
		return nil, err
	}
	return answer(versionOf(v)), nil
}
