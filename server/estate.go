package server

import (
	"context"
	"time"

	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/reconcile"
	"github.com/wardmdm/ward/server/seal"
)

// openEstate puts together what keeps the posture of every device.
func (s *Server) openEstate(context.Context, *seal.Master) (err error) {
	s.Estate, err = estate.New(estate.Options{Store: s.db.Estate(), Assess: s.Devices.Assess, Overlap: s.db.PostureOverlap(), Now: s.now})
	s.Loop.Judged = s.judged
	return err
}

// judged keeps what a device that was planned comes to: for whoever asks whether it may come
// in, and for those who look after it. It returns when that changes by itself.
func (s *Server) judged(ctx context.Context, v reconcile.View) (time.Time, error) {
	next, err := s.Authorizer.Judged(ctx, v)
	if err != nil {
		return next, err
	}
	turns, err := s.Estate.Record(ctx, v)
	if err == nil && !turns.IsZero() && (next.IsZero() || turns.Before(next)) {
		next = turns
	}
	return next, err
}
