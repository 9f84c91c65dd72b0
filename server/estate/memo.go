package estate

import (
	"slices"
	"strings"
	"sync"

	"github.com/wardmdm/ward"
)

// memo keeps what was found among the devices of a snapshot: they do not change, and a page
// asks about them in many ways, and the next page in the same.
type memo struct {
	mu      sync.Mutex
	of      []*Device // these devices
	matches map[string][]*Device
	held    int // devices in matches
	choices map[string]Choices

	ids []int32 // the places of the devices in the order of their ids
}

// The most that is kept.
const (
	maxMatches = 64
	maxHeld    = 1_000_000
)

// remember returns the memo of these devices: the one given if it is theirs.
func remember(m *memo, of []*Device) *memo {
	if m != nil && len(m.of) == len(of) && (len(of) == 0 || &m.of[0] == &of[0]) {
		return m
	}
	return &memo{of: of, matches: map[string][]*Device{}, choices: map[string]Choices{}}
}

// matched returns what a filter means, which find finds. nil finds anew each time, and so is
// a filter found that depends on the time.
func (m *memo) matched(f Filter, find func() []*Device) []*Device {
	if m == nil || f.NotSeen > 0 {
		return find()
	}
	key := f.Values().Encode() + "\n" + scopeKey(f.Scope)
	m.mu.Lock()
	out, known := m.matches[key]
	m.mu.Unlock()
	if known {
		return out
	}
	out = slices.Clip(find())
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.matches) >= maxMatches || m.held+len(out) > maxHeld {
		clear(m.matches)
		m.held = 0
	}
	m.matches[key] = out
	m.held += len(out)
	return out
}

// chosen returns what there is to choose from, which find finds.
func (m *memo) chosen(scope ward.Scope, find func() Choices) Choices {
	if m == nil {
		return find()
	}
	key := scopeKey(scope)
	m.mu.Lock()
	out, known := m.choices[key]
	m.mu.Unlock()
	if known {
		return out.clone()
	}
	out = find()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.choices) >= maxMatches {
		clear(m.choices)
	}
	m.choices[key] = out
	return out.clone()
}

func (c Choices) clone() Choices {
	return Choices{
		Sites: slices.Clone(c.Sites), Groups: slices.Clone(c.Groups), OS: slices.Clone(c.OS), Platforms: slices.Clone(c.Platforms),
		Findings: slices.Clone(c.Findings), Apps: slices.Clone(c.Apps),
	}
}

func scopeKey(s ward.Scope) string {
	return strings.Join(s.Sites, "\x00") + "\x01" + strings.Join(s.Groups, "\x00")
}

// byID returns the places of the snapshot's devices in the order of their ids.
func (s *Snapshot) byID() []int32 {
	if s.memo == nil {
		return inIDs(s.Devices)
	}
	s.memo.mu.Lock()
	defer s.memo.mu.Unlock()
	if s.memo.ids == nil {
		s.memo.ids = inIDs(s.Devices)
	}
	return s.memo.ids
}

func inIDs(ds []*Device) []int32 {
	out := make([]int32, len(ds))
	for i := range out {
		out[i] = int32(i)
	}
	slices.SortFunc(out, func(a, b int32) int { return strings.Compare(string(ds[a].ID), string(ds[b].ID)) })
	return out
}
