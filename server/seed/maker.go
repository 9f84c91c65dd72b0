package seed

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/rs/xid"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
)

// maker makes up a fleet.
type maker struct {
	Options
	record    Record
	chronicle *estate.Chronicle
	phones    []phone
	kinds     kinds
	start     time.Time // the first midnight that is kept
	first     time.Time // the beginning of the past, a little before
	summary   Summary
	done      int
}

// phone is a device and all that happens to it.
type phone struct {
	ward.Device
	enrolment ward.Enrolment
	kind      kind
	left      time.Time // when it left management; zero for never
	updated   time.Time // when it got its newer system; zero if it has it all along
	newer     string
	episodes  []episode
	delay     time.Duration // how long before now it was heard from last
}

// episode is something that is so for a time.
type episode struct {
	what     what
	app      string // of a blocked app
	from, to time.Time
}

type what int

const (
	silent     what = iota // it is off, or away
	blocked                // somebody put a blocked app on it
	unlocked               // it has no passcode
	unapproved             // the approved app is not there
)

// event is a moment at which a device may come to stand otherwise.
type event struct {
	at    time.Time
	phone int
}

const day = 24 * time.Hour

func newMaker(o Options) (*maker, error) {
	m := &maker{Options: o, chronicle: estate.NewChronicle(o.Devices), phones: make([]phone, o.Devices)}
	m.start = o.Now.UTC().Truncate(day).AddDate(0, 0, -o.Days)
	m.first = m.start.Add(-time.Hour)
	if err := m.kinds.find(o); err != nil {
		return nil, err
	}
	people, serials := names{rand.New(rand.NewPCG(o.Random, 1))}, map[string]bool{} //nolint:gosec // nothing secret is made
	for i := range m.phones {
		m.make(i, people, serials)
	}
	return m, nil
}

func (m *maker) tell() {
	m.done++
	m.Tell(min(m.done, m.steps()), m.steps())
}

func (m *maker) steps() int { return m.Days + 2 + 2*((m.Devices+some-1)/some) }

// make makes up one device and its life.
func (m *maker) make(i int, people names, serials map[string]bool) {
	r := people.Rand
	p := &m.phones[i]
	p.kind = m.kinds.pick(r)
	created := m.first.Add(-time.Duration(r.Int64N(int64(2 * 365 * day))))
	if r.IntN(5) == 0 { // it came during the past that is kept
		created = m.first.Add(time.Duration(r.Int64N(int64(m.Now.Sub(m.first)) * 95 / 100)))
	}
	group := r.IntN(m.Groups)
	p.Device = ward.Device{
		ID: ward.DeviceID("dev_" + xid.NewWithTime(created).String()), Serial: serial(r, serials), Platform: p.kind.platform, Model: p.kind.model,
		Ownership: p.kind.ownership, Group: groupName(group), Site: siteName(group % m.Sites), Role: roles[r.IntN(len(roles))], State: ward.Managed, Created: created,
	}
	first, last := people.person()
	p.Owner, p.Email = first+" "+last, email(first, last, i)
	p.Name = fmt.Sprintf("%s %s %d", p.Group, p.kind.thing, i+1)
	if p.kind.ownership == ward.Personal {
		p.Name = first + "'s " + p.kind.thing
	}
	if r.IntN(100) == 0 { // nobody used its invitation
		p.State, p.Serial, p.Model = ward.Invited, "", ""
		return
	}
	enrolled := created.Add(time.Duration(r.Int64N(int64(3 * day))))
	if enrolled.After(m.Now.Add(-2 * time.Hour)) {
		enrolled = m.Now.Add(-2 * time.Hour)
	}
	p.enrolment = ward.Enrolment{
		ID: ward.EnrolmentID("enr_" + xid.NewWithTime(enrolled).String()), Device: p.ID, Channel: "00008110-" + fmt.Sprintf("%016X", r.Uint64()), Kind: "Device", Epoch: 1, State: ward.EnrolmentActive,
		Supervised: p.kind.supervised, Rights: ward.RightsFor(p.kind.ownership), Enrolled: enrolled,
	}
	m.lifetime(p, r)
}

// lifetime makes up what happens to an enrolled device.
func (m *maker) lifetime(p *phone, r *rand.Rand) {
	from := p.since()
	if from.Before(m.first) {
		from = m.first
	}
	span := m.Now.Sub(from)
	at := func() time.Time { return from.Add(time.Duration(r.Int64N(int64(max(span, 1))))) }
	p.delay = time.Duration(r.Int64N(int64(45 * time.Minute)))
	systems := p.kind.systems
	p.OSVersion = systems[1+r.IntN(len(systems)-1)]
	if p.newer = systems[len(systems)-1]; p.OSVersion != p.newer && r.IntN(3) > 0 {
		p.updated = at()
	}
	if r.IntN(33) == 0 {
		p.OSVersion, p.updated = systems[0], time.Time{} // nobody updates it
	}
	if r.IntN(50) == 0 && span > 30*day {
		p.left = at()
	}
	episodes := func(w what, perYear float64, stay func() time.Duration) {
		for t := from; perYear > 0; {
			t = t.Add(time.Duration(r.ExpFloat64() / perYear * float64(365*day)))
			if t.After(m.Now.Add(-time.Hour)) {
				return
			}
			e := episode{what: w, from: t, to: t.Add(stay())}
			if w == blocked {
				e.app = p.kind.apps[r.IntN(len(p.kind.apps))]
			}
			p.episodes = append(p.episodes, e)
			t = e.to
		}
	}
	// About 3 in 100 devices have a blocked app at a time, for a few days, and 4 in 100 are
	// silent for longer than what they told counts.
	exp := func(mean time.Duration) func() time.Duration {
		return func() time.Duration { return time.Duration(r.ExpFloat64() * float64(mean)) }
	}
	if len(p.kind.apps) > 0 {
		episodes(blocked, 0.03/p.kind.share*365/4, exp(4*day))
	}
	episodes(silent, 0.04*365/12, func() time.Duration { return 72*time.Hour + exp(12*day)() })
	episodes(unlocked, 0.15, exp(2*day))
	if r.IntN(40) == 0 {
		p.episodes = append(p.episodes, episode{what: unapproved, from: from, to: m.Now.AddDate(1, 0, 0)})
	}
}

// settled is how long after it enrolled a device has all it should have.
const settled = 10 * time.Minute

// since is when an enrolled device has it.
func (p *phone) since() time.Time { return p.enrolment.Enrolled.Add(settled) }

// grace is that of the policy for old systems.
const grace = 14 * day

// events are the moments at which devices may come to stand otherwise, in the order of time.
// The last of each device is now.
func (m *maker) events() []event {
	var out []event
	for i := range m.phones {
		p := &m.phones[i]
		born := p.Created
		if p.enrolment.ID != "" {
			born = p.since()
		}
		if born.Before(m.first) {
			born = m.first
		}
		at := []time.Time{born, m.Now}
		for _, e := range p.episodes {
			at = append(at, e.from, e.to)
			if e.what == silent {
				at = append(at, e.from.Add(tooOld))
			}
		}
		if p.OSVersion != "" && p.OSVersion == p.kind.systems[0] {
			at = append(at, p.since().Add(grace))
		}
		for _, t := range append(at, p.left, p.updated) {
			if !t.Before(born) && !t.After(m.Now) {
				out = append(out, event{t, i})
			}
		}
	}
	slices.SortFunc(out, func(a, b event) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return a.phone - b.phone
	})
	return out
}

// device is a device as it is now, with what the record keeps of it.
func (m *maker) device(i int) (Device, error) {
	p := &m.phones[i]
	v := m.view(p, m.Now)
	out := Device{Device: v.Device, Enrolment: v.Enrolment, Attempts: v.Attempts, Since: v.Since, Epoch: m.Epoch}
	if v.Enrolment.State != ward.EnrolmentActive {
		out.Attempts, out.Since = nil, nil
	} else {
		h := uint64(i) * 0x9E3779B97F4A7C15 //nolint:gosec // an index, spread evenly over a day
		out.Check = m.Now.Add(time.Hour + time.Duration(h%uint64(23*time.Hour)))
		if turn := estate.Next(v, compliance.Assess(v, m.Now), m.Now); !turn.IsZero() && turn.Before(out.Check) {
			out.Check = turn
		}
	}
	facts, err := facts(v.Got)
	out.Facts = facts
	return out, err
}

// seen is when the device was heard from last as of a midnight.
func (p *phone) seen(at time.Time) time.Time {
	if e := p.during(silent, at); e != nil {
		return e.from
	}
	return at.Add(-p.delay)
}

// during returns what of a kind goes on at a time, nil for nothing.
func (p *phone) during(w what, t time.Time) *episode {
	for i := range p.episodes {
		if e := &p.episodes[i]; e.what == w && !e.from.After(t) && e.to.After(t) {
			return e
		}
	}
	return nil
}
