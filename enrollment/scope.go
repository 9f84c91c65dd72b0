package enrollment

import (
	"cmp"
	"context"
	"fmt"

	"github.com/wardmdm/ward"
)

// settle gives a request the one site and the one group that who makes it is bounded to,
// where it names none and is for no device that is known.
func settle(ctx context.Context, r Request) Request {
	scope := ward.ActorFrom(ctx).Scope
	if r.Device == "" && r.Site == "" && len(scope.Sites) == 1 {
		r.Site = scope.Sites[0]
	}
	if r.Device == "" && r.Group == "" && len(scope.Groups) == 1 {
		r.Group = scope.Groups[0]
	}
	return r
}

// bounded refuses a request for a device that who makes it may not see, or that would lead
// where they may not. It says nothing of what lies there.
func (s *Service) bounded(ctx context.Context, r Request) error {
	scope := ward.ActorFrom(ctx).Scope
	if scope.All() {
		return nil
	}
	site, group := r.Site, r.Group
	if r.Device != "" {
		d, err := s.o.Devices.Device(ctx, r.Device)
		if err == nil && !scope.Includes(d.Site, d.Group) {
			err = ward.Errorf(ward.NotFound, "There is no device %s.", r.Device)
		}
		if err != nil {
			return err
		}
		site, group = cmp.Or(site, d.Site), cmp.Or(group, d.Group)
	}
	if !scope.Includes(site, group) {
		return ward.Errorf(ward.Forbidden, "Site %q with group %q lies outside the sites and groups that you may invite into.", site, group)
	}
	if r.Serial == "" {
		return nil
	}
	elsewhere := ward.Errorf(ward.Conflict, "The serial number %s can't be invited here. Ask somebody who sees the whole organisation.", r.Serial)
	same, err := s.o.Devices.DevicesBySerial(ctx, r.Serial)
	if err != nil {
		return fmt.Errorf("devices with serial number %s: %w", r.Serial, err)
	}
	for _, d := range same {
		if !scope.Includes(d.Site, d.Group) {
			return elsewhere
		}
	}
	open, err := s.o.Store.UnusedInvitations(ctx, r.Serial)
	if err != nil {
		return fmt.Errorf("invitations for %s: %w", r.Serial, err)
	}
	for _, i := range open {
		if !scope.Includes(i.Site, i.Group) {
			return elsewhere
		}
	}
	return nil
}
