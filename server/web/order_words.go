package web

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/order"
)

// orderName says what an order of a kind does, before the names of its devices.
func orderName(k order.Kind) string {
	switch k {
	case order.Erase:
		return "Erase"
	case order.ClearPasscode:
		return "Clear the passcode of"
	case order.RemoveManagement:
		return "Remove the management of"
	case order.LockPIN:
		return "Lock with a PIN"
	case order.ReleaseBrake:
		return "Release the brake"
	case order.LiftBrake:
		return "Lift the brake"
	}
	return string(k)
}

// meaning says in a sentence what an order of a kind does, for those who decide on it.
func meaning(k order.Kind) string {
	switch k {
	case order.Erase:
		return "Everything on the device is deleted. It can’t be undone."
	case order.ClearPasscode:
		return "The device opens without a passcode. Whoever holds it sees what is on it."
	case order.RemoveManagement:
		return "Everything that Ward put on the device goes, and Ward loses it. Nothing else on it is touched."
	case order.LockPIN:
		return "The Mac restarts and opens only with a PIN of six digits, which Ward keeps."
	case order.ReleaseBrake:
		return "Deeds of this kind reach devices again, also those that wait now."
	case order.LiftBrake:
		return "Deeds of this kind are not counted for the time named: nothing holds them."
	}
	return ""
}

// orderTitle names an order: what it does and to what.
func orderTitle(o order.Order) string {
	words := orderName(o.Kind)
	if b := o.Options.Brake; b != nil {
		_, many := brake.Words(b.Kind)
		words += " for " + many
		if b.Hours > 0 {
			words += " for " + plural(b.Hours, "hour")
		}
	}
	if t := subjects(o); t != "" {
		words += " " + t
	}
	if o.Options.Drill {
		words = "Rehearsal: " + words
	}
	return words
}

// subjects names the devices of an order, or counts them where they are many.
func subjects(o order.Order) string {
	const named = 3
	if len(o.Targets) > named {
		return plural(len(o.Targets), "device")
	}
	names := make([]string, len(o.Targets))
	for i, t := range o.Targets {
		names[i] = cmp.Or(t.Name, string(t.Device))
	}
	return strings.Join(names, ", ")
}

// plural counts things whose name takes an s.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// optionWords says the options of an order, one sentence each.
func (s *Server) optionWords(o order.Order) (out []string) {
	p := o.Options
	if p.Drill {
		out = append(out, "A rehearsal: nothing is sent to any device")
	}
	if o.Kind == order.Erase {
		if p.PreserveDataPlan {
			out = append(out, "Keep the mobile data plan of the eSIM")
		} else {
			out = append(out, "The mobile data plan of the eSIM goes too")
		}
	}
	if p.DisallowProximitySetup {
		out = append(out, "No set-up by another phone held near it")
	}
	if r := p.ReturnToService; r != nil {
		out = append(out, map[bool]string{true: "It sets itself up again, by the Wi-Fi profile that was given", false: "It sets itself up again, by its mobile network"}[len(r.WiFiProfile) > 0])
		if s.Orders.WiFi != nil && len(r.WiFiProfile) > 0 {
			holds, err := s.Orders.WiFi(r.WiFiProfile)
			if err != nil {
				holds = []string{"The Wi-Fi profile can’t be used: " + err.Error()}
			}
			out = append(out, holds...)
		}
	}
	if p.Obliteration != "" {
		out = append(out, "If the Mac can’t erase its keys: "+obliterationWords(p.Obliteration))
	}
	if p.Message != "" {
		out = append(out, "It shows: "+p.Message)
	}
	if p.Phone != "" {
		out = append(out, "It shows the telephone number "+p.Phone)
	}
	if c := p.Campaign; c != nil {
		out = append(out, "A campaign from "+c.Start.UTC().Format("2 Jan 2006, 15:04 UTC")+", at most "+plural(c.PerHour, "device")+" in any hour")
	}
	return out
}

// obliterationWords says what Apple's values of ObliterationBehavior mean.
// Source: Apple, device management, EraseDevice.
func obliterationWords(v string) string {
	switch v {
	case "DoNotObliterate":
		return "leave it as it is"
	case "ObliterateWithWarning":
		return "delete everything slowly, system too, and tell Ward of it"
	case "Always":
		return "always delete everything, system too"
	}
	return "delete everything, system too"
}

// orderState says in words where an order stands.
func orderState(o order.Order, now time.Time) string {
	switch {
	case o.State == order.Requested && !now.Before(o.Expires):
		return "Nobody signed it in time."
	case o.State == order.Requested && o.Needs() == 1:
		return "Waits for one more signature, by another person."
	case o.State == order.Requested:
		return "Waits for two signatures, of two different people."
	case o.State == order.Approved && o.Options.Campaign != nil:
		return "Signed by two people. The campaign begins at " + at(o.Due, now).Exact + "."
	case o.State == order.Approved:
		return "Signed by two people. A device of it was in use within the last hour, so it cools until " + at(o.Due, now).Exact + ": whoever did not expect it cancels it before then."
	case o.State == order.Refused:
		return "Refused: nothing reaches a device."
	case o.State == order.Cancelled:
		return "Cancelled: what no device held was taken back."
	case o.State == order.Expired:
		return "Nobody signed it in time."
	case !o.Kind.Devices():
		return "Signed by two people, and done."
	case o.Options.Drill:
		return "Signed by two people. It was a rehearsal: nothing was sent."
	}
	return tally(o)
}

// tally counts what became of an order that was issued.
func tally(o order.Order) string {
	counts := map[order.Outcome]int{}
	for _, t := range o.Targets {
		counts[t.Outcome]++
	}
	var parts []string
	for _, c := range []struct {
		of   order.Outcome
		text string
	}{
		{order.Accepted, "accepted by %s"},
		{order.Delivered, "delivered to %s, not answered yet"},
		{order.Waiting, "queued for %s"},
		{order.Deferred, "put off by %s"},
		{order.Held, "held back from %s"},
		{"", "not queued yet for %s"},
		{order.Declined, "refused by %s"},
		{order.TakenBack, "taken back from %s"},
		{order.Withheld, "withheld from %s"},
		{order.Superseded, "out of date for %s"},
		{order.Lapsed, "given up for %s"},
	} {
		if n := counts[c.of]; n > 0 {
			parts = append(parts, fmt.Sprintf(c.text, plural(n, "device")))
		}
	}
	if len(parts) == 0 {
		return "Signed by two people."
	}
	return "Signed by two people: " + strings.Join(parts, ", ") + "."
}

func orderTag(o order.Order, now time.Time) tag {
	switch o.State {
	case order.Requested:
		if !now.Before(o.Expires) {
			return tag{"Expired", "quiet", "gone"}
		}
		return tag{fmt.Sprintf("Signed %d of 2", 2-o.Needs()), "warn", "clock"}
	case order.Approved:
		if o.Options.Campaign != nil {
			return tag{"Planned", "info", "clock"}
		}
		return tag{"Cooling", "warn", "clock"}
	case order.Issued:
		if o.Options.Drill {
			return tag{"Rehearsed", "quiet", "check"}
		}
		for _, t := range o.Targets {
			if t.Outcome == order.Held {
				return tag{"Held", "bad", "alert"}
			}
		}
		return tag{"Approved", "info", "check"}
	case order.Refused:
		return tag{"Refused", "quiet", "cross"}
	case order.Cancelled:
		return tag{"Cancelled", "quiet", "gone"}
	case order.Expired:
		return tag{"Expired", "quiet", "gone"}
	}
	return tag{string(o.State), "quiet", "question"}
}

func outcomeTag(o order.Outcome) tag {
	switch o {
	case "":
		return tag{"Nothing sent", "quiet", "gone"}
	case order.Waiting:
		return tag{"Queued", "quiet", "clock"}
	case order.Delivered:
		return tag{"Delivered", "info", "half"}
	case order.Deferred:
		return tag{"Not now", "warn", "clock"}
	case order.Held:
		return tag{"Held", "bad", "alert"}
	case order.Accepted:
		return tag{"Accepted", "good", "check"}
	case order.Declined:
		return tag{"Refused", "bad", "cross"}
	case order.Superseded:
		return tag{"Out of date", "quiet", "gone"}
	case order.TakenBack:
		return tag{"Taken back", "quiet", "gone"}
	case order.Withheld:
		return tag{"Withheld", "bad", "alert"}
	case order.Rehearsed:
		return tag{"Rehearsed", "quiet", "check"}
	case order.Lapsed:
		return tag{"Given up", "quiet", "gone"}
	}
	return tag{string(o), "quiet", "question"}
}

// outcomeWords says what became of an order on one device. A device accepts an erase
// before it does it, so acceptance is all that is said here.
func outcomeWords(t order.Target, now time.Time) string {
	switch t.Outcome {
	case "":
		return ""
	case order.Waiting:
		return "Queued; the device has not fetched it yet."
	case order.Delivered:
		return "Fetched at " + at(t.Delivered, now).Exact + ", not answered yet."
	case order.Deferred:
		return "The device asked to be asked later."
	case order.Accepted:
		return "Accepted by the device at " + at(t.Answered, now).Exact + "."
	case order.Rehearsed:
		return "Nothing was sent."
	}
	if t.Error != "" {
		return sentence(t.Error)
	}
	return ""
}

// roomWords says how many deeds the brake lets through now.
func roomWords(left int) string {
	switch left {
	case 0:
		return "The brake lets none through now: they would be held until two people release them."
	case math.MaxInt:
		return "The brake does not bound how many go through now."
	}
	return "The brake lets " + fmt.Sprint(left) + " more through now. What is beyond that is held until two people release it."
}
