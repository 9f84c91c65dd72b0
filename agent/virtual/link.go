package virtual

import (
	"context"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/agent"
)

// A Phone is its own link: what it needs of its server goes through the engine.
var _ link = (*Phone)(nil)

func (p *Phone) enrolment() (*agent.Enrolment, error) { return p.client.Enrolment() }

func (p *Phone) rights() ward.AccessRights {
	e, err := p.client.Enrolment()
	switch {
	case err != nil:
		return 0
	case p.opt.UserEnrolment || e.MDM.UserEnrolment:
		return ward.RightsAll
	}
	return e.MDM.AccessRights
}

func (p *Phone) replace(ctx context.Context, prof *agent.Profile, i agent.Identity, authenticate bool) error {
	return p.client.Replace(ctx, prof, i, authenticate)
}

func (p *Phone) tell(ctx context.Context, authenticate bool) error {
	if authenticate {
		return p.client.Introduce(ctx)
	}
	return p.client.TokenUpdate(ctx)
}

func (p *Phone) fetch(ctx context.Context, address string, prove bool) ([]byte, error) {
	return p.client.Fetch(ctx, address, prove)
}

func (p *Phone) identify(ctx context.Context, q agent.Payload) (agent.Identity, error) {
	return p.client.Identity(ctx, q)
}

// stir has the phone look at its declarations again, and report what changed, soon.
func (p *Phone) stir() {
	if !p.due {
		p.due = true
		p.client.Later(p.follow)
	}
}
