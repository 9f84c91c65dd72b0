package api

import (
	"context"
	"strconv"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/policy"
)

// Drift is one thing that was found otherwise than the policy wants.
type Drift struct {
	ID      int64         `json:"id"`
	Device  ward.DeviceID `json:"device"`
	Kind    string        `json:"kind" doc:"profile, declaration, app, blocked-app, passcode, encryption, os or app-version."`
	Subject string        `json:"subject,omitempty" doc:"An identifier, or an app's short name."`
	Found   time.Time     `json:"found"`
	Righted *time.Time    `json:"righted,omitempty" doc:"Left out while it is so."`
}

type driftInput struct {
	Paging
	Device string `query:"device" maxLength:"200" doc:"Only of this device: id, serial number, UDID or exact name."`
	Kind   string `query:"kind" maxLength:"40"`
	Open   bool   `query:"open" doc:"Only what was not put right yet."`
}

func (s *server) listDrift(ctx context.Context, in *driftInput) (*reply[List[Drift]], error) {
	before, err := number(in.After)
	if err != nil {
		return nil, err
	}
	f := policy.DriftFilter{Kind: in.Kind, Open: in.Open, Before: before, Limit: in.Limit}
	if in.Device != "" {
		d, err := s.Posture.Find(ctx, in.Device)
		if err != nil {
			return nil, err
		}
		f.Device = d.ID
	}
	ds, err := s.Policies.Drifted(ctx, f)
	if err != nil {
		return nil, err
	}
	return answer(page(ds, in.Limit, func(d policy.Drift) string { return strconv.FormatInt(d.Seq, 10) }, func(d policy.Drift) Drift {
		return Drift{ID: d.Seq, Device: d.Device, Kind: d.Kind, Subject: d.Subject, Found: d.Found.UTC(), Righted: when(d.Righted)}
	})), nil
}

// DriftCounts counts what drifted.
type DriftCounts struct {
	Items []DriftCount `json:"items" nullable:"false"`
}

// DriftCount counts the drift of one kind.
type DriftCount struct {
	Kind    string `json:"kind"`
	Open    int    `json:"open" doc:"Not put right yet."`
	Devices int    `json:"devices" doc:"On how many devices that is."`
	Found   int    `json:"found" doc:"In the last 30 days."`
	Righted int    `json:"righted" doc:"Of those."`
}

func (s *server) countDrift(ctx context.Context, _ *noInput) (*reply[DriftCounts], error) {
	cs, err := s.Policies.DriftCounts(ctx)
	if err != nil {
		return nil, err
	}
	return answer(DriftCounts{Items: shapes(cs, func(c policy.DriftCount) DriftCount { return DriftCount(c) })}), nil
}
