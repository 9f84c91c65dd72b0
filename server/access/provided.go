package access

import (
	"context"
	"fmt"
	"net/mail"
	"slices"
	"time"

	"github.com/rs/xid"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/unit"
)

// Arrival is what a provider says of somebody, now or when they sign in.
type Arrival struct {
	Provider string // by its name in the configuration
	Issuer   string
	Subject  string // who it is to the issuer, for ever
	External string // who it is in the directory that is told by SCIM; empty if not known
	Name     string
	Email    string   // empty unless the provider verified it
	Groups   []string // by name or id
	Grouped  bool     // the provider told the groups, if only that there are none
	Silent   bool     // the provider said nothing of groups this time, so that nothing changes
	Why      string   // what people read where no group is told, and that explains it
}

// Identity is a person as a provider knows them.
type Identity struct {
	Issuer, Subject string
	Person          ward.PersonID
	Provider        string
	External        string
}

// Provided keeps who is who to providers. Every method joins the unit of work in ctx.
type Provided interface {
	// Identity returns whom an issuer means by a subject, or NotFound.
	Identity(ctx context.Context, issuer, subject string) (Identity, error)
	// SetIdentity keeps it.
	SetIdentity(ctx context.Context, i Identity) error
	// IdentitiesFor returns those of a provider with that name in its directory.
	IdentitiesFor(ctx context.Context, provider, external string) ([]Identity, error)
	// SetEmail keeps the e-mail address of a person.
	SetEmail(ctx context.Context, id ward.PersonID, email string) error
}

// Grant says which roles and which scope the groups of a provider give.
type Grant func(provider string, groups []string) ([]ward.Role, ward.Scope)

// ActionProvidedRoles is the change of somebody's roles by the groups of a provider.
const ActionProvidedRoles = "person.roles-by-provider"

// Arrive takes in somebody whom a provider has just vouched for, and returns who they are
// here. At first it makes the person; each time it sets the roles and the scope that their
// groups give. Forbidden says why somebody does not come in: no group of theirs gives
// anything, the directory says that they left, or they are disabled here.
func (s *SignIn) Arrive(ctx context.Context, a Arrival) (p Person, err error) {
	if a.Issuer == "" || a.Subject == "" {
		return Person{}, ward.Errorf(ward.Invalid, "The provider did not say who this is.")
	}
	var refused error // is kept out, and what led to it stays
	err = s.store.Do(ward.WithActor(ctx, ward.System), func(ctx context.Context) error {
		refused = nil
		if _, _, err := s.access.store.CountPeople(ctx); err != nil { // first: it keeps others from changing people
			return err
		}
		p, refused, err = s.arrive(ctx, a)
		return err
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return Person{}, err
	}
	return p, nil
}

func (s *SignIn) arrive(ctx context.Context, a Arrival) (p Person, refused, err error) {
	groups, left, err := s.directorySays(ctx, a)
	if err != nil {
		return p, nil, err
	}
	roles, scope := s.grant(a.Provider, groups)
	i, err := s.store.Identity(ctx, a.Issuer, a.Subject)
	known := err == nil
	if err != nil && ward.KindOf(err) != ward.NotFound {
		return p, nil, err
	}
	if left {
		roles = nil
	}
	if !known && len(roles) == 0 {
		return p, s.refusal(a, left), nil
	}
	if known {
		if p, err = s.access.store.Person(ctx, i.Person); err != nil {
			return p, nil, err
		}
	} else if p, err = s.admit(ctx, a, roles); err != nil {
		return p, nil, err
	}
	if err := s.store.SetIdentity(ctx, Identity{a.Issuer, a.Subject, p.ID, a.Provider, a.External}); err != nil {
		return p, nil, err
	}
	if a.Email != "" && a.Email != p.Email {
		if _, err := mail.ParseAddress(a.Email); err == nil {
			if err := s.store.SetEmail(ctx, p.ID, a.Email); err != nil {
				return p, nil, err
			}
			p.Email = a.Email
		}
	}
	if known && a.Silent && !left && len(groups) == 0 {
		roles = p.Roles
	} else if err := s.setProvided(ctx, &p, a.Provider, roles, scope); err != nil {
		return p, nil, err
	}
	switch {
	case len(roles) == 0:
		return p, s.refusal(a, left), nil
	case !p.DisabledAt.IsZero():
		return p, ward.Errorf(ward.Forbidden, "Your account is disabled in Ward. Ask an administrator of Ward."), nil
	}
	return p, nil, nil
}

func (s *SignIn) refusal(a Arrival, left bool) error {
	if left {
		return ward.Errorf(ward.Forbidden, "Your organisation’s directory says that this account is no longer in use.")
	}
	e := ward.Errorf(ward.Forbidden, "%s knows you, but none of your groups there gives you anything in Ward. Ask your IT department which group you need to be in.", a.Provider)
	if a.Why != "" {
		e.Message += " " + a.Why
	}
	return e
}

func (s *SignIn) grant(provider string, groups []string) ([]ward.Role, ward.Scope) {
	if s.Grant == nil {
		return nil, ward.Scope{}
	}
	return s.Grant(provider, groups)
}

// directorySays returns the groups of somebody, from the provider or else from the directory,
// and whether the directory says that they left.
func (s *SignIn) directorySays(ctx context.Context, a Arrival) (groups []string, left bool, err error) {
	groups = a.Groups
	if a.External == "" {
		return groups, false, nil
	}
	u, err := s.store.UserByExternal(ctx, a.Provider, a.External)
	if ward.KindOf(err) == ward.NotFound {
		return groups, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if !a.Grouped {
		if groups, err = s.store.GroupsOf(ctx, u.ID); err != nil {
			return nil, false, err
		}
	}
	return groups, !u.Active, nil
}

// admit makes the person of somebody who comes for the first time. Names are unique: a second
// person of the same name is told apart by a number.
func (s *SignIn) admit(ctx context.Context, a Arrival, roles []ward.Role) (Person, error) {
	now := s.now()
	name := cleanName(a.Name)
	if len(checkName(name)) > 0 {
		name = "Person " + a.Subject
	}
	if r := []rune(cleanName(name)); len(r) > maxName-6 {
		name = string(r[:maxName-6])
	}
	p := Person{ID: ward.PersonID("person-" + xid.NewWithTime(now).String()), Name: name, Created: now, Roles: roles}
	for n := 2; ; n++ {
		_, err := s.access.store.PersonByName(ctx, p.Name)
		if ward.KindOf(err) == ward.NotFound {
			break
		}
		if err != nil {
			return Person{}, err
		}
		p.Name = fmt.Sprintf("%s (%d)", name, n)
	}
	if err := s.access.store.AddPerson(ctx, p); err != nil {
		return Person{}, err
	}
	return p, s.record(ctx, ActionPersonCreated, p.ID, map[string]string{"name": p.Name, "roles": joinRoles(roles), "by": a.Provider})
}

// setProvided sets the roles and the scope that a provider's groups give, if they changed.
// Who has none left is signed out. The last administrator is no exception: the operator at
// the server's console makes another.
func (s *SignIn) setProvided(ctx context.Context, p *Person, provider string, roles []ward.Role, scope ward.Scope) error {
	scope, wrong := checkScope(scope)
	if len(wrong) > 0 {
		return &ward.Error{Kind: ward.Invalid, Message: "The groups of " + provider + " give a scope that can’t be.", Details: wrong}
	}
	if len(roles) == 0 {
		if _, err := s.endAll(ctx, p.ID, "", "no group of "+provider+" gives anything"); err != nil {
			return err
		}
	}
	if slices.Equal(p.Roles, roles) && slices.Equal(p.Scope.Sites, scope.Sites) && slices.Equal(p.Scope.Groups, scope.Groups) {
		return nil
	}
	p.Roles, p.Scope = roles, scope
	if err := s.access.store.UpdatePerson(ctx, *p); err != nil {
		return err
	}
	unit.AfterCommit(ctx, s.access.forget)
	return s.record(ctx, ActionProvidedRoles, p.ID, map[string]string{"roles": joinRoles(roles), "scope": Bounds(scope), "by": provider})
}

// Provider is what SignIn asks of the provider of a session.
type Provider interface {
	// Recheck asks the provider whether somebody may still come in, by the refresh token of
	// their session, and returns what it says now with the token for the next time. Forbidden
	// means that they may not; any other error that the provider did not answer.
	Recheck(ctx context.Context, x Session) (a Arrival, refresh string, err error)
}

// How long a session of a provider goes on without the provider's word.
const maxSilence = time.Hour

// Recheck asks a provider about everybody with a session of it that was not asked about since
// a time. Who may come in no more is signed out, and so is whom the provider has not answered
// for within the hour. It returns how many sessions ended.
func (s *SignIn) Recheck(ctx context.Context, name string, pr Provider, before time.Time) (ended int, err error) {
	due, err := s.store.ProvidedSessions(ctx, name, before, 500)
	if err != nil {
		return 0, err
	}
	for _, x := range due {
		if ctx.Err() != nil {
			return ended, ctx.Err()
		}
		over, err := s.recheck(ctx, pr, x)
		if err != nil {
			return ended, fmt.Errorf("ask %s about a session: %w", name, err)
		}
		if over {
			ended++
		}
	}
	return ended, nil
}

func (s *SignIn) recheck(ctx context.Context, pr Provider, x Session) (over bool, err error) {
	if x.Refresh == "" { // nobody can be asked: the limits of the session hold, and the directory
		x.Checked = s.now()
		return false, s.store.SessionChecked(ctx, x)
	}
	a, refresh, err := pr.Recheck(ctx, x)
	switch {
	case ward.KindOf(err) == ward.Forbidden:
		return true, s.end(ctx, x, "the provider says that the account may not come in any more")
	case err != nil && s.now().Sub(x.Answered) >= maxSilence:
		return true, s.end(ctx, x, "the provider has not answered for an hour")
	case err != nil:
		x.Checked = s.now()
		return false, s.store.SessionChecked(ctx, x)
	}
	x.Checked, x.Answered, x.Refresh = s.now(), s.now(), refresh
	if err := s.store.SessionChecked(ctx, x); err != nil {
		return false, err
	}
	if _, err := s.Arrive(ctx, a); ward.KindOf(err) == ward.Forbidden {
		return true, s.end(ctx, x, "the provider’s groups give nothing any more")
	} else if err != nil {
		return false, err
	}
	return false, nil
}

// end ends one session and says why.
func (s *SignIn) end(ctx context.Context, x Session, why string) error {
	return s.store.Do(ward.WithActor(ctx, ward.System), func(ctx context.Context) error {
		if err := s.store.EndSession(ctx, x.ID); err != nil {
			return err
		}
		return s.record(ctx, ActionSessionEnded, x.Person, map[string]string{"session": x.ID, "because": why})
	})
}

// SignedOutThere ends the sessions that a provider says are over: those of its own session, or
// of the subject if it names none.
func (s *SignIn) SignedOutThere(ctx context.Context, provider, subject, providerSession string) (int, error) {
	if subject == "" && providerSession == "" {
		return 0, ward.Errorf(ward.Invalid, "The provider did not say whose sessions are over.")
	}
	list, err := s.store.SessionsFor(ctx, provider, subject, providerSession)
	if err != nil {
		return 0, err
	}
	for _, x := range list {
		if err := s.end(ctx, x, "signed out at "+provider); err != nil {
			return 0, err
		}
	}
	return len(list), nil
}
