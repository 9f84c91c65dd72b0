package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/intent"
)

// thing is one part of a state. Two of one key are the same where their hashes are.
type thing struct{ name, hash string }

// changes says what differs between two states; it is never nil.
func changes(before, now *profiles.State) []Change {
	out := []Change{}
	list := func(what string, of func(st *profiles.State) map[string]thing) {
		out = append(out, differences(what, of(before), of(now))...)
	}
	list("profile", func(st *profiles.State) map[string]thing {
		return index(st.Profiles, func(p profiles.Profile) (string, thing) {
			return p.Identifier, thing{cmp.Or(p.Name, p.Identifier), p.Hash}
		})
	})
	list("declaration", func(st *profiles.State) map[string]thing {
		return index(st.Declarations, func(d profiles.Declaration) (string, thing) { return d.Identifier, thing{d.Identifier, d.Token} })
	})
	list("app", func(st *profiles.State) map[string]thing {
		return index(st.Apps, func(a profiles.App) (string, thing) { return a.BundleID, thing{a.Name, a.Hash} })
	})
	out = append(out, settings(before.Limits, now.Limits)...)
	if fmt.Sprintf("%+v", before.Posture) != fmt.Sprintf("%+v", now.Posture) {
		out = append(out, Change{"changed", "setting", "What a device must be to comply"})
	}
	return out
}

// settings says what differs in what becomes of each intent.
func settings(before, now []intent.Outcome) []Change {
	named := func(all []intent.Outcome) map[string]intent.Outcome {
		twins := map[string]int{}
		return index(all, func(o intent.Outcome) (string, intent.Outcome) {
			id := string(o.ID) + " " + o.Subject
			twins[id]++
			return fmt.Sprint(id, " ", twins[id]), o
		})
	}
	was, is := named(before), named(now)
	things := func(of, other map[string]intent.Outcome) map[string]thing {
		out := make(map[string]thing, len(of))
		for k, o := range of {
			name := o.Intent + ": " + string(o.Verdict)
			if twin, ok := other[k]; ok {
				name += covered(twin.Covers, o.Covers)
			}
			out[k] = thing{name, fmt.Sprint(o.Intent, o.Verdict, o.Covers)}
		}
		return out
	}
	return differences("setting", things(was, nil), things(is, was))
}

// covered says what an intent reaches now and did not, and the other way round.
func covered(was, is []string) string {
	var words []string
	if more := without(is, was); len(more) > 0 {
		words = append(words, "now "+some(more))
	}
	if less := without(was, is); len(less) > 0 {
		words = append(words, "no longer "+some(less))
	}
	if len(words) == 0 {
		return ""
	}
	return " (" + strings.Join(words, "; ") + ")"
}

func index[T, V any](all []T, of func(T) (string, V)) map[string]V {
	out := make(map[string]V, len(all))
	for _, v := range all {
		k, t := of(v)
		out[k] = t
	}
	return out
}

// differences compares two sets by key, in order of the names.
func differences(what string, a, b map[string]thing) []Change {
	var out []Change
	for k, v := range b {
		old, ok := a[k]
		switch {
		case !ok:
			out = append(out, Change{"added", what, v.name})
		case old.hash != v.hash:
			out = append(out, Change{"changed", what, v.name})
		}
	}
	for k, v := range a {
		if _, ok := b[k]; !ok {
			out = append(out, Change{"removed", what, v.name})
		}
	}
	slices.SortFunc(out, func(x, y Change) int { return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.How, y.How)) })
	return out
}
