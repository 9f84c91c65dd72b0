package intent

import (
	"slices"
	"time"
)

// Sign names what a lost device may tell of itself that says that somebody else holds it.
type Sign = string

// The signs. They are stable: policies name them.
const (
	SIMChanged  Sign = "sim_changed"  // another SIM card or plan than when it was first asked in the case
	PasscodeOff Sign = "passcode_off" // it has no passcode
)

// Signs lists every sign.
func Signs() []Sign { return []Sign{SIMChanged, PasscodeOff} }

// Escalation says what becomes of a lost device's case by itself. Nothing of it destroys
// anything: an erase is proposed, and takes the approval of two people as any other.
type Escalation struct {
	// LocateEvery is how often a phone in lost mode is asked where it is, for LocateFor
	// after it went into lost mode. It is asked once at least.
	LocateEvery, LocateFor time.Duration
	// ProposeAfter is how long after the report an order to erase is proposed, if the device
	// was not found.
	ProposeAfter time.Duration
	// ProposeOn are the signs on which it is proposed at once; empty: on none.
	ProposeOn []Sign
}

// DefaultEscalation is what holds where no policy says anything else.
func DefaultEscalation() Escalation {
	return Escalation{LocateEvery: 15 * time.Minute, LocateFor: 4 * time.Hour, ProposeAfter: 24 * time.Hour, ProposeOn: Signs()}
}

// Proposes reports whether an erase is proposed on a sign.
func (e Escalation) Proposes(s Sign) bool { return slices.Contains(e.ProposeOn, s) }
