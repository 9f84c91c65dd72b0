package policy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
)

// InForce tells which version holds for which device at one moment. It is read-only and
// safe for concurrent use.
type InForce struct {
	// Epoch is another once the version of any device may be another: devices are planned
	// for an epoch.
	Epoch int64

	stamp string
	base  *edition // current; nil before the first
	next  *edition // rolling or stopped; nil for none
	rings Rings
	ring  int // the newest open one
}

// edition is a version that was read.
type edition struct {
	version Version
	policy  *profiles.Policy
}

// For returns the policy that holds for a device and its generation: that of the rollout
// for a device in an open ring, else the current one; nil and 0 before the first.
func (f *InForce) For(d ward.Device) (*profiles.Policy, int64) {
	switch {
	case f.next != nil && f.rings.Of(d) <= f.ring:
		return f.next.policy, f.next.version.Generation
	case f.base != nil:
		return f.base.policy, f.base.version.Generation
	}
	return nil, 0
}

// Current returns the policy that holds for every device that no open ring takes, and
// its generation; nil and 0 before the first.
func (f *InForce) Current() (*profiles.Policy, int64) {
	if f.base == nil {
		return nil, 0
	}
	return f.base.policy, f.base.version.Generation
}

// InForce returns what holds now. It costs one short read unless something changed.
func (s *Service) InForce(ctx context.Context) (*InForce, error) {
	epoch, stamp, err := s.store.Epoch(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	known := s.known
	s.mu.Unlock()
	// The word, not the count, tells that nothing changed: what was read within a unit of
	// work that came to nothing may not be taken for another of the same count.
	if known != nil && known.stamp == stamp && known.Epoch == epoch {
		return known, nil
	}
	f, err := s.read(ctx, epoch, stamp, known)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.known = f
	s.mu.Unlock()
	return f, nil
}

// read reads what holds. The epoch was read before, so what it finds is of that epoch
// or newer, and devices planned for it are planned again where it is newer.
func (s *Service) read(ctx context.Context, epoch int64, stamp string, known *InForce) (*InForce, error) {
	vs, err := s.store.Standing(ctx)
	if err != nil {
		return nil, err
	}
	f := &InForce{Epoch: epoch, stamp: stamp}
	for _, v := range vs {
		e, err := known.edition(v)
		if err != nil {
			return nil, err
		}
		if v.State == Current {
			f.base = e
			continue
		}
		r, err := s.store.Rollout(ctx, v.Generation)
		if err != nil {
			return nil, err
		}
		f.next, f.rings, f.ring = e, v.Rings, r.Ring
	}
	return f, nil
}

// edition parses a version, unless f holds it parsed.
func (f *InForce) edition(v Version) (*edition, error) {
	if f != nil {
		for _, e := range []*edition{f.base, f.next} {
			if e != nil && e.version.Generation == v.Generation && e.version.same(v) {
				return &edition{v, e.policy}, nil
			}
		}
	}
	p, err := v.Read()
	if err != nil {
		return nil, fmt.Errorf("published policy %d: %w", v.Generation, err)
	}
	return &edition{v, p}, nil
}

// sameVersions reports whether the same versions are in force, in whatever rings.
func (f *InForce) sameVersions(g *InForce) bool {
	generation := func(e *edition) int64 {
		if e == nil {
			return 0
		}
		return e.version.Generation
	}
	return generation(f.base) == generation(g.base) && generation(f.next) == generation(g.next)
}

func sameFiles(a, b map[string][]byte) bool { return maps.EqualFunc(a, b, slices.Equal[[]byte]) }

// For returns the policy that holds for a device now, and its generation; nil and 0
// before the first.
func (s *Service) For(ctx context.Context, d ward.Device) (*profiles.Policy, int64, error) {
	f, err := s.InForce(ctx)
	if err != nil {
		return nil, 0, err
	}
	p, generation := f.For(d)
	return p, generation, nil
}

// Epoch returns a count that grows whenever the version of any device may be another: a
// device that was planned for a lower one is to be planned again. It is 0 before the
// first publication.
func (s *Service) Epoch(ctx context.Context) (int64, error) {
	epoch, _, err := s.store.Epoch(ctx)
	return epoch, err
}

// moved notes that something changed, within the unit of work of the deed; devices says
// whether a device's version may be another.
func (s *Service) moved(ctx context.Context, devices bool) error {
	return s.store.SetEpoch(ctx, devices, strings.ToLower(randomText()))
}
