package enrollment

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
)

// Find returns the invitation of a link, if it can still be used, and changes nothing:
// it is for the page that a browser sees.
func (s *Service) Find(ctx context.Context, token string) (Invitation, error) {
	inv, err := s.o.Store.InvitationByToken(ctx, hash(token))
	if ward.KindOf(err) == ward.NotFound {
		return Invitation{}, ward.Errorf(ward.NotFound, "This link is not known. Ask IT for a new one.")
	}
	if err != nil {
		return Invitation{}, fmt.Errorf("find invitation: %w", err)
	}
	return inv, s.usable(inv)
}

// Open returns the enrolment profile of a link, not signed, with a new challenge in it
// that replaces the last one not redeemed. Opening does not use the link up: that is
// done by the device that enrols. wish is Attested for a device that is known to be able
// to attest a key, SCEP where that way was asked for, else empty; the rule and the
// invitation come before it.
func (s *Service) Open(ctx context.Context, token string, wish Identity) (Invitation, []byte, error) {
	return s.OpenFor(ctx, token, wish, ChallengeLife)
}

// OpenFor is Open for a profile that may be installed for a time of its own, because it
// reaches its device over the channel of the device's management and may have to wait there.
func (s *Service) OpenFor(ctx context.Context, token string, wish Identity, life time.Duration) (Invitation, []byte, error) {
	inv, err := s.Find(ctx, token)
	if err != nil {
		return Invitation{}, nil, err
	}
	kind, err := s.identity(inv, wish)
	if err != nil {
		return Invitation{}, nil, err
	}
	secret, err := s.random(32)
	if err != nil {
		return Invitation{}, nil, err
	}
	t := Ticket{Challenge: challengeEncoding.EncodeToString(secret)}
	kept := t.Challenge
	switch {
	case kind == Attested:
		t.Identifier = cmp.Or(inv.Serial, inv.ID)
	case s.o.Outside:
		kept = OutsideChallenge(t.Challenge)
	}
	profile, err := s.o.Profiles.Profile(ctx, inv, t)
	if err != nil {
		return Invitation{}, nil, fmt.Errorf("profile of invitation %s: %w", inv.ID, err)
	}
	now := s.o.Now().UTC()
	c := Challenge{Hash: hash(kept), Invitation: inv.ID, Identifier: t.Identifier, Created: now, Expires: now.Add(life)}
	if err := s.o.Store.PutChallenge(ctx, c); err != nil {
		return Invitation{}, nil, fmt.Errorf("keep challenge: %w", err)
	}
	return inv, profile, nil
}

// Lookup returns what a challenge would grant a certificate for, and changes nothing. What
// cannot be granted, or not any more, is a *ward.Error of kind Forbidden.
func (s *Service) Lookup(ctx context.Context, challenge string) (Grant, error) {
	c, err := s.o.Store.Challenge(ctx, hash(challenge))
	if ward.KindOf(err) == ward.NotFound {
		return Grant{}, ward.Errorf(ward.Forbidden, "The challenge is not known, or a newer profile has replaced it.")
	}
	if err != nil {
		return Grant{}, fmt.Errorf("find challenge: %w", err)
	}
	switch {
	case !c.Redeemed.IsZero():
		return Grant{}, spent()
	case !s.o.Now().Before(c.Expires):
		return Grant{}, ward.Errorf(ward.Forbidden, "The profile has expired. Open the link again for a new one.")
	}
	inv, err := s.o.Store.Invitation(ctx, c.Invitation)
	if err != nil {
		return Grant{}, fmt.Errorf("invitation of challenge: %w", err)
	}
	if inv.Certificates >= MaxCertificates {
		return Grant{}, ward.Errorf(ward.Forbidden, "This invitation has been tried %d times. Ask IT for a new one.", MaxCertificates)
	}
	g := Grant{inv, c.Identifier}
	if err := s.usable(inv); err != nil {
		return Grant{}, err
	}
	if err := s.stale(g); err != nil {
		return Grant{}, err
	}
	return g, nil
}

// Redeem spends a challenge for the certificate of a key that the device with the serial
// number has attested, or that nobody has: serial is empty then. It belongs in the unit of
// work that records the certificate: of several calls with one challenge exactly one
// succeeds, the others return a *ward.Error of kind Forbidden, and so does what Permit
// refuses. The invitation is the attested device's from then on.
func (s *Service) Redeem(ctx context.Context, challenge, serial string) (Invitation, error) {
	var inv Invitation
	err := s.o.Unit.Do(ctx, func(ctx context.Context) error {
		g, err := s.Lookup(ctx, challenge)
		if err != nil {
			return err
		}
		if g.Identifier != "" || serial != "" {
			if err := s.permit(ctx, g, serial); err != nil {
				return err
			}
		}
		ok, err := s.o.Store.SpendChallenge(ctx, hash(challenge), s.o.Now().UTC(), MaxCertificates)
		if err != nil {
			return fmt.Errorf("redeem challenge: %w", err)
		}
		if !ok {
			return spent()
		}
		inv = g.Invitation
		inv.Certificates++
		if serial == "" {
			return nil
		}
		if ok, err = s.o.Store.AttestInvitation(ctx, inv.ID, serial); err != nil {
			return fmt.Errorf("bind invitation %s: %w", inv.ID, err)
		}
		if !ok { // another device's attestation came first
			return ward.Errorf(ward.Forbidden, "This invitation is for another device.")
		}
		inv.Serial, inv.Identity = serial, Attested
		return nil
	})
	if err != nil {
		return Invitation{}, err
	}
	return inv, nil
}

func spent() error {
	return ward.Errorf(ward.Forbidden, "The profile was already used. Open the link again for a new one.")
}

// Use marks an invitation as used by the device that authenticates on the channel, with
// a certificate that was issued for it: once. Anything else is a *ward.Error of kind
// Forbidden, the same channel with another of its certificates too: who repeats a message
// whose answer was lost does so with the certificate that is bound by then, and needs no
// invitation.
func (s *Service) Use(ctx context.Context, id, channel string) (Invitation, error) {
	var inv Invitation
	err := s.o.Unit.Do(ctx, func(ctx context.Context) (err error) {
		inv, err = s.o.Store.Invitation(ctx, id)
		if ward.KindOf(err) == ward.NotFound {
			return ward.Errorf(ward.Forbidden, "The invitation is not known.")
		}
		if err != nil {
			return fmt.Errorf("use invitation %s: %w", id, err)
		}
		now := s.o.Now().UTC()
		// A certificate that was issued in the last minute of a link is still good.
		if err := s.usableAt(inv, now.Add(-ChallengeLife)); err != nil {
			return err
		}
		ok, err := s.o.Store.UseInvitation(ctx, id, channel, now)
		if err != nil {
			return fmt.Errorf("use invitation %s: %w", id, err)
		}
		if !ok { // another device or a person came first
			return ward.Errorf(ward.Forbidden, "The invitation has been used or taken back.")
		}
		inv.Used, inv.UsedBy = now, channel
		return nil
	})
	if err != nil {
		return Invitation{}, err
	}
	return inv, nil
}

func (s *Service) usable(inv Invitation) error { return s.usableAt(inv, s.o.Now()) }

// usableAt says why an invitation cannot be used, if it cannot.
func (s *Service) usableAt(inv Invitation, now time.Time) error {
	switch inv.State(now) {
	case Used:
		return ward.Errorf(ward.Forbidden, "This invitation has already been used. Ask IT for a new one.")
	case Revoked:
		return ward.Errorf(ward.Forbidden, "This invitation has been taken back. Ask IT for a new one.")
	case Expired:
		return ward.Errorf(ward.Forbidden, "This invitation expired on %s. Ask IT for a new one.", inv.Expires.UTC().Format("2 January 2006 at 15:04 UTC"))
	}
	return nil
}
