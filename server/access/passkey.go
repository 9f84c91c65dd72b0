package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/wardmdm/ward"
)

// Passkey is a passkey for signing in. It approves no order: those of approvers are others.
type Passkey struct {
	ID      string // of the credential, base64url
	Person  ward.PersonID
	Name    string
	Public  []byte // as COSE has it
	Counter uint32
	Created time.Time
	Used    time.Time // zero if never
}

// Passkeys keeps them. Every method joins the unit of work in ctx.
type Passkeys interface {
	// AddPasskey keeps one; Conflict means that it is known already.
	AddPasskey(ctx context.Context, k Passkey) error
	// Passkey returns one by the id of the credential, or NotFound.
	Passkey(ctx context.Context, id string) (Passkey, error)
	// PasskeysOf returns those of a person, the oldest first.
	PasskeysOf(ctx context.Context, p ward.PersonID) ([]Passkey, error)
	// UsePasskey notes that one was used, with its counter.
	UsePasskey(ctx context.Context, id string, counter uint32, at time.Time) error
	// RemovePasskey forgets one of a person; NotFound if they have none of this id.
	RemovePasskey(ctx context.Context, p ward.PersonID, id string) error
	// RemovePasskeys forgets all of a person.
	RemovePasskeys(ctx context.Context, p ward.PersonID) error
}

const (
	passkeyWait = 5 * time.Minute
	maxPasskeys = 10
	maxAnswer   = 64 << 10
)

// handle is what a passkey knows its person by. Nothing can be told from it.
func handle(p ward.PersonID) []byte {
	h := sha256.Sum256([]byte("ward sign-in handle " + string(p)))
	return h[:]
}

// algorithms are the signatures that are taken.
func algorithms() []protocol.CredentialParameter {
	var out []protocol.CredentialParameter
	for _, a := range []webauthncose.COSEAlgorithmIdentifier{webauthncose.AlgES256, webauthncose.AlgEdDSA, webauthncose.AlgRS256} {
		out = append(out, protocol.CredentialParameter{Type: protocol.PublicKeyCredentialType, Algorithm: a})
	}
	return out
}

// Question is what a browser gives to a passkey. The challenge stays in the session, and is
// taken out of it before the answer is looked at, so that each is answered once.
type Question struct {
	Options   string // JSON
	Challenge string
	Asked     time.Time
}

func (s *SignIn) question(options any, challenge []byte) (Question, error) {
	b, err := json.Marshal(options)
	return Question{Options: string(b), Challenge: base64.RawURLEncoding.EncodeToString(challenge), Asked: s.now()}, err
}

func challenge() []byte {
	b := make([]byte, 32)
	rand.Read(b)
	return b
}

// AskNewPasskey returns the question by which a browser makes a passkey for the person in ctx.
func (s *SignIn) AskNewPasskey(ctx context.Context) (Question, error) {
	a, err := own(ctx)
	if err != nil {
		return Question{}, err
	}
	have, err := s.store.PasskeysOf(ctx, a.Person)
	if err != nil {
		return Question{}, err
	}
	if len(have) >= maxPasskeys {
		return Question{}, ward.Errorf(ward.Conflict, "You have %d passkeys, which is as many as one may have. Remove one first.", len(have))
	}
	c := challenge()
	resident := true
	o := protocol.PublicKeyCredentialCreationOptions{
		RelyingParty: protocol.RelyingPartyEntity{CredentialEntity: protocol.CredentialEntity{Name: s.Organisation}, ID: s.RPID},
		User:         protocol.UserEntity{CredentialEntity: protocol.CredentialEntity{Name: a.Name}, DisplayName: a.Name, ID: protocol.URLEncodedBase64(handle(a.Person))},
		Challenge:    c, Parameters: algorithms(), Timeout: int(passkeyWait / time.Millisecond),
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: &resident, UserVerification: protocol.VerificationRequired,
		},
		Attestation: protocol.PreferNoAttestation,
	}
	for _, k := range have {
		if id, err := base64.RawURLEncoding.DecodeString(k.ID); err == nil {
			o.CredentialExcludeList = append(o.CredentialExcludeList, protocol.CredentialDescriptor{Type: protocol.PublicKeyCredentialType, CredentialID: id})
		}
	}
	return s.question(protocol.CredentialCreation{Response: o}, c)
}

// AddPasskey takes the answer to AskNewPasskey and keeps the passkey of the person in ctx
// under a name of their choice.
func (s *SignIn) AddPasskey(ctx context.Context, q Question, name string, answer []byte) (Passkey, error) {
	a, err := own(ctx)
	if err != nil {
		return Passkey{}, err
	}
	if err := s.open(q); err != nil {
		return Passkey{}, err
	}
	if name = cleanName(name); name == "" {
		name = "Passkey"
	}
	if m := checkName(name); len(m) > 0 {
		return Passkey{}, &ward.Error{Kind: ward.Invalid, Message: "The passkey was not kept.", Details: m}
	}
	if len(answer) > maxAnswer {
		return Passkey{}, unreadable(nil)
	}
	d, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return Passkey{}, unreadable(err)
	}
	_, err = d.Verify(q.Challenge, s.RPID, []string{s.Origin}, nil, nil, protocol.TopOriginExplicitVerificationMode,
		false, true, true, nil, algorithms(), protocol.AttestationPolicy{}, protocol.SignaturePolicy{})
	if err != nil {
		return Passkey{}, ward.Errorf(ward.Forbidden, "This passkey can’t be used: it must ask for a fingerprint, a face or a PIN, and be made at %s.", s.Origin).Because(explained(err))
	}
	data := d.Response.AttestationObject.AuthData
	k := Passkey{
		ID: base64.RawURLEncoding.EncodeToString(data.AttData.CredentialID), Person: a.Person, Name: name,
		Public: data.AttData.CredentialPublicKey, Counter: data.Counter, Created: s.now(),
	}
	err = s.store.Do(ctx, func(ctx context.Context) error {
		if err := s.store.AddPasskey(ctx, k); err != nil {
			return err
		}
		return s.record(ctx, ActionPasskeyAdded, a.Person, map[string]string{"name": name})
	})
	if err != nil {
		return Passkey{}, err
	}
	return k, nil
}

// PasskeysOf returns the passkeys of the person in ctx.
func (s *SignIn) PasskeysOf(ctx context.Context) ([]Passkey, error) {
	a, err := own(ctx)
	if err != nil {
		return nil, err
	}
	return s.store.PasskeysOf(ctx, a.Person)
}

// RemovePasskey forgets a passkey of the person in ctx. Where a second factor is required, the
// last one stays.
func (s *SignIn) RemovePasskey(ctx context.Context, id string) error {
	a, err := own(ctx)
	if err != nil {
		return err
	}
	return s.store.Do(ctx, func(ctx context.Context) error {
		x, err := s.Account(ctx, a.Person)
		if err != nil {
			return err
		}
		if s.SecondFactor == FactorRequired && !x.App && x.Passkeys <= 1 {
			return ward.Errorf(ward.Conflict, "A second factor is required here, and this is your last. Set up another first.")
		}
		if err := s.store.RemovePasskey(ctx, a.Person, id); err != nil {
			return err
		}
		return s.record(ctx, ActionPasskeyEnded, a.Person, nil)
	})
}

// AskPasskey returns the question by which any passkey that was made here can answer: the
// browser lets the person choose.
func (s *SignIn) AskPasskey() (Question, error) {
	c := challenge()
	return s.question(protocol.CredentialAssertion{Response: protocol.PublicKeyCredentialRequestOptions{
		Challenge: c, Timeout: int(passkeyWait / time.Millisecond), RelyingPartyID: s.RPID, UserVerification: protocol.VerificationRequired,
	}}, c)
}

// open returns nil while a question may be answered.
func (s *SignIn) open(q Question) error {
	if now := s.now(); q.Challenge == "" || now.After(q.Asked.Add(passkeyWait)) || now.Before(q.Asked.Add(-time.Minute)) {
		return ward.Errorf(ward.Forbidden, "Your passkey took longer than %d minutes, or was asked already. Try again.", int(passkeyWait/time.Minute))
	}
	return nil
}

// errPasskey is the one answer to every passkey that does not let anybody in.
func errPasskey() *ward.Error {
	return ward.Errorf(ward.Unauthenticated, "This passkey does not sign you in here. A passkey that approves orders is another one: use the one that you set up for signing in.")
}

// Passkey takes the answer to AskPasskey and returns who it is.
func (s *SignIn) Passkey(ctx context.Context, q Question, answer []byte) (Person, error) {
	if err := s.open(q); err != nil {
		return Person{}, err
	}
	if len(answer) > maxAnswer {
		return Person{}, unreadable(nil)
	}
	d, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return Person{}, unreadable(err)
	}
	k, err := s.store.Passkey(ctx, base64.RawURLEncoding.EncodeToString(d.RawID))
	if ward.KindOf(err) == ward.NotFound {
		return Person{}, errPasskey()
	}
	if err != nil {
		return Person{}, err
	}
	if h := d.Response.UserHandle; len(h) > 0 && string(h) != string(handle(k.Person)) {
		return Person{}, errPasskey()
	}
	err = d.Verify(q.Challenge, s.RPID, "", []string{s.Origin}, nil, nil, protocol.TopOriginExplicitVerificationMode, false, true, true, k.Public, protocol.SignaturePolicy{})
	if err != nil {
		return Person{}, errPasskey().Because(explained(err))
	}
	return s.usePasskey(ctx, k, d.Response.AuthenticatorData.Counter)
}

func (s *SignIn) usePasskey(ctx context.Context, k Passkey, counter uint32) (p Person, err error) {
	// A copy of a key that counts does not know how far: https://www.w3.org/TR/webauthn-3/#sctn-sign-counter
	if k.Counter > 0 && counter <= k.Counter {
		return Person{}, ward.Errorf(ward.Forbidden, "This passkey’s counter went back: it may have been copied. Sign in another way and remove it.")
	}
	err = s.store.Do(ctx, func(ctx context.Context) error {
		if p, err = s.access.store.Person(ctx, k.Person); err != nil {
			return err
		}
		if !p.DisabledAt.IsZero() {
			return errPasskey()
		}
		a, err := s.Account(ctx, p.ID)
		if err != nil {
			return err
		}
		if !s.LocalAllowed(a) {
			return ward.Errorf(ward.Forbidden, "Sign in with your organisation’s account: passkeys are only for accounts that are kept for emergencies.")
		}
		return s.store.UsePasskey(ctx, k.ID, counter, s.now())
	})
	if err != nil {
		return Person{}, err
	}
	return p, nil
}

// unreadable is the answer to what is no answer of a passkey.
func unreadable(err error) error {
	return ward.Errorf(ward.Invalid, "The passkey’s answer can’t be read. Try again, or with another browser.").Because(err)
}

// explained adds what the library keeps for developers to its error, for the log.
func explained(err error) error {
	if e, ok := err.(*protocol.Error); ok { //nolint:errorlint // what the library returns, not what it wraps
		return fmt.Errorf("%w: %s", e, strings.TrimSpace(e.DevInfo))
	}
	return err
}
