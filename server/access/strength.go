package access

import (
	"encoding/base32"
	"strings"

	"github.com/nbutton23/zxcvbn-go"
	"github.com/nbutton23/zxcvbn-go/match"
	"github.com/wardmdm/ward"
)

// minScore is the least of zxcvbn's scores from 0 to 4 that will do: about 10^8 guesses, which
// Argon2id and the waits between attempts make far too many.
const minScore = 3

// maxJudged bounds what zxcvbn looks at, whose work grows with the square of it.
const maxJudged = 72

// weak returns why a passphrase is easy to guess, "" if it is not. own are words that anybody
// would try for this person first.
func weak(passphrase string, own []string) string {
	judged := passphrase
	if len(judged) > maxJudged {
		judged = judged[:maxJudged]
	}
	lower := strings.ToLower(judged)
	var words []string
	for _, o := range own {
		for _, w := range append(strings.FieldsFunc(strings.ToLower(o), func(r rune) bool { return strings.ContainsRune(" .@-_'’", r) }), strings.ToLower(o)) {
			if len(w) > 2 {
				words = append(words, w)
			}
		}
	}
	r := zxcvbn.PasswordStrength(lower, words)
	if r.Score >= minScore {
		return ""
	}
	why := map[string]bool{}
	for _, m := range r.MatchSequence {
		why[reason(m, words)] = true
	}
	for _, w := range []string{yours, common, keys, dates, again, sequence} {
		if why[w] {
			return w
		}
	}
	return "it is too short for how plain it is"
}

// What makes a passphrase easy to guess, in words.
const (
	yours    = "it is made of your name, your e-mail address or the organisation’s name"
	common   = "it is made of passwords or words that everybody tries first"
	keys     = "it follows the keys of a keyboard"
	dates    = "it is mostly a date"
	again    = "it repeats the same characters"
	sequence = "it is mostly a sequence such as abcd or 1234"
)

func reason(m match.Match, own []string) string {
	for _, w := range own {
		if strings.Contains(m.Token, w) {
			return yours
		}
	}
	switch m.Pattern {
	case "dictionary":
		return common
	case "spatial":
		return keys
	case "date":
		return dates
	case "repeat":
		return again
	case "sequence":
		return sequence
	}
	return ""
}

// checkStrength refuses a passphrase that is guessed soon.
func checkStrength(passphrase string, p Person, organisation string) error {
	if why := weak(passphrase, []string{p.Name, p.Email, organisation, "ward"}); why != "" {
		return ward.Errorf(ward.Invalid, "This passphrase is easy to guess: %s. Take a few words that do not belong together.", why)
	}
	return nil
}

// base32Secret decodes a secret of an authenticator app.
func base32Secret(s string) ([]byte, error) {
	return base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(s)
}
