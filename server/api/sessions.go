package api

import (
	"context"
	"net/http"
	"time"

	"github.com/wardmdm/ward/server/access"
)

// Session is a browser in which somebody has signed in.
type Session struct {
	ID       string     `json:"id"`
	How      access.How `json:"how" doc:"By what the person proved who they are."`
	Provider string     `json:"provider,omitempty" doc:"By whose word, for an account of an organisation."`
	Address  string     `json:"address" doc:"From where it was begun."`
	Browser  string     `json:"browser"`
	Begun    time.Time  `json:"begun"`
	Seen     time.Time  `json:"seen" doc:"When it was last used, to the minute."`
}

// Sessions are those of one person.
type Sessions struct {
	Items []Session `json:"items" nullable:"false"`
}

// Ended says how many sessions were ended.
type Ended struct {
	Sessions int `json:"sessions"`
}

func (s *server) sessionRoutes() {
	// Whose sessions one may see and end is a rule of package access.
	handle(s, operation{method: get, path: "/people/{id}/sessions", permission: signedIn, id: "list-sessions", summary: "List where a person is signed in"}, s.listSessions)
	handle(s, operation{method: remove, path: "/people/{id}/sessions", permission: signedIn, id: "end-sessions", summary: "Sign a person out everywhere", status: http.StatusOK}, s.endSessions)
	handle(s, operation{method: remove, path: "/sessions/{id}", permission: signedIn, id: "end-session", summary: "End one session at once"}, s.endSession)
	handle(s, operation{method: post, path: "/people/{id}/second-factor/reset", permission: access.PersonWrite, id: "reset-second-factor", summary: "Forget the second factor of a person who lost it, and sign them out"}, s.resetFactor)
}

func (s *server) listSessions(ctx context.Context, in *PersonPath) (*reply[Sessions], error) {
	p, err := s.selfOr(ctx, access.SessionRead, in.ID)
	if err != nil {
		return nil, err
	}
	list, err := s.SignIn.SessionsOf(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	out := Sessions{Items: []Session{}}
	for _, x := range list {
		out.Items = append(out.Items, Session{x.ID, x.How, x.Provider, x.Address, x.Browser, x.Begun.UTC(), x.Seen.UTC()})
	}
	return answer(out), nil
}

func (s *server) endSessions(ctx context.Context, in *PersonPath) (*reply[Ended], error) {
	p, err := s.selfOr(ctx, access.SessionWrite, in.ID)
	if err != nil {
		return nil, err
	}
	n, err := s.SignIn.EndSessions(ctx, p.ID, "")
	if err != nil {
		return nil, err
	}
	return answer(Ended{n}), nil
}

type sessionPath struct {
	ID string `path:"id" maxLength:"100" doc:"The session."`
}

func (s *server) endSession(ctx context.Context, in *sessionPath) (*none, error) {
	return &none{}, s.SignIn.EndSession(ctx, in.ID)
}

func (s *server) resetFactor(ctx context.Context, in *PersonPath) (*none, error) {
	p, err := s.person(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &none{}, s.SignIn.ResetFactors(ctx, p.ID)
}
