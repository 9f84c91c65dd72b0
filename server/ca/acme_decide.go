package ca

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/smallstep/certificates/acme"
	"github.com/wardmdm/ward"
	"go.uber.org/zap"
)

// GetAuthorization returns the authorization of an order.
func (s *session) GetAuthorization(ctx context.Context, id string) (*acme.Authorization, error) {
	o, err := s.order(ctx, id)
	if err != nil {
		return nil, err
	}
	account, _ := sender(ctx)
	ch := o.challenge(account)
	return &acme.Authorization{
		ID: o.ID, AccountID: account.ID, Token: o.Token, Identifier: o.identifier(), Status: ch.Status,
		Challenges: []*acme.Challenge{ch}, ExpiresAt: o.Expires, Error: o.why(),
	}, nil
}

// identifier is what was ordered.
func (o Order) identifier() acme.Identifier {
	return acme.Identifier{Type: acme.PermanentIdentifier, Value: o.Identifier}
}

// challenge is the challenge of an order.
func (o Order) challenge(account *acme.Account) *acme.Challenge {
	ch := &acme.Challenge{
		ID: o.ID, AccountID: account.ID, AuthorizationID: o.ID, Value: o.Identifier, Type: acme.DEVICEATTEST01, Token: o.Token, Error: o.why(),
	}
	switch o.Status {
	case OrderPending:
		ch.Status = acme.StatusPending
	case OrderReady, OrderValid:
		ch.Status = acme.StatusValid
	case OrderInvalid:
		ch.Status = acme.StatusInvalid
	}
	if !o.Answered.IsZero() {
		ch.ValidatedAt = o.Answered.UTC().Format(time.RFC3339)
	}
	return ch
}

// GetChallenge returns the challenge of an order. An attestation that came with the request
// is judged first; one that waits for its attestation is returned as waiting, which keeps
// the library from judging what is not there.
func (s *session) GetChallenge(ctx context.Context, id, authorization string) (*acme.Challenge, error) {
	if id != authorization {
		return nil, errNoResource()
	}
	o, err := s.order(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(contents(ctx)) > 0 {
		if o, err = s.answer(ctx, o); err != nil {
			return nil, err
		}
	}
	account, _ := sender(ctx)
	ch := o.challenge(account)
	if ch.Status == acme.StatusPending {
		ch.Status = waiting
	}
	return ch, nil
}

// answer judges the attestation of an order that waits for one, and keeps the outcome.
func (s *session) answer(ctx context.Context, o Order) (Order, error) {
	if o.Status != OrderPending {
		return o, s.burn(ctx)
	}
	p, err := s.judge(ctx, o)
	refused, bad := errors.AsType[*acme.Error](err)
	if err != nil && !bad {
		return o, problem(err)
	}
	judged := o
	judged.Answered = s.a.o.Now()
	if bad {
		judged.Status, judged.Problem = OrderInvalid, document(refused)
	} else if judged.Key, err = keyHash(p.key); err != nil {
		return o, err
	} else {
		judged.Status, judged.Attested = OrderReady, p.Attested
	}
	changed := false
	err = s.a.o.Unit.Do(ctx, func(ctx context.Context) (err error) {
		if err := s.use(ctx); err != nil {
			return err
		}
		changed, err = s.a.o.Store.ChangeOrder(ctx, judged, OrderPending)
		return err
	})
	if err != nil {
		return o, err
	}
	s.nonce = ""
	if !changed { // another request was first
		return s.order(ctx, o.ID)
	}
	if bad {
		s.a.o.Log.Warn("acme certificate refused", zap.String("problem", refused.Type), zap.String("error", refused.Error()),
			zap.String("request_id", ward.RequestID(ctx)))
		s.a.refused(ctx, "acme", s.secret, refused)
	}
	return judged, nil
}

// judge says whether an attestation is good and its hardware may have what is granted. A
// refusal is an *acme.Error; any other error says nothing about the attestation.
func (s *session) judge(ctx context.Context, o Order) (proof, error) {
	roots, err := s.roots()
	if err != nil {
		return proof{}, err
	}
	_, key := sender(ctx)
	q := asked{format: s.format, token: o.Token, account: key, roots: pool(roots), now: s.a.o.Now()}
	var p proof
	a, err := readAnswer(contents(ctx))
	if err == nil {
		p, err = q.verify(a)
	}
	if err == nil {
		err = s.named(p.Attested)
	}
	if err != nil {
		return proof{}, acme.WrapDetailedError(acme.ErrorBadAttestationStatementType, err, "attestation")
	}
	err = s.a.o.Challenges.Permit(ctx, s.secret, p.Attested)
	switch ward.KindOf(err) {
	case "":
		return p, nil
	case ward.Internal, ward.Unavailable:
		return proof{}, err
	default:
		refused := acme.WrapError(acme.ErrorRejectedIdentifierType, err, "attested hardware %q", p.Serial)
		if said, ok := errors.AsType[*ward.Error](err); ok {
			refused.Detail = said.Message
		}
		return proof{}, refused
	}
}

// named refuses hardware that names itself where it must not, and the other way round.
func (s *session) named(by Attested) error {
	names := by.Serial != "" || by.UDID != ""
	switch {
	case s.grant.Attestation.Anonymous && names:
		return errors.New("it names the device, which no device does under user enrolment")
	case !s.grant.Attestation.Anonymous && !names:
		return errors.New("it does not name the device")
	}
	return nil
}

// GetOrder returns an order. Where the request finalises it, that is done first.
func (s *session) GetOrder(ctx context.Context, id string) (*acme.Order, error) {
	o, err := s.order(ctx, id)
	if err == nil && strings.HasSuffix(s.path, "/finalize") {
		o, err = s.finalize(ctx, o)
	}
	if err != nil {
		return nil, err
	}
	account, _ := sender(ctx)
	out := &acme.Order{
		ID: o.ID, AccountID: account.ID, ProvisionerID: acme.MustProvisionerFromContext(ctx).GetID(), Status: acme.Status(o.Status),
		ExpiresAt: o.Expires, Identifiers: []acme.Identifier{o.identifier()}, Error: o.why(), AuthorizationIDs: []string{o.ID},
	}
	if o.Status == OrderValid {
		out.CertificateID = o.ID
	}
	out.NotBefore, out.NotAfter, err = s.lasts(ctx, o)
	return out, err
}

// lasts returns from when until when the certificate of an order is or would be valid.
func (s *session) lasts(ctx context.Context, o Order) (from, to time.Time, err error) {
	if o.Status == OrderValid {
		c, err := s.a.o.Store.CertificateBySerial(ctx, o.Certificate)
		return c.NotBefore, c.NotAfter, err
	}
	_, who, err := s.a.granted(s.grant)
	if err != nil {
		return from, to, err
	}
	at := o.Created.Truncate(time.Second)
	return at.Add(-backdate), s.a.current().until(at.Add(who.life)), nil
}

// finalize signs what the challenge grants, outside any transaction, and in one unit of
// work spends the challenge, records the certificate and completes the order. It returns
// a completed order or an error: an order that is ready would be the library's to sign.
func (s *session) finalize(ctx context.Context, o Order) (Order, error) {
	if o.Status == OrderValid { // the answer was lost: it is given again
		return o, s.burn(ctx)
	}
	if o.Status != OrderReady {
		return o, s.refuseWith(ctx, acme.NewDetailedError(acme.ErrorOrderNotReadyType, "the order is %s", o.Status))
	}
	csr, err := o.request(contents(ctx))
	if err != nil {
		return o, s.refuseWith(ctx, problem(err))
	}
	kind, who, err := s.a.granted(s.grant)
	if err != nil {
		return o, err
	}
	is := s.a.current()
	cert, err := s.a.sign(ctx, is, csr, who)
	if err != nil {
		return o, problem(err)
	}
	c := is.row(cert, kind)
	c.keep(s.grant)
	c.Attested = o.Attested
	done := o
	done.Status, done.Certificate = OrderValid, c.Serial
	first, err := s.complete(ctx, done, c)
	if err != nil {
		return o, problem(err)
	}
	s.nonce = ""
	if !first { // another request completed it: what was signed here was never recorded, and is void
		if o, err = s.order(ctx, o.ID); err == nil && o.Status != OrderValid {
			err = acme.NewDetailedError(acme.ErrorOrderNotReadyType, "the order is %s", o.Status)
		}
		return o, err
	}
	s.a.o.Log.Info("acme certificate issued", zap.String("certificate", string(kind)), zap.String("serial", c.Serial),
		zap.String("invitation", s.grant.Invitation), zap.String("device", string(s.grant.Device)), zap.String("format", c.Attested.Format),
		zap.String("attested_serial", c.Attested.Serial), zap.Time("not_after", c.NotAfter), zap.String("request_id", ward.RequestID(ctx)))
	return done, nil
}

// complete records the certificate of an order in one unit of work, and reports whether
// the order was still to be completed. Whoever comes second waits here for the first.
func (s *session) complete(ctx context.Context, done Order, c Certificate) (first bool, err error) {
	err = s.a.o.Unit.Do(ctx, func(ctx context.Context) (err error) {
		if err := s.use(ctx); err != nil {
			return err
		}
		if first, err = s.a.o.Store.ChangeOrder(ctx, done, OrderReady); err != nil || !first {
			return err
		}
		if err := s.a.o.Challenges.Permit(ctx, s.secret, c.Attested); err != nil {
			return err
		}
		if err := s.a.o.Challenges.Redeem(ctx, s.secret, c); err != nil {
			return err
		}
		return s.a.o.Store.InsertCertificate(ctx, c)
	})
	return first, err
}

// request reads the certificate request that finalises o: for the key that was attested,
// and for no other name than the one that was ordered.
func (o Order) request(payload []byte) (*x509.CertificateRequest, error) {
	var p struct {
		CSR string `json:"csr"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return nil, acme.WrapError(acme.ErrorMalformedType, err, "finalise order")
	}
	der, err := raw64.DecodeString(strings.TrimRight(p.CSR, "="))
	if err != nil {
		return nil, acme.WrapError(acme.ErrorMalformedType, err, "finalise order")
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, acme.WrapError(acme.ErrorBadCSRType, err, "finalise order")
	}
	if err := checkRequest(csr); err != nil {
		return nil, err
	}
	key, err := keyHash(csr.PublicKey)
	if err != nil {
		return nil, acme.WrapError(acme.ErrorBadCSRType, err, "finalise order")
	}
	if key != o.Key {
		return nil, acme.NewDetailedError(acme.ErrorUnauthorizedType, "the request is not for the key that was attested")
	}
	if err := onlyNames(csr, o.Identifier); err != nil {
		return nil, acme.WrapDetailedError(acme.ErrorBadCSRType, err, "finalise order")
	}
	return csr, nil
}

// GetCertificate returns the certificate of an order, with its issuer.
func (s *session) GetCertificate(ctx context.Context, id string) (*acme.Certificate, error) {
	o, err := s.order(ctx, id)
	if err != nil {
		return nil, err
	}
	if o.Status != OrderValid {
		return nil, errNoResource()
	}
	c, err := s.a.o.Store.CertificateBySerial(ctx, o.Certificate)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", c.Serial, err)
	}
	account, _ := sender(ctx)
	out := &acme.Certificate{ID: id, AccountID: account.ID, OrderID: id, Leaf: leaf}
	if is := s.a.issuerOf(leaf); is != nil {
		out.Intermediates = []*x509.Certificate{is.cert}
	}
	return out, nil
}

// UpdateOrder and UpdateAuthorization keep nothing: what the library makes of them, that
// their time is over, follows from what is kept.
func (s *session) UpdateOrder(context.Context, *acme.Order) error { return nil }

// UpdateAuthorization keeps nothing: see UpdateOrder.
func (s *session) UpdateAuthorization(context.Context, *acme.Authorization) error { return nil }

// errNotHere is what the library gets where it would decide itself.
var errNotHere = errors.New("this is not the library's to decide")

// UpdateChallenge refuses: answer judges attestations.
func (s *session) UpdateChallenge(context.Context, *acme.Challenge) error { return errNotHere }

// CreateCertificate refuses: finalize records certificates.
func (s *session) CreateCertificate(context.Context, *acme.Certificate) error { return errNotHere }
