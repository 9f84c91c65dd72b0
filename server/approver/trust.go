package approver

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
)

// Trust makes pending approvers founders: their statements go into the root of trust. The
// operator alone may do it, at the server's console, and only as far as there are two
// different people who stand; every further approver is vouched for by two. When approvers
// were lost, so that fewer than two stand, the operator may do it again: whoever has the
// server's console is the last resort, and so is told of to everyone, by the audit log and
// OnAdded, before it takes effect. Called again after a failure it completes what was begun.
func (s *Service) Trust(ctx context.Context, ids ...string) error {
	if err := console(ctx, "trust the first approvers"); err != nil {
		return err
	}
	if len(ids) == 0 {
		return ward.Errorf(ward.Invalid, "Name the approvers to trust by their ids.")
	}
	var chosen []*entry
	err := s.Store.Do(ctx, func(ctx context.Context) (err error) {
		if err := s.Store.HoldApprovers(ctx); err != nil {
			return err
		}
		if chosen, err = s.founders(ctx, ids); err != nil {
			return err
		}
		for _, e := range chosen {
			if err := s.Audit.Record(ctx, ActionTrusted, e.ID, map[string]string{
				"person": string(e.Person), "name": e.Name, "subject": e.Subject, "statement": e.Hash,
			}); err != nil {
				return err
			}
			if err := s.added(ctx, e.Approver); err != nil {
				return fmt.Errorf("tell of the founder %s: %w", e.ID, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.Store.Do(ctx, func(ctx context.Context) (err error) {
		if err := s.Store.HoldApprovers(ctx); err != nil {
			return err
		}
		if chosen, err = s.founders(ctx, ids); err != nil { // somebody else may have been quicker
			return err
		}
		key, err := newKey()
		if err != nil {
			return err
		}
		now := s.now()
		return s.Root.Change(ctx, func(t *Trusted) error {
			if len(t.Key) == 0 {
				t.Key = key
			}
			for _, e := range chosen {
				t.Founders[e.Hash] = Founder{ID: e.ID, Name: e.Name, Subject: e.Subject, At: now}
			}
			return nil
		})
	})
}

// founders returns those named, or says why they can't be founders now.
func (s *Service) founders(ctx context.Context, ids []string) ([]*entry, error) {
	b, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	s.proveAll(b)
	now := s.now()
	people := b.people(now)
	if len(people) >= Quorum {
		return nil, ward.Errorf(ward.Forbidden, "%d approvers stand: every further approver is vouched for by two.", len(people))
	}
	var chosen []*entry
	for _, id := range ids {
		e, ok := b.byID[id]
		if !ok {
			return nil, ward.Errorf(ward.NotFound, "There is no approver %s.", id)
		}
		if st := e.state(now); st != Pending {
			return nil, ward.Errorf(ward.Conflict, "%s can't be trusted: the record of %s is %s.", id, e.Name, st)
		}
		if twin := slices.IndexFunc(people, func(o *entry) bool { return Same(o.Approver, e.Approver) }); twin >= 0 {
			return nil, ward.Errorf(ward.Conflict, "%s and %s are one person: they have one account, one subject or one passkey. Two different people are needed.", e.Name, people[twin].Name)
		}
		chosen, people = append(chosen, e), append(people, e)
	}
	if len(people) > Quorum {
		return nil, ward.Errorf(ward.Forbidden, "No more than %d approvers can be trusted like this, and %s would be %d: every further approver is vouched for by two.", Quorum, strings.Join(ids, ", "), len(people))
	}
	return chosen, nil
}
