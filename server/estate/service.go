package estate

import (
	"context"
	"errors"
	"time"

	"github.com/wardmdm/ward"
)

// errUnbuilt marks what is being built.
var errUnbuilt = errors.New("estate: not built")

// Service keeps and tells the posture of every device.
type Service struct{}

// Current returns the present. It takes in what changed since it was last asked, so that
// whoever changed something sees it.
func (s *Service) Current(ctx context.Context) (*Snapshot, error) { return nil, errUnbuilt }

// At returns what was known of every device at a past time, with the names of now. A time
// to come, and one before the first record, is a *ward.Error of kind Invalid.
func (s *Service) At(ctx context.Context, t time.Time) (*Snapshot, error) { return nil, errUnbuilt }

// Device returns one device as it is now, or NotFound.
func (s *Service) Device(ctx context.Context, id ward.DeviceID) (*Device, error) {
	return nil, errUnbuilt
}

// Changes returns up to limit changes of one device, the newest first, those before the
// sequence number given; 0 begins with the newest.
func (s *Service) Changes(ctx context.Context, id ward.DeviceID, before int64, limit int) ([]Change, error) {
	return nil, errUnbuilt
}

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

// Watch returns a channel that is sent to after something changed, at most once a second,
// until ctx ends.
func (s *Service) Watch(ctx context.Context) <-chan struct{} { return nil }
