package server

import (
	"context"
	"errors"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/credential"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/logkey"
	"go.uber.org/zap"
)

// challenges lets the authority ask the invitations, and about what has the form of enrolled
// devices' challenges, those.
type challenges struct {
	s    *enrollment.Service
	held grants
}

var _ ca.Challenges = challenges{}

// Lookup meets ca.Challenges.
func (c challenges) Lookup(ctx context.Context, challenge string) (ca.Grant, error) {
	if enrollment.IsOutside(challenge) {
		return ca.Grant{}, errOutside()
	}
	if credential.IsChallenge(challenge) {
		return c.held.Lookup(ctx, challenge)
	}
	g, err := c.s.Lookup(ctx, challenge)
	if err != nil {
		return ca.Grant{}, err
	}
	out := ca.Grant{Kind: ca.KindDevice, Invitation: g.ID, CommonName: "Ward " + g.ID, Device: g.Device}
	if g.Identifier != "" {
		out.Attestation = &ca.Attestation{Format: ca.FormatApple, Identifier: g.Identifier}
	}
	return out, nil
}

// Redeem meets ca.Challenges.
func (c challenges) Redeem(ctx context.Context, challenge string, cert ca.Certificate) error {
	if enrollment.IsOutside(challenge) {
		return errOutside()
	}
	if credential.IsChallenge(challenge) {
		return c.held.Redeem(ctx, challenge, cert)
	}
	serial, err := attestedSerial(cert.Attested)
	if err != nil {
		return err
	}
	_, err = c.s.Redeem(ctx, challenge, serial)
	return err
}

// Permit meets ca.Challenges.
func (c challenges) Permit(ctx context.Context, challenge string, by ca.Attested) error {
	if enrollment.IsOutside(challenge) {
		return errOutside()
	}
	if credential.IsChallenge(challenge) {
		return c.held.Permit(ctx, challenge, by)
	}
	serial, err := attestedSerial(by)
	if err != nil {
		return err
	}
	return c.s.Permit(ctx, challenge, serial)
}

// errOutside refuses what a certificate of the outside authority shows to everybody.
func errOutside() error {
	return ward.Errorf(ward.Forbidden, "This challenge is for a certificate of another authority.")
}

// attestedSerial returns the serial number that an Apple device attested, "" where nothing
// was attested.
func attestedSerial(by ca.Attested) (string, error) {
	switch {
	case by == ca.Attested{}:
		return "", nil
	case by.Format != ca.FormatApple:
		return "", ward.Errorf(ward.Forbidden, "An invitation is for an Apple device, and this is no attestation by one.")
	case by.Serial == "":
		return "", ward.Errorf(ward.Forbidden, "The attestation names no serial number.")
	}
	return by.Serial, nil
}

// invitations lets the fleet use an invitation up.
type invitations struct{ s *enrollment.Service }

// Use meets fleet.Invitations.
func (i invitations) Use(ctx context.Context, id, channel string) (fleet.Invitation, error) {
	inv, err := i.s.Use(ctx, id, channel)
	return fleet.Invitation{
		ID: inv.ID, Device: inv.Device, Platform: inv.Platform, Serial: inv.Serial, Attested: i.s.MustAttest(inv), Rights: inv.Rights(),
	}, err
}

// Attested tells the protocol what was proven of the device that a certificate is for.
func (i identities) Attested(ctx context.Context, hash string) (fleet.Attested, error) {
	c, err := i.s.CertificateByHash(ctx, hash)
	return fleet.Attested{Serial: c.Attested.Serial, UDID: c.Attested.UDID}, err
}

// attestedBy says for the audit log what proved that an enrolment's key can't leave its
// device, and which certificate holds it. There is none of an adopted device.
func (s *Server) attestedBy(ctx context.Context, e ward.Enrolment) (map[string]string, error) {
	all, err := s.db.Certificates().CertificatesOfDevice(ctx, e.Device)
	if err != nil {
		return nil, err
	}
	detail := map[string]string{"attested": "no"}
	for _, c := range all { // the oldest first: the newest has the last word
		if c.Kind == ca.KindDevice && c.Enrolment == e.ID {
			detail["attested"], detail["certificate"] = "no", c.Serial
			if c.Attested.Format != "" {
				detail["attested"] = c.Attested.Format
			}
		}
	}
	return detail, nil
}

// impostor records a device that said that it is another one than its hardware has proven.
// What it asked for was refused and undone.
func (s *Server) impostor(ctx context.Context, invitation string, ar fleet.Arrival, why error) error {
	s.Log.Named("mdm").Warn("a device claims to be another one than its hardware proves", zap.String(logkey.Invitation, invitation), zap.String(logkey.Channel, ar.Channel),
		zap.String(logkey.Serial, ar.Serial), zap.String("attested_serial", ar.Attested.Serial), zap.Error(why))
	err := s.record.Record(ctx, "enrolment.refused", invitation, map[string]string{
		"reason": "attested identity of another device", "serial": ar.Serial, "attested_serial": ar.Attested.Serial, "channel": ar.Channel, "attested_udid": ar.Attested.UDID,
	})
	if err != nil {
		return errors.Join(why, err)
	}
	return why
}
