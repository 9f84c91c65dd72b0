package web_test

import "github.com/wardmdm/ward/server/access"

// accountSights are the pages of sign-in, sessions, people and roles, as p sees them.
func (w *world) accountSights(access.Person) []sight { return nil }
