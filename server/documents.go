package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/credential"
	"github.com/wardmdm/ward/server/declare"
)

// documents gives devices what their declarations refer to: the identities of apps, and
// apps' configurations.
type documents struct {
	declared
	challenges *credential.Challenges
	binder     *Binder
	authority  *ca.Authority
}

var _ declare.Documents = documents{}

// Document meets declare.Documents. What an identity needs is issued for each fetch.
func (d documents) Document(ctx context.Context, device ward.Device, e ward.Enrolment, hash string) (contentType string, body []byte, err error) {
	want, err := d.want(ctx, e.ID)
	if err != nil {
		return "", nil, err
	}
	doc, ok := want.Document(hash)
	if !ok {
		return "", nil, ward.Errorf(ward.NotFound, "This device should not have such a document.")
	}
	if doc.Identity {
		body, err = d.identity(ctx, device, e, doc)
	} else {
		body, err = d.binder.Bind(ctx, device, e, doc.Data)
	}
	return doc.ContentType, body, err
}

// identity fills in what a device gets an app's certificate by, a fresh challenge among it,
// if it may have that.
func (d documents) identity(ctx context.Context, device ward.Device, e ward.Enrolment, doc profiles.Document) ([]byte, error) {
	if err := d.challenges.Permits(ctx, credential.ForApp, device.ID, doc.App); err != nil {
		return nil, err
	}
	list, err := d.challenges.Issue(ctx, credential.ChallengeGrant{Purpose: credential.ForApp, Device: device.ID, Enrolment: e.ID, App: doc.App, Attested: doc.Attested}, 1)
	if err != nil {
		return nil, fmt.Errorf("challenge for %s: %w", doc.App, err)
	}
	body := doc.Data
	for name, value := range map[string]string{
		"app.challenge": list[0], "app.directory": d.authority.DirectoryURL(list[0], ca.FormatApple),
		"network.scep_url": d.binder.ServerURL + ca.SCEPPath, "device.id": string(device.ID), "device.identifier": clientIdentifier(device, e),
	} {
		quoted, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("bind %s: %w", name, err)
		}
		body = bytes.ReplaceAll(body, []byte("{{"+name+"}}"), quoted[1:len(quoted)-1])
	}
	return body, nil
}

// documentHolder says whether a client certificate that came with the request for a document
// is that of the enrolment. Whoever shows none is trusted by the link alone, for a proxy may
// have kept it.
func (s *Server) documentHolder(r *http.Request, id ward.EnrolmentID) error {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil
	}
	c, err := s.db.Certificates().CertificateByHash(r.Context(), ca.Hash(r.TLS.PeerCertificates[0]))
	if ward.KindOf(err) == ward.NotFound { // of another authority: an adopted device's
		channel, live, err := s.fleet.ChannelOf(r.Context(), ca.Hash(r.TLS.PeerCertificates[0]))
		if err != nil {
			return err
		}
		e, err := s.fleet.Enrolment(r.Context(), id)
		if err != nil || (live && channel == e.Channel) {
			return err
		}
		return ward.Errorf(ward.Forbidden, "This certificate is not the device's.")
	}
	if err != nil {
		return err
	}
	if c.Enrolment != id || c.Revoked() || c.Kind != ca.KindDevice || s.now().After(c.NotAfter) {
		return ward.Errorf(ward.Forbidden, "This certificate is not the device's.")
	}
	return nil
}
