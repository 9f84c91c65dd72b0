package virtual

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"

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

func (p *Phone) shrink(ctx context.Context, keep ward.AccessRights) error {
	return p.client.Shrink(ctx, keep)
}

func (p *Phone) fetch(ctx context.Context, address string) ([]byte, error) {
	return p.client.Fetch(ctx, address)
}

func (p *Phone) identify(ctx context.Context, q agent.Payload) (*x509.Certificate, *rsa.PrivateKey, error) {
	if q.Type != typeSCEP {
		return nil, nil, errors.New("this device asks for identities by SCEP only")
	}
	return p.client.Identity(ctx, q)
}

// stir has the phone look at its declarations again, and report what changed, soon.
func (p *Phone) stir() {
	if !p.due {
		p.due = true
		p.client.Later(p.follow)
	}
}
