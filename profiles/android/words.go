package android

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wardmdm/ward/profiles/intent"
)

const (
	giveWorkPhone = "Give the person a work phone."
	noField       = "The Android Management API has no setting for it."
)

// told is an outcome that is being put into words.
func (c *compiler) told(o intent.Outcome) { c.out = append(c.out, o) }

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

// shorten cuts a text to a number of characters, at a word where there is one.
func shorten(text string, most int) string {
	runes := []rune(strings.TrimSpace(text))
	if len(runes) <= most {
		return string(runes)
	}
	cut := string(runes[:most-1])
	if i := strings.LastIndexByte(cut, ' '); i > 0 {
		cut = cut[:i]
	}
	return cut + "…"
}
