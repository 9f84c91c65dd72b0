package reconcile

import (
	"strconv"
	"time"

	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/command"
)

// The keys of the steps that ask a lost device for signs; the case follows.
const (
	simKey      = "sim"
	passcodeKey = "passcode"
)

// How often a lost device is asked for signs: a device that is not found within a day is
// asked less often, so that a case which nobody closes costs little.
const (
	refreshSigns      = 30 * time.Minute
	refreshSignsLater = 6 * time.Hour
	signsLater        = 24 * time.Hour
)

// lost plans for a device with an open case: nothing but the case, for a phone in
// lost mode takes little else, and nothing may stand before its lock.
func (p *planner) lost() {
	id := string(p.c.ID)
	if p.want.LostMode != nil {
		on := "lost-mode:" + id
		p.once(Step{Key: on, Deed: EnableLostMode, Urgent: true, LostMode: p.want.LostMode})
		if p.want.Locate && p.done(on) {
			p.locate(id, p.tried[on].Answered)
		}
		p.signs(on)
	}
	if p.want.Lock != nil {
		lock := "lock:" + id
		p.once(Step{Key: lock, Deed: Lock, Urgent: true, Lock: p.want.Lock, Case: p.c.ID})
		for i, a := range p.want.Apps {
			if a.Remove && p.settled(lock) {
				p.once(Step{Key: "remove-app:" + a.BundleID + ":" + id, Deed: RemoveApp, Urgent: true, App: &p.want.Apps[i]})
			}
		}
		if p.want.RemoveManagement && p.settled(lock) {
			p.once(Step{Key: "remove-management:" + id, Deed: RemoveManagement, Urgent: true})
		}
		p.signs(lock)
	}
}

// locate asks a phone in lost mode where it is: once in each slot of LocateEvery, for
// LocateFor from when it accepted lost mode, be that long after the report. One question is
// open at a time: a phone that was out of reach is asked once when it comes back.
func (p *planner) locate(id string, since time.Time) {
	slot, every := int64(0), p.want.LocateEvery
	if every > 0 {
		if slot = int64(p.now.Sub(since) / every); slot < 0 {
			slot = 0 // the clock was set back
		}
		last := int64((p.want.LocateFor - 1) / every)
		if next := since.Add(time.Duration(slot+1) * every); slot < last {
			p.at(next)
		}
		if slot > last {
			if _, asked := p.newest("locate:" + id + ":"); asked {
				return
			}
		}
	}
	if a, ok := p.newest("locate:" + id + ":"); ok && a.State.Open() {
		return
	}
	p.once(Step{Key: "locate:" + id + ":" + strconv.FormatInt(slot, 10), Deed: Locate, Urgent: true})
}

// signs asks a lost device, once the step by which it is locked has had its answer, whether
// somebody else uses it. That waits behind all that the case itself does.
func (p *planner) signs(after string) {
	if !p.settled(after) {
		return
	}
	every := refreshSigns
	if p.now.Sub(p.tried[after].Answered) >= signsLater {
		every = refreshSignsLater
	}
	for _, s := range p.want.Signs {
		switch s {
		case intent.SIMChanged:
			p.sign(Step{Key: simKey + ":" + string(p.c.ID), Deed: AskSIM}, every)
		case intent.PasscodeOff:
			p.sign(Step{Key: passcodeKey + ":" + string(p.c.ID), Deed: AskSecurity}, every)
		}
	}
}

// sign asks for one sign again once every has passed since the last answer, whatever that
// was. A device that refuses each time, as one in lost mode may, is asked maxTries times.
func (p *planner) sign(s Step, every time.Duration) {
	a, ok := p.tried[s.Key]
	if ok && !a.State.Open() && a.State != command.Cancelled {
		if a.State != command.Accepted && a.Tries >= maxTries {
			return
		}
		if due := a.Answered.Add(every); due.After(p.now) {
			p.at(due)
			return
		}
	}
	p.issue(s)
}

// PasscodeOff reports whether the device, by what it told since a time, has no passcode.
// known is false where it has told nothing of it since.
func (o Observed) PasscodeOff(since time.Time) (off, known bool) {
	s := o.Security
	if s == nil || s.At.Before(since) || s.Value.PasscodePresent == nil {
		return false, false
	}
	return !*s.Value.PasscodePresent, true
}

// SIMChanged reports whether the device told of another SIM card or plan since a time than
// it had told of before, in this case or in an earlier one. known is false where there is
// nothing to compare: it has told nothing since, or for the first time.
func (o Observed) SIMChanged(since time.Time) (changed, known bool) {
	if o.SIM == nil || o.SIM.At.Before(since) {
		return false, false
	}
	if v := o.SIM.Value; !v.Changed.IsZero() && !v.Changed.Before(since) {
		return true, true
	}
	return false, o.SIM.Value.Times > 1
}
