package estate

import (
	"context"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
)

// patience is how long after a midnight its frame is made at the earliest: what was being
// written down then is there by then.
const patience = time.Minute

// Midnight keeps a frame and the days of every midnight that has passed since it was last
// called, also if that is long ago. Several copies of the server may call it.
func (s *Service) Midnight(ctx context.Context) error {
	now := s.Now().UTC()
	_, last, err := s.Store.Frames(ctx, now)
	if err != nil {
		return fmt.Errorf("midnight: %w", err)
	}
	at := last.Add(length)
	if last.IsZero() {
		first, err := s.Store.FirstChange(ctx)
		if err != nil {
			return fmt.Errorf("midnight: %w", err)
		}
		if first.IsZero() {
			return nil
		}
		at = first.UTC().Truncate(length).Add(length)
	}
	for ; !at.Add(patience).After(now); at = at.Add(length) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.midnight(ctx, at); err != nil {
			return fmt.Errorf("midnight of %s: %w", at.Format(time.DateOnly), err)
		}
	}
	return nil
}

func (s *Service) midnight(ctx context.Context, at time.Time) error {
	present, err := s.Current(ctx)
	if err != nil {
		return err
	}
	all, err := s.stood(ctx, at)
	if err != nil {
		return err
	}
	heard := make(map[ward.DeviceID]time.Time, len(present.Devices))
	for _, d := range present.Devices {
		heard[d.ID] = d.LastSeen
	}
	ds := make([]*Device, len(all))
	for i := range all {
		ds[i] = &all[i].Device
		ds[i].heard(heard[ds[i].ID], at, s.Now())
	}
	f, err := newFrame(ds)
	if err != nil {
		return err
	}
	body, err := f.pack()
	if err != nil {
		return err
	}
	_, err = s.Store.SaveMidnight(ctx, at, body, daysOf(ds, at))
	return err
}

// soon is how long after a midnight a device that was heard from since counts as heard from
// at that midnight.
const soon = time.Hour

// heard says when a device was heard from last as of a midnight, by when that was as of now.
// A change tells of it only when there was one: without this a device on which nothing ever
// changes would seem silent. One that was heard from since the midnight was heard from before
// it too, and the record does not say when.
func (d *Device) heard(last, at, now time.Time) {
	switch {
	case !d.Managed:
	case !last.After(at):
		if last.After(d.LastSeen) {
			d.LastSeen = last
		}
	case now.Sub(at) <= soon:
		d.LastSeen = at
	}
	d.LastSeen = whole(d.LastSeen)
}

// Forget deletes what is known of the past before a time, but for the days, which count and
// name no device. It begins with a midnight, so that the rest can still be told.
func (s *Service) Forget(ctx context.Context, before time.Time) (deleted int, err error) {
	_, at, err := s.Store.Frames(ctx, before)
	if err != nil || at.IsZero() {
		return 0, err
	}
	const some = 5000
	for {
		n, err := s.Store.Forget(ctx, at, some)
		deleted += n
		if err != nil || n == 0 || ctx.Err() != nil {
			return deleted, err
		}
	}
}
