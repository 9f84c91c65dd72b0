package server

import (
	"context"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/credential"
	"github.com/wardmdm/ward/server/store"
)

// grants tells the authority what the challenges of enrolled devices entitle to.
type grants struct {
	c     *credential.Challenges
	fleet store.Fleet
	judge judge
}

// Lookup returns what a challenge grants: see ca.Challenges.
func (g grants) Lookup(ctx context.Context, challenge string) (ca.Grant, error) {
	c, err := g.c.Lookup(ctx, challenge)
	if err != nil {
		return ca.Grant{}, err
	}
	out := ca.Grant{Device: c.Device, Enrolment: c.Enrolment, Profile: c.Profile, App: c.App, RenewedFrom: c.RenewedFrom}
	if c.Attested {
		d, e, err := g.holder(ctx, c)
		if err != nil {
			return ca.Grant{}, err
		}
		out.Attestation = attestation(d, e)
	}
	switch c.Purpose {
	case credential.ForNetwork:
		out.Kind = ca.KindNetwork
	case credential.ForApp:
		out.Kind = ca.KindApp
		if out.Names, err = g.judge.names(ctx, c.Device, c.App, c.Attested); err != nil {
			return ca.Grant{}, err
		}
	case credential.ForIdentity:
		out.Kind = ca.KindDevice
		e, err := g.fleet.Enrolment(ctx, c.Enrolment)
		if err != nil {
			return ca.Grant{}, err
		}
		out.Invitation, out.CommonName = identityNames(e)
	}
	return out, nil
}

// Redeem spends a challenge: see ca.Challenges. An app that lacked its certificate has one
// then, which may be all that its device did not comply for, so that it is judged anew soon.
func (g grants) Redeem(ctx context.Context, challenge string, cert ca.Certificate) error {
	if err := g.c.Redeem(ctx, challenge, cert.Serial); err != nil {
		return err
	}
	if _, err := g.judge.s.db.Certificates().UseOnce(ctx, spentBucket, secretHash(challenge), []byte(cert.Device), g.c.Now()); err != nil || cert.Kind != ca.KindApp {
		return err
	}
	return g.fleet.CheckSoon(ctx, cert.Device, g.c.Now())
}

// Permit says whether the hardware is that of the device that a challenge is for. A device
// whose serial number is not known proves nothing by one, but for user enrolment, where
// Apple attests none and the challenge alone binds.
func (g grants) Permit(ctx context.Context, challenge string, by ca.Attested) error {
	c, err := g.c.Lookup(ctx, challenge)
	if err != nil {
		return err
	}
	if !c.Attested {
		return ward.Errorf(ward.Forbidden, "This challenge asks for no attestation.")
	}
	d, e, err := g.holder(ctx, c)
	if err != nil {
		return err
	}
	switch {
	case anonymous(e) && by.Serial == "" && by.UDID == "":
		return nil
	case anonymous(e) || d.Serial == "" || by.Serial != d.Serial:
		return ward.Errorf(ward.Forbidden, "This challenge is for another device than the one whose hardware attests the key.")
	}
	return nil
}

func (g grants) holder(ctx context.Context, c credential.ChallengeGrant) (ward.Device, ward.Enrolment, error) {
	d, err := g.fleet.Device(ctx, c.Device)
	if err != nil {
		return d, ward.Enrolment{}, err
	}
	e, err := g.fleet.Enrolment(ctx, c.Enrolment)
	return d, e, err
}

// anonymous reports whether the attestations of an enrolment's device name neither serial
// number nor UDID.
// Source: https://support.apple.com/guide/deployment/dep28afbde6a/web
func anonymous(e ward.Enrolment) bool {
	return strings.HasPrefix(e.Kind, userEnrolment)
}

// userEnrolment begins Apple's kind of the enrolments that keep the device unnamed.
const userEnrolment = "User Enrollment"

// attestation is what the hardware of an enrolled Apple device has to prove of a key.
func attestation(d ward.Device, e ward.Enrolment) *ca.Attestation {
	return &ca.Attestation{Format: ca.FormatApple, Identifier: clientIdentifier(d, e), Anonymous: anonymous(e)}
}

// clientIdentifier is what a device names itself as in an ACME order: its serial number, or
// where that is unknown its enrolment.
func clientIdentifier(d ward.Device, e ward.Enrolment) string {
	if d.Serial == "" || anonymous(e) {
		return string(e.ID)
	}
	return d.Serial
}

// identityNames returns the invitation that a renewed identity carries and its common name.
// An enrolment that came from another server had no invitation.
func identityNames(e ward.Enrolment) (invitation, commonName string) {
	invitation = e.Invitation
	if invitation == "" {
		invitation = "renewal-" + string(e.ID)
	}
	return invitation, "Ward " + invitation
}
