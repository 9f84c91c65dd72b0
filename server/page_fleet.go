package server

import (
	"context"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/view"
	"github.com/wardmdm/ward/server/web"
)

// fleetParts are what the overview and the lists of devices stand on.
func (s *Server) fleetParts() web.FleetParts {
	return web.FleetParts{
		Estate: s.Estate, RefreshMany: s.Devices.RefreshMany,
		Expiries: (&expiries{s: s}).list, AuditVerified: s.AuditVerified,
		Views: &view.Service{Store: s.db.SavedViews(), Audit: s.record, Now: s.now},
	}
}

// expiryAge is how old a list of what expires may be: the overview is asked for often.
const expiryAge = time.Minute

// tokensAhead is how long before its end a token is told of.
const tokensAhead = 30 * 24 * time.Hour

// expiries tells of the certificates and tokens that end. What it knows it keeps for a
// minute.
type expiries struct {
	s    *Server
	mu   sync.Mutex
	at   time.Time
	last []web.Expiry
}

func (e *expiries) list(ctx context.Context) ([]web.Expiry, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.s.now()
	if e.last != nil && now.Sub(e.at) < expiryAge {
		return append([]web.Expiry(nil), e.last...), nil
	}
	all, err := authority{e.s}.watch().All(ward.Unbounded(ctx))
	if err != nil {
		return nil, err
	}
	out := make([]web.Expiry, 0, len(all))
	for _, w := range all {
		out = append(out, web.Expiry{Name: expiryName(w.Name), Ends: w.NotAfter, Renews: w.Renews})
	}
	tokens, err := e.s.db.TokensEnding(ctx, now, now.Add(tokensAhead))
	if err != nil {
		return nil, err
	}
	for _, t := range tokens {
		out = append(out, web.Expiry{Name: "Token “" + t.Name + "”", Ends: t.Expires, Href: "/settings/tokens"})
	}
	e.last, e.at = out, now
	return append([]web.Expiry(nil), out...), nil
}

// expiryName is what people call a certificate that is looked after.
func expiryName(name string) string {
	number := strings.TrimPrefix(name, "issuer")
	switch {
	case name == "root":
		return "Root certificate"
	case name == "server":
		return "Certificate of the server"
	case name == "device":
		return "First certificate of a device"
	case number != name:
		return "Issuing certificate" + number
	}
	return "Apple push certificate " + name
}

// logo reads the organisation's logo, nil where none is configured.
func (c *Config) logo() ([]byte, error) {
	if c.Logo == "" {
		return nil, nil
	}
	b, err := os.ReadFile(c.Logo) //nolint:gosec // the operator names it in the configuration
	if err != nil {
		return nil, ward.Errorf(ward.Invalid, "logo: it can't be read: %v.", err)
	}
	return b, nil
}
