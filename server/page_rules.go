package server

import "github.com/wardmdm/ward/server/web"

// ruleParts are what the pages of policies, apps, approved apps and exceptions stand on.
func (s *Server) ruleParts() web.RuleParts { return web.RuleParts{Policy: s.Policy, Audit: s.Audit} }
