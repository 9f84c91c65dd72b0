package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/fleet"
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

// member is a device of an open ring that a version changes something for.
type member struct {
	ring    int
	lagging bool            // if it still waits
	want    map[string]bool // steps that are new; shared by devices that are alike
	state   *profiles.State
	done    int
	failed  string // in words
	err     string
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
	err = s.store.Attempts(ctx, func(a Attempt) error {
		m := members[a.Device]
		if m == nil || !m.want[a.Key] {
			return nil
		}
		switch st := command.State(a.State); {
		case st == command.Accepted && !a.Answered.Before(r.Started): // before, it was replaced since
			m.done++
		case st == command.Refused, st == command.Withheld, st.Open() && a.Tries > 1:
			m.failed, m.err = step(a.Key), a.Error
		}
		return nil
	})
	if err != nil {
		return p, fmt.Errorf("attempts: %w", err)
	}
	err = s.store.Refusals(ctx, func(d ward.DeviceID, raw []byte) error {
		if m := members[d]; m != nil {
			return m.refuses(raw)
		}
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
	type change struct{ before, now alike }
	known, members, all := map[change]map[string]bool{}, map[ward.DeviceID]*member{}, newStates(s.now())
	var order []ward.DeviceID
	base, _ := f.Current()
	err := s.store.Subjects(ctx, false, func(d Subject) error {
		ring := f.rings.Of(d.Device)
		p.Rings[ring].Devices++
		if !p.Rings[ring].Open {
			return nil
		}
		was, a := all.of(d.subject(), base)
		is, b := all.of(d.subject(), f.next.policy)
		c := change{a, b}
		want, ok := known[c]
		if !ok {
			want = fresh(is, was)
			known[c] = want
		}
		if len(want) == 0 {
			p.Rings[ring].Done++
			return nil
		}
		members[d.Device.ID] = &member{ring: ring, want: want, state: is, lagging: d.reachable() && d.LastSeen.After(p.Rollout.Opened.Add(time.Second))}
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

// refuses notes what a device says of its declarations, if they are of this version.
func (m *member) refuses(raw []byte) error {
	var held []fleet.Declaration
	if err := json.Unmarshal(raw, &held); err != nil {
		return err
	}
	for _, h := range held {
		for _, d := range m.state.Declarations {
			if h.Valid == "invalid" && h.Identifier == d.Identifier && h.Token == d.Token && m.want["declarations:"+m.state.DeclarationsToken] {
				m.failed = "declaration " + d.Identifier
				if len(h.Reasons) > 0 {
					m.err = h.Reasons[0]
				}
				return nil
			}
		}
	}
	return nil
}

func (p *Progress) count(id ward.DeviceID, m *member) {
	r := &p.Rings[m.ring]
	switch {
	case m.failed != "":
		r.Failed++
		if len(p.Failures) < maxFailures {
			p.Failures = append(p.Failures, Failure{Device: id, Step: m.failed, Error: m.err})
		}
	case m.done >= len(m.want):
		r.Done++
	default:
		r.Waiting++
		if m.lagging {
			r.Lagging++
		}
	}
}
