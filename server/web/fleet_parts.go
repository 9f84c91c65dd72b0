package web

// FleetParts are what the pages of the overview, the lists of devices and a device's own page stand on.
type FleetParts struct{}

// fleetPages are those templates.
type fleetPages struct{}

func (p *fleetPages) files() []pageFile { return nil }

// fleetRoutes are those addresses.
func (s *Server) fleetRoutes() []route { return nil }
