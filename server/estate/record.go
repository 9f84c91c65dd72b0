package estate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/reconcile"
)

// stale is how much older than the newest the kept time of the oldest fact may be: it moves
// with every answer of the device, and is no reason to write each time.
const stale = 6 * time.Hour

// Record judges a device that the loop has planned and keeps its posture, within the unit of
// work in ctx. It returns when the posture changes by the mere passing of time, zero for
// never. Nothing is written where nothing changed.
func (s *Service) Record(ctx context.Context, v reconcile.View) (time.Time, error) {
	now := s.Now()
	a := compliance.Assess(v, now)
	if err := s.keep(ctx, Of(v, a, now), v.Enrolment.ID, now); err != nil {
		return time.Time{}, fmt.Errorf("record posture: %w", err)
	}
	return Next(v, a, now), nil
}

// keep writes a posture down if it differs from the one before, or if it is due: then what
// the device is called may have changed, and whoever keeps a copy has to read it anew.
func (s *Service) keep(ctx context.Context, is Device, e ward.EnrolmentID, now time.Time) error {
	kept, err := s.Store.Posture(ctx, is.ID)
	if err != nil {
		return err
	}
	var was *Device
	var before ward.EnrolmentID
	if kept.Body != "" {
		d, id, err := decode(is.ID, kept.Body)
		if err != nil {
			return err
		}
		was, before = &d, id
	}
	is.follow(was, now)
	changed := was == nil || !same(was, &is)
	if changed {
		text, err := encode(&is, e, false)
		if err != nil {
			return err
		}
		if err := s.Store.AddChange(ctx, is.ID, now, text); err != nil {
			return err
		}
		if err := s.settleSpans(ctx, was, is, now); err != nil {
			return err
		}
		if s.Changed != nil {
			if err := s.Changed(ctx, was, is); err != nil {
				return err
			}
		}
	}
	if kept.Due {
		if err := s.Store.Judged(ctx, is.ID); err != nil {
			return err
		}
	}
	if !changed && !kept.Due && e == before && is.Told.Before(was.Told.Add(stale)) {
		return nil
	}
	text, err := encode(&is, e, true)
	if err != nil {
		return err
	}
	return s.Store.SavePosture(ctx, is.ID, now, text)
}

// same reports whether two postures of a device are one. When it was heard from, the times
// of its facts and the wording of findings make no other posture.
func same(a, b *Device) bool {
	return a.Site == b.Site && a.Group == b.Group && a.Platform == b.Platform && a.OSVersion == b.OSVersion && a.Ownership == b.Ownership &&
		a.Supervised == b.Supervised && a.Managed == b.Managed && a.State == b.State && slices.Equal(a.Apps, b.Apps) && slices.Equal(a.Approved, b.Approved) &&
		a.Enrolled.Equal(b.Enrolled) && slices.EqualFunc(inOrder(a.Findings), inOrder(b.Findings), func(x, y Finding) bool {
		return x.State == y.State && x.Code == y.Code && x.Subject == y.Subject && x.Until.Truncate(time.Microsecond).Equal(y.Until.Truncate(time.Microsecond))
	})
}

// inOrder returns findings in an order that does not depend on how they were found.
func inOrder(all []Finding) []Finding {
	return slices.SortedFunc(slices.Values(all), func(x, y Finding) int {
		return strings.Compare(string(x.State)+"\x00"+x.Code+"\x00"+x.Subject, string(y.State)+"\x00"+y.Code+"\x00"+y.Subject)
	})
}

// CatchUp judges up to limit devices of which something changed since they were judged, each
// in a unit of work of its own, and returns how many. One that fails does not keep the others
// waiting.
func (s *Service) CatchUp(ctx context.Context, limit int) (int, error) {
	ctx = ward.Unbounded(ctx) // whoever looks: a device beyond their scope is judged, not gone
	ids, err := s.Store.Due(ctx, limit)
	if err != nil {
		return 0, fmt.Errorf("devices to judge: %w", err)
	}
	var errs []error
	for _, id := range ids {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if err := s.catchUp(ctx, id); err != nil {
			errs = append(errs, fmt.Errorf("judge device %s: %w", id, err))
			errs = append(errs, s.Store.Postpone(ctx, id, s.Now()))
		}
	}
	return len(ids), errors.Join(errs...)
}

// catchUp judges one device, if nobody has since it became due.
func (s *Service) catchUp(ctx context.Context, id ward.DeviceID) error {
	return s.Store.Do(ctx, func(ctx context.Context) error {
		now := s.Now()
		err := s.Store.Hold(ctx, id)
		if ward.KindOf(err) == ward.NotFound {
			return s.drop(ctx, id, now)
		}
		if err != nil {
			return err
		}
		kept, err := s.Store.Posture(ctx, id)
		if err != nil || !kept.Due {
			return err
		}
		v, a, err := s.Assess(ctx, id)
		if ward.KindOf(err) == ward.NotFound {
			return s.drop(ctx, id, now)
		}
		if err != nil {
			return err
		}
		return s.keep(ctx, Of(v, a, now), v.Enrolment.ID, now)
	})
}

// drop keeps that a device was deleted: it leaves the present, its past stays.
func (s *Service) drop(ctx context.Context, id ward.DeviceID, now time.Time) error {
	kept, err := s.Store.Posture(ctx, id)
	if err != nil {
		return err
	}
	if err := s.Store.Judged(ctx, id); err != nil || kept.Body == "" {
		return err
	}
	was, _, err := decode(id, kept.Body)
	if err != nil {
		return err
	}
	if err := s.settleSpans(ctx, &was, Device{ID: id, State: compliance.Retired}, now); err != nil {
		return err
	}
	if err := s.Store.AddChange(ctx, id, now, ""); err != nil {
		return err
	}
	return s.Store.SavePosture(ctx, id, now, "")
}
