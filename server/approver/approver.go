// Package approver knows who may say yes to a destructive order, and proves each yes: an
// approver signs with a passkey of their own, their enrolment is signed by two approvers
// before them, and the first two stand in a file that no row of the database can change. It
// knows no orders: what is signed is a purpose and a hash.
package approver

import (
	"time"

	"github.com/wardmdm/ward"
)

// Approver is a person who may approve. It is immutable but for its end.
type Approver struct {
	ID      string        // "apr-…"
	Person  ward.PersonID // the account that they sign in by
	Subject string        // who the human being is: a staff number or an e-mail address, folded by Subject
	Name    string        // as it was when they enrolled
	Outside bool          // not one of the organisation's own staff
	Key     Key
	At      time.Time // when the passkey was registered

	Hash    string      // of the statement, see Statement
	Vouches []Assertion // by two approvers; none of a founder
	Founder bool        // its hash stands in the root file
	Ended   time.Time   // zero while they may approve
	EndedBy string
}

// Key is a passkey's public half.
type Key struct {
	ID      []byte // the credential's
	Public  []byte // COSE_Key
	Counter uint32 // at registration; 0 where the authenticator does not count
}

// Purpose says what a signature is for, so that a yes to one thing is never a yes to
// another that has the same hash.
type Purpose string

// The purposes.
const (
	ForOrder    Purpose = "order"    // yes to an order
	ForApprover Purpose = "approver" // I vouch for this approver
)

// Assertion is a WebAuthn assertion over a purpose and a hash, with all that is needed to
// verify it again at any later time.
// Source: https://www.w3.org/TR/webauthn-3/#sctn-verifying-assertion
type Assertion struct {
	Approver          string // the approver's id
	Purpose           Purpose
	Hash              string // lower-case hexadecimal SHA-256 of what is signed
	Nonce             []byte // made by the server, good once and for minutes
	ClientData        []byte // clientDataJSON
	AuthenticatorData []byte
	Signature         []byte
	At                time.Time // when the server took it
}
