package credential

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/unit"
)

// Purpose is what the certificate of a challenge is for.
type Purpose string

// The purposes. A challenge begins with its purpose and a hyphen.
const (
	ForNetwork  Purpose = "network"  // Wi-Fi, a VPN or a relay
	ForIdentity Purpose = "identity" // the device's management identity, anew
	ForApp      Purpose = "app"      // an approved app, which holds the identity that its declaration gives it
)

// life is how long a device has to use a challenge. What holds it and reaches the device
// later is refused by the device, and its next delivery holds another.
func (p Purpose) life() time.Duration {
	switch p {
	case ForIdentity: // the command that holds it may wait for a device that is away
		return IdentityLife
	case ForNetwork, ForApp:
	}
	return ChallengeLife
}

// ChallengeLife is how long a challenge for a network or an app is good, and IdentityLife
// how long one for a new identity is.
const (
	ChallengeLife = 24 * time.Hour
	IdentityLife  = 7 * 24 * time.Hour
)

// MaxChallenges is how many challenges of one enrolment and purpose may be open. A device
// may fetch a profile twice and use what it got first, and several profiles may be on their
// way, so that a new challenge takes the place of none but the oldest beyond this number.
const MaxChallenges = 32

// challengeEncoding keeps, as the prefixes do, to the characters of ASN.1's
// PrintableString, in which some SCEP clients send a challenge.
var challengeEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// ChallengeGrant is what a challenge stands for.
type ChallengeGrant struct {
	Purpose   Purpose
	Device    ward.DeviceID
	Enrolment ward.EnrolmentID
	// Profile is the SHA-256 of the profile that the challenge stands in, before the
	// device's own values were put into it, in hexadecimal. ForNetwork only.
	Profile string
	// App is the bundle id. ForApp only.
	App string
	// Attested is set where the challenge is good for a key that hardware attests, by
	// ACME, and for no other; otherwise it is good for SCEP alone.
	Attested bool
	// RenewedFrom is the serial number of the certificate that the new one follows, or
	// empty. ForIdentity needs it.
	RenewedFrom string
}

// check returns an error unless the grant has what its purpose needs, and nothing of
// another.
func (g ChallengeGrant) check() error {
	held := g.Device != "" && g.Enrolment != ""
	ok := false
	switch g.Purpose {
	case ForNetwork:
		ok = g.Profile != "" && g.App == ""
	case ForApp:
		ok = g.App != "" && g.Profile == ""
	case ForIdentity:
		ok = g.RenewedFrom != "" && g.App == "" && g.Profile == ""
	}
	if !held || !ok {
		return ward.Errorf(ward.Internal, "A challenge for the purpose %q lacks something that it is for.", g.Purpose)
	}
	return nil
}

// ChallengeStore keeps open challenges by their SHA-256.
type ChallengeStore interface {
	unit.Unit
	// Keep keeps challenges of one grant, and of the enrolment's of that purpose the newest
	// limit that are not expired.
	Keep(ctx context.Context, hashes []string, g ChallengeGrant, issued, expires time.Time, limit int) error
	// FindChallenge returns the grant of a challenge that is open at t and whose enrolment
	// is active and the device's; otherwise a *ward.Error of kind Forbidden.
	FindChallenge(ctx context.Context, hash string, t time.Time) (ChallengeGrant, error)
	// BurnChallenge uses the challenge up. Of several calls with one challenge one
	// succeeds, the others return a *ward.Error of kind Forbidden.
	BurnChallenge(ctx context.Context, hash string, t time.Time) error
}

// Judge says whether a device deserves a certificate for an app now, and whether the app is
// to have one at all. The refusal is a *ward.Error of kind Forbidden that says why in words
// for people.
type Judge interface {
	Deserves(ctx context.Context, id ward.DeviceID, app string) error
}

// Challenges issues the one-time challenges by which devices get certificates after they
// have enrolled, and spends them.
type Challenges struct {
	Store   ChallengeStore
	Devices Devices
	Judge   Judge // nil thinks well of every device
	Audit   Recorder
	Now     func() time.Time
}

// Issue makes n challenges of one grant; each gets one certificate. It joins the unit of
// work in ctx. It is no matter here whether the device may have a certificate: that counts
// when it asks for one. More than MaxChallenges are an error of kind Invalid, for nothing
// can use them.
func (s *Challenges) Issue(ctx context.Context, g ChallengeGrant, n int) ([]string, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	if n < 1 || n > MaxChallenges {
		return nil, ward.Errorf(ward.Invalid, "A profile may hold 1 to %d certificates for a %s, not %d.", MaxChallenges, g.Purpose, n)
	}
	challenges, hashes := make([]string, n), make([]string, n)
	for i := range n {
		raw := make([]byte, 32)
		rand.Read(raw)
		challenges[i] = string(g.Purpose) + "-" + challengeEncoding.EncodeToString(raw)
		hashes[i] = hash(challenges[i])
	}
	now := s.Now()
	if err := s.Store.Keep(ctx, hashes, g, now, now.Add(g.Purpose.life()), MaxChallenges); err != nil {
		return nil, err
	}
	return challenges, nil
}

// IsChallenge reports whether a text has the form of the challenges that Challenges issues.
func IsChallenge(text string) bool {
	for _, p := range []Purpose{ForNetwork, ForIdentity, ForApp} {
		if strings.HasPrefix(text, string(p)+"-") {
			return true
		}
	}
	return false
}

// Lookup says what a challenge grants now, and changes nothing. A challenge that is
// unknown, used or expired, and a device that may have no such certificate now, are a
// *ward.Error of kind Forbidden.
func (s *Challenges) Lookup(ctx context.Context, challenge string) (ChallengeGrant, error) {
	g, err := s.Store.FindChallenge(ctx, hash(challenge), s.Now())
	if err != nil {
		return ChallengeGrant{}, err
	}
	return g, s.Permits(ctx, g.Purpose, g.Device, g.App)
}

// Redeem spends a challenge for the certificate with the serial number. It belongs in the
// unit of work that records the certificate: a report of loss may have come while the
// certificate was signed, and then it is refused as by Lookup.
func (s *Challenges) Redeem(ctx context.Context, challenge, serial string) error {
	return s.Store.Do(ctx, func(ctx context.Context) error {
		g, err := s.Lookup(ctx, challenge)
		if err != nil {
			return err
		}
		if err := s.Store.BurnChallenge(ctx, hash(challenge), s.Now()); err != nil {
			return err
		}
		ctx = ward.WithActor(ctx, ward.Actor{Name: string(g.Device), Via: ward.ViaDevice, Device: g.Device})
		detail := map[string]string{"for": string(g.Purpose), "enrolment": string(g.Enrolment), "serial": serial}
		for key, value := range map[string]string{"profile": g.Profile, "app": g.App, "renewed_from": g.RenewedFrom} {
			if value != "" {
				detail[key] = value
			}
		}
		return s.Audit.Record(ctx, "certificate.issued", string(g.Device), detail)
	})
}

// Permits says whether a device may have a certificate for a purpose now, ForApp for the app
// with the bundle id; a *ward.Error of kind Forbidden says why it may not. The management identity is renewed whatever becomes
// of the device, or nothing could reach it any more, until it has left.
func (s *Challenges) Permits(ctx context.Context, p Purpose, id ward.DeviceID, app string) error {
	d, err := s.Devices.Device(ctx, id)
	if err != nil {
		return err
	}
	if p == ForIdentity {
		if d.State != ward.Managed && d.State != ward.Lost {
			return ward.Errorf(ward.Forbidden, "This device is %s: its management identity is not renewed.", d.State)
		}
		return nil
	}
	if err := fit(d, p); err != nil || p == ForNetwork || s.Judge == nil {
		return err
	}
	return s.Judge.Deserves(ctx, id, app)
}

// fit refuses a device that is not managed or waits to be sorted.
func fit(d ward.Device, p Purpose) error {
	if d.State != ward.Managed {
		return ward.Errorf(ward.Forbidden, "This device is %s: it gets no %s certificate.", d.State, p)
	}
	if d.Group == fleet.QuarantineGroup {
		return ward.Errorf(ward.Forbidden, "This device is in quarantine: it gets no %s certificate until a person has sorted it.", p)
	}
	return nil
}
