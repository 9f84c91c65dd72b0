package virtual

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/wardmdm/ward"
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
	ErrBlocked      = errors.New("the app is blocked by a restriction")
)

// CanLaunch returns nil if a tap on the app would open it, and otherwise why not.
func (p *Phone) CanLaunch(bundleID string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.canLaunch(bundleID)
}

func (p *Phone) canLaunch(bundleID string) error {
	switch {
	case p.erased:
		return ErrErased
	case p.lost != nil:
		return ErrLost
	case p.locked && p.passcode:
		return ErrLocked
	case p.apps[bundleID] == nil:
		return fmt.Errorf("%s: %w", bundleID, ErrNotInstalled)
	}
	for _, key := range []string{"blockedAppBundleIDs", "blacklistedAppBundleIDs"} {
		if slices.Contains(p.listed(key), bundleID) {
			return fmt.Errorf("%s: %w: %s", bundleID, ErrBlocked, key)
		}
	}
	for _, key := range []string{"allowListedAppBundleIDs", "whitelistedAppBundleIDs"} {
		if v, ok := p.restriction(key); ok && !slices.Contains(v.([]string), bundleID) && !alwaysAllowed(bundleID) {
			return fmt.Errorf("%s: %w: not in %s", bundleID, ErrBlocked, key)
		}
	}
	return nil
}

// alwaysAllowed names the apps that no list hides: Settings and Phone.
func alwaysAllowed(bundleID string) bool {
	return bundleID == "com.apple.Preferences" || bundleID == "com.apple.mobilephone"
}

func (p *Phone) listed(key string) []string {
	v, _ := p.restriction(key)
	s, _ := v.([]string)
	return s
}

// Restriction returns what is in force under a key of com.apple.applicationaccess, by
// all profiles together: a bool, a []string or an int64. ok is false if nothing on the
// phone sets the key, or if this phone ignores it.
func (p *Phone) Restriction(key string) (value any, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.restriction(key)
}

// ProfileInstalled reports whether a profile with this identifier is on the phone, the
// management profile included.
func (p *Phone) ProfileInstalled(identifier string) bool {
	if e, err := p.client.Enrolment(); err == nil && e.Profile.Identifier == identifier {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.profiles[identifier] != nil
}

// Profiles returns the identifiers of the installed profiles in order, without the
// management profile.
func (p *Phone) Profiles() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.profiles))
}

// AppInstalled reports whether the app is on the phone, and whether it is managed.
func (p *Phone) AppInstalled(bundleID string) (installed, managed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.apps[bundleID]
	return a != nil, a != nil && a.managed
}

// ManagedConfig returns the configuration of a managed app. ok is false without one.
// The map must not be changed.
func (p *Phone) ManagedConfig(bundleID string) (config map[string]any, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.apps[bundleID]
	if a == nil || a.config == nil {
		return nil, false
	}
	return a.config, true
}

// InLostMode returns what the lost phone shows; false if it is not in lost mode.
func (p *Phone) InLostMode() (LostMode, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lost == nil {
		return LostMode{}, false
	}
	return *p.lost, true
}

// Locked reports whether the lock screen is up. Without a passcode anyone can pass it.
func (p *Phone) Locked() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.locked
}

// PasscodeSet reports whether the phone has a passcode.
func (p *Phone) PasscodeSet() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.passcode
}

// Unlock is the user opening the lock screen, with the passcode if there is one.
func (p *Phone) Unlock() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.locked = false
	p.touchLocked()
}

// Erased reports whether the phone was erased and not set up since.
func (p *Phone) Erased() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.erased
}

// Enrolled reports whether a management profile is on the phone.
func (p *Phone) Enrolled() bool {
	_, err := p.client.Enrolment()
	return err == nil
}

// AccessRights returns the rights of the server over the phone, 0 if not enrolled.
func (p *Phone) AccessRights() ward.AccessRights {
	e, err := p.client.Enrolment()
	if err != nil {
		return 0
	}
	return e.MDM.AccessRights
}

// Log returns the last thousand commands in the order of their arrival. It outlives
// management, and a reset phone begins a new one.
func (p *Phone) Log() []Entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.log)
}

// SetNotNow makes the phone answer NotNow to the types for which f is true, except those
// to which iOS never does. A nil f ends it. As on iOS, a phone whose last answer was
// NotNow comes back by itself once it can; it must be running for that.
func (p *Phone) SetNotNow(f func(requestType string) bool) {
	p.mu.Lock()
	p.notNow = f
	waiting := len(p.log) > 0 && p.log[len(p.log)-1].Answer.Status == agent.NotNow
	p.mu.Unlock()
	if waiting {
		p.client.Wake()
	}
}

// MayShare reports whether a document may pass from one app to another by the open-in
// rules: nil if it may. Both apps must be installed.
// Source: Apple, Restrictions, allowOpenFromManagedToUnmanaged and its counterpart.
func (p *Phone) MayShare(from, to string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, b := p.apps[from], p.apps[to]
	if a == nil || b == nil {
		return ErrNotInstalled
	}
	key := ""
	switch {
	case a.managed && !b.managed:
		key = "allowOpenFromManagedToUnmanaged"
	case !a.managed && b.managed:
		key = "allowOpenFromUnmanagedToManaged"
	}
	if v, ok := p.restriction(key); ok && v == false {
		return fmt.Errorf("%w: %s", ErrBlocked, key)
	}
	return nil
}

// MayPaste is MayShare for the pasteboard, which follows the open-in rules only where
// requireManagedPasteboard says so.
func (p *Phone) MayPaste(from, to string) error {
	if v, ok := p.Restriction("requireManagedPasteboard"); !ok || v != true {
		return nil
	}
	return p.MayShare(from, to)
}
