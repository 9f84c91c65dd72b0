package posture

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/wardmdm/ward"
)

// Placement says where a device belongs. What is nil stays as it is.
type Placement struct {
	Group *string // not empty
	Site  *string // empty: none
	Role  *string // the staff role; empty: none
}

// maxPlace is the longest name of a group, a site or a role, in characters.
const maxPlace = 100

// Move puts a device into another group, and plans it for that.
func (r *Reader) Move(ctx context.Context, id ward.DeviceID, group string) error {
	return r.Place(ctx, id, Placement{Group: &group})
}

// Place says where a device belongs from now on, and plans it for that: the policy may
// want something else of it there. Who is bounded to sites and groups moves it within them.
func (r *Reader) Place(ctx context.Context, id ward.DeviceID, p Placement) error {
	if p == (Placement{}) {
		return ward.Errorf(ward.Invalid, "Name a group, a site or a role to move the device to.")
	}
	return r.Store.Do(ctx, func(ctx context.Context) error {
		d, err := r.device(ctx, id)
		if err != nil {
			return err
		}
		detail := map[string]string{}
		for _, part := range []struct {
			name string
			to   *string
			of   *string
			from string
		}{
			{"group", p.Group, &d.Group, ""}, {"site", p.Site, &d.Site, "site "}, {"role", p.Role, &d.Role, "role "},
		} {
			if part.to == nil {
				continue
			}
			to := strings.TrimSpace(*part.to)
			if part.name == "group" && to == "" || utf8.RuneCountInString(to) > maxPlace {
				return ward.Errorf(ward.Invalid, "%s: a name of at most %d characters is needed.", part.name, maxPlace)
			}
			detail[part.from+"from"], detail[part.from+"to"] = *part.of, to
			*part.of = to
		}
		if !ward.ActorFrom(ctx).Scope.Includes(d.Site, d.Group) {
			return ward.Errorf(ward.Forbidden, "Site %q with group %q lies outside the sites and groups that you may see, so you can't move the device there.", d.Site, d.Group)
		}
		if err := r.Store.UpdateDevice(ctx, d); err != nil {
			return err
		}
		if err := r.Audit.Record(ctx, "device.moved", string(id), detail); err != nil {
			return fmt.Errorf("move device %s: %w", id, err)
		}
		return r.Loop.Replan(ctx, id)
	})
}
