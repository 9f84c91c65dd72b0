package casefile

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The states of a command, as package command has them.
const (
	waiting   = "waiting"
	held      = "held"
	delivered = "delivered"
	deferred  = "not now"
	accepted  = "accepted"
	refused   = "refused"
	cancelled = "cancelled"
	withheld  = "withheld"
	expired   = "expired"
)

// The request types that the file has words of its own for.
const (
	eraseDevice    = "EraseDevice"
	enableLostMode = "EnableLostMode"
	deviceLock     = "DeviceLock"
	deviceLocation = "DeviceLocation"
)

// sameContact is how much later than its answer a device may still be seen in the same
// connection.
const sameContact = 2 * time.Second

// standing says in one expression where a command truly stands. A device accepts an erase
// before it does it.
func standing(c Command) string {
	switch c.State {
	case cancelled:
		return "taken back"
	case accepted:
		if c.RequestType != eraseDevice {
			return accepted
		}
		switch {
		case !c.Afresh.IsZero() && c.Afresh.After(c.Answered):
			return "came back fresh"
		case c.LastSeen.IsZero():
			return accepted
		case c.LastSeen.After(c.Answered.Add(sameContact)):
			return "accepted, seen since"
		}
		return "accepted, not seen since"
	}
	return c.State
}

// words says the same in a sentence without its subject, which is the deed.
func words(c Command) string { return wordsAfter(c, nil) }

// wordsAfter adds how long after the report the device accepted, if that is known.
func wordsAfter(c Command, ms *int64) string {
	switch c.State {
	case waiting:
		return "waiting for the device" + seen(c, c.Queued)
	case held:
		return "held by the brake until two people release it" + because(c.Error)
	case delivered:
		return "delivered at " + stamp(c.Delivered) + ", not answered yet" + seen(c, c.Delivered.Add(sameContact))
	case deferred:
		return "the device asked at " + stamp(c.Deferred) + " to be asked later" + seen(c, c.Deferred.Add(sameContact))
	case accepted:
		after := ""
		if ms != nil {
			after = ", " + ran(ms) + " after the report"
		}
		return "accepted by the device at " + stamp(c.Answered) + after + aftermath(c)
	case refused:
		return "refused by the device at " + stamp(c.Answered) + because(c.Error)
	case cancelled:
		return "taken back at " + stamp(c.Answered) + because(c.Error)
	case withheld:
		return "withheld at " + stamp(c.Answered) + because(c.Error)
	case expired:
		if c.Delivered.IsZero() {
			return "expired at " + stamp(c.Answered) + ", not delivered"
		}
		return "expired at " + stamp(c.Answered) + ", delivered at " + stamp(c.Delivered) + " and not answered"
	}
	return c.State
}

// aftermath says what is known of a device that accepted an erase.
func aftermath(c Command) string {
	if c.RequestType != eraseDevice {
		return ""
	}
	switch standing(c) {
	case "came back fresh":
		return "; it was erased and came back fresh at " + stamp(c.Afresh)
	case "accepted, seen since":
		return ", but it was seen again at " + stamp(c.LastSeen) + ", so it has not been erased yet"
	case "accepted, not seen since":
		return "; not seen since"
	}
	return "; whether it was seen since is not known"
}

// seen says of a device that owes an answer when it was last there.
func seen(c Command, since time.Time) string {
	switch {
	case c.LastSeen.IsZero():
		return ""
	case c.LastSeen.After(since):
		return ", last seen at " + stamp(c.LastSeen)
	}
	return ", not seen since " + stamp(c.LastSeen)
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// stamp writes a time for people: to the second, in UTC.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "a time that is not known"
	}
	return t.UTC().Format("2 January 2006 15:04:05 MST")
}

// known writes a time that may be missing.
func known(t time.Time) string {
	if t.IsZero() {
		return notKnown
	}
	return stamp(t)
}

// What stands in the place of what is missing. Neither is ever shown as good.
const (
	notKnown    = "not known"
	notRecorded = "not recorded"
)

// or returns text, or what stands in its place.
func or(text, missing string) string {
	if strings.TrimSpace(text) == "" {
		return missing
	}
	return text
}

// took writes how long something took.
func took(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.3f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
}

// who writes who did a thing.
func who(b By) string {
	switch {
	case b.Name != "":
		return b.Name
	case b.Person != "":
		return string(b.Person)
	}
	return "Ward"
}

// deed says what a request type of Apple's does; one that has no words of its own stays as
// Apple spells it.
func deed(requestType string) string {
	switch requestType {
	case enableLostMode:
		return "Lost mode on"
	case "DisableLostMode":
		return "Lost mode off"
	case deviceLocation:
		return "Tell the location"
	case "PlayLostModeSound":
		return "Play a sound"
	case deviceLock:
		return "Lock"
	case "RestartDevice":
		return "Restart"
	case eraseDevice:
		return "Erase"
	case "ClearPasscode":
		return "Clear the passcode"
	case "InstallProfile":
		return "Install a profile"
	case "RemoveProfile":
		return "Remove a profile"
	case "RemoveApplication":
		return "Remove an app"
	}
	return requestType
}

// phrase turns an identifier such as "lock_pin" into words.
func phrase(id string) string { return strings.ReplaceAll(id, "_", " ") }

// sentence begins text with a capital.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	r, n := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(r)) + text[n:]
}

// plural counts things.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Elapsed is how long the stages of a command took, in milliseconds; nil for a stage that
// was not reached, or not in this order.
type Elapsed struct {
	Queued      *int64 `json:"queued_ms,omitempty"`       // from the report to the queue
	Delivered   *int64 `json:"delivered_ms,omitempty"`    // from the queue to the last hand-out
	Answered    *int64 `json:"answered_ms,omitempty"`     // from there to the answer
	AfterReport *int64 `json:"after_report_ms,omitempty"` // from the report to the answer
}

// elapsed measures a command. Only a device's answer counts as one.
func elapsed(c Command, reported time.Time) Elapsed {
	e := Elapsed{Queued: between(reported, c.Queued), Delivered: between(c.Queued, c.Delivered)}
	if c.State == accepted || c.State == refused {
		e.Answered, e.AfterReport = between(c.Delivered, c.Answered), between(reported, c.Answered)
	}
	return e
}

func between(from, to time.Time) *int64 {
	if from.IsZero() || to.IsZero() || to.Before(from) {
		return nil
	}
	ms := to.Sub(from).Milliseconds()
	return &ms
}

// ran writes a stage, "" for one that was not reached.
func ran(ms *int64) string {
	if ms == nil {
		return ""
	}
	return took(time.Duration(*ms) * time.Millisecond)
}
