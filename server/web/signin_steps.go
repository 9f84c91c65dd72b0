package web

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
)

// pendFor is how long one may take from the passphrase to the code.
const pendFor = 10 * time.Minute

// halfIn is a person who has told the right passphrase, and no code yet.
type halfIn struct {
	Person ward.PersonID
	At     time.Time
}

type codeStepPage struct {
	Page
}

type passkeyPage struct {
	Page
	Next, Ask string
}

type refusedPage struct {
	Page
	Message string
	Back    string
}

func actorOf(r *http.Request) ward.Actor { return ward.ActorFrom(r.Context()) }

// ownID is whom the session stands for.
func (s *Server) ownID(ctx context.Context) ward.PersonID {
	return ward.PersonID(s.sessions.GetString(ctx, personKey))
}

// putJSON keeps a value in the session.
func (s *Server) putJSON(ctx context.Context, key string, v any) {
	b, err := json.Marshal(v)
	if err == nil {
		s.sessions.Put(ctx, key, string(b))
	}
}

// pend remembers who told the right passphrase, under a new token, and asks for the code.
func (s *Server) pend(w http.ResponseWriter, r *http.Request, id ward.PersonID, next string) error {
	ctx := r.Context()
	if err := s.sessions.Clear(ctx); err != nil {
		return err
	}
	if err := s.sessions.RenewToken(ctx); err != nil {
		return err
	}
	s.putJSON(ctx, pendingKey, halfIn{id, s.Now()})
	s.sessions.Put(ctx, nextKey, next)
	return see(w, r, "/signin/code")
}

// pended returns who is asked for a code, "" for nobody.
func (s *Server) pended(ctx context.Context) ward.PersonID {
	var p halfIn
	if json.Unmarshal([]byte(s.sessions.GetString(ctx, pendingKey)), &p) != nil || s.Now().Sub(p.At) >= pendFor {
		return ""
	}
	return p.Person
}

// codeForm asks for the code of an authenticator app: GET /signin/code.
func (s *Server) codeForm(w http.ResponseWriter, r *http.Request) error {
	if s.pended(r.Context()) == "" {
		return see(w, r, "/signin")
	}
	return render(s, w, r, http.StatusOK, s.pages.signInCode, &codeStepPage{Page{Title: "Enter your code", Narrow: true}})
}

func (s *Server) codeStep(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	id := s.pended(ctx)
	if id == "" {
		return see(w, r, "/signin")
	}
	how, err := s.Accounts.SignIn.Code(ctx, id, field(r, "code"))
	if err != nil {
		return again(s, w, r, s.pages.signInCode, &codeStepPage{Page{Title: "Enter your code", Narrow: true}}, err, "code")
	}
	next := local(s.sessions.GetString(ctx, nextKey))
	if how == access.ByRecovery {
		next = "/settings/second-factor"
	}
	return s.enterBy(w, r, id, how, next)
}

// enterBy begins the session of a local account and goes on.
func (s *Server) enterBy(w http.ResponseWriter, r *http.Request, id ward.PersonID, how access.How, next string) error {
	if err := s.enter(r, s.Accounts.SignIn.NewSession(id, how), ""); err != nil {
		return err
	}
	return s.landed(w, r, id, next)
}

// landed leads somebody who has just signed in to where they were going; staff, who may see
// no list of devices, to their own.
func (s *Server) landed(w http.ResponseWriter, r *http.Request, id ward.PersonID, next string) error {
	a, err := s.Access.Actor(r.Context(), id, ward.ViaSession)
	if err != nil {
		return err
	}
	if (next == "/devices" || next == "/") && !access.Allows(a, access.DeviceRead) && access.Allows(a, access.MineRead) {
		next = "/mine"
	}
	return see(w, r, next)
}

// keepQuestion keeps what a passkey was asked, and takeQuestion takes it, so that each is
// answered once.
func (s *Server) keepQuestion(ctx context.Context, q access.Question) {
	q.Options = ""
	s.putJSON(ctx, questionKey, q)
}

func (s *Server) takeQuestion(ctx context.Context) (q access.Question) {
	if json.Unmarshal([]byte(s.sessions.PopString(ctx, questionKey)), &q) != nil {
		return access.Question{}
	}
	return q
}

func (s *Server) passkeyView(r *http.Request, next string) (*passkeyPage, error) {
	q, err := s.Accounts.SignIn.AskPasskey()
	if err != nil {
		return nil, err
	}
	s.keepQuestion(r.Context(), q)
	return &passkeyPage{Page: Page{Title: "Sign in with a passkey", Narrow: true, Backlink: "/signin", Backname: "Sign in"}, Next: next, Ask: q.Options}, nil
}

// passkeyForm asks for a passkey: GET /signin/passkey.
func (s *Server) passkeyForm(w http.ResponseWriter, r *http.Request) error {
	v, err := s.passkeyView(r, local(r.URL.Query().Get("next")))
	if err != nil {
		return err
	}
	return render(s, w, r, http.StatusOK, s.pages.signInPasskey, v)
}

func (s *Server) passkeySignIn(w http.ResponseWriter, r *http.Request) error {
	next := local(r.PostFormValue("next"))
	p, err := s.Accounts.SignIn.Passkey(r.Context(), s.takeQuestion(r.Context()), []byte(r.PostFormValue("response")))
	if err != nil {
		v, e := s.passkeyView(r, next)
		if e != nil {
			return e
		}
		return again(s, w, r, s.pages.signInPasskey, v, err, "")
	}
	return s.enterBy(w, r, p.ID, access.ByPasskey, next)
}

// provider returns the provider of a slug, nil for none.
func (s *Server) provider(slug string) *NamedProvider {
	i := slices.IndexFunc(s.Accounts.Providers, func(p NamedProvider) bool { return p.Slug == slug })
	if i < 0 {
		return nil
	}
	return &s.Accounts.Providers[i]
}

func (s *Server) providerOf(r *http.Request) (*NamedProvider, error) {
	if p := s.provider(r.PathValue("provider")); p != nil {
		return p, nil
	}
	return nil, ward.Errorf(ward.NotFound, "There is no such way to sign in.")
}

// departure is what the session keeps while somebody is at a provider.
type departure struct {
	Slug, Keep, Next string
	Again            bool
}

// toProvider sends somebody to a provider: GET /signin/with/{provider}.
func (s *Server) toProvider(w http.ResponseWriter, r *http.Request) error {
	p, err := s.providerOf(r)
	if err != nil {
		return err
	}
	return s.depart(w, r, p, local(r.URL.Query().Get("next")), false)
}

// confirmWith sends somebody to their provider to prove anew who they are: GET /confirm/with.
func (s *Server) confirmWith(w http.ResponseWriter, r *http.Request) error {
	p := s.provider(s.sessions.GetString(r.Context(), withKey))
	if p == nil {
		return ward.Errorf(ward.NotFound, "You did not sign in with an account of your organisation.")
	}
	return s.depart(w, r, p, local(r.URL.Query().Get("next")), true)
}

func (s *Server) depart(w http.ResponseWriter, r *http.Request, p *NamedProvider, next string, anew bool) error {
	address, keep, err := p.Begin(r.Context(), anew)
	if err != nil {
		return err
	}
	s.putJSON(r.Context(), flightKey, departure{p.Slug, keep, next, anew})
	http.Redirect(w, r, address, http.StatusSeeOther) //nolint:gosec // the operator names the provider
	return nil
}

// fromProvider takes somebody back: GET /signin/with/{provider}/back.
func (s *Server) fromProvider(w http.ResponseWriter, r *http.Request) error {
	p, err := s.providerOf(r)
	if err != nil {
		return err
	}
	ctx := r.Context()
	var f departure
	if json.Unmarshal([]byte(s.sessions.PopString(ctx, flightKey)), &f) != nil || f.Slug != p.Slug {
		return s.notLetIn(w, r, p, ward.Errorf(ward.Forbidden, "This sign-in was begun in another browser or took too long. Begin again."))
	}
	a, x, err := p.Finish(ctx, f.Keep, r.URL.Query())
	if err != nil {
		return s.notLetIn(w, r, p, err)
	}
	person, err := s.Accounts.SignIn.Arrive(ctx, a)
	if err != nil {
		return s.notLetIn(w, r, p, err)
	}
	if f.Again {
		if s.ownID(ctx) != person.ID {
			return s.notLetIn(w, r, p, errOther())
		}
		return s.proved(w, r, access.ByProvider, f.Next)
	}
	begun := s.Accounts.SignIn.NewSession(person.ID, access.ByProvider)
	begun.Provider, begun.Subject, begun.ProviderSession, begun.Refresh = x.Provider, x.Subject, x.ProviderSession, x.Refresh
	if err := s.enter(r, begun, p.Slug); err != nil {
		return err
	}
	return s.landed(w, r, person.ID, f.Next)
}

func errOther() error {
	return ward.Errorf(ward.Forbidden, "This is somebody else than the person who has signed in here. Sign out first.")
}

// refuse says why somebody did not come in by a provider.
func (s *Server) notLetIn(w http.ResponseWriter, r *http.Request, p *NamedProvider, why error) error {
	problem, err := problemOf(why, "")
	if err != nil {
		return err
	}
	v := &refusedPage{Page: Page{Title: "You are not signed in", Narrow: true}, Message: problem.Text, Back: "/signin/with/" + p.Slug}
	return render(s, w, r, problem.status, s.pages.refused, v)
}

// endedThere hears from a provider that somebody signed out there:
// POST /signin/with/{provider}/ended.
func (s *Server) endedThere(w http.ResponseWriter, r *http.Request) error {
	p, err := s.providerOf(r)
	if err != nil {
		return err
	}
	subject, session, err := p.LoggedOut(r.Context(), strings.TrimSpace(r.PostFormValue("logout_token")))
	if err != nil {
		return err
	}
	if _, err := s.Accounts.SignIn.SignedOutThere(r.Context(), p.DisplayName(), subject, session); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
