package agent

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/wardmdm/ward"
)

// profileMIME is the media type of a configuration profile.
const profileMIME = "application/x-apple-aspen-config"

// Enrol opens an invitation link, checks that the profile behind it is signed by a
// trusted authority, and enrols by it. What the server refuses is a *ward.Error with the
// server's own words.
func (c *Client) Enrol(ctx context.Context, link string) error {
	if !isHTTPS(link) {
		return ward.Errorf(ward.Invalid, "The invitation link must begin with https://.")
	}
	h := http.Header{"User-Agent": {c.cfg.UserAgent}, "Accept": {profileMIME + ", */*;q=0.1"}}
	data, kind, err := exchangeTyped(ctx, c.cfg.Transport.shared, http.MethodGet, link, h, nil, MaxProfileBytes)
	if err != nil {
		return fmt.Errorf("open invitation: %w", forPeople(err))
	}
	if t, _, err := mime.ParseMediaType(kind); err != nil || t != profileMIME {
		return ward.Errorf(ward.Invalid, "The invitation link leads to %q and not to a profile.", kind)
	}
	return c.EnrolByProfile(ctx, data)
}

// EnrolByProfile enrols by a signed enrolment profile: key, certificate by SCEP or ACME,
// Authenticate, push registration, TokenUpdate. If a step fails, nothing is kept and
// the device is as before. An enrolled device must leave first.
func (c *Client) EnrolByProfile(ctx context.Context, data []byte) error {
	p, err := OpenProfile(data, c.cfg.ProfileRoots, c.cfg.Now())
	if err != nil {
		return fmt.Errorf("enrolment profile: %w", err)
	}
	m, q, err := p.MDM()
	if err == nil && c.cfg.Accept != nil {
		err = c.cfg.Accept(p)
	}
	if err != nil {
		return fmt.Errorf("enrolment profile: %w", err)
	}
	if m.UserEnrolment && c.cfg.Facts.EnrollmentID == "" {
		return ward.Errorf(ward.Invalid, "The profile is for user enrolment, which this device is not set up for.")
	}
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.give()
	if _, err := c.Enrolment(); err == nil {
		return ward.Errorf(ward.Conflict, "The device is enrolled already.")
	}
	e := &Enrolment{UDID: c.cfg.Facts.UDID, EnrollmentID: c.cfg.Facts.EnrollmentID, Profile: p, MDM: m, Token: make([]byte, 32), PushMagic: uuid.NewString()}
	if _, err := rand.Read(e.Token); err != nil {
		return fmt.Errorf("make push token: %w", err)
	}
	i, err := c.Identity(ctx, q)
	if err != nil {
		return forPeople(err)
	}
	e.Key, e.Certificate = i.Key, i.Certificate
	return c.announce(ctx, e)
}

// announce makes e known to the server. The push token is registered before the server
// hears of it: its first push may follow at once.
func (c *Client) announce(ctx context.Context, e *Enrolment) (err error) {
	rt := http.RoundTripper(c.cfg.Transport.shared)
	if e.presents(c.cfg.ClientCertificate) {
		own := newHTTP(c.cfg.Transport.roots, e.tls())
		defer own.CloseIdleConnections() // adopt makes the one that stays
		rt = own
	}
	if err := c.checkIn(ctx, rt, e, c.authenticate(e)); err != nil {
		return fmt.Errorf("authenticate: %w", forPeople(err))
	}
	var stream *pushStream
	if c.cfg.PushURL != "" {
		if stream, err = openPush(ctx, c.cfg.PushTransport.shared, pushAddress(c.cfg.PushURL, e.MDM.Topic, e.Token)); err != nil {
			return err
		}
	}
	err = c.checkIn(ctx, rt, e, c.tokenUpdate(e))
	if err == nil {
		err = c.cfg.Keeper.Save(ctx, e)
	}
	if err != nil {
		if stream != nil {
			err = errors.Join(err, stream.close())
		}
		return fmt.Errorf("token update: %w", forPeople(err))
	}
	c.adopt(e)
	c.mu.Lock()
	c.push = stream
	c.mu.Unlock()
	c.cfg.Log.Info("enrolled", zap.String("udid", e.UDID), zap.String("topic", e.MDM.Topic), zap.Int("rights", int(e.MDM.AccessRights)))
	return nil
}

func (c *Client) callSCEP(ctx context.Context, method, address, contentType string, body []byte, limit int64) ([]byte, error) {
	h := http.Header{"User-Agent": {mdmAgent}}
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	return exchange(ctx, c.cfg.Transport.shared, method, address, h, body, limit)
}

// presents reports whether the identity is shown in TLS.
func (e *Enrolment) presents(always bool) bool { return always || !e.MDM.SignMessage }

func (e *Enrolment) tls() *tls.Certificate {
	cert := e.Identity().TLS()
	return &cert
}

// forPeople gives a refusal by the server a kind and, if it is problem+json, the
// server's words (RFC 9457). Other errors stay as they are.
func forPeople(err error) error {
	if words, ok := acmeRefusal(err); ok {
		return ward.Errorf(ward.Forbidden, "%s", words).Because(err)
	}
	se, ok := errors.AsType[*StatusError](err)
	if !ok {
		return err
	}
	kind := ward.Internal
	switch s := se.Status; {
	case s == http.StatusNotFound:
		kind = ward.NotFound
	case s == http.StatusForbidden:
		kind = ward.Forbidden
	case s == http.StatusConflict, s == http.StatusGone:
		kind = ward.Conflict
	case s == http.StatusTooManyRequests, s >= 500:
		kind = ward.Unavailable
	case s/100 == 4:
		kind = ward.Invalid
	}
	var problem struct{ Title, Detail string }
	msg := "The server answered " + http.StatusText(se.Status) + "."
	if json.Unmarshal(se.Body, &problem) == nil {
		if problem.Detail != "" {
			msg = problem.Detail
		} else if problem.Title != "" {
			msg = problem.Title
		}
	}
	return ward.Errorf(kind, "%s", msg).Because(err)
}
