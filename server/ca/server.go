package ca

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"sync"
	"time"

	casapi "github.com/smallstep/certificates/cas/apiv1"
	"github.com/wardmdm/ward"
	"go.uber.org/zap"
)

// serverLife is short, for the key is never on disk and a new certificate costs
// nothing. Apple allows 825 days (https://support.apple.com/103769).
const serverLife = 30 * 24 * time.Hour

// IssueServer makes a TLS certificate with a new key for this server, for the trial
// that has no other. The chain holds the issuer too. It needs a name or an address.
func (a *Authority) IssueServer(ctx context.Context, names []string, ips []net.IP) (*tls.Certificate, error) {
	if len(names)+len(ips) == 0 {
		return nil, ward.Errorf(ward.Invalid, "A server certificate needs a host name or an address.")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("issue server certificate: %w", err)
	}
	is, err := a.forServers()
	if err != nil {
		return nil, err
	}
	now := a.o.Now().UTC().Truncate(time.Second)
	var name string
	if len(names) > 0 {
		name = names[0]
	} else {
		name = ips[0].String()
	}
	t := &x509.Certificate{
		Subject:   pkix.Name{CommonName: name, Organization: []string{a.o.Organisation}},
		PublicKey: key.Public(), DNSNames: names, IPAddresses: ips,
		NotBefore: now.Add(-backdate), NotAfter: is.until(now.Add(serverLife)),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	a.point(t, is)
	made, err := is.guard.CreateCertificate(&casapi.CreateCertificateRequest{Template: t, Lifetime: serverLife, IsCAServerCert: true})
	if err != nil {
		return nil, fmt.Errorf("issue server certificate for %s: %w", name, err)
	}
	cert := made.Certificate
	if err := a.o.Store.InsertCertificate(ctx, is.row(cert, KindServer)); err != nil {
		return nil, fmt.Errorf("issue server certificate for %s: %w", name, err)
	}
	a.mu.Lock()
	a.server = cert
	a.mu.Unlock()
	a.o.Log.Info("server certificate issued", zap.String("serial", cert.SerialNumber.String()), zap.String("name", name), zap.Time("not_after", cert.NotAfter))
	return &tls.Certificate{Certificate: [][]byte{cert.Raw, is.cert.Raw}, PrivateKey: key, Leaf: cert}, nil
}

// ServerTLS returns a function for tls.Config.GetCertificate. It makes the first
// certificate at once, and another in the handshake that finds less than a third of
// the life left. It may be called without a handshake: with nil, in the context ctx.
func (a *Authority) ServerTLS(ctx context.Context, names []string, ips []net.IP) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	current, err := a.IssueServer(ctx, names, ips)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		left := current.Leaf.NotAfter.Sub(a.o.Now())
		if left > serverLife/3 {
			return current, nil
		}
		in := ctx //nolint:contextcheck // without a handshake there is no other
		if hello != nil {
			in = hello.Context()
		}
		next, err := a.IssueServer(in, names, ips)
		switch {
		case err == nil:
			current = next
		case left <= 0:
			return nil, err
		default: // the old one serves until the database is back
			a.o.Log.Warn("server certificate not replaced", zap.Error(err), zap.Duration("left", left))
		}
		return current, nil
	}, nil
}
