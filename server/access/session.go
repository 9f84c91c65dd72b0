package access

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
)

// Session is one browser in which somebody has signed in.
type Session struct {
	ID       string // names it to people; it is not what the browser holds
	Person   ward.PersonID
	How      How
	Provider string // by whose word, empty for a local account
	Subject  string // who the person is to the provider
	// ProviderSession is what the provider calls its own session, if it says.
	ProviderSession string
	Refresh         string // the provider's refresh token, if it gave one; kept sealed
	Address         string // from where it was begun
	Browser         string // in short words
	Begun, Seen     time.Time
	Checked         time.Time // when the provider was last asked whether it still holds
	Answered        time.Time // when the provider last answered
}

// How says by what somebody proved who they are.
type How string

// The ways to sign in.
const (
	ByPassphrase How = "passphrase"
	ByCode       How = "passphrase and code"
	ByRecovery   How = "passphrase and recovery code"
	ByPasskey    How = "passkey"
	ByLink       How = "link"
	ByProvider   How = "provider"
)

// Sitting is how the pages and the store of sessions tell each other, within one request,
// what the session is that the browser's token stands for. The store sets Found; the pages
// set the rest before the session is kept.
type Sitting struct {
	Found  string   // the hash under which the session is kept; empty for none
	Begin  *Session // set by who has just signed in: the session is theirs from now on
	Rotate bool     // the session moves to a new token, and stays the same session
	AtOnce bool     // the token before a rotation is good no more, not even for what is on its way
}

type sittingKey struct{}

// WithSitting returns a context that carries a Sitting.
func WithSitting(ctx context.Context) (context.Context, *Sitting) {
	s := &Sitting{}
	return context.WithValue(ctx, sittingKey{}, s), s
}

// SittingFrom returns the Sitting in ctx, nil where there is none.
func SittingFrom(ctx context.Context) *Sitting {
	s, _ := ctx.Value(sittingKey{}).(*Sitting)
	return s
}

// NewSession returns a session that begins now, with a name of its own.
func (s *SignIn) NewSession(p ward.PersonID, how How) Session {
	now := s.now()
	return Session{ID: "session-" + strings.ToLower(rand.Text())[:16], Person: p, How: how, Begun: now, Seen: now, Checked: now, Answered: now}
}

// Sessions keeps sessions. Every method joins the unit of work in ctx.
type Sessions interface {
	// SessionsOf returns the sessions of a person that were used since, the newest first.
	SessionsOf(ctx context.Context, p ward.PersonID, since time.Time) ([]Session, error)
	// Session returns one session, or NotFound.
	Session(ctx context.Context, id string) (Session, error)
	// EndSession ends one session; one that has ended is no error.
	EndSession(ctx context.Context, id string) error
	// EndSessions ends every session of a person but one and returns how many.
	EndSessions(ctx context.Context, p ward.PersonID, but string) (int, error)
	// ProvidedSessions returns the sessions of a provider that were last checked before, the
	// longest ago first.
	ProvidedSessions(ctx context.Context, provider string, before time.Time, limit int) ([]Session, error)
	// SessionsFor returns the sessions of a provider by its name for the session, or if that
	// is empty of the subject.
	SessionsFor(ctx context.Context, provider, subject, providerSession string) ([]Session, error)
	// SessionChecked notes that the provider was asked, and its new refresh token.
	SessionChecked(ctx context.Context, s Session) error
}

// The actions that sessions record.
const (
	ActionSessionEnded  = "session.ended"
	ActionSessionsEnded = "session.all-ended"
)

// sessionDay bounds how long ago a session that is shown was used: none lasts longer.
const sessionDay = 24 * time.Hour

// SessionsOf returns the sessions of a person, the newest first. People see their own; others'
// takes the permission SessionRead.
func (s *SignIn) SessionsOf(ctx context.Context, id ward.PersonID) ([]Session, error) {
	if !itself(ctx, id) {
		if err := Check(ctx, SessionRead); err != nil {
			return nil, err
		}
	}
	since := s.now().Add(-sessionDay)
	if s.Idle > 0 {
		since = s.now().Add(-s.Idle)
	}
	return s.store.SessionsOf(ctx, id, since)
}

// EndSession ends one session at once. People end their own; others' takes SessionWrite.
func (s *SignIn) EndSession(ctx context.Context, id string) error {
	return s.store.Do(ctx, func(ctx context.Context) error {
		x, err := s.store.Session(ctx, id)
		if err != nil {
			return err
		}
		if err := s.mayEnd(ctx, x.Person); err != nil {
			return err
		}
		if err := s.store.EndSession(ctx, id); err != nil {
			return err
		}
		return s.record(ctx, ActionSessionEnded, x.Person, map[string]string{"session": id})
	})
}

// EndSessions ends every session of a person but one, which may be empty, and returns how many
// it ended.
func (s *SignIn) EndSessions(ctx context.Context, id ward.PersonID, but string) (n int, err error) {
	if err := s.mayEnd(ctx, id); err != nil {
		return 0, err
	}
	err = s.store.Do(ctx, func(ctx context.Context) (err error) {
		n, err = s.endAll(ctx, id, but, "asked for")
		return err
	})
	return n, err
}

func (s *SignIn) mayEnd(ctx context.Context, id ward.PersonID) error {
	if itself(ctx, id) {
		return nil
	}
	return Check(ctx, SessionWrite)
}

// itself reports whether it is the person who acts, not by a token that is narrowed to less.
func itself(ctx context.Context, id ward.PersonID) bool {
	a := ward.ActorFrom(ctx)
	return a.Person != "" && a.Person == id && !slices.ContainsFunc(a.Roles, func(r ward.Role) bool { return strings.HasPrefix(string(r), narrowedPrefix) })
}

// endAll ends the sessions of a person within a unit of work, and says why.
func (s *SignIn) endAll(ctx context.Context, id ward.PersonID, but, why string) (int, error) {
	n, err := s.store.EndSessions(ctx, id, but)
	if err != nil || n == 0 {
		return n, err
	}
	return n, s.record(ctx, ActionSessionsEnded, id, map[string]string{"because": why})
}
