package brake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wardmdm/ward"
)

// version begins every encoding, so that an entry never reads as one of another form.
const version = "ward brake entry 1"

// encode returns the text that an entry's MAC is over: the version, every field but the
// MAC, and the MAC of the entry before, which is empty for the first and for a Reset. Each
// part has its length before it, so that no two entries share a text.
func encode(e Entry, before []byte) []byte {
	b := make([]byte, 0, 512)
	text := func(s string) {
		b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
		b = append(b, s...)
	}
	number := func(n int64) { b = binary.BigEndian.AppendUint64(b, uint64(n)) } //nolint:gosec // the bits are kept
	text(version)
	number(e.Seq)
	text(string(e.Event))
	text(string(e.Kind))
	number(micros(e.At))
	text(string(e.Order))
	text(string(e.Device))
	text(string(e.Enrolment))
	text(e.Site)
	text(e.Person)
	if e.Campaign {
		number(1)
	} else {
		number(0)
	}
	text(e.Hash)
	number(micros(e.Until))
	text(e.Note)
	text(string(before))
	return b
}

// sum returns the MAC of an entry that follows the one with the MAC before.
func sum(key []byte, e Entry, before []byte) (out [sha256.Size]byte) {
	h := hmac.New(sha256.New, key)
	h.Write(encode(e, before))
	copy(out[:], h.Sum(nil))
	return out
}

// genuine reports whether the entry carries its own MAC.
func genuine(key []byte, e Entry, before []byte) bool {
	want := sum(key, e, before)
	return hmac.Equal(want[:], e.MAC)
}

// micros returns t as microseconds UTC, 0 for the zero time, as the journal keeps it.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// exact returns t as it comes back from the journal.
func exact(t time.Time) time.Time {
	if n := micros(t); n != 0 {
		return time.UnixMicro(n).UTC()
	}
	return time.Time{}
}

// plain returns e with times as the journal keeps them. It refuses text that a database
// would not give back as it was.
func plain(e Entry) (Entry, error) {
	for _, s := range []string{string(e.Event), string(e.Kind), string(e.Order), string(e.Device), string(e.Enrolment), e.Site, e.Person, e.Hash, e.Note} {
		if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			return e, ward.Errorf(ward.Invalid, "The text %q holds characters that can't be kept.", s)
		}
	}
	e.At, e.Until = exact(e.At), exact(e.Until)
	return e, nil
}
