package server

import (
	"context"
	"crypto/x509"
	"os"

	"github.com/google/uuid"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/apns"
	"github.com/wardmdm/ward/server/apns/standin"
	"github.com/wardmdm/ward/server/seal"
)

// openPush opens the push client, and in a trial the stand-in that it sends to.
func (s *Server) openPush(ctx context.Context, _ *seal.Master) (err error) {
	s.mdm = s.db.MDM()
	base, roots := s.config.APNs.URL, (*x509.CertPool)(nil)
	if s.config.APNs.CA != "" {
		b, err := os.ReadFile(s.config.APNs.CA)
		if err != nil {
			return ward.Errorf(ward.Invalid, "apns.ca can't be read: %v.", err)
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(b) {
			return ward.Errorf(ward.Invalid, "apns.ca: %s holds no certificate in PEM.", s.config.APNs.CA)
		}
	}
	if s.config.Trial {
		if s.standin, err = standin.Start(standin.Options{Now: s.now, AcceptUnknown: true}); err != nil {
			return err
		}
		base, roots = s.standin.URL(), s.standin.Pool()
		if err := s.trialPush(ctx); err != nil {
			return err
		}
	}
	s.pusher, err = apns.New(apns.Options{BaseURL: base, Certificates: s.mdm, RootCAs: roots, Now: s.now, OnResult: s.metrics.pushed})
	return err
}

// trialPush stores a push certificate of the stand-in, whose authority is new at every
// start. The topic stays, for devices know it.
func (s *Server) trialPush(ctx context.Context) error {
	topic, err := s.topic(ctx)
	if err != nil {
		return err
	}
	if topic == "" {
		topic = "com.apple.mgmt.External." + uuid.NewString()
	}
	_, cert, key, err := s.standin.IssueCertificate(topic)
	if err != nil {
		return err
	}
	return s.mdm.StorePushCert(ctx, cert, key)
}
