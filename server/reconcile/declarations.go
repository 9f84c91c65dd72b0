package reconcile

import (
	"slices"
	"time"

	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/fleet"
)

// declarationsKey begins the key of the step that tells a device to compare its
// declarations with the server's; the token of the set follows.
const declarationsKey = "declarations:"

// Valid is the word of a device for a declaration that it took.
// Source: Apple's schema, declarative/status/management.declarations.yaml.
const (
	Valid   = "valid"
	Invalid = "invalid"
)

// patience is how long a device may take to report on its declarations before it is told
// of them again.
const patience = time.Hour

// declarations tells the device of its set when it is another, or when the device says
// that it does not hold one of them. One that it holds and calls invalid is not sent
// again: it would refuse it again.
func (p *planner) declarations() {
	last, ever := p.lastAccepted(declarationsKey)
	if p.want.DeclarationsToken == "" && !ever {
		return
	}
	key := declarationsKey + p.want.DeclarationsToken
	if ever && last.Key == key {
		if p.holdsAll() { // a device to which nothing is new sends no report
			return
		}
		if due := last.Answered.Add(patience); due.After(p.now) {
			p.at(due)
			return
		}
	}
	p.issue(Step{Key: key, Deed: Declare})
}

// holdsAll reports whether the device lists every wanted declaration in its version.
func (p *planner) holdsAll() bool {
	return !slices.ContainsFunc(p.want.Declarations, func(d profiles.Declaration) bool {
		_, held := p.got.declaration(d)
		return !held
	})
}

func (o Observed) declaration(d profiles.Declaration) (fleet.Declaration, bool) {
	if o.Declarations == nil {
		return fleet.Declaration{}, false
	}
	i := slices.IndexFunc(o.Declarations.Value, func(h fleet.Declaration) bool {
		return h.Identifier == d.Identifier && h.Token == d.Token
	})
	if i < 0 {
		return fleet.Declaration{}, false
	}
	return o.Declarations.Value[i], true
}

// Holds reports whether the device says that it holds this version of a declaration,
// active and valid.
func (v View) Holds(d profiles.Declaration) bool {
	h, ok := v.Got.declaration(d)
	return ok && h.Active && h.Valid == Valid
}

// RefusedDeclarations returns the wanted declarations that the device calls invalid.
func (v View) RefusedDeclarations() []fleet.Declaration {
	var out []fleet.Declaration
	for _, d := range v.Want.Declarations {
		if h, ok := v.Got.declaration(d); ok && h.Valid == Invalid {
			out = append(out, h)
		}
	}
	return out
}
