package enrollment

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/wardmdm/ward"
)

// The actions that stand in the audit log. Their subject is the invitation.
const (
	ActionInvited = "invitation.created"
	ActionRevoked = "invitation.revoked"
)

// Filter says which invitations are meant. The zero Filter means all that the actor may see.
type Filter struct {
	State  State  // empty: any
	Search string // part of a person's name, an e-mail address, a device's name or a serial number
	Before string // the id of the last invitation already seen; empty for the first page
	Limit  int    // bounded to 1…200; 0 means 50
}

// Query is a Filter in the words of the store.
type Query struct {
	State  State
	Search string // lower case; empty matches everything
	Before string
	Limit  int
	Now    time.Time // by which it is judged what has expired
}

// Invitation returns an invitation.
func (s *Service) Invitation(ctx context.Context, id string) (Invitation, error) {
	return s.o.Store.Invitation(ctx, id)
}

// List returns up to limit invitations, newest first: those after the one with the id
// before, or from the newest if it is empty. limit is bounded to 1…200.
func (s *Service) List(ctx context.Context, before string, limit int) ([]Invitation, error) {
	return s.Search(ctx, Filter{Before: before, Limit: max(limit, 1)})
}

// Search returns the invitations meant, newest first, of those in the actor's scope.
func (s *Service) Search(ctx context.Context, f Filter) ([]Invitation, error) {
	if f.Limit == 0 {
		f.Limit = 50
	}
	return s.o.Store.Invitations(ctx, s.query(f))
}

func (s *Service) query(f Filter) Query {
	return Query{
		State: f.State, Search: strings.ToLower(strings.TrimSpace(f.Search)), Before: f.Before, Limit: min(max(f.Limit, 1), 200),
		Now: s.o.Now().UTC(),
	}
}

// Counts returns how many invitations there are of each state, of those meant and whatever
// state the filter names.
func (s *Service) Counts(ctx context.Context, f Filter) (map[State]int, error) {
	f.State, f.Before = "", ""
	return s.o.Store.CountInvitations(ctx, s.query(f))
}

// Revoke takes an invitation back. Taking it back again does nothing; one that a device
// has enrolled by is a conflict.
func (s *Service) Revoke(ctx context.Context, id string) (Invitation, error) {
	var inv Invitation
	err := s.o.Unit.Do(ctx, func(ctx context.Context) error {
		if _, err := s.Invitation(ctx, id); err != nil {
			return err
		}
		done, err := s.o.Store.RevokeInvitation(ctx, id, s.o.Now().UTC())
		if err != nil {
			return fmt.Errorf("revoke invitation %s: %w", id, err)
		}
		if inv, err = s.o.Store.Invitation(ctx, id); err != nil {
			return err
		}
		if !inv.Used.IsZero() {
			return ward.Errorf(ward.Conflict, "A device has already enrolled by this invitation. End that device's management instead.")
		}
		if !done {
			return nil
		}
		return s.recordRevoked(ctx, inv, "")
	})
	return inv, err
}

// Renew makes an invitation anew: the same for the same device, with a new link. The old
// one is revoked if it is open; one that a device has enrolled by is a conflict.
func (s *Service) Renew(ctx context.Context, id string) (Invited, error) {
	var out Invited
	err := s.o.Unit.Do(ctx, func(ctx context.Context) error {
		old, err := s.Invitation(ctx, id)
		if err != nil {
			return err
		}
		if old.State(s.o.Now()) == Open {
			if _, err := s.Revoke(ctx, id); err != nil {
				return err
			}
		}
		if !old.Used.IsZero() {
			return ward.Errorf(ward.Conflict, "A device has already enrolled by this invitation. Make a new invitation for another device.")
		}
		r := Request{
			Name: old.Name, Email: old.Email, DeviceName: old.DeviceName, Platform: old.Platform, Ownership: old.Ownership, Group: old.Group, Site: old.Site, Role: old.Role,
			Supervised: old.Supervised, Serial: old.Serial, Identity: old.Identity, Device: old.Device,
		}
		out, err = s.Create(ctx, r)
		return err
	})
	return out, err
}

// Check adds to rows of a file what is wrong with them beyond the file itself: what the
// actor may not invite for, what the rules forbid, and devices that are enrolled already.
func (s *Service) Check(ctx context.Context, rows []StaffRow) error {
	for i := range rows {
		r := settle(ctx, rows[i].Request.normalise())
		if len(rows[i].Mistakes) > 0 {
			continue
		}
		rows[i].Mistakes = s.mistakes(r)
		err := s.bounded(ctx, r)
		if e, ok := errors.AsType[*ward.Error](err); ok {
			rows[i].Mistakes = append(rows[i].Mistakes, e.Message)
			continue
		}
		if err != nil {
			return err
		}
		why, err := s.conflict(ctx, r.Serial)
		if err != nil {
			return err
		}
		if why != "" {
			rows[i].Mistakes = append(rows[i].Mistakes, why)
		}
	}
	return nil
}

func (s *Service) recordInvited(ctx context.Context, i Invited) error {
	if s.o.Record == nil {
		return nil
	}
	for _, old := range i.Replaced {
		if err := s.recordRevoked(ctx, old, i.ID); err != nil {
			return err
		}
	}
	detail := map[string]string{"device": string(i.Device), "ownership": string(i.Ownership), "group": i.Group}
	if i.Serial != "" {
		detail["serial"] = i.Serial
	}
	if i.Identity != "" {
		detail["identity"] = string(i.Identity)
	}
	return s.o.Record(ctx, ActionInvited, i.ID, detail)
}

// recordRevoked records that an invitation was revoked; by is the one that takes its place,
// or empty.
func (s *Service) recordRevoked(ctx context.Context, i Invitation, by string) error {
	if s.o.Record == nil {
		return nil
	}
	detail := map[string]string{"device": string(i.Device)}
	if by != "" {
		detail["replaced_by"] = by
	}
	return s.o.Record(ctx, ActionRevoked, i.ID, detail)
}
