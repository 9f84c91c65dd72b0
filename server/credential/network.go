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

// ChallengeLife is how long a device has to use a network challenge. A profile that
// reaches it later is refused by the device, and its next delivery holds another.
const ChallengeLife = 24 * time.Hour

// MaxChallenges is how many challenges of one enrolment may be open. A device may fetch a
// profile twice and use what it got first, and several profiles may be on their way, so
// that a new challenge takes the place of none but the oldest beyond this number.
const MaxChallenges = 32

// challengePrefix tells a network challenge from an invitation's. Like the rest of it, it
// keeps to the characters of ASN.1's PrintableString, in which some SCEP clients send it.
const challengePrefix = "network-"

var challengeEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NetworkGrant is what a network challenge stands for.
type NetworkGrant struct {
	Device    ward.DeviceID
	Enrolment ward.EnrolmentID
	// Profile is the SHA-256 of the profile that the challenge stands in, before the
	// device's own values were put into it, in hexadecimal.
	Profile string
}

// NetworkStore keeps open challenges by their SHA-256.
type NetworkStore interface {
	unit.Unit
	// Keep keeps challenges of one grant, and of the enrolment's the newest limit that are
	// not expired.
	Keep(ctx context.Context, hashes []string, g NetworkGrant, issued, expires time.Time, limit int) error
	// FindChallenge returns the grant of a challenge that is open at t and whose enrolment
	// is active and the device's; otherwise a *ward.Error of kind Forbidden.
	FindChallenge(ctx context.Context, hash string, t time.Time) (NetworkGrant, error)
	// BurnChallenge uses the challenge up. Of several calls with one challenge one
	// succeeds, the others return a *ward.Error of kind Forbidden.
	BurnChallenge(ctx context.Context, hash string, t time.Time) error
}

// Networks issues the one-time challenges by which devices get certificates for Wi-Fi,
// VPN and relays, and spends them.
type Networks struct {
	Store   NetworkStore
	Devices Devices
	Audit   Recorder
	Now     func() time.Time
}

// Issue makes n challenges for a profile on an enrolment; each gets one certificate. It
// joins the unit of work in ctx. It is no matter here whether the device may have a
// certificate: that counts when it asks for one. More than MaxChallenges are an error of
// kind Invalid, for no profile can use them.
func (s *Networks) Issue(ctx context.Context, g NetworkGrant, n int) ([]string, error) {
	if n < 1 || n > MaxChallenges {
		return nil, ward.Errorf(ward.Invalid, "A profile may hold 1 to %d network certificates, not %d.", MaxChallenges, n)
	}
	challenges, hashes := make([]string, n), make([]string, n)
	for i := range n {
		raw := make([]byte, 32)
		rand.Read(raw)
		challenges[i] = challengePrefix + challengeEncoding.EncodeToString(raw)
		hashes[i] = hash(challenges[i])
	}
	now := s.Now()
	if err := s.Store.Keep(ctx, hashes, g, now, now.Add(ChallengeLife), MaxChallenges); err != nil {
		return nil, err
	}
	return challenges, nil
}

// IsNetwork reports whether a challenge has the form of those that Networks issues.
func IsNetwork(challenge string) bool { return strings.HasPrefix(challenge, challengePrefix) }

// Lookup says what a challenge grants now, and changes nothing. A challenge that is
// unknown, used or expired, and a device that may have no certificate now, are a
// *ward.Error of kind Forbidden.
func (s *Networks) Lookup(ctx context.Context, challenge string) (NetworkGrant, error) {
	g, err := s.Store.FindChallenge(ctx, hash(challenge), s.Now())
	if err != nil {
		return NetworkGrant{}, err
	}
	return g, s.allowed(ctx, g.Device)
}

// Redeem spends a challenge for the certificate with the serial number. It belongs in the
// unit of work that records the certificate: a report of loss may have come while the
// certificate was signed, and then it is refused as by Lookup.
func (s *Networks) Redeem(ctx context.Context, challenge, serial string) error {
	return s.Store.Do(ctx, func(ctx context.Context) error {
		g, err := s.Lookup(ctx, challenge)
		if err != nil {
			return err
		}
		if err := s.Store.BurnChallenge(ctx, hash(challenge), s.Now()); err != nil {
			return err
		}
		ctx = ward.WithActor(ctx, ward.Actor{Name: string(g.Device), Via: ward.ViaDevice, Device: g.Device})
		return s.Audit.Record(ctx, "certificate.issued", string(g.Device), map[string]string{
			"for": "network", "profile": g.Profile, "enrolment": string(g.Enrolment), "serial": serial,
		})
	})
}

func (s *Networks) allowed(ctx context.Context, id ward.DeviceID) error {
	d, err := s.Devices.Device(ctx, id)
	if err != nil {
		return err
	}
	if d.State != ward.Managed {
		return ward.Errorf(ward.Forbidden, "This device is %s: it gets no network certificate.", d.State)
	}
	if d.Group == fleet.QuarantineGroup {
		return ward.Errorf(ward.Forbidden, "This device is in quarantine: it gets no network certificate until a person has sorted it.")
	}
	return nil
}
