package approver

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
)

// State says what can be proven of an approver now, in words shown to people.
type State string

// The states of an approver.
const (
	Pending  State = "pending"  // registered, and not yet trusted or vouched for by two
	Stands   State = "standing" // may approve and vouch
	Ended    State = "ended"    // what they signed before stays good
	Unproven State = "unproven" // the record was altered, or vouches that nobody made stand beside it
)

// Standing is an approver and what can be proven of them.
type Standing struct {
	Approver
	State State
	Needs int       // vouches still needed while pending
	Since time.Time // when they began to stand; zero if they never did
	By    []string  // the ids of those whose vouches count, in order of their times
}

// List returns all who ever registered, in that order, with what can be proven of each now.
func (s *Service) List(ctx context.Context) ([]Standing, error) {
	b, err := s.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("list approvers: %w", err)
	}
	s.proveAll(b)
	now := s.now()
	out := make([]Standing, 0, len(b.sorted))
	for _, e := range b.sorted {
		st := Standing{Approver: e.Approver, State: e.state(now), Since: e.from}
		if st.State == Pending {
			st.Needs = e.missing()
		}
		for _, v := range e.counted {
			st.By = append(st.By, v.by.ID)
		}
		out = append(out, st)
	}
	return out, nil
}

func (e *entry) state(now time.Time) State {
	switch {
	case !e.sound, !e.Founder && len(e.counted) < len(e.Vouches):
		return Unproven
	case !e.end.IsZero() && !now.Before(e.end):
		return Ended
	case e.stood(now):
		return Stands
	}
	return Pending
}

// Vouch is the word of the person in ctx, a standing approver, for one who is pending: the
// answer of their passkey to Begin with ForApprover and the pending one's Hash. With the
// second person's word the approver stands; then the record by which the same person stood
// before is ended. Forbidden means that it is one's own record or is not right, Conflict that
// the approver does not wait for vouches, or that the same person has vouched already.
func (s *Service) Vouch(ctx context.Context, approver string, response []byte) (Approver, error) {
	var out Approver
	err := s.Store.Do(ctx, func(ctx context.Context) error {
		if err := s.Store.HoldApprovers(ctx); err != nil {
			return err
		}
		c, err := s.candidate(ctx, approver)
		if err != nil {
			return err
		}
		by, a, err := s.Finish(ctx, ForApprover, c.Hash, response)
		if err != nil {
			return err
		}
		if Same(by, c.Approver) {
			return unproven("You can't vouch for yourself, not by another account or passkey either.")
		}
		if slices.ContainsFunc(c.counted, func(v vouch) bool { return Same(v.by.Approver, by) }) {
			return ward.Errorf(ward.Conflict, "You have vouched for %s already: a second person has to.", c.Name)
		}
		if err := s.Store.AddVouch(ctx, c.ID, a); err != nil {
			return fmt.Errorf("vouch for %s: %w", c.ID, err)
		}
		if err := s.Audit.Record(ctx, ActionVouched, c.ID, map[string]string{
			"name": c.Name, "subject": c.Subject, "by": by.ID, "by_person": string(by.Person), "statement": c.Hash,
		}); err != nil {
			return err
		}
		out, err = s.begins(ctx, c.ID, a.At)
		return err
	})
	return out, err
}

// candidate returns the record of someone who waits for vouches.
func (s *Service) candidate(ctx context.Context, id string) (*entry, error) {
	b, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	e, ok := b.byID[id]
	if !ok {
		return nil, ward.Errorf(ward.NotFound, "There is no approver %s.", id)
	}
	s.prove(b, e)
	switch e.state(s.now()) {
	case Pending:
		return e, nil
	case Stands:
		return nil, ward.Errorf(ward.Conflict, "%s is an approver already.", e.Name)
	case Ended:
		return nil, ward.Errorf(ward.Conflict, "%s registered anew or was ended: nobody can vouch for this record any more.", e.Name)
	}
	return nil, ward.Errorf(ward.Conflict, "The record of %s was altered in the database. End it, invite them anew, and report this.", e.Name)
}

// begins returns the record as it is after a vouch at t, and does what follows when it
// stands by that.
func (s *Service) begins(ctx context.Context, id string, t time.Time) (Approver, error) {
	b, err := s.open(ctx)
	if err != nil {
		return Approver{}, err
	}
	s.proveAll(b)
	e, ok := b.byID[id]
	if !ok {
		return Approver{}, fmt.Errorf("approver %s vanished within a unit of work", id)
	}
	if !e.stood(t) {
		return e.Approver, nil
	}
	return e.Approver, s.takesOver(ctx, b, e, t)
}

// takesOver ends the records by which the same person stood before, and tells of the new
// one.
func (s *Service) takesOver(ctx context.Context, b *book, e *entry, t time.Time) error {
	for _, old := range b.sorted {
		if old != e && old.Person == e.Person && old.stood(t) {
			if err := s.end(ctx, old.Approver, t, string(e.Person), "replaced by "+e.ID); err != nil {
				return err
			}
		}
	}
	return s.added(ctx, e.Approver)
}

// End ends an approver, or the wait of one who is pending: what they signed before stays
// good, and nothing after. Only a person who signed in by a browser may, or the operator at
// the server's console; the caller checks that who acts may do so. Conflict means that the
// approver has ended already, or that too few would stand after it: that is for the operator or
// for somebody who stands themselves.
func (s *Service) End(ctx context.Context, approver, reason string) error {
	who := ward.ActorFrom(ctx)
	switch {
	case who.Via == ward.ViaConsole, who.Via == ward.ViaSession && who.Person != "":
	case who.Via == ward.ViaToken:
		return ward.Errorf(ward.Forbidden, "A token can't end an approver. Sign in by a browser and end them on the page Approvers, or have the operator do it at the server's console.")
	default:
		return ward.Errorf(ward.Forbidden, "Only a person who has signed in by a browser, or the operator at the server's console, can end an approver.")
	}
	if reason = strings.TrimSpace(reason); reason == "" || len(reason) > maxText || !printable(reason) {
		return ward.Errorf(ward.Invalid, "Say in a few words why the approver ends.")
	}
	return s.Store.Do(ctx, func(ctx context.Context) error {
		if err := s.Store.HoldApprovers(ctx); err != nil {
			return err
		}
		b, err := s.open(ctx)
		if err != nil {
			return err
		}
		e, ok := b.byID[approver]
		if !ok {
			return ward.Errorf(ward.NotFound, "There is no approver %s.", approver)
		}
		now := s.now()
		if !e.end.IsZero() && !now.Before(e.end) {
			return ward.Errorf(ward.Conflict, "%s ended already, at %s.", e.Name, e.end.Format(time.RFC3339))
		}
		if err := s.enough(b, e, who, now); err != nil {
			return err
		}
		if s.OnEnded != nil {
			if err := s.OnEnded(ctx, e.Approver, whoActs(who), reason); err != nil {
				return fmt.Errorf("tell of the end of %s: %w", e.ID, err)
			}
		}
		return s.end(ctx, e.Approver, now, whoActs(who), reason)
	})
}

// enough returns a Conflict if too few different people would stand without e. The operator may
// go below that, and so may somebody who stands: else whoever takes over an administrator's
// account could leave nobody to approve anything.
func (s *Service) enough(b *book, e *entry, who ward.Actor, now time.Time) error {
	if who.Via == ward.ViaConsole {
		return nil
	}
	s.proveAll(b)
	before := b.people(now)
	if slices.ContainsFunc(b.sorted, func(o *entry) bool { return o.Person == who.Person && o.stood(now) }) {
		return nil
	}
	was := e.end
	e.end = now
	left := len(b.people(now))
	e.end = was
	if left >= Quorum || left >= len(before) {
		return nil
	}
	return ward.Errorf(ward.Conflict, "%s can't be ended by you: of the people who may approve only %d would be left, and orders need %d. An approver can end them, or the operator at the server's console; or have another approver vouched for first.", e.Name, left, Quorum)
}

// end ends one record, within a unit of work that holds the approvers. It is written into
// the root as well, last: should the unit of work fail after that, then the approver ended
// with no record of it, which is the lesser evil.
func (s *Service) end(ctx context.Context, a Approver, at time.Time, by, reason string) error {
	if err := s.Store.EndApprover(ctx, a.ID, at, by); err != nil {
		return fmt.Errorf("end approver %s: %w", a.ID, err)
	}
	if err := s.Audit.Record(ctx, ActionEnded, a.ID, map[string]string{
		"person": string(a.Person), "name": a.Name, "subject": a.Subject, "by": by, "reason": reason,
	}); err != nil {
		return err
	}
	return s.Root.Change(ctx, func(t *Trusted) error {
		if was, ok := t.Ended[a.ID]; !ok || at.Before(was) {
			t.Ended[a.ID] = at
		}
		return nil
	})
}
