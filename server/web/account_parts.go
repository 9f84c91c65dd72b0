package web

// AccountParts are what the pages of sign-in, sessions, people, roles and tokens stand on.
type AccountParts struct{}

// accountPages are those templates.
type accountPages struct{}

func (p *accountPages) files() []pageFile { return nil }

// accountRoutes are those addresses.
func (s *Server) accountRoutes() []route { return nil }
