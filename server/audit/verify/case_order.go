package verify

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

// CaseApproval is a yes to an order. That a key is the person's own is the word of the
// server: the file does not hold how approvers were enrolled.
type CaseApproval struct {
	Order string
	Name  string // of the person, as the file says; empty of the sealed key
	Glass bool   // by the sealed key
	// Holds is true if the server says that it proved the approval when it made the file, and
	// the file holds the signature, which is over this order.
	Holds    bool
	Unproven string // why it does not hold; "" where it does
}

// caseOrder is an order, as far as it is checked.
type caseOrder struct {
	ID        string         `json:"id"`
	Hash      string         `json:"hash"`
	Statement []byte         `json:"statement"`
	Approvals []caseApproval `json:"approvals"`
}

type caseApproval struct {
	Name      string         `json:"name"`
	Hash      string         `json:"hash"`
	Glass     bool           `json:"glass"`
	Proven    bool           `json:"proven"`
	Unproven  string         `json:"unproven"`
	PublicKey []byte         `json:"public_key"`
	Assertion *caseAssertion `json:"assertion"`
}

type caseAssertion struct {
	Purpose           string `json:"purpose"`
	Nonce             []byte `json:"nonce"`
	ClientData        []byte `json:"client_data"`
	AuthenticatorData []byte `json:"authenticator_data"`
	Signature         []byte `json:"signature"`
}

// order checks that the statement is what the hash is of, and each approval.
func (r *caseRun) order(o caseOrder) error {
	if o.Statement != nil {
		sum := sha256.Sum256(o.Statement)
		if hex.EncodeToString(sum[:]) != o.Hash {
			return problem(-1, "order %s: its statement is not what was approved", o.ID)
		}
	}
	for _, a := range o.Approvals {
		name, who := a.Name, a.Name
		if a.Glass {
			name, who = "", "the sealed key"
		}
		why, err := a.unproven(o, who)
		if err != nil {
			return err
		}
		r.report.Approvals = append(r.report.Approvals, CaseApproval{Order: o.ID, Name: name, Glass: a.Glass, Holds: why == "", Unproven: why})
	}
	return nil
}

// unproven says why the approval is not proven, "" if it is. A server that calls proven
// what its own file disproves is not to be trusted: that is an error.
func (a caseApproval) unproven(o caseOrder, who string) (string, error) {
	switch {
	case !a.Proven && a.Unproven != "":
		return "the server did not find it proven: " + a.Unproven, nil
	case !a.Proven:
		return "the server does not say that it found it proven", nil
	case a.Hash != o.Hash:
		return "", problem(-1, "order %s: what %s approved is another order", o.ID, who)
	case a.Assertion == nil || len(a.PublicKey) == 0:
		return "the file holds no signature", nil
	}
	if why := a.doubt(); why != "" {
		return "", problem(-1, "order %s: the signature by %s does not hold: %s", o.ID, who, why)
	}
	return "", nil
}

// doubt says why the signature is no yes to the hash; "" if it is.
func (a caseApproval) doubt() string {
	if !a.Glass {
		return a.passkey()
	}
	if len(a.PublicKey) != ed25519.PublicKeySize || !ed25519.Verify(a.PublicKey, joined("ward break glass v1", []byte(a.Hash)), a.Assertion.Signature) {
		return "it is not by that key"
	}
	return ""
}

// The flags of authenticator data: a person was there, and proved who they are.
// Source: https://www.w3.org/TR/webauthn-3/#sctn-authenticator-data
const (
	userPresent  = 1 << 0
	userVerified = 1 << 2
	flagsAt      = sha256.Size // behind the hash of the relying party's id
)

// passkey says why the assertion is no yes to the hash; "" if it is.
// Source: https://www.w3.org/TR/webauthn-3/#sctn-verifying-assertion
func (a caseApproval) passkey() string {
	x := a.Assertion
	var client struct {
		Type      string `json:"type"`
		Challenge string `json:"challenge"`
	}
	if err := json.Unmarshal(x.ClientData, &client); err != nil {
		return "what the browser collected is malformed"
	}
	challenge, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(client.Challenge, "="))
	sum := sha256.Sum256(joined("ward approver challenge v1", []byte(x.Purpose), []byte(a.Hash), x.Nonce))
	const present = userPresent | userVerified
	switch {
	case client.Type != "webauthn.get" || x.Purpose != "order" || len(x.Nonce) == 0:
		return "it is of another kind"
	case err != nil || string(challenge) != string(sum[:]):
		return "it was given for something else"
	case len(x.AuthenticatorData) <= flagsAt || x.AuthenticatorData[flagsAt]&present != present:
		return "nobody proved to be there"
	}
	key, err := webauthncose.ParsePublicKey(a.PublicKey)
	if err != nil {
		return "its key is malformed"
	}
	client256 := sha256.Sum256(x.ClientData)
	signed := append(append([]byte{}, x.AuthenticatorData...), client256[:]...)
	if ok, err := webauthncose.VerifySignature(key, signed, x.Signature); err != nil || !ok {
		return "it is not by that key"
	}
	return ""
}

// joined puts texts together, each with its length before it, so that no two lists of
// texts are one.
func joined(domain string, parts ...[]byte) []byte {
	out := binary.BigEndian.AppendUint64(nil, uint64(len(domain)))
	out = append(out, domain...)
	for _, p := range parts {
		out = binary.BigEndian.AppendUint64(out, uint64(len(p)))
		out = append(out, p...)
	}
	return out
}
