package approver

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Subject folds what says who a human being is, a staff number or an e-mail address, so
// that spellings that look alike are alike: case, the width of characters and white space
// make no difference. It is "" for none.
func Subject(s string) string {
	folded := cases.Fold().String(norm.NFKC.String(s))
	return strings.Join(strings.Fields(norm.NFKC.String(folded)), " ")
}

// Statement returns what is vouched for: the canonical JSON of the approver's id, person,
// subject, name, whether they are from outside, passkey and time of registration in
// microseconds, in that order, without white space. What may change later is not in it.
func Statement(a Approver) []byte {
	b, err := json.Marshal(struct {
		ID      string `json:"id"`
		Person  string `json:"person"`
		Subject string `json:"subject"`
		Name    string `json:"name"`
		Outside bool   `json:"outside"`
		KeyID   []byte `json:"key_id"`
		Public  []byte `json:"public_key"`
		Counter uint32 `json:"counter"`
		At      int64  `json:"at"`
	}{a.ID, string(a.Person), a.Subject, a.Name, a.Outside, a.Key.ID, a.Key.Public, a.Key.Counter, a.At.UnixMicro()})
	if err != nil {
		panic(fmt.Sprintf("approver: a statement of strings and numbers: %v", err))
	}
	return b
}

// statementHash is the lower-case hexadecimal SHA-256 of the approver's statement.
func statementHash(a Approver) string {
	sum := sha256.Sum256(Statement(a))
	return hex.EncodeToString(sum[:])
}

// sound reports whether a record says what it said when its hash was made. JSON writes
// every string that is not UTF-8 alike, so such a one is never sound.
func sound(a Approver) bool {
	for _, s := range []string{a.ID, string(a.Person), a.Subject, a.Name} {
		if s == "" || !utf8.ValidString(s) {
			return false
		}
	}
	return len(a.Key.ID) > 0 && len(a.Key.Public) > 0 && a.Subject == Subject(a.Subject) && a.Hash == statementHash(a)
}

// Same reports whether two approvers are to count as one human being: one account, one
// subject, one passkey or one public key.
func Same(a, b Approver) bool {
	return a.Person == b.Person || Subject(a.Subject) == Subject(b.Subject) ||
		bytes.Equal(a.Key.ID, b.Key.ID) || bytes.Equal(a.Key.Public, b.Key.Public)
}

// Challenge returns what a passkey is asked to sign: the SHA-256 of a word that says what
// this is, the purpose, the hash and the nonce, each with its length before it, so that no
// two questions have one challenge.
func Challenge(p Purpose, hash string, nonce []byte) []byte {
	return digest("ward approver challenge v1", []byte(p), []byte(hash), nonce)
}

// digest is the SHA-256 of parts that can't be confused: each has its length before it.
func digest(domain string, parts ...[]byte) []byte {
	sum := sha256.Sum256(joined(domain, parts...))
	return sum[:]
}

// joined puts parts together, each with its length before it.
func joined(domain string, parts ...[]byte) []byte {
	out := binary.BigEndian.AppendUint64(nil, uint64(len(domain)))
	out = append(out, domain...)
	for _, p := range parts {
		out = binary.BigEndian.AppendUint64(out, uint64(len(p)))
		out = append(out, p...)
	}
	return out
}

// validHash reports whether h is a SHA-256 in lower-case hexadecimal.
func validHash(h string) bool {
	return len(h) == 2*sha256.Size && !strings.ContainsFunc(h, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'f')
	})
}

// printable reports whether people can read every character of s.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
