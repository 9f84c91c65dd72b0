package store

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/micromdm/nanomdm/cryptoutil"
	"github.com/micromdm/nanomdm/mdm"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
)

// EnqueueCommand queues a raw command for several channels. The map holds an error
// for each id that can't take it; the others are queued.
func (m MDM) EnqueueCommand(ctx context.Context, ids []string, cmd *mdm.Command) (map[string]error, error) {
	body, err := requestType(cmd)
	if err != nil {
		return nil, err
	}
	failed := map[string]error{}
	for _, id := range ids {
		e, err := m.Fleet().Latest(ctx, id)
		if err == nil {
			_, err = m.Commands().Enqueue(ctx, command.New{
				UUID: cmd.CommandUUID, Enrolment: e.ID, RequestType: cmd.Command.RequestType, Body: body, By: ward.ActorFrom(ctx).Person, NoPush: true,
			})
		}
		if err != nil {
			failed[id] = err
		}
	}
	if len(failed) == 0 {
		return nil, nil
	}
	return failed, nil
}

// StoreCommandReport keeps what a device reports. Idle begins a new connection, in
// which commands once answered NotNow are offered again. An answer to a command that
// is not open changes nothing and is no error: the device could only repeat it.
func (m MDM) StoreCommandReport(r *mdm.Request, report *mdm.CommandResults) error {
	ctx := r.Context()
	e, err := m.enrolment(r)
	if err != nil {
		return err
	}
	a := Answer{UUID: report.CommandUUID, Raw: report.Raw}
	switch report.Status {
	case "Idle":
		return m.Commands().Resume(ctx, e.ID)
	case "Acknowledged":
		a.State = command.Accepted
	case "NotNow":
		a.State = command.Deferred
	default: // Error, CommandFormatError and what Apple may yet invent
		a.State, a.Reason = command.Refused, refusal(report)
	}
	if bytes.Contains(report.Raw, []byte("<key>Latitude</key>")) {
		a.Raw = nil // the case keeps where it is, sealed, and deletes it in time
	}
	a.Secret = bytes.Contains(report.Raw, []byte("<key>UnlockToken</key>"))
	return m.Do(ctx, func(ctx context.Context) error {
		rec, known, err := m.Commands().Report(ctx, e.ID, a)
		if err != nil || m.OnReport == nil {
			return err
		}
		return m.OnReport(ctx, e, rec, known)
	})
}

// refusal puts an error chain into one line.
func refusal(report *mdm.CommandResults) string {
	var s strings.Builder
	s.WriteString(report.Status)
	for _, e := range report.ErrorChain {
		text := e.USEnglishDescription
		if text == "" {
			text = e.LocalizedDescription
		}
		fmt.Fprintf(&s, "; %s %d: %s", e.ErrorDomain, e.ErrorCode, text)
	}
	return s.String()
}

// RetrieveNextCommand hands out the next command, nil when there is none. skipNotNow
// is not needed: a command answered NotNow waits until the device's next Idle.
func (m MDM) RetrieveNextCommand(r *mdm.Request, _ bool) (*mdm.Command, error) {
	e, err := m.enrolment(r)
	if err != nil {
		return nil, err
	}
	rec, body, forged, err := m.Commands().Next(r.Context(), e.ID)
	if err != nil {
		return nil, err
	}
	if len(forged) > 0 && m.OnForged != nil {
		m.OnForged(r.Context(), forged)
	}
	if body == nil {
		return nil, nil
	}
	cmd := &mdm.Command{CommandUUID: rec.UUID, Raw: body}
	cmd.Command.RequestType = rec.RequestType
	return cmd, nil
}

// ClearQueue cancels what is open for the request's channel and, for a device, for
// its user channels.
func (m MDM) ClearQueue(r *mdm.Request) error {
	if r.ParentID != "" {
		return fmt.Errorf("clear queue of %s: a user channel's queue ends with its device", r.ID)
	}
	return m.Do(r.Context(), func(ctx context.Context) error {
		rows, err := m.query(ctx, `SELECT id FROM enrolment WHERE (channel = $1 OR parent = $1) AND latest`, r.ID)
		ids, err := scanAll(rows, err, func(r scanner) (id ward.EnrolmentID, err error) { return id, r.Scan(&id) })
		if err != nil {
			return err
		}
		for _, id := range ids {
			if _, err := m.Commands().CancelOpen(ctx, id, "the queue was cleared", nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// HasCertHash reports whether a certificate has ever proved any channel.
func (m MDM) HasCertHash(r *mdm.Request, hash string) (bool, error) {
	channel, _, err := m.Fleet().ChannelOf(r.Context(), hash)
	return channel != "", err
}

// EnrollmentHasCertHash reports whether any certificate proves the channel.
func (m MDM) EnrollmentHasCertHash(r *mdm.Request, _ string) (has bool, err error) {
	err = m.row(r.Context(), `SELECT EXISTS (SELECT 1 FROM identity WHERE channel = $1 AND live)`, deviceChannel(r)).Scan(&has)
	return has, err
}

// IsCertHashAssociated reports whether the certificate proves the channel now.
func (m MDM) IsCertHashAssociated(r *mdm.Request, hash string) (bool, error) {
	channel, live, err := m.Fleet().ChannelOf(r.Context(), hash)
	return live && channel == deviceChannel(r), err
}

// AssociateCertHash makes the certificate the only one that proves the channel.
func (m MDM) AssociateCertHash(r *mdm.Request, hash string) error {
	return m.Fleet().Bind(r.Context(), hash, deviceChannel(r))
}

// deviceChannel is the channel whose identity a request proves: a user channel uses
// its device's.
func deviceChannel(r *mdm.Request) string {
	if r.ParentID != "" {
		return r.ParentID
	}
	return r.ID
}

// EnrollmentFromHash returns the channel that a certificate proves, or "".
func (m MDM) EnrollmentFromHash(ctx context.Context, hash string) (string, error) {
	channel, live, err := m.Fleet().ChannelOf(ctx, hash)
	if !live {
		return "", err
	}
	return channel, err
}

// RetrievePushInfo returns where to push for the ids that are enrolled.
func (m MDM) RetrievePushInfo(ctx context.Context, ids []string) (map[string]*mdm.Push, error) {
	out := make(map[string]*mdm.Push, len(ids))
	for _, id := range ids {
		var p mdm.Push
		var token string
		err := m.row(ctx, `SELECT push_token, push_magic, topic FROM enrolment WHERE channel = $1 AND latest AND state = 'active' AND push_dead_at = 0`, id).Scan(&token, &p.PushMagic, &p.Topic)
		if none(err) != nil {
			return nil, err
		}
		if err != nil {
			continue
		}
		if err := p.SetTokenString(token); err != nil {
			return nil, fmt.Errorf("push token of %s: %w", id, err)
		}
		out[id] = &p
	}
	return out, nil
}

// StorePushCert keeps the APNs certificate of the topic that it names; its key is
// sealed.
func (m MDM) StorePushCert(ctx context.Context, pemCert, pemKey []byte) error {
	pair, err := tls.X509KeyPair(pemCert, pemKey)
	if err != nil {
		return ward.Errorf(ward.Invalid, "The push certificate and its key do not fit: %v.", err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return ward.Errorf(ward.Invalid, "The push certificate can't be read: %v.", err)
	}
	topic, err := cryptoutil.TopicFromCert(leaf)
	if err != nil {
		return ward.Errorf(ward.Invalid, "This is not an APNs certificate for device management: %v.", err)
	}
	_, err = m.exec(ctx, `INSERT INTO push_certificate (topic, certificate, sealed_key, version, not_after, stored_at) VALUES ($1, $2, $3, 1, $4, $5)
		ON CONFLICT (topic) DO UPDATE SET certificate = excluded.certificate, sealed_key = excluded.sealed_key, version = push_certificate.version + 1, not_after = excluded.not_after, stored_at = excluded.stored_at`,
		topic, string(pemCert), m.secrets.Seal(pemKey, "push key", topic), micros(leaf.NotAfter), micros(m.now()))
	return err
}

// IsPushCertStale reports whether a newer certificate was stored for the topic.
func (m MDM) IsPushCertStale(ctx context.Context, topic, staleToken string) (bool, error) {
	var version int64
	err := m.row(ctx, `SELECT version FROM push_certificate WHERE topic = $1`, topic).Scan(&version)
	return fmt.Sprint(version) != staleToken, missing(err, "There is no push certificate for the topic %s.", topic)
}

// RetrievePushCert returns the certificate of a topic and its stale token.
func (m MDM) RetrievePushCert(ctx context.Context, topic string) (*tls.Certificate, string, error) {
	var cert string
	var sealed []byte
	var version int64
	if err := m.row(ctx, `SELECT certificate, sealed_key, version FROM push_certificate WHERE topic = $1`, topic).Scan(&cert, &sealed, &version); err != nil {
		return nil, "", missing(err, "There is no push certificate for the topic %s: ward apns status says what is missing.", topic)
	}
	key, err := m.secrets.Open(sealed, "push key", topic)
	if err != nil {
		return nil, "", fmt.Errorf("push key of %s: %w", topic, err)
	}
	pair, err := tls.X509KeyPair([]byte(cert), key)
	if err != nil {
		return nil, "", fmt.Errorf("push certificate of %s: %w", topic, err)
	}
	return &pair, fmt.Sprint(version), nil
}

// PushCertificate is RetrievePushCert under the name that the push client asks for.
func (m MDM) PushCertificate(ctx context.Context, topic string) (*tls.Certificate, string, error) {
	return m.RetrievePushCert(ctx, topic)
}

// PushTopics returns the topics that there is a push certificate for.
func (m MDM) PushTopics(ctx context.Context) ([]string, error) {
	rows, err := m.query(ctx, `SELECT topic FROM push_certificate ORDER BY topic`)
	return scanAll(rows, err, func(r scanner) (t string, err error) { return t, r.Scan(&t) })
}
