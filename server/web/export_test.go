package web

import "github.com/wardmdm/ward/server/access"

// Route is a route as tests see it.
type Route struct {
	Pattern string
	Needs   access.Permission
}

// What a route needs when it needs no permission.
const (
	Anyone   = anyone
	SignedIn = signedIn
)

// Routes lists every route.
func (s *Server) Routes() []Route {
	var out []Route
	for _, r := range s.routes() {
		out = append(out, Route{r.pattern, r.needs})
	}
	return out
}
