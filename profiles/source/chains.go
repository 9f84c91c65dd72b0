package source

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// pause is how long an app must have been kept off again before a further exception of it
// is one of its own, and not the last one under another name.
const pause = 30 * day

// chains reports exceptions of one app for the same devices that follow one another so
// closely that together they last longer than one may.
func (r *reader) chains() {
	type subject struct{ app, scope string }
	byWhat := map[subject][]Exception{}
	for _, e := range r.policy.Exceptions {
		if e.App == "" || e.For.Value == "" || e.From.IsZero() || e.Expires.Before(e.From) {
			continue // reported at its own place
		}
		s := subject{e.App, string(e.For.Kind) + " " + e.For.folded()}
		byWhat[s] = append(byWhat[s], e)
	}
	for _, all := range byWhat {
		slices.SortStableFunc(all, func(a, b Exception) int {
			return cmp.Or(a.From.Compare(b.From), a.Ends().Compare(b.Ends()))
		})
		r.chain(all)
	}
}

// chain goes through the exceptions of one subject in the order in which they begin.
func (r *reader) chain(all []Exception) {
	var last Exception // whose end is the latest
	var lasts time.Duration
	for i, e := range all {
		if i == 0 || e.From.Sub(last.Ends()) >= pause {
			last, lasts = e, e.Ends().Sub(e.From)
			continue
		}
		before := last
		if begins := later(e.From, last.Ends()); e.Ends().After(begins) {
			lasts += e.Ends().Sub(begins)
		}
		if e.Ends().After(last.Ends()) {
			last = e
		}
		if lasts > maxException+day { // the last day counts, as it does for one alone
			r.wrongAt(place{line: e.Line, column: e.column},
				"%s goes on where %s (line %d) ends, for the same app and the same %s: together they last %s, and %s is the most without %s between them; what is needed for longer is a change of policy",
				e.ID, before.ID, before.Line, e.For.Kind, span(lasts), span(maxException), span(pause))
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// folded is the value of a scope as devices are found by it. Identifiers keep their case.
func (s Scope) folded() string {
	if s.Kind == ForDevice || s.Kind == ForGroup {
		return s.Value
	}
	return strings.ToLower(s.Value)
}

// samePerson reports whether two ways in which a file names a person are one: letter case,
// spaces, dots and the order of names count for nothing, and an e-mail address names whom
// its part before the @ names. Two addresses are one person only at one host.
func samePerson(a, b string) bool {
	if strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b)) {
		return true
	}
	x, y := spoken(a), spoken(b)
	for _, n := range x {
		for _, m := range y {
			if n.name == m.name && (n.host == m.host || n.host == "" || m.host == "") {
				return true
			}
		}
	}
	return false
}

// called is one name of a person, with the host where it is that of an e-mail address.
type called struct{ name, host string }

// spoken gives the names in a text such as "Smith, Jo (Ward 7) <jo.smith@example.org>":
// what stands before a bracket, and each address.
func spoken(text string) []called {
	var out []called
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("<>(),;", r) }) {
		local, host, found := strings.Cut(strings.ToLower(word), "@")
		local, _, _ = strings.Cut(local, "+")
		if found {
			out = append(out, names(local, host)...)
		}
	}
	if i := strings.IndexAny(text, "<("); i >= 0 {
		text = text[:i]
	}
	if !strings.Contains(text, "@") {
		out = append(out, names(strings.ToLower(text), "")...)
	}
	return out
}

// names folds a name in the two ways in which it may be compared: as it runs, and with its
// parts in their alphabetical order.
func names(text, host string) []called {
	parts := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if len(parts) == 0 {
		return nil
	}
	asWritten := called{strings.Join(parts, ""), host}
	slices.Sort(parts)
	return []called{asWritten, {strings.Join(parts, " "), host}}
}
