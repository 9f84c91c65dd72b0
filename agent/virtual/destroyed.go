package virtual

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"github.com/wardmdm/ward/agent"
)

// Destruction is a destructive command that came to a device: one that destroys something
// on it, opens it or takes it out of somebody's hand.
type Destruction struct {
	UUID        string
	RequestType string
	At          time.Time // when it came first
	Received    int       // how often it came
	Obeyed      int       // how often the device did it
}

// ledger keeps the destructive commands of a device through all its lives: whoever erased
// it once has erased it once, also when it is enrolled afresh.
type ledger struct {
	mu  sync.Mutex
	all []Destruction
}

func (l *ledger) note(c agent.Command, at time.Time, obeyed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.all, func(d Destruction) bool { return d.UUID == c.UUID && d.RequestType == c.RequestType })
	if i < 0 {
		i = len(l.all)
		l.all = append(l.all, Destruction{UUID: c.UUID, RequestType: c.RequestType, At: at})
	}
	l.all[i].Received++
	if obeyed {
		l.all[i].Obeyed++
	}
}

// destructive reports whether a command destroys, opens or binds the device. Some of them a
// device of this kind does not know; that they came counts all the same.
// Source: Apple's schema, mdm/commands.
func (b *body) destructive(c agent.Command) bool {
	switch c.RequestType {
	case "EraseDevice", "ClearPasscode", "ClearRestrictionsPassword", "ClearActivationLockBypassCode", "SetFirmwarePassword", "SetRecoveryLock",
		"SetAutoAdminPassword", "RotateFileVaultKey", "DeleteUser", "UnlockUserAccount", "RequestUnlockToken":
		return true
	case "DeviceLock":
		return c.String("PIN") != ""
	case "RemoveProfile":
		e, err := b.link.enrolment()
		return err == nil && e.Profile.Identifier == c.String("Identifier")
	case "InstallProfile":
		payload, _ := c.Payload["Payload"].([]byte)
		return bytes.Contains(payload, []byte("maxFailedAttempts"))
	}
	return false
}

// Destructive returns the destructive commands that came to the device, in the order in
// which they came first, through all its lives: Reset and Return keep them.
func (b *body) Destructive() []Destruction {
	b.destroyed.mu.Lock()
	defer b.destroyed.mu.Unlock()
	return slices.Clone(b.destroyed.all)
}

// Erasures returns how often the device was erased, through all its lives.
func (b *body) Erasures() (n int) {
	for _, d := range b.Destructive() {
		if d.RequestType == "EraseDevice" {
			n += d.Obeyed
		}
	}
	return n
}

// Erasures returns how often phones of the fleet were erased.
func (f *Fleet) Erasures() (n int) {
	for _, p := range f.Phones() {
		n += p.Erasures()
	}
	return n
}
