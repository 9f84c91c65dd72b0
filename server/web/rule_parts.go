package web

import (
	"context"
	"net/http"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/policy"
)

// Postures tells the posture of devices, now and at past times. *estate.Service meets it.
type Postures interface {
	Current(ctx context.Context) (*estate.Snapshot, error)
	At(ctx context.Context, t time.Time) (*estate.Snapshot, error)
	Changes(ctx context.Context, id ward.DeviceID, before int64, limit int) ([]estate.Change, error)
	Trend(ctx context.Context, c estate.Cut, days int) ([]estate.Day, error)
	Removals(ctx context.Context, app string, by estate.Dimension, from, to time.Time) (map[string]estate.Removal, error)
}

// Entries reads the audit log. *audit.Service meets it.
type Entries interface {
	List(ctx context.Context, f audit.Filter) ([]audit.Recorded, error)
}

var (
	_ Postures = (*estate.Service)(nil)
	_ Entries  = (*audit.Service)(nil)
)

// RuleParts are what the pages of policies, apps, the register of approved apps and exceptions stand on.
type RuleParts struct {
	Policy *policy.Service
	Estate Postures // nil: the pages that need it say so, and a device's page tells no change
	Audit  Entries  // nil: a device's page tells no entry
}

// rulePages are those templates.
type rulePages struct {
	sheet page[*sheetPage]
}

func (p *rulePages) files() []pageFile { return []pageFile{file("sheet", &p.sheet)} }

// ruleRoutes are those addresses.
func (s *Server) ruleRoutes() []route {
	return []route{
		{"GET /apps", access.DeviceRead, s.apps},
		{"GET /apps/{slug}", access.DeviceRead, s.app},
		{"GET /register", access.PolicyRead, s.appRegister},
		{"GET /register/{app}", access.PolicyRead, s.registered},
		{"GET /exceptions", access.PolicyRead, s.exceptions},
		{"GET /exceptions/{id}", access.PolicyRead, s.exception},
		{"GET /exceptions/new", access.PolicyPublish, s.newException},
		{"POST /exceptions/new", access.PolicyPublish, s.draftException},

		{"GET /policies", access.PolicyRead, s.versions},
		{"GET /policies/{version}", access.PolicyRead, s.version},
		{"POST /policies/{version}/approve", access.PolicyPublish, s.approveVersion},
		{"POST /policies/{version}/withdraw", access.PolicyPublish, s.withdrawVersion},
		{"GET /policies/plan", access.PolicyRead, s.planForm},
		{"POST /policies/plan", access.PolicyRead, s.plan},
		{"POST /policies/publish", access.PolicyPublish, s.publish},
		{"GET /policies/explain", access.PolicyRead, s.explain},
		{"GET /policies/drift", access.DeviceRead, s.drift},
		{"GET /rollouts", access.PolicyRead, s.rollouts},
		{"POST /rollouts/stop", access.PolicyPublish, s.stopRollout},
		{"POST /rollouts/resume", access.PolicyPublish, s.resumeRollout},
		{"POST /rollouts/back", access.PolicyPublish, s.rollBack},

		{"POST /devices/{id}/place", access.DeviceWrite, s.place},
	}
}
func (s *Server) place(w http.ResponseWriter, r *http.Request) error { return nil }
