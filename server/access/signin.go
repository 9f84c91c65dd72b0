package access

import (
	"context"
	"errors"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/unit"
)

// Account is what is kept of how a person signs in.
type Account struct {
	Person     ward.PersonID
	Last       time.Time // zero if never
	LastHow    string
	BreakGlass bool     // may sign in by passphrase although a provider is set up
	App        bool     // has an authenticator app
	Passkeys   int      // for signing in
	Recovery   int      // recovery codes left
	Providers  []string // who vouches for them; none for a local account
}

// Strong reports whether a passphrase alone does not let anybody in.
func (a Account) Strong() bool { return a.App || a.Passkeys > 0 }

// Local reports whether no provider vouches for the person.
func (a Account) Local() bool { return len(a.Providers) == 0 }

// Accounts keeps how people sign in. Every method joins the unit of work in ctx.
type Accounts interface {
	// Accounts returns what is kept of persons; of one that never signed in the zero
	// Account with its id.
	Accounts(ctx context.Context, ids ...ward.PersonID) (map[ward.PersonID]Account, error)
	// SignedIn notes when and how a person signed in.
	SignedIn(ctx context.Context, id ward.PersonID, at time.Time, how string) error
	// SetBreakGlass keeps whether a person may use a passphrase where a provider is set up.
	SetBreakGlass(ctx context.Context, id ward.PersonID, may bool) error
}

// SignInStore is what signing in is kept in.
type SignInStore interface {
	unit.Unit
	Accounts
	Sessions
	Factors
	Passkeys
	Provided
	Directory
}

// The policies on second factors.
const (
	FactorOptional = "optional" // who has none may go on, and is told
	FactorRequired = "required" // who has none is led to set one up and can do nothing before
)

// SignInConfig says what a SignIn stands on. The fields of the first group are needed.
type SignInConfig struct {
	Access *Service
	Store  SignInStore
	// RPID is the host by which people reach Ward and Origin the scheme, host and port, as
	// passkeys are bound to them.
	RPID, Origin string

	Organisation string        // shown by authenticator apps; "Ward" if empty
	SecondFactor string        // FactorOptional if empty
	Provided     bool          // providers are set up, so local accounts are refused unless LocalToo or for break-glass
	LocalToo     bool          // local accounts are let in beside the providers
	Grant        Grant         // what the groups of providers give; nil: nothing
	Idle         time.Duration // sessions without a request for so long have ended
}

// SignIn knows how people prove who they are beyond a passphrase: second factors, passkeys,
// providers and directories; and the sessions that they begin. Its methods may be called by
// several goroutines.
type SignIn struct {
	SignInConfig
	access *Service
	store  SignInStore
	now    func() time.Time
}

// NewSignIn returns it, and has the gate end the sessions of whom it disables.
func NewSignIn(c SignInConfig) (*SignIn, error) {
	if c.Access == nil || c.Store == nil || c.RPID == "" || c.Origin == "" {
		return nil, errors.New("access: a SignIn needs Access, Store, RPID and Origin")
	}
	if c.Organisation == "" {
		c.Organisation = "Ward"
	}
	if c.SecondFactor == "" {
		c.SecondFactor = FactorOptional
	}
	s := &SignIn{SignInConfig: c, access: c.Access, store: c.Store, now: c.Access.now}
	c.Access.ended = func(ctx context.Context, id ward.PersonID) error {
		_, err := s.store.EndSessions(ctx, id, "")
		return err
	}
	return s, nil
}

// record audits a deed done to a person.
func (s *SignIn) record(ctx context.Context, action string, p ward.PersonID, detail map[string]string) error {
	return s.access.record(ctx, action, p, detail)
}

// The actions that signing in records.
const (
	ActionFactorSet     = "person.second-factor-set"
	ActionFactorRemoved = "person.second-factor-removed"
	ActionFactorReset   = "person.second-factor-reset"
	ActionRecoveryMade  = "person.recovery-codes-made"
	ActionPasskeyAdded  = "person.passkey-added"
	ActionPasskeyEnded  = "person.passkey-removed"
	ActionBreakGlassSet = "person.break-glass-set"
	ActionConfirmed     = "person.confirmed"
)

// Account returns how one person signs in.
func (s *SignIn) Account(ctx context.Context, id ward.PersonID) (Account, error) {
	all, err := s.store.Accounts(ctx, id)
	return all[id], err
}

// AccountsOf returns how persons sign in.
func (s *SignIn) AccountsOf(ctx context.Context, ids ...ward.PersonID) (map[ward.PersonID]Account, error) {
	return s.store.Accounts(ctx, ids...)
}

// Passphrase checks a name and a passphrase as the first of one or two steps and returns the
// person and what else is needed: a code, if they have an authenticator app. Where providers
// are set up, only break-glass accounts come in this way; who else tried it is told so only
// after the passphrase was right. Nothing is recorded as a sign-in before Begin.
func (s *SignIn) Passphrase(ctx context.Context, name, passphrase string) (p Person, code bool, err error) {
	if p, err = s.access.verify(ctx, name, passphrase); err != nil {
		return Person{}, false, err
	}
	a, err := s.Account(ctx, p.ID)
	if err != nil {
		return Person{}, false, err
	}
	if !s.LocalAllowed(a) {
		return Person{}, false, ward.Errorf(ward.Forbidden, "Sign in with your organisation’s account: passphrases are only for accounts that are kept for emergencies.")
	}
	if !a.App && a.Passkeys > 0 && s.SecondFactor == FactorRequired {
		return Person{}, false, ward.Errorf(ward.Forbidden, "Sign in with your passkey: a passphrase alone does not do here.")
	}
	return p, a.App, nil
}

// LocalAllowed reports whether somebody may come in without a provider.
func (s *SignIn) LocalAllowed(a Account) bool { return !s.Provided || s.LocalToo || a.BreakGlass }

// NeedsFactor reports whether somebody has to set up a second factor before anything else.
func (s *SignIn) NeedsFactor(a Account, how How) bool {
	return s.SecondFactor == FactorRequired && how != ByProvider && !a.Strong()
}

// Begin records that a person has signed in, within the unit of work in which the caller
// keeps the session.
func (s *SignIn) Begin(ctx context.Context, x Session) error {
	how := string(x.How)
	if x.Provider != "" {
		how = x.Provider
	}
	return s.store.Do(ctx, func(ctx context.Context) error {
		p, err := s.access.store.Person(ctx, x.Person)
		if err != nil {
			return err
		}
		if err := s.access.store.ActivatePerson(ctx, p.ID, s.now()); err != nil {
			return err
		}
		if err := s.store.SignedIn(ctx, p.ID, s.now(), how); err != nil {
			return err
		}
		return s.record(ward.WithActor(ctx, actor(p, ward.ViaSession)), ActionSignedIn, p.ID, map[string]string{"by": how, "session": x.ID})
	})
}

// Confirmed records that a person proved anew who they are.
func (s *SignIn) Confirmed(ctx context.Context, how How) error {
	return s.record(ctx, ActionConfirmed, ward.ActorFrom(ctx).Person, map[string]string{"by": string(how)})
}

// mayChange refuses to change how somebody signs in who may do more than who acts.
func (s *SignIn) mayChange(ctx context.Context, id ward.PersonID) error {
	p, err := s.access.store.Person(ctx, id)
	if err != nil {
		return err
	}
	return s.access.mayChange(ctx, p)
}

// SetBreakGlass says whether a person may sign in by passphrase although a provider is set
// up. It takes PersonWrite.
func (s *SignIn) SetBreakGlass(ctx context.Context, id ward.PersonID, may bool) error {
	if err := Check(ctx, PersonWrite); err != nil {
		return err
	}
	return s.store.Do(ctx, func(ctx context.Context) error {
		if err := s.mayChange(ctx, id); err != nil {
			return err
		}
		if err := s.store.SetBreakGlass(ctx, id, may); err != nil {
			return err
		}
		word := "no"
		if may {
			word = "yes"
		}
		return s.record(ctx, ActionBreakGlassSet, id, map[string]string{"break_glass": word})
	})
}

// HasPassphrase reports whether somebody can prove who they are by a passphrase.
func (s *SignIn) HasPassphrase(ctx context.Context, id ward.PersonID) (bool, error) {
	encoded, err := s.access.store.Passphrase(ctx, id)
	return encoded != "", err
}

// Confirm checks anew that it is the person in ctx: their passphrase, and a code if they have
// an authenticator app.
func (s *SignIn) Confirm(ctx context.Context, passphrase, code string) (How, error) {
	if err := s.ConfirmPassphrase(ctx, passphrase); err != nil {
		return "", err
	}
	id := ward.ActorFrom(ctx).Person
	a, err := s.Account(ctx, id)
	if err != nil {
		return "", err
	}
	if !a.App {
		return ByPassphrase, nil
	}
	return s.Code(ctx, id, code)
}

// ConfirmPassphrase checks anew the passphrase of the person in ctx. A wrong one is Invalid:
// nobody is signed out by it.
func (s *SignIn) ConfirmPassphrase(ctx context.Context, passphrase string) error {
	a, err := own(ctx)
	if err != nil {
		return err
	}
	_, err = s.access.verify(ctx, a.Name, passphrase)
	if ward.KindOf(err) == ward.Unauthenticated {
		return ward.Errorf(ward.Invalid, "Your passphrase is not this one.")
	}
	return err
}
