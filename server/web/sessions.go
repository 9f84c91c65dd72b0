package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
)

type sessionsPage struct {
	Page
	Head pageHead
	Rows []sessionView
	Many bool
}

// sessionView is a browser in which somebody has signed in.
type sessionView struct {
	ID, How, Address, Browser string
	Begun, Seen               moment
	This                      bool
}

func (s *Server) sessionsOf(ctx context.Context, id ward.PersonID) (out []sessionView, err error) {
	list, err := s.Accounts.SignIn.SessionsOf(ctx, id)
	for _, x := range list {
		out = append(out, sessionView{
			x.ID, howWords(x.How, x.Provider), x.Address, x.Browser, at(x.Begun, s.Now()), at(x.Seen, s.Now()), x.ID == s.sessions.GetString(ctx, sessionKey),
		})
	}
	return out, err
}

// ownSessions shows where one has signed in: GET /settings/sessions.
func (s *Server) ownSessions(w http.ResponseWriter, r *http.Request) error {
	rows, err := s.sessionsOf(r.Context(), actorOf(r).Person)
	if err != nil {
		return err
	}
	v := &sessionsPage{
		Page: Page{Title: "Where you are signed in", Section: "settings", Backlink: "/settings", Backname: "Settings"},
		Rows: rows, Many: len(rows) > 1,
	}
	v.Head = pageHead{Title: v.Title, Caption: "A session ends by itself when it is not used, and after half a day at most. End what you do not know, then change your passphrase."}
	return render(s, w, r, http.StatusOK, s.pages.sessions, v)
}

func (s *Server) endOwnSession(w http.ResponseWriter, r *http.Request) error {
	ctx, id := r.Context(), field(r, "id")
	list, err := s.sessionsOf(ctx, actorOf(r).Person)
	if err != nil {
		return err
	}
	for _, x := range list {
		if x.ID != id {
			continue
		}
		if err := s.Accounts.SignIn.EndSession(ctx, id); err != nil {
			return err
		}
		if x.This {
			return s.signOut(w, r)
		}
		s.flash(r, "The session is ended.")
	}
	return see(w, r, "/settings/sessions")
}

func (s *Server) endOtherSessions(w http.ResponseWriter, r *http.Request) error {
	n, err := s.Accounts.SignIn.EndSessions(r.Context(), actorOf(r).Person, s.sessions.GetString(r.Context(), sessionKey))
	if err != nil {
		return err
	}
	s.flash(r, "Ended: %s.", howMany(n, "session", "sessions"))
	return see(w, r, "/settings/sessions")
}

func howMany(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// endSessionOf ends a session of somebody else: POST /settings/people/{id}/sessions/end.
func (s *Server) endSessionOf(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.Access.Person(r.Context(), ward.PersonID(r.PathValue("id"))); err != nil {
		return err
	}
	if err := s.Accounts.SignIn.EndSession(r.Context(), field(r, "session")); err != nil {
		return err
	}
	s.flash(r, "The session is ended.")
	return see(w, r, personAddress(ward.PersonID(r.PathValue("id"))))
}

func (s *Server) endSessionsOf(w http.ResponseWriter, r *http.Request) error {
	id := ward.PersonID(r.PathValue("id"))
	if _, err := s.Access.Person(r.Context(), id); err != nil {
		return err
	}
	n, err := s.Accounts.SignIn.EndSessions(r.Context(), id, "")
	if err != nil {
		return err
	}
	s.flash(r, "Ended: %s.", howMany(n, "session", "sessions"))
	return see(w, r, personAddress(id))
}

func personAddress(id ward.PersonID) string { return "/settings/people/" + url.PathEscape(string(id)) }

type settingsPage struct {
	Page
	Head  pageHead
	Own   []settingView
	Whole []settingView
}

// settingView is a place of the settings.
type settingView struct{ Text, Hint, Href string }

// settings leads to what one may see and change: GET /settings.
func (s *Server) settingsIndex(w http.ResponseWriter, r *http.Request) error {
	v := &settingsPage{Page: Page{Title: "Settings", Section: "settings"}, Head: pageHead{Title: "Settings"}}
	v.Own = []settingView{
		{"How you sign in", "Your authenticator app, passkeys and recovery codes", "/settings/second-factor"},
		{"Passphrase", "Change it", "/passphrase"},
		{"Sessions", "Where you are signed in", "/settings/sessions"},
		{"Tokens", "For programs that act for you", "/settings/tokens"},
	}
	a := actorOf(r)
	for _, place := range []struct {
		settingView
		needs access.Permission
	}{
		{settingView{"People", "Who uses Ward, what they may do, and where they are signed in", "/settings/people"}, access.PersonRead},
		{settingView{"Roles", "What each role lets people do", "/settings/roles"}, access.PersonRead},
		{settingView{"Templates", "The words that staff read", "/settings/templates"}, access.TemplateWrite},
		{settingView{"Notifications", "Who was told what", "/notifications"}, access.NotifyRead},
	} {
		if access.Allows(a, place.needs) && s.opens(a, place.Href) {
			v.Whole = append(v.Whole, place.settingView)
		}
	}
	return render(s, w, r, http.StatusOK, s.pages.settings, v)
}
