package server

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/seal"
)

// selfMade reports whether Ward's own authority makes the TLS certificate.
func (c *Config) selfMade() bool {
	return c.TLS.Mode == TLSSelfMade || (c.Trial && c.TLS.Certificate == "")
}

// profileRoots returns what a device must trust to connect: Ward's root where the TLS
// certificate is its own, nothing where it is publicly trusted.
func (s *Server) profileRoots() []*x509.Certificate {
	if s.config.selfMade() {
		return []*x509.Certificate{s.Authority.Root()}
	}
	return nil
}

// signer signs enrolment profiles: with the TLS certificate, so that a device shows
// the server's name as verified, or with one of Ward's own behind a proxy.
type signer struct {
	get func() (*tls.Certificate, error)
}

func (s signer) parts() (*x509.Certificate, []*x509.Certificate, crypto.Signer, error) {
	pair, err := s.get()
	if err != nil {
		return nil, nil, nil, err
	}
	var chain []*x509.Certificate
	for _, der := range pair.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, nil, nil, err
		}
		chain = append(chain, c)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, nil, nil, errors.New("the key of the TLS certificate can't sign")
	}
	return chain[0], chain[1:], key, nil
}

// openTLS finds the certificate that connections are protected with.
func (s *Server) openTLS(ctx context.Context, _ *seal.Master) error {
	if s.config.TLS.Mode == TLSFiles && !s.config.selfMade() {
		s.tls = &tlsFiles{certificate: s.config.TLS.Certificate, key: s.config.TLS.Key, now: s.now}
		s.signer.get = func() (*tls.Certificate, error) { return s.tls.get(nil) }
		_, err := s.tls.get(nil)
		return err
	}
	names, ips, err := s.hosts()
	if err != nil {
		return err
	}
	own, err := s.Authority.ServerTLS(context.WithoutCancel(ctx), names, ips)
	if err != nil {
		return err
	}
	s.signer.get = func() (*tls.Certificate, error) { return own(nil) }
	if s.config.selfMade() {
		s.tls = &tlsFiles{own: own}
	}
	return nil
}

// hosts returns the names and addresses that a self-made certificate is for.
func (s *Server) hosts() (names []string, ips []net.IP, err error) {
	u, err := url.Parse(s.config.PublicURL)
	if err != nil {
		return nil, nil, err
	}
	hosts := []string{u.Hostname()}
	if s.config.Trial {
		hosts = append(hosts, "localhost", "127.0.0.1")
	}
	seen := map[string]bool{}
	for _, h := range hosts {
		if seen[h] {
			continue
		}
		seen[h] = true
		if _, err := netip.ParseAddr(h); err == nil {
			ips = append(ips, net.ParseIP(h))
		} else {
			names = append(names, h)
		}
	}
	return names, ips, nil
}

// tlsConfig asks clients for a certificate and leaves the judgement to whoever needs
// one: devices prove themselves in more than one way, and apps are asked of the record.
func (s *Server) tlsConfig() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.tls.get, ClientAuth: tls.RequestClientCert, NextProtos: []string{"h2", "http/1.1"}}
}

// tlsFiles serves a certificate from files and reads them again when they change.
type tlsFiles struct {
	certificate, key string
	own              func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	now              func() time.Time

	mu      sync.Mutex
	pair    *tls.Certificate
	changed time.Time
	looked  time.Time
}

// lookAgain is how often the files are looked at.
const lookAgain = time.Minute

func (f *tlsFiles) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if f.own != nil {
		return f.own(hello)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if f.pair != nil && now.Sub(f.looked) < lookAgain {
		return f.pair, nil
	}
	f.looked = now
	st, err := os.Stat(f.certificate)
	if err == nil && f.pair != nil && st.ModTime().Equal(f.changed) {
		return f.pair, nil
	}
	if err == nil {
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(f.certificate, f.key); err == nil {
			f.pair, f.changed = &pair, st.ModTime()
			return f.pair, nil
		}
	}
	if f.pair != nil {
		return f.pair, nil // half-written files: the old pair still serves, and the next look tries again
	}
	return nil, ward.Errorf(ward.Invalid, "tls: the certificate or its key can't be read: %v.", err)
}
