package enrollment

import (
	"context"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
)

// replace revokes the open invitations for the device that a new one is for: of several
// links for one device the last one made counts. It returns all for that device by which
// none has enrolled.
func (s *Service) replace(ctx context.Context, in *Invited, now time.Time) ([]Invitation, error) {
	if in.Serial == "" {
		return nil, nil
	}
	before, err := s.o.Store.UnusedInvitations(ctx, in.Serial)
	if err != nil {
		return nil, fmt.Errorf("invitations for %s: %w", in.Serial, err)
	}
	for _, old := range before {
		if old.State(now) != Open {
			continue
		}
		if _, err := s.o.Store.RevokeInvitation(ctx, old.ID, now); err != nil {
			return nil, fmt.Errorf("revoke invitation %s: %w", old.ID, err)
		}
		old.Revoked = now
		in.Replaced = append(in.Replaced, old)
		in.Warnings = append(in.Warnings, fmt.Sprintf("It takes the place of the invitation %s for %s, made %s for the same serial number: that link no longer works.", old.ID, old.Name, old.Created.UTC().Format("2 January 2006 at 15:04 UTC")))
	}
	return before, nil
}

// newDevice returns the device that an invitation is for: the one that an earlier invitation
// made and that never enrolled, or a new one. Where a device that did has its serial number,
// that one takes what the new one says when it enrols, and the new one's place: two devices
// never have one serial number.
func (s *Service) newDevice(ctx context.Context, r Request, before []Invitation, now time.Time) (ward.DeviceID, error) {
	serial := r.Serial
	if serial != "" {
		same, err := s.o.Devices.DevicesBySerial(ctx, serial)
		if err != nil {
			return "", fmt.Errorf("devices with serial number %s: %w", serial, err)
		}
		for _, d := range same {
			if !waiting(d, before) {
				continue
			}
			d.Name, d.Platform, d.Ownership, d.Group, d.Site, d.Role, d.Owner, d.Email = r.DeviceName, r.Platform, r.Ownership, r.Group, r.Site, r.Role, r.Name, r.Email
			return d.ID, s.o.Devices.UpdateDevice(ctx, d)
		}
		if len(same) > 0 {
			serial = ""
		}
	}
	id := s.o.NewDevice()
	return id, s.o.Devices.InsertDevice(ctx, ward.Device{
		ID: id, Serial: serial, Name: r.DeviceName, Platform: r.Platform, Ownership: r.Ownership, Group: r.Group, Site: r.Site, Role: r.Role,
		Owner: r.Name, Email: r.Email, State: ward.Invited, Created: now,
	})
}

// waiting reports whether a device was made by one of the invitations and never enrolled.
func waiting(d ward.Device, by []Invitation) bool {
	for _, i := range by {
		if i.Device == d.ID && d.State == ward.Invited {
			return true
		}
	}
	return false
}
