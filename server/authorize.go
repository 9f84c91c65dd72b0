package server

import (
	"context"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/appgate"
	"github.com/wardmdm/ward/server/authorize"
	"github.com/wardmdm/ward/server/httpd"
	"github.com/wardmdm/ward/server/seal"
	"go.uber.org/zap"
	"golang.org/x/net/http/httpguts"
)

// minSecret is the shortest secret of a proxy, in characters.
const minSecret = 32

func (a Authorize) mistakes(bad func(field, format string, args ...any)) {
	if !httpguts.ValidHeaderFieldName(a.Header) || strings.EqualFold(a.Header, appgate.SecretHeader) {
		bad("authorize.certificate_header", "%q is not a name for the header of the certificate", a.Header)
	}
	networkMistakes("authorize.trusted_proxies", a.TrustedProxies, bad)
	if a.SecretFile == "" && len(a.TrustedProxies) > 0 {
		bad("authorize.trusted_proxies", "a proxy needs a secret too: name authorize.secret_file")
	}
}

// prefixes reads networks.
func prefixes(texts []string) (all []netip.Prefix, err error) {
	for _, t := range texts {
		p, err := netip.ParsePrefix(t)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// secret reads the proxies' secret; "" means that no proxy may pass certificates.
func (a Authorize) secret() (string, error) {
	if a.SecretFile == "" {
		return "", nil
	}
	b, err := os.ReadFile(a.SecretFile)
	if err != nil {
		return "", ward.Errorf(ward.Invalid, "authorize.secret_file can't be read: %v.", err)
	}
	s := strings.TrimSpace(string(b))
	if len(s) < minSecret || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", ward.Errorf(ward.Invalid, "authorize.secret_file must hold one word of at least %d characters of ASCII. Make one with: openssl rand -hex 32", minSecret)
	}
	return s, nil
}

// openAuthorize puts together what answers whether a device may come in.
func (s *Server) openAuthorize(context.Context, *seal.Master) (err error) {
	if _, err := s.config.Authorize.secret(); err != nil {
		return err
	}
	s.Authorizer, err = authorize.New(authorize.Options{
		Store: s.db.Authorize(), Planner: s.fleet, Audit: s.record, Rules: authorize.Rules{AllowUnknown: s.config.Authorize.AllowUnknown},
		Now: s.now, Steady: time.Now, Soon: s.PlanSoon,
	})
	if err != nil {
		return err
	}
	return nil
}

// authorizeHandler serves the question whether the holder of a certificate may come in.
// It is asked before every request to other services, so it is counted, and not logged
// line by line.
func (s *Server) authorizeHandler() (http.Handler, error) {
	secret, err := s.config.Authorize.secret()
	if err != nil {
		return nil, err
	}
	proxies, err := prefixes(s.config.Authorize.TrustedProxies)
	if err != nil {
		return nil, err
	}
	counters := map[authorize.Reason]prometheus.Counter{}
	for _, r := range authorize.Reasons() {
		counters[r] = s.metrics.authorized.WithLabelValues(string(r))
	}
	log := s.Log.Named("authorize")
	h := appgate.NewAuthorize(appgate.AuthorizeOptions{
		Ask: func(ctx context.Context, hash string, w authorize.Want) (authorize.Decision, error) {
			d, err := s.Authorizer.Ask(ctx, hash, w)
			if err != nil && ctx.Err() == nil {
				log.Warn("nobody is let in: the record can't be asked", zap.Error(err))
			}
			return d, err
		},
		Header: s.config.Authorize.Header, Secret: secret, Proxies: proxies, User: s.config.Authorize.User,
		Count: func(r authorize.Reason) { counters[r].Inc() },
	})
	return s.metrics.timed("authorize", httpd.RequestID(s.now, httpd.Recover(h))), nil
}
