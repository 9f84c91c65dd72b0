package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rs/xid"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/unit"
)

// TokenPrefix begins every token, so that scanners for leaked secrets know them.
const TokenPrefix = "ward_"

// tokenLife is how long a token is believed without asking the database: another
// copy of the server may have revoked it that long ago.
const tokenLife = 3 * time.Second

// maxKnown bounds the tokens that are remembered.
const maxKnown = 4096

// known is a token seen in the last seconds.
type known struct {
	actor   ward.Actor
	expires time.Time // of the token; zero for never
	read    time.Time
}

// newSecret returns 32 random bytes as base64url.
func newSecret() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// hash is what is kept of a secret. The secret is random and long, so a fast hash
// will do; as the look-up is by hash, its time tells nothing of the secret.
func hash(secret string) string {
	h := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(h[:])
}

// NewToken is a token to make.
type NewToken struct {
	Person  ward.PersonID
	Name    string       // what it is for
	Scopes  []Permission // narrows it; empty is all that the person may do
	Expires time.Time    // zero for never
}

// CreateToken makes a token and returns its secret, which is shown this once. People
// make tokens for themselves only, for a token acts as its person; the operator at
// the server's console may make one for anybody. A narrowed token makes none, and another none that
// outlives it.
func (s *Service) CreateToken(ctx context.Context, n NewToken) (Token, string, error) {
	if err := mayActFor(ctx, n.Person, "make a token for"); err != nil {
		return Token{}, "", err
	}
	now := s.now()
	t := Token{ID: "token-" + xid.NewWithTime(now).String(), Person: n.Person, Name: cleanName(n.Name), Created: now, Expires: n.Expires}
	var mistakes []string
	if utf8.RuneCountInString(t.Name) > maxName || !utf8.ValidString(t.Name) {
		mistakes = append(mistakes, fmt.Sprintf("The name is longer than %d characters or not text.", maxName))
	}
	for _, p := range n.Scopes {
		if !p.Valid() {
			mistakes = append(mistakes, fmt.Sprintf("There is no scope %q.", p))
		}
		if !slices.Contains(t.Scopes, p) {
			t.Scopes = append(t.Scopes, p)
		}
	}
	if !t.Expires.IsZero() && !t.Expires.After(now) {
		mistakes = append(mistakes, "The token would have expired already.")
	}
	if len(mistakes) > 0 {
		return Token{}, "", &ward.Error{Kind: ward.Invalid, Message: "The token was not made.", Details: mistakes}
	}
	secret := TokenPrefix + newSecret()
	err := s.store.Do(ctx, func(ctx context.Context) error {
		p, err := s.store.Person(ctx, n.Person)
		if err != nil {
			return err
		}
		if !p.DisabledAt.IsZero() {
			return ward.Errorf(ward.Conflict, "%s is disabled.", p.Name)
		}
		if t.Expires, err = s.noLonger(ctx, n.Expires); err != nil {
			return err
		}
		if err := s.store.ActivatePerson(ctx, p.ID, now); err != nil {
			return err
		}
		if err := s.store.AddToken(ctx, t, hash(secret)); err != nil {
			return err
		}
		return s.record(ctx, ActionTokenCreated, p.ID, map[string]string{"token": t.ID, "name": t.Name, "scopes": joinScopes(t.Scopes)})
	})
	if err != nil {
		return Token{}, "", err
	}
	return t, secret, nil
}

// noLonger is when a token ends that should end at the time given: one that a token makes
// lives no longer than that one.
func (s *Service) noLonger(ctx context.Context, expires time.Time) (time.Time, error) {
	by := ward.ActorFrom(ctx).Token
	if by == "" {
		return expires, nil
	}
	maker, err := s.store.Token(ctx, by)
	if err != nil {
		return expires, err
	}
	if maker.Expires.IsZero() || !expires.IsZero() && expires.Before(maker.Expires) {
		return expires, nil
	}
	return maker.Expires, nil
}

// byBrowser refuses a token: what lets somebody in by a browser is made there, so that a token
// that was found opens no session.
func byBrowser(ctx context.Context) error {
	if ward.ActorFrom(ctx).Via == ward.ViaToken {
		return ward.Errorf(ward.Forbidden, "No token makes a way to sign in. Do it in a browser, or have the operator do it on the server.")
	}
	return nil
}

func joinScopes(scopes []Permission) string {
	out := make([]string, len(scopes))
	for i, p := range scopes {
		out[i] = string(p)
	}
	return strings.Join(out, ", ")
}

// mayActFor refuses unless the actor is that person, unnarrowed, or the operator or
// Ward itself.
func mayActFor(ctx context.Context, id ward.PersonID, deed string) error {
	a := ward.ActorFrom(ctx)
	switch {
	case a.Via == "":
		return ward.Errorf(ward.Unauthenticated, "Sign in first.")
	case a.Via == ward.ViaConsole || a.Via == ward.ViaSystem:
		return nil
	case a.Person == "" || a.Person != id:
		return ward.Errorf(ward.Forbidden, "You may not %s somebody else: whoever holds it acts as that person. They can do it themselves, or the operator on the server.", deed)
	case slices.ContainsFunc(a.Roles, func(r ward.Role) bool { return strings.HasPrefix(string(r), narrowedPrefix) }):
		return ward.Errorf(ward.Forbidden, "This token is narrowed to a part of what its person may do, and may not widen that.")
	}
	return nil
}

// Tokens returns the tokens of a person, also those that work no more.
func (s *Service) Tokens(ctx context.Context, id ward.PersonID) ([]Token, error) {
	return s.store.Tokens(ctx, id)
}

// RevokeToken ends a token at once in this process and within seconds in others. Its
// person may, and who may change people.
func (s *Service) RevokeToken(ctx context.Context, id string) error {
	return s.store.Do(ctx, func(ctx context.Context) error {
		t, err := s.store.Token(ctx, id)
		if err != nil {
			return err
		}
		if a := ward.ActorFrom(ctx); a.Person == "" || a.Person != t.Person {
			if err := Check(ctx, PersonWrite); err != nil {
				return err
			}
		}
		if !t.RevokedAt.IsZero() {
			return nil
		}
		if err := s.store.RevokeToken(ctx, id, s.now()); err != nil {
			return err
		}
		unit.AfterCommit(ctx, s.forget)
		return s.record(ctx, ActionTokenRevoked, t.Person, map[string]string{"token": t.ID, "name": t.Name})
	})
}

// forget makes the next request of every token ask the database.
func (s *Service) forget() {
	s.mu.Lock()
	clear(s.known)
	s.roles = nil
	s.changes++ // what is being read at this moment is not remembered
	s.mu.Unlock()
}

// errBearer is the one answer to every token that does not work, so that it tells
// nothing.
func errBearer() error {
	return ward.Errorf(ward.Unauthenticated, "The token is unknown, expired or revoked. Make a new one with: ward token create")
}

// Authenticate returns the actor that a bearer token stands for. Every token that
// does not work gets the same *ward.Error of kind Unauthenticated. A token narrowed
// by scopes gives an actor with a role of its own, which only Allows understands.
func (s *Service) Authenticate(ctx context.Context, bearer string) (ward.Actor, error) {
	if !strings.HasPrefix(bearer, TokenPrefix) || len(bearer) > 128 {
		return ward.Actor{}, errBearer()
	}
	h, now := hash(bearer), s.now()
	s.mu.Lock()
	k, ok := s.known[h]
	changes := s.changes
	s.mu.Unlock()
	if !ok || now.Sub(k.read) >= tokenLife || now.Before(k.read) {
		var err error
		if k, err = s.readToken(ctx, h, now); err != nil {
			return ward.Actor{}, err
		}
	}
	if !k.expires.IsZero() && !now.Before(k.expires) {
		return ward.Actor{}, errBearer()
	}
	s.mu.Lock()
	if len(s.known) >= maxKnown {
		clear(s.known)
	}
	if changes == s.changes {
		s.known[h] = k
	}
	s.used[k.actor.Token] = now
	s.mu.Unlock()
	k.actor.Roles = slices.Clone(k.actor.Roles)
	return k.actor, nil
}

func (s *Service) readToken(ctx context.Context, h string, now time.Time) (known, error) {
	t, p, err := s.store.TokenByHash(ctx, h)
	if ward.KindOf(err) == ward.NotFound {
		return known{}, errBearer()
	}
	if err != nil {
		return known{}, fmt.Errorf("authenticate: %w", err)
	}
	if !t.RevokedAt.IsZero() || !p.DisabledAt.IsZero() {
		return known{}, errBearer()
	}
	a, err := s.acting(ctx, p, ward.ViaToken)
	if err != nil {
		return known{}, fmt.Errorf("authenticate: %w", err)
	}
	a.Token = t.ID
	if len(t.Scopes) > 0 {
		a.Roles = []ward.Role{narrowed(a.Roles, t.Scopes)}
	}
	return known{actor: a, expires: t.Expires, read: now}, nil
}

func actor(p Person, via ward.Via) ward.Actor {
	return ward.Actor{
		Person: p.ID, Name: p.Name, Email: p.Email, Via: via, Roles: slices.Clone(p.Roles),
		Scope: ward.Scope{Sites: slices.Clone(p.Scope.Sites), Groups: slices.Clone(p.Scope.Groups)},
	}
}

// acting is actor with what the person's roles let them do, also those that somebody made.
func (s *Service) acting(ctx context.Context, p Person, via ward.Via) (a ward.Actor, err error) {
	a = actor(p, via)
	a.Roles, err = s.expand(ctx, a.Roles)
	return a, err
}

// Actor returns the actor that a session or the console stands for, with the roles
// the person has now; Unauthenticated if the person is unknown or disabled.
func (s *Service) Actor(ctx context.Context, id ward.PersonID, via ward.Via) (ward.Actor, error) {
	p, err := s.store.Person(ctx, id)
	if ward.KindOf(err) == ward.NotFound || err == nil && !p.DisabledAt.IsZero() {
		return ward.Actor{}, ward.Errorf(ward.Unauthenticated, "You are no longer signed in.")
	}
	if err != nil {
		return ward.Actor{}, fmt.Errorf("session of %s: %w", id, err)
	}
	return s.acting(ctx, p, via)
}

// Flush writes when tokens were last used. Call it about once a minute and at the
// end; what a crash loses is that minute.
func (s *Service) Flush(ctx context.Context) error {
	s.mu.Lock()
	used := maps.Clone(s.used)
	clear(s.used)
	s.mu.Unlock()
	if len(used) == 0 {
		return nil
	}
	if err := s.store.TokensUsed(ctx, used); err != nil {
		s.mu.Lock()
		for id, at := range used {
			if s.used[id].Before(at) {
				s.used[id] = at
			}
		}
		s.mu.Unlock()
		return fmt.Errorf("write last use of tokens: %w", err)
	}
	return nil
}
