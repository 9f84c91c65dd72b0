package approver

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/wardmdm/ward"
)

// forRegistration is the purpose of the one question that is not kept: is this your passkey?
const forRegistration Purpose = "register"

// Invite makes a one-time link by which a person may register a passkey, to become an
// approver or to come back after the loss of theirs, and returns its secret, which is shown
// this once. An earlier one of the person stops working; it is good for 7 days. The subject
// says who the human being is, outside that they are not of the organisation's own staff.
// Conflict means that somebody stands or waits as an approver who is the same human being, by
// another account. The caller checks that who acts may invite, and that the person exists.
func (s *Service) Invite(ctx context.Context, p ward.PersonID, subject string, outside bool) (secret string, err error) {
	folded := Subject(subject)
	if p == "" || folded == "" || len(folded) > maxText || !printable(folded) {
		return "", ward.Errorf(ward.Invalid, "Say who is to be an approver: their account, and their staff number or e-mail address.")
	}
	secret = strings.ToLower(rand.Text())
	now := s.now()
	i := Invite{
		Hash: secretHash(secret), Person: p, Subject: folded, Outside: outside,
		By: whoActs(ward.ActorFrom(ctx)), Created: now, Expires: now.Add(inviteLife),
	}
	err = s.Store.Do(ctx, func(ctx context.Context) error {
		b, err := s.open(ctx)
		if err != nil {
			return err
		}
		if err := s.alone(ctx, b, p, folded, true); err != nil {
			return err
		}
		if err := s.Store.AddInvite(ctx, i); err != nil {
			return fmt.Errorf("invite %s: %w", p, err)
		}
		return s.Audit.Record(ctx, ActionInvited, string(p), map[string]string{
			"subject": folded, "outside": fmt.Sprint(outside), "expires": i.Expires.Format(time.RFC3339),
		})
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

func secretHash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// errInvite is the one answer to every invitation that does not work.
func errInvite() error {
	return ward.Errorf(ward.Forbidden, "This invitation was used already, has expired, is not whole or is for somebody else. Ask for a new one.")
}

// usable returns nil if the invite is the person's and has not expired.
func (i Invite) usable(p ward.PersonID, now time.Time) error {
	if i.Person != p || !now.Before(i.Expires) {
		return errInvite()
	}
	return nil
}

// BeginRegister returns what navigator.credentials.create is given, as JSON, for the person
// in ctx, whom the invitation must be for. It may be called again until FinishRegister took
// the invitation. Forbidden means that the invitation is of no use to this person.
func (s *Service) BeginRegister(ctx context.Context, secret string) (options []byte, err error) {
	who, err := person(ctx)
	if err != nil {
		return nil, err
	}
	var challenge []byte
	var own []Approver
	err = s.Store.Do(ctx, func(ctx context.Context) error {
		i, err := s.Store.Invite(ctx, secretHash(secret))
		if ward.KindOf(err) == ward.NotFound {
			return errInvite()
		}
		if err != nil {
			return err
		}
		if err := i.usable(who.Person, s.now()); err != nil {
			return err
		}
		nonce := make([]byte, keySize)
		if _, err := rand.Read(nonce); err != nil {
			return fmt.Errorf("nonce: %w", err)
		}
		if challenge, err = s.ask(ctx, who.Person, forRegistration, i.Hash, nonce, s.now()); err != nil {
			return err
		}
		own, err = s.Store.Approvers(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(protocol.CredentialCreation{Response: s.creation(who, challenge, own)})
}

// creation is what the browser is asked to make. The user handle is made anew each time, so
// that a passkey never takes the place of one that is still needed.
func (s *Service) creation(who ward.Actor, challenge []byte, all []Approver) protocol.PublicKeyCredentialCreationOptions {
	handle := sha256.Sum256(joined("ward approver handle", []byte(who.Person), challenge))
	o := protocol.PublicKeyCredentialCreationOptions{
		RelyingParty: protocol.RelyingPartyEntity{CredentialEntity: protocol.CredentialEntity{Name: s.Organisation}, ID: s.RPID},
		User: protocol.UserEntity{
			CredentialEntity: protocol.CredentialEntity{Name: who.Name}, DisplayName: who.Name, ID: protocol.URLEncodedBase64(handle[:]),
		},
		Challenge: challenge, Parameters: algorithms(), Timeout: int(nonceLife / time.Millisecond),
		AuthenticatorSelection: protocol.AuthenticatorSelection{ResidentKey: protocol.ResidentKeyRequirementPreferred, UserVerification: protocol.VerificationRequired},
		Attestation:            protocol.PreferNoAttestation,
	}
	for _, a := range all {
		if a.Person == who.Person && a.Ended.IsZero() {
			o.CredentialExcludeList = append(o.CredentialExcludeList, protocol.CredentialDescriptor{Type: protocol.PublicKeyCredentialType, CredentialID: a.Key.ID})
		}
	}
	return o
}

// ask keeps an open question and returns what the passkey is to sign.
func (s *Service) ask(ctx context.Context, p ward.PersonID, purpose Purpose, hash string, nonce []byte, now time.Time) ([]byte, error) {
	challenge := Challenge(purpose, hash, nonce)
	if err := s.Store.PurgeNonces(ctx, now); err != nil {
		return nil, err
	}
	return challenge, s.Store.AddNonce(ctx, Nonce{
		Hash: hex.EncodeToString(challenge), Nonce: nonce, Person: p, Purpose: purpose, Of: hash, Expires: now.Add(nonceLife),
	})
}

// take takes the question that an answer is about, which must be this one to this person.
func (s *Service) take(ctx context.Context, p ward.PersonID, purpose Purpose, hash string, challenge string) (Nonce, error) {
	stale := ward.Errorf(ward.Forbidden, "This question to your passkey is not open any more: it was answered already, is older than %d minutes, or was about something else. Begin again.", int(nonceLife/time.Minute))
	raw, err := base64.RawURLEncoding.DecodeString(challenge)
	if err != nil || len(raw) != sha256.Size {
		return Nonce{}, stale
	}
	n, err := s.Store.TakeNonce(ctx, hex.EncodeToString(raw))
	if ward.KindOf(err) == ward.NotFound {
		return Nonce{}, stale
	}
	if err != nil {
		return Nonce{}, err
	}
	if n.Person != p || n.Purpose != purpose || n.Of != hash || !s.now().Before(n.Expires) {
		return Nonce{}, stale
	}
	return n, nil
}

// unreadable is the answer to what is no answer of a passkey.
func unreadable(err error) error {
	return ward.Errorf(ward.Invalid, "The passkey's answer can't be read. Try again, or with another browser.").Because(err)
}

// FinishRegister takes the answer of navigator.credentials.create, as JSON, and keeps the
// person in ctx as an approver who does not stand yet: the operator trusts the first two,
// and two approvers vouch for each later one. What the person had pending before is ended.
// Invalid means that the answer is not one, Forbidden that it is not right or comes too late,
// Conflict that the passkey is known already.
func (s *Service) FinishRegister(ctx context.Context, secret string, response []byte) (Approver, error) {
	who, err := person(ctx)
	if err != nil {
		return Approver{}, err
	}
	if len(response) > maxInput {
		return Approver{}, unreadable(nil)
	}
	d, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return Approver{}, unreadable(err)
	}
	hash := secretHash(secret)
	if err := s.Store.Do(ctx, func(ctx context.Context) error {
		_, err := s.take(ctx, who.Person, forRegistration, hash, d.Response.CollectedClientData.Challenge)
		return err
	}); err != nil {
		return Approver{}, err
	}
	key, err := s.created(d)
	if err != nil {
		return Approver{}, err
	}
	a := Approver{ID: "apr-" + strings.ToLower(rand.Text()), Person: who.Person, Name: who.Name, Key: key, At: s.now()}
	if err := s.Store.Do(ctx, func(ctx context.Context) error { return s.register(ctx, hash, &a) }); err != nil {
		return Approver{}, err
	}
	return a, nil
}

// created verifies a new passkey and returns its public half. The challenge is the one that
// its question was found by.
// Source: https://www.w3.org/TR/webauthn-3/#sctn-registering-a-new-credential
func (s *Service) created(d *protocol.ParsedCredentialCreationData) (Key, error) {
	_, err := d.Verify(d.Response.CollectedClientData.Challenge, s.RPID, []string{s.Origin}, nil, nil, protocol.TopOriginExplicitVerificationMode,
		false, true, true, nil, algorithms(), protocol.AttestationPolicy{}, protocol.SignaturePolicy{})
	if err != nil {
		return Key{}, ward.Errorf(ward.Forbidden, "This passkey can't be registered: it must ask for a fingerprint, a face or a PIN, and be made at %s.", s.Origin).Because(explained(err))
	}
	data := d.Response.AttestationObject.AuthData
	public, err := canonicalKey(data.AttData.CredentialPublicKey)
	if err != nil {
		return Key{}, ward.Errorf(ward.Forbidden, "This passkey can't be registered: it signs in a way that Ward does not take.").Because(err)
	}
	return Key{ID: data.AttData.CredentialID, Public: public, Counter: data.Counter}, nil
}

// register keeps a new approver, within a unit of work.
func (s *Service) register(ctx context.Context, invite string, a *Approver) error {
	if err := s.Store.HoldApprovers(ctx); err != nil {
		return err
	}
	i, err := s.Store.TakeInvite(ctx, invite)
	if ward.KindOf(err) == ward.NotFound {
		return errInvite()
	}
	if err != nil {
		return err
	}
	if err := i.usable(a.Person, a.At); err != nil {
		return err
	}
	a.Subject, a.Outside = i.Subject, i.Outside
	a.Hash = statementHash(*a)
	if !sound(*a) {
		return ward.Errorf(ward.Invalid, "An approver needs a name and a subject that can be read.")
	}
	b, err := s.open(ctx)
	if err != nil {
		return err
	}
	s.proveAll(b)
	if err := s.alone(ctx, b, a.Person, a.Subject, false); err != nil { // another may have registered since the invitation
		return err
	}
	for _, e := range b.sorted {
		if e.Person == a.Person && e.end.IsZero() && e.from.IsZero() {
			if err := s.end(ctx, e.Approver, a.At, string(a.Person), "registered anew as "+a.ID); err != nil {
				return err
			}
		}
	}
	if err := s.Store.AddApprover(ctx, *a); err != nil {
		return fmt.Errorf("register approver %s: %w", a.Person, err)
	}
	return s.Audit.Record(ctx, ActionRegistered, a.ID, map[string]string{
		"person": string(a.Person), "name": a.Name, "subject": a.Subject, "outside": fmt.Sprint(a.Outside), "statement": a.Hash, "invited_by": i.By,
	})
}
