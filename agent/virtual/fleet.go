package virtual

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/wardmdm/ward/agent"
)

// Fleet is many phones in one process.
type Fleet struct {
	mu      sync.Mutex
	phones  []*Phone
	cancels []context.CancelFunc // of the phones that are on
	errs    []error
	running sync.WaitGroup
}

// NewFleet makes a phone of each of options. Keys for all that bring none are made ahead
// with one worker per processor.
func NewFleet(ctx context.Context, options []Options) (*Fleet, error) {
	need := 0
	for _, o := range options {
		if o.Keys == nil {
			need++
		}
	}
	pool, err := agent.NewKeyPool(ctx, need, runtime.GOMAXPROCS(0))
	if err != nil {
		return nil, fmt.Errorf("new fleet: %w", err)
	}
	f := &Fleet{}
	for _, o := range options {
		if o.Keys == nil {
			o.Keys = pool.Key
		}
		p, err := New(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("new fleet: %w", err)
		}
		f.phones = append(f.phones, p)
	}
	return f, nil
}

// Phones returns the phones in the order of their options. Replace changes the slice of
// later calls, not of earlier ones.
func (f *Fleet) Phones() []*Phone {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*Phone(nil), f.phones...)
}

// Each calls fn for every phone, at most limit at a time, and returns the first error.
func (f *Fleet) Each(ctx context.Context, limit int, fn func(ctx context.Context, i int, p *Phone) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(limit, 1))
	for i, p := range f.Phones() {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return fn(ctx, i, p)
		})
	}
	return g.Wait()
}

// Start switches on every phone that is enrolled. They run until Stop or until ctx ends.
// Phones that enrol later are switched on with Run.
func (f *Fleet) Start(ctx context.Context) {
	for _, p := range f.Phones() {
		if p.Enrolled() {
			f.Run(ctx, p)
		}
	}
}

// Run switches one phone on until Stop or until ctx ends. A phone must not run twice. One
// that was erased and comes back by itself takes its own place and runs on.
func (f *Fleet) Run(ctx context.Context, p *Phone) {
	ctx, cancel := context.WithCancel(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cancels = append(f.cancels, cancel)
	f.running.Go(func() {
		defer cancel()
		if err := f.live(ctx, p); err != nil {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.errs = append(f.errs, fmt.Errorf("run %s: %w", p.UDID(), err))
		}
	})
}

// live runs a phone through all its lives.
func (f *Fleet) live(ctx context.Context, p *Phone) error {
	for {
		if err := p.Run(ctx); err != nil || ctx.Err() != nil || !p.returns() {
			return err
		}
		next, err := p.Return(ctx)
		if err != nil {
			return err
		}
		f.Replace(p, next)
		p = next
	}
}

// Replace puts next in the place of old, as when an erased phone was reset. It reports
// whether old was there.
func (f *Fleet) Replace(old, next *Phone) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, p := range f.phones {
		if p == old {
			f.phones = append([]*Phone(nil), f.phones...)
			f.phones[i] = next
			return true
		}
	}
	return false
}

// Stop switches all phones off, waits for them, and returns what went wrong while they
// ran. It must not be called at the same time as Run.
func (f *Fleet) Stop() error {
	f.mu.Lock()
	cancels := f.cancels
	f.cancels = nil
	f.mu.Unlock()
	for _, cancel := range cancels {
		cancel()
	}
	f.running.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	errs := f.errs
	f.errs = nil
	for _, p := range f.phones {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}
