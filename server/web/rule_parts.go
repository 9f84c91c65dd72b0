package web

// RuleParts are what the pages of policies, apps, the register of approved apps and exceptions stand on.
type RuleParts struct{}

// rulePages are those templates.
type rulePages struct{}

func (p *rulePages) files() []pageFile { return nil }

// ruleRoutes are those addresses.
func (s *Server) ruleRoutes() []route { return nil }
