package profiles

import (
	"time"

	"github.com/wardmdm/ward/profiles/intent"
)

// Explanation says what a policy comes to on one device, and why.
type Explanation struct {
	Class    Class
	Limits   []intent.Outcome
	Excepted []intent.Exception
	// Origins say which line of which file gave each setting, in the order of the file.
	Origins []intent.Origin
	Notice  string
}

// Explain says what the policy comes to on a device at a time. It is computed by the
// compilers that make what the device gets. Open cases play no part.
func (p *Policy) Explain(s Subject, now time.Time) Explanation {
	s.Case = nil
	class := ClassOf(s, p, now)
	k := p.forClass(class, s, now)
	return Explanation{
		Class: class, Limits: Desired(s, p, now).Limits,
		Excepted: k.settled.Excepted, Origins: k.settled.Origins, Notice: k.settled.Wanted.Notice,
	}
}

// Artifacts returns exactly what such a device gets, one file each, with variables for
// its own values, in a fixed order.
func (p *Policy) Artifacts(s Subject, now time.Time) []intent.Artifact {
	return p.forClass(ClassOf(s, p, now), s, now).artifacts
}
