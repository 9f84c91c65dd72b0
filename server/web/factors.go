package web

import (
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"

	"github.com/skip2/go-qrcode"
	"github.com/wardmdm/ward/server/access"
)

type factorsPage struct {
	Page
	Head     pageHead
	Must     bool // nothing else can be done before there is one
	Provided bool // signs in with an account of the organisation, which has its own
	App      bool
	Left     int // recovery codes
	Passkeys []passkeyView
}

type passkeyView struct {
	ID, Name      string
	Created, Used moment
}

type appPage struct {
	Page
	QR     template.URL // a data: address that was made here
	Secret string       // in groups of four, to be typed
}

type recoveryCodesPage struct {
	Page
	Codes []string
}

type newPasskeyPage struct {
	Page
	Ask string
}

// factors shows how one signs in, beyond the passphrase: GET /settings/second-factor.
func (s *Server) factors(w http.ResponseWriter, r *http.Request) error {
	v, err := s.factorsView(r)
	if err != nil {
		return err
	}
	return render(s, w, r, http.StatusOK, s.pages.factors, v)
}

func (s *Server) factorsView(r *http.Request) (*factorsPage, error) {
	ctx := r.Context()
	account, err := s.Accounts.SignIn.Account(ctx, actorOf(r).Person)
	if err != nil {
		return nil, err
	}
	keys, err := s.Accounts.SignIn.PasskeysOf(ctx)
	if err != nil {
		return nil, err
	}
	v := &factorsPage{
		Page: Page{Title: "How you sign in", Section: "settings", Narrow: true, Backlink: "/settings", Backname: "Settings"},
		Must: s.sessions.GetBool(ctx, factorKey), Provided: !account.Local(), App: account.App, Left: account.Recovery,
	}
	if v.Must {
		v.Backlink = ""
	}
	for _, k := range keys {
		v.Passkeys = append(v.Passkeys, passkeyView{k.ID, k.Name, at(k.Created, s.Now()), at(k.Used, s.Now())})
	}
	return v, nil
}

// appView is the page with the QR code of a secret, which stays in the session until the
// first right code.
func (s *Server) appView(r *http.Request) (*appPage, error) {
	ctx := r.Context()
	secret := s.sessions.GetString(ctx, secretKey)
	if secret == "" {
		var err error
		if secret, _, err = s.Accounts.SignIn.NewApp(ctx); err != nil {
			return nil, err
		}
		s.sessions.Put(ctx, secretKey, secret)
	}
	address, err := s.Accounts.SignIn.AppAddress(ctx, secret)
	if err != nil {
		return nil, err
	}
	png, err := qrcode.Encode(address, qrcode.Medium, 240)
	if err != nil {
		return nil, err
	}
	v := &appPage{Page: Page{Title: "Set up an authenticator app", Section: "settings", Narrow: true, Backlink: "/settings/second-factor", Backname: "How you sign in"}}
	v.QR = template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(png)) //nolint:gosec // made of bytes that were drawn here
	for i := 0; i < len(secret); i += 4 {
		v.Secret += secret[i:min(i+4, len(secret))] + " "
	}
	v.Secret = strings.TrimSpace(v.Secret)
	return v, nil
}

func (s *Server) appForm(w http.ResponseWriter, r *http.Request) error {
	v, err := s.appView(r)
	if err != nil {
		return err
	}
	return render(s, w, r, http.StatusOK, s.pages.appSetUp, v)
}

func (s *Server) confirmApp(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	v, err := s.appView(r)
	if err != nil {
		return err
	}
	codes, err := s.Accounts.SignIn.ConfirmApp(ctx, s.sessions.GetString(ctx, secretKey), field(r, "code"))
	if err != nil {
		return again(s, w, r, s.pages.appSetUp, v, err, "code")
	}
	s.sessions.Remove(ctx, secretKey)
	return s.strong(w, r, codes)
}

// strong notes that there is a second factor now and shows the recovery codes, if there are
// new ones.
func (s *Server) strong(w http.ResponseWriter, r *http.Request, codes []string) error {
	ctx := r.Context()
	s.sessions.Remove(ctx, factorKey)
	if err := s.turn(ctx, actorOf(r), true); err != nil {
		return err
	}
	if codes == nil {
		return see(w, r, "/settings/second-factor")
	}
	v := &recoveryCodesPage{Page: Page{Title: "Your recovery codes", Section: "settings", Narrow: true}, Codes: codes}
	return render(s, w, r, http.StatusOK, s.pages.recoveryCodes, v)
}

func (s *Server) removeApp(w http.ResponseWriter, r *http.Request) error {
	if err := s.Accounts.SignIn.RemoveApp(r.Context()); err != nil {
		return s.factorsAgain(w, r, err)
	}
	s.flash(r, "The authenticator app and the recovery codes are removed.")
	return see(w, r, "/settings/second-factor")
}

func (s *Server) factorsAgain(w http.ResponseWriter, r *http.Request, why error) error {
	v, err := s.factorsView(r)
	if err != nil {
		return err
	}
	return again(s, w, r, s.pages.factors, v, why, "")
}

func (s *Server) newCodes(w http.ResponseWriter, r *http.Request) error {
	codes, err := s.Accounts.SignIn.NewRecovery(r.Context())
	if err != nil {
		return s.factorsAgain(w, r, err)
	}
	return s.strong(w, r, codes)
}

func (s *Server) newPasskeyView(r *http.Request) (*newPasskeyPage, error) {
	q, err := s.Accounts.SignIn.AskNewPasskey(r.Context())
	if err != nil {
		return nil, err
	}
	s.keepQuestion(r.Context(), q)
	return &newPasskeyPage{Page: Page{Title: "Add a passkey", Section: "settings", Narrow: true, Backlink: "/settings/second-factor", Backname: "How you sign in"}, Ask: q.Options}, nil
}

func (s *Server) newPasskeyForm(w http.ResponseWriter, r *http.Request) error {
	v, err := s.newPasskeyView(r)
	if err != nil {
		return err
	}
	return render(s, w, r, http.StatusOK, s.pages.newPasskey, v)
}

func (s *Server) addPasskey(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	k, err := s.Accounts.SignIn.AddPasskey(ctx, s.takeQuestion(ctx), field(r, "name"), []byte(r.PostFormValue("response")))
	if err != nil {
		v, e := s.newPasskeyView(r)
		if e != nil {
			return e
		}
		return again(s, w, r, s.pages.newPasskey, v, err, "")
	}
	s.flash(r, "The passkey %s is yours. You can sign in with it from now on.", k.Name)
	return s.strong(w, r, nil)
}

func (s *Server) removePasskey(w http.ResponseWriter, r *http.Request) error {
	if err := s.Accounts.SignIn.RemovePasskey(r.Context(), field(r, "id")); err != nil {
		return s.factorsAgain(w, r, err)
	}
	s.flash(r, "The passkey is removed.")
	return see(w, r, "/settings/second-factor")
}

// howWords says by what somebody signed in.
func howWords(how access.How, provider string) string {
	switch {
	case provider != "":
		return provider
	case how == access.ByLink:
		return "One-time link"
	case how == "":
		return ""
	}
	return strings.ToUpper(string(how[:1])) + string(how[1:])
}
