package web

import (
	"context"

	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/policy"
)

// Entries reads the audit log. *audit.Service meets it.
type Entries interface {
	List(ctx context.Context, f audit.Filter) ([]audit.Recorded, error)
}

var _ Entries = (*audit.Service)(nil)

// RuleParts are what the pages of policies, apps, the register of approved apps and exceptions stand on.
type RuleParts struct {
	Policy *policy.Service
	Audit  Entries // nil: a device's page tells no entry
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
		{"GET /register", access.RegisterRead, s.appRegister},
		{"GET /register/{app}", access.RegisterRead, s.registered},
		{"GET /exceptions", access.RegisterRead, s.exceptions},
		{"GET /exceptions/{id}", access.RegisterRead, s.exception},
		{"GET /exceptions/new", access.ExceptionWrite, s.newException},
		{"POST /exceptions/new", access.ExceptionWrite, s.draftException},

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
