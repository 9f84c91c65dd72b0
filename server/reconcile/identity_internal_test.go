package reconcile

import (
	"fmt"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
)

const (
	testDay  = 24 * time.Hour
	testLife = 2 * 365 * testDay
)

var issued = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// TestRenewAt: identities are renewed when half of their lives is over at the latest, and
// those that were issued together over the month before.
func TestRenewAt(t *testing.T) {
	t.Parallel()
	i := Identity{From: issued, Until: issued.Add(testLife)}
	perDay := map[int]int{}
	const n = 30_000
	for k := range n {
		id := ward.EnrolmentID(fmt.Sprint("enr_", k))
		at := i.RenewAt(id)
		early := issued.Add(testLife / 2).Sub(at)
		if early < 0 || early >= renewalSpread {
			t.Fatalf("RenewAt(%s) is %s before the half, want 0 to %s", id, early, renewalSpread)
		}
		if again := i.RenewAt(id); !again.Equal(at) {
			t.Fatalf("RenewAt(%s) = %s and %s", id, at, again)
		}
		perDay[int(early/testDay)]++
	}
	for day := range 30 {
		if got := perDay[day]; got < n/30*8/10 || got > n/30*12/10 {
			t.Errorf("%d of %d identities are renewed on day %d before the half, want about %d", got, n, day, n/30)
		}
	}
	short := Identity{From: issued, Until: issued.Add(4 * testDay)}
	for k := range 1000 {
		at := short.RenewAt(ward.EnrolmentID(fmt.Sprint("enr_", k)))
		if at.Before(issued.Add(testDay)) || at.After(issued.Add(2*testDay)) {
			t.Fatalf("an identity for 4 days is renewed after %s, want 1 to 2 days", at.Sub(issued))
		}
	}
}

func TestPlanRenewal(t *testing.T) {
	t.Parallel()
	i := Identity{Serial: "7", From: issued, Until: issued.Add(testLife)}
	const id = "enr_1"
	due, half := i.RenewAt(id), issued.Add(testLife/2)
	late := i.Until.Add(300 * testDay)
	at := func(s command.State, tries int, queued, answered time.Time) Attempt {
		return Attempt{Key: identityKey, State: s, Tries: tries, Queued: queued, Answered: answered}
	}
	for _, tc := range []struct {
		name    string
		last    Attempt
		present bool
		now     time.Time
		want    renewal
	}{
		{"not due", Attempt{}, true, due.Add(-time.Second), renewal{next: due}},
		{"not due, but tried before", at(command.Accepted, 0, issued, issued), true, issued.Add(testDay), renewal{next: due}},
		{"due and there", Attempt{}, true, due, renewal{issue: true, next: due.Add(testDay)}},
		{"due and away", Attempt{}, false, due, renewal{wake: true, next: due.Add(testDay)}},
		{"last year's renewal", at(command.Accepted, 0, issued.Add(-time.Hour), issued.Add(time.Minute)), true, half, renewal{issue: true, next: half.Add(testDay)}},
		{"waiting", at(command.Waiting, 1, half, time.Time{}), true, half.Add(time.Hour), renewal{next: half.Add(renewalStale)}},
		{"delivered, and its answer lost", at(command.Delivered, 1, half, time.Time{}), true, half.Add(time.Hour), renewal{next: half.Add(renewalStale)}},
		{"not now for days", at(command.Deferred, 1, half, time.Time{}), true, half.Add(renewalStale), renewal{issue: true, stale: true, next: half.Add(renewalStale + testDay)}},
		{"waiting for days, and away", at(command.Waiting, 1, half, time.Time{}), false, half.Add(renewalStale), renewal{wake: true, stale: true, next: half.Add(renewalStale + testDay)}},
		{"refused just now", at(command.Refused, 1, half, half), true, half, renewal{next: half.Add(time.Minute)}},
		{"refused a minute ago", at(command.Refused, 1, half, half), true, half.Add(time.Minute), renewal{issue: true, next: half.Add(time.Minute + testDay)}},
		{"refused three times", at(command.Refused, 3, half, half), true, half.Add(time.Minute), renewal{next: half.Add(16 * time.Minute)}},
		{"refused a thousand times", at(command.Refused, 1000, half, half), true, half.Add(time.Hour), renewal{next: half.Add(testDay)}},
		{"refused a thousand times, a day ago", at(command.Refused, 1000, half, half), true, half.Add(testDay), renewal{issue: true, next: half.Add(2 * testDay)}},
		{"withheld", at(command.Withheld, 1, half, half), true, half, renewal{next: half.Add(time.Minute)}},
		{"taken back", at(command.Cancelled, 1, half, half), true, half, renewal{issue: true, next: half.Add(testDay)}},
		{"accepted and not used", at(command.Accepted, 0, half, half), true, half.Add(time.Hour), renewal{next: half.Add(testDay)}},
		{"accepted and not used for a day", at(command.Accepted, 0, half, half), true, half.Add(testDay), renewal{issue: true, next: half.Add(2 * testDay)}},
		{"ended", Attempt{}, true, late, renewal{issue: true, next: late.Add(testDay)}},
		{"ended, refused many times", at(command.Refused, 9, late, late), true, late, renewal{next: late.Add(time.Hour)}},
		{"ended, accepted and not used", at(command.Accepted, 0, late, late), true, late.Add(time.Hour), renewal{issue: true, next: late.Add(25 * time.Hour)}},
	} {
		if got := planRenewal(id, i, tc.last, tc.present, tc.now); got != tc.want {
			t.Errorf("%s: planRenewal() = %+v, want %+v", tc.name, got, tc.want)
		}
	}
}
