package apple

import (
	"github.com/wardmdm/ward/profiles/intent"
)

// lost says what reporting the device lost will do.
func (c *compiler) lost() intent.Outcome {
	o := intent.Outcome{ID: intent.LoseDevice, Intent: "Lock and find a lost " + c.d.one()}
	switch {
	case !c.d.ios():
		o.Verdict = intent.NotEnforced
		o.Why = "Apple has no lost mode for Macs and does not tell where they are; Ward locks phones only when they are reported lost."
	case c.d.Personal() || c.d.user:
		o.Verdict, o.Mechanism = intent.Partly, "DeviceLock, RemoveProfile"
		o.Why = "A lost personal phone is locked and its management removed, with the work apps and their data. It is never located and never erased."
	case c.d.Supervised:
		o.Verdict, o.Mechanism = intent.Enforced, "EnableLostMode, DeviceLocation"
		o.Why = "A lost phone is put into lost mode and asked once where it is."
	default:
		o.Verdict, o.Mechanism = intent.Partly, "DeviceLock"
		o.Why = "A lost phone is locked, which holds only if it has a passcode. Apple lets only supervised iPhones be put into lost mode and located."
		o.Cure = c.d.superviseCure()
	}
	return o
}
