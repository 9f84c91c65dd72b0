package web

import (
	"context"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/wardmdm/ward"
)

// How long a session lasts: at most, and without a request.
const (
	sessionLife = 12 * time.Hour
	sessionIdle = 2 * time.Hour
)

// What a session holds.
const (
	personKey = "person"
	linkKey   = "link" // when it was begun by a one-time link, in Unix seconds
	flashKey  = "flash"
)

// linkTrust is how long someone who came by a link may choose a passphrase without
// telling the old one.
const linkTrust = 15 * time.Minute

// newSessions makes the manager without scs.New, which starts a goroutine for a store
// in memory that nobody stops.
func (s *Server) newSessions() *scs.SessionManager {
	name := "ward"
	if s.Secure {
		name = "__Host-ward" // browsers keep it to this host, this path and https
	}
	return &scs.SessionManager{
		Lifetime: sessionLife, IdleTimeout: sessionIdle, Store: s.Sessions, Codec: scs.GobCodec{},
		Cookie:    scs.SessionCookie{Name: name, Path: "/", HttpOnly: true, Secure: s.Secure, SameSite: http.SameSiteLaxMode, Persist: false},
		ErrorFunc: s.fail,
	}
}

// signedInActor returns whom the session stands for, with the roles they have now; the
// zero Actor for a visitor, or for someone who may no longer act.
func (s *Server) signedInActor(ctx context.Context) (ward.Actor, error) {
	id := s.sessions.GetString(ctx, personKey)
	if id == "" {
		return ward.Actor{}, nil
	}
	a, err := s.Access.Actor(ctx, ward.PersonID(id), ward.ViaSession)
	if ward.KindOf(err) == ward.Unauthenticated {
		return ward.Actor{}, s.sessions.Destroy(ctx)
	}
	return a, err
}

// begin makes the session stand for a person, under a new token so that one who knew
// the old token gains nothing.
func (s *Server) begin(ctx context.Context, id ward.PersonID, byLink bool) error {
	if err := s.sessions.Clear(ctx); err != nil {
		return err
	}
	if err := s.sessions.RenewToken(ctx); err != nil {
		return err
	}
	s.sessions.Put(ctx, personKey, string(id))
	if byLink {
		s.sessions.Put(ctx, linkKey, s.Now().Unix())
	}
	return nil
}

// byLink reports whether the session was begun by a one-time link a moment ago.
func (s *Server) byLink(ctx context.Context) bool {
	at := s.sessions.GetInt64(ctx, linkKey)
	return at > 0 && s.Now().Sub(time.Unix(at, 0)) < linkTrust
}
