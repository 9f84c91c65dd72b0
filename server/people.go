package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/api"
	"github.com/wardmdm/ward/server/apns"
	"github.com/wardmdm/ward/server/applemdm"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/web"
)

// apiHandler serves /api/.
func (s *Server) apiHandler() (http.Handler, error) {
	return api.New(api.Options{
		PublicURL: s.config.PublicURL, InviteURL: s.InviteURL, Unit: s.db, Access: s.Access, SignIn: s.SignIn, Posture: s.Devices, Estate: s.Estate, Lost: s.Lost, Orders: s.Orders, Invitations: s.Enrolment,
		Policies: s.Policy, Audit: s.Audit, Pushes: pushCertificates{s}, Authority: authority{s}, Enqueuer: enqueuer{s}, Backups: backups{s.db, s.now}, Now: s.now, Health: s.Health,
		Approvers: s.Approvers, Brake: s.Brake, Notify: s.Notify, CaseFile: s.CaseFile, OrderFile: s.OrderFile, Reports: s.Evidence, MacPIN: s.MacPIN,
	})
}

// pages serves what people see.
func (s *Server) pages() (http.Handler, error) {
	logo, err := s.config.logo()
	if err != nil {
		return nil, err
	}
	w, err := web.New(web.Options{
		Fleet: s.fleetParts(), Logo: logo, Stopping: s.stopping,
		Policies: s.Policy, Certificates: authority{s}.ofDevice, Rules: s.ruleParts(),
		Posture: s.Devices, Lost: s.Lost, Orders: s.Orders, Access: s.Access, Sessions: s.db.Sessions(), Accounts: s.accountParts(), Now: s.now, Log: s.Log.Named("web"),
		Name: s.config.Organisation, Secure: true, PublicURL: s.config.PublicURL,
		Evidence:  web.EvidenceParts{Service: s.Evidence},
		Approvers: s.Approvers, Brake: s.Brake, Notify: s.Notify, Files: s, Recovery: s, Zone: time.Local, Remote: s.remote,
		Operate: s.operateParts(),
	})
	s.web = w
	return w, err
}

// remote says who asks, so that wrong recovery codes are counted by address. A proxy on this
// machine tells whom it asks for.
func (s *Server) remote(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if s.config.TLS.Mode != TLSProxy {
		return host
	}
	all := strings.Split(r.Header.Get("X-Forwarded-For"), ",")
	return or(strings.TrimSpace(all[len(all)-1]), host)
}

// backups writes the record.
type backups struct {
	db  *store.DB
	now func() time.Time
}

// backupKey is the setting that keeps when a backup was last made.
const backupKey = "backup_at"

func (b backups) Write(ctx context.Context, w io.Writer) error {
	if err := b.db.Dump(ctx, w); err != nil {
		return err
	}
	return b.db.SetSetting(ctx, backupKey, b.now().UTC().Format(time.RFC3339))
}

// enqueuer queues raw commands of scripts.
type enqueuer struct{ s *Server }

// Queue meets api.Enqueuer.
func (e enqueuer) Queue(ctx context.Context, r api.RawCommand) (api.Enqueued, error) {
	cmd, err := applemdm.ReadRaw(r.Body)
	if err != nil {
		return api.Enqueued{}, err
	}
	out := api.Enqueued{CommandUUID: cmd.CommandUUID, RequestType: cmd.Command.RequestType}
	type target struct {
		channel string
		id      ward.EnrolmentID
	}
	var targets []target
	failed := map[string]error{}
	for _, channel := range r.Channels {
		en, err := e.s.fleet.Latest(ctx, channel)
		if err != nil {
			failed[channel] = err
			continue
		}
		targets = append(targets, target{channel, en.ID})
	}
	body := append([]byte(nil), r.Body...)
	err = e.s.db.Do(ctx, func(ctx context.Context) error {
		out.Failed = make(map[string]error, len(failed))
		maps.Copy(out.Failed, failed)
		for _, t := range targets {
			_, err := e.s.queue.Enqueue(ctx, command.New{
				UUID: cmd.CommandUUID, Enrolment: t.id, RequestType: cmd.Command.RequestType, Body: body, By: ward.ActorFrom(ctx).Person, NoPush: r.NoPush, Expires: r.Expires,
			})
			if k := ward.KindOf(err); k == ward.Conflict || k == ward.NotFound {
				out.Failed[t.channel] = err
				continue
			}
			if err != nil {
				return err
			}
		}
		if len(out.Failed) == len(r.Channels) {
			return nil // nothing was done
		}
		return e.s.record.Record(ctx, "command.enqueued", cmd.CommandUUID, map[string]string{"request_type": cmd.Command.RequestType, "channels": strings.Join(r.Channels, ",")})
	})
	return out, err
}

// pushCertificates keeps Apple's push certificate and the key of its request.
type pushCertificates struct{ s *Server }

const pushRequestKey = "apns_request_key"

func (p pushCertificates) Status(ctx context.Context) ([]api.PushStatus, error) {
	topics, err := p.s.mdm.PushTopics(ctx)
	if err != nil {
		return nil, err
	}
	var out []api.PushStatus
	for _, t := range topics {
		pair, _, err := p.s.mdm.RetrievePushCert(ctx, t)
		if err != nil {
			return nil, err
		}
		c, err := importPair(pair, t, p)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// importPair reads the status of a stored certificate.
func importPair(pair *tls.Certificate, topic string, p pushCertificates) (api.PushStatus, error) {
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return api.PushStatus{}, err
	}
	c := apns.Certificate{Topic: topic, Serial: leaf.SerialNumber.Text(16), Issuer: leaf.Issuer.CommonName, NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter}
	return status(c.Status(p.s.now())), nil
}

func status(st apns.Status) api.PushStatus {
	return api.PushStatus{Topic: st.Topic, Serial: st.Serial, Issuer: st.Issuer, NotAfter: st.NotAfter, DaysLeft: st.DaysLeft, Expired: st.Expired(), RenewSoon: st.RenewSoon()}
}

func (p pushCertificates) Request(ctx context.Context, organisation, email string) ([]byte, error) {
	r, err := apns.NewRequest(organisation, email)
	if err != nil {
		return nil, err
	}
	err = p.s.db.Do(ctx, func(ctx context.Context) error {
		if err := p.s.db.SetSecret(ctx, pushRequestKey, r.KeyPEM); err != nil {
			return err
		}
		return p.s.record.Record(ctx, "apns.requested", "", map[string]string{"organisation": organisation})
	})
	return r.CSRPEM, err
}

func (p pushCertificates) Import(ctx context.Context, certPEM, keyPEM []byte) (api.PushStatus, error) {
	if block, _ := pem.Decode(keyPEM); block == nil {
		key, err := p.s.db.Secret(ctx, pushRequestKey)
		if err != nil {
			return api.PushStatus{}, err
		}
		if key == nil {
			return api.PushStatus{}, ward.Errorf(ward.Invalid, "There is no key for this certificate: it was not requested here. Give the key with it, or begin with: ward apns request")
		}
		keyPEM = key
	}
	previous, err := p.s.topic(ctx)
	if err != nil {
		return api.PushStatus{}, err
	}
	c, err := apns.Import(certPEM, keyPEM, previous, p.s.now())
	if err != nil {
		return api.PushStatus{}, err
	}
	err = p.s.db.Do(ctx, func(ctx context.Context) error {
		if err := p.s.mdm.StorePushCert(ctx, c.CertPEM, c.KeyPEM); err != nil {
			return err
		}
		return p.s.record.Record(ctx, "apns.imported", c.Topic, map[string]string{"serial": c.Serial, "not_after": c.NotAfter.Format("2006-01-02")})
	})
	return status(c.Status(p.s.now())), err
}
