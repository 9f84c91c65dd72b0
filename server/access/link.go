package access

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
)

// maxLinkLife bounds how long a one-time link is good.
const maxLinkLife = 7 * 24 * time.Hour

// CreateLink makes a one-time link for a person and returns its secret, which is
// shown this once; an older link of the same kind stops working. It is good for ttl,
// more than 0 and at most 7 days. People make links for themselves; who may change
// people makes a set-up link for someone who has never signed in, and no other, for
// whoever holds a link is that person, which is why no token makes one for its own
// person; the operator at the server's console makes any. Someone who lost every way in needs the operator.
func (s *Service) CreateLink(ctx context.Context, id ward.PersonID, kind LinkKind, ttl time.Duration) (string, error) {
	if kind != LinkSetup && kind != LinkSignIn {
		return "", ward.Errorf(ward.Invalid, "There is no link of the kind %q.", kind)
	}
	if ttl <= 0 || ttl > maxLinkLife {
		return "", ward.Errorf(ward.Invalid, "A link is good for at most 7 days, and for more than none.")
	}
	secret := newSecret()
	err := s.store.Do(ctx, func(ctx context.Context) error {
		p, err := s.store.Person(ctx, id)
		if err != nil {
			return err
		}
		if !p.DisabledAt.IsZero() {
			return ward.Errorf(ward.Conflict, "%s is disabled.", p.Name)
		}
		err = mayActFor(ctx, id, "make a link for")
		if err == nil {
			err = byBrowser(ctx)
		}
		if err != nil {
			if itself(ctx, id) || kind != LinkSetup || !p.Activated.IsZero() || Check(ctx, PersonWrite) != nil {
				return err
			}
			if err := s.mayChange(ctx, p); err != nil { // it would be a way to do all that they may do
				return err
			}
		}
		now := s.now()
		if err := s.store.AddLink(ctx, Link{Hash: hash(secret), Person: id, Kind: kind, Created: now, Expires: now.Add(ttl)}); err != nil {
			return err
		}
		return s.record(ctx, ActionLinkCreated, id, map[string]string{"kind": string(kind)})
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// errLink is the one answer to every link that does not work.
func errLink() error {
	return ward.Errorf(ward.Unauthenticated, "This link was used already, has expired or is not whole. Ask for a new one.")
}

// Redeem takes a link's secret and returns whom it is for and what for; that they signed in is
// recorded by SignIn.Begin. It works
// once; afterwards, and for every secret that does not work, it returns the same
// *ward.Error of kind Unauthenticated. Call it on a deliberate step of the person,
// not when the link is merely fetched: mail scanners fetch links.
func (s *Service) Redeem(ctx context.Context, secret string) (p Person, kind LinkKind, err error) {
	if len(secret) > 128 {
		return Person{}, "", errLink()
	}
	err = s.store.Do(ctx, func(ctx context.Context) error {
		l, err := s.store.TakeLink(ctx, hash(secret))
		if ward.KindOf(err) == ward.NotFound {
			return errLink()
		}
		if err != nil {
			return err
		}
		if p, err = s.store.Person(ctx, l.Person); err != nil {
			return err
		}
		if !s.now().Before(l.Expires) || !p.DisabledAt.IsZero() {
			return errLink()
		}
		kind = l.Kind
		if err := s.store.ActivatePerson(ctx, p.ID, s.now()); err != nil {
			return err
		}
		ctx = ward.WithActor(ctx, actor(p, ward.ViaSession))
		return s.record(ctx, ActionLinkUsed, p.ID, map[string]string{"kind": string(kind)})
	})
	if err != nil {
		return Person{}, "", err
	}
	return p, kind, nil
}

// Purge deletes what has no more use: links that expired and attempts to sign in that
// are a day old.
func (s *Service) Purge(ctx context.Context) error {
	now := s.now()
	return s.store.Purge(ctx, now, now.Add(-24*time.Hour))
}
