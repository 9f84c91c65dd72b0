package casefile_test

import (
	"testing"
	"time"

	"github.com/wardmdm/ward/server/casefile"
	"github.com/wardmdm/ward/server/command"
)

// TestWords: what is said of a command is what is known, and never more.
func TestWords(t *testing.T) {
	t.Parallel()
	const asked, handed, answered = "03:00:00", "03:00:01", "03:00:02"
	for _, tt := range []struct {
		name            string
		c               casefile.Command
		standing, words string
	}{
		{"waiting, never seen", casefile.Command{State: "waiting", Queued: at(asked)}, "waiting", "waiting for the device"},
		{"waiting, silent", casefile.Command{State: "waiting", Queued: at(asked), LastSeen: at("02:00:00")}, "waiting", "waiting for the device, not seen since 14 November 2026 02:00:00 UTC"},
		{"waiting, seen", casefile.Command{State: "waiting", Queued: at(asked), LastSeen: at("04:00:00")}, "waiting", "waiting for the device, last seen at 14 November 2026 04:00:00 UTC"},
		{"held", casefile.Command{State: "held", Queued: at(asked), Error: "4 erasures in an hour"}, "held", "held by the brake until two people release it: 4 erasures in an hour"},
		{"delivered, silent", casefile.Command{State: "delivered", Delivered: at(handed), LastSeen: at(answered)}, "delivered", "delivered at 14 November 2026 03:00:01 UTC, not answered yet, not seen since 14 November 2026 03:00:02 UTC"},
		{"delivered, seen", casefile.Command{State: "delivered", Delivered: at(handed), LastSeen: at("04:00:00")}, "delivered", "delivered at 14 November 2026 03:00:01 UTC, not answered yet, last seen at 14 November 2026 04:00:00 UTC"},
		{"not now", casefile.Command{State: "not now", Deferred: at(handed)}, "not now", "the device asked at 14 November 2026 03:00:01 UTC to be asked later"},
		{"a lock accepted", casefile.Command{RequestType: "DeviceLock", State: "accepted", Answered: at(answered), LastSeen: at("04:00:00")}, "accepted", "accepted by the device at 14 November 2026 03:00:02 UTC"},
		{"an erase accepted, silent", casefile.Command{RequestType: "EraseDevice", State: "accepted", Answered: at(answered), LastSeen: at("03:00:04")}, "accepted, not seen since", "accepted by the device at 14 November 2026 03:00:02 UTC; not seen since"},
		{"an erase accepted, seen", casefile.Command{RequestType: "EraseDevice", State: "accepted", Answered: at(answered), LastSeen: at("03:00:05")}, "accepted, seen since", "accepted by the device at 14 November 2026 03:00:02 UTC, but it was seen again at 14 November 2026 03:00:05 UTC, so it has not been erased yet"},
		{"an erase accepted, fresh", casefile.Command{RequestType: "EraseDevice", State: "accepted", Answered: at(answered), LastSeen: at("05:00:00"), Afresh: at("04:00:00")}, "came back fresh", "accepted by the device at 14 November 2026 03:00:02 UTC; it was erased and came back fresh at 14 November 2026 04:00:00 UTC"},
		{"an erase accepted, enrolled anew before", casefile.Command{RequestType: "EraseDevice", State: "accepted", Answered: at(answered), LastSeen: at("03:00:02"), Afresh: at("02:00:00")}, "accepted, not seen since", "accepted by the device at 14 November 2026 03:00:02 UTC; not seen since"},
		{"an erase accepted, no contact known", casefile.Command{RequestType: "EraseDevice", State: "accepted", Answered: at(answered)}, "accepted", "accepted by the device at 14 November 2026 03:00:02 UTC; whether it was seen since is not known"},
		{"refused", casefile.Command{State: "refused", Answered: at(answered), Error: "12021 unknown"}, "refused", "refused by the device at 14 November 2026 03:00:02 UTC: 12021 unknown"},
		{"taken back", casefile.Command{State: "cancelled", Answered: at(answered)}, "taken back", "taken back at 14 November 2026 03:00:02 UTC"},
		{"withheld", casefile.Command{State: "withheld", Answered: at(answered), Error: "its seal is broken"}, "withheld", "withheld at 14 November 2026 03:00:02 UTC: its seal is broken"},
		{"expired, never delivered", casefile.Command{State: "expired", Answered: at(answered)}, "expired", "expired at 14 November 2026 03:00:02 UTC, not delivered"},
		{"expired, delivered", casefile.Command{State: "expired", Delivered: at(handed), Answered: at(answered)}, "expired", "expired at 14 November 2026 03:00:02 UTC, delivered at 14 November 2026 03:00:01 UTC and not answered"},
		{"a state that is new", casefile.Command{State: "lost in the post"}, "lost in the post", "lost in the post"},
		{"a time that is missing", casefile.Command{State: "refused"}, "refused", "refused by the device at a time that is not known"},
	} {
		if got := casefile.Standing(tt.c); got != tt.standing {
			t.Errorf("%s: standing = %q, want %q", tt.name, got, tt.standing)
		}
		if got := casefile.Words(tt.c); got != tt.words {
			t.Errorf("%s: words = %q, want %q", tt.name, got, tt.words)
		}
	}
}

// TestWordsForEveryState: each state of the queue has a sentence of its own.
func TestWordsForEveryState(t *testing.T) {
	t.Parallel()
	for _, s := range []command.State{command.Waiting, command.Delivered, command.Deferred, command.Accepted, command.Refused, command.Cancelled, command.Withheld} {
		if got := casefile.Words(casefile.Command{State: string(s)}); got == string(s) {
			t.Errorf("words of a command that is %s = %q, want a sentence", s, got)
		}
	}
}

// TestInShort: which of several commands the first lines of the file speak of.
func TestInShort(t *testing.T) {
	t.Parallel()
	erase := func(c casefile.Command) casefile.Command {
		c.RequestType = "EraseDevice"
		return c
	}
	seenSince := erase(casefile.Command{State: "accepted", Queued: at("03:10:00"), Answered: at("03:11:00"), LastSeen: at("04:00:00")})
	silent := erase(casefile.Command{State: "accepted", Queued: at("04:30:00"), Answered: at("04:31:00"), LastSeen: at("04:31:00")})
	open := erase(casefile.Command{State: "waiting", Queued: at("05:00:00"), LastSeen: at("04:31:00")})
	for _, tt := range []struct {
		name     string
		commands []casefile.Command
		want     string
	}{
		{"none", nil, "No erase was sent"},
		{"one that did nothing, then a new one", []casefile.Command{seenSince, open}, "Waiting for the device, not seen since 14 November 2026 04:31:00 UTC"},
		{"one that may have worked, then a new one", []casefile.Command{silent, open}, "Accepted by the device at 14 November 2026 04:31:00 UTC, 87 min 0 s after the report; not seen since"},
		{"one before the report", []casefile.Command{erase(casefile.Command{State: "accepted", Queued: at("02:00:00"), Answered: at("02:00:00"), LastSeen: at("02:00:00")})}, "Accepted by the device at 14 November 2026 02:00:00 UTC; not seen since"},
	} {
		v := casefile.NewView(casefile.Source{MadeAt: at("18:00:00"), Case: &casefile.Case{ID: "case-1", Reported: at("03:04:00")}, Commands: tt.commands})
		var got string
		for _, r := range v.Sections[0].Rows {
			if r.Label == "Erase" {
				got = r.Value
			}
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestTook(t *testing.T) {
	t.Parallel()
	for in, want := range map[time.Duration]string{
		0:                        "0.000 s",
		412 * time.Millisecond:   "0.412 s",
		83200 * time.Millisecond: "83.2 s",
		312 * time.Second:        "5 min 12 s",
		185 * time.Minute:        "3 h 5 min",
		76 * time.Hour:           "3 d 4 h",
	} {
		if got := casefile.Took(in); got != want {
			t.Errorf("took(%s) = %q, want %q", in, got, want)
		}
	}
}

func TestRanges(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in   []int64
		want string
	}{{nil, ""}, {[]int64{7}, "7"}, {[]int64{3, 4, 5, 9}, "3 to 5, 9"}, {[]int64{1, 3}, "1, 3"}} {
		if got := casefile.Ranges(tt.in); got != tt.want {
			t.Errorf("ranges(%v) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

// TestDecisionDeadline: an undecided case says when the 72 hours end, or that they did.
func TestDecisionDeadline(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		made time.Time
		want string
	}{
		{"in time", at("18:00:00"), "Not decided; the 72 hours end at 14 November 2026 20:00:00 UTC"},
		{"late", at("20:00:01"), "Not decided; the 72 hours ended at 14 November 2026 20:00:00 UTC"},
	} {
		v := casefile.NewView(casefile.Source{MadeAt: tt.made, Case: &casefile.Case{ID: "case-1"}, Assessment: &casefile.Assessment{Deadline: at("20:00:00")}})
		rows := v.Sections[0].Rows
		if got := rows[len(rows)-1].Value; got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
