package server

import (
	"context"
	"fmt"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
)

// returnProfile makes the enrolment profile by which an erased phone comes back by itself: an
// invitation for exactly this device, in the unit of work in ctx, which takes the place of an
// open one for its serial number. Both last as long as the command may wait for the device.
func (s *Server) returnProfile(ctx context.Context, d ward.Device, e ward.Enrolment) ([]byte, error) {
	if d.Serial == "" {
		return nil, ward.Errorf(ward.Conflict, "The serial number of %s is not known, so no profile can be made that only it may use.", d.Name)
	}
	inv, err := s.Enrolment.Create(ctx, enrollment.Request{
		Name: or(d.Owner, d.Name), Email: d.Email, DeviceName: d.Name, Platform: d.Platform, Ownership: d.Ownership, Group: d.Group, Site: d.Site, Role: d.Role,
		Supervised: e.Supervised == ward.Supervised, Serial: d.Serial, Device: d.ID, Life: enrollment.MaxLife,
	})
	if err != nil {
		return nil, fmt.Errorf("invite %s back: %w", d.ID, err)
	}
	_, profile, err := s.Enrolment.OpenFor(ctx, inv.Token, "", enrollment.MaxLife)
	if err != nil {
		return nil, fmt.Errorf("profile for the way back of %s: %w", d.ID, err)
	}
	return profile, nil // signed when it is delivered
}

// or returns a unless it is empty.
func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
