package web

// OperateParts are what the pages of enrolment, set-up, health, the audit log, settings and a member of staff's own devices stand on.
type OperateParts struct{}

// operatePages are those templates.
type operatePages struct{}

func (p *operatePages) files() []pageFile { return nil }

// operateRoutes are those addresses.
func (s *Server) operateRoutes() []route { return nil }
