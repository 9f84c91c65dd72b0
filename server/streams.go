package server

import (
	"context"
	"errors"
	"io"
	"net/url"
	"time"

	"github.com/wardmdm/ward/server/seal"
	"github.com/wardmdm/ward/server/siem"
	"github.com/wardmdm/ward/server/store"
)

// openStreams prepares to follow the audit log for the organisation's own log systems.
func (s *Server) openStreams(_ context.Context, _ *seal.Master) error {
	self, err := url.Parse(s.config.PublicURL)
	if err != nil {
		return err
	}
	s.streaming = &siem.Service{Entries: s.Audit, Places: streamPlaces{s.db}, Host: self.Hostname(), Now: s.now}
	for _, c := range s.config.Streams {
		to, err := c.sender()
		if err != nil {
			return err
		}
		s.streaming.Streams = append(s.streaming.Streams, siem.Stream{Name: c.Name, Sender: to})
	}
	return nil
}

// closeStreams closes the connections of streams.
func (s *Server) closeStreams() error {
	if s.streaming == nil {
		return nil
	}
	var errs []error
	for _, t := range s.streaming.Streams {
		if c, ok := t.Sender.(io.Closer); ok {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// streamPlaces keeps how far each stream has come.
type streamPlaces struct{ db *store.DB }

var _ siem.Places = streamPlaces{}

// Lease meets siem.Places.
func (p streamPlaces) Lease(ctx context.Context, name string, begin int64, now, until time.Time) (siem.Place, bool, error) {
	at, ok, err := p.db.LeaseStream(ctx, name, begin, now, until)
	return siem.Place(at), ok, err
}

// Keep meets siem.Places.
func (p streamPlaces) Keep(ctx context.Context, at siem.Place) error {
	return p.db.KeepStream(ctx, store.StreamPlace(at))
}

// Places meets siem.Places.
func (p streamPlaces) Places(ctx context.Context) ([]siem.Place, error) {
	all, err := p.db.StreamPlaces(ctx)
	out := make([]siem.Place, len(all))
	for i, at := range all {
		out[i] = siem.Place(at)
	}
	return out, err
}
