package authorize

import (
	"context"
	"fmt"
	"hash/fnv"
	"sort"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/reconcile"
)

// Verdict is what was last said of a device, for how long that holds if nothing happens,
// and what it turns into then.
type Verdict struct {
	Device ward.DeviceID
	State  compliance.State // empty: never judged
	Code   string           // of the finding that decided; empty where none did
	// Until is when the verdict turns by the mere passing of time, as when a grace ends or
	// a device has not been heard from for too long; in whole seconds.
	Until time.Time
	// Then is the state from Until on; empty: the device has to be judged again by then.
	Then     compliance.State
	ThenCode string
}

// At returns the state at a time. One that nobody could know then is Unknown.
func (v Verdict) At(now time.Time) compliance.State {
	switch {
	case v.State == "":
		return compliance.Unknown
	case now.Before(v.Until):
		return v.State
	case v.Then != "":
		return v.Then
	}
	return compliance.Unknown
}

const (
	// day is how often a device is judged at least.
	day = 24 * time.Hour
	// early is how long before a verdict turns the device is judged again: it may have been
	// heard from since, which by itself is no reason to judge it.
	early = 10 * time.Minute
)

// Judge says what a device's view comes to at a time. What it finds moves only with what
// is known of the device and once a day, so that most verdicts need no writing. It is pure.
func Judge(v reconcile.View, now time.Time) Verdict {
	a := compliance.Assess(v, now)
	out := Verdict{Device: v.Device.ID, State: a.State, Code: code(a), Until: horizon(v.Device.ID, now)}
	if turned := compliance.Assess(v, out.Until); standing(turned.State) == standing(a.State) {
		return out
	}
	// A device that is let in is not once it has turned, however long one waits: there is one
	// moment to find. Among those that are not let in, what is known to be bad may come to
	// count as unknown and the other way; of several such moments one is found.
	from, to := now.Unix()+1, out.Until.Unix()
	n := sort.Search(int(to-from), func(i int) bool {
		return standing(compliance.Assess(v, time.Unix(from+int64(i), 0).UTC()).State) != standing(a.State)
	})
	out.Until = time.Unix(from+int64(n), 0).UTC()
	turned := compliance.Assess(v, out.Until)
	out.Then, out.ThenCode = turned.State, code(turned)
	return out
}

func code(a compliance.Assessment) string {
	if len(a.Findings) == 0 {
		return ""
	}
	return a.Findings[0].Code
}

// horizon returns how far a verdict reaches at most: one to two days ahead, at a time of
// day of the device's own, so that not all devices are due together.
func horizon(id ward.DeviceID, now time.Time) time.Time {
	h := fnv.New32a()
	h.Write([]byte(id))
	offset := time.Duration(h.Sum32()%uint32(day/time.Second)) * time.Second
	return now.Add(-offset).Truncate(day).Add(offset + 2*day).UTC()
}

// Judged judges a device within the unit of work in ctx, keeps the verdict, and returns
// when it has to be judged again. The loop calls it when it has planned the device.
func (s *Service) Judged(ctx context.Context, v reconcile.View) (time.Time, error) {
	now := s.Now()
	verdict := Judge(v, now)
	if err := s.Store.SaveVerdict(ctx, verdict); err != nil {
		return time.Time{}, fmt.Errorf("keep verdict on %s: %w", v.Device.ID, err)
	}
	if next := verdict.Until.Add(-early); next.After(now) {
		return next, nil
	}
	return verdict.Until, nil
}
