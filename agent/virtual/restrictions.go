package virtual

import (
	"fmt"
	"maps"
	"slices"

	"github.com/wardmdm/ward/agent"
)

// combine is how the values of several profiles become one. Apple gives the four
// families in the answer to the Restrictions command: restrictedBool, restrictedValue,
// union and intersection.
type combine int

const (
	allow  combine = iota // a boolean: false anywhere is false
	force                 // a boolean: true anywhere is true
	union                 // an array: what any profile lists
	common                // an array: what every profile lists
	least                 // an integer: the smallest
	most                  // an integer: the greatest
	last                  // anything else: the one that was read last
)

// demand is what Apple's schema asks of a device before it takes a key or a payload.
type demand uint8

const (
	sup         demand = 1 << iota // on iOS only with supervision
	noUE                           // forbidden in user enrolment on iOS
	macNoUE                        // forbidden in user enrolment on macOS
	once                           // iOS takes one payload of the type
	userChannel                    // a Mac takes it for a person, not for the whole Mac
)

// rule is what a device makes of one key. Keys that are not in the table are ignored, as
// iOS ignores keys that it does not know.
type rule struct {
	how      combine
	ios, mac string // version from which the system has it, "" for all that matter, or never
	needs    demand
	gone     string // version from which it does nothing any more; empty: none
}

// honours reports whether b obeys the rule.
func (b *body) honours(r rule) bool {
	switch {
	case !b.since(r.ios, r.mac), r.gone != "" && atLeast(b.os, r.gone):
		return false
	case b.mac():
		return true
	}
	return b.opt.Supervised || r.needs&sup == 0
}

// forbidden reports whether user enrolment forbids what has these demands.
func (b *body) forbidden(needs demand) bool {
	if !b.opt.UserEnrolment {
		return false
	}
	if b.mac() {
		return needs&macNoUE != 0
	}
	return needs&noUE != 0
}

// Restriction returns what is in force under a key of com.apple.applicationaccess, by
// all profiles together: a bool, a []string, an int64 or, where values do not combine,
// what the property list has. ok is false if nothing on the device sets the key, or if
// this device ignores it. A slice must not be changed.
func (b *body) Restriction(key string) (value any, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.restriction(key)
}

// restriction is Restriction for callers that hold b.mu.
func (b *body) restriction(key string) (any, bool) {
	v, ok := b.effects().restrictions[key]
	return v, ok
}

// off reports whether a restriction forbids what key allows.
func (b *body) off(key string) bool {
	v, _ := b.restriction(key)
	return v == false
}

// forced reports whether a restriction forces what key says.
func (b *body) forced(key string) bool {
	v, _ := b.restriction(key)
	return v == true
}

// sumRestrictions combines the restrictions of all profiles that b honours.
func (b *body) sumRestrictions() map[string]any {
	out := map[string]any{}
	for _, h := range b.profiles {
		for _, q := range h.payloads {
			if q.Type != typeRestrictions {
				continue
			}
			for key, v := range q.Content {
				if r, ok := restrictionRules[key]; ok && b.honours(r) {
					out[key] = r.add(out[key], v)
				}
			}
		}
	}
	for _, v := range out {
		if list, ok := v.([]string); ok {
			slices.Sort(list)
		}
	}
	return out
}

// add combines what is in force with one more value, whose type check has seen.
func (r rule) add(sum, v any) any {
	switch r.how {
	case allow, force:
		b, _ := v.(bool)
		if old, ok := sum.(bool); ok {
			return r.how == allow && old && b || r.how == force && (old || b)
		}
		return b
	case least, most:
		n := number(v)
		old, ok := sum.(int64)
		switch {
		case !ok:
			return n
		case r.how == least:
			return min(old, n)
		}
		return max(old, n)
	case last:
		return v
	default:
		old, ok := sum.([]string)
		if !ok {
			old = nil
		}
		return r.addList(old, ok, stringsOf(v))
	}
}

// addList joins two lists, of which the first may not be there yet.
func (r rule) addList(old []string, there bool, list []string) []string {
	if there && r.how == common {
		return slices.DeleteFunc(old, func(s string) bool { return !slices.Contains(list, s) })
	}
	seen := make(map[string]bool, len(old)+len(list))
	for _, s := range old {
		seen[s] = true
	}
	if old == nil {
		old = make([]string, 0, len(list))
	}
	for _, s := range list {
		if !seen[s] {
			seen[s] = true
			old = append(old, s)
		}
	}
	return old
}

// check reports a value of the wrong type, for which iOS refuses the profile.
func (r rule) check(key string, v any) error {
	ok := true
	switch r.how {
	case allow, force:
		_, ok = v.(bool)
	case least, most:
		switch v.(type) {
		case uint64, int64:
		default:
			ok = false
		}
	case union, common:
		list, isList := v.([]any)
		ok = isList && len(stringsOf(v)) == len(list)
	case last: // several types are used
	}
	if !ok {
		return &agent.ProfileError{Domain: agent.PayloadErrorDomain, Code: 2003, Text: fmt.Sprintf("%s has a value of the wrong type", key)}
	}
	return nil
}

// checkRestrictions holds the keys of a restrictions payload against what this device
// takes.
func (b *body) checkRestrictions(q agent.Payload) error {
	for _, key := range slices.Sorted(maps.Keys(q.Content)) {
		r, ok := restrictionRules[key]
		if !ok {
			continue
		}
		if err := r.check(key, q.Content[key]); err != nil {
			return err
		}
		if !b.mac() && b.forbidden(r.needs) {
			return refusal(codeUnacceptable, "%s is forbidden in user enrolment", key)
		}
	}
	return nil
}

// stringsOf returns the strings of a list in a new slice that is never nil.
func stringsOf(v any) []string {
	list, _ := v.([]any)
	out := make([]string, 0, len(list))
	for _, x := range list {
		if s, ok := x.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// number returns a whole number of a property list or of JSON, 0 for anything else.
func number(v any) int64 {
	switch n := v.(type) {
	case int64:
		return n
	case uint64:
		return int64(min(n, 1<<62))
	case float64:
		return int64(max(min(n, 1<<53), -1<<53))
	}
	return 0
}
