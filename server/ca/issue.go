package ca

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/smallstep/certificates/authority/provisioner"
	"github.com/wardmdm/ward"
	"go.step.sm/crypto/x509util"
	"go.uber.org/zap"
)

// AppGrant says for which app on which device a certificate is.
type AppGrant struct {
	Device    ward.DeviceID
	Enrolment ward.EnrolmentID
	App       string // bundle id
	Names     Names
	// RenewedFrom is the serial of the certificate that the new one follows, or empty.
	RenewedFrom string
}

var bundleID = regexp.MustCompile(`^[A-Za-z0-9.-]{1,155}$`)

// IssueApp signs a client certificate for the app that g names and records it; it
// returns the certificate and its issuer. Of the request it takes the public key
// alone. inUnit, which may be nil, runs in the unit of work that records the
// certificate: what it writes is committed with the record, and its error, returned
// as it is, undoes both and keeps the certificate from ever being valid. Call it
// outside every unit of work, for it signs. A request that Ward does not sign is an
// error of kind Invalid.
func (a *Authority) IssueApp(ctx context.Context, csr *x509.CertificateRequest, g AppGrant, inUnit func(ctx context.Context, c Certificate) error) ([]*x509.Certificate, error) {
	if g.Device == "" || g.Enrolment == "" || !bundleID.MatchString(g.App) {
		return nil, ward.Errorf(ward.Invalid, "An app certificate needs a device, its enrolment and the app's bundle id.")
	}
	who, err := a.appSubject(g.Device, g.App, g.Names)
	if err != nil {
		return nil, err
	}
	is := a.current()
	cert, err := a.sign(ctx, is, csr, who)
	if err != nil {
		return nil, err
	}
	c := is.row(cert, KindApp)
	c.Device, c.Enrolment, c.App, c.RenewedFrom = g.Device, g.Enrolment, g.App, g.RenewedFrom
	err = a.o.Unit.Do(ctx, func(ctx context.Context) error {
		if inUnit != nil {
			if err := inUnit(ctx, c); err != nil {
				return err
			}
		}
		return a.o.Store.InsertCertificate(ctx, c)
	})
	if err != nil {
		return nil, err
	}
	a.o.Log.Info("app certificate issued", zap.String("serial", c.Serial), zap.String("device", string(g.Device)),
		zap.String("app", g.App), zap.Time("not_after", c.NotAfter), zap.String("request_id", ward.RequestID(ctx)))
	return []*x509.Certificate{cert, is.cert}, nil
}

// issueBySCEP signs what the challenge grants, and in one unit of work spends the
// challenge and records the certificate. It returns the issuer too.
func (a *Authority) issueBySCEP(ctx context.Context, csr *x509.CertificateRequest, challenge string) (*x509.Certificate, *issuer, error) {
	cert, is, err := a.redeemBySCEP(ctx, csr, challenge)
	if err != nil {
		a.refused(ctx, "scep", challenge, err)
	}
	return cert, is, err
}

func (a *Authority) redeemBySCEP(ctx context.Context, csr *x509.CertificateRequest, challenge string) (*x509.Certificate, *issuer, error) {
	g, err := a.o.Challenges.Lookup(ctx, challenge)
	if err != nil {
		return nil, nil, err
	}
	if g.Attestation != nil {
		return nil, nil, ward.Errorf(ward.Forbidden, "This challenge is for a key that hardware attests: it is not good for SCEP.")
	}
	kind, who, err := a.granted(g)
	if err != nil {
		return nil, nil, err
	}
	is := a.current()
	cert, err := a.sign(ctx, is, csr, who)
	if err != nil {
		return nil, nil, err
	}
	c := is.row(cert, kind)
	c.keep(g)
	err = a.o.Unit.Do(ctx, func(ctx context.Context) error {
		if err := a.o.Challenges.Redeem(ctx, challenge, c); err != nil {
			return err
		}
		return a.o.Store.InsertCertificate(ctx, c)
	})
	if err != nil {
		return nil, nil, err
	}
	a.o.Log.Info("scep certificate issued", zap.String("certificate", string(kind)), zap.String("serial", c.Serial),
		zap.String("invitation", g.Invitation), zap.String("device", string(g.Device)), zap.Time("not_after", c.NotAfter), zap.String("request_id", ward.RequestID(ctx)))
	return cert, is, nil
}

// granted returns the kind and the subject of a grant's certificate. A grant that lacks
// something of its kind, or has something of another, is an error.
func (a *Authority) granted(g Grant) (Kind, subject, error) {
	held := g.Device != "" && g.Enrolment != "" && g.Invitation == "" && g.CommonName == ""
	device := urn("device", string(g.Device))
	switch {
	case g.Kind == KindNetwork && held && g.App == "":
		return KindNetwork, subject{name: string(g.Device), unit: "network", life: a.o.NetworkLife, uris: []*url.URL{device}}, nil
	case g.Kind == KindApp && held && g.Profile == "" && bundleID.MatchString(g.App):
		who, err := a.appSubject(g.Device, g.App, g.Names)
		return KindApp, who, err
	case (g.Kind == "" || g.Kind == KindDevice) && g.Invitation != "" && g.CommonName != "" && g.Profile == "" && g.App == "" &&
		(g.Enrolment == "") == (g.RenewedFrom == ""):
		return KindDevice, subject{name: g.CommonName, unit: "device", life: a.o.DeviceLife, uris: []*url.URL{urn("invitation", g.Invitation)}}, nil
	}
	return "", subject{}, fmt.Errorf("issue certificate: the grant of kind %q is not complete", g.Kind)
}

// keep takes what the record is to know of a grant.
func (c *Certificate) keep(g Grant) {
	c.Invitation, c.Device, c.Enrolment, c.RenewedFrom = g.Invitation, g.Device, g.Enrolment, g.RenewedFrom
	switch c.Kind {
	case KindApp:
		c.App = g.App
	case KindNetwork:
		c.App = g.Profile
	case KindDevice, KindServer:
	}
}

// subject is what a client certificate says; nothing of it comes from the request.
type subject struct {
	name, unit   string
	organisation string // empty: the authority's
	uris         []*url.URL
	life         time.Duration
}

// emptyTemplate keeps the library from copying names out of the request.
type emptyTemplate struct{}

func (emptyTemplate) Options(provisioner.SignOptions) []x509util.Option {
	return []x509util.Option{x509util.WithTemplate("{}", x509util.NewTemplateData())}
}

// sign checks the request and signs a client certificate for s. It touches no
// database: what it returns is not valid until it is recorded.
func (a *Authority) sign(ctx context.Context, is *issuer, csr *x509.CertificateRequest, s subject) (*x509.Certificate, error) {
	if err := checkRequest(csr); err != nil {
		return nil, err
	}
	fill := provisioner.CertificateModifierFunc(func(c *x509.Certificate, _ provisioner.SignOptions) error {
		now := a.o.Now().UTC().Truncate(time.Second)
		c.Subject = pkix.Name{CommonName: s.name, OrganizationalUnit: []string{s.unit}, Organization: []string{cmp.Or(s.organisation, a.o.Organisation)}}
		c.URIs = s.uris
		c.NotBefore, c.NotAfter = now.Add(-backdate), is.until(now.Add(s.life))
		c.KeyUsage = x509.KeyUsageDigitalSignature
		if _, ok := csr.PublicKey.(*rsa.PublicKey); ok {
			c.KeyUsage |= x509.KeyUsageKeyEncipherment
		}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		c.BasicConstraintsValid = true
		a.point(c, is)
		return nil
	})
	chain, err := is.step.SignWithContext(ctx, csr, provisioner.SignOptions{}, emptyTemplate{}, fill)
	if err != nil {
		return nil, fmt.Errorf("sign certificate for %s: %w", s.name, err)
	}
	return chain[0], nil
}

// point has c say where its status and its issuer's certificate are to be had (RFC 5280
// sections 4.2.1.13 and 4.2.2.1).
func (a *Authority) point(c *x509.Certificate, is *issuer) {
	c.CRLDistributionPoints = []string{a.o.StatusURL + is.listPath()}
	c.OCSPServer = []string{a.o.StatusURL + OCSPPath}
	c.IssuingCertificateURL = []string{a.o.StatusURL + IssuersPath + "/" + strconv.Itoa(is.n)}
}

// until caps the end of a certificate at the issuer's own.
func (is *issuer) until(t time.Time) time.Time {
	if t.After(is.cert.NotAfter) {
		return is.cert.NotAfter
	}
	return t
}

// checkRequest returns an error of kind Invalid unless the request proves its key
// and the key is one that Ward signs.
func checkRequest(csr *x509.CertificateRequest) error {
	if csr == nil {
		return ward.Errorf(ward.Invalid, "The certificate request is missing.")
	}
	if err := checkKey(csr.PublicKey); err != nil { // first: verifying with a huge key is slow
		return err
	}
	if err := csr.CheckSignature(); err != nil {
		return ward.Errorf(ward.Invalid, "The certificate request is not signed with the key it asks a certificate for.").Because(err)
	}
	return nil
}

// maxRSA is the largest RSA key that is certified, or that anything is verified with, in
// bits: a larger one keeps a processor busy for whoever asks.
const maxRSA = 4096

func checkKey(key crypto.PublicKey) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n >= 2048 && n <= maxRSA {
			return nil
		}
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() || k.Curve == elliptic.P384() {
			return nil
		}
	}
	return ward.Errorf(ward.Invalid, "The key must be RSA with 2048 to 4096 bits, or EC on the curve P-256 or P-384.")
}
