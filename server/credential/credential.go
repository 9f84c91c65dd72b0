// Package credential gives an approved app its certificate: a one-time token travels
// in the app's managed configuration, and the app exchanges it, with a key of its own,
// for a client certificate. What a device asks certificates for itself, its networks, its
// new identity and the identities that it holds for apps, it gets in a like way, by one-time
// challenges in what it is sent. It signs nothing itself and knows neither profiles, nor
// SCEP, nor ACME.
package credential

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/unit"
)

// TokenLife is how long an app has to use its token.
const TokenLife = 24 * time.Hour

// Grant is what a token stands for.
type Grant struct {
	Device    ward.DeviceID
	Enrolment ward.EnrolmentID
	App       string // bundle id
}

// Store keeps tokens by their SHA-256.
type Store interface {
	unit.Unit
	// Replace keeps a token in the place of every unused one of the same grant.
	Replace(ctx context.Context, hash string, g Grant, issued, expires time.Time) error
	// Find returns the grant of a token that is unused and not expired at t.
	Find(ctx context.Context, hash string, t time.Time) (Grant, error)
	// Burn uses the token up; a *ward.Error of kind Forbidden says that it was used or
	// expired.
	Burn(ctx context.Context, hash string, t time.Time) error
	// Void makes every unused token of a device's apps useless, and every open challenge of
	// the device but those for its identity.
	Void(ctx context.Context, id ward.DeviceID) error
}

// Authority issues a client certificate for the grant. It calls record within the unit
// of work that keeps the certificate, so that one token gives one certificate.
type Authority interface {
	IssueApp(ctx context.Context, csr *x509.CertificateRequest, g Grant, record func(ctx context.Context) error) ([]*x509.Certificate, error)
}

// Devices tells whether a device may have app certificates now.
type Devices interface {
	Device(ctx context.Context, id ward.DeviceID) (ward.Device, error)
}

// Recorder writes the audit log in the unit of work in ctx.
type Recorder interface {
	Record(ctx context.Context, action, subject string, detail map[string]string) error
}

// Service issues tokens and exchanges them.
type Service struct {
	Store     Store
	Authority Authority
	Devices   Devices
	Judge     Judge // nil thinks well of every device
	Audit     Recorder
	Now       func() time.Time
}

// Issue makes a token for an app on an enrolment, in the caller's unit of work. Tokens
// issued to it before become useless.
func (s *Service) Issue(ctx context.Context, g Grant) (string, error) {
	raw := make([]byte, 32)
	rand.Read(raw)
	token := base64.RawURLEncoding.EncodeToString(raw)
	now := s.Now()
	return token, s.Store.Replace(ctx, hash(token), g, now, now.Add(TokenLife))
}

// Exchange uses a token up and returns a certificate for the key of the request, with
// its chain. Everything about it comes from the grant, nothing but the key from the
// request. A *ward.Error of kind Forbidden says why it is refused.
func (s *Service) Exchange(ctx context.Context, token string, csr *x509.CertificateRequest) ([]*x509.Certificate, Grant, error) {
	h := hash(token)
	g, err := s.Store.Find(ctx, h, s.Now())
	if err != nil {
		return nil, g, err
	}
	if err := s.allowed(ctx, g); err != nil {
		return nil, g, err
	}
	chain, err := s.Authority.IssueApp(ctx, csr, g, func(ctx context.Context) error {
		if err := s.allowed(ctx, g); err != nil { // a report of loss may have come while the key was signed
			return err
		}
		if err := s.Store.Burn(ctx, h, s.Now()); err != nil {
			return err
		}
		return s.Audit.Record(ctx, "certificate.issued", string(g.Device), map[string]string{"app": g.App, "enrolment": string(g.Enrolment)})
	})
	return chain, g, err
}

func (s *Service) allowed(ctx context.Context, g Grant) error {
	d, err := s.Devices.Device(ctx, g.Device)
	if err != nil {
		return err
	}
	if d.State != ward.Managed {
		return ward.Errorf(ward.Forbidden, "This device is %s: its apps get no certificate.", d.State)
	}
	if s.Judge == nil {
		return nil
	}
	return s.Judge.Deserves(ctx, g.Device, g.App)
}

func hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
