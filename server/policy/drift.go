package policy

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
)

// Drift is one thing on a device that was found otherwise than the policy wants: a
// profile removed, an app come back, a setting changed.
type Drift struct {
	Seq     int64 // counts what was found
	Device  ward.DeviceID
	Kind    string // such as profile, declaration or blocked-app
	Subject string // what of it; may be empty
	Found   time.Time
	Righted time.Time // zero while it is so
}

// DriftFilter selects drift; empty fields select all.
type DriftFilter struct {
	Device ward.DeviceID
	Kind   string
	Open   bool  // only what was not put right yet
	Before int64 // the Seq of the last of the page before; 0: the newest
	Limit  int
}

// DriftCount counts the drift of one kind.
type DriftCount struct {
	Kind    string
	Open    int // not put right yet
	Devices int // on which it is so
	Found   int // since the time asked for
	Righted int // of those
}

// Drifts keeps what drifted.
type Drifts interface {
	// DriftList returns drift, the newest first.
	DriftList(ctx context.Context, f DriftFilter) ([]Drift, error)
	// DriftCounts counts drift by kind: what is open, and what was found from a time on.
	DriftCounts(ctx context.Context, since time.Time) ([]DriftCount, error)
}

// driftDays is how far back drift is counted.
const driftDays = 30

// Drifted returns what drifted, the newest first.
func (s *Service) Drifted(ctx context.Context, f DriftFilter) ([]Drift, error) {
	f.Limit = min(max(f.Limit, 1), 500)
	return s.store.DriftList(ctx, f)
}

// DriftCounts counts what drifted by kind: what is open, and what was found in the last
// 30 days.
func (s *Service) DriftCounts(ctx context.Context) ([]DriftCount, error) {
	return s.store.DriftCounts(ctx, s.now().AddDate(0, 0, -driftDays))
}
