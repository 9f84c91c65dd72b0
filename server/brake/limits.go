package brake

import (
	"fmt"
	"slices"
	"time"
)

const day = 24 * time.Hour

// DefaultLimits returns the windows of an installation that set none. A kind without any
// is never held.
func DefaultLimits() map[Kind][]Limit {
	one := []Limit{{Window: time.Hour, Most: 50, PerPerson: 10}, {Window: day, Most: 200, Share: 0.05, PerPerson: 50}}
	return map[Kind][]Limit{
		Erase:            {{Window: time.Hour, Most: 3}, {Window: day, Most: 10, Share: 0.01}},
		ClearPasscode:    {{Window: time.Hour, Most: 5}, {Window: day, Most: 20}},
		RemoveManagement: {{Window: time.Hour, Most: 20}, {Window: day, Most: 50, Share: 0.05}},
		LockPIN:          {{Window: time.Hour, Most: 5}, {Window: day, Most: 20}},
		Lock:             one, Report: one, Revoke: one,
		MakeCode: {{Window: time.Hour, Most: 500, PerPerson: 100}},
	}
}

// ByOrder reports whether deeds of the kind are carried out by orders, which two people
// approve: they are taken as Delivered, the others as Used.
func (k Kind) ByOrder() bool {
	return k == Erase || k == ClearPasscode || k == RemoveManagement || k == LockPIN
}

// Words returns what people call one deed of the kind, and several.
func Words(k Kind) (singular, plural string) {
	switch k {
	case Erase:
		return "erasure", "erasures"
	case ClearPasscode:
		return "passcode removal", "passcode removals"
	case RemoveManagement:
		return "removal of management", "removals of management"
	case LockPIN:
		return "lock with a PIN", "locks with a PIN"
	case Lock:
		return "lock", "locks"
	case Report:
		return "report of a lost device", "reports of lost devices"
	case Revoke:
		return "revocation", "revocations"
	case MakeCode:
		return "recovery code", "recovery codes"
	}
	return string(k), string(k)
}

// count says a number of deeds in words.
func count(k Kind, n int) string {
	one, many := Words(k)
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// thereWere says that there were so many deeds.
func thereWere(k Kind, n int) string {
	if n == 1 {
		return "There was " + count(k, n)
	}
	return "There were " + count(k, n)
}

// span says a window in words.
func span(d time.Duration) string {
	switch {
	case d == time.Hour:
		return "an hour"
	case d == day:
		return "a day"
	case d%day == 0:
		return fmt.Sprintf("%d days", d/day)
	case d%time.Hour == 0:
		return fmt.Sprintf("%d hours", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return d.String()
}

// sound returns what is wrong with a configuration's limits, nil if nothing is.
func sound(limits map[Kind][]Limit) error {
	for k, list := range limits {
		if !known(k) {
			return fmt.Errorf("brake: there is no kind %q", k)
		}
		for _, l := range list {
			if l.Window <= 0 || l.Most < 1 || l.Share < 0 || l.Share > 1 || l.PerSite < 0 || l.PerPerson < 0 {
				return fmt.Errorf("brake: the limit of %s is none: its window and its number must be more than 0, its share 0 to 1, and nothing negative", k)
			}
		}
	}
	return nil
}

func known(k Kind) bool { return slices.Contains(Kinds, k) }
