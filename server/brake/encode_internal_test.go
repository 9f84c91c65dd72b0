package brake

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
)

// FuzzEncode: two entries that differ never have the same encoding, whatever their parts
// hold: else one could stand for the other under its MAC.
func FuzzEncode(f *testing.F) {
	f.Add(int64(1), int64(5), "erase", "o1", "e1", "north", true, "before", int64(1), int64(5), "erase", "o1e1", "", "north", true, "before")
	f.Add(int64(1), int64(5), "a", "b", "c", "", false, "", int64(1), int64(5), "ab", "", "c", "", false, "")
	f.Add(int64(1), int64(0), "", "", "", "", false, "\x00", int64(256), int64(0), "", "", "", "", false, "")
	f.Fuzz(func(t *testing.T, seq1, at1 int64, a1, b1, c1, d1 string, yes1 bool, before1 string, seq2, at2 int64, a2, b2, c2, d2 string, yes2 bool, before2 string) {
		make1 := func(turn int, seq, at int64, a, b, c, d string, yes bool) Entry {
			parts := []string{a, b, c, d}
			p := func(i int) string { return parts[(i+turn)%4] } // every field gets every part once
			return Entry{
				Seq: seq, Event: Event(p(0)), Kind: Kind(p(1)), At: time.UnixMicro(at), Order: ward.OrderID(p(2)), Device: ward.DeviceID(p(3)), Enrolment: ward.EnrolmentID(p(0)),
				Site: p(1), Person: p(2), Campaign: yes, Hash: p(3), Until: time.UnixMicro(at), Note: p(1),
			}
		}
		for turn := range 4 {
			for other := range 4 {
				one, two := make1(turn, seq1, at1, a1, b1, c1, d1, yes1), make1(other, seq2, at2, a2, b2, c2, d2, yes2)
				one.At, one.Until, two.At, two.Until = exact(one.At), exact(one.Until), exact(two.At), exact(two.Until)
				same := cmp.Equal(one, two) && before1 == before2
				if got := bytes.Equal(encode(one, []byte(before1)), encode(two, []byte(before2))); got != same {
					t.Errorf("alike %v, want %v: %+v and %+v", got, same, one, two)
				}
			}
		}
	})
}

// TestEveryFieldIsUnderTheMAC: a field that is left out of the encoding could be changed
// unseen.
func TestEveryFieldIsUnderTheMAC(t *testing.T) {
	t.Parallel()
	key, e := make([]byte, 32), Entry{}
	for name, change := range map[string]func(*Entry){
		"Seq": func(e *Entry) { e.Seq++ }, "Event": func(e *Entry) { e.Event = "x" }, "Kind": func(e *Entry) { e.Kind = "x" },
		"At": func(e *Entry) { e.At = time.UnixMicro(1) }, "Order": func(e *Entry) { e.Order = "x" }, "Device": func(e *Entry) { e.Device = "x" },
		"Enrolment": func(e *Entry) { e.Enrolment = "x" }, "Site": func(e *Entry) { e.Site = "x" }, "Person": func(e *Entry) { e.Person = "x" },
		"Campaign": func(e *Entry) { e.Campaign = true }, "Hash": func(e *Entry) { e.Hash = "x" }, "Until": func(e *Entry) { e.Until = time.UnixMicro(1) },
		"Note": func(e *Entry) { e.Note = "x" },
	} {
		mac := sum(key, e, nil)
		changed := e
		changed.MAC = mac[:]
		change(&changed)
		if genuine(key, changed, nil) {
			t.Errorf("%s may be changed", name)
		}
	}
	mac := sum(key, e, []byte("before"))
	e.MAC = mac[:]
	if !genuine(key, e, []byte("before")) || genuine(key, e, nil) || genuine(append([]byte{1}, key[1:]...), e, []byte("before")) {
		t.Error("the MAC is not of the entry before, or of the key")
	}
}
