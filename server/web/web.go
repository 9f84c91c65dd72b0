// Package web is Ward's pages for people: sign-in, devices, lost-device cases and their
// files, orders and the passkeys that approve them, the brake, who was told what, and for
// staff the pages on which they enrol, report a loss and read what the policy means for
// them. It renders and forwards; it decides nothing, keeps nothing but sessions, and no
// page needs a script but those that ask a passkey.
package web

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/approver"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/casefile"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/posture"
	"go.uber.org/zap"
)

// Brake tells how full the windows of the brake are and what it holds. *brake.Service
// meets it.
type Brake interface {
	Meters(ctx context.Context) ([]brake.Meter, error)
	Holds(ctx context.Context) ([]brake.Hold, error)
	Ledger(ctx context.Context) (*brake.Ledger, error)
	Room(ctx context.Context, k brake.Kind, site string) (left int, err error)
}

// Notify tells what was told to whom. *notify.Service meets it.
type Notify interface {
	Configured() bool
	Log(ctx context.Context, after string, limit int) ([]notify.Delivery, error)
	SendTest(ctx context.Context) error
	Replay(ctx context.Context, id string) error
}

// Files makes the files of cases and orders, and shows the PINs of Macs. Each file and
// each look at a PIN is audited.
type Files interface {
	CaseView(ctx context.Context, id ward.CaseID) (casefile.View, error)
	CaseFile(ctx context.Context, id ward.CaseID) (casefile.Pack, error)
	OrderFile(ctx context.Context, id ward.OrderID) (casefile.Pack, error)
	// MacPIN returns PINs by what they are for; NotFound where there is none.
	MacPIN(ctx context.Context, id ward.DeviceID) (map[string]string, error)
}

// Recovery gives whoever enrolled by an invitation's link the recovery code of their
// device, once and for a day.
type Recovery interface {
	RecoverableBy(ctx context.Context, token string) (d ward.Device, ok bool, err error)
	RecoveryCodeBy(ctx context.Context, token string) (code string, d ward.Device, err error)
}

// Options are what the pages stand on. The fields of the first group must be set.
type Options struct {
	Posture   *posture.Reader
	Lost      *lost.Service
	Orders    *order.Service
	Approvers *approver.Service
	Brake     Brake
	Notify    Notify
	Files     Files
	Recovery  Recovery
	Access    *access.Service
	Sessions  scs.CtxStore // keeps sessions
	Now       func() time.Time
	Log       *zap.Logger

	// PublicURL is where people reach the pages, as it is printed with recovery codes; empty
	// takes the address of the request.
	PublicURL string
	// Zone is the time zone in which people type times; nil is UTC.
	Zone *time.Location
	// Remote says who asks, for the limit on wrong recovery codes; nil takes the address of
	// the connection.
	Remote func(r *http.Request) string

	Policies Policies // what the page for staff tells; nil: there is no such page
	// Certificates lists the newest certificates of a device, the newest first; nil: its
	// page shows none.
	Certificates func(ctx context.Context, d ward.DeviceID) ([]Certificate, error)

	Fleet    FleetParts    // what the overview and the lists of devices show
	Rules    RuleParts     // policies, apps, register and exceptions
	Operate  OperateParts  // enrolment, set-up, health and the audit log
	Evidence EvidenceParts // reports and packs
	Accounts AccountParts  // sign-in, sessions, people and roles

	// Stopping is closed when the server stops, so that open streams end; nil never is.
	Stopping <-chan struct{}

	Logo   []byte // the organisation's own, an SVG or a PNG; nil shows Ward's mark
	Name   string // of the organisation, in the header and on the enrolment page; may be empty
	Secure bool   // the pages are reached by https, so the cookie is bound to it
}

// Server serves the pages. It may be used by several goroutines.
type Server struct {
	Options
	sessions  *scs.SessionManager
	pages     pages
	assets    assets
	exporters exporters
	needs     map[string]access.Permission // of each route, by its pattern
	streams   streams
	zips      sync.Pool // of writers that compress pages
	handler   http.Handler
}

// New returns the pages, or an error if an option is missing or a template broken.
func New(o Options) (*Server, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	s := &Server{Options: o, needs: map[string]access.Permission{}}
	s.sessions = s.newSessions()
	var err error
	if s.assets, err = loadAssets(o.Logo); err != nil {
		return nil, err
	}
	if s.pages, err = parsed(); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.Handle(r.pattern, s.serve(r))
		s.needs[r.pattern] = r.needs
	}
	mux.Handle("GET /static/{file}", s.assets)
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(s.crossOrigin))
	s.handler = harden(cross.Handler(mux))
	return s, nil
}

func (o Options) check() error {
	if o.Posture == nil || o.Lost == nil || o.Orders == nil || o.Approvers == nil || o.Access == nil {
		return errors.New("web: Posture, Lost, Orders, Approvers and Access are needed")
	}
	if o.Accounts.SignIn == nil {
		return errors.New("web: Accounts.SignIn is needed")
	}
	if o.Brake == nil || o.Notify == nil || o.Files == nil || o.Recovery == nil || o.Sessions == nil || o.Now == nil || o.Log == nil {
		return errors.New("web: Brake, Notify, Files, Recovery, Sessions, Now and Log are needed")
	}
	if o.Fleet.Estate == nil {
		return errors.New("web: Fleet.Estate is needed")
	}
	return nil
}

// ServeHTTP meets http.Handler. Every path that is no page is answered with the page
// that says so, so mount it where nothing else matches.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }
