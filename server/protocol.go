package server

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/netip"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/applemdm"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/seal"
)

// openProtocol puts Apple's protocol on the store, the fleet and the loop.
func (s *Server) openProtocol(_ context.Context, master *seal.Master) error {
	m := s.db.MDM()
	m.OnForged = s.forged
	m.OnReport = func(ctx context.Context, e ward.Enrolment, r command.Record, known bool) error {
		return s.apple.Reported(ctx, e, r, known)
	}
	adopted, err := s.adoptable()
	if err != nil {
		return err
	}
	declarations, err := s.openDeclarations(master)
	if err != nil {
		return err
	}
	s.apple = applemdm.New(applemdm.Options{
		Declarations: declarations,
		Store:        admitting{shown{s.fleet, s}}, Storage: m,
		Admitter:     &fleet.Admitter{Store: s.fleet, Invitations: invitations{s.Enrolment}, Identities: events{s}, Now: s.now, NewDevice: newDevice},
		Certificates: identities{s.db.Certificates(), s.outside, s.now, s.remakeCRL}, Events: events{s}, Replan: s.Loop.Replan, Adopted: adopted, Renewals: renewals{s}, Sign: s.signProfile, Impostor: s.impostor, Now: s.now,
	})
	return nil
}

// authorities reads the certificates of the authorities whose devices may be adopted.
func (s *Server) authorities() ([]*x509.Certificate, error) {
	return readAuthorities("mdm.device_authorities", s.config.MDM.DeviceAuthorities)
}

// adoptable returns what tells whether another authority's device may be adopted. That
// the chain is valid was checked before it is asked.
func (s *Server) adoptable() (func(*x509.Certificate) bool, error) {
	list, err := s.authorities()
	if err != nil {
		return nil, err
	}
	return func(c *x509.Certificate) bool {
		if len(list) == 0 || s.Authority.Issued(c) || s.outside.issued(c) {
			return false
		}
		pool := x509.NewCertPool()
		for _, a := range list {
			pool.AddCert(a)
		}
		_, err := c.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: s.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		return err == nil
	}, nil
}

// protocolHandler serves /mdm.
func (s *Server) protocolHandler() (http.Handler, error) {
	roots := x509.NewCertPool()
	for _, c := range append(s.Authority.Roots(), s.outside.authorities()...) {
		roots.AddCert(c)
	}
	own := roots.Clone()
	list, err := s.authorities()
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		roots.AddCert(c)
	}
	var trusted []netip.Prefix
	for _, p := range s.config.MDM.TrustedProxies {
		prefix, err := netip.ParsePrefix(p)
		if err != nil {
			return nil, err
		}
		trusted = append(trusted, prefix)
	}
	o := applemdm.HandlerOptions{
		Roots: roots, Late: time.Duration(s.config.MDM.LateDays) * 24 * time.Hour, LateRoots: own, ProxyHeader: s.config.MDM.ProxyHeader,
		TrustProxy: func(r *http.Request) bool {
			addr, err := netip.ParseAddrPort(r.RemoteAddr)
			if err != nil {
				return false
			}
			for _, p := range trusted {
				if p.Contains(addr.Addr().Unmap()) {
					return true
				}
			}
			return false
		},
		Log: protocolLog{z: s.Log.Named("mdm")}, Now: s.now,
	}
	return &perIssuers{authority: s.Authority, make: func() http.Handler {
		o.Intermediates = s.outside.pool(s.Authority.Pool()) // completes chains; what is trusted is roots
		return s.apple.Handler(o)
	}}, nil
}
