package estate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
	"golang.org/x/sync/errgroup"
)

// Past keeps what was. Its methods join the unit of work in ctx; bodies are opaque to it.
type Past interface {
	Spans

	// ChangesIn calls each with every change after one time and until another, in the order
	// in which they were written down.
	ChangesIn(ctx context.Context, after, until time.Time, each func(KeptChange) error) error
	// FirstChange returns when the oldest change that is kept was, zero for none.
	FirstChange(ctx context.Context) (time.Time, error)

	// Frames returns of when the oldest and the newest frame are that is not after t, zero for
	// none; Frame returns the one of a time.
	Frames(ctx context.Context, t time.Time) (oldest, newest time.Time, err error)
	Frame(ctx context.Context, at time.Time) ([]byte, error)
	// SaveMidnight keeps a frame and the days that end with it, in one unit of work. It does
	// nothing, and says so, if another copy of the server has done it.
	SaveMidnight(ctx context.Context, at time.Time, frame []byte, days map[Cut]Day) (bool, error)

	// Days returns the days of a cut from one midnight on, before another, the oldest first. Of
	// an app it returns every day that is recorded.
	Days(ctx context.Context, c Cut, from, before time.Time) ([]Day, error)

	// Went returns the spans of a finding that ended one way after a time and until another, by
	// the values of a dimension; a subject of "" means any.
	Went(ctx context.Context, code, subject string, by Dimension, how Ending, after, until time.Time) ([]Went, error)
	// Standing returns those that stood at a time.
	Standing(ctx context.Context, code, subject string, by Dimension, at time.Time) ([]Standing, error)

	// Forget deletes the frames before a time, the changes until then and the spans that ended
	// by then, up to limit of each, and returns how many rows that were.
	Forget(ctx context.Context, before time.Time, limit int) (int, error)
}

// overlap is how far before a frame changes are read again: one whose unit of work took
// long may have been kept after the frame was made, under a time before it.
const overlap = 10 * time.Minute

// Recorded returns the first moment of which anything is known, zero before there is one.
func (s *Service) Recorded(ctx context.Context) (time.Time, error) {
	first, err := s.Store.FirstChange(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("the first record: %w", err)
	}
	oldest, _, err := s.Store.Frames(ctx, s.Now())
	if err != nil {
		return time.Time{}, fmt.Errorf("the first record: %w", err)
	}
	if first.IsZero() || !oldest.IsZero() && oldest.Before(first) {
		return oldest, nil
	}
	return first, nil
}

// At returns what was known of every device at a past time, with the names of now. A time
// to come, and one before the first record, is a *ward.Error of kind Invalid.
func (s *Service) At(ctx context.Context, t time.Time) (*Snapshot, error) {
	t = t.UTC()
	if t.After(s.Now()) {
		return nil, ward.Errorf(ward.Invalid, "as_of: %s is still to come.", compliance.Stamp(t))
	}
	first, err := s.Recorded(ctx)
	if err != nil {
		return nil, err
	}
	if first.IsZero() {
		return nil, ward.Errorf(ward.Invalid, "as_of: nothing is recorded yet.")
	}
	if t.Before(first) {
		return nil, ward.Errorf(ward.Invalid, "as_of: nothing is recorded of %s; the record begins on %s.", compliance.Stamp(t), compliance.Stamp(first))
	}
	present, err := s.Current(ctx)
	if err != nil {
		return nil, err
	}
	if known := s.frames.shown(t, present); known != nil {
		return known, nil
	}
	devices, err := s.stood(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("the past at %s: %w", compliance.Stamp(t), err)
	}
	out := dress(devices, present, t)
	s.frames.show(out, present)
	return out, nil
}

// stood returns how every device stood at a time, in the order of their ids, without names:
// the newest frame before, and the changes since.
func (s *Service) stood(ctx context.Context, t time.Time) ([]entry, error) {
	_, at, err := s.Store.Frames(ctx, t)
	if err != nil {
		return nil, err
	}
	var base []entry
	var after time.Time
	var g errgroup.Group
	if !at.IsZero() {
		unpacked, err := s.frames.of(ctx, at, s.Store.Frame)
		if err != nil {
			return nil, err
		}
		after = at.Add(-overlap)
		g.Go(func() error { // while the record is asked for the changes
			f, err := unpacked()
			if err == nil {
				base, err = f.devices()
			}
			return err
		})
	}
	last := map[ward.DeviceID]KeptChange{}
	err = s.Store.ChangesIn(ctx, after, t, func(c KeptChange) error {
		last[c.Device] = c
		return nil
	})
	if err = errors.Join(err, g.Wait()); err != nil {
		return nil, err
	}
	return replay(base, last)
}

// replay lays the last changes over devices that stand in the order of their ids. A change
// without a body says that the device was deleted.
func replay(base []entry, last map[ward.DeviceID]KeptChange) ([]entry, error) {
	var more []entry
	gone := map[int]bool{}
	for id, c := range last {
		i, known := sort.Find(len(base), func(i int) int { return strings.Compare(string(id), string(base[i].ID)) })
		if c.Body == "" {
			if known {
				gone[i] = true
			}
			continue
		}
		d, _, err := decode(id, c.Body)
		if err != nil {
			return nil, err
		}
		d.plain()
		if !known {
			more = append(more, entry{Device: d})
			continue
		}
		if base[i].LastSeen.After(d.LastSeen) { // the frame asked for it at its midnight
			d.LastSeen = base[i].LastSeen
		}
		base[i].Device = d
	}
	if len(more) == 0 && len(gone) == 0 {
		return base, nil
	}
	out := make([]entry, 0, len(base)+len(more))
	for i := range base {
		if !gone[i] {
			out = append(out, base[i])
		}
	}
	out = append(out, more...)
	slices.SortFunc(out, func(a, b entry) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// Trend returns a Day for each of the last days before today that is recorded, the oldest
// first.
func (s *Service) Trend(ctx context.Context, c Cut, days int) ([]Day, error) {
	if days < 1 {
		return nil, ward.Errorf(ward.Invalid, "days: %d is not a number of days above 0.", days)
	}
	today := s.Now().UTC().Truncate(length)
	out, err := s.Store.Days(ctx, c, today.AddDate(0, 0, -days), today)
	if err != nil {
		return nil, fmt.Errorf("trend: %w", err)
	}
	return out, nil
}
