package policy

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/unit"
)

// Rollout is where the rollout of a version stands.
type Rollout struct {
	Generation int64
	Ring       int       // the newest open ring, from 0
	Started    time.Time // when the first ring opened
	Opened     time.Time // when the newest ring opened, or the rollout was resumed
	Stopped    time.Time // zero while it goes on
	Finished   time.Time // zero until it ended, in whichever way
	Failed     int       // devices that had failed when it stopped
	Reason     string    // why it stopped
}

// Rollouts keeps rollouts.
type Rollouts interface {
	Rollout(ctx context.Context, generation int64) (Rollout, error)
	// SetRollout keeps a rollout in place of what was kept of it before.
	SetRollout(ctx context.Context, r Rollout) error
}

// Advance takes the rollout that is under way one step on, if it is time for one: it
// stops it where failures are too many, opens the next ring, or ends it. A ring opens
// when the pause is over and every device of the open rings that was heard from since
// has the version; one that lags holds the others up for one more pause at most. It is
// to be called again and again, by any copy of the server, outside a unit of work.
func (s *Service) Advance(ctx context.Context, now time.Time) error {
	v, r, err := s.underWay(ctx)
	if ward.KindOf(err) == ward.NotFound || err == nil && v.State != Rolling {
		return nil
	}
	if err != nil {
		return err
	}
	f, err := s.InForce(ctx)
	if err != nil || f.next == nil || f.next.version.Generation != v.Generation {
		return err // it ended meanwhile
	}
	p, err := s.progress(ctx, f)
	if err != nil {
		return fmt.Errorf("progress of policy %d: %w", v.Generation, err)
	}
	total := p.open()
	switch {
	case p.fails():
		why := fmt.Sprintf("%d of %d devices failed", total.Failed, total.Devices)
		return s.step(ctx, r, func(ctx context.Context, v Version, r Rollout) error {
			return s.halt(ctx, v, r, now, total.Failed, why)
		})
	case now.Before(r.Opened.Add(v.Rings.Pause)), total.Lagging > 0 && now.Before(r.Opened.Add(2*v.Rings.Pause)):
		return nil
	}
	return s.step(ctx, r, func(ctx context.Context, v Version, r Rollout) error { return s.open(ctx, v, r, now) })
}

// underWay returns the version that is rolling or stopped with its rollout, NotFound if
// there is none.
func (s *Service) underWay(ctx context.Context) (Version, Rollout, error) {
	vs, err := s.store.Standing(ctx)
	if err != nil {
		return Version{}, Rollout{}, err
	}
	i := slices.IndexFunc(vs, func(v Version) bool { return v.State != Current })
	if i < 0 {
		return Version{}, Rollout{}, ward.Errorf(ward.NotFound, "No policy is being rolled out.")
	}
	r, err := s.store.Rollout(ctx, vs[i].Generation)
	return vs[i], r, err
}

// step does something about a rollout unless it has gone on since it was looked at.
func (s *Service) step(ctx context.Context, seen Rollout, fn func(ctx context.Context, v Version, r Rollout) error) error {
	return s.deed(ctx, func(ctx context.Context) error {
		v, r, err := s.underWay(ctx)
		if ward.KindOf(err) == ward.NotFound {
			return nil
		}
		if err != nil || v.State != Rolling || r != seen {
			return err
		}
		return fn(ctx, v, r)
	})
}

// open opens the next ring, or ends the rollout where there is none left.
func (s *Service) open(ctx context.Context, v Version, r Rollout, now time.Time) error {
	last := r.Ring+1 >= v.Rings.Count()
	if !last {
		r.Ring++
		r.Opened = now.UTC().Truncate(time.Microsecond)
		if err := s.store.SetRollout(ctx, r); err != nil {
			return err
		}
		unit.AfterCommit(ctx, s.after)
		if err := s.moved(ctx, true); err != nil {
			return err
		}
		return s.record(ctx, ActionOpened, v.Generation, map[string]string{"ring": v.Rings.Name(r.Ring)})
	}
	standing, err := s.store.Standing(ctx)
	if err != nil {
		return err
	}
	for _, old := range standing {
		if old.State == Current {
			if err := s.end(ctx, old, Superseded, ""); err != nil {
				return err
			}
		}
	}
	r.Finished = now.UTC().Truncate(time.Microsecond)
	if err := s.store.SetRollout(ctx, r); err != nil {
		return err
	}
	v.State = Current
	if err := s.turn(ctx, v, Rolling); err != nil {
		return err
	}
	if err := s.moved(ctx, false); err != nil { // every device has it already
		return err
	}
	return s.record(ctx, ActionPublished, v.Generation, v.detail(nil))
}

// halt stops a rollout: the open rings keep what they have.
func (s *Service) halt(ctx context.Context, v Version, r Rollout, now time.Time, failed int, why string) error {
	r.Stopped, r.Failed, r.Reason = now.UTC().Truncate(time.Microsecond), failed, why
	if err := s.store.SetRollout(ctx, r); err != nil {
		return err
	}
	v.State = Stopped
	if err := s.turn(ctx, v, Rolling); err != nil {
		return err
	}
	if err := s.moved(ctx, false); err != nil {
		return err
	}
	return s.record(ctx, ActionStopped, v.Generation, map[string]string{"reason": why, "failed": strconv.Itoa(failed)})
}

// Stop stops the rollout that is under way: no further ring opens until it is resumed,
// and the open ones keep what they have. A reason is needed.
func (s *Service) Stop(ctx context.Context, reason string) (Version, error) {
	reason, err := reasoned(reason)
	if err != nil {
		return Version{}, err
	}
	return s.change(ctx, func(ctx context.Context, v Version, r Rollout) error {
		if v.State == Stopped {
			return ward.Errorf(ward.Conflict, "The rollout of generation %d is stopped already: %s.", v.Generation, r.Reason)
		}
		return s.halt(ctx, v, r, s.now(), 0, reason)
	})
}

// Resume lets a stopped rollout go on: its newest ring is watched for another pause.
// Failures that stand stop it again.
func (s *Service) Resume(ctx context.Context) (Version, error) {
	return s.change(ctx, func(ctx context.Context, v Version, r Rollout) error {
		if v.State != Stopped {
			return ward.Errorf(ward.Conflict, "The rollout of generation %d is not stopped.", v.Generation)
		}
		r.Stopped, r.Failed, r.Reason, r.Opened = time.Time{}, 0, "", s.now().UTC().Truncate(time.Microsecond)
		if err := s.store.SetRollout(ctx, r); err != nil {
			return err
		}
		v.State = Rolling
		if err := s.turn(ctx, v, Stopped); err != nil {
			return err
		}
		if err := s.moved(ctx, false); err != nil {
			return err
		}
		return s.record(ctx, ActionResumed, v.Generation, map[string]string{"ring": v.Rings.Name(r.Ring)})
	})
}

// change runs a person's deed on the rollout under way, and returns its version as it
// is then.
func (s *Service) change(ctx context.Context, fn func(ctx context.Context, v Version, r Rollout) error) (v Version, err error) {
	err = s.deed(ctx, func(ctx context.Context) error {
		var r Rollout
		if v, r, err = s.underWay(ctx); err != nil {
			return err
		}
		if err = fn(ctx, v, r); err != nil {
			return err
		}
		v, err = s.store.Version(ctx, v.Generation)
		return err
	})
	return v, err
}
