package workstation

import (
	"fmt"
	"slices"
	"strings"
)

// list joins words as a sentence does: the first three, then how many more.
func list(words []string) string {
	const most = 3
	switch n := len(words); {
	case n == 0:
		return "nothing"
	case n == 1:
		return words[0]
	case n <= most:
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	case n == most+1:
		return strings.Join(words[:most], ", ") + " and 1 other"
	}
	return fmt.Sprintf("%s and %d others", strings.Join(words[:most], ", "), len(words)-most)
}

// sorted returns a sorted copy without repetitions; nil for none.
func sorted(words []string) []string {
	if len(words) == 0 {
		return nil
	}
	words = slices.Clone(words)
	slices.Sort(words)
	return slices.Compact(words)
}

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
