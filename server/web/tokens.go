package web

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
)

// tokenView is a token without its secret.
type tokenView struct {
	ID, Name, Scopes       string
	Created, Used, Expires moment
	Tag                    tag
	Works                  bool
}

type tokensPage struct {
	Page
	Head pageHead
	Rows []tokenView
}

type permissionChoice struct {
	ID, Words string
	Chosen    bool
}

type newTokenPage struct {
	Page
	TokenName string
	Days      []optionView
	Scopes    []permissionChoice
	Secret    string // shown this once
}

// tokenDays are the lives of tokens that the page offers.
var tokenDays = []int{30, 90, 365}

func (s *Server) tokensOf(ctx context.Context, id ward.PersonID) (out []tokenView, err error) {
	list, err := s.Access.Tokens(ctx, id)
	now := s.Now()
	for _, t := range list {
		v := tokenView{ID: t.ID, Name: t.Name, Created: at(t.Created, now), Used: at(t.LastUsed, now), Expires: at(t.Expires, now), Scopes: "All that its person may do"}
		if len(t.Scopes) > 0 {
			v.Scopes = howMany(len(t.Scopes), "permission", "permissions")
		}
		switch {
		case !t.RevokedAt.IsZero():
			v.Tag = tag{"Revoked", "quiet", "gone"}
		case !t.Expires.IsZero() && !now.Before(t.Expires):
			v.Tag = tag{"Expired", "quiet", "gone"}
		default:
			v.Tag, v.Works = tag{"Works", "good", "check"}, true
		}
		out = append(out, v)
	}
	return out, err
}

// tokens lists one's own tokens: GET /settings/tokens.
func (s *Server) ownTokens(w http.ResponseWriter, r *http.Request) error {
	rows, err := s.tokensOf(r.Context(), actorOf(r).Person)
	if err != nil {
		return err
	}
	v := &tokensPage{Page: Page{Title: "Your tokens", Section: "settings", Backlink: "/settings", Backname: "Settings"}, Rows: rows}
	v.Head = pageHead{Title: v.Title, Caption: "A token lets a program act for you. Narrow it to what the program needs.", Actions: []action{{"Make a token", "/settings/tokens/new", true}}}
	return render(s, w, r, http.StatusOK, s.pages.tokens, v)
}

func (s *Server) newTokenView(r *http.Request) *newTokenPage {
	v := &newTokenPage{Page: Page{Title: "Make a token", Section: "settings", Narrow: true, Backlink: "/settings/tokens", Backname: "Your tokens"}, TokenName: r.PostFormValue("name")}
	for _, d := range tokenDays {
		v.Days = append(v.Days, optionView{strconv.Itoa(d), howMany(d, "day", "days"), r.PostFormValue("days") == strconv.Itoa(d)})
	}
	chosen := map[string]bool{}
	for _, id := range r.PostForm["scope"] {
		chosen[id] = true
	}
	for _, p := range access.Permissions() {
		if access.Allows(actorOf(r), p) && p != access.OrderApprove {
			v.Scopes = append(v.Scopes, permissionChoice{string(p), p.Words(), chosen[string(p)]})
		}
	}
	return v
}

func (s *Server) newTokenForm(w http.ResponseWriter, r *http.Request) error {
	return render(s, w, r, http.StatusOK, s.pages.newToken, s.newTokenView(r))
}

// makeToken makes a token and shows its secret this once: POST /settings/tokens/new.
func (s *Server) makeToken(w http.ResponseWriter, r *http.Request) error {
	v := s.newTokenView(r)
	n := access.NewToken{Person: actorOf(r).Person, Name: v.TokenName}
	for _, id := range r.PostForm["scope"] {
		n.Scopes = append(n.Scopes, access.Permission(id))
	}
	days, err := strconv.Atoi(field(r, "days"))
	if err != nil || days < 1 || days > 3650 {
		return again(s, w, r, s.pages.newToken, v, ward.Errorf(ward.Invalid, "Say for how many days the token is good, from 1 to 3650."), "days")
	}
	n.Expires = s.Now().Add(time.Duration(days) * oneDay)
	_, secret, err := s.Access.CreateToken(r.Context(), n)
	if err != nil {
		return again(s, w, r, s.pages.newToken, v, err, "name")
	}
	v.Title, v.Secret = "Your new token", secret
	return render(s, w, r, http.StatusOK, s.pages.newToken, v)
}

// revokeToken ends one of one's own tokens: POST /settings/tokens/revoke.
func (s *Server) revokeToken(w http.ResponseWriter, r *http.Request) error {
	mine, err := s.Access.Tokens(r.Context(), actorOf(r).Person)
	if err != nil {
		return err
	}
	for _, t := range mine {
		if t.ID == field(r, "token") {
			if err := s.Access.RevokeToken(r.Context(), t.ID); err != nil {
				return err
			}
			s.flash(r, "The token %s works no more.", t.Name)
			return see(w, r, "/settings/tokens")
		}
	}
	return ward.Errorf(ward.NotFound, "You have no such token.")
}
