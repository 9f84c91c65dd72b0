package report

import (
	"strings"
	"unicode"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/unicode/norm"
)

// plain are characters that decompose into nothing that Windows-1252 has, with what they
// are written as instead.
var plain = map[rune]string{
	'ł': "l", 'Ł': "L", 'đ': "d", 'Đ': "D", 'ħ': "h", 'Ħ': "H", 'ı': "i", 'ŋ': "n", 'Ŋ': "N", 'ŧ': "t", 'Ŧ': "T",
	'‐': "-", '‑': "-", '−': "-", '‒': "-", '―': "—", '″': "\"", '′': "'", '→': "->", '≤': "<=", '≥': ">=",
	'\u2009': " ", '\u200a': " ", '\u202f': " ", '\u2028': "\n", '\u2029': "\n", '\u200b': "", '\u200d': "", '\ufeff': "",
}

// Latin writes text in Windows-1252, which is what a PDF's own fonts can show. Accents that
// it lacks are dropped from their letters, and what remains becomes a question mark; whole
// is false then. Controls but the newline become spaces.
func Latin(text string) (out string, whole bool) {
	var b strings.Builder
	whole = true
	put := func(r rune) bool {
		c, ok := charmap.Windows1252.EncodeRune(r)
		if ok && r >= ' ' && (r < 0x7f || r > 0x9f) {
			b.WriteByte(c)
		}
		return ok
	}
	for _, r := range norm.NFC.String(text) {
		switch {
		case r == '\n':
			b.WriteByte('\n')
		case r < ' ' || r >= 0x7f && r <= 0x9f:
			b.WriteByte(' ')
		case put(r):
		default:
			whole = letters(r, put, b.WriteString) && whole
		}
	}
	return b.String(), whole
}

// letters writes what is left of r without its accents, or a question mark. It reports
// whether a reader would miss something.
func letters(r rune, put func(rune) bool, write func(string) (int, error)) bool {
	if s, ok := plain[r]; ok {
		_, _ = write(s)
		return true
	}
	done := false
	for _, d := range norm.NFKD.String(string(r)) {
		if d != r && !unicode.Is(unicode.Mn, d) {
			done = put(d) || done
		}
	}
	if !done && !unicode.Is(unicode.Mn, r) {
		put('?')
	}
	return false
}
