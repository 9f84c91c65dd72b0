package web

import (
	"fmt"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/compliance"
)

// tag is a state as people see it: a word with a shape. The colour only repeats them.
type tag struct {
	Text string
	Tone string // good, bad, warn, info, lost or quiet
	Icon string
}

func stateTag(s compliance.State) tag {
	switch s {
	case compliance.Compliant:
		return tag{"Compliant", "good", "check"}
	case compliance.Pending:
		return tag{"Pending", "info", "clock"}
	case compliance.InGrace:
		return tag{"In grace", "warn", "clock"}
	case compliance.Unknown:
		return tag{"Unknown", "warn", "question"}
	case compliance.NonCompliant:
		return tag{"Non-compliant", "bad", "alert"}
	case compliance.Lost:
		return tag{"Lost", "lost", "pin"}
	case compliance.Retired:
		return tag{"Retired", "quiet", "gone"}
	}
	return tag{string(s), "quiet", "question"}
}

func verdictTag(v intent.Verdict) tag {
	switch v {
	case intent.Enforced:
		return tag{"Enforced", "good", "check"}
	case intent.Partly:
		return tag{"Partly", "warn", "half"}
	case intent.DetectOnly:
		return tag{"Detected only", "warn", "eye"}
	case intent.Impossible:
		return tag{"Impossible here", "bad", "cross"}
	case intent.NotEnforced:
		return tag{"Not enforced", "quiet", "gone"}
	}
	return tag{string(v), "quiet", "question"}
}

func commandTag(s command.State) tag {
	switch s {
	case command.Waiting:
		return tag{"Waiting", "quiet", "clock"}
	case command.Delivered:
		return tag{"Delivered", "info", "half"}
	case command.Deferred:
		return tag{"Not now", "warn", "clock"}
	case command.Accepted:
		return tag{"Accepted", "good", "check"}
	case command.Refused:
		return tag{"Refused", "bad", "cross"}
	case command.Cancelled:
		return tag{"Cancelled", "quiet", "gone"}
	case command.Withheld:
		return tag{"Withheld", "bad", "alert"}
	case command.Held:
		return tag{"Held", "bad", "alert"}
	case command.Expired:
		return tag{"Given up", "quiet", "gone"}
	}
	return tag{string(s), "quiet", "question"}
}

func enrolmentTag(s ward.EnrolmentState) tag {
	switch s {
	case ward.EnrolmentActive:
		return tag{"Active", "good", "check"}
	case ward.EnrolmentPending:
		return tag{"Enrolling", "info", "clock"}
	case ward.EnrolmentEnded:
		return tag{"Ended", "quiet", "gone"}
	}
	return tag{string(s), "quiet", "question"}
}

func ownershipName(o ward.Ownership) string {
	switch o {
	case ward.Corporate:
		return "Corporate"
	case ward.Personal:
		return "Personal"
	}
	return string(o)
}

func supervisionName(s ward.Supervision) string {
	switch s {
	case ward.Supervised:
		return "Supervised"
	case ward.Unsupervised:
		return "Not supervised"
	}
	return "Not known yet"
}

// commandNames says what Apple's request types do, for the lists of commands.
var commandNames = map[string]string{
	"InstallProfile":           "Install a profile",
	"RemoveProfile":            "Remove a profile",
	"ProfileList":              "List profiles",
	"DeclarativeManagement":    "Send declarations",
	"InstallApplication":       "Install an app",
	"RemoveApplication":        "Remove an app",
	"InstalledApplicationList": "Look for apps",
	"ManagedApplicationList":   "List managed apps",
	"Settings":                 "Change settings",
	"DeviceInformation":        "Ask about the device",
	"SecurityInfo":             "Ask about security",
	"CertificateList":          "List certificates",
	"DeviceLock":               "Lock",
	"EnableLostMode":           "Lost mode on",
	"DisableLostMode":          "Lost mode off",
	"DeviceLocation":           "Ask where it is",
	"EraseDevice":              "Erase",
	"ClearPasscode":            "Clear the passcode",
	"PlayLostModeSound":        "Play a sound",
	"RestartDevice":            "Restart",
}

func commandName(requestType string) string {
	if n, ok := commandNames[requestType]; ok {
		return n
	}
	return requestType
}

// moment is a time as pages show it: how long ago, or when, and exactly.
type moment struct {
	ISO   string // for machines; empty if it never was
	Ago   string
	Exact string
	Clock string // the time of a moment of today, the day of another
}

// at describes t as seen from now.
func at(t, now time.Time) moment {
	if t.IsZero() {
		return moment{Ago: "never", Exact: "never", Clock: "never"}
	}
	t = t.UTC()
	m := moment{ISO: t.Format(time.RFC3339), Ago: ago(t, now), Exact: t.Format("2 Jan 2006, 15:04:05 UTC"), Clock: t.Format("15:04 UTC")}
	if t.Format(time.DateOnly) != now.UTC().Format(time.DateOnly) {
		m.Clock = t.Format("2 Jan 2006")
	}
	return m
}

// Known reports whether there is such a time.
func (m moment) Known() bool { return m.ISO != "" }

func ago(t, now time.Time) string {
	d := now.Sub(t)
	word := "%s ago"
	if d < 0 {
		d, word = -d, "in %s"
	}
	switch {
	case d < time.Minute:
		if word == "in %s" {
			return "in less than a minute"
		}
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf(word, fmt.Sprintf("%d min", d/time.Minute))
	case d < 48*time.Hour:
		return fmt.Sprintf(word, fmt.Sprintf("%d h", d/time.Hour))
	case d < 60*24*time.Hour:
		return fmt.Sprintf(word, fmt.Sprintf("%d days", d/(24*time.Hour)))
	}
	return t.Format("2 Jan 2006")
}
