package estate

import (
	"context"
	"errors"
	"time"
)

// errUnbuilt marks what is being built.
var errUnbuilt = errors.New("estate: not built")

// At returns what was known of every device at a past time, with the names of now. A time
// to come, and one before the first record, is a *ward.Error of kind Invalid.
func (s *Service) At(ctx context.Context, t time.Time) (*Snapshot, error) { return nil, errUnbuilt }

// Trend returns a Day for each of the last days before today that is recorded, the oldest
// first.
func (s *Service) Trend(ctx context.Context, c Cut, days int) ([]Day, error) { return nil, errUnbuilt }

// Removals tells how long blocked apps stayed in a span of time: of one app by its slug, or
// of all for "", by each value of a dimension, or for Everything under "".
func (s *Service) Removals(ctx context.Context, app string, by Dimension, from, to time.Time) (map[string]Removal, error) {
	return nil, errUnbuilt
}

// Recorded returns the first moment of which anything is known, zero before there is one.
func (s *Service) Recorded(ctx context.Context) (time.Time, error) { return time.Time{}, errUnbuilt }
