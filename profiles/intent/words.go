package intent

import (
	"fmt"
	"slices"
	"strings"
)

// List joins words as a sentence does: the first three, then how many more. None is
// "nothing".
func List(words []string) string {
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

// Sorted returns a sorted copy without repetitions; nil for none.
func Sorted(words []string) []string {
	if len(words) == 0 {
		return nil
	}
	words = slices.Clone(words)
	slices.Sort(words)
	return slices.Compact(words)
}
