package server

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/credential"
	"github.com/wardmdm/ward/server/logkey"
	"go.uber.org/zap"
)

// outside is a SCEP server of somebody else's that gives devices their certificates. It asks
// nobody whether it may: what tells Ward whose certificate one is, is the ticket in its common
// name, which was in one profile alone and is taken once. The nil outside knows none.
type outside struct {
	c             OutsideSCEP
	s             *Server
	challenge     string // the static one, empty where each request has its own
	header        [2]string
	roots         []*x509.Certificate
	intermediates []*x509.Certificate
	held          grants
	client        *http.Client
}

var _ enrollment.Source = (*outside)(nil)

// openOutside reads what the configuration says of an outside SCEP server, nil if nothing.
func (s *Server) openOutside() (*outside, error) {
	c := s.config.CA.OutsideSCEP
	if c.URL == "" && len(c.Roots) == 0 {
		return nil, nil //nolint:nilnil // the nil outside knows no certificate
	}
	o := &outside{c: c, s: s}
	var err error
	if o.roots, err = readAuthorities(outsideField+".roots", c.Roots); err != nil {
		return nil, err
	}
	if o.intermediates, err = readAuthorities(outsideField+".intermediates", c.Intermediates); err != nil {
		return nil, err
	}
	if c.ChallengeFile != "" {
		if o.challenge, err = c.challenge(); err != nil {
			return nil, ward.Errorf(ward.Invalid, "%s.challenge_file: %v.", outsideField, err)
		}
	}
	if o.header[0], o.header[1], err = c.header(); err != nil {
		return nil, ward.Errorf(ward.Invalid, "%s.challenge_header_file: %v.", outsideField, err)
	}
	if o.client, err = o.dial(); err != nil {
		return nil, err
	}
	held := s.challenges()
	held.Store = outsideStore{s.db.Challenges()}
	o.held = grants{held, s.fleet, judge{s}}
	return o, nil
}

// serves reports whether the outside server gives certificates for what.
func (o *outside) serves(what string) bool { return o != nil && o.c.serves(what) }

// The forms of a common name with a ticket: that of an invitation, and that of an identity
// which follows another. They have 57 and 62 characters; a common name may have 64 (RFC 5280
// appendix A.1).
var ticketName = regexp.MustCompile(`^Ward (anew )?([a-z2-7]{52})$`)

var identityPrefix = string(credential.ForIdentity) + "-"

// nameOf returns the common name that carries a ticket.
func nameOf(ticket string) string {
	if secret, ok := strings.CutPrefix(ticket, identityPrefix); ok {
		return "Ward anew " + secret
	}
	return "Ward " + ticket
}

// ticketOf returns the challenge that the common name of a certificate stands for; false for
// one that carries none.
func ticketOf(cert *x509.Certificate) (challenge string, anew, ok bool) {
	m := ticketName.FindStringSubmatch(cert.Subject.CommonName)
	switch {
	case m == nil:
		return "", false, false
	case m[1] != "":
		return identityPrefix + m[2], true, true
	}
	return enrollment.OutsideChallenge(m[2]), false, true
}

// Ask meets enrollment.Source. An identity that follows another is asked for by a command,
// which is made where nothing can be waited for: its challenge is filled in at delivery.
func (o *outside) Ask(ctx context.Context, _ enrollment.Invitation, ticket string) (enrollment.Question, error) {
	name := nameOf(ticket)
	q := enrollment.Question{URL: o.c.URL, Name: o.c.Name, Challenge: later(name), Subject: [][][]string{{{"O", o.s.config.Organisation}}, {{"CN", name}}}}
	if strings.HasPrefix(ticket, identityPrefix) {
		return q, nil
	}
	var err error
	q.Challenge, err = o.challengeFor(ctx, name)
	return q, err
}

// issued reports whether the outside authority issued a certificate that is valid now, by its
// chain alone.
func (o *outside) issued(cert *x509.Certificate) bool {
	if o == nil || len(o.roots) == 0 {
		return false
	}
	v := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: o.s.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	for _, c := range o.roots {
		v.Roots.AddCert(c)
	}
	for _, c := range o.intermediates {
		v.Intermediates.AddCert(c)
	}
	_, err := cert.Verify(v)
	return err == nil
}

// admit takes a certificate of the outside authority that the record does not know into it,
// and spends its ticket. It belongs in the unit of work in which the certificate proves
// something for the first time. One that is not of that authority is a *ward.Error of kind
// NotFound, one without an open ticket is Forbidden.
func (o *outside) admit(ctx context.Context, cert *x509.Certificate) (ca.Certificate, error) {
	if !o.issued(cert) {
		return ca.Certificate{}, ward.Errorf(ward.NotFound, "This certificate was not issued here.")
	}
	if err := ca.CheckForeign(cert); err != nil {
		return ca.Certificate{}, err
	}
	challenge, anew, ok := ticketOf(cert)
	if !ok {
		return ca.Certificate{}, ward.Errorf(ward.Forbidden, "This certificate of the outside authority was not asked for by a profile of this server.")
	}
	c, err := o.granted(ctx, cert, challenge, anew)
	if err != nil {
		// A device that sent its message twice may have been let in a moment ago.
		if known, failed := o.s.db.Certificates().CertificateByHash(ctx, ca.Hash(cert)); failed == nil {
			return known, nil
		}
		return c, &ticketError{challenge, err}
	}
	if err := o.s.db.Certificates().InsertCertificate(ctx, c); err != nil {
		return c, err
	}
	o.s.Log.Named("ca").Info("certificate of the outside authority taken into the record", zap.String("serial", c.Serial), zap.String(logkey.Invitation, c.Invitation),
		zap.String(logkey.Device, string(c.Device)), zap.Time("not_after", c.NotAfter), zap.String("request_id", ward.RequestID(ctx)))
	return c, nil
}

// follow takes a certificate that follows the identity of an enrolment into the record, if it
// is one that the record does not know; whether it may take that place is not asked here. It
// joins the unit of work in ctx.
func (o *outside) follow(ctx context.Context, cert *x509.Certificate) error {
	if o == nil {
		return nil
	}
	if _, anew, _ := ticketOf(cert); !anew {
		return nil
	}
	if _, err := o.s.db.Certificates().CertificateByHash(ctx, ca.Hash(cert)); ward.KindOf(err) != ward.NotFound {
		return err
	}
	_, err := o.admit(ctx, cert)
	if ward.KindOf(err) == ward.NotFound { // of another authority, which has nothing to do with ours
		return nil
	}
	return err
}

// granted spends a ticket and returns the row that it entitles a certificate to.
func (o *outside) granted(ctx context.Context, cert *x509.Certificate, challenge string, anew bool) (ca.Certificate, error) {
	if !anew {
		inv, err := o.s.Enrolment.Redeem(ctx, challenge, "")
		return ca.ForeignRow(cert, ca.Grant{Invitation: inv.ID, Device: inv.Device}), err
	}
	g, err := o.held.Lookup(ctx, challenge)
	if err != nil {
		return ca.Certificate{}, err
	}
	if g.Kind != ca.KindDevice || g.Attestation != nil {
		return ca.Certificate{}, ward.Errorf(ward.Forbidden, "This ticket is not for an identity by SCEP.")
	}
	c := ca.ForeignRow(cert, g)
	return c, o.held.Redeem(ctx, challenge, c)
}

// ticketError is why a ticket was not taken.
type ticketError struct {
	challenge string
	error
}

// Unwrap returns why.
func (e *ticketError) Unwrap() error { return e.error }

// admitting is the fleet to which devices show what may be a certificate of the outside
// authority. What was refused is undone with its unit of work, and audited after it.
type admitting struct{ shown }

// Do meets applemdm.Store.
func (f admitting) Do(ctx context.Context, fn func(ctx context.Context) error) error {
	return f.s.outside.audited(ctx, f.shown.Do(ctx, fn))
}

// audited has it audited that a ticket was refused, if err says so, and returns err.
func (o *outside) audited(ctx context.Context, err error) error {
	t, ok := errors.AsType[*ticketError](err)
	said, known := errors.AsType[*ward.Error](err)
	if !ok || !known || said.Kind != ward.Forbidden {
		return err
	}
	return errors.Join(err, o.s.refusedSecret(ctx, party{protocol: "outside scep"}, t.challenge, "unauthorized", said.Message))
}

// outsideStore keeps the tickets for certificates of the outside authority apart from the
// challenges that Ward's own takes: a ticket is shown with its certificate, and must not be
// worth another one here.
type outsideStore struct{ credential.ChallengeStore }

func apart(hash string) string {
	sum := sha256.Sum256([]byte("outside " + hash))
	return hex.EncodeToString(sum[:])
}

// Keep meets credential.ChallengeStore.
func (s outsideStore) Keep(ctx context.Context, hashes []string, g credential.ChallengeGrant, issued, expires time.Time, limit int) error {
	kept := make([]string, len(hashes))
	for i, h := range hashes {
		kept[i] = apart(h)
	}
	return s.ChallengeStore.Keep(ctx, kept, g, issued, expires, limit)
}

// FindChallenge meets credential.ChallengeStore.
func (s outsideStore) FindChallenge(ctx context.Context, hash string, t time.Time) (credential.ChallengeGrant, error) {
	return s.ChallengeStore.FindChallenge(ctx, apart(hash), t)
}

// BurnChallenge meets credential.ChallengeStore.
func (s outsideStore) BurnChallenge(ctx context.Context, hash string, t time.Time) error {
	return s.ChallengeStore.BurnChallenge(ctx, apart(hash), t)
}

// authorities returns the roots of the outside authority.
func (o *outside) authorities() []*x509.Certificate {
	if o == nil {
		return nil
	}
	return o.roots
}

// pool adds what completes the chains of the outside authority's certificates.
func (o *outside) pool(p *x509.CertPool) *x509.CertPool {
	if o != nil {
		for _, c := range o.intermediates {
			p.AddCert(c)
		}
	}
	return p
}

// watched tells of the outside authority's own certificates, and what it is for.
func (o *outside) watched(context.Context) (out []ca.Watched, _ error) {
	if o == nil {
		return nil, nil
	}
	name := "outside SCEP, asked for nothing"
	if o.c.URL != "" {
		name = "outside SCEP for " + strings.Join(o.c.For, " and ")
	}
	for _, c := range slices.Concat(o.roots, o.intermediates) {
		out = append(out, ca.WatchedOf(name, c, fmt.Sprintf("Have whoever runs the outside SCEP server make another in good time, and name both in %s.roots or .intermediates.", outsideField)))
	}
	return out, nil
}
