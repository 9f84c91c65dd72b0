package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/micromdm/nanomdm/mdm"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/catalogue"
	"github.com/wardmdm/ward/server/apns"
	"github.com/wardmdm/ward/server/audit"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/credential"
	"github.com/wardmdm/ward/server/jobs"
	"github.com/wardmdm/ward/server/logkey"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/unit"
	"go.uber.org/zap"
)

// What stands here fits one part's words to another's; no rule of the business does.

// recorder writes the audit log for parts that know only ids and texts. What concerns
// a device is its owner's personal data, and can be forgotten with the owner.
type recorder struct {
	log   *audit.Service
	fleet store.Fleet
}

func (r recorder) Record(ctx context.Context, action, subject string, detail map[string]string) error {
	e := audit.Entry{Action: action, Subject: subject, Detail: detail}
	device := subject
	if !strings.HasPrefix(device, devicePrefix) {
		device = detail["device"]
	}
	if device != "" {
		d, err := r.fleet.Device(ctx, ward.DeviceID(device))
		if err != nil && ward.KindOf(err) != ward.NotFound {
			return err
		}
		if d.Email != "" {
			e.Person = ward.PersonID("owner:" + strings.ToLower(d.Email))
		}
	}
	return r.log.Record(ctx, e)
}

// identities lets the protocol ask the record of certificates, which those of the outside
// authority come into when they are seen first.
type identities struct {
	s       *store.Certificates
	outside *outside
	now     func() time.Time
	revoked func() // called after the commit of a revocation
}

func (i identities) Invitation(ctx context.Context, cert *x509.Certificate) (string, error) {
	c, err := i.s.CertificateByHash(ctx, ca.Hash(cert))
	if ward.KindOf(err) == ward.NotFound {
		c, err = i.outside.admit(ctx, cert)
	}
	if err != nil {
		return "", err
	}
	if c.Kind != ca.KindDevice || c.Revoked() {
		return "", ward.Errorf(ward.Forbidden, "This certificate is not a valid device identity.")
	}
	return c.Invitation, nil
}

// Bind meets applemdm.Certificates. What else was issued for the same invitation, and has
// proved nothing so far, never will: an installation that broke off leaves such, and a
// thief of the link may have one.
func (i identities) Bind(ctx context.Context, hash string, d ward.DeviceID, e ward.EnrolmentID) error {
	if err := i.s.BindCertificate(ctx, hash, d, e); err != nil {
		return err
	}
	c, err := i.s.CertificateByHash(ctx, hash)
	if err != nil || c.Invitation == "" {
		return err
	}
	all, err := i.s.CertificatesOfInvitation(ctx, c.Invitation)
	if err != nil {
		return fmt.Errorf("spare identities of invitation %s: %w", c.Invitation, err)
	}
	for _, spare := range all {
		if spare.Kind != ca.KindDevice || spare.Enrolment != "" || spare.Revoked() {
			continue
		}
		if _, err := i.s.RevokeCertificate(ctx, spare.Serial, ca.Revocation{At: i.now(), Reason: ca.Superseded, By: "Ward"}); err != nil {
			return fmt.Errorf("spare identities of invitation %s: %w", c.Invitation, err)
		}
		unit.AfterCommit(ctx, i.revoked)
	}
	return nil
}

// appAuthority signs for the exchange of apps' tokens. An app that lacked its certificate
// has one then, which may be all that its device did not comply for: it is judged anew
// before the app can show what it was given.
type appAuthority struct{ s *Server }

func (a appAuthority) IssueApp(ctx context.Context, csr *x509.CertificateRequest, g credential.Grant, record func(ctx context.Context) error) ([]*x509.Certificate, error) {
	names, err := judge(a).names(ctx, g.Device, g.App, false)
	if err != nil {
		return nil, err
	}
	chain, err := a.s.Authority.IssueApp(ctx, csr, ca.AppGrant{Device: g.Device, Enrolment: g.Enrolment, App: g.App, Names: names}, func(ctx context.Context, _ ca.Certificate) error {
		if err := record(ctx); err != nil {
			return err
		}
		return a.s.fleet.CheckSoon(ctx, g.Device, a.s.now())
	})
	if err != nil {
		return nil, err
	}
	if err := a.s.Loop.Replan(ward.WithActor(ctx, ward.System), g.Device); err != nil { // it is due, and planned again soon
		a.s.Log.Warn("device not judged after its app was certified", zap.String(logkey.Device, string(g.Device)), zap.Error(err))
	}
	return chain, nil
}

// appCertificates revokes what a lost device and its apps prove themselves by, but for its
// identity, and the tokens and challenges they could get new certificates with.
type appCertificates struct {
	a      *ca.Authority
	tokens store.AppTokens
	now    func() time.Time
}

func (a appCertificates) RevokeApps(ctx context.Context, id ward.DeviceID, _ string) ([]string, error) {
	open, err := a.tokens.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, hash := range open { // whoever comes with it is refused, and it is known whose it was
		if _, err := a.tokens.Certificates().UseOnce(ctx, spentBucket, hash, []byte(id), a.now()); err != nil {
			return nil, err
		}
	}
	if err := a.tokens.Void(ctx, id); err != nil {
		return nil, err
	}
	return a.a.RevokeApps(ctx, id, ca.KeyCompromise, string(ward.ActorFrom(ctx).Person))
}

// openCases tells the loop of the open case of a device.
type openCases struct {
	s         store.Cases
	otherwise func(ctx context.Context) (profiles.LostMode, error)
}

func (o openCases) OpenCase(ctx context.Context, id ward.DeviceID) (*profiles.Case, error) {
	c, err := o.s.OpenCase(ctx, id)
	if ward.KindOf(err) == ward.NotFound {
		return nil, nil //nolint:nilnil // the loop's word for "none is open"
	}
	if err != nil {
		return nil, err
	}
	otherwise, err := o.otherwise(ctx)
	if err != nil {
		return nil, err
	}
	return &profiles.Case{ID: c.ID, Kind: profiles.CaseKind(c.Kind), Message: c.Message, Phone: c.Phone, Footnote: c.Footnote, Reported: c.Reported, Otherwise: otherwise}, nil
}

// caseDevices tells the orders whose case a case is.
type caseDevices struct{ s store.Cases }

func (c caseDevices) CaseDevice(ctx context.Context, id ward.CaseID) (ward.DeviceID, error) {
	k, err := c.s.Case(ctx, id)
	return k.Device, err
}

// queue is the command queue for parts that leave the CommandUUID to the body.
type queue struct{ store.Commands }

func (q queue) Enqueue(ctx context.Context, n command.New) (string, error) {
	if n.UUID == "" {
		cmd, err := mdm.DecodeCommand(n.Body)
		if err != nil {
			return "", fmt.Errorf("queue %s: %w", n.RequestType, err)
		}
		n.UUID = cmd.CommandUUID
	}
	return q.Commands.Enqueue(ctx, n)
}

// outbox fits the store's outbox to the pusher.
type outbox struct{ store.Outbox }

func (o outbox) Lease(ctx context.Context, t time.Time, lease time.Duration, limit int) ([]jobs.Push, error) {
	owed, err := o.Outbox.Lease(ctx, t, lease, limit)
	out := make([]jobs.Push, len(owed))
	for i, p := range owed {
		out[i] = jobs.Push(p)
	}
	return out, err
}

// pushSender fits the push client to the pusher.
type pushSender struct{ c *apns.Client }

func (p pushSender) Send(ctx context.Context, topic string, token []byte, magic string) (dead bool, after time.Duration, err error) {
	err = p.c.Send(ctx, apns.Target{Topic: topic, Token: token, Magic: magic})
	if e, ok := errors.AsType[*apns.Error](err); ok {
		after = e.RetryAfter
	}
	return apns.Dead(err), after, err
}

// consumerApps are the iPhone apps of the catalogue that a first policy would block.
func consumerApps() (ids []string) {
	for _, a := range catalogue.Builtin().Category("consumer-messaging") {
		for _, id := range a.IOS {
			ids = append(ids, id.ID)
		}
	}
	return ids
}
