package policy

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward"
)

// Approve is the second person's yes to the proposal with this digest: it is published
// as it was proposed. Forbidden means that the same person made it, or that nobody who
// signed in asks, or one whose account is younger than 7 days, see People; Conflict that it is another than the one shown, that it waits no
// longer, or that another version came into force since. It is to be called outside a
// unit of work.
func (s *Service) Approve(ctx context.Context, generation int64, digest string) (Version, error) {
	who, err := person(ctx)
	if err != nil {
		return Version{}, s.deny(ctx, generation, err)
	}
	v, err := s.store.Version(ctx, generation)
	if err != nil {
		return v, err
	}
	p, err := v.Read()
	if err != nil {
		return v, ward.Errorf(ward.Conflict, "This version of Ward can't read the proposal any more: publish it anew.").Because(err)
	}
	err = s.deed(ctx, func(ctx context.Context) error {
		if v, err = s.store.Version(ctx, generation); err != nil {
			return err
		}
		if err := s.approvable(ctx, v, who, digest); err != nil {
			return err
		}
		v.Approver, v.ApproverName, v.Approved = who.Person, who.Name, s.now().UTC().Truncate(time.Microsecond)
		if v, err = s.start(ctx, v, false); err != nil {
			return err
		}
		return s.record(ctx, ActionApproved, generation, v.detail(p))
	})
	if err != nil {
		return Version{}, s.deny(ctx, generation, err)
	}
	return v, nil
}

// approvable says why who can't approve the proposal.
func (s *Service) approvable(ctx context.Context, v Version, who ward.Actor, digest string) error {
	want, err := v.Digest()
	if err != nil {
		return err
	}
	switch {
	case v.State != Proposed:
		return ward.Errorf(ward.Conflict, "Generation %d is %s, so it can't be approved.", v.Generation, v.State)
	case who.Person == v.PublishedBy:
		return ward.Errorf(ward.Forbidden, "You proposed this policy yourself: a second person must approve it.")
	case !strings.EqualFold(strings.TrimSpace(digest), want):
		return ward.Errorf(ward.Conflict, "This is not the proposal that you were shown. Look at it again before you decide.")
	}
	if err := s.settled(ctx, who.Person); err != nil {
		return err
	}
	standing, err := s.store.Standing(ctx)
	if err != nil {
		return err
	}
	var current int64
	for _, o := range standing {
		if o.State == Current {
			current = o.Generation
		}
	}
	if current != v.Base {
		return ward.Errorf(ward.Conflict, "Generation %d came into force after this was proposed, and would be undone by it: withdraw the proposal and publish it anew.", current)
	}
	return nil
}

// People knows since when people could act.
type People interface {
	// Installed returns when the first person of all was added, zero if nobody was.
	Installed(ctx context.Context) (time.Time, error)
	// Activated returns when a person could first act, zero if they never could. NotFound
	// means that there is no such person.
	Activated(ctx context.Context, p ward.PersonID) (time.Time, error)
}

// settling is for how long a person must have been able to act before they can be the
// second person: time for others to notice an account that somebody made to approve their
// own proposals. An installation that is younger than that has nobody else.
const settling = 7 * 24 * time.Hour

// settled says why a person can't be the second one yet.
func (s *Service) settled(ctx context.Context, p ward.PersonID) error {
	if s.People == nil {
		return nil
	}
	now := s.now()
	installed, err := s.People.Installed(ctx)
	if err != nil {
		return fmt.Errorf("since when there are people: %w", err)
	}
	if !installed.IsZero() && !now.After(installed.Add(settling)) {
		return nil
	}
	activated, err := s.People.Activated(ctx, p)
	if ward.KindOf(err) == ward.NotFound {
		return ward.Errorf(ward.Forbidden, "There is no account of yours any more, so you can't approve a policy.")
	}
	if err != nil {
		return fmt.Errorf("since when %s could act: %w", p, err)
	}
	if activated.IsZero() || !now.After(activated.Add(settling)) {
		return ward.Errorf(ward.Forbidden, "Your account is too new to approve a policy: 7 days after its first sign-in it can. Ask somebody who has had theirs for longer.")
	}
	return nil
}

// Withdraw ends a proposal: by who made it, or by anybody else who may publish.
func (s *Service) Withdraw(ctx context.Context, generation int64, reason string) (Version, error) {
	reason, err := reasoned(reason)
	if err != nil {
		return Version{}, err
	}
	var v Version
	err = s.deed(ctx, func(ctx context.Context) error {
		if v, err = s.store.Version(ctx, generation); err != nil {
			return err
		}
		if v.State != Proposed {
			return ward.Errorf(ward.Conflict, "Generation %d is %s: only a proposal can be withdrawn.", generation, v.State)
		}
		v.State, v.Ended, v.EndReason = Withdrawn, s.now().UTC().Truncate(time.Microsecond), reason
		if err := s.turn(ctx, v, Proposed); err != nil {
			return err
		}
		return s.record(ctx, ActionWithdrawn, generation, map[string]string{"reason": reason})
	})
	return v, err
}

// reasoned trims a reason and refuses none.
func reasoned(reason string) (string, error) {
	reason = strings.TrimSpace(reason)
	switch {
	case reason == "":
		return "", ward.Errorf(ward.Invalid, "Say why: a reason is needed.")
	case len(reason) > maxReason:
		return "", ward.Errorf(ward.Invalid, "The reason is too long: %d bytes, %d at most.", len(reason), maxReason)
	}
	return reason, nil
}

// person returns who acts, who must be a person that signed in: neither Ward, nor a
// device, nor the console, where whoever holds the server could be anyone.
func person(ctx context.Context) (ward.Actor, error) {
	a := ward.ActorFrom(ctx)
	if a.Person == "" || (a.Via != ward.ViaSession && a.Via != ward.ViaToken) {
		return a, ward.Errorf(ward.Forbidden, "Only a person who has signed in can approve a policy.")
	}
	return a, nil
}

// deny audits an attempt that the rules forbid and returns why. Errors of other kinds
// are returned as they are.
func (s *Service) deny(ctx context.Context, generation int64, why error) error {
	if k := ward.KindOf(why); k != ward.Forbidden && k != ward.Conflict {
		return why
	}
	err := s.store.Do(ctx, func(ctx context.Context) error {
		return s.audit.Record(ctx, ActionDenied, strconv.FormatInt(generation, 10), map[string]string{"why": why.Error()})
	})
	if err != nil {
		return errors.Join(why, err)
	}
	return why
}
