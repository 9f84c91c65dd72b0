package notify

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/wardmdm/ward/server/logkey"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

const (
	// patience is how long one attempt may take, and lease how long a copy of the server
	// keeps a delivery to itself: when it died, another goes on after that.
	patience = 20 * time.Second
	lease    = time.Minute
	// workers bounds what one channel sends at once. Relays refuse more than a few
	// connections at a time.
	workers = 3

	firstWait = 10 * time.Second
	mostWait  = 30 * time.Minute
	// Life is how long a delivery is tried before it is given up.
	Life = 24 * time.Hour
	// Kept is how long the outbox shows what was delivered or given up.
	Kept = 90 * 24 * time.Hour

	staleBatch = 200
)

// Do sends what is due. Channels do not wait for each other, but for the slowest attempt of
// another. What fails is tried again after 10 s, then after twice as long each time up to
// 30 minutes, and given up when it has been tried for Life. An error is of the store.
func (s *Service) Do(ctx context.Context) error {
	for ctx.Err() == nil {
		sent, err := s.pass(ctx)
		if err != nil || sent == 0 {
			return err
		}
	}
	return nil
}

// pass sends a few deliveries of each channel at once, and returns how many it tried.
func (s *Service) pass(ctx context.Context) (int, error) {
	var tried atomic.Int64
	var channels errgroup.Group
	for channel, sender := range s.senders {
		channels.Go(func() error {
			now := s.Now()
			due, err := s.Store.Lease(ctx, channel, now, now.Add(lease), workers)
			if err != nil {
				return err
			}
			tried.Add(int64(len(due)))
			var sends errgroup.Group
			for _, d := range due {
				sends.Go(func() error { return s.send(ctx, sender, d) })
			}
			return sends.Wait()
		})
	}
	err := channels.Wait()
	return int(tried.Load()), err
}

func (s *Service) send(ctx context.Context, sender Sender, d Delivery) error {
	letter := d
	if letter.Message.Link != "" {
		letter.Message.Link = s.PublicURL + letter.Message.Link
	}
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := sender.Send(patient, letter)
	if err != nil && ctx.Err() != nil {
		return nil // stopping; the lease runs out and it is sent later
	}
	now := s.Now()
	d.Error = ""
	switch {
	case err == nil:
		d.Delivered = now
	case now.Before(d.Since.Add(Life)):
		d.Error = oneLine(err.Error(), maxError)
		d.Due = earlier(now.Add(backOff(d.Attempts)), d.Since.Add(Life))
	default:
		d.Error, d.GivenUp = oneLine(err.Error(), maxError), now
	}
	// What was sent is noted even while the server stops, or it would be sent twice.
	mine, err := s.Store.Settle(context.WithoutCancel(ctx), d)
	if err != nil || !mine {
		return err
	}
	s.log(d)
	return nil
}

// log says what became of an attempt.
func (s *Service) log(d Delivery) {
	fields := []zap.Field{
		zap.String("notification", d.ID), zap.String(logkey.Topic, string(d.Message.Topic)), zap.String("by", d.Channel), zap.Int("attempts", d.Attempts),
		zap.String("why", d.anonymous(d.Error)),
	}
	switch d.State() {
	case Delivered:
		s.Logger.Info("notification delivered", fields[:4]...)
	case GivenUp:
		s.Logger.Error("notification given up", fields...)
	default:
		s.Logger.Warn("notification failed", fields...)
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// backOff doubles with each attempt.
func backOff(attempts int) time.Duration {
	return min(firstWait<<min(max(attempts-1, 0), 10), mostWait)
}

// Tidy gives up what has waited for Life on a channel that the configuration does not have
// any more, and deletes what is older than Kept.
func (s *Service) Tidy(ctx context.Context) error {
	now := s.Now()
	if err := s.Store.Purge(ctx, now.Add(-Kept)); err != nil {
		return err
	}
	known := slices.Sorted(maps.Keys(s.senders))
	for ctx.Err() == nil {
		stale, err := s.Store.Stale(ctx, now, now.Add(-Life), known, staleBatch)
		if err != nil {
			return err
		}
		for _, d := range stale {
			d.GivenUp, d.Error = now, "the configuration has no "+channelName(d.Channel)+" any more"
			mine, err := s.Store.Settle(ctx, d)
			if err != nil {
				return err
			}
			if mine {
				s.log(d)
			}
		}
		if len(stale) < staleBatch {
			return nil
		}
	}
	return nil
}
