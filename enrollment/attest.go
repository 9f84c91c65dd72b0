package enrollment

import (
	"cmp"
	"context"
	"fmt"

	"github.com/wardmdm/ward"
)

// Identity is the way in which a device gets its management identity.
type Identity string

// The ways to an identity.
const (
	// Attested is by ACME: the key is made in the device's secure element, and the device
	// proves that, and which device it is, by Apple's word.
	Attested Identity = "attested"
	// SCEP is by a one-time password. Whoever holds the link may have the identity, and its
	// key may be anywhere.
	SCEP Identity = "scep"
)

// Attestation is the rule for how the devices of invitations get their identities.
type Attestation string

// The rules.
const (
	// AttestationOff gives every identity by SCEP.
	AttestationOff Attestation = "off"
	// AttestationPreferred gives an attested identity to the devices that are known to be
	// able to have one, and one by SCEP to all others.
	AttestationPreferred Attestation = "preferred"
	// AttestationRequired gives attested identities only, and only to the devices that an
	// invitation or the list of devices names.
	AttestationRequired Attestation = "required"
)

// Valid reports whether a is one of the rules.
func (a Attestation) Valid() bool {
	return a == AttestationOff || a == AttestationPreferred || a == AttestationRequired
}

// Grant is what a challenge lets its bearer have.
type Grant struct {
	Invitation
	// Identifier is what an attested certificate has to be ordered for; where it is empty
	// the certificate is given by SCEP.
	Identifier string
}

// MustAttest reports whether only a device that has attested its key may enrol by an
// invitation.
func (s *Service) MustAttest(i Invitation) bool {
	return s.o.Attestation == AttestationRequired || i.Identity == Attested
}

// MayChoose reports whether whoever opens the link of an invitation may choose an identity
// by SCEP in the place of an attested one.
func (s *Service) MayChoose(i Invitation) bool {
	return s.o.Attestation == AttestationPreferred && i.Identity == ""
}

// identity decides how the device that opens a link gets its identity. wish is what is
// known of the device or was asked for, or empty.
func (s *Service) identity(i Invitation, wish Identity) (Identity, error) {
	if why := s.forbids(i.Identity); why != "" {
		return "", ward.Errorf(ward.Forbidden, "%s Ask IT for a new invitation.", why)
	}
	switch {
	case s.MustAttest(i):
		return Attested, nil
	case s.MayChoose(i) && wish == Attested:
		return Attested, nil
	}
	return SCEP, nil
}

// forbids says why the rule forbids an identity that was pinned, or returns "".
func (s *Service) forbids(pinned Identity) string {
	switch {
	case pinned == SCEP && s.o.Attestation == AttestationRequired:
		return "An identity by SCEP can't be given: here every device has to prove that its key can't leave it (enrolment.attestation is required)."
	case pinned == Attested && s.o.Attestation == AttestationOff:
		return "An attested identity can't be given: " + cmp.Or(s.o.OffBecause, "attestation is switched off here (enrolment.attestation is off).")
	}
	return ""
}

// mistakes returns every mistake of a request, also those that only the rule
// makes one.
func (s *Service) mistakes(r Request) []string {
	var m []string
	for _, x := range r.Mistakes() {
		m = append(m, x.Text)
	}
	if why := s.forbids(r.Identity); why != "" {
		m = append(m, why)
	}
	return m
}

// stale says why a challenge is no longer good for the kind of identity that it was made
// for, if it is not: the rule or the invitation may have changed since.
func (s *Service) stale(g Grant) error {
	switch {
	case g.Identifier == "" && s.MustAttest(g.Invitation):
		return ward.Errorf(ward.Forbidden, "This profile gets its identity by SCEP, which is not allowed any more. Open the link again for a new profile.")
	case g.Identifier != "" && s.o.Attestation == AttestationOff:
		return ward.Errorf(ward.Forbidden, "This profile asks for an attested identity, which is switched off now. Open the link again for a new profile.")
	}
	return nil
}

// Permit says whether the device whose hardware attested a key, and named serial, may have
// what a challenge grants. It changes nothing, and belongs in the unit of work that
// redeems the challenge too, which Redeem sees to. A refusal is a *ward.Error of kind
// Forbidden.
func (s *Service) Permit(ctx context.Context, challenge, serial string) error {
	g, err := s.Lookup(ctx, challenge)
	if err != nil {
		return err
	}
	return s.permit(ctx, g, serial)
}

func (s *Service) permit(ctx context.Context, g Grant, serial string) error {
	switch {
	case g.Identifier == "":
		return ward.Errorf(ward.Forbidden, "This profile asks for no attestation.")
	case serial == "":
		return ward.Errorf(ward.Forbidden, "The attestation names no serial number.")
	case g.Serial != "" && g.Serial != serial:
		return ward.Errorf(ward.Forbidden, "This invitation is for the device with the serial number %s, not for %s.", g.Serial, short(serial))
	}
	known, holder, err := s.enrolled(ctx, serial)
	switch {
	case err != nil:
		return err
	case holder != nil:
		return ward.Errorf(ward.Forbidden, "The device with the serial number %s is enrolled already. Remove its management first, or have IT release it for a new enrolment.", short(serial))
	case g.Serial == "" && !known && s.o.Attestation == AttestationRequired && !s.o.AllowUnlisted:
		return ward.Errorf(ward.Forbidden, "The device with the serial number %s is in no invitation and not in the list of devices. Have IT invite it by that number.", short(serial))
	}
	return nil
}

// enrolled says whether a device has the serial number, and returns the one that is
// enrolled and that nobody has released for a new enrolment, nil if there is none.
func (s *Service) enrolled(ctx context.Context, serial string) (known bool, holder *ward.Device, err error) {
	all, err := s.o.Devices.DevicesBySerial(ctx, serial)
	if err != nil {
		return false, nil, fmt.Errorf("devices with serial number %s: %w", serial, err)
	}
	for i, d := range all {
		_, err := s.o.Devices.Current(ctx, d.ID)
		if ward.KindOf(err) == ward.NotFound {
			continue
		}
		if err != nil {
			return false, nil, fmt.Errorf("enrolment of %s: %w", d.ID, err)
		}
		released, err := s.o.Devices.MayReenrol(ctx, d.ID)
		if err != nil {
			return false, nil, fmt.Errorf("release of %s: %w", d.ID, err)
		}
		if !released {
			return true, &all[i], nil
		}
	}
	return len(all) > 0, nil, nil
}

// conflict says why no invitation can be made for a serial number, "" if one can.
func (s *Service) conflict(ctx context.Context, serial string) (string, error) {
	if serial == "" {
		return "", nil
	}
	_, holder, err := s.enrolled(ctx, serial)
	if err != nil || holder == nil {
		return "", err
	}
	return fmt.Sprintf("The device with the serial number %s is enrolled already, as %q. Remove its management first, or let it enrol anew: ward device release %s", serial, holder.Name, serial), nil
}
