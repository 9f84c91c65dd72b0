package api

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/intent"
)

// PolicyExplanation says what the policy comes to on one device, and where each setting
// came from.
type PolicyExplanation struct {
	Device     ward.DeviceID `json:"device,omitempty"`
	Generation int64         `json:"generation,omitempty" doc:"The version that holds for it."`
	Kind       string        `json:"kind" doc:"What kind of device it is, in words."`
	Limits     []Limit       `json:"limits" nullable:"false" doc:"What is enforced, and what can't be and why."`
	Exceptions []Exception   `json:"exceptions" nullable:"false" doc:"Those in force for it."`
	Origins    []Origin      `json:"origins" nullable:"false" doc:"Which line of which file gave each setting."`
	Notice     string        `json:"notice,omitempty"`
}

// Exception is the written approval of an app for some circumstances.
type Exception struct {
	ID       string    `json:"id"`
	App      string    `json:"app"`
	Reason   string    `json:"reason"`
	Who      string    `json:"who"`
	Approver string    `json:"approver"`
	Expires  time.Time `json:"expires" doc:"The last day."`
	Review   string    `json:"review,omitempty"`
}

// Origin is where one setting came from.
type Origin struct {
	Path   string `json:"path" doc:"Such as containment.no_backup."`
	Value  string `json:"value" doc:"In words."`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty" doc:"From 1; left out for Ward's own default."`
	Layer  string `json:"layer" doc:"Baseline, policy, group or exception."`
	Source string `json:"source,omitempty" doc:"What a baseline's rule rests on."`
}

func (s *server) explainDevice(ctx context.Context, in *DevicePath) (*reply[PolicyExplanation], error) {
	d, err := s.Posture.Show(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	p, generation, err := s.Policies.For(ctx, d.Device)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, ward.Errorf(ward.NotFound, "No policy holds for %s yet.", named(d.Device))
	}
	x := p.Explain(profiles.Subject{
		Device: d.Device, Supervised: d.Supervised, Rights: d.Enrolment.Rights, Kind: d.Enrolment.Kind, OSVersion: d.Device.OSVersion,
	}, s.Now())
	out := ExplanationOf(x)
	out.Device, out.Generation = d.Device.ID, generation
	return answer(out), nil
}

// ExplanationOf is an explanation in the API's shape, without a device and a generation.
func ExplanationOf(x profiles.Explanation) PolicyExplanation {
	return PolicyExplanation{
		Kind: x.Class.String(), Limits: shapes(x.Limits, limitOf), Notice: x.Notice,
		Exceptions: shapes(x.Excepted, func(e intent.Exception) Exception {
			return Exception{ID: e.ID, App: e.AppName, Reason: e.Reason, Who: e.Who, Approver: e.Approver, Expires: e.Expires.UTC(), Review: e.Review}
		}),
		Origins: shapes(x.Origins, func(o intent.Origin) Origin { return Origin(o) }),
	}
}
