// Package jobs runs what the server does by itself: push to devices, plan those that
// are due, sequence the audit log, tidy up. All leases stand in the database, so that
// several copies of the server share the work.
package jobs

import (
	"context"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// Job is something done again and again.
type Job struct {
	Name  string
	Every time.Duration   // at the latest
	Wake  <-chan struct{} // does it before; nil for no other reason than time
	// Settle is how long to wait after a Wake, so that what comes close together is done
	// together.
	Settle time.Duration
	Do     func(ctx context.Context) error
}

// Run runs every job, each in its own goroutine and never twice at once, until ctx
// ends; then each job runs once more within grace, so that nothing is left in memory.
// A job that fails is logged and done again.
func Run(ctx context.Context, l *zap.Logger, grace time.Duration, jobs ...Job) error {
	var g errgroup.Group
	for _, j := range jobs {
		g.Go(func() error {
			j.loop(ctx, l)
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
			defer cancel()
			j.once(last, l)
			return nil
		})
	}
	return g.Wait()
}

func (j Job) loop(ctx context.Context, l *zap.Logger) {
	t := time.NewTicker(j.Every)
	defer t.Stop()
	for {
		j.once(ctx, l)
		select {
		case <-t.C:
		case <-j.Wake:
			if !settle(ctx, j.Settle) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// settle waits for d; it reports false if ctx ends first.
func settle(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// once does the job. A fault of the program's own in one job must not end the server,
// which other devices need: it is logged as an error, with its stack.
func (j Job) once(ctx context.Context, l *zap.Logger) {
	defer func() {
		if fault := recover(); fault != nil {
			l.Error("job panicked", zap.String("job", j.Name), zap.Any("fault", fault), zap.Stack("stack"))
		}
	}()
	if err := j.Do(ctx); err != nil && ctx.Err() == nil {
		l.Error("job failed", zap.String("job", j.Name), zap.Error(err))
	}
}
