package lost

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/wardmdm/ward"
)

// Locations keeps where lost devices were.
type Locations interface {
	// AddLocation keeps a location. It reports false if it has one of that time.
	AddLocation(ctx context.Context, id ward.CaseID, l Location) (bool, error)
	// LastLocation returns the newest location by the device's own time.
	LastLocation(ctx context.Context, id ward.CaseID) (Location, error)
	// DeleteLocations deletes those that were received before t and says how many.
	DeleteLocations(ctx context.Context, before time.Time) (int, error)
}

// SetLocation keeps what a lost device answered, within the unit of work in ctx. A
// location that comes when the case is no longer open is dropped, for then nobody
// may know it; a repeated one changes nothing. Invalid means that the device told
// something that is no place.
func (s *Service) SetLocation(ctx context.Context, id ward.CaseID, l Location) error {
	if err := l.check(); err != nil {
		return err
	}
	if l.Received.IsZero() {
		l.Received = s.Now()
	}
	return s.Store.Do(ctx, func(ctx context.Context) error {
		c, err := s.Store.Case(ctx, id)
		if err != nil {
			return err
		}
		if c.State != Open {
			return s.Audit.Record(ctx, ActionLocationDropped, string(id), map[string]string{"device": string(c.Device)})
		}
		added, err := s.Store.AddLocation(ctx, id, l)
		if err != nil {
			return fmt.Errorf("location of case %s: %w", id, err)
		}
		if !added {
			return nil
		}
		if err := s.note(ctx, id, EventLocated, "The device told where it is"); err != nil {
			return err
		}
		return s.Audit.Record(ctx, ActionLocated, string(id), map[string]string{"device": string(c.Device)})
	})
}

func (l Location) check() error {
	bad := func(v, limit float64) bool { return math.IsNaN(v) || math.Abs(v) > limit }
	if bad(l.Lat, 90) || bad(l.Lon, 180) || bad(l.Accuracy, math.MaxFloat64) || l.At.IsZero() {
		return ward.Errorf(ward.Invalid, "The device did not tell a place and a time.")
	}
	return nil
}

// ViewLocation returns the last location of a case to a person. Each look is audited,
// before it is answered. NotFound means that none is kept.
func (s *Service) ViewLocation(ctx context.Context, id ward.CaseID) (l Location, err error) {
	if who := ward.ActorFrom(ctx); who.Person == "" {
		return l, ward.Errorf(ward.Forbidden, "Only a person who has signed in can see where a device is.")
	}
	err = s.Store.Do(ctx, func(ctx context.Context) error {
		c, err := s.Store.Case(ctx, id)
		if err != nil {
			return err
		}
		if l, err = s.Store.LastLocation(ctx, id); err != nil {
			return err
		}
		if err := s.note(ctx, id, EventLooked, "The location was looked at"); err != nil {
			return err
		}
		return s.Audit.Record(ctx, ActionLocationViewed, string(id), map[string]string{"device": string(c.Device), "received": l.Received.Format(time.RFC3339)})
	})
	if err != nil {
		return Location{}, err
	}
	return l, nil
}

// PurgeLocations deletes the locations received before t, as the retention says, and
// returns how many.
func (s *Service) PurgeLocations(ctx context.Context, before time.Time) (n int, err error) {
	err = s.Store.Do(ctx, func(ctx context.Context) error {
		if n, err = s.Store.DeleteLocations(ctx, before); err != nil || n == 0 {
			return err
		}
		return s.Audit.Record(ctx, ActionLocationsDeleted, "", map[string]string{"before": before.UTC().Format(time.RFC3339), "deleted": strconv.Itoa(n)})
	})
	return n, err
}
