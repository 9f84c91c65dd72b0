// Package siem follows the audit log and sends each entry to the system in which an
// organisation gathers its logs: by syslog, to an HTTPS collector, or into a file. It keeps
// its place in the database, so that nothing is left out and little is sent twice. It reads
// the log and changes nothing in it.
package siem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/audit"
)

// batch is how many entries are sent together.
const batch = 200

// leaseFor is how long one copy of the server has a stream to itself without saying so
// again: longer than a sender may take.
const leaseFor = 2 * time.Minute

// Entries follows the audit log. *audit.Service meets it.
type Entries interface {
	// Sequenced returns up to limit entries from an index of the tree on.
	Sequenced(ctx context.Context, from int64, limit int) ([]audit.Recorded, error)
}

// Place is how far a stream has come.
type Place struct {
	Name      string
	Next      int64     // the index in the tree of the first entry that was not sent
	Sent      time.Time // when entries were last taken; zero if never
	LastError string    // of the last attempt, empty where it succeeded
	Failed    time.Time // when the failures began; zero where the last attempt succeeded
}

// Places keeps how far each stream has come.
type Places interface {
	// Lease returns the place of a stream for this copy of the server until a time, unless
	// another copy holds it at now: then ok is false. A stream that is new begins at begin.
	Lease(ctx context.Context, name string, begin int64, now, until time.Time) (p Place, ok bool, err error)
	// Keep keeps a place, and ends the lease.
	Keep(ctx context.Context, p Place) error
	// Places returns every place, by name.
	Places(ctx context.Context) ([]Place, error)
}

// Sender takes events. What it returned nil for was taken.
type Sender interface {
	Send(ctx context.Context, events []Event) error
}

// Event is an entry of the audit log as it is sent. Parts that were erased are empty.
type Event struct {
	Host    string    `json:"host"`  // of the server
	Index   int64     `json:"index"` // in the tree: with host it names the entry for ever
	At      time.Time `json:"at"`
	Action  string    `json:"action"`
	Actor   Actor     `json:"actor"`
	Subject string    `json:"subject,omitempty"`
	Person  string    `json:"person,omitempty"` // whom the deed is about
	Detail  any       `json:"detail,omitempty"`
	Damaged bool      `json:"damaged,omitempty"` // the stored row is not what was committed to
}

// Actor is who acted.
type Actor struct {
	Person string `json:"person,omitempty"`
	Name   string `json:"name,omitempty"`
	Via    string `json:"via,omitempty"`
	Token  string `json:"token,omitempty"` // its id
	Device string `json:"device,omitempty"`
	Erased bool   `json:"erased,omitempty"`
}

// Stream is where entries go.
type Stream struct {
	Name   string
	Sender Sender
}

// Service sends what is new to every stream.
type Service struct {
	Entries Entries
	Places  Places
	Streams []Stream
	Host    string // what the events call this server
	Now     func() time.Time
}

// Do sends what every stream has not had yet. A stream that fails keeps its place and does
// not keep the others waiting; the errors are joined.
func (s *Service) Do(ctx context.Context) error {
	var errs []error
	for _, t := range s.Streams {
		if err := s.follow(ctx, t); err != nil {
			errs = append(errs, fmt.Errorf("stream %s: %w", t.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Service) follow(ctx context.Context, t Stream) error {
	now := s.Now()
	p, ok, err := s.Places.Lease(ctx, t.Name, 0, now, now.Add(leaseFor))
	if err != nil || !ok {
		return err
	}
	for ctx.Err() == nil {
		n, sendErr := s.some(ctx, t, &p)
		more := sendErr == nil && n == batch
		if sendErr != nil {
			p.LastError = sendErr.Error()
			if p.Failed.IsZero() {
				p.Failed = s.Now()
			}
		} else {
			p.LastError, p.Failed = "", time.Time{}
		}
		if err := s.Places.Keep(context.WithoutCancel(ctx), p); err != nil {
			return errors.Join(sendErr, err)
		}
		if !more {
			return sendErr
		}
		now = s.Now()
		if p, ok, err = s.Places.Lease(ctx, t.Name, 0, now, now.Add(leaseFor)); err != nil || !ok {
			return err
		}
	}
	return ctx.Err()
}

// some sends the next entries, and moves p beyond them.
func (s *Service) some(ctx context.Context, t Stream, p *Place) (int, error) {
	all, err := s.Entries.Sequenced(ctx, p.Next, batch)
	if err != nil || len(all) == 0 {
		return 0, err
	}
	events := make([]Event, len(all))
	for i, r := range all {
		events[i] = s.event(r)
	}
	if err := t.Sender.Send(ctx, events); err != nil {
		return 0, err
	}
	p.Next, p.Sent = all[len(all)-1].Index+1, s.Now()
	return len(all), nil
}

func (s *Service) event(r audit.Recorded) Event {
	e := Event{
		Host: s.Host, Index: r.Index, At: r.At, Action: r.Action, Subject: r.Subject, Person: string(r.Person), Damaged: r.Damaged,
		Actor: Actor{Person: string(r.Actor.Person), Name: r.Actor.Name, Via: string(r.Actor.Via), Token: r.Actor.Token, Device: string(r.Actor.Device), Erased: r.ActorErased},
	}
	if len(r.Detail) > 0 {
		e.Detail = r.Detail
	}
	return e
}

// line returns an event as one line of JSON, without the end of the line.
func line(e Event) ([]byte, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("event %d: %w", e.Index, err)
	}
	return b, nil
}

// wrong is a mistake in how a stream is configured.
func wrong(format string, args ...any) error { return ward.Errorf(ward.Invalid, format, args...) }
