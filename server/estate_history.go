package server

import (
	"context"
	"time"
)

// forgetPostures deletes what retention says of the past of devices; the daily counts stay.
func (s *Server) forgetPostures(ctx context.Context, now time.Time) error {
	days := s.config.Retention.Postures
	if days == 0 {
		return nil
	}
	_, err := s.Estate.Forget(ctx, now.AddDate(0, 0, -days))
	return err
}
