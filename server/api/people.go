package api

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
)

// Person is someone who uses Ward.
type Person struct {
	ID        ward.PersonID `json:"id"`
	Name      string        `json:"name"`
	Email     string        `json:"email,omitempty"`
	Roles     []ward.Role   `json:"roles" nullable:"false"`
	Scope     *Scope        `json:"scope,omitempty" doc:"What the person is bounded to, over all roles; left out for nothing."`
	Created   time.Time     `json:"created"`
	Activated *time.Time    `json:"activated,omitempty" doc:"When the person could first act."`
	Disabled  *time.Time    `json:"disabled,omitempty"`
	Erased    *time.Time    `json:"erased,omitempty" doc:"Since when nothing is known of the person."`
}

// Scope bounds what a person sees and acts on to devices of some sites and groups.
type Scope struct {
	Sites  []string `json:"sites,omitempty" nullable:"false" doc:"Devices of these sites; of every site if left out."`
	Groups []string `json:"groups,omitempty" nullable:"false" doc:"Devices of these groups; of every group if left out."`
}

func scopeOf(s ward.Scope) *Scope {
	if s.All() {
		return nil
	}
	return &Scope{Sites: s.Sites, Groups: s.Groups}
}

func (s *Scope) scope() ward.Scope {
	if s == nil {
		return ward.Scope{}
	}
	return ward.Scope{Sites: s.Sites, Groups: s.Groups}
}

func personOf(p access.Person) Person {
	return Person{ID: p.ID, Name: p.Name, Email: p.Email, Roles: append([]ward.Role{}, p.Roles...), Scope: scopeOf(p.Scope), Created: p.Created.UTC(), Activated: when(p.Activated), Disabled: when(p.DisabledAt), Erased: when(p.ErasedAt)}
}

// Me is who asks, and what they may do.
type Me struct {
	Person      Person              `json:"person"`
	Permissions []access.Permission `json:"permissions" nullable:"false" doc:"What this token may do."`
	Token       string              `json:"token" doc:"The token's id."`
}

func (s *server) me(ctx context.Context, _ *noInput) (*reply[Me], error) {
	a := ward.ActorFrom(ctx)
	p, err := s.Access.Person(ctx, a.Person)
	if err != nil {
		return nil, err
	}
	m := Me{Person: personOf(p), Permissions: []access.Permission{}, Token: a.Token}
	for _, p := range access.Permissions() {
		if access.Allows(a, p) {
			m.Permissions = append(m.Permissions, p)
		}
	}
	return answer(m), nil
}

type listPeopleInput struct{ Paging }

func (s *server) listPeople(ctx context.Context, in *listPeopleInput) (*reply[List[Person]], error) {
	ps, err := s.Access.People(ctx, ward.PersonID(in.After), in.Limit)
	if err != nil {
		return nil, err
	}
	return answer(page(ps, in.Limit, func(p access.Person) string { return string(p.ID) }, personOf)), nil
}

type addPersonInput struct {
	Body struct {
		Name  string      `json:"name"`
		Email string      `json:"email,omitempty"`
		Roles []ward.Role `json:"roles" nullable:"false" doc:"Ids of roles; GET /roles lists them."`
		Scope *Scope      `json:"scope,omitempty" doc:"What to bound the person to; nothing if left out."`
	} `nameHint:"PersonRequest"`
}

func (s *server) addPerson(ctx context.Context, in *addPersonInput) (*reply[Person], error) {
	p, err := s.Access.CreatePerson(ctx, access.NewPerson{Name: in.Body.Name, Email: in.Body.Email, Roles: in.Body.Roles, Scope: in.Body.Scope.scope()})
	if err != nil {
		return nil, err
	}
	return answer(personOf(p)), nil
}

// PersonPath names a person in a path.
type PersonPath struct {
	ID string `path:"id" maxLength:"200" doc:"Id or name."`
}

// person finds a person by id or name.
func (s *server) person(ctx context.Context, word string) (access.Person, error) {
	p, err := s.Access.Person(ctx, ward.PersonID(word))
	if ward.KindOf(err) == ward.NotFound {
		return s.Access.PersonByName(ctx, word)
	}
	return p, err
}

func (s *server) showPerson(ctx context.Context, in *PersonPath) (*reply[Person], error) {
	p, err := s.person(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return answer(personOf(p)), nil
}

type rolesInput struct {
	PersonPath
	Body struct {
		Roles []ward.Role `json:"roles" nullable:"false"`
	} `nameHint:"RolesRequest"`
}

func (s *server) setRoles(ctx context.Context, in *rolesInput) (*reply[Person], error) {
	return s.changed(ctx, in.ID, func(id ward.PersonID) error { return s.Access.SetRoles(ctx, id, in.Body.Roles) })
}

type scopeInput struct {
	PersonPath
	Body Scope
}

func (s *server) setScope(ctx context.Context, in *scopeInput) (*reply[Person], error) {
	return s.changed(ctx, in.ID, func(id ward.PersonID) error { return s.Access.SetScope(ctx, id, in.Body.scope()) })
}

// erasePerson erases what is known of a person who uses Ward; it can't be undone.
func (s *server) erasePerson(ctx context.Context, in *PersonPath) (*reply[Person], error) {
	return s.changed(ctx, in.ID, func(id ward.PersonID) error { return s.Access.ErasePerson(ctx, id) })
}

func (s *server) disablePerson(ctx context.Context, in *PersonPath) (*reply[Person], error) {
	return s.changed(ctx, in.ID, func(id ward.PersonID) error { return s.Access.DisablePerson(ctx, id) })
}

func (s *server) enablePerson(ctx context.Context, in *PersonPath) (*reply[Person], error) {
	return s.changed(ctx, in.ID, func(id ward.PersonID) error { return s.Access.EnablePerson(ctx, id) })
}

// changed answers with a person after a change.
func (s *server) changed(ctx context.Context, word string, change func(ward.PersonID) error) (*reply[Person], error) {
	p, err := s.person(ctx, word)
	if err != nil {
		return nil, err
	}
	if err := change(p.ID); err != nil {
		return nil, err
	}
	if p, err = s.Access.Person(ctx, p.ID); err != nil {
		return nil, err
	}
	return answer(personOf(p)), nil
}

type linkInput struct {
	PersonPath
	Body *struct {
		Kind  access.LinkKind `json:"kind,omitempty" enum:"setup,signin" doc:"setup for someone who has never signed in, else signin, if left out."`
		Hours int             `json:"hours,omitempty" minimum:"0" maximum:"168" doc:"How long it works; 24 if left out."`
	} `required:"false" nameHint:"LinkRequest"`
}

// Link is a one-time link for a person.
type Link struct {
	URL     string          `json:"url" doc:"Told once. Whoever opens it is that person."`
	Kind    access.LinkKind `json:"kind"`
	Expires time.Time       `json:"expires"`
}

func (s *server) makeLink(ctx context.Context, in *linkInput) (*reply[Link], error) {
	p, err := s.personOrSelf(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	kind, life := access.LinkSignIn, 24*time.Hour
	if p.Activated.IsZero() {
		kind = access.LinkSetup
	}
	if in.Body != nil && in.Body.Kind != "" {
		kind = in.Body.Kind
	}
	if in.Body != nil && in.Body.Hours > 0 {
		life = time.Duration(in.Body.Hours) * time.Hour
	}
	expires := s.Now().Add(life)
	secret, err := s.Access.CreateLink(ctx, p.ID, kind, life)
	if err != nil {
		return nil, err
	}
	return answer(Link{URL: s.PublicURL + "/" + string(kind) + "/" + secret, Kind: kind, Expires: expires.UTC()}), nil
}

// personOrSelf finds a person for whom anybody may ask about themselves, and others
// only who may see people.
func (s *server) personOrSelf(ctx context.Context, word string) (access.Person, error) {
	return s.selfOr(ctx, access.PersonRead, word)
}

// selfOr finds the person who asks, and others for whom the permission allows it.
func (s *server) selfOr(ctx context.Context, needs access.Permission, word string) (access.Person, error) {
	p, err := s.person(ctx, word)
	if err == nil && p.ID == ward.ActorFrom(ctx).Person {
		return p, nil
	}
	if err := access.Check(ctx, needs); err != nil {
		return access.Person{}, err // also where there is none, so that names can't be guessed
	}
	return p, err
}

// Token is a token without its secret.
type Token struct {
	ID       string              `json:"id"`
	Name     string              `json:"name"`
	Person   ward.PersonID       `json:"person"`
	Scopes   []access.Permission `json:"scopes" nullable:"false" doc:"What it is narrowed to; empty is all that the person may do."`
	Created  time.Time           `json:"created"`
	Expires  *time.Time          `json:"expires,omitempty"`
	LastUsed *time.Time          `json:"last_used,omitempty" doc:"May lag by a minute."`
	Revoked  *time.Time          `json:"revoked,omitempty"`
}

func tokenOf(t access.Token) Token {
	return Token{
		ID: t.ID, Name: t.Name, Person: t.Person, Scopes: append([]access.Permission{}, t.Scopes...), Created: t.Created.UTC(),
		Expires: when(t.Expires), LastUsed: when(t.LastUsed), Revoked: when(t.RevokedAt),
	}
}

// NewToken is a token with its secret.
type NewToken struct {
	Token
	Secret string `json:"secret" doc:"Told once."`
}

// Tokens are the tokens of a person.
type Tokens struct {
	Items []Token `json:"items" nullable:"false"`
}

func (s *server) listTokens(ctx context.Context, in *PersonPath) (*reply[Tokens], error) {
	p, err := s.personOrSelf(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	ts, err := s.Access.Tokens(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	return answer(Tokens{Items: shapes(ts, tokenOf)}), nil
}

type makeTokenInput struct {
	PersonPath
	Body struct {
		Name    string              `json:"name,omitempty" doc:"What it is for."`
		Scopes  []access.Permission `json:"scopes,omitempty" nullable:"false" doc:"Permissions to narrow it to; all that the person may do if left out."`
		Expires time.Time           `json:"expires,omitzero" required:"false" doc:"Never if left out."`
	} `nameHint:"TokenRequest"`
}

func (s *server) makeToken(ctx context.Context, in *makeTokenInput) (*reply[NewToken], error) {
	p, err := s.personOrSelf(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	t, secret, err := s.Access.CreateToken(ctx, access.NewToken{Person: p.ID, Name: in.Body.Name, Scopes: in.Body.Scopes, Expires: in.Body.Expires})
	if err != nil {
		return nil, err
	}
	return answer(NewToken{Token: tokenOf(t), Secret: secret}), nil
}

type tokenInput struct {
	ID string `path:"id" maxLength:"200"`
}

func (s *server) revokeToken(ctx context.Context, in *tokenInput) (*none, error) {
	return &none{}, s.Access.RevokeToken(ctx, in.ID)
}
