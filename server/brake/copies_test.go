package brake_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
	"pgregory.net/rapid"
)

// oracle is what the brake should say, kept as plainly as can be: every deed that was
// committed, and all of them counted anew for each answer.
type oracle struct {
	limits map[brake.Kind][]brake.Limit
	said   []brake.Entry
}

func (o *oracle) has(ev brake.Event, order ward.OrderID, e ward.EnrolmentID) bool {
	return slices.ContainsFunc(o.said, func(s brake.Entry) bool {
		return s.Event == ev && s.Order == order && (s.Enrolment == e || ev == brake.Cancelled && s.Enrolment == "")
	})
}

func (o *oracle) held(k brake.Kind) bool {
	held := false
	for _, s := range o.said {
		if s.Kind == k && (s.Event == brake.Held || s.Event == brake.Released) {
			held = s.Event == brake.Held
		}
	}
	return held
}

func (o *oracle) lifted(k brake.Kind, at time.Time, before int) bool {
	lifted := false
	for _, s := range o.said[:before] {
		if s.Kind == k && s.Event == brake.Lifted {
			lifted = at.Before(s.Until)
		}
	}
	return lifted
}

// within returns how many deeds match, of those that count.
func (o *oracle) within(k brake.Kind, now time.Time, window time.Duration, match func(brake.Entry) bool) (n int) {
	start := 0
	for i, s := range o.said {
		if s.Kind == k && s.Event == brake.Released {
			start = i
		}
	}
	for i, s := range o.said {
		counts := s.Kind == k && (s.Event == brake.Delivered || s.Event == brake.Used) && !s.Campaign
		if i >= start && counts && now.Sub(s.At) < window && !o.lifted(k, s.At, i) && match(s) {
			n++
		}
	}
	return n
}

// take says what Take must answer: "", "held", "conflict" or "cancelled".
func (o *oracle) take(e brake.Entry) string {
	self := e.Note == brake.Self
	switch {
	case e.Event == brake.Delivered && o.has(brake.Delivered, e.Order, e.Enrolment):
		return ""
	case e.Event == brake.Delivered && o.has(brake.Cancelled, e.Order, e.Enrolment):
		return "cancelled"
	case o.held(e.Kind) && !self:
		return "held"
	case !e.Campaign && !o.lifted(e.Kind, e.At, len(o.said)):
		for _, l := range o.limits[e.Kind] {
			if e.Event == brake.Used && l.PerPerson > 0 && o.within(e.Kind, e.At, l.Window, func(s brake.Entry) bool { return s.Person == e.Person }) >= l.PerPerson {
				return "conflict"
			}
			if self {
				continue
			}
			all := o.within(e.Kind, e.At, l.Window, func(s brake.Entry) bool { return s.Note != brake.Self })
			here := o.within(e.Kind, e.At, l.Window, func(s brake.Entry) bool { return s.Note != brake.Self && s.Site == e.Site })
			if all >= l.Most || l.PerSite > 0 && here >= l.PerSite {
				o.said = append(o.said, brake.Entry{Event: brake.Held, Kind: e.Kind})
				return "held"
			}
		}
	}
	o.said = append(o.said, e)
	return ""
}

// TestCopies: two copies of the server over one journal, which take, record, fail half-way,
// look from outside while the other writes, crash and start again, answer as the oracle
// does, and never let more pass within a window than it takes.
func TestCopies(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		w.limits = map[brake.Kind][]brake.Limit{
			brake.Erase: {{Window: time.Hour, Most: 3, PerSite: 2}, {Window: 5 * time.Hour, Most: 5}},
			brake.Lock:  {{Window: time.Hour, Most: 4, PerPerson: 2}},
		}
		m := &machine{w: w, o: &oracle{limits: w.limits}, anchors: [2]*anchor{{}, {}}}
		for i := range m.servers {
			m.servers[i] = w.server(t, m.anchors[i])
			if err := m.servers[i].Check(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"unit":  m.unit,
			"unit2": m.unit,
			"time": func(t *rapid.T) {
				w.now = w.now.Add(time.Duration(rapid.IntRange(0, 8).Draw(t, "steps")) * 10 * time.Minute)
			},
			"crash": m.crash,
			"check": func(t *rapid.T) {
				if err := m.server(t).Check(context.Background()); err != nil {
					t.Fatal(err)
				}
			},
			"": m.invariants,
		})
	})
}

type machine struct {
	w       *world
	o       *oracle
	anchors [2]*anchor
	servers [2]*brake.Service
}

func (m *machine) server(t *rapid.T) *brake.Service {
	return m.servers[rapid.IntRange(0, 1).Draw(t, "copy")]
}

func (m *machine) crash(t *rapid.T) {
	i := rapid.IntRange(0, 1).Draw(t, "copy")
	m.servers[i] = m.w.server(t, m.anchors[i])
}

// unit is a unit of work of some deeds, which is given up at its end now and then.
func (m *machine) unit(t *rapid.T) {
	s, other := m.server(t), m.server(t)
	steps := rapid.IntRange(1, 4).Draw(t, "deeds")
	fails := rapid.IntRange(0, 3).Draw(t, "fails") == 0
	boom := errors.New("boom")
	before, seen := slices.Clone(m.o.said), len(m.w.journal.rows)
	err := m.w.journal.Do(context.Background(), func(ctx context.Context) error {
		for range steps {
			if rapid.Bool().Draw(t, "look") {
				if l := ledger(t, other); l.Head() != int64(seen) { //nolint:contextcheck // the look is from outside the unit of work
					t.Fatalf("from outside the journal has %d entries, want %d", l.Head(), seen)
				}
			}
			m.step(ctx, t, s)
		}
		if fails {
			return boom
		}
		return nil
	})
	if fails {
		m.o.said = before
	}
	if fails != errors.Is(err, boom) || !fails && err != nil {
		t.Fatalf("unit of work = %v", err)
	}
}

// step does one deed, and compares the answer with the oracle's.
func (m *machine) step(ctx context.Context, t *rapid.T, s *brake.Service) {
	kind := rapid.SampledFrom([]brake.Kind{brake.Erase, brake.Erase, brake.Lock}).Draw(t, "kind")
	order := ward.OrderID(rapid.SampledFrom([]string{"o1", "o2", "o3", "o4"}).Draw(t, "order"))
	e := brake.Entry{
		Kind: kind, Site: rapid.SampledFrom([]string{"", "north", "south"}).Draw(t, "site"), At: m.w.now,
		Person: rapid.SampledFrom([]string{"ada", "bob", "cy"}).Draw(t, "person"),
	}
	one := ward.EnrolmentID(fmt.Sprint("e", rapid.IntRange(1, 9).Draw(t, "enrolment")))
	switch what := rapid.SampledFrom([]string{"take", "take", "take", "take", "cancel", "cancel all", "release", "lift"}).Draw(t, "deed"); {
	case what == "take" && kind == brake.Erase:
		e.Event, e.Order, e.Enrolment, e.Campaign = brake.Delivered, order, one, rapid.IntRange(0, 9).Draw(t, "campaign") == 0
		m.take(ctx, t, s, e)
	case what == "take":
		e.Event, e.Note = brake.Used, rapid.SampledFrom([]string{"", "", brake.Self}).Draw(t, "note")
		m.take(ctx, t, s, e)
	case what == "cancel":
		e.Event, e.Order, e.Enrolment = brake.Cancelled, order, one
		m.record(ctx, t, s, e, true)
	case what == "cancel all":
		e.Event, e.Order = brake.Cancelled, order
		m.record(ctx, t, s, e, rapid.IntRange(0, 5).Draw(t, "rarely") == 0)
	case what == "release":
		e.Event, e.Order = brake.Released, "release"
		if m.o.held(kind) {
			m.record(ctx, t, s, e, true)
		} else if err := s.Record(ctx, e); ward.KindOf(err) != ward.Conflict {
			t.Fatalf("release of what is not held: %v", err)
		}
	default:
		e.Event, e.Order, e.Until = brake.Lifted, "lift", m.w.now.Add(30*time.Minute)
		m.record(ctx, t, s, e, rapid.IntRange(0, 5).Draw(t, "rarely") == 0)
	}
}

func (m *machine) record(ctx context.Context, t *rapid.T, s *brake.Service, e brake.Entry, do bool) {
	if !do {
		return
	}
	if err := s.Record(ctx, e); err != nil {
		t.Fatalf("Record(%s) = %v", e.Event, err)
	}
	m.o.said = append(m.o.said, e)
}

func (m *machine) take(ctx context.Context, t *rapid.T, s *brake.Service, e brake.Entry) {
	h, err := s.Take(ctx, e)
	got := ""
	switch {
	case errors.Is(err, brake.ErrCancelled):
		got = "cancelled"
	case ward.KindOf(err) == ward.Conflict:
		got = "conflict"
	case err != nil:
		t.Fatalf("Take = %v", err)
	case h != nil:
		got = "held"
	}
	if want := m.o.take(e); got != want {
		t.Fatalf("Take(%+v) = %q, want %q", e, got, want)
	}
}

// invariants holds both copies against the oracle, and the journal itself against the
// limits: between two releases no window has more in it than it takes.
func (m *machine) invariants(t *rapid.T) {
	for i, s := range m.servers {
		l := ledger(t, s)
		for _, k := range []brake.Kind{brake.Erase, brake.Lock} {
			if _, held := l.Held(k); held != m.o.held(k) {
				t.Fatalf("copy %d: %s held %v, want %v", i, k, held, m.o.held(k))
			}
		}
		if l.Head() != int64(len(m.o.said)) || m.anchors[i].at() != l.Head() {
			t.Fatalf("copy %d: %d entries, anchored %d, want %d", i, l.Head(), m.anchors[i].at(), len(m.o.said))
		}
	}
	var events []brake.Event
	for _, s := range m.o.said {
		events = append(events, s.Event)
	}
	var kept []brake.Event
	for _, r := range m.w.journal.rows {
		kept = append(kept, r.Event)
	}
	if diff := cmp.Diff(events, kept); diff != "" {
		t.Fatalf("journal mismatch (-want +got):\n%s", diff)
	}
	for _, l := range m.w.limits[brake.Erase] {
		var run []time.Time
		for i, r := range m.w.journal.rows {
			if r.Kind != brake.Erase {
				continue
			}
			if r.Event == brake.Released {
				run = nil
			}
			if r.Event != brake.Delivered || r.Campaign || m.o.lifted(brake.Erase, r.At, i) {
				continue
			}
			run = append(run, r.At)
			if n := len(run) - l.Most - 1; n >= 0 && r.At.Sub(run[n]) < l.Window {
				t.Fatalf("%d erasures within %s", l.Most+1, l.Window)
			}
		}
	}
	if len(m.w.tampered) > 0 {
		t.Fatalf("told of tampering: %v", m.w.tampered)
	}
}
