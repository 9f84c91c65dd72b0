package workstation

import (
	"slices"
)

// unique returns a copy without repetitions, in the order of first sight.
func unique(words []string) []string {
	var out []string
	for _, w := range words {
		if !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}
