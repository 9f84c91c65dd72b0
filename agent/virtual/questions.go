package virtual

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/wardmdm/ward/agent"
)

// logLimit bounds the log of a phone; older entries are forgotten.
const logLimit = 1000

// Entry is a command that the phone received, with what it answered.
type Entry struct {
	At          time.Time
	UUID        string
	RequestType string
	Answer      agent.Response
}

// Why an app does not launch. CanLaunch wraps one of them.
var (
	ErrErased       = errors.New("the phone is erased")
	ErrLost         = errors.New("the phone is in lost mode")
	ErrLocked       = errors.New("the phone is locked")
	ErrNotInstalled = errors.New("the app is not installed")
	ErrBlocked      = errors.New("it is blocked by management")
)

// CanLaunch returns nil if a tap on the app would open it, and otherwise why not. Lists
// of restrictions and of app.settings declarations count, each from its version on:
// iOS 27 deprecates the lists of the restrictions, and still obeys them. The identifier
// com.apple.webapp stands for every web clip.
// Source: Apple, Restrictions, blockedAppBundleIDs; AppSettings declaration.
func (b *body) CanLaunch(bundleID string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.canLaunch(bundleID)
}

func (b *body) canLaunch(bundleID string) error {
	switch {
	case b.erased:
		return ErrErased
	case b.deactivated:
		return ErrDeactivated
	case b.lost != nil:
		return ErrLost
	case b.locked && (b.passcode.set || b.pin != ""):
		return ErrLocked
	case bundleID == bundleWebClip: // stands for every web clip
	case b.apps[bundleID] == nil && !b.system(bundleID):
		return fmt.Errorf("%s: %w", bundleID, ErrNotInstalled)
	}
	return b.blocked(bundleID)
}

// Profiles returns the identifiers of the installed profiles in order, without the
// management profile.
func (b *body) Profiles() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.profiles))
}

// AppInstalled reports whether the app is on the phone, and whether it is managed.
func (b *body) AppInstalled(bundleID string) (installed, managed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.apps[bundleID]
	return a != nil, a != nil && a.managed
}

// ManagedConfig returns the configuration of a managed app. ok is false without one.
// The map must not be changed.
func (b *body) ManagedConfig(bundleID string) (config map[string]any, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.apps[bundleID]
	if a == nil || a.config == nil {
		return nil, false
	}
	return a.config, true
}

// InLostMode returns what the lost phone shows; false if it is not in lost mode.
func (b *body) InLostMode() (LostMode, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost == nil {
		return LostMode{}, false
	}
	return *b.lost, true
}

// Locked reports whether the lock screen is up. Without a passcode anyone can pass it.
func (b *body) Locked() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.locked
}

// Unlock is the user opening the lock screen, with the passcode if there is one. It does not
// open a Mac that is locked by a PIN: UnlockPIN does.
func (b *body) Unlock() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.locked = b.pin != ""
	b.touchLocked()
}

// Erased reports whether the phone was erased and not set up since.
func (b *body) Erased() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.erased
}

// Log returns the last thousand commands in the order of their arrival. It outlives
// management, and a reset phone begins a new one.
func (b *body) Log() []Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.log)
}
