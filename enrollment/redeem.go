package enrollment

import (
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
// done by the device that enrols.
func (s *Service) Open(ctx context.Context, token string) (Invitation, []byte, error) {
	inv, err := s.Find(ctx, token)
	if err != nil {
		return Invitation{}, nil, err
	}
	secret, err := s.random(32)
	if err != nil {
		return Invitation{}, nil, err
	}
	challenge := challengeEncoding.EncodeToString(secret)
	profile, err := s.o.Profiles.Profile(ctx, inv, challenge)
	if err != nil {
		return Invitation{}, nil, fmt.Errorf("profile of invitation %s: %w", inv.ID, err)
	}
	now := s.o.Now().UTC()
	c := Challenge{Hash: hash(challenge), Invitation: inv.ID, Created: now, Expires: now.Add(ChallengeLife)}
	if err := s.o.Store.PutChallenge(ctx, c); err != nil {
		return Invitation{}, nil, fmt.Errorf("keep challenge: %w", err)
	}
	return inv, profile, nil
}

// Lookup returns the invitation that a challenge would grant a certificate for, and
// changes nothing. What cannot be granted is a *ward.Error of kind Forbidden.
func (s *Service) Lookup(ctx context.Context, challenge string) (Invitation, error) {
	c, err := s.o.Store.Challenge(ctx, hash(challenge))
	if ward.KindOf(err) == ward.NotFound {
		return Invitation{}, ward.Errorf(ward.Forbidden, "The challenge is not known, or a newer profile has replaced it.")
	}
	if err != nil {
		return Invitation{}, fmt.Errorf("find challenge: %w", err)
	}
	switch {
	case !c.Redeemed.IsZero():
		return Invitation{}, spent()
	case !s.o.Now().Before(c.Expires):
		return Invitation{}, ward.Errorf(ward.Forbidden, "The profile has expired. Open the link again for a new one.")
	}
	inv, err := s.o.Store.Invitation(ctx, c.Invitation)
	if err != nil {
		return Invitation{}, fmt.Errorf("invitation of challenge: %w", err)
	}
	if inv.Certificates >= MaxCertificates {
		return Invitation{}, ward.Errorf(ward.Forbidden, "This invitation has been tried %d times. Ask IT for a new one.", MaxCertificates)
	}
	return inv, s.usable(inv)
}

// Redeem spends a challenge. It belongs in the unit of work that records the
// certificate: of several calls with one challenge exactly one succeeds, the others
// return a *ward.Error of kind Forbidden.
func (s *Service) Redeem(ctx context.Context, challenge string) (Invitation, error) {
	var inv Invitation
	err := s.o.Unit.Do(ctx, func(ctx context.Context) (err error) {
		if inv, err = s.Lookup(ctx, challenge); err != nil {
			return err
		}
		ok, err := s.o.Store.SpendChallenge(ctx, hash(challenge), s.o.Now().UTC(), MaxCertificates)
		if err != nil {
			return fmt.Errorf("redeem challenge: %w", err)
		}
		if !ok {
			return spent()
		}
		inv.Certificates++
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
// a certificate that was issued for it: once, by one channel. The same channel again is
// no error, for a device repeats a message whose answer it lost. Everything else is a
// *ward.Error of kind Forbidden.
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
		if !inv.Used.IsZero() && inv.UsedBy == channel {
			return nil
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
