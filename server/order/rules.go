package order

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
)

const (
	maxPerHour   = 500       // devices of a campaign in an hour
	maxLift      = 24        // hours
	maxText      = 500       // bytes of a message or a phone number
	maxProfile   = 256 << 10 // bytes of a profile for return to service
	farthestFrom = 366 * 24 * time.Hour
)

// check finds every mistake of a request that needs no look at the fleet, and puts it
// into the one form that is kept.
func (r *Request) check(now time.Time, notice time.Duration) error {
	var wrong []string
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	r.Reason = strings.TrimSpace(r.Reason)
	if r.Reason == "" {
		bad("Say why: an order needs a reason.")
	}
	if len(r.Reason) > maxReason {
		bad("The reason is too long: %d bytes, %d at most.", len(r.Reason), maxReason)
	}
	if !slices.Contains(Kinds, r.Kind) {
		words := make([]string, len(Kinds))
		for i, k := range Kinds {
			words[i] = string(k)
		}
		bad("The kind of an order is %s, not %q.", strings.Join(words, ", "), string(r.Kind))
		return problems(ward.Invalid, wrong)
	}
	if r.Kind.Devices() {
		r.checkDevices(bad)
		r.checkOptions(bad, now, notice)
	} else {
		r.checkTurn(bad)
	}
	return problems(ward.Invalid, wrong)
}

func (r *Request) checkDevices(bad func(string, ...any)) {
	if len(r.Devices) == 0 {
		bad("Name at least one device.")
	}
	r.Devices = slices.Clone(r.Devices)
	slices.Sort(r.Devices)
	for i := 1; i < len(r.Devices); i++ {
		if r.Devices[i] == r.Devices[i-1] {
			bad("The device %s is named twice.", r.Devices[i])
			break
		}
	}
}

// checkTurn checks an order about the brake.
func (r *Request) checkTurn(bad func(string, ...any)) {
	b := r.Options.Brake
	rest := r.Options
	rest.Brake = nil
	if len(r.Devices) > 0 || r.Case != "" || !rest.empty() {
		bad("An order about the brake names no devices, no case and no other option.")
	}
	switch {
	case b == nil || !slices.Contains(brake.Kinds, b.Kind):
		bad("Name the kind of deeds whose brake is meant.")
	case r.Kind == ReleaseBrake && b.Hours != 0:
		bad("A release has no hours: it ends what is held now.")
	case r.Kind == LiftBrake && (b.Hours < 1 || b.Hours > maxLift):
		bad("The brake can be lifted for 1 to %d hours.", maxLift)
	}
}

// checkOptions refuses options that do nothing for the kind, and values that are wrong.
func (r *Request) checkOptions(bad func(string, ...any), now time.Time, notice time.Duration) {
	o := &r.Options
	if o.Brake != nil {
		bad("An order for devices has no option about the brake.")
	}
	if r.Kind != Erase && (o.PreserveDataPlan || o.DisallowProximitySetup || o.ReturnToService != nil || o.Obliteration != "") {
		bad("Only an erase has options for what comes after it.")
	}
	if r.Kind != LockPIN && (o.Message != "" || o.Phone != "") {
		bad("Only a lock shows a message and a phone number.")
	}
	if len(o.Message) > maxText || len(o.Phone) > maxText {
		bad("The message and the phone number may have %d bytes at most.", maxText)
	}
	if o.Obliteration != "" && !slices.Contains(Obliterations, o.Obliteration) {
		bad("How a Mac is obliterated is %s, not %q.", strings.Join(Obliterations, ", "), o.Obliteration)
	}
	if back := o.ReturnToService; back != nil {
		if r.Case != "" {
			bad("A lost device does not return to service by itself: whoever has it would get it ready for use.")
		}
		if len(back.WiFiProfile) > maxProfile {
			bad("The profile for the way back may have %d bytes at most.", maxProfile)
		}
		o.ReturnToService = &ReturnToService{WiFiProfile: slices.Clone(back.WiFiProfile)}
	}
	if o.Campaign != nil {
		r.checkCampaign(bad, now, notice)
	}
}

func (r *Request) checkCampaign(bad func(string, ...any), now time.Time, notice time.Duration) {
	c := *r.Options.Campaign
	c.Start = c.Start.UTC().Truncate(time.Microsecond)
	r.Options.Campaign = &c
	if r.Kind != Erase && r.Kind != RemoveManagement {
		bad("Only an erase and a removal of management can be a campaign.")
	}
	if r.Case != "" {
		bad("A campaign is planned: it belongs to no case.")
	}
	if r.Options.Drill {
		bad("A campaign can't be rehearsed: rehearse an order for one device.")
	}
	if c.Start.Before(now.Add(notice)) {
		bad("A campaign is announced %s ahead: it can begin at %s at the earliest.", span(notice), now.Add(notice).Format(time.RFC3339))
	}
	if c.Start.After(now.Add(farthestFrom)) {
		bad("A campaign begins within a year.")
	}
	if c.PerHour < 1 || c.PerHour > maxPerHour {
		bad("A campaign takes 1 to %d devices an hour.", maxPerHour)
	}
}

// span says a time in words.
func span(d time.Duration) string {
	if h := d.Hours(); h >= 2 && d%time.Hour == 0 {
		return fmt.Sprintf("%d hours", int(h))
	}
	return d.String()
}

// allowed says whether the rules let an order touch the device. It is asked when the order
// is made, when it is issued and when its command is handed out.
func allowed(k Kind, o Options, d ward.Device, e ward.Enrolment) error {
	if d.Ownership != ward.Corporate && k != RemoveManagement {
		switch k {
		case Erase:
			return ward.Errorf(ward.Forbidden, "%s is a personal device. A personal device is never erased: remove its management instead, which takes away only what Ward put there.", label(d))
		case ClearPasscode:
			return ward.Errorf(ward.Forbidden, "%s is a personal device: its passcode is its owner's and is never cleared.", label(d))
		}
		return ward.Errorf(ward.Forbidden, "%s is a personal device: it is never locked with a PIN that its owner does not have.", label(d))
	}
	if right := map[Kind]ward.AccessRights{Erase: ward.RightErase, ClearPasscode: ward.RightLockAndPasscode, LockPIN: ward.RightLockAndPasscode}[k]; !e.Rights.Has(right) {
		return ward.Errorf(ward.Forbidden, "%s was enrolled without the right to this, so it would refuse the command.", label(d))
	}
	on := map[Kind][]ward.Platform{
		Erase: {ward.IOS, ward.MacOS}, RemoveManagement: {ward.IOS, ward.MacOS}, ClearPasscode: {ward.IOS}, LockPIN: {ward.MacOS},
	}[k]
	if !slices.Contains(on, d.Platform) {
		return ward.Errorf(ward.Conflict, "%s runs %s: Ward has no such command for it.", label(d), d.Platform)
	}
	if (o.ReturnToService != nil || o.DisallowProximitySetup) && d.Platform != ward.IOS {
		return ward.Errorf(ward.Conflict, "%s runs %s: only an iPhone or iPad returns to service by itself or is kept from a set-up by a phone near it.", label(d), d.Platform)
	}
	if o.Obliteration != "" && d.Platform != ward.MacOS {
		return ward.Errorf(ward.Conflict, "%s runs %s: only a Mac is obliterated.", label(d), d.Platform)
	}
	return nil
}
