package ca

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/smallstep/certificates/acme"
	acmeapi "github.com/smallstep/certificates/acme/api"
	"github.com/wardmdm/ward"
	"go.step.sm/crypto/jose"
	"go.step.sm/crypto/randutil"
)

// session is one request for what one challenge grants. To the library it is the database:
// what the library would decide when an attestation is answered or an order finalised is
// decided when it asks for the challenge or the order, so that it finds it done. It has
// verified the message by then, and says in the context whose it is and what it holds.
type session struct {
	acme.DB // nil: whatever is not below is not used
	a       *Authority
	seal    seal
	read    *recent
	secret  string // the challenge
	hash    string // of the challenge
	format  string
	path    string
	grant   Grant
	// spent is set when the challenge bought a certificate, which its client may not have
	// received: then it is good for fetching that, and for nothing else.
	spent bool
	nonce string // taken, but not recorded as used yet
	token string // of the order that is being made
}

// waiting is the status of a challenge whose answer is not there yet, by a name that the
// library does not know: it would take "pending" as its own to decide.
const waiting = acme.Status("waiting")

// begin asks what the challenge grants.
func (s *session) begin(ctx context.Context, format string) error {
	s.format = format
	g, err := s.a.o.Challenges.Lookup(ctx, s.secret)
	switch ward.KindOf(err) {
	case "":
	case ward.Internal, ward.Unavailable:
		return err
	default:
		if none := s.fetch(ctx); ward.KindOf(none) != ward.NotFound {
			return none
		}
		return err
	}
	if g.Attestation == nil {
		return ward.Errorf(ward.Forbidden, "This challenge is not good for ACME.")
	}
	if g.Attestation.Format != format {
		return ward.Errorf(ward.Forbidden, "This challenge is not good for hardware of this kind.")
	}
	if g.Attestation.Identifier == "" {
		return ward.Errorf(ward.Forbidden, "This challenge names nothing that could be ordered.")
	}
	s.grant = g
	if format == FormatTPM && s.a.tpms.Load() {
		return nil // the attestation authority is made when the first TPM asks, which may order first
	}
	_, err = s.roots()
	return err
}

// fetch sees whether the challenge was spent by an order here: then its client may fetch
// what it bought.
func (s *session) fetch(ctx context.Context) error {
	orders, err := s.a.o.Store.OrdersOf(ctx, s.hash)
	if err != nil {
		return err
	}
	for _, o := range orders {
		if o.Status == OrderValid && o.Attested.Format == s.format {
			s.spent = true
			return nil
		}
	}
	return ward.Errorf(ward.NotFound, "No order was completed for this challenge.")
}

// roots returns what attestations of the session's format are checked against.
func (s *session) roots() (certs []*x509.Certificate, err error) {
	switch s.format {
	case FormatApple:
		certs, err = s.a.appleRoots()
	case FormatTPM:
		certs = s.a.tpmRoots()
	}
	if err == nil && len(certs) == 0 {
		err = ward.Errorf(ward.Forbidden, "Attestations by hardware of this kind are not taken here.")
	}
	return certs, err
}

// usable refuses what a spent challenge is not good for.
func (s *session) usable() error {
	if s.spent {
		return acme.NewDetailedError(acme.ErrorUnauthorizedType, "this challenge was used already")
	}
	return nil
}

// contents returns what the client sent, once the library has verified whose it is. An
// empty message asks for a resource and changes nothing (RFC 8555 section 6.3).
func contents(ctx context.Context) []byte {
	if m, ok := ctx.Value(acmeapi.ContextKey("jws")).(*jose.JSONWebSignature); ok {
		return m.UnsafePayloadWithoutVerification()
	}
	return nil
}

// sender returns the account that the library has verified, and its key.
func sender(ctx context.Context) (*acme.Account, *jose.JSONWebKey) {
	account, _ := ctx.Value(acmeapi.ContextKey("acc")).(*acme.Account)
	key, _ := ctx.Value(acmeapi.ContextKey("jwk")).(*jose.JSONWebKey)
	return account, key
}

// CreateNonce returns a nonce that needs no row until it is used.
func (s *session) CreateNonce(context.Context) (acme.Nonce, error) {
	return acme.Nonce(s.seal.nonce(s.hash, s.a.o.Now())), nil
}

// DeleteNonce takes a nonce. Of a request that changes something, it is recorded together
// with that, in the database; of one that reads, in this process: answered once more by
// another copy of the server, it would tell its sender the same again.
func (s *session) DeleteNonce(ctx context.Context, nonce acme.Nonce) error {
	if !s.seal.fresh(string(nonce), s.hash, s.a.o.Now()) {
		return acme.NewError(acme.ErrorBadNonceType, "the nonce was not made here for this challenge, or too long ago")
	}
	if !s.read.first(string(nonce), s.a.o.Now()) {
		return errUsed()
	}
	if s.writes() && len(contents(ctx)) > 0 {
		s.nonce = string(nonce)
	}
	return nil
}

func errUsed() error { return acme.NewError(acme.ErrorBadNonceType, "the nonce was used already") }

// writes reports whether requests to this path change an order.
func (s *session) writes() bool {
	return strings.HasSuffix(s.path, "/"+acme.NewOrderLinkType.String()) || strings.HasSuffix(s.path, "/finalize") ||
		strings.Contains(s.path, "/"+acme.ChallengeLinkType.String()+"/")
}

// burn records that the nonce was used; that it was before is an error.
func (s *session) burn(ctx context.Context) error {
	err := s.use(ctx)
	if err == nil {
		s.nonce = ""
	}
	return err
}

// use does so within a unit of work, which may be undone or run again.
func (s *session) use(ctx context.Context) error {
	if s.nonce == "" {
		return nil
	}
	fresh, err := s.a.o.Store.UseOnce(ctx, NonceBucket, s.nonce, []byte{}, s.a.o.Now())
	if err != nil {
		return err
	}
	if !fresh {
		return errUsed()
	}
	return nil
}

// burnRest records the nonce of a request that was refused before it came to anything. That
// it was used before changes nothing then: what was refused is refused again.
func (s *session) burnRest(ctx context.Context) error {
	err := s.burn(context.WithoutCancel(ctx))
	if err != nil && s.nonce != "" && problem(err).Status < http.StatusInternalServerError {
		return nil
	}
	return err
}

// CreateAccount makes the account of a key. An account is nothing but its key: it needs no
// row, and is one of this challenge only.
func (s *session) CreateAccount(_ context.Context, account *acme.Account) (err error) {
	if err := s.usable(); err != nil {
		return err
	}
	if account.ID, err = s.seal.account(s.hash, account.Key); err != nil {
		return acme.WrapDetailedError(acme.ErrorBadPublicKeyType, err, "new account")
	}
	account.Contact = nil // nobody would be written to
	return nil
}

// GetAccount finds an account by its id.
func (s *session) GetAccount(ctx context.Context, id string) (*acme.Account, error) {
	key := s.seal.accountKey(s.hash, id)
	if key == nil {
		return nil, acme.ErrNotFound
	}
	p := acme.MustProvisionerFromContext(ctx)
	return &acme.Account{
		ID: id, Key: key, Status: acme.StatusValid, ProvisionerID: p.GetID(), ProvisionerName: p.GetName(),
		LocationPrefix: acme.MustLinkerFromContext(ctx).GetLink(ctx, acme.AccountLinkType, ""),
	}, nil
}

// GetAccountByKeyID finds none: the account of a key is made again just as it was.
func (s *session) GetAccountByKeyID(context.Context, string) (*acme.Account, error) {
	return nil, acme.ErrNotFound
}

// UpdateAccount changes no account: it ends with its challenge.
func (s *session) UpdateAccount(context.Context, *acme.Account) error {
	return acme.NewError(acme.ErrorNotImplementedType, "accounts are not changed")
}

// CreateChallenge is asked for before CreateOrder, for each identifier that is ordered.
func (s *session) CreateChallenge(_ context.Context, ch *acme.Challenge) error {
	s.token = ch.Token
	return nil
}

// CreateAuthorization is asked for before CreateOrder, which makes it.
func (s *session) CreateAuthorization(context.Context, *acme.Authorization) error { return nil }

// CreateOrder makes an order with its authorization and its challenge, if it is for exactly
// what the challenge grants.
func (s *session) CreateOrder(ctx context.Context, o *acme.Order) error {
	err := s.usable()
	if err == nil {
		err = s.orderable(o.Identifiers)
	}
	if err != nil {
		return s.refuseWith(ctx, err)
	}
	account, key := sender(ctx)
	if account == nil {
		return acme.NewError(acme.ErrorAccountDoesNotExistType, "no account")
	}
	made := Order{
		Challenge: s.hash, Identifier: s.grant.Attestation.Identifier, Token: s.token, Status: OrderPending,
		Attested: Attested{Format: s.format}, Created: s.a.o.Now(),
	}
	made.Expires = made.Created.Add(orderLife)
	if made.ID, err = randutil.Alphanumeric(32); err != nil {
		return err
	}
	if made.Account, err = acme.KeyToID(key); err != nil {
		return err
	}
	err = s.a.o.Unit.Do(ctx, func(ctx context.Context) error {
		if err := s.use(ctx); err != nil {
			return err
		}
		return s.a.insert(ctx, &made)
	})
	if err != nil {
		return problem(err)
	}
	s.nonce = ""
	o.ID, o.AuthorizationIDs, o.ExpiresAt = made.ID, []string{made.ID}, made.Expires
	o.NotBefore, o.NotAfter, err = s.lasts(ctx, made)
	return err
}

// orderable refuses an order of anything but what is granted.
func (s *session) orderable(ids []acme.Identifier) error {
	if len(ids) == 1 && ids[0].Type == acme.PermanentIdentifier && ids[0].Value == s.grant.Attestation.Identifier && s.token != "" {
		return nil
	}
	return acme.NewDetailedError(acme.ErrorRejectedIdentifierType, "an order has to name the one permanent identifier that the challenge is for")
}

// refuseWith records the nonce of a request that is refused for a reason that may pass.
func (s *session) refuseWith(ctx context.Context, err error) error {
	if used := s.burn(ctx); used != nil {
		return used
	}
	return err
}

// GetOrdersByAccountID lists the orders of whoever asks.
func (s *session) GetOrdersByAccountID(ctx context.Context, _ string) ([]string, error) {
	orders, err := s.a.o.Store.OrdersOf(ctx, s.hash)
	if err != nil {
		return nil, err
	}
	ids := []string{}
	for _, o := range orders {
		if s.owns(ctx, o) {
			ids = append(ids, o.ID)
		}
	}
	return ids, nil
}

// owns reports whether the account that asks made o, for this challenge.
func (s *session) owns(ctx context.Context, o Order) bool {
	_, key := sender(ctx)
	if key == nil || o.Challenge != s.hash || o.Attested.Format != s.format {
		return false
	}
	thumb, err := acme.KeyToID(key)
	return err == nil && thumb == o.Account
}

// order finds an order of whoever asks; others' are not there for it.
func (s *session) order(ctx context.Context, id string) (Order, error) {
	o, err := s.a.o.Store.Order(ctx, id)
	if ward.KindOf(err) == ward.NotFound || (err == nil && !s.owns(ctx, o)) {
		return Order{}, errNoResource()
	}
	if err != nil {
		return Order{}, err
	}
	if s.spent && o.Status != OrderValid {
		return Order{}, s.usable()
	}
	if !s.spent && o.Identifier != s.grant.Attestation.Identifier {
		return Order{}, acme.NewDetailedError(acme.ErrorUnauthorizedType, "the challenge was changed since this was ordered")
	}
	if (o.Status == OrderPending || o.Status == OrderReady) && !o.open(s.a.o.Now()) {
		o.Status, o.Problem = OrderInvalid, document(acme.NewDetailedError(acme.ErrorMalformedType, "the order has expired"))
	}
	return o, nil
}

// document returns a problem document to keep.
func document(e *acme.Error) string {
	b, err := json.Marshal(e)
	if err != nil { // it is a few strings
		return "{}"
	}
	return string(b)
}

// why returns the problem that an order is invalid for, nil if there is none.
func (o Order) why() *acme.Error {
	if o.Problem == "" {
		return nil
	}
	e := new(acme.Error)
	if err := json.Unmarshal([]byte(o.Problem), e); err != nil {
		return acme.WrapErrorISE(err, "read problem of order")
	}
	return e
}
