package ca

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/wardmdm/ward"
	"go.uber.org/zap"
)

// Check returns the record of a client certificate that Ward issued, or took into the record
// from another authority, that is valid now, and that was not revoked. Every endpoint that clients prove themselves to with
// a certificate calls it, for TLS alone accepts a revoked one. A refusal is a
// *ward.Error of kind Forbidden whose cause is ErrForeign, ErrUnusable,
// ErrOutsideTime, ErrUnrecorded or ErrRevoked. The caller checks that the Kind is the
// one it serves.
func (a *Authority) Check(ctx context.Context, cert *x509.Certificate) (Certificate, error) {
	if cert == nil {
		return Certificate{}, ward.Errorf(ward.Forbidden, "A client certificate is needed.").Because(ErrForeign)
	}
	is := a.issuerOf(cert) // which was verified against the root when it was loaded
	if is == nil {
		return a.checkForeign(ctx, cert)
	}
	if cert.IsCA || !slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) {
		return Certificate{}, ward.Errorf(ward.Forbidden, "This certificate is not one for clients.").Because(ErrUnusable)
	}
	if now := a.o.Now(); now.Before(cert.NotBefore) || now.After(cert.NotAfter) || now.After(is.cert.NotAfter) {
		return Certificate{}, ward.Errorf(ward.Forbidden, "This certificate is expired or not yet valid.").Because(ErrOutsideTime)
	}
	c, err := a.o.Store.CertificateByHash(ctx, Hash(cert))
	if ward.KindOf(err) == ward.NotFound {
		return Certificate{}, ward.Errorf(ward.Forbidden, "This certificate is not in the record.").Because(ErrUnrecorded)
	}
	if err != nil {
		return Certificate{}, fmt.Errorf("check certificate %s: %w", cert.SerialNumber, err)
	}
	if c.Revoked() {
		return Certificate{}, ward.Errorf(ward.Forbidden, "This certificate was revoked.").Because(ErrRevoked)
	}
	return c, nil
}

// checkForeign does the same for one that another authority issued, whose chain was verified
// when it came into the record.
func (a *Authority) checkForeign(ctx context.Context, cert *x509.Certificate) (Certificate, error) {
	c, err := a.o.Store.CertificateByHash(ctx, Hash(cert))
	if err != nil && ward.KindOf(err) != ward.NotFound {
		return Certificate{}, fmt.Errorf("check certificate %s: %w", cert.SerialNumber, err)
	}
	if err != nil || c.Issuer != Foreign {
		return Certificate{}, ward.Errorf(ward.Forbidden, "This certificate was not issued here.").Because(ErrForeign)
	}
	if err := CheckForeign(cert); err != nil {
		return Certificate{}, err
	}
	if now := a.o.Now(); now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
		return Certificate{}, ward.Errorf(ward.Forbidden, "This certificate is expired or not yet valid.").Because(ErrOutsideTime)
	}
	if c.Revoked() {
		return Certificate{}, ward.Errorf(ward.Forbidden, "This certificate was revoked.").Because(ErrRevoked)
	}
	return c, nil
}

// Bind records whose certificate cert is, once its device has shown itself. It joins
// the unit of work in ctx.
func (a *Authority) Bind(ctx context.Context, cert *x509.Certificate, device ward.DeviceID, enrolment ward.EnrolmentID) error {
	return a.o.Store.BindCertificate(ctx, Hash(cert), device, enrolment)
}

// RevokeApps revokes the app and the network certificates of a device, which is all but
// its identity, and returns their serials. It joins the unit of work in ctx; Check
// refuses them from its commit on. The caller then calls RemakeCRL, outside the unit:
// networks learn of it from the list.
func (a *Authority) RevokeApps(ctx context.Context, device ward.DeviceID, reason Reason, by string) ([]string, error) {
	serials, err := a.o.Store.RevokeApps(ctx, device, Revocation{At: a.o.Now(), Reason: reason, By: by})
	if err != nil {
		return nil, fmt.Errorf("revoke app and network certificates of %s: %w", device, err)
	}
	if len(serials) > 0 {
		a.o.Log.Info("app and network certificates revoked", zap.String("device", string(device)), zap.Strings("serials", serials))
	}
	return serials, nil
}

// Revoke revokes one certificate and reports whether it was valid until then. It
// joins the unit of work in ctx, as RevokeApps does.
func (a *Authority) Revoke(ctx context.Context, serial string, reason Reason, by string) (bool, error) {
	ok, err := a.o.Store.RevokeCertificate(ctx, serial, Revocation{At: a.o.Now(), Reason: reason, By: by})
	if err != nil {
		return false, fmt.Errorf("revoke certificate %s: %w", serial, err)
	}
	if ok {
		a.o.Log.Info("certificate revoked", zap.String("serial", serial))
	}
	return ok, nil
}
