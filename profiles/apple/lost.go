package apple

import (
	"github.com/wardmdm/ward/profiles/intent"
)

// lost says what reporting the device lost will do.
func (c *compiler) lost() intent.Outcome {
	o := intent.Outcome{ID: intent.LoseDevice, Intent: "Lock and find a lost " + c.d.one()}
	switch {
	case !c.d.ios():
		c.lostMac(&o)
	case c.d.Personal() || c.d.user:
		o.Verdict, o.Mechanism = intent.Partly, "DeviceLock, RemoveProfile"
		o.Why = "A lost personal phone is locked and its management removed, with the work apps and their data. It is never located and never erased."
	case c.d.Supervised:
		o.Verdict, o.Mechanism = intent.Enforced, "EnableLostMode, DeviceLocation"
		o.Why = "A lost phone is put into lost mode and asked where it is, as often and for as long as the policy says."
	default:
		o.Verdict, o.Mechanism = intent.Partly, "DeviceLock"
		o.Why = "A lost phone is locked, which holds only if it has a passcode. Apple lets only supervised iPhones be put into lost mode and located."
		o.Cure = c.d.superviseCure()
	}
	return o
}

// lostMac is what becomes of a lost Mac. Whether it is one with Apple silicon, on which the
// lock asks for macOS 11.5, no class of device tells.
// Source: Apple's schema, mdm/commands/device.lock.yaml.
func (c *compiler) lostMac(o *intent.Outcome) {
	switch {
	case c.d.user:
		o.Verdict = intent.Impossible
		o.Why = "Apple does not let a Mac under user enrolment be locked, and has no lost mode for Macs. The certificates of its work apps are revoked."
	case c.d.Personal():
		o.Verdict = intent.NotEnforced
		o.Why = "A personal Mac is never locked, for nobody could take the lock off from afar. The certificates of its work apps are revoked; it is never located and never erased."
	default:
		o.Verdict, o.Mechanism = intent.Partly, "DeviceLock with a PIN"
		o.Why = "A lost Mac is locked with a PIN of six digits, made at random. Nothing takes that lock off from afar: once the Mac is found, somebody has to type the PIN. Apple has no lost mode for Macs and does not tell where they are. One with Apple silicon is locked from macOS 11.5 on; before, the command would deactivate it, and Ward does not send it."
	}
}
