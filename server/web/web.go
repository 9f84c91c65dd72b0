// Package web is Ward's pages for people: sign-in, the list of devices, a device, the
// orders that wait for a second person, and for staff the page on which they enrol and
// the one that says what the policy means for them. It renders and forwards; it decides nothing, keeps nothing but sessions,
// and no page needs a script.
package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/posture"
	"go.uber.org/zap"
)

// Options are what the pages stand on. All but Policies, Certificates, Name
// and Secure must be set.
type Options struct {
	Posture  *posture.Reader
	Lost     *lost.Service
	Orders   *order.Service
	Access   *access.Service
	Sessions scs.CtxStore // keeps sessions
	Now      func() time.Time
	Log      *zap.Logger

	Policies Policies // what the page for staff tells; nil: there is no such page
	// Certificates lists the newest certificates of a device, the newest first; nil: its
	// page shows none.
	Certificates func(ctx context.Context, d ward.DeviceID) ([]Certificate, error)

	Name   string // of the organisation, in the header and on the enrolment page; may be empty
	Secure bool   // the pages are reached by https, so the cookie is bound to it
}

// Server serves the pages. It may be used by several goroutines.
type Server struct {
	Options
	sessions *scs.SessionManager
	pages    pages
	assets   assets
	overview overview
	handler  http.Handler
}

// New returns the pages, or an error if an option is missing or a template broken.
func New(o Options) (*Server, error) {
	if o.Posture == nil || o.Lost == nil || o.Orders == nil || o.Access == nil || o.Sessions == nil || o.Now == nil || o.Log == nil {
		return nil, errors.New("web: Posture, Lost, Orders, Access, Sessions, Now and Log are needed")
	}
	s := &Server{Options: o}
	s.sessions = s.newSessions()
	s.overview = overview{list: o.Posture.List, now: o.Now, gate: make(chan struct{}, 1)}
	var err error
	if s.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if s.pages, err = parsePages(); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.Handle(r.pattern, s.serve(r))
	}
	mux.Handle("GET /static/{file}", s.assets)
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(s.crossOrigin))
	s.handler = harden(cross.Handler(mux))
	return s, nil
}

// ServeHTTP meets http.Handler. Every path that is no page is answered with the page
// that says so, so mount it where nothing else matches.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }
