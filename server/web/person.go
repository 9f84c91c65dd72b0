package web

import (
	"net/http"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
)

const oneDay = 24 * time.Hour

type personPage struct {
	Page
	Head                 pageHead
	ID                   string
	Facts                []factView
	Roles                []roleChoice
	Sites, Groups        string
	Sessions             []sessionView
	Tokens               []tokenView
	Write, SeeSessions   bool
	EndSessions          bool
	Disabled, Erased     bool
	NeverIn, Itself      bool
	Provided, BreakGlass bool
	Factor               bool
	Address              string
}

// person shows one person: GET /settings/people/{id}.
func (s *Server) onePerson(w http.ResponseWriter, r *http.Request) error {
	v, err := s.personView(r)
	if err != nil {
		return err
	}
	return render(s, w, r, http.StatusOK, s.pages.person, v)
}

func (s *Server) personView(r *http.Request) (*personPage, error) {
	ctx, a := r.Context(), actorOf(r)
	p, err := s.Access.Person(ctx, ward.PersonID(r.PathValue("id")))
	if err != nil {
		return nil, err
	}
	account, err := s.Accounts.SignIn.Account(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	names, err := s.roleNames(ctx)
	if err != nil {
		return nil, err
	}
	state := personTag(p)
	v := &personPage{
		Page: Page{Title: p.Name, Section: "settings", Backlink: "/settings/people", Backname: "People"},
		ID:   string(p.ID), Address: personAddress(p.ID), Head: pageHead{Title: p.Name, Tag: &state},
		Write: access.Allows(a, access.PersonWrite), SeeSessions: access.Allows(a, access.SessionRead), EndSessions: access.Allows(a, access.SessionWrite),
		Disabled: !p.DisabledAt.IsZero(), Erased: !p.ErasedAt.IsZero(), NeverIn: p.Activated.IsZero(), Itself: a.Person == p.ID,
		Provided: !account.Local(), BreakGlass: account.BreakGlass, Factor: account.Strong(),
		Sites: strings.Join(p.Scope.Sites, "\n"), Groups: strings.Join(p.Scope.Groups, "\n"),
	}
	now := s.Now()
	last := at(account.Last, now).Exact
	if account.LastHow != "" {
		last += ", by " + account.LastHow
	}
	v.Facts = []factView{
		{Label: "E-mail", Value: p.Email},
		{Label: "Roles", Value: names.of(p.Roles)},
		{Label: "Bounded to", Value: scopeWords(p.Scope)},
		{Label: "Signs in by", Value: accountWords(account)},
		{Label: "Last sign-in", Value: last},
		{Label: "Added", Value: at(p.Created, now).Exact},
	}
	if v.Roles, err = s.roleChoices(ctx, p.Roles); err != nil {
		return nil, err
	}
	if v.SeeSessions || v.Itself {
		if v.Sessions, err = s.sessionsOf(ctx, p.ID); err != nil {
			return nil, err
		}
	}
	v.Tokens, err = s.tokensOf(ctx, p.ID)
	return v, err
}

// personAgain shows the page again and says what was wrong.
func (s *Server) personAgain(w http.ResponseWriter, r *http.Request, why error, field string) error {
	v, err := s.personView(r)
	if err != nil {
		return err
	}
	return again(s, w, r, s.pages.person, v, why, field)
}

// changed answers a deed done to a person.
func (s *Server) changed(w http.ResponseWriter, r *http.Request, err error, field, said string) error {
	if err != nil {
		return s.personAgain(w, r, err, field)
	}
	s.flash(r, "%s", said)
	return see(w, r, personAddress(ward.PersonID(r.PathValue("id"))))
}

func (s *Server) setRoles(w http.ResponseWriter, r *http.Request) error {
	ctx, id := r.Context(), ward.PersonID(r.PathValue("id"))
	p, err := s.Access.Person(ctx, id)
	if err != nil {
		return err
	}
	roles, scope := rolesOf(r), scopeOf(r)
	if access.Bounds(scope) != access.Bounds(p.Scope) {
		if err := s.Access.SetScope(ctx, id, scope); err != nil {
			return s.personAgain(w, r, err, "sites")
		}
	}
	return s.changed(w, r, s.Access.SetRoles(ctx, id, roles), "roles", "What "+p.Name+" may do is changed.")
}

func (s *Server) disablePerson(w http.ResponseWriter, r *http.Request) error {
	return s.changed(w, r, s.Access.DisablePerson(r.Context(), ward.PersonID(r.PathValue("id"))), "", "Disabled. Their sessions are ended and their tokens work no more.")
}

func (s *Server) enablePerson(w http.ResponseWriter, r *http.Request) error {
	return s.changed(w, r, s.Access.EnablePerson(r.Context(), ward.PersonID(r.PathValue("id"))), "", "Enabled.")
}

func (s *Server) linkPerson(w http.ResponseWriter, r *http.Request) error {
	p, err := s.Access.Person(r.Context(), ward.PersonID(r.PathValue("id")))
	if err != nil {
		return err
	}
	if err := s.showLink(w, r, p); err != nil {
		return s.personAgain(w, r, err, "")
	}
	return nil
}

func (s *Server) setBreakGlass(w http.ResponseWriter, r *http.Request) error {
	may := field(r, "may") == "yes"
	said := "They sign in with their organisation’s account only."
	if may {
		said = "They may sign in by passphrase, for emergencies."
	}
	return s.changed(w, r, s.Accounts.SignIn.SetBreakGlass(r.Context(), ward.PersonID(r.PathValue("id")), may), "", said)
}

func (s *Server) resetFactors(w http.ResponseWriter, r *http.Request) error {
	return s.changed(w, r, s.Accounts.SignIn.ResetFactors(r.Context(), ward.PersonID(r.PathValue("id"))), "", "Their second factor is reset, and their sessions are ended.")
}

func (s *Server) revokeTokenOf(w http.ResponseWriter, r *http.Request) error {
	return s.changed(w, r, s.Access.RevokeToken(r.Context(), field(r, "token")), "", "The token works no more.")
}
