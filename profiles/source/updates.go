package source

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// versionWarnings tells of versions of operating systems that no device can have, and of
// updates that are due already or older than what the policy asks of a device.
func (p *Policy) versionWarnings(now time.Time) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, l := range p.everyLayer() {
		merged := p.base
		if l.at.layer != nil { // a group
			merged = l.over(p.base)
		}
		for i, pl := range platforms {
			if least := l.posture.versions[i]; least.given() {
				if why := impossible(pl, least.value, now); why != "" {
					say("%s asks for at least %s %s (line %d), but %s", capital(l.name), platformWords[pl], least.value, least.at.line, why)
				}
			}
			u := l.updates[i]
			if !u.given() {
				continue
			}
			if why := impossible(pl, u.value.Version, now); why != "" {
				say("%s enforces an update to %s %s (line %d), but %s", capital(l.name), platformWords[pl], u.value.Version, u.at.line, why)
			}
			if u.value.By.Before(now) {
				say("%s enforces an update to %s %s by %s (line %d), which has passed: devices without it install it at once.",
					capital(l.name), platformWords[pl], u.value.Version, u.value.By.Format("2006-01-02 15:04"), u.at.line)
			}
			least := merged.posture.versions[i]
			if order, ok := intent.CompareVersions(u.value.Version, least.value); ok && order < 0 && merged.posture.minimumOS.asks() {
				say("%s enforces an update to %s %s (line %d), which is older than the %s that complies: it makes no device comply.",
					capital(l.name), platformWords[pl], u.value.Version, u.at.line, least.value)
			}
		}
	}
	return out
}

// impossible says why there is no such version of a platform, in the rest of a sentence;
// "" where there is one, or may be.
//
// Apple numbered iOS to 18 and macOS to 15, and from 26 by the year that follows the
// release: https://support.apple.com/100100. Windows 11 calls itself 10.0.22000 and
// later: https://learn.microsoft.com/windows/release-health/windows11-release-information.
// Android 17 is of 2026, and there is one each year: https://developer.android.com/about/versions.
func impossible(pl ward.Platform, version string, now time.Time) string {
	first, _, _ := strings.Cut(version, ".")
	major, err := strconv.Atoi(first)
	if err != nil {
		return "that is no version." // the reader lets none through
	}
	from := 1
	var newest int
	year := max(now.Year(), 2026) // a clock that was never set
	switch pl {
	case ward.IOS, ward.MacOS:
		newest = year - 2000 + 1
		before := map[ward.Platform]int{ward.IOS: 18, ward.MacOS: 15}[pl]
		if major > before && major < 26 {
			return fmt.Sprintf("there is none: Apple went from %d to 26.", before)
		}
		if pl == ward.MacOS {
			from = 10
		}
	case ward.Android:
		newest = year - 2026 + 17 + 1 // with the preview of the next
	case ward.Windows:
		if major != 10 {
			return "Windows 10 and 11 both call themselves 10.0: Windows 11 begins at 10.0.22000."
		}
		return ""
	default:
		return ""
	}
	switch {
	case major > newest:
		return fmt.Sprintf("the newest there can be is %d.", newest)
	case major < from:
		return "there is none."
	}
	return ""
}
