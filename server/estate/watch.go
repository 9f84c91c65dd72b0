package estate

import (
	"context"
	"sync"
	"time"
)

// tellEvery is how often watchers are told at most.
const tellEvery = time.Second

// watched are those who wait for changes.
type watched struct {
	mu      sync.Mutex
	all     map[chan struct{}]struct{}
	stirred bool
	told    time.Time
}

// Watch returns a channel that is sent to after something changed, at most once a second,
// until ctx ends. It is sent to by Follow; whoever is slow to receive is told once of all
// that changed meanwhile.
func (s *Service) Watch(ctx context.Context) <-chan struct{} {
	c := make(chan struct{}, 1)
	w := &s.watched
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = map[chan struct{}]struct{}{}
	}
	w.all[c] = struct{}{}
	context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.all, c)
	})
	return c
}

// stir notes that something changed.
func (w *watched) stir() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stirred = true
}

// tell tells everybody, if something changed and they were not told just now.
func (w *watched) tell(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stirred || now.Sub(w.told) < tellEvery {
		return
	}
	w.stirred, w.told = false, now
	for c := range w.all {
		select {
		case c <- struct{}{}:
		default: // it is told already and has not looked yet
		}
	}
}
