// Package seed makes up a fleet with a past, so that Ward can be tried at size: devices,
// what they told, how they were judged each day and how long what was wrong stayed. It fills
// an empty record and nothing else, asks no device anything, and uses no real person's name.
package seed

import (
	"context"
	_ "embed"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
	"golang.org/x/sync/errgroup"
)

//go:embed policy.yaml
var policy []byte

// Policy returns the text of the policy of a made-up fleet. Each call returns a copy.
func Policy() []byte { return slices.Clone(policy) }

// Options say what is made up. The same Random and Now make the same fleet, but for its ids.
type Options struct {
	Devices int
	Days    int // of the past
	Sites   int
	Groups  int
	Random  uint64
	Now     time.Time
	// Policy is in force, of a generation and an epoch.
	Policy            *profiles.Policy
	Generation, Epoch int64
	// Tell is called after each step of all; nil for nobody.
	Tell func(done, all int)
}

// Check reports every mistake at once.
func (o Options) Check() error {
	var wrong []string
	for _, x := range []struct {
		name      string
		n, lo, hi int
	}{{"devices", o.Devices, 1, 1_000_000}, {"days", o.Days, 1, 3650}, {"sites", o.Sites, 1, 1000}, {"groups", o.Groups, 1, 20_000}} {
		if x.n < x.lo || x.n > x.hi {
			wrong = append(wrong, fmt.Sprintf("%s: %d is not from %d to %d", x.name, x.n, x.lo, x.hi))
		}
	}
	if len(wrong) > 0 {
		return &ward.Error{Kind: ward.Invalid, Message: "The fleet can't be made up like that:", Details: wrong}
	}
	return nil
}

// Record is what is filled. Each method is one unit of work.
type Record interface {
	// Empty reports whether the record holds no device and no past of one.
	Empty(ctx context.Context) (bool, error)
	AddDevices(ctx context.Context, all []Device) error
	// AddDay keeps changes, and a midnight with what it ends unless frame is nil.
	AddDay(ctx context.Context, changes []estate.KeptChange, at time.Time, frame []byte, days map[estate.Cut]estate.Day) error
	AddPostures(ctx context.Context, all []Posture, at time.Time) error
	Finish(ctx context.Context) error
}

// Device is a device with all that the record keeps of it.
type Device struct {
	ward.Device
	Enrolment ward.Enrolment // without an id for one that never enrolled
	Facts     []fleet.Fact
	Attempts  []reconcile.Attempt
	Since     map[reconcile.Deviation]time.Time
	Epoch     int64     // of the policies that it was planned for
	Check     time.Time // when it is to be planned next; zero for never
}

// Posture is how a device stands in the end, and how long what was found on it stood.
type Posture struct {
	Device ward.DeviceID
	Body   string
	Spans  []estate.Span
}

// Summary says what was made.
type Summary struct {
	Devices, Changes, Spans int
	From                    time.Time // the beginning of the past
	States                  map[compliance.State]int
}

// Run fills an empty record; one that is not is a Conflict and stays as it is.
func Run(ctx context.Context, o Options, r Record) (Summary, error) {
	if err := o.Check(); err != nil {
		return Summary{}, err
	}
	empty, err := r.Empty(ctx)
	if err != nil {
		return Summary{}, fmt.Errorf("seed: %w", err)
	}
	if !empty {
		return Summary{}, ward.Errorf(ward.Conflict, "The database holds devices already: a made-up fleet goes into an empty one.")
	}
	if o.Tell == nil {
		o.Tell = func(int, int) {}
	}
	m, err := newMaker(o)
	if err != nil {
		return Summary{}, fmt.Errorf("seed: %w", err)
	}
	m.record = r
	for _, step := range []func(context.Context) error{m.past, m.devices, m.postures, r.Finish} {
		if err := step(ctx); err != nil {
			return Summary{}, fmt.Errorf("seed: %w", err)
		}
	}
	return m.summary, nil
}

// past lives through the days, each with its changes and the midnight at its end.
func (m *maker) past(ctx context.Context) error {
	events := m.events()
	var pending *errgroup.Group // a day is written while the next one is made
	wait := func() error {
		if pending == nil {
			return nil
		}
		return pending.Wait()
	}
	for day := 0; day <= m.Days+1; day++ {
		at := m.start.AddDate(0, 0, day)
		n, _ := slices.BinarySearchFunc(events, at, func(e event, t time.Time) int {
			if e.at.After(t) {
				return 1
			}
			return -1
		})
		last := at.After(m.Now)
		changes, err := m.live(ctx, events[:n])
		if err != nil {
			return err
		}
		events = events[n:]
		m.summary.Changes += len(changes)
		var frame []byte
		var days map[estate.Cut]estate.Day
		if !last {
			if frame, days, err = m.chronicle.Midnight(at, func(i int) time.Time { return m.phones[i].seen(at) }); err != nil {
				return err
			}
		}
		if err := wait(); err != nil {
			return err
		}
		pending = new(errgroup.Group)
		pending.Go(func() error { return m.record.AddDay(ctx, changes, at, frame, days) })
		m.tell()
		if last {
			break
		}
	}
	return wait()
}

// live judges devices at what happened to them, and returns what changed in the order of
// time.
func (m *maker) live(ctx context.Context, events []event) ([]estate.KeptChange, error) {
	workers := runtime.GOMAXPROCS(0)
	out := make([][]estate.KeptChange, workers)
	var g errgroup.Group
	for w := range workers {
		g.Go(func() error {
			for _, e := range events {
				if e.phone%workers != w {
					continue
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				c, ok, err := m.chronicle.Judge(e.phone, m.view(&m.phones[e.phone], e.at), e.at)
				if err != nil {
					return err
				}
				if ok {
					out[w] = append(out[w], c)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	all := slices.Concat(out...)
	slices.SortStableFunc(all, func(a, b estate.KeptChange) int { return a.At.Compare(b.At) })
	return all, nil
}

// some is how many devices are written in one unit of work.
const some = 2000

// devices writes the devices as they are now, with what they told last.
func (m *maker) devices(ctx context.Context) error {
	for from := 0; from < len(m.phones); from += some {
		var all []Device
		for i := from; i < min(from+some, len(m.phones)); i++ {
			d, err := m.device(i)
			if err != nil {
				return err
			}
			all = append(all, d)
		}
		if err := m.record.AddDevices(ctx, all); err != nil {
			return err
		}
		m.tell()
	}
	return nil
}

// postures writes how the devices stand, and how long what was found on them stood.
func (m *maker) postures(ctx context.Context) error {
	m.summary.Devices, m.summary.From, m.summary.States = len(m.phones), m.first, map[compliance.State]int{}
	for from := 0; from < len(m.phones); from += some {
		var all []Posture
		for i := from; i < min(from+some, len(m.phones)); i++ {
			id, body, spans, err := m.chronicle.Posture(i)
			if err != nil {
				return err
			}
			all = append(all, Posture{id, body, spans})
			m.summary.Spans += len(spans)
			m.summary.States[m.chronicle.State(i)]++
		}
		if err := m.record.AddPostures(ctx, all, m.Now); err != nil {
			return err
		}
		m.tell()
	}
	return nil
}
