package web

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/estate"
)

// Estate knows the posture of every device, now and in the past. *estate.Service meets it.
type Estate interface {
	Current(ctx context.Context) (*estate.Snapshot, error)
	At(ctx context.Context, t time.Time) (*estate.Snapshot, error)
	Trend(ctx context.Context, c estate.Cut, days int) ([]estate.Day, error)
	Removals(ctx context.Context, app string, by estate.Dimension, from, to time.Time) (map[string]estate.Removal, error)
	Recorded(ctx context.Context) (time.Time, error)
	Device(ctx context.Context, id ward.DeviceID) (*estate.Device, error)
	Changes(ctx context.Context, id ward.DeviceID, before int64, limit int) ([]estate.Change, error)
	Watch(ctx context.Context) <-chan struct{}
}

// Expiry is a certificate or a token that ends.
type Expiry struct {
	Name string // as people call it: "Apple push certificate"
	Ends time.Time
	Href string // where it is renewed; may be empty
	// Renews says that it renews by itself in good time, so that nobody has to think of it
	// before the last week.
	Renews bool
}

// FleetParts are what the pages of the overview, the lists of devices and a device's own
// page stand on. Estate must be set; a tile whose part is nil is left out.
type FleetParts struct {
	Estate Estate
	// RefreshMany asks many devices for news, and returns how many were asked.
	RefreshMany func(ctx context.Context, ids []ward.DeviceID, said []string) (asked int, err error)
	// Expiries lists what ends, in any order.
	Expiries func(ctx context.Context) ([]Expiry, error)
	// AuditVerified tells when the audit log was last verified, how many entries it had, and
	// whether it was sound; the zero time if never.
	AuditVerified func(ctx context.Context) (at time.Time, size int64, sound bool, err error)
	Views         Views // saved views; nil: there are none
}

// fleetPages are those templates.
type fleetPages struct {
	overview page[*overviewPage]
	style    page[*stylePage]
	views    page[*viewsPage]
}

func (p *fleetPages) files() []pageFile {
	return []pageFile{
		file("overview", &p.overview),
		file("style", &p.style),
		file("views", &p.views),
	}
}

// fleetRoutes are those addresses.
func (s *Server) fleetRoutes() []route {
	return []route{
		{"GET /style", signedIn, s.style},
		{"GET /events", access.DeviceRead, s.events},
		{"GET /views", access.DeviceRead, s.views},
		{"POST /views", access.ViewWrite, s.saveView},
		{"POST /views/{id}/remove", access.ViewWrite, s.removeView},
		{"POST /devices/refresh", access.DeviceRefresh, s.refreshMany},
	}
}
