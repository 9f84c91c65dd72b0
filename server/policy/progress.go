package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
)

// Progress is how far a rollout is.
type Progress struct {
	Version  Version
	Rollout  Rollout
	Rings    []RingProgress
	Failures []Failure // of open rings, up to maxFailures, in order of the devices' ids
}

// RingProgress is how far one ring is. Of the devices of an open ring each is done,
// failed or waiting; of those of a closed one nothing is counted.
type RingProgress struct {
	Name    string
	Open    bool
	Devices int
	Done    int // has what is new, or nothing is new for it
	Failed  int // refused a step, or calls a declaration invalid
	Waiting int
	Lagging int // of those that wait: heard from since the newest ring opened
}

// Failure is one device on which a version failed.
type Failure struct {
	Device ward.DeviceID
	Step   string // in words
	Error  string // in the device's words; may be empty
}

// maxFailures is how many failures are told one by one.
const maxFailures = 50

// Rollout tells how far the rollout is that is under way, NotFound if there is none. It
// is to be called outside a unit of work, for it looks at every device.
func (s *Service) Rollout(ctx context.Context) (Progress, error) {
	f, err := s.InForce(ctx)
	if err != nil {
		return Progress{}, err
	}
	if f.next == nil {
		return Progress{}, ward.Errorf(ward.NotFound, "No policy is being rolled out.")
	}
	return s.progress(ctx, f)
}

// open adds up the open rings.
func (p Progress) open() (sum RingProgress) {
	for _, r := range p.Rings {
		if r.Open {
			sum.Devices += r.Devices
			sum.Done += r.Done
			sum.Failed += r.Failed
			sum.Waiting += r.Waiting
			sum.Lagging += r.Lagging
		}
	}
	return sum
}

// fails reports whether failures are too many: as large a share of the open rings as
// stops the rollout, and either two at least or all of a small ring.
func (p Progress) fails() bool {
	total := p.open()
	return total.Failed > 0 && float64(total.Failed) >= p.Version.Rings.StopAt*float64(total.Devices) &&
		(total.Failed >= leastFailures || slices.ContainsFunc(p.Rings, func(r RingProgress) bool {
			return r.Open && r.Failed > 0 && r.Failed == r.Devices && r.Devices < smallRing
		}))
}

// member is a device of an open ring that a version changes something for.
type member struct {
	ring    int
	lagging bool // if it still waits
	want    *want
	last    map[string]Attempt // the last accepted attempt of each thing that is wanted
	holds   bool               // every declaration, as it tells
	beyond  bool               // outside the scope of who asks: it is counted, not named
	failed  string             // in words
	err     string
}

// want is what is new for devices that are alike. It is shared.
type want struct {
	steps        map[string]string // their keys by the thing that they bring
	declarations map[string]string // if they are new: the tokens of all, by identifier
}

// progress counts what became of the version that is rolled out.
func (s *Service) progress(ctx context.Context, f *InForce) (Progress, error) {
	v := f.next.version
	r, err := s.store.Rollout(ctx, v.Generation)
	if err != nil {
		return Progress{}, err
	}
	p := Progress{Version: v, Rollout: r, Rings: make([]RingProgress, v.Rings.Count())}
	for i := range p.Rings {
		p.Rings[i] = RingProgress{Name: v.Rings.Name(i), Open: i <= r.Ring}
	}
	members, order, err := s.members(ctx, f, &p)
	if err != nil {
		return p, err
	}
	err = s.store.Attempts(ctx, order, func(a Attempt) error {
		members[a.Device].attempted(a)
		return nil
	})
	if err != nil {
		return p, fmt.Errorf("attempts: %w", err)
	}
	declaring := slices.DeleteFunc(slices.Clone(order), func(d ward.DeviceID) bool { return members[d].want.declarations == nil })
	read := lists{}
	err = s.store.Declared(ctx, declaring, func(d ward.DeviceID, raw []byte) error {
		held, err := read.of(raw)
		if err != nil {
			return fmt.Errorf("device %s: %w", d, err)
		}
		members[d].declares(held)
		return nil
	})
	if err != nil {
		return p, fmt.Errorf("declarations: %w", err)
	}
	for _, id := range order {
		p.count(id, members[id])
	}
	return p, nil
}

// members returns the devices of open rings that something is new for, and counts all.
func (s *Service) members(ctx context.Context, f *InForce, p *Progress) (map[ward.DeviceID]*member, []ward.DeviceID, error) {
	all, members := newWants(s, f), map[ward.DeviceID]*member{}
	scope := ward.ActorFrom(ctx).Scope
	var order []ward.DeviceID
	if err := all.read(ctx, s.store); err != nil {
		return nil, nil, fmt.Errorf("revoked network certificates: %w", err)
	}
	err := s.store.Subjects(ctx, false, func(d Subject) error {
		ring := f.rings.Of(d.Device)
		p.Rings[ring].Devices++
		if !p.Rings[ring].Open {
			return nil
		}
		w := all.of(d)
		if len(w.steps) == 0 {
			p.Rings[ring].Done++
			return nil
		}
		members[d.Device.ID] = &member{
			ring: ring, want: w, beyond: !scope.Includes(d.Device.Site, d.Device.Group), last: make(map[string]Attempt, len(w.steps)),
			lagging: d.reachable() && d.LastSeen.After(p.Rollout.Opened.Add(time.Second)),
		}
		order = append(order, d.Device.ID)
		return nil
	})
	return members, order, err
}

// reachable reports whether steps of a policy are sent to the device at all: a lost one
// and one that waits to be sorted get none.
func (s Subject) reachable() bool {
	return s.Device.State == ward.Managed && s.Device.Group != fleet.QuarantineGroup
}

// attempted notes an attempt, if it is of something that is wanted. What a device holds is
// what it accepted last, whenever that was: a step is not sent again where it holds.
func (m *member) attempted(a Attempt) {
	thing := bringing(a.Key)
	key, ok := m.want.steps[thing]
	if !ok {
		return
	}
	switch st := command.State(a.State); {
	case st == command.Accepted:
		if old, ok := m.last[thing]; !ok || a.Answered.After(old.Answered) || a.Answered.Equal(old.Answered) && a.Key == key {
			m.last[thing] = a
		}
	case a.Key == key && (st == command.Refused || st == command.Withheld || st.Open() && a.Tries > 1):
		m.failed, m.err = step(a.Key), a.Error
	}
}

// declares notes what the device says of its declarations.
func (m *member) declares(held []fleet.Declaration) {
	found := 0
	for _, h := range held {
		if token, ok := m.want.declarations[h.Identifier]; !ok || token != h.Token {
			continue
		}
		found++
		if h.Valid == reconcile.Invalid {
			m.failed = "declaration " + h.Identifier
			if len(h.Reasons) > 0 {
				m.err = h.Reasons[0]
			}
			return
		}
	}
	m.holds = found >= len(m.want.declarations)
}

// done reports whether the device holds all that is new. Accepting the command that tells
// it of its declarations is not yet to hold them.
func (m *member) done() bool {
	for thing, key := range m.want.steps {
		if thing == declarations && !m.holds || thing != declarations && m.last[thing].Key != key {
			return false
		}
	}
	return true
}

// lists reads what devices say of their declarations. Most of those that are alike say
// the same.
type lists map[string][]fleet.Declaration

func (l lists) of(raw []byte) ([]fleet.Declaration, error) {
	if held, ok := l[string(raw)]; ok {
		return held, nil
	}
	var held []fleet.Declaration
	if err := json.Unmarshal(raw, &held); err != nil {
		return nil, err
	}
	if len(l) < 1000 {
		l[string(raw)] = held
	}
	return held, nil
}

func (p *Progress) count(id ward.DeviceID, m *member) {
	r := &p.Rings[m.ring]
	switch {
	case m.failed != "":
		r.Failed++
		if len(p.Failures) < maxFailures && !m.beyond {
			p.Failures = append(p.Failures, Failure{Device: id, Step: m.failed, Error: m.err})
		}
	case m.done():
		r.Done++
	default:
		r.Waiting++
		if m.lagging {
			r.Lagging++
		}
	}
}
