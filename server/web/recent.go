package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward/server/access"
)

// recentFor is how long somebody who has proved who they are may do what is dangerous.
const recentFor = 10 * time.Minute

// grave are the permissions whose deeds ask for a fresh proof of who one is: an unlocked screen
// alone does not do. A new page that needs one of them need not remember.
var grave = []access.Permission{
	access.PersonWrite, access.PersonErase, access.RoleWrite, access.SessionWrite, access.SettingsWrite, access.OrderCancelAll, access.CAWrite, access.PolicyPublish, access.ApproverInvite,
}

// dangerous are routes beyond those, mostly pages with a form that is best not lost.
var dangerous = []string{
	"GET /settings/second-factor/app", "GET /settings/second-factor/passkey", "GET /settings/tokens/new", "GET /settings/people/new", "GET /settings/roles/new", "GET /settings/roles/{id}",
	"GET /brake/cancel-all", "GET /lost/new", "POST /lost/new", "GET /evidence/erasure", "POST /evidence/erasure", "POST /evidence/erasure/now",
}

// harmless are the deeds under /settings/ that need no fresh proof: they take something from
// oneself, or change how things look.
var harmless = []string{
	"POST /settings/sessions/end", "POST /settings/sessions/end-others", "POST /settings/tokens/revoke",
}

// needsRecent reports whether a route asks for a fresh proof of who one is. Whatever changes
// something under /settings/ does, and whatever needs a grave permission, unless it is known to
// be harmless.
func needsRecent(rt route) bool {
	if slices.Contains(dangerous, rt.pattern) {
		return true
	}
	method, path, _ := strings.Cut(rt.pattern, " ")
	if method == http.MethodGet || slices.Contains(harmless, rt.pattern) {
		return false
	}
	return strings.HasPrefix(path, "/settings/") || slices.Contains(grave, rt.needs)
}

// goFirst leads somebody to another page before what they asked for.
type goFirst struct{ to string }

// Error meets error.
func (g *goFirst) Error() string { return "go to " + g.to + " first" }

// factorFree are where somebody may go who still has to set up a second factor.
var factorFree = []string{"/signout", "/passphrase", "/confirm", "/settings/second-factor"}

// guard holds up who has signed in and has to do something else first: set up a second
// factor, or prove anew who they are.
func (s *Server) guard(rt route, r *http.Request) error {
	ctx := r.Context()
	if rt.needs == anyone || s.sessions.GetString(ctx, personKey) == "" {
		return nil
	}
	_, path, _ := strings.Cut(rt.pattern, " ")
	if s.sessions.GetBool(ctx, factorKey) && !slices.ContainsFunc(factorFree, func(p string) bool { return path == p || strings.HasPrefix(path, p+"/") }) {
		return &goFirst{"/settings/second-factor"}
	}
	if !needsRecent(rt) || s.recent(r) {
		return nil
	}
	return &goFirst{"/confirm?next=" + url.QueryEscape(s.comeBack(r))}
}

// recent reports whether the session's person proved a moment ago who they are.
func (s *Server) recent(r *http.Request) bool {
	d := s.Now().Sub(s.since(r.Context(), provedKey))
	return d >= 0 && d < recentFor
}

// comeBack is where somebody goes on after a proof: to the page itself, or after a form to the
// page on which it stands. What they typed is not kept, as a form that is sent later by itself
// could be another than the one they meant.
func (s *Server) comeBack(r *http.Request) string {
	if r.Method == http.MethodGet {
		return r.URL.RequestURI()
	}
	if u, err := url.Parse(r.Referer()); err == nil && u.Host == r.Host && u.Path != "" {
		return local(u.RequestURI())
	}
	return "/settings"
}

type confirmPage struct {
	Page
	Next       string
	Passphrase bool
	Code       bool
	Ask        string // of a passkey; empty for none
	Provider   string // its name; empty for none
	With       string // address at which they prove it there
	Alone      bool   // there is nothing by which they could
}

// confirmView says by what somebody can prove anew who they are: as they signed in, or by a
// passkey of theirs.
func (s *Server) confirmView(r *http.Request, next string) (*confirmPage, error) {
	ctx := r.Context()
	v := &confirmPage{Page: Page{Title: "Confirm that it is you", Section: "settings", Narrow: true}, Next: local(next)}
	how := access.How(s.sessions.GetString(ctx, howKey))
	if with := s.provider(s.sessions.GetString(ctx, withKey)); how == access.ByProvider && with != nil {
		v.Provider, v.With = with.DisplayName(), "/confirm/with?next="+url.QueryEscape(v.Next)
		return v, nil
	}
	account, err := s.Accounts.SignIn.Account(ctx, s.ownID(ctx))
	if err != nil {
		return nil, err
	}
	if account.Passkeys > 0 {
		q, err := s.Accounts.SignIn.AskPasskey()
		if err != nil {
			return nil, err
		}
		v.Ask = q.Options
		s.keepQuestion(ctx, q)
	}
	has, err := s.Accounts.SignIn.HasPassphrase(ctx, account.Person)
	if err != nil {
		return nil, err
	}
	v.Passphrase, v.Code = has, has && account.App
	v.Alone = !has && v.Ask == ""
	return v, nil
}

func (s *Server) confirmForm(w http.ResponseWriter, r *http.Request) error {
	next := local(r.URL.Query().Get("next"))
	if s.recent(r) {
		return see(w, r, next)
	}
	v, err := s.confirmView(r, next)
	if err != nil {
		return err
	}
	return render(s, w, r, http.StatusOK, s.pages.confirm, v)
}

// confirm takes a passphrase, with a code where there is an app: POST /confirm.
func (s *Server) confirm(w http.ResponseWriter, r *http.Request) error {
	v, err := s.confirmView(r, r.PostFormValue("next"))
	if err != nil {
		return err
	}
	how, err := s.Accounts.SignIn.Confirm(r.Context(), r.PostFormValue("passphrase"), field(r, "code"))
	if err != nil {
		return again(s, w, r, s.pages.confirm, v, err, "passphrase")
	}
	return s.proved(w, r, how, v.Next)
}

// confirmPasskey takes the answer of a passkey: POST /confirm/passkey.
func (s *Server) confirmPasskey(w http.ResponseWriter, r *http.Request) error {
	next := local(r.PostFormValue("next"))
	p, err := s.Accounts.SignIn.Passkey(r.Context(), s.takeQuestion(r.Context()), []byte(r.PostFormValue("response")))
	if err == nil && p.ID != s.ownID(r.Context()) {
		err = errOther()
	}
	if err != nil {
		v, e := s.confirmView(r, next)
		if e != nil {
			return e
		}
		return again(s, w, r, s.pages.confirm, v, err, "")
	}
	return s.proved(w, r, access.ByPasskey, next)
}

// proved notes that the session's person proved anew who they are, and goes on.
func (s *Server) proved(w http.ResponseWriter, r *http.Request, how access.How, next string) error {
	ctx := r.Context()
	if err := s.Accounts.SignIn.Confirmed(ctx, how); err != nil {
		return err
	}
	if err := s.turn(ctx, actorOf(r), true); err != nil {
		return err
	}
	s.sessions.Put(ctx, provedKey, s.Now().Unix())
	return see(w, r, next)
}
