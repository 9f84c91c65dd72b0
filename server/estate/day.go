package estate

import (
	"time"

	"github.com/wardmdm/ward/server/compliance"
)

// length is how long a day is, UTC.
const length = 24 * time.Hour

// DayOf counts devices as they stood at an instant, which is the end of the day or, of
// today, the present: what was at a midnight belongs to the day that ended with it.
func DayOf(devices []*Device, at time.Time) Day {
	out := Day{Day: dayOf(at), States: map[compliance.State]int{}}
	for _, d := range devices {
		out.add(d, at)
	}
	return out
}

// dayOf returns the midnight at which the day began that an instant closes or is in.
func dayOf(at time.Time) time.Time { return at.UTC().Add(-1).Truncate(length) }

// add counts a device that was heard from last as of an instant.
func (day *Day) add(d *Device, at time.Time) {
	if !d.Counted() {
		return
	}
	day.Devices++
	day.States[d.State]++
	if d.Has(codeBlocked, "") {
		day.Blocked++
	}
	if len(d.Approved) > 0 {
		day.AppWant++
		if d.Ready() {
			day.AppReady++
		}
	}
	if silent := at.Sub(d.LastSeen); silent >= 7*length {
		day.NotSeen7++
		if silent >= 30*length {
			day.NotSeen30++
		}
	}
	if d.Has(codeOldSystem, "") {
		day.OldOS++
	}
}

// daysOf counts devices by everything that a trend can be asked of. Of an app only
// Blocked is counted, and of one that is on no device there is nothing.
func daysOf(devices []*Device, at time.Time) map[Cut]Day {
	every := &Day{Day: dayOf(at), States: map[compliance.State]int{}}
	by := map[Dimension]map[string]*Day{BySite: {}, ByGroup: {}, ByPlatform: {}, ByOwner: {}, ByApp: {}}
	sites, groups, platforms, owners, apps := by[BySite], by[ByGroup], by[ByPlatform], by[ByOwner], by[ByApp]
	of := func(days map[string]*Day, value string) *Day {
		day := days[value]
		if day == nil {
			day = &Day{Day: every.Day, States: map[compliance.State]int{}}
			days[value] = day
		}
		return day
	}
	for _, d := range devices {
		if !d.Counted() {
			continue
		}
		for _, day := range [...]*Day{every, of(sites, d.Site), of(groups, d.Group), of(platforms, string(d.Platform)), of(owners, string(d.Ownership))} {
			day.add(d, at)
		}
		for _, f := range d.Findings {
			if f.Code == codeBlocked && f.Subject != "" {
				of(apps, f.Subject).Blocked++
			}
		}
	}
	all := map[Cut]Day{{}: *every}
	for dim, days := range by {
		for value, day := range days {
			all[Cut{dim, value}] = *day
		}
	}
	return all
}
