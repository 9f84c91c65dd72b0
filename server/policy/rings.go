package policy

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/xrash/smetrics"

	"github.com/wardmdm/ward"
)

// What holds for a rollout in rings that does not say.
const (
	DefaultPause  = 30 * time.Minute
	DefaultStopAt = 0.05
	maxPause      = 30 * 24 * time.Hour
	maxRings      = 20
	// leastFailures is how many devices must have failed at least for a rollout to stop: a
	// single broken phone stops nothing, unless it is all that a small ring has.
	leastFailures = 2
	smallRing     = 20 // devices; a ring of fewer is small
)

// Rings says how a version reaches the fleet: ring by ring, with a pause between. The
// zero value is every device at once.
type Rings struct {
	// Canary are groups of devices (ward.Device.Group) that are the first ring; empty: none.
	Canary []string
	// Percent says how many of a hundred of the other devices have the version once each
	// further ring is open, by a hash of their ids; ascending, and 100 at the end.
	Percent []int
	// Pause is how long a ring is watched before the next one opens.
	Pause time.Duration
	// StopAt is the share of the devices in open rings, above 0 up to 1, at which failures
	// stop the rollout.
	StopAt float64
}

// AtOnce reports whether there is but one ring, with every device.
func (r Rings) AtOnce() bool { return len(r.Canary) == 0 && len(r.Percent) < 2 }

// Count returns how many rings there are.
func (r Rings) Count() int {
	if r.AtOnce() {
		return 1
	}
	n := len(r.Percent)
	if len(r.Canary) > 0 {
		n++
	}
	return n
}

// Of returns the ring in which a device first gets the version, counted from 0.
func (r Rings) Of(d ward.Device) int {
	if r.AtOnce() {
		return 0
	}
	first := 0
	if len(r.Canary) > 0 {
		if slices.Contains(r.Canary, d.Group) {
			return 0
		}
		first = 1
	}
	at := place(d.ID)
	for i, p := range r.Percent {
		if at < p*100 {
			return first + i
		}
	}
	return r.Count() - 1
}

// place is where a device stands among ten thousand, the same for every version.
func place(id ward.DeviceID) int {
	sum := sha256.Sum256([]byte(id))
	return int(binary.BigEndian.Uint32(sum[:4])) % 10000
}

// Name describes a ring in words.
func (r Rings) Name(ring int) string {
	if r.AtOnce() {
		return "every device"
	}
	if len(r.Canary) > 0 {
		if ring == 0 {
			return strings.Join(r.Canary, ", ")
		}
		ring--
	}
	return fmt.Sprintf("to %d %%", r.Percent[ring])
}

// String says the rings in one line.
func (r Rings) String() string {
	if r.AtOnce() {
		return "every device at once"
	}
	names := make([]string, r.Count())
	for i := range names {
		names[i] = r.Name(i)
	}
	return fmt.Sprintf("%s; %s between rings; stops at %g %% failures", strings.Join(names, ", "), r.Pause, r.StopAt*100)
}

// settle fills in what was left out, and returns every mistake.
func (r Rings) settle() (Rings, []string) {
	if len(r.Canary) == 0 && len(r.Percent) == 0 {
		var wrong []string
		if r.Pause != 0 || r.StopAt != 0 {
			wrong = append(wrong, "A pause and a threshold need rings: name a canary group or percentages.")
		}
		return Rings{}, wrong
	}
	var wrong []string
	for i, p := range r.Percent {
		if p < 1 || p > 100 || i > 0 && p <= r.Percent[i-1] {
			wrong = append(wrong, "The percentages of the rings must ascend from 1 to 100, such as 10, 50, 100.")
			break
		}
	}
	for i, g := range r.Canary {
		if strings.TrimSpace(g) == "" || slices.Contains(r.Canary[:i], g) {
			wrong = append(wrong, "A canary group has no name or is named twice.")
			break
		}
	}
	if len(r.Percent) > maxRings || len(r.Canary) > maxRings {
		wrong = append(wrong, fmt.Sprintf("There can be %d rings and %d canary groups at most.", maxRings, maxRings))
	}
	if r.Pause < 0 || r.Pause > maxPause {
		wrong = append(wrong, "The pause between rings can be 30 days at most.")
	}
	if r.StopAt < 0 || r.StopAt > 1 {
		wrong = append(wrong, "The share of failures that stops a rollout lies between 0 and 1.")
	}
	if n := len(r.Percent); n == 0 || r.Percent[n-1] != 100 {
		r.Percent = append(slices.Clone(r.Percent), 100)
	}
	if r.AtOnce() {
		return Rings{}, wrong // one ring is none
	}
	if r.StopAt == 0 {
		r.StopAt = DefaultStopAt
	}
	return r, wrong
}

// reach looks at how many enrolled devices each ring would have. wrong says what can't
// stay so: a canary group without a device, or a first ring without one, after which the
// version would go on untried. told says which later rings would be watched for nothing.
func (s *Service) reach(ctx context.Context, r Rings) (wrong, told []string, err error) {
	rings, groups := make([]int, r.Count()), map[string]bool{}
	if err := s.store.Subjects(ctx, false, func(d Subject) error {
		rings[r.Of(d.Device)]++
		groups[d.Device.Group] = true
		return nil
	}); err != nil {
		return nil, nil, fmt.Errorf("count the devices of rings: %w", err)
	}
	delete(groups, "")
	for _, g := range r.Canary {
		if !groups[g] {
			wrong = append(wrong, fmt.Sprintf("No enrolled device is in the canary group %.100q%s", g, nearest(g, slices.Sorted(maps.Keys(groups)))))
		}
	}
	for i, n := range rings {
		switch {
		case n > 0, i == 0 && len(r.Canary) > 0:
		case i == 0:
			wrong = append(wrong, fmt.Sprintf("The first ring, %q, would have no device: name a larger share, or a canary group.", r.Name(i)))
		default:
			told = append(told, fmt.Sprintf("The ring %q has no device: it is watched for nothing.", r.Name(i)))
		}
	}
	return wrong, told, nil
}

// nearest ends a sentence with the name that was probably meant.
func nearest(word string, names []string) string {
	best, distance := "", len(word)/3+2
	for _, n := range names {
		if len(word) > 100 || len(n) > 100 {
			continue
		}
		if d := smetrics.WagnerFischer(strings.ToLower(word), strings.ToLower(n), 1, 1, 1); d < distance {
			best, distance = n, d
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf(". Did you mean %q?", best)
	case len(names) == 0:
		return ": no device is in any group."
	}
	return fmt.Sprintf(". There are %s.", some(names))
}
