package virtual

import (
	"context"
	"crypto/subtle"
	"errors"
	"time"

	"github.com/wardmdm/ward/agent"
)

// ErrPIN says that a PIN is not the one by which a Mac was locked.
var ErrPIN = errors.New("the PIN is not the one of the lock")

// ErrDeactivated says that a lock has deactivated a Mac, as it does one with Apple silicon
// before macOS 11.5.
var ErrDeactivated = errors.New("the Mac was deactivated")

// deviceLock locks the screen. MessageResult is sent where a message was to be shown;
// one shows only above a passcode. Source: Apple, DeviceLock.
func (b *body) deviceLock(_ context.Context, c agent.Command) agent.Response {
	if b.mac() && len(c.String("PIN")) != 6 {
		return malformed("a Mac needs a PIN of six characters")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.locked = true
	if b.mac() {
		b.pin = c.String("PIN")
		b.deactivated = b.deactivated || listed(silicons(), b.opt.Model) && !b.since("", "11.5")
	}
	if c.String("Message") == "" && c.String("PhoneNumber") == "" && b.lost == nil {
		return done(nil)
	}
	result := "Success"
	switch {
	case b.lost != nil:
		result = "DeviceInLostMode"
	case !b.passcode.set && !b.mac():
		result = "NoPasscodeSet"
	}
	return done(map[string]any{"MessageResult": result})
}

func (b *body) clearPasscode(_ context.Context, c agent.Command) agent.Response {
	token, ok := c.Payload["UnlockToken"].([]byte)
	if !ok {
		return malformed("UnlockToken is missing")
	}
	if subtle.ConstantTimeCompare(token, b.unlockToken) != 1 {
		return fail(domainPasscode, codeCannotClear, "the unlock token is not this device's")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.passcode, b.locked, b.kept = passcode{}, false, nil
	return done(nil)
}

// restart comes back with the lock screen up.
func (b *body) restart(context.Context, agent.Command) agent.Response {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.locked = true
	b.restarts++
	return done(nil)
}

func (b *body) enableLostMode(_ context.Context, c agent.Command) agent.Response {
	l := LostMode{Message: c.String("Message"), PhoneNumber: c.String("PhoneNumber"), Footnote: c.String("Footnote"), Since: b.opt.Clock()}
	switch {
	case !b.opt.Supervised:
		return fail(domainMDM, codeLostModeOn, "lost mode needs supervision")
	case l.Message == "" && l.PhoneNumber == "":
		return malformed("Message or PhoneNumber is needed")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost, b.locked = &l, true
	return done(nil)
}

func (b *body) disableLostMode(context.Context, agent.Command) agent.Response {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost == nil {
		return fail(domainMDM, codeLostModeOff, "the device is not in lost mode")
	}
	b.lost = nil // the lock screen stays up
	return done(nil)
}

func (b *body) deviceLocation(context.Context, agent.Command) agent.Response {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost == nil {
		return fail(domainMDM, codeNotLost, "the device is not in lost mode")
	}
	if b.opt.LocationUnknown {
		return fail(domainMDM, codeNoLocation, "the location could not be determined")
	}
	return done(map[string]any{
		"Latitude": b.opt.Latitude, "Longitude": b.opt.Longitude, "HorizontalAccuracy": 12.0, "VerticalAccuracy": 8.0,
		"Altitude": 35.0, "Speed": -1.0, "Course": -1.0, "Timestamp": b.opt.Clock().UTC().Format(time.RFC3339),
	})
}

func (b *body) playLostModeSound(context.Context, agent.Command) agent.Response {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost == nil {
		return fail(domainMDM, codeNotLost, "the device is not in lost mode")
	}
	if b.opt.Mute {
		return fail(domainMDM, codeNoSound, "the sound could not be played")
	}
	b.sounds++
	return done(nil)
}

// UnlockPIN is somebody typing the PIN of a Mac's lock. It returns ErrPIN for another one,
// and changes nothing then or where no PIN locks the Mac. Nothing else takes the lock off.
func (b *body) UnlockPIN(pin string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pin == "" {
		return nil
	}
	if pin != b.pin {
		return ErrPIN
	}
	b.pin, b.locked = "", false
	b.touchLocked()
	return nil
}

// LockedByPIN reports whether a PIN locks a Mac. That such a Mac is out of reach until it is
// typed is not imitated.
func (b *body) LockedByPIN() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pin != ""
}

// Sounds returns how often the phone played the sound of lost mode.
func (b *body) Sounds() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sounds
}

// Restarts returns how often a command restarted the device or shut it down.
func (b *body) Restarts() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.restarts
}

// TakePasscodeOff leaves the device without a passcode, whatever its rules say: how somebody
// managed that is not imitated.
func (b *body) TakePasscodeOff() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.passcode, b.locked = passcode{}, false
	b.touchLocked()
}
