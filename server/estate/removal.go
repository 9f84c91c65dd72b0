package estate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/wardmdm/ward"
)

// Standing is how many spans stand, of one value of a dimension.
type Standing struct {
	Value  string
	Count  int
	Oldest time.Time // when the longest of them began
}

// Went is how many spans ended one way, of one value of a dimension, and how long they took.
type Went struct {
	Value    string
	Count    int
	P50, P95 time.Duration
}

// Removals tells how long blocked apps stayed in a span of time: of one app by its slug, or
// of all for "", by each value of a dimension, or for Everything under "".
//
// An app counts as removed only where the device told that it is gone; one on a device that
// fell silent, was lost or left management is not known to be. Percentiles are by the
// nearest rank: the shortest stay that at least so many per cent of them did not exceed. What
// went may be told as of up to a minute before to.
func (s *Service) Removals(ctx context.Context, app string, by Dimension, from, to time.Time) (map[string]Removal, error) {
	if by != Everything && !slices.Contains([]Dimension{BySite, ByGroup, ByPlatform, ByOwner, ByApp}, by) {
		return nil, ward.Errorf(ward.Invalid, "Removals are told by site, group, platform, ownership or app, not by %q.", by)
	}
	if !from.Before(to) {
		return nil, ward.Errorf(ward.Invalid, "from: it has to be before to.")
	}
	went, known := s.frames.told(app, by, from, to)
	if !known {
		var err error
		if went, err = s.Store.Went(ctx, codeBlocked, app, by, Cured, from, to); err != nil {
			return nil, fmt.Errorf("removals: %w", err)
		}
		s.frames.tell(wentBefore{app, by, from, to, went})
	}
	there, err := s.Store.Standing(ctx, codeBlocked, app, by, to)
	if err != nil {
		return nil, fmt.Errorf("removals: %w", err)
	}
	out := make(map[string]Removal, len(went)+len(there))
	for _, w := range went {
		out[w.Value] = Removal{Removed: w.Count, P50: w.P50, P95: w.P95}
	}
	for _, t := range there {
		r := out[t.Value]
		r.Present, r.Oldest = t.Count, t.Oldest
		out[t.Value] = r
	}
	if by == Everything && len(out) == 0 {
		out[""] = Removal{}
	}
	return out, nil
}
