package approver

import (
	"context"
	"fmt"
	"slices"

	"github.com/wardmdm/ward"
)

// alone returns a Conflict if somebody who stands or waits as an approver by another account is
// the same human being as the person: one of the names that either goes by, their subject and
// the address of their account, is one of the other's. Same compares no addresses, for they may
// change after somebody has registered. Those of one subject, whom Same knows, are looked for
// only where bySubject is set.
func (s *Service) alone(ctx context.Context, b *book, p ward.PersonID, subject string, bySubject bool) error {
	mine, err := s.names(ctx, p, subject)
	if err != nil {
		return err
	}
	now := s.now()
	for _, e := range b.sorted {
		over := !e.end.IsZero() && !now.Before(e.end)
		if e.Person == p || over || !e.sound || (!bySubject && e.Subject == subject) {
			continue
		}
		theirs, err := s.names(ctx, e.Person, e.Subject)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(mine, func(n string) bool { return slices.Contains(theirs, n) }); i >= 0 {
			return ward.Errorf(ward.Conflict, "%s goes by %s and is an approver already, or waits to be one, by another account. One human being approves by one account: end that one first, or correct the subject or the account's e-mail address if these are two.", e.Name, mine[i])
		}
	}
	return nil
}

// names are those that a person goes by, folded.
func (s *Service) names(ctx context.Context, p ward.PersonID, subject string) ([]string, error) {
	names := []string{Subject(subject)}
	if s.People == nil {
		return names, nil
	}
	email, err := s.People.Email(ctx, p)
	if err != nil && ward.KindOf(err) != ward.NotFound {
		return nil, fmt.Errorf("address of %s: %w", p, err)
	}
	if folded := Subject(email); err == nil && folded != "" {
		names = append(names, folded)
	}
	return names, nil
}
