// Package approvertest gives tests and the demonstration what they need of approvers:
// passkeys in software, people who hold them, and a root of trust in memory. It proves
// nothing about who holds a passkey, so nothing that guards real devices may use it.
package approvertest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/descope/virtualwebauthn"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

// Passkey is a passkey in software, with one credential. Its fields may be changed to make
// it lie. It may not be used by several goroutines at once.
type Passkey struct {
	RPID       string // the relying party that it signs for
	Origin     string // where its browser says it is
	Absent     bool   // nobody touched it
	Unverified bool   // it did not recognise who touched it
	Counter    uint32 // said as it stands; 0 for an authenticator that does not count

	credential virtualwebauthn.Credential
}

// New returns a new passkey for a relying party, used at an origin such as
// https://ward.example.org.
func New(rpID, origin string) (*Passkey, error) {
	for range 100 {
		c := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
		// The library leaves out the zeros that a coordinate may begin with, which makes
		// one key in 128 none at all.
		if _, err := webauthncose.ParsePublicKey(c.Key.AttestationData()); err == nil {
			return &Passkey{RPID: rpID, Origin: origin, credential: c}, nil
		}
	}
	return nil, errors.New("passkey: no key could be made")
}

// ID returns the credential's id.
func (p *Passkey) ID() []byte { return slices.Clone(p.credential.ID) }

func (p *Passkey) authenticator() virtualwebauthn.Authenticator {
	a := virtualwebauthn.NewAuthenticatorWithOptions(virtualwebauthn.AuthenticatorOptions{UserNotPresent: p.Absent, UserNotVerified: p.Unverified})
	a.Aaguid = [16]byte{} // as browsers say it where no attestation is wanted
	return a
}

func (p *Passkey) party() virtualwebauthn.RelyingParty {
	return virtualwebauthn.RelyingParty{ID: p.RPID, Origin: p.Origin}
}

// Create answers what navigator.credentials.create is given: the JSON of Ward's options. It
// is an error where the options exclude this passkey.
func (p *Passkey) Create(options []byte) (response []byte, err error) {
	o, err := virtualwebauthn.ParseAttestationOptions(string(options))
	if err != nil {
		return nil, fmt.Errorf("create passkey: %w", err)
	}
	if p.credential.IsExcludedForAttestation(*o) {
		return nil, errors.New("create passkey: it is registered already")
	}
	c := p.credential
	c.Counter = p.Counter
	return []byte(virtualwebauthn.CreateAttestationResponse(p.party(), p.authenticator(), c, *o)), nil
}

// Sign answers what navigator.credentials.get is given: the JSON of Ward's options. It is
// an error where the options do not allow this passkey.
func (p *Passkey) Sign(options []byte) (response []byte, err error) {
	o, err := virtualwebauthn.ParseAssertionOptions(string(options))
	if err != nil {
		return nil, fmt.Errorf("sign by passkey: %w", err)
	}
	if !p.credential.IsAllowedForAssertion(*o) {
		return nil, fmt.Errorf("sign by passkey: %s is not asked for", base64.RawURLEncoding.EncodeToString(p.credential.ID))
	}
	return p.sign(*o), nil
}

// SignChallenge answers a challenge that no option asked this passkey for.
func (p *Passkey) SignChallenge(challenge []byte) (response []byte) {
	return p.sign(virtualwebauthn.AssertionOptions{Challenge: challenge, RelyingPartyID: p.RPID})
}

func (p *Passkey) sign(o virtualwebauthn.AssertionOptions) []byte {
	c := p.credential
	c.Counter = p.Counter
	return []byte(virtualwebauthn.CreateAssertionResponse(p.party(), p.authenticator(), c, o))
}
