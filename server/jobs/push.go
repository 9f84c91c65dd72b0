package jobs

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/wardmdm/ward"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// Push is one push that is owed.
type Push struct {
	Enrolment ward.EnrolmentID
	Topic     string
	Token     string // hexadecimal
	Magic     string
	Attempts  int
}

// Outbox keeps the pushes that are owed.
type Outbox interface {
	Lease(ctx context.Context, t time.Time, lease time.Duration, limit int) ([]Push, error)
	Sent(ctx context.Context, id ward.EnrolmentID, again time.Time) error
	Failed(ctx context.Context, id ward.EnrolmentID, again time.Time) error
	Dead(ctx context.Context, id ward.EnrolmentID, t time.Time) error
}

// Sender sends a push. dead means that the token will never work again; after is how
// long APNs asks to wait, 0 if it does not say.
type Sender interface {
	Send(ctx context.Context, topic string, token []byte, magic string) (dead bool, after time.Duration, err error)
}

// Pusher sends the pushes that are owed with a bounded number of workers.
type Pusher struct {
	Outbox  Outbox
	Sender  Sender
	Workers int
	Now     func() time.Time
	Log     *zap.Logger
}

const (
	pushLease = time.Minute
	pushBatch = 200
	// again is how long after a push that APNs took a device with waiting commands is
	// pushed to again: it may be off, and a push is stored for it only once.
	again       = 15 * time.Minute
	failedFirst = 10 * time.Second
	failedMost  = time.Hour
)

// Do sends every push that is due.
func (p *Pusher) Do(ctx context.Context) error {
	for ctx.Err() == nil {
		due, err := p.Outbox.Lease(ctx, p.Now(), pushLease, pushBatch)
		if err != nil || len(due) == 0 {
			return err
		}
		var g errgroup.Group
		g.SetLimit(p.Workers)
		for _, d := range due {
			g.Go(func() error { return p.send(ctx, d) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
	return nil
}

func (p *Pusher) send(ctx context.Context, d Push) error {
	token, err := hex.DecodeString(d.Token)
	if err != nil {
		return p.Outbox.Dead(ctx, d.Enrolment, p.Now())
	}
	dead, after, err := p.Sender.Send(ctx, d.Topic, token, d.Magic)
	switch {
	case dead:
		p.Log.Warn("push token is dead", zap.String("enrolment", string(d.Enrolment)), zap.Error(err))
		return p.Outbox.Dead(ctx, d.Enrolment, p.Now())
	case err != nil:
		if ctx.Err() != nil {
			return nil // stopping; the lease runs out and the push is sent later
		}
		p.Log.Warn("push failed", zap.String("enrolment", string(d.Enrolment)), zap.Int("attempts", d.Attempts), zap.Error(err))
		return p.Outbox.Failed(ctx, d.Enrolment, p.Now().Add(max(after, backOff(d.Attempts))))
	}
	return p.Outbox.Sent(ctx, d.Enrolment, p.Now().Add(again<<min(d.Attempts-1, 6)))
}

// backOff doubles with each attempt.
func backOff(attempts int) time.Duration {
	return min(failedFirst<<min(max(attempts-1, 0), 10), failedMost)
}
