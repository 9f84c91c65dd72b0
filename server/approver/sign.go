package approver

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/wardmdm/ward"
)

// Begin returns what navigator.credentials.get is given, as JSON, so that the person in ctx
// signs the hash for the purpose. The question is open for 5 minutes and good once. Forbidden
// means that the person is no standing approver, or did not sign in by a browser.
func (s *Service) Begin(ctx context.Context, p Purpose, hash string) (options []byte, err error) {
	if p != ForOrder && p != ForApprover || !validHash(hash) {
		return nil, ward.Errorf(ward.Invalid, "There is nothing to sign: not a purpose and the hash of something.")
	}
	var o protocol.PublicKeyCredentialRequestOptions
	err = s.Store.Do(ctx, func(ctx context.Context) error {
		e, b, err := s.signer(ctx)
		if err != nil {
			return err
		}
		now := s.now()
		nonce, err := newNonce(b.roots.Key, e.ID, p, hash, now)
		if err != nil {
			return err
		}
		challenge, err := s.ask(ctx, e.Person, p, hash, nonce, now)
		if err != nil {
			return err
		}
		o = protocol.PublicKeyCredentialRequestOptions{
			Challenge: challenge, Timeout: int(nonceLife / time.Millisecond), RelyingPartyID: s.RPID, UserVerification: protocol.VerificationRequired,
			AllowedCredentials: []protocol.CredentialDescriptor{{Type: protocol.PublicKeyCredentialType, CredentialID: e.Key.ID}},
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(protocol.CredentialAssertion{Response: o})
}

// Finish takes the answer of navigator.credentials.get, as JSON, of the person in ctx, and
// returns who signed and the assertion, which Verify proves again. The question is spent
// whether or not the answer is right, unless the unit of work in ctx fails. Invalid means
// that the answer is not one, Forbidden that it is not right, comes too late or a second
// time, or is of someone who is no standing approver.
func (s *Service) Finish(ctx context.Context, p Purpose, hash string, response []byte) (Approver, Assertion, error) {
	who, err := person(ctx)
	if err != nil {
		return Approver{}, Assertion{}, err
	}
	if len(response) > maxInput {
		return Approver{}, Assertion{}, unreadable(nil)
	}
	d, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return Approver{}, Assertion{}, unreadable(err)
	}
	var n Nonce
	if err := s.Store.Do(ctx, func(ctx context.Context) (err error) {
		n, err = s.take(ctx, who.Person, p, hash, d.Response.CollectedClientData.Challenge)
		return err
	}); err != nil {
		return Approver{}, Assertion{}, err
	}
	e, b, err := s.signer(ctx)
	if err != nil {
		return Approver{}, Assertion{}, err
	}
	if !slices.Equal(d.RawID, e.Key.ID) {
		return Approver{}, Assertion{}, unproven("This is not the passkey that you registered as an approver.")
	}
	a := Assertion{
		Approver: e.ID, Purpose: p, Hash: hash, Nonce: n.Nonce, At: s.now(),
		ClientData: d.Raw.AssertionResponse.ClientDataJSON, AuthenticatorData: d.Raw.AssertionResponse.AuthenticatorData, Signature: d.Response.Signature,
	}
	if made, ok := nonceMade(b.roots.Key, e.ID, p, hash, n.Nonce); ok && a.At.Before(made) {
		a.At = made // another copy of the server asked, whose clock is a little ahead
	}
	if err := s.proves(b.roots, e.Approver, a, p, hash); err != nil {
		return Approver{}, Assertion{}, err
	}
	return e.Approver, a, nil
}

// signer returns the record of the person in ctx, who must be a standing approver.
func (s *Service) signer(ctx context.Context) (*entry, *book, error) {
	who, err := person(ctx)
	if err != nil {
		return nil, nil, err
	}
	e, b, err := s.standing(ctx, who.Person)
	if err == nil && e == nil {
		err = unproven("You are no approver, or nobody has vouched for you yet.")
	}
	return e, b, err
}

// standing returns the record by which a person stands now, the newest of several, or nil.
func (s *Service) standing(ctx context.Context, p ward.PersonID) (*entry, *book, error) {
	b, err := s.open(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("approver %s: %w", p, err)
	}
	now := s.now()
	for _, e := range slices.Backward(b.sorted) {
		if e.Person != p {
			continue
		}
		if s.prove(b, e); e.stood(now) {
			return e, b, nil
		}
	}
	return nil, b, nil
}

// ByPerson returns the record by which a person stands as an approver now. NotFound means
// that they do not.
func (s *Service) ByPerson(ctx context.Context, p ward.PersonID) (Approver, error) {
	e, _, err := s.standing(ctx, p)
	if err != nil {
		return Approver{}, err
	}
	if e == nil {
		return Approver{}, ward.Errorf(ward.NotFound, "%s is no approver.", p)
	}
	return e.Approver, nil
}
