package web_test

import (
	"github.com/wardmdm/ward/server/access"
)

// accountSights are the pages of sign-in, sessions, people and roles, as p sees them.
func (w *world) accountSights(p access.Person) []sight {
	return []sight{
		{name: "settings", url: "/settings"},
		{name: "people", url: "/settings/people"},
		{name: "person-new", url: "/settings/people/new"},
		{name: "person", url: "/settings/people/" + string(p.ID)},
		{name: "roles", url: "/settings/roles"},
		{name: "role-new", url: "/settings/roles/new"},
		{name: "role", url: "/settings/roles/support"},
		{name: "tokens", url: "/settings/tokens"},
		{name: "token-new", url: "/settings/tokens/new"},
		{name: "sessions", url: "/settings/sessions"},
		{name: "second-factor", url: "/settings/second-factor"},
		{name: "second-factor-app", url: "/settings/second-factor/app"},
		{name: "second-factor-passkey", url: "/settings/second-factor/passkey"},
		{name: "confirm", url: "/confirm"},
	}
}
