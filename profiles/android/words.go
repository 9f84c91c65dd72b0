package android

import (
	"strings"

	"github.com/wardmdm/ward/profiles/intent"
)

const (
	giveWorkPhone = "Give the person a work phone."
	noField       = "The Android Management API has no setting for it."
)

// told is an outcome that is being put into words.
func (c *compiler) told(o intent.Outcome) { c.out = append(c.out, o) }

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
