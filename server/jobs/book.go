package jobs

import (
	"context"
	"errors"
	"sync"
	"time"
)

// State is how a job has fared in this process.
type State struct {
	Name    string
	Every   time.Duration
	Started time.Time     // the last time; zero if never
	Ended   time.Time     // of the last time that ended
	Good    time.Time     // when it last ended without an error; zero if never
	Took    time.Duration // the last time
	Failed  int           // how many times in a row it failed
	Err     error         // of the last time; nil if it went well
}

// Running reports whether the job is at work.
func (s State) Running() bool { return s.Started.After(s.Ended) }

// Book keeps how jobs fare, in memory. Its methods may be called by several goroutines.
type Book struct {
	now   func() time.Time
	mu    sync.Mutex
	since time.Time
	order []string
	state map[string]*State
}

// NewBook returns an empty book.
func NewBook(now func() time.Time) *Book {
	return &Book{now: now, since: now(), state: map[string]*State{}}
}

// Watch returns the jobs, each of which notes in the book how it fares.
func (b *Book) Watch(all []Job) []Job {
	out := make([]Job, len(all))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.since = b.now()
	for i, j := range all {
		st, known := b.state[j.Name]
		if !known {
			st = &State{Name: j.Name}
			b.state[j.Name], b.order = st, append(b.order, j.Name)
		}
		st.Every = j.Every
		do := j.Do
		j.Do = func(ctx context.Context) error { return b.run(ctx, st, do) }
		out[i] = j
	}
	return out
}

// errPanicked is the error of a job that did not come back.
var errPanicked = errors.New("it broke off: the log has the fault")

// run does a job and notes it. A stop is no failure.
func (b *Book) run(ctx context.Context, st *State, do func(ctx context.Context) error) (err error) {
	began := b.now()
	b.mu.Lock()
	st.Started = began
	b.mu.Unlock()
	err = errPanicked
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		st.Ended = b.now()
		st.Took = st.Ended.Sub(began)
		switch {
		case err == nil:
			st.Good, st.Err, st.Failed = st.Ended, nil, 0
		case ctx.Err() == nil:
			st.Err = err
			st.Failed++
		}
	}()
	err = do(ctx)
	return err
}

// States returns how each job fares, in the order in which they were watched, and since when
// they are.
func (b *Book) States() (since time.Time, out []State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out = make([]State, 0, len(b.order))
	for _, name := range b.order {
		out = append(out, *b.state[name])
	}
	return b.since, out
}
