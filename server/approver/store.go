package approver

import (
	"context"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/unit"
)

// Store keeps approvers. Methods join the unit of work in ctx; what is missing is a
// *ward.Error of kind NotFound. What it tells is believed only as far as it can be proven.
type Store interface {
	unit.Unit
	// HoldApprovers keeps everyone else from changing approvers until the unit of work ends.
	HoldApprovers(ctx context.Context) error
	// AddApprover keeps a, with its vouches; Conflict when its passkey is known already.
	AddApprover(ctx context.Context, a Approver) error
	// Approver returns one approver with the vouches for it.
	Approver(ctx context.Context, id string) (Approver, error)
	// Approvers returns all of them, also those that ended or wait for vouches, in order of
	// their registration.
	Approvers(ctx context.Context) ([]Approver, error)
	// AddVouch keeps a vouch for an approver; Conflict when the same has vouched already.
	AddVouch(ctx context.Context, approver string, a Assertion) error
	// EndApprover notes when and by whom an approver was ended; one that has ended stays as
	// it is.
	EndApprover(ctx context.Context, id string, at time.Time, by string) error
	AddNonce(ctx context.Context, n Nonce) error
	// TakeNonce deletes the nonce of the hash and returns it: of several callers, one gets
	// it and the others NotFound.
	TakeNonce(ctx context.Context, hash string) (Nonce, error)
	// PurgeNonces deletes the nonces that expired before the time given.
	PurgeNonces(ctx context.Context, before time.Time) error
	// AddInvite keeps an invite and deletes the person's others, and all that have expired at
	// its making.
	AddInvite(ctx context.Context, i Invite) error
	// Invite returns an invite by the hash of its secret.
	Invite(ctx context.Context, hash string) (Invite, error)
	// TakeInvite deletes the invite and returns it: of several callers, one gets it and the
	// others NotFound.
	TakeInvite(ctx context.Context, hash string) (Invite, error)
}

// Nonce is an open question to one person's passkey. It is found by the hash that the
// passkey is asked to sign, and good once.
type Nonce struct {
	Hash    string // hexadecimal, of purpose, hash and nonce: see Challenge
	Nonce   []byte
	Person  ward.PersonID
	Purpose Purpose
	Of      string // the hash that the question is about
	Expires time.Time
}

// Invite is a one-time link by which one person registers a passkey; only the hash of its
// secret is kept.
type Invite struct {
	Hash    string
	Person  ward.PersonID
	Subject string
	Outside bool
	By      string // who invited, for people
	Created time.Time
	Expires time.Time
}

// Recorder keeps the audit log, within the unit of work in ctx.
type Recorder interface {
	Record(ctx context.Context, action, subject string, detail map[string]string) error
}

// The actions that stand in the audit log. Their subject is the approver's id, of an
// invitation the person's, and of the sealed key the beginning of its public half.
const (
	ActionInvited    = "approver.invited"
	ActionRegistered = "approver.registered"
	ActionVouched    = "approver.vouched"
	ActionTrusted    = "approver.trusted"
	ActionEnded      = "approver.ended"
	ActionGlassMade  = "glass.made"
)
