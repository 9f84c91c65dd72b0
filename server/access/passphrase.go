package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wardmdm/ward"
	"golang.org/x/crypto/argon2"
)

// The bounds of a passphrase: the lower in characters, the upper in bytes.
const (
	minPassphrase = 12
	maxPassphrase = 1024
)

// The cost of a passphrase's hash, stored with it. Source: OWASP Password Storage
// Cheat Sheet, Argon2id, m=19456 (19 MiB), t=2, p=1.
const (
	argonMemory  = 19456 // KiB
	argonTime    = 2
	argonThreads = 1
	argonKey     = 32
	argonSalt    = 16
)

// freeAttempts is how often a name may be tried before one has to wait.
const freeAttempts = 5

// The wait after the free attempts doubles with each failure between these.
const (
	firstWait = 30 * time.Second
	maxWait   = 15 * time.Minute
)

// SetPassphrase gives a person a passphrase of at least 12 characters. People set
// their own; the operator at the server's console sets anybody's. It hashes, which is
// slow: call it outside a unit of work.
func (s *Service) SetPassphrase(ctx context.Context, id ward.PersonID, passphrase string) error {
	if err := mayActFor(ctx, id, "set the passphrase of"); err != nil {
		return err
	}
	if err := byBrowser(ctx); err != nil {
		return err
	}
	p, err := s.store.Person(ctx, id)
	if err != nil {
		return err
	}
	if err := checkPassphrase(passphrase, p); err != nil {
		return err
	}
	if err := checkStrength(passphrase, p, s.Organisation); err != nil {
		return err
	}
	salt := make([]byte, argonSalt)
	rand.Read(salt)
	h := argon{argonMemory, argonTime, argonThreads, salt, nil}
	if h.key, err = s.derive(ctx, h, passphrase); err != nil {
		return err
	}
	return s.store.Do(ctx, func(ctx context.Context) error {
		if err := s.store.SetPassphrase(ctx, id, h.String()); err != nil {
			return err
		}
		if err := s.store.ActivatePerson(ctx, id, s.now()); err != nil {
			return err
		}
		return s.record(ctx, ActionPassphraseSet, id, nil)
	})
}

// checkPassphrase refuses what is too short, too long, or the first thing to guess.
func checkPassphrase(passphrase string, p Person) error {
	switch {
	case !utf8.ValidString(passphrase) || utf8.RuneCountInString(passphrase) < minPassphrase:
		return ward.Errorf(ward.Invalid, "A passphrase needs at least %d characters: a few words that do not belong together do well.", minPassphrase)
	case len(passphrase) > maxPassphrase:
		return ward.Errorf(ward.Invalid, "A passphrase has at most %d bytes.", maxPassphrase)
	case strings.EqualFold(cleanName(passphrase), p.Name) || strings.EqualFold(passphrase, p.Email):
		return ward.Errorf(ward.Invalid, "A passphrase must not be your name or e-mail address.")
	case strings.Count(passphrase, passphrase[:1]) == len(passphrase):
		return ward.Errorf(ward.Invalid, "A passphrase must not be one character repeated.")
	}
	return nil
}

// errPassphrase is the one answer to a wrong name and a wrong passphrase.
func errPassphrase() error {
	return ward.Errorf(ward.Unauthenticated, "The name or the passphrase is wrong.")
}

// CheckPassphrase signs a person in by name and passphrase. A wrong name and a wrong
// passphrase give the same *ward.Error of kind Unauthenticated after the same time.
// After five failures under one name each further attempt has to wait, counted over
// all copies of the server, and is refused as Forbidden with the time that remains.
// It hashes, which is slow: call it outside a unit of work.
func (s *Service) CheckPassphrase(ctx context.Context, name, passphrase string) (Person, error) {
	p, err := s.verify(ctx, name, passphrase)
	if err != nil {
		return Person{}, err
	}
	err = s.record(ward.WithActor(ctx, actor(p, ward.ViaSession)), ActionSignedIn, p.ID, map[string]string{"by": string(ByPassphrase)})
	if err != nil {
		return Person{}, err
	}
	return p, nil
}

// verify is CheckPassphrase without the record of a sign-in: more may be asked for.
func (s *Service) verify(ctx context.Context, name, passphrase string) (Person, error) {
	name = cleanName(name)
	key := attemptKey(name)
	if err := s.attempt(ctx, key); err != nil {
		return Person{}, err
	}
	p, encoded, err := s.credentials(ctx, name)
	if err != nil {
		return Person{}, fmt.Errorf("sign in: %w", err)
	}
	h, err := parseArgon(encoded)
	if err != nil {
		return Person{}, fmt.Errorf("passphrase of %s: %w", p.ID, err)
	}
	got, err := s.derive(ctx, h, passphrase)
	if err != nil {
		return Person{}, err
	}
	if encoded == "" || !p.DisabledAt.IsZero() || subtle.ConstantTimeCompare(got, h.key) != 1 {
		if p.ID == "" {
			return Person{}, errPassphrase()
		}
		err := s.record(ward.WithActor(ctx, ward.System), ActionSignInFailed, p.ID, map[string]string{"by": "passphrase"})
		if err != nil {
			return Person{}, err
		}
		return Person{}, errPassphrase()
	}
	if err := s.store.Do(ctx, func(ctx context.Context) error { return s.store.ClearAttempts(ctx, key) }); err != nil {
		return Person{}, err
	}
	return p, nil
}

// attemptKey is what attempts to sign in under a name are counted by.
func attemptKey(name string) string { return hash("sign in " + strings.ToLower(name)) }

// attempt counts an attempt before the passphrase is looked at, so that many at once
// cannot all be first.
func (s *Service) attempt(ctx context.Context, key string) error {
	now := s.now()
	var left time.Duration
	err := s.store.Do(ctx, func(ctx context.Context) (err error) {
		left, err = s.store.Attempt(ctx, key, now, func(failures int, last time.Time) time.Duration {
			return last.Add(waitAfter(failures)).Sub(now)
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	if left > 0 {
		return ward.Errorf(ward.Forbidden, "There were too many attempts under this name. Try again in %s.", left.Round(time.Second)+time.Second)
	}
	return nil
}

// waitAfter is how long to wait after that many failures.
func waitAfter(failures int) time.Duration {
	if failures < freeAttempts {
		return 0
	}
	w := firstWait
	for range failures - freeAttempts {
		if w *= 2; w >= maxWait {
			return maxWait
		}
	}
	return w
}

// credentials returns the person of that name and the encoded hash, both empty if
// there is none.
func (s *Service) credentials(ctx context.Context, name string) (Person, string, error) {
	p, err := s.store.PersonByName(ctx, name)
	if ward.KindOf(err) == ward.NotFound {
		return Person{}, "", nil
	}
	if err != nil {
		return Person{}, "", err
	}
	encoded, err := s.store.Passphrase(ctx, p.ID)
	return p, encoded, err
}

// argon is a passphrase's hash with its cost.
type argon struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

// String encodes h in the form of the reference implementation of Argon2.
func (h argon) String() string {
	e := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.time, h.threads, e.EncodeToString(h.salt), e.EncodeToString(h.key))
}

// parseArgon decodes what String encoded. For "" it returns a hash that nothing
// matches and that takes as long.
func parseArgon(s string) (h argon, err error) {
	if s == "" {
		return argon{argonMemory, argonTime, argonThreads, make([]byte, argonSalt), make([]byte, argonKey)}, nil
	}
	f := strings.Split(s, "$")
	if len(f) != 6 || f[1] != "argon2id" || f[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, errors.New("the stored hash is malformed")
	}
	if _, err := fmt.Sscanf(f[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.threads); err != nil || h.time < 1 || h.threads < 1 {
		return h, errors.New("the stored cost is malformed")
	}
	if h.salt, err = base64.RawStdEncoding.DecodeString(f[4]); err != nil {
		return h, fmt.Errorf("the stored salt: %w", err)
	}
	if h.key, err = base64.RawStdEncoding.DecodeString(f[5]); err != nil || len(h.key) != argonKey {
		return h, errors.New("the stored hash has the wrong length")
	}
	return h, nil
}

// derive computes the hash of a passphrase; two at a time, for each takes memory.
func (s *Service) derive(ctx context.Context, h argon, passphrase string) ([]byte, error) {
	select {
	case s.hasher <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-s.hasher }()
	if len(passphrase) > maxPassphrase {
		passphrase = "" // it cannot be right; the time must not tell
	}
	return argon2.IDKey([]byte(passphrase), h.salt, h.time, h.memory, h.threads, argonKey), nil
}
