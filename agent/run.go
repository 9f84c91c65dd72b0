package agent

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// errGone ends the goroutines of Run when management ended.
var errGone = errors.New("management ended")

// Wake makes a running device check in soon. It never blocks; wishes that arrive
// together are one.
func (c *Client) Wake() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Run waits for pushes and checks in at each, until ctx ends or management does, and
// then returns nil. It returns ErrNotEnrolled if there is nothing to run. A push stream
// that breaks is opened again, and the device checks in then, since it may have missed
// a push.
func (c *Client) Run(ctx context.Context) error {
	c.mu.Lock()
	e, gone, stream := c.now, c.gone, c.push
	c.push = nil
	c.mu.Unlock()
	if e == nil {
		return ErrNotEnrolled
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.serve(ctx, gone) })
	g.Go(func() error {
		c.listen(ctx, e, stream)
		return nil
	})
	if err := g.Wait(); err != nil && !errors.Is(err, errGone) {
		return err
	}
	return nil
}

// serve checks in whenever the device is woken, and runs errands when some are due.
func (c *Client) serve(ctx context.Context, gone <-chan struct{}) error {
	for {
		do := c.CheckIn
		select {
		case <-ctx.Done():
			return nil
		case <-gone:
			return errGone
		case <-c.wake:
		case <-c.due:
			do = c.errands
		}
		_, err := backoff.Retry(ctx, func() (struct{}, error) {
			return struct{}{}, retriable(do(ctx))
		}, backoff.WithBackOff(c.pause()), backoff.WithMaxElapsedTime(0))
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.Is(err, ErrNotEnrolled):
			return errGone
		default:
			c.cfg.Log.Warn("check-in failed", zap.String("udid", c.cfg.Facts.UDID), zap.Error(err))
		}
	}
}

// retriable marks what a repetition will not cure, and obeys a Retry-After.
func retriable(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, ErrNotEnrolled) || errors.Is(err, ErrNotCommand) || !transient(err) {
		return backoff.Permanent(err)
	}
	if se, ok := errors.AsType[*StatusError](err); ok && se.RetryAfter > 0 {
		return errors.Join(err, backoff.RetryAfter(int(math.Ceil(se.RetryAfter.Seconds()))))
	}
	return err
}

func (c *Client) pause() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = c.cfg.RetryMin, c.cfg.RetryMax
	return b
}

// listen keeps the push stream open and wakes the device at each push that is for it.
func (c *Client) listen(ctx context.Context, e *Enrolment, stream *pushStream) {
	if c.cfg.PushURL == "" {
		return
	}
	address := pushAddress(c.cfg.PushURL, e.MDM.Topic, e.Token)
	log := c.cfg.Log.With(zap.String("udid", e.UDID))
	pause := c.pause()
	for ctx.Err() == nil {
		opened := c.cfg.Now()
		var err error
		if stream == nil {
			if stream, err = openPush(ctx, c.cfg.PushTransport.shared, address); err == nil {
				c.Wake()
			}
		}
		if err == nil {
			err = c.read(ctx, e, stream)
			stream = nil
		}
		if c.cfg.Now().Sub(opened) > c.cfg.RetryMax {
			pause.Reset() // it has worked for a while
		}
		log.Debug("push stream lost", zap.Error(err))
		select {
		case <-ctx.Done():
		case <-time.After(pause.NextBackOff()):
		}
	}
}

// read reads pushes until the stream breaks or ctx ends.
func (c *Client) read(ctx context.Context, e *Enrolment, s *pushStream) error {
	stop := context.AfterFunc(ctx, s.cancel)
	defer stop()
	for {
		magic, err := s.next()
		if err != nil {
			return errors.Join(err, s.close())
		}
		if magic == e.PushMagic {
			c.Wake()
		} else {
			c.cfg.Log.Debug("push for another enrolment ignored", zap.String("udid", e.UDID))
		}
	}
}

// Close ends what Enrol left open for Run. It is needed only if Run never ran.
func (c *Client) Close() error {
	c.mu.Lock()
	stream := c.push
	c.push = nil
	c.mu.Unlock()
	if stream == nil {
		return nil
	}
	return stream.close()
}
