package enrollment

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/wardmdm/ward"
)

// Options are what a Service works with. All but Attestation, OffBecause, AllowUnlisted,
// Outside, Record and Rand are required.
type Options struct {
	Store    Store
	Unit     Unit
	Devices  Devices
	Profiles Builder
	// NewDevice makes the id of a new device.
	NewDevice func() ward.DeviceID
	// Attestation is the rule for identities; empty means AttestationOff.
	Attestation Attestation
	// OffBecause is a sentence for people that says why AttestationOff holds; empty: it was
	// configured.
	OffBecause string
	// AllowUnlisted has AttestationRequired let an invitation that names no serial number be
	// used by any device that attests one, also by one that is not in the list of devices.
	AllowUnlisted bool
	// Outside says that identities by SCEP come from another authority: what stands in
	// profiles is then a ticket, as OutsideChallenge has it.
	Outside bool
	// Record writes the audit log in the unit of work in ctx; nil records nothing. The
	// person of an invitation is told there and not in the log.
	Record func(ctx context.Context, action, subject string, detail map[string]string) error
	// Now is the clock.
	Now func() time.Time
	// Rand is where secrets come from; nil means crypto/rand. Only tests set it.
	Rand io.Reader
}

// Service makes invitations and sees them through to an enrolled device. It is safe
// for concurrent use, also by several processes on one database.
type Service struct{ o Options }

// New returns a Service.
func New(o Options) (*Service, error) {
	if o.Store == nil || o.Unit == nil || o.Devices == nil || o.Profiles == nil || o.NewDevice == nil || o.Now == nil {
		return nil, errors.New("enrollment: store, unit, devices, profiles, ids and clock are all needed")
	}
	if o.Attestation = cmp.Or(o.Attestation, AttestationOff); !o.Attestation.Valid() {
		return nil, fmt.Errorf("enrollment: the rule of attestation %q is not known", o.Attestation)
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	return &Service{o}, nil
}

// Invited is a new invitation with the token of its link. The token is shown once:
// only its hash is kept.
type Invited struct {
	Invitation
	Token string
	// Replaced are the open invitations for the same device, which were revoked for it.
	Replaced []Invitation
	// Warnings are sentences for whoever made it.
	Warnings []string
}

// Create makes an invitation and, unless one is named, the device it is for. All
// mistakes are reported at once; the serial number of a device that is enrolled is a
// Conflict. An open invitation for the same serial number is revoked. It joins the unit of work in ctx.
func (s *Service) Create(ctx context.Context, r Request) (Invited, error) {
	r = settle(ctx, r.normalise())
	if m := s.mistakes(r); len(m) > 0 {
		return Invited{}, &ward.Error{Kind: ward.Invalid, Message: "The invitation cannot be made.", Details: m}
	}
	var out Invited
	err := s.o.Unit.Do(ctx, func(ctx context.Context) error {
		if err := s.bounded(ctx, r); err != nil {
			return err
		}
		why, err := s.conflict(ctx, r.Serial)
		if err != nil {
			return err
		}
		if why != "" {
			return ward.Errorf(ward.Conflict, "%s", why)
		}
		out, err = s.create(ctx, r)
		return err
	})
	return out, err
}

// CreateMany makes an invitation for each request, or none if any has a mistake; all
// mistakes are reported at once, with the position of their request from 1.
func (s *Service) CreateMany(ctx context.Context, rs []Request) ([]Invited, error) {
	if len(rs) == 0 || len(rs) > maxStaff {
		return nil, ward.Errorf(ward.Invalid, "Between 1 and %d invitations can be made at a time, not %d.", maxStaff, len(rs))
	}
	var wrong []string
	first := map[string]int{} // the first request with a serial number
	rs = slices.Clone(rs)
	for i, r := range rs {
		r = settle(ctx, r.normalise())
		rs[i] = r
		m := s.mistakes(r)
		if n := first[r.Serial]; n > 0 && r.Serial != "" {
			m = append(m, fmt.Sprintf("It has the serial number %s, as invitation %d has.", r.Serial, n))
		} else {
			first[r.Serial] = i + 1
		}
		for _, m := range m {
			wrong = append(wrong, fmt.Sprintf("Invitation %d: %s", i+1, m))
		}
	}
	if len(wrong) > 0 {
		return nil, &ward.Error{Kind: ward.Invalid, Message: "No invitation was made, because of mistakes.", Details: wrong}
	}
	var out []Invited
	err := s.o.Unit.Do(ctx, func(ctx context.Context) error {
		for i, r := range rs {
			if err := s.bounded(ctx, r); err != nil {
				e, ok := errors.AsType[*ward.Error](err)
				if !ok {
					return err
				}
				return ward.Errorf(e.Kind, "Invitation %d: %s", i+1, e.Message)
			}
		}
		if err := s.conflicts(ctx, rs); err != nil {
			return err
		}
		out = make([]Invited, 0, len(rs)) // fn may run again
		for _, r := range rs {
			in, err := s.create(ctx, r.normalise())
			if err != nil {
				return err
			}
			out = append(out, in)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// conflicts reports every request whose device is enrolled.
func (s *Service) conflicts(ctx context.Context, rs []Request) error {
	var taken []string
	for i, r := range rs {
		why, err := s.conflict(ctx, r.normalise().Serial)
		if err != nil {
			return err
		}
		if why != "" {
			taken = append(taken, fmt.Sprintf("Invitation %d: %s", i+1, why))
		}
	}
	if len(taken) == 0 {
		return nil
	}
	return &ward.Error{Kind: ward.Conflict, Message: "No invitation was made, because of devices that are enrolled.", Details: taken}
}

// create writes one invitation and its device within the unit of work in ctx.
func (s *Service) create(ctx context.Context, r Request) (Invited, error) {
	now := s.o.Now().UTC()
	id, err := s.newID(now)
	if err != nil {
		return Invited{}, err
	}
	secret, err := s.random(32)
	if err != nil {
		return Invited{}, err
	}
	in := Invited{Token: base64.RawURLEncoding.EncodeToString(secret), Invitation: Invitation{
		ID: id, Name: r.Name, Email: r.Email, DeviceName: r.DeviceName, Platform: r.Platform, Ownership: r.Ownership,
		Group: r.Group, Site: r.Site, Role: r.Role, Supervised: r.Supervised, Serial: r.Serial, Identity: r.Identity, Device: r.Device,
		Created: now, CreatedBy: ward.ActorFrom(ctx).Name, Expires: now.Add(r.Life),
	}}
	if r.Device != "" {
		if in.Serial, err = s.checkDevice(ctx, r); err != nil {
			return Invited{}, fmt.Errorf("device of invitation: %w", err)
		}
	}
	before, err := s.replace(ctx, &in, now)
	if err != nil {
		return Invited{}, err
	}
	if r.Device == "" {
		if in.Device, err = s.newDevice(ctx, r, before, now); err != nil {
			return Invited{}, fmt.Errorf("device of invitation: %w", err)
		}
	}
	if in.Serial == "" && s.o.Attestation == AttestationRequired && !s.o.AllowUnlisted {
		in.Warnings = append(in.Warnings, "It names no serial number, so only a device that is in the list of devices already can use it (enrolment.attestation is required). Invite a new device by its serial number.")
	}
	if err := s.o.Store.InsertInvitation(ctx, in.Invitation, hash(in.Token)); err != nil {
		return Invited{}, fmt.Errorf("keep invitation: %w", err)
	}
	return in, s.recordInvited(ctx, in)
}

// checkDevice refuses an invitation that would change what a known device is: a
// personal device must not become one that can be erased. It returns the device's serial
// number, "" if neither the request nor the list knows it.
func (s *Service) checkDevice(ctx context.Context, r Request) (string, error) {
	d, err := s.o.Devices.Device(ctx, r.Device)
	if err != nil {
		return "", err
	}
	if d.Ownership != r.Ownership || d.Platform != r.Platform {
		return "", ward.Errorf(ward.Conflict, "The device %s is a %s %s device; the invitation is for a %s %s one.", d.ID, d.Ownership, d.Platform, r.Ownership, r.Platform)
	}
	if d.Serial != "" && r.Serial != "" && d.Serial != r.Serial {
		return "", ward.Errorf(ward.Conflict, "The device %s has the serial number %s, not %s. Leave one of the two out.", d.ID, d.Serial, r.Serial)
	}
	return cmp.Or(d.Serial, r.Serial), nil
}

// newID returns an id that sorts by time: 48 bits of milliseconds, 80 random ones.
func (s *Service) newID(now time.Time) (string, error) {
	b, err := s.random(16)
	if err != nil {
		return "", err
	}
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(b, ms[2:])
	return idEncoding.EncodeToString(b), nil
}

func (s *Service) random(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(s.o.Rand, b); err != nil {
		return nil, fmt.Errorf("random bytes: %w", err)
	}
	return b, nil
}

var (
	// idEncoding keeps the order of the bytes.
	idEncoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)
	// challengeEncoding uses only characters of ASN.1's PrintableString, in which some
	// SCEP clients send the challenge.
	challengeEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
)

// hash is how a secret of 256 random bits is kept: it needs no salt and no slowness.
func hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
