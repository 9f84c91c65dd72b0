package ca

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"github.com/smallstep/certificates/authority/provisioner"
	casapi "github.com/smallstep/certificates/cas/apiv1"
	"github.com/smallstep/certificates/cas/softcas"
	"github.com/smallstep/certificates/db"
)

// guard stands before the key and sees every certificate that is about to be
// signed, whatever path led there.
type guard struct{ *softcas.SoftCAS }

// CreateCertificate signs what is one of our kinds, and nothing else.
func (g *guard) CreateCertificate(r *casapi.CreateCertificateRequest) (*casapi.CreateCertificateResponse, error) {
	t := r.Template
	switch {
	case t == nil:
		return nil, errors.New("guard: no template")
	case t.IsCA || t.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0:
		return nil, errors.New("guard: an authority is not issued here")
	case len(t.UnknownExtKeyUsage) > 0 || len(t.ExtKeyUsage) != 1:
		return nil, errors.New("guard: exactly one purpose is allowed")
	case len(t.ExtraExtensions) > 0: // they could carry names and purposes past the checks below
		return nil, errors.New("guard: extensions of one's own are not allowed")
	case r.IsCAServerCert && t.ExtKeyUsage[0] == x509.ExtKeyUsageServerAuth && len(t.URIs) == 0:
		return g.SoftCAS.CreateCertificate(r)
	case t.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth:
		return nil, errors.New("guard: only client certificates are issued on request")
	case len(t.DNSNames)+len(t.IPAddresses)+len(t.EmailAddresses) > 0:
		return nil, errors.New("guard: a client certificate names no host and no mailbox")
	case !named(t):
		return nil, errors.New("guard: the certificate names nothing that Ward knows")
	}
	return g.SoftCAS.CreateCertificate(r)
}

// RenewCertificate refuses: certificates are issued anew or not at all.
func (g *guard) RenewCertificate(*casapi.RenewCertificateRequest) (*casapi.RenewCertificateResponse, error) {
	return nil, errors.New("guard: renewal is not offered")
}

// record is our Store as smallstep's authority sees it. Its interface knows no
// context and no transaction; Ward's own paths call Store directly, and whatever the
// library reads or writes goes to the same rows.
type record struct {
	store Store
	now   func() time.Time
}

var _ db.AuthDB = (*record)(nil)

// StoreCertificateChain does nothing: whoever asked for the certificate records it in
// the unit of work that also spends the challenge, and Check refuses what is not
// recorded. Without this method the library would store it by another way.
func (*record) StoreCertificateChain(provisioner.Interface, ...*x509.Certificate) error { return nil }

func (r *record) IsRevoked(serial string) (bool, error) {
	c, err := r.store.CertificateBySerial(context.Background(), serial)
	return c.Revoked(), err
}

func (r *record) Revoke(i *db.RevokedCertificateInfo) error {
	ok, err := r.store.RevokeCertificate(context.Background(), i.Serial,
		Revocation{At: r.now(), Reason: Reason(i.ReasonCode), By: i.Reason})
	if err == nil && !ok {
		return db.ErrAlreadyExists
	}
	return err
}

func (r *record) GetCertificate(serial string) (*x509.Certificate, error) {
	c, err := r.store.CertificateBySerial(context.Background(), serial)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(c.DER)
}

func (r *record) UseToken(id, token string) (bool, error) {
	return r.store.UseOnce(context.Background(), "token", id, []byte(token), r.now())
}

func (*record) IsSSHRevoked(string) (bool, error)          { return false, db.ErrNotImplemented }
func (*record) RevokeSSH(*db.RevokedCertificateInfo) error { return db.ErrNotImplemented }
func (*record) IsSSHHost(string) (bool, error)             { return false, db.ErrNotImplemented }
func (*record) GetSSHHostPrincipals() ([]string, error)    { return nil, db.ErrNotImplemented }
func (*record) Shutdown() error                            { return nil } // the store is its owner's to close
