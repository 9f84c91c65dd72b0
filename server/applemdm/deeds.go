package applemdm

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jessepeterson/mdmcommands"
	"github.com/micromdm/plist"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/reconcile"
)

// EraseOptions are what an erase may ask for beside itself. What a platform does not know
// is left out of its command; only what would change what the erase comes to is refused.
type EraseOptions struct {
	PreserveDataPlan       bool // keep the mobile data plan of an eSIM; iOS
	DisallowProximitySetup bool // no set-up by a phone held near it; iOS
	// ReturnToService has the phone come back by itself, enrolled afresh; iOS 17 and later.
	// Nil: it stays erased.
	ReturnToService *ReturnToService
	// PIN is the six digits that an Intel Mac asks for once it is erased; macOS, which
	// needs them.
	PIN string
	// Obliteration says what becomes of a Mac that can't be erased at once: Default,
	// DoNotObliterate, ObliterateWithWarning or Always; empty is Default. macOS 12 and later.
	Obliteration string
}

// ReturnToService is how a phone comes back after it was erased.
type ReturnToService struct {
	// WiFiProfile is a profile of the network by which it comes back, as WiFiWords takes
	// it; nil: by mobile data.
	WiFiProfile []byte
}

// Erase makes the command that erases a device. Whatever is asked, it makes none for a
// device that is not the organisation's own, for a user enrolment, and for an enrolment
// without the right to erase: each is a *ward.Error of kind Forbidden.
// Source: https://developer.apple.com/documentation/devicemanagement/erasedevicecommand
func (c *Compiler) Erase(ctx context.Context, d ward.Device, e ward.Enrolment, o EraseOptions) (uuid, requestType string, body []byte, err error) {
	if err := erasable(d, e); err != nil {
		return "", "", nil, err
	}
	uuid = c.NewUUID()
	cmd := mdmcommands.NewEraseDeviceCommand(uuid)
	if d.Platform == ward.MacOS {
		err = eraseMac(&cmd.Command, o)
	} else {
		err = c.erasePhone(ctx, &cmd.Command, d, e, o)
	}
	if err != nil {
		return "", "", nil, err
	}
	return made(uuid, mdmcommands.EraseDeviceRequestType, cmd)
}

// erasable is the rule that a personal device is never erased. It looks at the device and
// the enrolment alone: no option and no caller can lift it.
func erasable(d ward.Device, e ward.Enrolment) error {
	switch {
	case d.Ownership != ward.Corporate:
		return ward.Errorf(ward.Forbidden, "%s is a personal device. A personal device is never erased: remove its management instead, which takes away only what Ward put there.", named(d))
	case e.Kind != deviceEnrolment:
		return ward.Errorf(ward.Forbidden, "%s is not enrolled as a whole: Apple lets such an enrolment erase nothing.", named(d))
	case !e.Rights.Has(ward.RightErase):
		return ward.Errorf(ward.Forbidden, "%s was enrolled without the right to erase it, so it would refuse the command.", named(d))
	}
	return fits(d, e, ward.IOS, ward.MacOS)
}

// deviceEnrolment is Apple's kind of an enrolment of a whole device.
const deviceEnrolment = "Device"

// fits makes sure that an enrolment is the device's own, and of a platform that has the
// command.
func fits(d ward.Device, e ward.Enrolment, platforms ...ward.Platform) error {
	if e.Device != d.ID || e.ID == "" {
		return fmt.Errorf("enrolment %q of device %q is not that of %q", e.ID, e.Device, d.ID)
	}
	if !slices.Contains(platforms, d.Platform) {
		return ward.Errorf(ward.Conflict, "%s runs %s: Ward has no such command for it.", named(d), d.Platform)
	}
	return nil
}

func (c *Compiler) erasePhone(ctx context.Context, cmd *mdmcommands.EraseDevicePayload, d ward.Device, e ward.Enrolment, o EraseOptions) error {
	cmd.PreserveDataPlan = &o.PreserveDataPlan
	if o.DisallowProximitySetup {
		cmd.DisallowProximitySetup = &o.DisallowProximitySetup
	}
	if o.ReturnToService == nil {
		return nil
	}
	if !intent.ParseVersion(d.OSVersion).AtLeast(intent.Version{Major: 17}) {
		return ward.Errorf(ward.Invalid, "%s can't come back by itself: that needs iOS 17 or later.", named(d))
	}
	if c.ReturnProfile == nil {
		return ward.Errorf(ward.Conflict, "%s can't come back by itself: this server makes no profile for it.", named(d))
	}
	back := mdmcommands.ReturnToService{Enabled: true}
	if wifi := o.ReturnToService.WiFiProfile; len(wifi) > 0 {
		if _, err := WiFiWords(wifi); err != nil {
			return err
		}
		back.WiFiProfileData = &wifi
	}
	profile, err := c.ReturnProfile(ctx, d, e)
	if err != nil {
		return fmt.Errorf("make the profile for the way back: %w", err)
	}
	back.MDMProfileData = &profile
	cmd.ReturnToService = &back
	return nil
}

func eraseMac(cmd *mdmcommands.EraseDevicePayload, o EraseOptions) error {
	if o.ReturnToService != nil {
		return ward.Errorf(ward.Invalid, "A Mac can't come back by itself after it was erased: Apple has that for iPhones and iPads.")
	}
	if !digits(o.PIN) {
		return ward.Errorf(ward.Invalid, "A Mac is erased with a PIN of six digits.")
	}
	switch o.Obliteration {
	case "":
	case "Default", "DoNotObliterate", "ObliterateWithWarning", "Always":
		cmd.ObliterationBehavior = &o.Obliteration
	default:
		return ward.Errorf(ward.Invalid, "A Mac can be obliterated by Default, DoNotObliterate, ObliterateWithWarning or Always, not by %q.", o.Obliteration)
	}
	cmd.PIN = &o.PIN
	return nil
}

// ClearPasscode makes the command that removes an iPhone's passcode, by the token that the
// phone gave for it. It makes none for a device that is not the organisation's own.
// Source: https://developer.apple.com/documentation/devicemanagement/clearpasscodecommand
func (c *Compiler) ClearPasscode(d ward.Device, e ward.Enrolment, unlockToken []byte) (uuid, requestType string, body []byte, err error) {
	switch {
	case d.Ownership != ward.Corporate:
		err = ward.Errorf(ward.Forbidden, "%s is a personal device: its passcode is its owner's and is never cleared.", named(d))
	case e.Kind != deviceEnrolment:
		err = ward.Errorf(ward.Forbidden, "%s is not enrolled as a whole: Apple lets such an enrolment clear no passcode.", named(d))
	case !e.Rights.Has(ward.RightLockAndPasscode):
		err = ward.Errorf(ward.Forbidden, "%s was enrolled without the right to this, so it would refuse the command.", named(d))
	case len(unlockToken) == 0:
		err = ward.Errorf(ward.Conflict, "%s has given no token to remove its passcode with.", named(d))
	default:
		err = fits(d, e, ward.IOS)
	}
	if err != nil {
		return "", "", nil, err
	}
	uuid = c.NewUUID()
	cmd := mdmcommands.NewClearPasscodeCommand(uuid)
	cmd.Command.UnlockToken = unlockToken
	return made(uuid, mdmcommands.ClearPasscodeRequestType, cmd)
}

// RemoveManagement makes the command that removes the enrolment profile, and with it what
// Ward put on the device. It is for every ownership.
func (c *Compiler) RemoveManagement(d ward.Device, e ward.Enrolment) (uuid, requestType string, body []byte, err error) {
	if err := fits(d, e, ward.IOS, ward.MacOS); err != nil {
		return "", "", nil, err
	}
	if !strings.HasPrefix(e.Kind, userEnrolment) && !e.Rights.Has(ward.RightInstallProfiles) {
		return "", "", nil, ward.Errorf(ward.Forbidden, "%s was enrolled without the right to this, so it would refuse the command.", named(d))
	}
	uuid = c.NewUUID()
	return made(uuid, mdmcommands.RemoveProfileRequestType, removeProfile(uuid, c.ManagementProfile))
}

// userEnrolment begins Apple's kinds of user enrolment, in which rights are ignored.
const userEnrolment = "User Enrollment"

// LockPIN makes the command that locks a Mac with a PIN of six digits, which nothing takes
// off from afar. It makes none for a Mac that is not the organisation's own, and none where
// profiles.MacLock says so.
// Source: https://developer.apple.com/documentation/devicemanagement/devicelockcommand
func (c *Compiler) LockPIN(d ward.Device, e ward.Enrolment, pin, message, phone string) (uuid, requestType string, body []byte, err error) {
	if !e.Rights.Has(ward.RightLockAndPasscode) {
		return "", "", nil, ward.Errorf(ward.Forbidden, "%s was enrolled without the right to this, so it would refuse the command.", named(d))
	}
	uuid = c.NewUUID()
	cmd, err := lockMac(uuid, d, e, pin, message, phone)
	if err != nil {
		return "", "", nil, err
	}
	return made(uuid, mdmcommands.DeviceLockRequestType, cmd)
}

func lockMac(uuid string, d ward.Device, e ward.Enrolment, pin, message, phone string) (any, error) {
	if err := fits(d, e, ward.MacOS); err != nil {
		return nil, err
	}
	if o := profiles.MacLock(profiles.Subject{Device: d, Kind: e.Kind, Rights: e.Rights, Supervised: e.Supervised}); o.Verdict != intent.Partly {
		return nil, ward.Errorf(ward.Forbidden, "%s can't be locked. %s", named(d), o.Why)
	}
	if !digits(pin) {
		return nil, ward.Errorf(ward.Invalid, "A Mac is locked with a PIN of six digits.")
	}
	cmd := mdmcommands.NewDeviceLockCommand(uuid)
	cmd.Command.Message, cmd.Command.PhoneNumber, cmd.Command.PIN = optional(message), optional(phone), &pin
	return cmd, nil
}

// lock locks the device of a case: a Mac by the PIN that was made for it.
func (c *Compiler) lock(ctx context.Context, s reconcile.Step, d ward.Device, e ward.Enrolment, uuid string) (any, error) {
	if !s.Lock.NeedsPIN {
		return lockPhone(uuid, s.Lock.Message, s.Lock.Phone), nil
	}
	if c.PIN == nil || s.Case == "" {
		return nil, fmt.Errorf("device %s needs a PIN, and nothing makes one", d.ID)
	}
	pin, err := c.PIN(ctx, d, e, s.Case)
	if err != nil {
		return nil, fmt.Errorf("make a PIN: %w", err)
	}
	return lockMac(uuid, d, e, pin, s.Lock.Message, s.Lock.Phone)
}

func lockPhone(uuid, message, phone string) any {
	cmd := mdmcommands.NewDeviceLockCommand(uuid)
	cmd.Command.Message, cmd.Command.PhoneNumber = optional(message), optional(phone)
	return cmd
}

// Lock makes the command that locks a phone and shows a message. A Mac is locked by LockPIN
// or in a lost case.
func (c *Compiler) Lock(d ward.Device, message, phone string) (requestType string, body []byte, err error) {
	if d.Platform != ward.IOS {
		return "", nil, ward.Errorf(ward.Conflict, "%s can't be locked like a phone: a Mac is locked with a PIN, when it is reported lost or by an order.", named(d))
	}
	return marshalled(mdmcommands.DeviceLockRequestType, lockPhone(c.NewUUID(), message, phone))
}

// Sound makes the command that has a phone in lost mode play a sound.
// Source: https://developer.apple.com/documentation/devicemanagement/playlostmodesoundcommand
func (c *Compiler) Sound() (requestType string, body []byte, err error) {
	return marshalled(mdmcommands.PlayLostModeSoundRequestType, mdmcommands.NewPlayLostModeSoundCommand(c.NewUUID()))
}

// Locate makes the command that asks a phone in lost mode where it is.
// Source: https://developer.apple.com/documentation/devicemanagement/devicelocationcommand
func (c *Compiler) Locate() (requestType string, body []byte, err error) {
	return marshalled(mdmcommands.DeviceLocationRequestType, mdmcommands.NewDeviceLocationCommand(c.NewUUID()))
}

// Restart makes the command that restarts a device of the organisation's own. A Mac's user
// is asked to do it when it suits, from macOS 11.4 on.
// Source: https://developer.apple.com/documentation/devicemanagement/restartdevicecommand
func (c *Compiler) Restart(d ward.Device) (requestType string, body []byte, err error) {
	switch {
	case d.Ownership != ward.Corporate:
		return "", nil, ward.Errorf(ward.Forbidden, "%s is a personal device: its owner restarts it.", named(d))
	case d.Platform != ward.IOS && d.Platform != ward.MacOS:
		return "", nil, ward.Errorf(ward.Conflict, "%s runs %s: Ward has no such command for it.", named(d), d.Platform)
	}
	cmd := mdmcommands.NewRestartDeviceCommand(c.NewUUID())
	if d.Platform == ward.MacOS {
		notify := true
		cmd.Command.NotifyUser = &notify
	}
	return marshalled(mdmcommands.RestartDeviceRequestType, cmd)
}

func made(uuid, requestType string, cmd any) (string, string, []byte, error) {
	requestType, body, err := marshalled(requestType, cmd)
	if err != nil {
		return "", "", nil, err
	}
	return uuid, requestType, body, nil
}

func marshalled(requestType string, cmd any) (string, []byte, error) {
	body, err := plist.Marshal(cmd)
	if err != nil {
		return "", nil, fmt.Errorf("make %s: %w", requestType, err)
	}
	return requestType, body, nil
}

// digits reports whether a PIN is six digits, as Apple asks.
func digits(pin string) bool { return len(pin) == 6 && strings.Trim(pin, "0123456789") == "" }

// named names a device to a person.
func named(d ward.Device) string {
	if d.Name == "" {
		return "The device " + string(d.ID)
	}
	return d.Name
}
