// Package access says who people are and what they may do: persons, their tokens,
// one-time links and passphrases, and the table of roles and permissions. It speaks
// no HTTP and keeps no sessions; it never holds a secret that it could show again.
package access

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/unit"
)

// Person is someone who uses Ward.
type Person struct {
	ID         ward.PersonID
	Name       string // unique, whatever its case
	Email      string // may be empty
	Roles      []ward.Role
	Scope      ward.Scope // what the person is bounded to, over all roles; zero: nothing
	Created    time.Time
	Activated  time.Time // first sign-in of any kind; zero before
	DisabledAt time.Time // zero while the person may act
	ErasedAt   time.Time // since then nothing is known of the person, who can act no more
}

// Token lets a program act for a person. Two tokens of one person are one person.
type Token struct {
	ID        string
	Person    ward.PersonID
	Name      string
	Scopes    []Permission // what it is narrowed to; empty is all that the person may do
	Created   time.Time
	Expires   time.Time // zero for never
	LastUsed  time.Time // zero if never; may lag by a minute
	RevokedAt time.Time // zero while it works
}

// LinkKind says what a one-time link is for.
type LinkKind string

// The kinds of link.
const (
	LinkSetup  LinkKind = "setup"  // choose a passphrase, at first
	LinkSignIn LinkKind = "signin" // sign in once
)

// Link is a one-time link; only the hash of its secret is kept.
type Link struct {
	Hash    string
	Person  ward.PersonID
	Kind    LinkKind
	Created time.Time
	Expires time.Time
}

// People keeps persons. Every method joins the unit of work in ctx.
type People interface {
	// AddPerson keeps p; a *ward.Error of kind Conflict means that the name is taken.
	AddPerson(ctx context.Context, p Person) error
	// Person returns one person, or a *ward.Error of kind NotFound.
	Person(ctx context.Context, id ward.PersonID) (Person, error)
	// PersonByName finds a person by name whatever its case, or NotFound.
	PersonByName(ctx context.Context, name string) (Person, error)
	// People returns up to limit persons by id, those after the id given.
	People(ctx context.Context, after ward.PersonID, limit int) ([]Person, error)
	// CountPeople returns how many persons there are, and how many administrators of the
	// whole organisation that are not disabled. Until the unit of work ends, nobody else changes either.
	CountPeople(ctx context.Context) (people, admins int, err error)
	// UpdatePerson keeps the roles, the scope and the disabling of p.
	UpdatePerson(ctx context.Context, p Person) error
	// ActivatePerson notes when a person could first act, unless it is noted already.
	ActivatePerson(ctx context.Context, id ward.PersonID, at time.Time) error
}

// Secrets keeps what persons prove themselves with. Every method joins the unit of
// work in ctx.
type Secrets interface {
	// Passphrase returns the encoded hash, "" if the person has none.
	Passphrase(ctx context.Context, id ward.PersonID) (string, error)
	// SetPassphrase keeps the encoded hash.
	SetPassphrase(ctx context.Context, id ward.PersonID, encoded string) error
	// AddLink keeps a link and deletes the person's other links of its kind.
	AddLink(ctx context.Context, l Link) error
	// TakeLink deletes the link of the hash and returns it: of several callers, one
	// gets it and the others a *ward.Error of kind NotFound.
	TakeLink(ctx context.Context, hash string) (Link, error)
	// Attempt counts an attempt to sign in under key unless wait, given what was counted
	// before and when, says that it is too early. It returns how long remains, 0 if the
	// attempt is counted.
	Attempt(ctx context.Context, key string, now time.Time, wait func(failures int, last time.Time) time.Duration) (time.Duration, error)
	// ClearAttempts forgets the attempts under key.
	ClearAttempts(ctx context.Context, key string) error
	// Purge deletes links that expired and attempts that were made before the times given.
	Purge(ctx context.Context, links, attempts time.Time) error
}

// Tokens keeps tokens. Every method joins the unit of work in ctx.
type Tokens interface {
	// AddToken keeps t and the hash of its secret.
	AddToken(ctx context.Context, t Token, hash string) error
	// TokenByHash returns a token with the person it belongs to, or NotFound.
	TokenByHash(ctx context.Context, hash string) (Token, Person, error)
	// Token returns one token, or NotFound.
	Token(ctx context.Context, id string) (Token, error)
	// Tokens returns the tokens of a person by id, also those that work no more.
	Tokens(ctx context.Context, id ward.PersonID) ([]Token, error)
	// RevokeToken marks a token as revoked.
	RevokeToken(ctx context.Context, id string, at time.Time) error
	// TokensUsed notes when tokens were last used.
	TokensUsed(ctx context.Context, at map[string]time.Time) error
}

// Store is what everything here is kept in.
type Store interface {
	unit.Unit
	People
	Secrets
	Tokens
	Roles
	Erasures
}

// Recorder writes an audit entry in the unit of work in ctx. *audit.Service meets it.
type Recorder interface {
	Record(ctx context.Context, e audit.Entry) error
}

var _ Recorder = (*audit.Service)(nil)

// Service is the gate. Its methods may be called by several goroutines. Those that
// change something act for the actor in ctx, check what that actor may do, and are
// audited in the same unit of work.
type Service struct {
	store  Store
	audit  Recorder
	now    func() time.Time
	hasher chan struct{} // bounds the memory that passphrases being hashed take

	forgets func(ctx context.Context, id ward.PersonID) (parts int64, err error)
	stands  func(ctx context.Context, id ward.PersonID) (bool, error)
	erased  func(ctx context.Context, id ward.PersonID) error

	mu sync.Mutex
	rolesKept
	known   map[string]known     // tokens seen in the last seconds, by hash
	changes int                  // counts what made known empty
	used    map[string]time.Time // by token id, to be written

	ended func(ctx context.Context, id ward.PersonID) error // ends the sessions of a person; nil: nobody keeps any
	// Organisation is a word that nobody may make a passphrase of. Set it before use.
	Organisation string
}

// Config says what a Service stands on. The fields of the first group are needed.
type Config struct {
	Store Store
	Audit Recorder
	Now   func() time.Time

	// Forget deletes the key of what the audit log says of a person, in the unit of work in
	// ctx; NotFound means that it says nothing. Nil: nobody can be erased.
	Forget func(ctx context.Context, id ward.PersonID) (parts int64, err error)
	// Stands reports whether a person stands as an approver; nil: nobody does.
	Stands func(ctx context.Context, id ward.PersonID) (bool, error)
	// Erased takes away, in the unit of work in ctx, what other parts keep of a person who is
	// erased; nil: nothing.
	Erased func(ctx context.Context, id ward.PersonID) error
}

// New returns the gate.
func New(c Config) (*Service, error) {
	if c.Store == nil || c.Audit == nil || c.Now == nil {
		return nil, errors.New("access: Store, Audit and Now are needed")
	}
	return &Service{
		store:  c.Store,
		audit:  c.Audit,
		now:    c.Now,
		hasher: make(chan struct{}, 2),
		known:  map[string]known{},
		used:   map[string]time.Time{},

		forgets: c.Forget, stands: c.Stands, erased: c.Erased,
	}, nil
}

// The actions that this package records.
const (
	ActionPersonCreated  = "person.created"
	ActionPersonDisabled = "person.disabled"
	ActionPersonEnabled  = "person.enabled"
	ActionRolesSet       = "person.roles-set"
	ActionSignedIn       = "person.signed-in"
	ActionSignInFailed   = "person.sign-in-failed"
	ActionPassphraseSet  = "person.passphrase-set"
	ActionLinkCreated    = "person.link-created"
	ActionLinkUsed       = "person.link-used" // which alone signs nobody in who has a second factor
	ActionTokenCreated   = "token.created"
	ActionTokenRevoked   = "token.revoked"
)

// record audits a deed done to a person.
func (s *Service) record(ctx context.Context, action string, p ward.PersonID, detail map[string]string) error {
	return s.audit.Record(ctx, audit.Entry{Action: action, Subject: string(p), Person: p, Detail: detail})
}

// recordOf audits a deed that is about no person.
func (s *Service) recordOf(ctx context.Context, action, subject string, detail map[string]string) error {
	return s.audit.Record(ctx, audit.Entry{Action: action, Subject: subject, Detail: detail})
}

func entryAbout(action, subject string, detail map[string]string) audit.Entry {
	return audit.Entry{Action: action, Subject: subject, Detail: detail}
}

func entryOf(action string, r Role) audit.Entry {
	return entryAbout(action, string(r.ID), map[string]string{"name": r.Name, "permissions": joinScopes(r.Permissions)})
}
