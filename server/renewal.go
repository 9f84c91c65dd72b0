package server

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/applemdm"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/credential"
	"github.com/wardmdm/ward/server/unit"
	"go.uber.org/zap"
)

// actionRenewed is what the audit log calls a device's going over to a new identity.
const actionRenewed = "identity.renewed"

// renewalSettles is how long after its first use an identity's Authenticate is taken for
// that of a device which replaced its profile, and not for one that begins anew.
const renewalSettles = 24 * time.Hour

// renewals has renewed identities take the place of those that they follow.
type renewals struct{ s *Server }

var _ applemdm.Renewals = renewals{}

// Succeed meets applemdm.Renewals.
func (r renewals) Succeed(ctx context.Context, cert *x509.Certificate, channel string) (goesOn bool, err error) {
	err = r.s.db.Do(ctx, func(ctx context.Context) error {
		goesOn = false
		if err := r.s.outside.follow(ctx, cert); err != nil {
			return err
		}
		next, ok, err := r.s.fleet.Succeed(ctx, ca.Hash(cert), channel)
		if err != nil || !ok {
			return err
		}
		goesOn = next.Enrolment.State == ward.EnrolmentActive && r.s.now().Sub(next.Since) < renewalSettles
		if len(next.Former) == 0 {
			return nil
		}
		for _, serial := range next.Former {
			if _, err := r.s.Authority.Revoke(ctx, serial, ca.Superseded, "renewal"); err != nil {
				return err
			}
		}
		unit.AfterCommit(ctx, r.s.remakeCRL)
		id := next.Enrolment.Device
		ctx = ward.WithActor(ctx, ward.Actor{Name: string(id), Via: ward.ViaDevice, Device: id})
		return r.s.record.Record(ctx, actionRenewed, string(id), map[string]string{"enrolment": string(next.Enrolment.ID), "serial": next.Serial, "superseded": next.Former[len(next.Former)-1]})
	})
	return goesOn && err == nil, r.s.outside.audited(ctx, err)
}

// renewal makes the enrolment profile of an enrolled device anew, with a challenge for an
// identity that follows its present one: in hardware if that is.
func (s *Server) renewal(ctx context.Context, d ward.Device, e ward.Enrolment) ([]byte, error) {
	now, err := s.fleet.Identity(ctx, e.ID)
	if err != nil {
		return nil, err
	}
	g := credential.ChallengeGrant{Purpose: credential.ForIdentity, Device: d.ID, Enrolment: e.ID, Attested: now.Attested, RenewedFrom: now.Serial}
	issuing := s.challenges()
	if !g.Attested && s.outside.serves(outsideIdentity) {
		issuing = s.outside.held.c
	}
	challenges, err := issuing.Issue(ctx, g, 1)
	if err != nil {
		return nil, err
	}
	t := enrollment.Ticket{Challenge: challenges[0]}
	if g.Attested {
		t.Identifier = clientIdentifier(d, e)
	}
	inv, err := s.Enrolment.Invitation(ctx, e.Invitation)
	if err != nil {
		return nil, fmt.Errorf("profile of enrolment %s: %w", e.ID, err)
	}
	return s.profiles.Renewal(ctx, inv, e.Topic, t)
}

// wake has a device come soon.
func (s *Server) wake(ctx context.Context, id ward.EnrolmentID) error {
	return s.queue.OwePush(ctx, id, s.now())
}

// signProfile completes an enrolment profile and signs it, so that a device shows the
// server's name as verified.
func (s *Server) signProfile(ctx context.Context, profile []byte) ([]byte, error) {
	profile, err := s.outside.fill(ctx, profile)
	if err != nil {
		s.Log.Named("ca").Warn("an identity can't be renewed now: there is no challenge for it", zap.Error(err), zap.String("request_id", ward.RequestID(ctx)))
	}
	cert, chain, key, err := s.signer.parts()
	if err != nil {
		return nil, err
	}
	return enrollment.Sign(profile, cert, chain, key)
}
