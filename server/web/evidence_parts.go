package web

// EvidenceParts are what the pages of reports, packs and exports stand on.
type EvidenceParts struct{}

// evidencePages are those templates.
type evidencePages struct{}

func (p *evidencePages) files() []pageFile { return nil }

// evidenceRoutes are those addresses.
func (s *Server) evidenceRoutes() []route { return nil }
