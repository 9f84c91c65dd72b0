package web

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
)

type signInPage struct {
	Page
	Person    string // typed
	Next      string
	Providers []link
	Passkey   string // address of the page for passkeys
	Provided  bool   // passphrases are for emergencies only
	Open      bool   // the form is shown although providers are set up
}

// link is a place to go.
type link struct{ Text, Href string }

type linkPage struct {
	Page
	Setup  bool
	Broken string // why the link does not work
}

type passphrasePage struct {
	Page
	Person string
	First  bool // the person came by a link, so the old passphrase is not asked for
}

// local returns next if it is a path on this server, else the first page.
func local(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}

// signInView is the page with every way in.
func (s *Server) signInView(next string) *signInPage {
	in := s.Accounts.SignIn
	v := &signInPage{Page: Page{Title: "Sign in", Narrow: true}, Next: next, Provided: in.Provided && !in.LocalToo}
	for _, p := range s.Accounts.Providers {
		v.Providers = append(v.Providers, link{"Sign in with " + p.DisplayName(), "/signin/with/" + p.Slug + "?next=" + url.QueryEscape(next)})
	}
	v.Passkey = "/signin/passkey?next=" + url.QueryEscape(next)
	return v
}

func (s *Server) signInForm(w http.ResponseWriter, r *http.Request) error {
	next := local(r.URL.Query().Get("next"))
	if ward.ActorFrom(r.Context()).Via != "" {
		return see(w, r, next)
	}
	return render(s, w, r, http.StatusOK, s.pages.signIn, s.signInView(next))
}

func (s *Server) signIn(w http.ResponseWriter, r *http.Request) error {
	v := s.signInView(local(r.PostFormValue("next")))
	v.Person, v.Open = field(r, "name"), true
	p, code, err := s.Accounts.SignIn.Passphrase(r.Context(), v.Person, r.PostFormValue("passphrase"))
	if err != nil {
		return again(s, w, r, s.pages.signIn, v, err, "name")
	}
	if code {
		return s.pend(w, r, p.ID, v.Next)
	}
	return s.enterBy(w, r, p.ID, access.ByPassphrase, v.Next)
}

// linkPage asks for a deliberate step: mail scanners and previews fetch links, and
// that must not use one up.
func (s *Server) linkPage(w http.ResponseWriter, r *http.Request) error {
	return render(s, w, r, http.StatusOK, s.pages.link, linkView(r))
}

func linkView(r *http.Request) *linkPage {
	v := &linkPage{Page: Page{Title: "Sign in", Narrow: true}, Setup: strings.HasPrefix(r.URL.Path, "/setup/")}
	if v.Setup {
		v.Title = "Set up your account"
	}
	return v
}

func (s *Server) redeem(w http.ResponseWriter, r *http.Request) error {
	p, kind, err := s.Access.Redeem(r.Context(), r.PathValue("secret"))
	if ward.KindOf(err) == ward.Unauthenticated {
		v := linkView(r)
		v.Title, v.Broken = "This link does not work", "It was used already, has expired or is not whole. Ask for a new one."
		return render(s, w, r, http.StatusUnauthorized, s.pages.link, v)
	}
	if err != nil {
		return err
	}
	account, err := s.Accounts.SignIn.Account(r.Context(), p.ID)
	switch {
	case err != nil:
		return err
	case !s.Accounts.SignIn.LocalAllowed(account):
		return ward.Errorf(ward.Forbidden, "Sign in with your organisation’s account: links are only for accounts that are kept for emergencies.")
	case !account.App && account.Passkeys > 0 && s.Accounts.SignIn.SecondFactor == access.FactorRequired:
		return ward.Errorf(ward.Forbidden, "Sign in with your passkey: a link alone does not do here. Whoever lost their passkey has an administrator reset it first.")
	case account.App: // whoever holds the link holds one of two things
		return s.pend(w, r, p.ID, "/")
	}
	next := "/"
	if kind == access.LinkSetup {
		next = "/passphrase"
	}
	return s.enterBy(w, r, p.ID, access.ByLink, next)
}

func (s *Server) passphraseView(r *http.Request) *passphrasePage {
	v := &passphrasePage{Page: Page{Title: "Change your passphrase", Narrow: true}, Person: ward.ActorFrom(r.Context()).Name, First: s.byLink(r.Context())}
	if v.First {
		v.Title = "Choose a passphrase"
	}
	return v
}

func (s *Server) passphraseForm(w http.ResponseWriter, r *http.Request) error {
	return render(s, w, r, http.StatusOK, s.pages.passphrase, s.passphraseView(r))
}

func (s *Server) setPassphrase(w http.ResponseWriter, r *http.Request) error {
	ctx, v := r.Context(), s.passphraseView(r)
	a := ward.ActorFrom(ctx)
	first, second := r.PostFormValue("passphrase"), r.PostFormValue("again")
	if first != second {
		return again(s, w, r, s.pages.passphrase, v, ward.Errorf(ward.Invalid, "The two passphrases are not the same."), "again")
	}
	if !v.First {
		if err := s.Accounts.SignIn.ConfirmPassphrase(ctx, r.PostFormValue("current")); err != nil {
			return again(s, w, r, s.pages.passphrase, v, err, "current")
		}
	}
	if err := s.Access.SetPassphrase(ctx, a.Person, first); err != nil {
		return again(s, w, r, s.pages.passphrase, v, err, "passphrase")
	}
	if _, err := s.Accounts.SignIn.EndSessions(ctx, a.Person, s.sessions.GetString(ctx, sessionKey)); err != nil {
		return err
	}
	if err := s.turn(ctx, a, true); err != nil {
		return err
	}
	s.sessions.Put(ctx, provedKey, s.Now().Unix())
	s.sessions.Remove(ctx, linkKey)
	s.sessions.Put(ctx, howKey, string(access.ByPassphrase))
	if s.sessions.GetBool(ctx, factorKey) {
		return see(w, r, "/settings/second-factor")
	}
	s.flash(r, "Your passphrase is set. Sign in with your name, %s, and this passphrase next time.", a.Name)
	return see(w, r, "/")
}

func (s *Server) signOut(w http.ResponseWriter, r *http.Request) error {
	if err := s.sessions.Destroy(r.Context()); err != nil {
		return err
	}
	return see(w, r, "/signin")
}
