package reconcile

import (
	"hash/fnv"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
)

// spreadFrom is the shortest interval whose questions are spread: what is asked again sooner
// waits for something that is on its way.
const spreadFrom = refreshApps

// askAgain returns when a question that was answered at told, and is asked again about every
// so often, is due. Each enrolment has moments of its own for that, so that devices that
// enrolled on one morning, or that came back together after the server was away, do not all
// answer at one time ever after. All questions of one device fall on the same moments: one
// push asks them all. Answers come between a quarter of the interval and five quarters after
// one another.
func askAgain(of ward.EnrolmentID, told time.Time, every time.Duration) time.Time {
	if of == "" || every < spreadFrom {
		return told.Add(every)
	}
	h := fnv.New64a()
	h.Write([]byte(of)) // it returns no error
	phase := time.Duration(h.Sum64()%uint64(refreshFacts)) % every
	least := told.Add(every / 4)
	next := least.Add(-phase).Truncate(every).Add(phase)
	if !next.After(least) {
		next = next.Add(every)
	}
	return next
}

// commanded reports whether the device should have an app that commands manage: one that a
// declaration manages is in no answer to a question, and the device tells of it by itself.
func commanded(apps []profiles.App) bool {
	return slices.ContainsFunc(apps, func(a profiles.App) bool { return !a.Declared })
}
