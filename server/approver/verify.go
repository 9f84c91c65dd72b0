package approver

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/wardmdm/ward"
)

// Verify proves an assertion again, at any time, and returns who made it: the passkey's
// signature over the challenge of exactly this purpose and hash, its origin, its relying
// party, that the person was there and was recognised, that the approver's record is as it
// was when it was vouched for, that the chain of vouches leads to the founders, and that the
// approver had not ended when they signed. Forbidden says what is not proven; any other
// kind is a failure to find out. Whether the person may still sign in is not asked. It makes
// two queries, and remembers no more than which signatures fit which keys, so that a changed
// row is noticed at once.
func (s *Service) Verify(ctx context.Context, a Assertion, p Purpose, hash string) (Approver, error) {
	if a.Purpose != p || a.Hash != hash || !validHash(hash) {
		return Approver{}, unproven("This was signed for something else than this.")
	}
	b, err := s.open(ctx)
	if err != nil {
		return Approver{}, fmt.Errorf("verify an approval: %w", err)
	}
	e, ok := b.byID[a.Approver]
	if !ok {
		return Approver{}, unproven("Whoever signed this is no approver.")
	}
	s.prove(b, e)
	if !e.stood(a.At) {
		return Approver{}, e.unproven(a.At)
	}
	if err := s.proves(b.roots, e.Approver, a, p, hash); err != nil {
		return Approver{}, err
	}
	return e.Approver, nil
}

func unproven(format string, args ...any) *ward.Error {
	return ward.Errorf(ward.Forbidden, format, args...)
}

// proves returns nil if the approver's passkey made the assertion for the purpose and the
// hash, at the time that it says.
func (s *Service) proves(roots Trusted, by Approver, a Assertion, p Purpose, hash string) error {
	switch {
	case a.Approver != by.ID || a.Purpose != p || a.Hash != hash:
		return unproven("This was signed by somebody else or for something else.")
	case len(a.ClientData)+len(a.AuthenticatorData)+len(a.Signature)+len(a.Nonce) > maxInput:
		return unproven("This signature is too large to be one.")
	}
	made, ok := nonceMade(roots.Key, by.ID, p, hash, a.Nonce)
	if !ok {
		return unproven("Ward never asked %s to sign this.", by.Name)
	}
	if a.At.Before(made) || a.At.After(made.Add(nonceLife)) {
		return unproven("The time of this signature was altered.")
	}
	return s.signed(by.Key, a)
}

// signed verifies the signature itself, unless the same bytes were verified before.
func (s *Service) signed(k Key, a Assertion) error {
	var counter [4]byte
	binary.BigEndian.PutUint32(counter[:], k.Counter)
	id := sha256.Sum256(joined("proof", []byte(a.Purpose), []byte(a.Hash), a.Nonce, k.Public, counter[:], a.ClientData, a.AuthenticatorData, a.Signature))
	if s.proven.has(id) {
		return nil
	}
	var d protocol.ParsedCredentialAssertionData
	if err := json.Unmarshal(a.ClientData, &d.Response.CollectedClientData); err != nil {
		return unproven("The passkey's answer can't be read.").Because(err)
	}
	if err := d.Response.AuthenticatorData.Unmarshal(a.AuthenticatorData); err != nil {
		return unproven("The passkey's answer can't be read.").Because(err)
	}
	d.Response.Signature = a.Signature
	d.Raw.AssertionResponse.ClientDataJSON, d.Raw.AssertionResponse.AuthenticatorData = a.ClientData, a.AuthenticatorData
	challenge := base64.RawURLEncoding.EncodeToString(Challenge(a.Purpose, a.Hash, a.Nonce))
	err := d.Verify(challenge, s.RPID, "", []string{s.Origin}, nil, nil, protocol.TopOriginExplicitVerificationMode, false, true, true, k.Public, protocol.SignaturePolicy{})
	if err != nil {
		return unproven("The passkey's signature is not right for this.").Because(explained(err))
	}
	// An authenticator that counts counts on; a copy of its key does not know how far.
	// Source: https://www.w3.org/TR/webauthn-3/#sctn-sign-counter
	if k.Counter > 0 && d.Response.AuthenticatorData.Counter <= k.Counter {
		return unproven("This passkey's counter went back: it may have been copied. End this approver and register anew.")
	}
	s.proven.add(id)
	return nil
}

// explained adds what the library keeps for developers to its error, for the log.
func explained(err error) error {
	if e, ok := err.(*protocol.Error); ok { //nolint:errorlint // what the library returns, not what it wraps
		return fmt.Errorf("%w: %s", e, e.DevInfo)
	}
	return err
}

// proven remembers signatures that were verified: of a key, an answer and what was asked.
// It is a pure function's memory, so nothing in it can become untrue.
type proven struct {
	mu   sync.Mutex
	seen map[[sha256.Size]byte]struct{}
}

// maxProven bounds the memory; past it everything is forgotten.
const maxProven = 1 << 14

func newProven() *proven { return &proven{seen: map[[sha256.Size]byte]struct{}{}} }

func (p *proven) has(id [sha256.Size]byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.seen[id]
	return ok
}

func (p *proven) add(id [sha256.Size]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.seen) >= maxProven {
		clear(p.seen)
	}
	p.seen[id] = struct{}{}
}

// stood reports whether the approver may approve at t.
func (e *entry) stood(t time.Time) bool {
	return !e.from.IsZero() && !t.Before(e.from) && (e.end.IsZero() || t.Before(e.end))
}

// unproven says why the approver did not stand at t.
func (e *entry) unproven(t time.Time) error {
	switch {
	case !e.sound:
		return unproven("The record of the approver %s was altered.", e.Name)
	case !e.end.IsZero() && !t.Before(e.end):
		return unproven("%s was no approver any more: they ended at %s.", e.Name, e.end.Format(time.RFC3339))
	case e.from.IsZero():
		return unproven("%s is no approver: nothing leads from them to the first approvers.", e.Name)
	}
	return unproven("%s was no approver yet.", e.Name)
}
