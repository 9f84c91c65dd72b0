package access

import (
	"context"
	"strconv"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/unit"
)

// ActionErased stands in the audit log, without a name, when what was known of a person was
// erased.
const ActionErased = "person.erased"

// ErasedName is what a person is called of whom nothing is known any more.
const ErasedName = "Erased person"

// Erasures takes away what is kept of a person. Its method joins the unit of work in ctx.
type Erasures interface {
	// ErasePerson takes the name, the address, the passphrase, the roles, and the links
	// of a person, revokes the tokens, and keeps the row as one that can never act.
	ErasePerson(ctx context.Context, id ward.PersonID, at time.Time) error
}

// ErasePerson erases what is known of a person who uses Ward: name, address, everything they
// sign in with, and the personal part of the audit log, whose key is deleted. What they did
// stays as done by an erased person. It can't be undone. Conflict means that no
// administrator would be left, or that they stand as an approver, which is to be ended
// first; nobody but an administrator erases somebody who may do more than they.
func (s *Service) ErasePerson(ctx context.Context, id ward.PersonID) error {
	if err := Check(ctx, PersonErase); err != nil {
		return err
	}
	if s.forgets == nil {
		return ward.Errorf(ward.Unavailable, "The audit log can't forget people here.")
	}
	return s.store.Do(ctx, func(ctx context.Context) error {
		_, admins, err := s.store.CountPeople(ctx)
		if err != nil {
			return err
		}
		p, err := s.store.Person(ctx, id)
		if err != nil {
			return err
		}
		switch {
		case !p.ErasedAt.IsZero():
			return ward.Errorf(ward.Conflict, "This person was erased already.")
		case administers(p) && admins <= 1:
			return ward.Errorf(ward.Conflict, "%s is the only administrator. Make someone else one first.", p.Name)
		case p.ID == ward.ActorFrom(ctx).Person:
			return ward.Errorf(ward.Conflict, "You can't erase yourself while you act: ask somebody else to.")
		}
		if err := s.mayChange(ctx, p); err != nil {
			return err
		}
		if s.stands != nil {
			stands, err := s.stands(ctx, id)
			if err != nil {
				return err
			}
			if stands {
				return ward.Errorf(ward.Conflict, "%s stands as an approver, and what an approver signed has to be provable. End that first.", p.Name)
			}
		}
		return s.erase(ctx, p)
	})
}

func (s *Service) erase(ctx context.Context, p Person) error {
	id := p.ID
	if err := s.store.ErasePerson(ctx, id, s.now()); err != nil {
		return err
	}
	if err := s.store.ClearAttempts(ctx, attemptKey(p.Name)); err != nil {
		return err
	}
	if s.erased != nil {
		if err := s.erased(ctx, id); err != nil {
			return err
		}
	}
	unit.AfterCommit(ctx, s.forget)
	parts, err := s.forgets(ctx, id)
	if err != nil && ward.KindOf(err) != ward.NotFound {
		return err
	}
	// Not as said of this person: that would make a new key for somebody who is forgotten.
	return s.audit.Record(ctx, entryAbout(ActionErased, string(id), map[string]string{"parts": strconv.FormatInt(parts, 10)}))
}
