package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/authorize"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/credential"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/store"
)

// Buckets of the store's Once.
const (
	// refusedBucket has which refusals stand in the audit log already.
	refusedBucket = "refused"
	// spentBucket has whose the challenges of enrolled devices were that they used, or that
	// a report of loss made worthless, and whose such tokens were.
	spentBucket = "spent challenge"
)

// party is whom a challenge, a token or a certificate was given to.
type party struct {
	device              ward.DeviceID
	invitation, use     string // use is what the certificate was for, if that is known
	app, certificate    string
	protocol, challenge string // challenge is a hash
}

func secretHash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// refused has a refused request for a certificate audited, where its challenge is or was
// somebody's: anybody may send in what never was one.
func (s *Server) refused(ctx context.Context, r ca.Refusal) error {
	return s.refusedSecret(ctx, party{protocol: r.Protocol}, r.Challenge, r.Problem, r.Reason)
}

func (s *Server) refusedSecret(ctx context.Context, p party, secret, problem, reason string) error {
	p.challenge = secretHash(secret)
	if err := s.owner(ctx, &p, credential.IsChallenge(secret)); ward.KindOf(err) == ward.NotFound {
		return nil
	} else if err != nil {
		return err
	}
	return s.recordRefusal(ctx, p, problem, reason)
}

// refusedToken is refused for the token of an app.
func (s *Server) refusedToken(ctx context.Context, token string, why error) error {
	problem := "unauthorized"
	switch ward.KindOf(why) {
	case ward.Internal, ward.Unavailable:
		return nil
	case ward.Invalid:
		problem = "badCSR"
	}
	reason := "The request for a certificate is wrong."
	if said, ok := errors.AsType[*ward.Error](why); ok {
		reason = said.Message
	}
	return s.refusedSecret(ctx, party{protocol: "app token"}, token, problem, reason)
}

// refusedCertificate has it audited that a certificate that Ward has revoked was shown where
// it is good for nothing.
func (s *Server) refusedCertificate(ctx context.Context, hash string) error {
	c, err := s.db.Certificates().CertificateByHash(ctx, hash)
	if ward.KindOf(err) == ward.NotFound || (err == nil && (!c.Revoked() || c.Reason == ca.Superseded)) {
		return nil // a device that has a new identity may have a message of the old one on its way
	}
	if err != nil {
		return err
	}
	p := party{device: c.Device, invitation: c.Invitation, use: string(c.Kind), certificate: c.Serial, protocol: "certificate", challenge: hash}
	return s.recordRefusal(ctx, p, "revoked", "This certificate was revoked.")
}

// shown is the fleet to which devices show their identities.
type shown struct {
	store.Fleet
	s *Server
}

// Contact meets applemdm.Store.
func (f shown) Contact(ctx context.Context, hash string) (fleet.Contact, error) {
	c, err := f.Fleet.Contact(ctx, hash)
	if ward.KindOf(err) != ward.NotFound {
		return c, err
	}
	if failed := f.s.refusedCertificate(context.WithoutCancel(ctx), hash); failed != nil {
		return c, failed
	}
	return c, err
}

// owner finds whom a challenge or a token was given to, whatever became of it. What enrolled
// devices have used or must not use any more is not where the open ones are.
func (s *Server) owner(ctx context.Context, p *party, enrolled bool) error {
	find := []func(context.Context, *party) error{s.invited, s.certified, s.spent}
	if enrolled {
		find = []func(context.Context, *party) error{s.challenged, s.spent}
	}
	var err error
	for _, f := range find {
		if err = f(ctx, p); ward.KindOf(err) != ward.NotFound {
			return err
		}
	}
	return err
}

func (s *Server) invited(ctx context.Context, p *party) error {
	c, err := s.db.Invitations().Challenge(ctx, p.challenge)
	if err != nil {
		return err
	}
	i, err := s.db.Invitations().Invitation(ctx, c.Invitation)
	p.invitation, p.device = i.ID, i.Device
	return err
}

func (s *Server) challenged(ctx context.Context, p *party) error {
	g, err := s.db.Challenges().Holder(ctx, p.challenge)
	p.device, p.app, p.use = g.Device, g.App, string(g.Purpose)
	return err
}

func (s *Server) certified(ctx context.Context, p *party) error {
	g, err := s.db.AppTokens().Holder(ctx, p.challenge)
	if err == nil {
		p.device, p.app, p.use = g.Device, g.App, string(credential.ForApp)
	}
	return err
}

func (s *Server) spent(ctx context.Context, p *party) error {
	device, err := s.db.Certificates().UsedOnce(ctx, spentBucket, p.challenge)
	p.device = ward.DeviceID(device)
	return err
}

// recordRefusal writes one entry for each problem with each challenge, token or
// certificate. Who asks again and again writes nothing.
func (s *Server) recordRefusal(ctx context.Context, p party, problem, reason string) error {
	key := p.challenge + " " + p.protocol + " " + problem
	_, err := s.db.Certificates().UsedOnce(ctx, refusedBucket, key)
	if ward.KindOf(err) != ward.NotFound {
		return err // it stands there, or that can't be told
	}
	subject, detail := string(p.device), map[string]string{"by": p.protocol, "problem": problem, "reason": reason}
	if subject == "" {
		subject = p.invitation
	}
	for name, value := range map[string]string{"invitation": p.invitation, "for": p.use, "app": p.app, "certificate": p.certificate} {
		if value != "" {
			detail[name] = value
		}
	}
	ctx = ward.WithActor(ctx, ward.Actor{Name: subject, Via: ward.ViaDevice, Device: p.device})
	return s.db.Do(ctx, func(ctx context.Context) error {
		fresh, err := s.db.Certificates().UseOnce(ctx, refusedBucket, key, []byte{}, s.now())
		if err != nil || !fresh {
			return err
		}
		return s.record.Record(ctx, authorize.ActionRefused, subject, detail)
	})
}
