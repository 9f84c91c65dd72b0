// Package policy publishes the messaging policy. Publishing commits a generation
// number and nothing else: devices are planned for it in batches and as they check
// in. What a policy means is the business of package profiles.
package policy

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/unit"
)

// Version is one published policy.
type Version struct {
	Generation  int64 // counts from 1
	Text        string
	Published   time.Time
	PublishedBy ward.PersonID
}

// Store keeps published policies.
type Store interface {
	unit.Unit
	// Generation returns the newest generation, 0 before the first.
	Generation(ctx context.Context) (int64, error)
	// Version returns one generation, NotFound if it was never published.
	Version(ctx context.Context, generation int64) (Version, error)
	// Insert publishes a version. A generation that exists is a Conflict.
	Insert(ctx context.Context, v Version) error
}

// Recorder writes the audit log in the unit of work in ctx.
type Recorder interface {
	Record(ctx context.Context, action, subject string, detail map[string]string) error
}

// Service publishes and reads policies. It may be used by several goroutines.
type Service struct {
	store Store
	audit Recorder
	now   func() time.Time
	after func() // once a policy is published

	mu     sync.Mutex
	parsed *profiles.Policy // of generation, for every planning parses none
	of     int64
}

// New returns a service. published, which may be nil, is called once a policy is
// published; it must not block.
func New(s Store, a Recorder, now func() time.Time, published func()) *Service {
	if published == nil {
		published = func() {}
	}
	return &Service{store: s, audit: a, now: now, after: published}
}

// Current returns the published policy and its generation: nil and 0 before the first.
func (s *Service) Current(ctx context.Context) (*profiles.Policy, int64, error) {
	gen, err := s.store.Generation(ctx)
	if err != nil || gen == 0 {
		return nil, 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == gen {
		return s.parsed, gen, nil
	}
	v, err := s.store.Version(ctx, gen)
	if err != nil {
		return nil, 0, err
	}
	p, err := profiles.Parse([]byte(v.Text))
	if err != nil {
		return nil, 0, fmt.Errorf("published policy %d: %w", gen, err)
	}
	s.parsed, s.of = p, gen
	return p, gen, nil
}

// Published returns the newest version with its text, NotFound before the first.
func (s *Service) Published(ctx context.Context) (Version, error) {
	gen, err := s.store.Generation(ctx)
	if err != nil {
		return Version{}, err
	}
	if gen == 0 {
		return Version{}, ward.Errorf(ward.NotFound, "No policy is published yet: ward policy publish FILE publishes one.")
	}
	return s.store.Version(ctx, gen)
}

// Publish makes text the policy. Every mistake in it is reported at once, and then
// nothing changes.
func (s *Service) Publish(ctx context.Context, text []byte) (Version, error) {
	p, err := profiles.Parse(text)
	if err != nil {
		return Version{}, err
	}
	var v Version
	err = s.store.Do(ctx, func(ctx context.Context) error {
		gen, err := s.store.Generation(ctx)
		if err != nil {
			return err
		}
		v = Version{Generation: gen + 1, Text: string(text), Published: s.now(), PublishedBy: ward.ActorFrom(ctx).Person}
		if err := s.store.Insert(ctx, v); err != nil {
			return err
		}
		unit.AfterCommit(ctx, s.after)
		return s.audit.Record(ctx, "policy.published", fmt.Sprint(v.Generation), map[string]string{"name": p.Name})
	})
	return v, err
}
