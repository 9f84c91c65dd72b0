package web

import (
	"context"
	"net/url"
	"time"

	"github.com/wardmdm/ward/server/access"
)

// Provider is where people sign in with the account of their organisation. *signin.Provider
// meets it.
type Provider interface {
	// DisplayName is what the button says.
	DisplayName() string
	// Begin returns where somebody is sent, and what the session keeps until they are back;
	// again has them prove anew who they are.
	Begin(ctx context.Context, again bool) (address, keep string, err error)
	// Finish takes what they came back with and returns who they are, with what of a session
	// the provider says.
	Finish(ctx context.Context, keep string, q url.Values) (access.Arrival, access.Session, error)
	// LoggedOut reads a logout token and returns whose sessions are over.
	LoggedOut(ctx context.Context, token string) (subject, session string, err error)
}

// NamedProvider is a Provider with its part of the addresses.
type NamedProvider struct {
	Slug string
	Provider
}

// ProviderBack returns the path to which a provider sends people back, and
// ProviderEnded the one at which it says that they signed out.
func ProviderBack(slug string) string { return "/signin/with/" + slug + "/back" }

// ProviderEnded returns the path at which a provider says that somebody signed out there.
func ProviderEnded(slug string) string { return "/signin/with/" + slug + "/ended" }

// AccountParts are what the pages of sign-in, sessions, people, roles and tokens stand on.
type AccountParts struct {
	SignIn    *access.SignIn // must be set
	Providers []NamedProvider
	Life      time.Duration // how long a session lasts at most; 0 for 12 hours
	Idle      time.Duration // how long it lasts without a request; 0 for 2 hours
}

// accountPages are those templates.
type accountPages struct {
	signInCode    page[*codeStepPage]
	signInPasskey page[*passkeyPage]
	refused       page[*refusedPage]
	confirm       page[*confirmPage]
	factors       page[*factorsPage]
	appSetUp      page[*appPage]
	recoveryCodes page[*recoveryCodesPage]
	newPasskey    page[*newPasskeyPage]
	settings      page[*settingsPage]
	sessions      page[*sessionsPage]
	people        page[*peoplePage]
	person        page[*personPage]
	newPerson     page[*newPersonPage]
	oneLink       page[*oneLinkPage]
	tokens        page[*tokensPage]
	newToken      page[*newTokenPage]
	roles         page[*rolesPage]
	editRole      page[*editRolePage]
}

func (p *accountPages) files() []pageFile {
	return []pageFile{
		file("signin-code", &p.signInCode),
		file("signin-passkey", &p.signInPasskey),
		file("signin-refused", &p.refused),
		file("confirm", &p.confirm),
		file("factors", &p.factors),
		file("factor-app", &p.appSetUp),
		file("factor-codes", &p.recoveryCodes),
		file("factor-passkey", &p.newPasskey),
		file("settings", &p.settings),
		file("sessions", &p.sessions),
		file("people", &p.people),
		file("person", &p.person),
		file("person-new", &p.newPerson),
		file("person-link", &p.oneLink),
		file("tokens", &p.tokens),
		file("token-new", &p.newToken),
		file("roles", &p.roles),
		file("role-edit", &p.editRole),
	}
}

// accountRoutes are those addresses.
func (s *Server) accountRoutes() []route {
	return []route{
		{"GET /signin/code", anyone, s.codeForm},
		{"POST /signin/code", anyone, s.codeStep},
		{"GET /signin/passkey", anyone, s.passkeyForm},
		{"POST /signin/passkey", anyone, s.passkeySignIn},
		{"GET /signin/with/{provider}", anyone, s.toProvider},
		{"GET /signin/with/{provider}/back", anyone, s.fromProvider},
		{"POST /signin/with/{provider}/ended", anyone, s.endedThere},

		{"GET /confirm", signedIn, s.confirmForm},
		{"POST /confirm", signedIn, s.confirm},
		{"POST /confirm/passkey", signedIn, s.confirmPasskey},
		{"GET /confirm/with", signedIn, s.confirmWith},

		{"GET /settings", signedIn, s.settingsIndex},
		{"GET /settings/second-factor", signedIn, s.factors},
		{"GET /settings/second-factor/app", signedIn, s.appForm},
		{"POST /settings/second-factor/app", signedIn, s.confirmApp},
		{"POST /settings/second-factor/app/remove", signedIn, s.removeApp},
		{"POST /settings/second-factor/codes", signedIn, s.newCodes},
		{"GET /settings/second-factor/passkey", signedIn, s.newPasskeyForm},
		{"POST /settings/second-factor/passkey", signedIn, s.addPasskey},
		{"POST /settings/second-factor/passkey/remove", signedIn, s.removePasskey},

		{"GET /settings/sessions", signedIn, s.ownSessions},
		{"POST /settings/sessions/end", signedIn, s.endOwnSession},
		{"POST /settings/sessions/end-others", signedIn, s.endOtherSessions},

		{"GET /settings/people", access.PersonRead, s.peopleList},
		{"GET /settings/people/new", access.PersonWrite, s.newPersonForm},
		{"POST /settings/people/new", access.PersonWrite, s.addPerson},
		{"GET /settings/people/{id}", access.PersonRead, s.onePerson},
		{"POST /settings/people/{id}/roles", access.PersonWrite, s.setRoles},
		{"POST /settings/people/{id}/disable", access.PersonWrite, s.disablePerson},
		{"POST /settings/people/{id}/enable", access.PersonWrite, s.enablePerson},
		{"POST /settings/people/{id}/link", access.PersonWrite, s.linkPerson},
		{"POST /settings/people/{id}/break-glass", access.PersonWrite, s.setBreakGlass},
		{"POST /settings/people/{id}/reset", access.PersonWrite, s.resetFactors},
		{"POST /settings/people/{id}/sessions/end", access.SessionWrite, s.endSessionOf},
		{"POST /settings/people/{id}/sessions/end-all", access.SessionWrite, s.endSessionsOf},
		{"POST /settings/people/{id}/tokens/revoke", access.PersonWrite, s.revokeTokenOf},

		{"GET /settings/tokens", signedIn, s.ownTokens},
		{"GET /settings/tokens/new", signedIn, s.newTokenForm},
		{"POST /settings/tokens/new", signedIn, s.makeToken},
		{"POST /settings/tokens/revoke", signedIn, s.revokeToken},

		{"GET /settings/roles", access.PersonRead, s.rolesPage},
		{"GET /settings/roles/new", access.RoleWrite, s.newRoleForm},
		{"POST /settings/roles/new", access.RoleWrite, s.makeRole},
		{"GET /settings/roles/{id}", access.RoleWrite, s.editRoleForm},
		{"POST /settings/roles/{id}", access.RoleWrite, s.editRole},
		{"POST /settings/roles/{id}/remove", access.RoleWrite, s.removeRole},
	}
}
