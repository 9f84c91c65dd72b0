package web

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
)

// How a stream of events behaves. The browser opens a new one when one ends.
const (
	streamLife   = 10 * time.Minute
	streamBeat   = 15 * time.Second // says that it is alive, and asks whether the session still is
	streamApart  = time.Second      // between two messages
	streamWrite  = 10 * time.Second // for one message to leave
	streamsOfOne = 8                // of one person at a time
)

// streams counts the open streams of each person. The zero value is ready.
type streams struct {
	mu   sync.Mutex
	open map[ward.PersonID]int
}

// enter reports whether a person may open one more, and counts it.
func (s *streams) enter(p ward.PersonID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[ward.PersonID]int{}
	}
	if s.open[p] >= streamsOfOne {
		return false
	}
	s.open[p]++
	return true
}

func (s *streams) leave(p ward.PersonID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[p]--; s.open[p] <= 0 {
		delete(s.open, p)
	}
}

// events tells a page that something which it may show has changed, as server-sent events:
// GET /events. It says no more than that; the page asks for itself again, with all that
// bounds what its reader sees.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	p := ward.ActorFrom(r.Context()).Person
	if !s.streams.enter(p) {
		return ward.Errorf(ward.Unavailable, "Too many pages of yours are open and follow what changes. Close some.")
	}
	defer s.streams.leave(p)
	ctx, cancel := context.WithTimeout(r.Context(), streamLife)
	defer cancel()
	changed := s.Fleet.Estate.Watch(ctx)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // or a proxy would gather what is to be told at once
	w.WriteHeader(http.StatusOK)
	out := stream{w, http.NewResponseController(w)}
	if out.send("retry: 5000\n\n") != nil {
		return nil
	}
	beat := time.NewTicker(streamBeat)
	defer beat.Stop()
	for {
		message := ": still here\n\n"
		select {
		case <-ctx.Done():
			return nil
		case <-s.Stopping:
			return nil
		case <-beat.C:
			if !s.stillIn(ctx, p) {
				return nil
			}
		case <-changed:
			message = "event: changed\ndata: {}\n\n"
		}
		if out.send(message) != nil {
			return nil // whoever listened has gone
		}
		if !pause(ctx, streamApart) {
			return nil
		}
	}
}

// stillIn reports whether the session of a stream stands and may still see devices.
func (s *Server) stillIn(ctx context.Context, p ward.PersonID) bool {
	_, found, err := s.Sessions.FindCtx(ctx, s.sessions.Token(ctx))
	if err != nil || !found {
		return false
	}
	a, err := s.Access.Actor(ctx, p, ward.ViaSession)
	return err == nil && access.Allows(a, access.DeviceRead)
}

// stream writes messages, each at once.
type stream struct {
	w io.Writer
	c *http.ResponseController
}

func (o stream) send(message string) error {
	if err := o.c.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil { // a deadline of a connection is by the system's clock
		return fmt.Errorf("stream: %w", err)
	}
	if _, err := io.WriteString(o.w, message); err != nil {
		return err
	}
	return o.c.Flush()
}

// pause waits, and reports whether there is a reason to go on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
