package estate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/reconcile"
)

// Options are the parts of a service. All are needed but Overlap.
type Options struct {
	Store Store
	// Assess says what is wanted and known of a device, and what that comes to. It joins the
	// unit of work in ctx; a device that is not there is NotFound.
	Assess func(ctx context.Context, id ward.DeviceID) (reconcile.View, compliance.Assessment, error)
	// Overlap is how long a unit of work may take whose posture gets its number before it is
	// committed; zero where numbers become visible in their order.
	Overlap time.Duration
	Now     func() time.Time
	// Changed is told of each posture that differs from the one before, in the unit of work
	// that records it; was is nil for a device that is new. Nil is told of none.
	Changed func(ctx context.Context, was *Device, is Device) error
}

// Service keeps and tells the posture of every device. Its methods may be called by several
// goroutines.
type Service struct {
	Options
	gate    chan struct{} // held by who reads or changes the index
	index   index
	watched watched
	frames  frames
	memo    *memo // of the present; used inside the gate
}

// New returns a service.
func New(o Options) (*Service, error) {
	if o.Store == nil || o.Assess == nil || o.Now == nil {
		return nil, errors.New("estate: Store, Assess and Now are needed")
	}
	return &Service{Options: o, gate: make(chan struct{}, 1)}, nil
}

// atOnce is how many devices of which something changed are judged before the present is
// shown: what one person just did is among them.
const atOnce = 50

// wholeEvery is how often everything is read anew, in case something was missed.
const wholeEvery = 10 * time.Minute

// Current returns the present. It takes in what changed since it was last asked, so that
// whoever changed something sees it.
func (s *Service) Current(ctx context.Context) (*Snapshot, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	_, _ = s.CatchUp(ctx, atOnce) // what fails is tried again by Follow, which reports it; the rest is shown
	if err := s.take(ctx, false); err != nil {
		return nil, err
	}
	s.memo = remember(s.memo, s.index.list)
	return &Snapshot{At: s.Now(), Now: true, Devices: s.index.list, entries: s.index.order, memo: s.memo}, nil
}

func (s *Service) enter(ctx context.Context) error {
	select {
	case s.gate <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Service) leave() { <-s.gate }

// take brings the index up to date. Whoever calls it is inside the gate.
func (s *Service) take(ctx context.Context, whole bool) error {
	changed, err := s.refresh(ctx, whole)
	if err != nil {
		return err
	}
	if now := s.Now(); now.Sub(s.index.seenAt) >= 2*seenEvery { // nobody follows
		all, err := s.contacts(ctx)
		if err != nil {
			return err
		}
		s.heard(all, now)
		changed = true
	} else if s.late() {
		changed = true
	}
	if changed {
		s.watched.stir()
	}
	return nil
}

// Follow judges what is due, keeps the index up to date and tells watchers. The server does
// it every second; several copies of it share the work.
func (s *Service) Follow(ctx context.Context) error {
	var errs []error
	for range 20 {
		n, err := s.CatchUp(ctx, 100)
		errs = append(errs, err)
		if n < 100 || err != nil || ctx.Err() != nil {
			break
		}
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	now := s.Now()
	due := s.index.by != nil && now.Sub(s.index.seenAt) >= seenEvery
	s.leave()
	var all []contact
	if due { // read while others look at the index
		var err error
		all, err = s.contacts(ctx)
		errs, due = append(errs, err), err == nil
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if due && s.index.by != nil {
		s.heard(all, now)
		s.watched.stir()
	}
	errs = append(errs, s.take(ctx, s.Overlap > 0 && s.index.by != nil && s.Now().Sub(s.index.wholly) >= wholeEvery))
	s.watched.tell(s.Now())
	return errors.Join(errs...)
}

// Device returns one device as it is now, or NotFound.
func (s *Service) Device(ctx context.Context, id ward.DeviceID) (*Device, error) {
	if _, err := s.Current(ctx); err != nil {
		return nil, err
	}
	return s.known(ctx, id)
}

// known returns a device of the index.
func (s *Service) known(ctx context.Context, id ward.DeviceID) (*Device, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	e := s.index.by[id]
	if e == nil {
		return nil, ward.Errorf(ward.NotFound, "There is no device %s.", id)
	}
	return &e.Device, nil
}

// Changes returns up to limit changes of one device, the newest first, those before the
// sequence number given; 0 begins with the newest. A change whose Device.State is empty tells
// that the device was deleted.
func (s *Service) Changes(ctx context.Context, id ward.DeviceID, before int64, limit int) ([]Change, error) {
	kept, err := s.Store.Changes(ctx, id, before, limit)
	if err != nil {
		return nil, fmt.Errorf("changes of %s: %w", id, err)
	}
	now, err := s.Device(ctx, id)
	if err != nil && ward.KindOf(err) != ward.NotFound {
		return nil, err
	}
	out := make([]Change, len(kept))
	for i, k := range kept {
		out[i] = Change{Seq: k.Seq, At: k.At, Device: Device{ID: id}}
		if k.Body != "" {
			if out[i].Device, _, err = decode(id, k.Body); err != nil {
				return nil, err
			}
		}
		out[i].Device.called(now)
	}
	return out, nil
}

// called gives a device of the past the names of now; nil leaves it without.
func (d *Device) called(now *Device) {
	if now != nil {
		d.Name, d.Serial, d.Owner, d.Email, d.Model, d.Role = now.Name, now.Serial, now.Owner, now.Email, now.Model, now.Role
	}
}
