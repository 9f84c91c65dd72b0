package notify

import (
	"strings"
	"unicode"
)

// How long texts may be, in characters.
const (
	maxSubject = 200
	maxBody    = 8000
	maxError   = 500
)

// oneLine returns s as one line of at most so many characters that can be seen: no line
// break, no control character, none that turns the direction of reading.
func oneLine(s string, most int) string {
	return cut(strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "\uFFFD"), func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " "), most)
}

// lines does the same to a text of several lines, which keeps its paragraphs.
func lines(s string, most int) string {
	var out []string
	for line := range strings.SplitSeq(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s), "\n") {
		out = append(out, oneLine(line, most))
	}
	return cut(strings.Trim(strings.Join(out, "\n"), "\n"), most)
}

func cut(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most-1]) + "…"
}
