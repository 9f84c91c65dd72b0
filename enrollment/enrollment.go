// Package enrollment decides who may join and how: invitations, the one-time
// challenges that stand in their enrolment profiles, and the profiles themselves. It
// speaks no HTTP, keeps nothing itself, and issues no certificate.
package enrollment

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
)

// Limits of invitations.
const (
	// DefaultLife is how long a link works unless the request says otherwise.
	DefaultLife = 7 * 24 * time.Hour
	// MaxLife is the longest that a link may work.
	MaxLife = 30 * 24 * time.Hour
	// ChallengeLife is how long a downloaded profile can be installed.
	ChallengeLife = time.Hour
	// MaxCertificates is how many certificates an invitation grants until a device has
	// enrolled with one: an installation that breaks off may be begun again, but a link
	// is no machine for certificates. Once a device has enrolled there are no more.
	MaxCertificates = 3
)

// Invitation lets one device enrol once, for one person.
type Invitation struct {
	ID         string
	Name       string // of the person it is for
	Email      string // empty if unknown
	DeviceName string
	Platform   ward.Platform
	Ownership  ward.Ownership
	Group      string // empty for none
	Site       string // empty for none
	Role       string // the staff role; empty for none
	Supervised bool   // the device is expected to be supervised
	// Serial is the serial number of the device that it is for. One that names none is
	// bound to the first device that proves its own, and to that one alone from then on.
	Serial string
	// Identity is how the device has to get its identity; empty where that is decided when
	// the link is opened. Once a device has attested a key by it, it is Attested.
	Identity  Identity
	Device    ward.DeviceID
	Created   time.Time
	CreatedBy string // name of who made it
	Expires   time.Time
	Used      time.Time // zero until a device enrolled by it
	UsedBy    string    // that device's channel, a UDID or EnrollmentID
	Revoked   time.Time // zero unless it was taken back

	Certificates int // how many certificates were issued for it
}

// Rights are the access rights that a device enrolled by the invitation grants.
func (i Invitation) Rights() ward.AccessRights { return ward.RightsFor(i.Ownership) }

// State says what can still be done with an invitation.
type State string

// The states of an invitation.
const (
	Open    State = "open"
	Used    State = "used"
	Expired State = "expired"
	Revoked State = "revoked"
)

// State returns the state at now. What happened counts before what ran out.
func (i Invitation) State(now time.Time) State {
	switch {
	case !i.Used.IsZero():
		return Used
	case !i.Revoked.IsZero():
		return Revoked
	case !now.Before(i.Expires):
		return Expired
	}
	return Open
}

// Challenge is a one-time secret that stands in one downloaded profile.
type Challenge struct {
	Hash       string // SHA-256 in hexadecimal; the challenge itself is not kept
	Invitation string
	// Identifier is what the device has to order an attested certificate for. Where it is
	// empty the challenge is a password for SCEP: none is good for both.
	Identifier string
	Created    time.Time
	Expires    time.Time
	Redeemed   time.Time // zero until a certificate was issued for it
}

// Store keeps invitations and challenges. Its methods join the unit of work in ctx; a
// missing row is a *ward.Error of kind NotFound.
type Store interface {
	// InsertInvitation keeps a new invitation with the hash of its link's token.
	InsertInvitation(ctx context.Context, i Invitation, tokenHash string) error
	Invitation(ctx context.Context, id string) (Invitation, error)
	InvitationByToken(ctx context.Context, tokenHash string) (Invitation, error)
	// Invitations returns the invitations that match q, newest first, of those that who acts
	// may see.
	Invitations(ctx context.Context, q Query) ([]Invitation, error)
	// CountInvitations returns how many match q, by state; it ignores q's State, Before and
	// Limit.
	CountInvitations(ctx context.Context, q Query) (map[State]int, error)
	// UnusedInvitations returns the invitations for a serial number by which no device has
	// enrolled, revoked and expired ones too, oldest first.
	UnusedInvitations(ctx context.Context, serial string) ([]Invitation, error)
	// RevokeInvitation and UseInvitation change an invitation that is neither used nor
	// revoked, and report whether it was: of several calls at once one succeeds.
	RevokeInvitation(ctx context.Context, id string, at time.Time) (bool, error)
	UseInvitation(ctx context.Context, id, channel string, at time.Time) (bool, error)
	// AttestInvitation binds an invitation to the serial number of a device that attested a
	// key, and has it be Attested from then on. It reports false if the invitation is for
	// another serial number.
	AttestInvitation(ctx context.Context, id, serial string) (bool, error)
	ChallengeStore
}

// ChallengeStore keeps challenges.
type ChallengeStore interface {
	// PutChallenge keeps a challenge in place of the one of its invitation that is not
	// redeemed.
	PutChallenge(ctx context.Context, c Challenge) error
	Challenge(ctx context.Context, hash string) (Challenge, error)
	// SpendChallenge marks a challenge as redeemed and counts a certificate for its
	// invitation. It reports false, and the unit of work must then be given up, if the
	// challenge is redeemed already or the invitation is used, revoked or has limit
	// certificates: of several calls at once one succeeds.
	SpendChallenge(ctx context.Context, hash string, at time.Time, limit int) (bool, error)
}

// Unit runs a function as one unit of work; a nested call joins.
type Unit interface {
	Do(ctx context.Context, fn func(ctx context.Context) error) error
}

// Devices is the list of devices. It takes the device that a new invitation is for.
type Devices interface {
	InsertDevice(ctx context.Context, d ward.Device) error
	// UpdateDevice keeps all of a device but its state.
	UpdateDevice(ctx context.Context, d ward.Device) error
	Device(ctx context.Context, id ward.DeviceID) (ward.Device, error)
	DevicesBySerial(ctx context.Context, serial string) ([]ward.Device, error)
	// Current returns the enrolment that a device is managed by; a *ward.Error of kind
	// NotFound says that there is none.
	Current(ctx context.Context, id ward.DeviceID) (ward.Enrolment, error)
	// MayReenrol reports whether a person lets the device enrol anew while one lives.
	MayReenrol(ctx context.Context, id ward.DeviceID) (bool, error)
}

// Ticket is what stands in one profile, and lets its device get one identity.
type Ticket struct {
	// Challenge is the one-time secret.
	Challenge string
	// Identifier is what the device orders an attested certificate for by ACME. Where it is
	// empty, the device gets its certificate by SCEP.
	Identifier string
}

// Builder makes the enrolment profile of an invitation, not signed.
type Builder interface {
	Profile(ctx context.Context, i Invitation, t Ticket) ([]byte, error)
}
