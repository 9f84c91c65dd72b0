package brake_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
)

// TestWindows: a deed is held when the window before it is full, and not a moment longer.
func TestWindows(t *testing.T) {
	t.Parallel()
	const µs = time.Microsecond
	site := func(n int, s string) brake.Entry { e := erase(n); e.Site = s; return e }
	use := func(person, note string) brake.Entry {
		return brake.Entry{Event: brake.Used, Kind: brake.Lock, Person: person, Note: note, Device: "d"}
	}
	type step struct {
		after time.Duration
		e     brake.Entry
		held  bool
	}
	three := []brake.Limit{{Window: time.Hour, Most: 3}}
	for name, tt := range map[string]struct {
		limits  []brake.Limit
		devices int
		steps   []step
	}{
		"the fourth within the window is held": {three, 0, []step{{0, erase(1), false}, {0, erase(2), false}, {0, erase(3), false}, {time.Hour - µs, erase(4), true}}},
		"exactly a window ago no longer counts": {three, 0, []step{
			{0, erase(1), false}, {µs, erase(2), false}, {0, erase(3), false}, {time.Hour - µs, erase(4), false},
		}},
		"the window slides": {three, 0, []step{
			{0, erase(1), false}, {30 * time.Minute, erase(2), false}, {0, erase(3), false}, {30 * time.Minute, erase(4), false}, {0, erase(5), true},
		}},
		"once held, time does not release": {three, 0, []step{
			{0, erase(1), false}, {0, erase(2), false}, {0, erase(3), false}, {0, erase(4), true}, {48 * time.Hour, erase(5), true},
		}},
		"what a device has it may have again, whatever holds": {three, 0, []step{
			{0, erase(1), false}, {0, erase(1), false}, {0, erase(2), false}, {0, erase(3), false}, {0, erase(1), false}, {0, erase(4), true}, {0, erase(1), false},
		}},
		"every window counts": {[]brake.Limit{{Window: time.Hour, Most: 2}, {Window: 24 * time.Hour, Most: 3}}, 0, []step{
			{0, erase(1), false}, {0, erase(2), false}, {2 * time.Hour, erase(3), false}, {2 * time.Hour, erase(4), true},
		}},
		"a share of a large fleet counts instead": {[]brake.Limit{{Window: time.Hour, Most: 1, Share: 0.01}}, 399, []step{
			{0, erase(1), false}, {0, erase(2), false}, {0, erase(3), false}, {0, erase(4), true},
		}},
		"a share of a small one does not": {[]brake.Limit{{Window: time.Hour, Most: 2, Share: 0.01}}, 50, []step{
			{0, erase(1), false}, {0, erase(2), false}, {0, erase(3), true},
		}},
		"each site has its own": {[]brake.Limit{{Window: time.Hour, Most: 9, PerSite: 1}}, 0, []step{
			{0, site(1, "north"), false}, {0, site(2, "south"), false}, {0, site(3, ""), false}, {0, site(4, "north"), true},
		}},
		"devices without a site share one": {[]brake.Limit{{Window: time.Hour, Most: 9, PerSite: 1}}, 0, []step{{0, site(1, ""), false}, {0, site(2, ""), true}}},
		"a share of a site's devices": {[]brake.Limit{{Window: time.Hour, Most: 9, PerSite: 1, Share: 0.02}}, 0, []step{
			{0, site(1, "north"), false}, {0, site(2, "north"), false}, {0, site(3, "north"), true},
		}},
		"no limit holds nothing": {nil, 0, []step{{0, erase(1), false}, {0, erase(2), false}}},
		"those of one person count together": {three, 0, []step{
			{0, use("a", ""), false}, {0, use("b", ""), false}, {0, use("a", ""), false}, {0, use("c", ""), true},
		}},
		"one's own device fills no window and waits for none": {three, 0, []step{
			{0, use("a", brake.Self), false},
			{0, use("b", brake.Self), false},
			{0, use("c", brake.Self), false},
			{0, use("d", ""), false},
			{0, use("d", ""), false},
			{0, use("d", ""), false},
			{0, use("e", ""), true},
			{0, use("e", brake.Self), false},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.devices = fleet(tt.devices)
			w.limits = map[brake.Kind][]brake.Limit{brake.Erase: tt.limits, brake.Lock: tt.limits}
			s, holds := w.server(t, w.anchor), 0
			for i, st := range tt.steps {
				w.now = w.now.Add(st.after)
				if got := take(t, s, st.e); got != st.held {
					t.Errorf("step %d: held %v, want %v", i, got, st.held)
				}
				if st.held {
					holds = 1
				}
			}
			if len(w.held) != holds {
				t.Errorf("told of %d holds, want %d", len(w.held), holds)
			}
			for _, e := range w.journal.rows {
				if e.Event == brake.Held {
					holds--
				}
			}
			if holds != 0 {
				t.Error("a hold stands once in the journal")
			}
		})
	}
}

func TestPerPerson(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.limits = map[brake.Kind][]brake.Limit{brake.Revoke: {{Window: time.Hour, Most: 4, PerPerson: 2}}}
	s := w.server(t, w.anchor)
	use := func(who string) error {
		h, err := s.Take(t.Context(), brake.Entry{Event: brake.Used, Kind: brake.Revoke, Person: who})
		if h != nil {
			return errors.New("held")
		}
		return err
	}
	for i, tt := range []struct {
		who  string
		want string
	}{
		{"ada", ""},
		{"ada", ""},
		{"ada", "The brake holds this: one person may do 2 revocations within an hour, and you have. Ask a colleague to do the others, or wait."},
		{"bob", ""},
		{"bob", ""},
		{"ada", "The brake holds this: one person may do 2 revocations within an hour, and you have. Ask a colleague to do the others, or wait."},
		{"cy", "held"},
	} {
		err := use(tt.who)
		if got := fmt.Sprint(err); got != tt.want && (err != nil || tt.want != "") {
			t.Errorf("deed %d by %s = %v, want %q", i, tt.who, err, tt.want)
		}
		if tt.want != "" && tt.want != "held" && ward.KindOf(err) != ward.Conflict {
			t.Errorf("deed %d: %v is no conflict", i, err)
		}
	}
	w.now = w.now.Add(time.Hour)
	if h, ok := ledger(t, s).Held(brake.Revoke); !ok || !cmp.Equal(h.Involved, []string{"ada", "bob", "cy"}) {
		t.Errorf("Held = %+v, %v; want it by ada, bob and cy", h, ok)
	}
}

// TestInvolved: whoever asked for or approved what filled the window, or what was held, can
// not be the one of the two who had no part in it.
func TestInvolved(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.limits = map[brake.Kind][]brake.Limit{brake.Erase: {{Window: time.Hour, Most: 1}}}
	s := w.server(t, w.anchor)
	of := func(ev brake.Event, n int, who string, campaign bool) {
		e := erase(n)
		e.Event, e.Enrolment, e.Person, e.Campaign = ev, "", who, campaign
		record(t, s, e)
	}
	of(brake.Requested, 1, "old request", false)
	of(brake.Approved, 1, "zoe", false)
	of(brake.Requested, 9, "of another order, long ago", false)
	w.now = w.now.Add(5 * time.Hour)
	of(brake.Requested, 2, "bob", false)
	of(brake.Approved, 2, "bob", false)
	of(brake.Approved, 2, "cy", false)
	of(brake.Requested, 3, "dan", false)
	of(brake.Requested, 4, "campaign", true)
	first, second := erase(1), erase(2)
	first.Person, second.Person = "via device", "via device"
	if take(t, s, first) || !take(t, s, second) {
		t.Fatal("want the second held")
	}
	want := []brake.Hold{{
		Kind: brake.Erase, Since: w.now, Why: "There were 1 erasure within an hour, the most that is allowed here.",
		Involved: []string{"bob", "cy", "dan", "old request", "zoe"},
	}}
	want[0].Why = strings.Replace(want[0].Why, "There were", "There was", 1)
	if diff := cmp.Diff(want, w.held); diff != "" {
		t.Errorf("told mismatch (-want +got):\n%s", diff)
	}
	for name, s := range map[string]*brake.Service{"the same server": s, "one that starts": w.server(t, w.anchor)} {
		got, err := s.Holds(t.Context())
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("Holds of %s mismatch, %v (-want +got):\n%s", name, err, diff)
		}
	}
	if got := want[0].Words(); !strings.Contains(got, "Since 08:00 on 3 November 2026 UTC all erasures wait until two people release them") {
		t.Errorf("Words = %s", got)
	}
}

// TestRelease: only after a release the windows begin, at zero, and only a hold can be
// released.
func TestRelease(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.limits = map[brake.Kind][]brake.Limit{brake.Erase: {{Window: time.Hour, Most: 2}}}
	s := w.server(t, w.anchor)
	release := brake.Entry{Event: brake.Released, Kind: brake.Erase, Order: "r"}
	if err := s.Record(t.Context(), release); ward.KindOf(err) != ward.Conflict {
		t.Errorf("Record = %v, want a conflict: nothing is held", err)
	}
	for n, want := range []bool{false, false, true, true} {
		if got := take(t, s, erase(n)); got != want {
			t.Errorf("%d: held %v", n, got)
		}
	}
	if n, err := s.Room(t.Context(), brake.Erase, ""); n != 0 || err != nil {
		t.Errorf("Room = %d, %v; want none", n, err)
	}
	record(t, s, release)
	if n, err := s.Room(t.Context(), brake.Erase, ""); n != 2 || err != nil {
		t.Errorf("Room = %d, %v; want 2", n, err)
	}
	for n, want := range []bool{false, false, false, false, true} { // the first two have theirs
		if got := take(t, s, erase(n)); got != want {
			t.Errorf("after the release, %d: held %v", n, got)
		}
	}
	if len(w.held) != 2 {
		t.Errorf("told of %d holds, want 2", len(w.held))
	}
}

// TestLift: while a kind is lifted its windows count nothing, nor does what was done then
// count later.
func TestLift(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.limits = map[brake.Kind][]brake.Limit{brake.Erase: {{Window: 10 * time.Hour, Most: 2}}}
	s := w.server(t, w.anchor)
	lift := brake.Entry{Event: brake.Lifted, Kind: brake.Erase, Order: "l", Until: w.now.Add(time.Hour)}
	for _, until := range []time.Time{w.now, {}, w.now.Add(brake.MaxLift + time.Second)} {
		bad := lift
		bad.Until = until
		if err := s.Record(t.Context(), bad); ward.KindOf(err) != ward.Invalid {
			t.Errorf("lifted until %s: %v", until, err)
		}
	}
	take(t, s, erase(0))
	record(t, s, lift)
	if n, err := s.Room(t.Context(), brake.Erase, ""); n != math.MaxInt || err != nil {
		t.Errorf("Room = %d, %v; want no bound", n, err)
	}
	for n := range 5 {
		if take(t, s, erase(10+n)) {
			t.Errorf("%d is held although the kind is lifted", n)
		}
	}
	w.now = w.now.Add(time.Hour - time.Microsecond)
	if until, ok := ledger(t, s).Lifted(brake.Erase, w.now); !ok || !until.Equal(lift.Until) {
		t.Errorf("Lifted = %s, %v", until, ok)
	}
	w.now = lift.Until
	if _, ok := ledger(t, s).Lifted(brake.Erase, w.now); ok {
		t.Error("lifted longer than it was to be")
	}
	if take(t, s, erase(1)) {
		t.Error("what was done while it was lifted counts")
	}
	if !take(t, s, erase(2)) {
		t.Error("what was done before it was lifted does not count")
	}
	record(t, s, lift2(lift, w.now))
	if !take(t, s, erase(3)) {
		t.Error("a lift releases no hold")
	}
}

func lift2(e brake.Entry, now time.Time) brake.Entry { e.Until = now.Add(time.Hour); return e }

func TestCampaign(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.limits = map[brake.Kind][]brake.Limit{brake.Erase: {{Window: time.Hour, Most: 1}}}
	s, start := w.server(t, w.anchor), w.now
	for n := range 5 {
		e := erase(0)
		e.Campaign, e.Enrolment = true, ward.EnrolmentID(fmt.Sprint(n))
		if w.now = w.now.Add(time.Minute); take(t, s, e) {
			t.Errorf("delivery %d of a campaign is held", n)
		}
	}
	l := ledger(t, s)
	if n := l.Campaign("o0", start.Add(2*time.Minute)); n != 3 {
		t.Errorf("Campaign = %d, want the 3 after", n)
	}
	if n := l.DeliveredCount("o0"); n != 5 {
		t.Errorf("DeliveredCount = %d, want 5", n)
	}
	if n, err := s.Room(t.Context(), brake.Erase, ""); n != 1 || err != nil {
		t.Errorf("Room = %d, %v; a campaign fills no window", n, err)
	}
	if take(t, s, erase(1)) || !take(t, s, erase(2)) {
		t.Error("want one, and then the hold")
	}
	e := erase(0)
	e.Campaign, e.Enrolment = true, "more"
	if !take(t, s, e) {
		t.Error("a campaign goes on although its kind is held")
	}
}

// TestOrderEntries: what the engine asks before it hands a command out.
func TestOrderEntries(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.server(t, w.anchor)
	due := w.now.Add(10 * time.Minute)
	record(
		t, s,
		brake.Entry{Event: brake.Requested, Kind: brake.Erase, Order: "o", Hash: "digest", Person: "ada"},
		brake.Entry{Event: brake.Approved, Kind: brake.Erase, Order: "o", Hash: "digest", Until: due},
		brake.Entry{Event: brake.Issued, Kind: brake.Erase, Order: "o", Enrolment: "e1", Hash: "body 1"},
		brake.Entry{Event: brake.Issued, Kind: brake.Erase, Order: "o", Enrolment: "e2", Hash: "body 2"},
		brake.Entry{Event: brake.Cancelled, Kind: brake.Erase, Order: "o", Enrolment: "e2"},
		brake.Entry{Event: brake.Cancelled, Kind: brake.Erase, Order: "whole"},
	)
	before := ledger(t, s)
	if _, err := s.Take(t.Context(), brake.Entry{Event: brake.Delivered, Kind: brake.Erase, Order: "o", Enrolment: "e2"}); !errors.Is(err, brake.ErrCancelled) {
		t.Errorf("Take of what was taken back = %v", err)
	}
	take(t, s, brake.Entry{Event: brake.Delivered, Kind: brake.Erase, Order: "o", Enrolment: "e1"})
	l := ledger(t, w.server(t, w.anchor))
	type answer struct {
		Approved, Issued1, Issued3                  string
		Cancelled1, Cancelled2, Whole, Done1, Done2 bool
		Until                                       time.Time
	}
	var got answer
	got.Approved, _ = l.Approved("o")
	got.Issued1, _ = l.Issued("o", "e1")
	got.Issued3, _ = l.Issued("o", "e3")
	got.Cancelled1, got.Cancelled2, got.Whole = l.Cancelled("o", "e1"), l.Cancelled("o", "e2"), l.Cancelled("whole", "any")
	got.Done1, got.Done2 = l.Delivered("o", "e1"), before.Delivered("o", "e1")
	a, _ := l.ApprovedEntry("o")
	got.Until = a.Until
	want := answer{Approved: "digest", Issued1: "body 1", Cancelled2: true, Whole: true, Done1: true, Until: due}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the ledger's answers mismatch (-want +got):\n%s", diff)
	}
	if l.Head() != 7 || before.Head() != 6 {
		t.Errorf("Head = %d and %d, want 7 and 6", l.Head(), before.Head())
	}
}

// TestRefusals: what would make the journal say what it must not.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := w.server(t, w.anchor)
	e := erase(1)
	for name, fn := range map[string]func() error{
		"a delivery past Take":    func() error { return s.Record(t.Context(), e) },
		"a use past Take":         func() error { return s.Record(t.Context(), with(e, func(e *brake.Entry) { e.Event = brake.Used })) },
		"a hold":                  func() error { return s.Record(t.Context(), with(e, func(e *brake.Entry) { e.Event = brake.Held })) },
		"a reset":                 func() error { return s.Record(t.Context(), with(e, func(e *brake.Entry) { e.Event = brake.Reset })) },
		"an event that is none":   func() error { return s.Record(t.Context(), with(e, func(e *brake.Entry) { e.Event = "x" })) },
		"a kind that is none":     func() error { return s.Record(t.Context(), brake.Entry{Event: brake.Requested, Kind: "x", Order: "o"}) },
		"a request for no order":  func() error { return s.Record(t.Context(), brake.Entry{Event: brake.Requested, Kind: brake.Erase}) },
		"an issue without a body": func() error { return s.Record(t.Context(), with(e, func(e *brake.Entry) { e.Event = brake.Issued })) },
		"text no database keeps": func() error {
			return s.Record(t.Context(), brake.Entry{Event: brake.Requested, Kind: brake.Erase, Order: "o", Note: "a\x00"})
		},
		"an erasure by one person": func() error { return taken(t.Context(), s, with(e, func(e *brake.Entry) { e.Event = brake.Used })) },
		"a delivery of no order":   func() error { return taken(t.Context(), s, with(e, func(e *brake.Entry) { e.Order = "" })) },
		"a lock by nobody":         func() error { return taken(t.Context(), s, brake.Entry{Event: brake.Used, Kind: brake.Lock}) },
		"a lock as a campaign": func() error {
			return taken(t.Context(), s, brake.Entry{Event: brake.Used, Kind: brake.Lock, Person: "a", Campaign: true})
		},
		"a deed of no kind": func() error { return taken(t.Context(), s, with(e, func(e *brake.Entry) { e.Kind = "x" })) },
		"a new chain by an admin": func() error {
			return s.Reanchor(ward.WithActor(t.Context(), ward.Actor{Via: ward.ViaSession, Roles: ward.Roles}), "why")
		},
		"a new chain by nobody":     func() error { return s.Reanchor(t.Context(), "why") },
		"a new chain for no reason": func() error { return s.Reanchor(console(t.Context()), " ") },
	} {
		if err := fn(); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if len(w.journal.rows) != 0 {
		t.Errorf("the journal has %d entries, want none", len(w.journal.rows))
	}
}

func with(e brake.Entry, fn func(*brake.Entry)) brake.Entry { fn(&e); return e }

func taken(ctx context.Context, s *brake.Service, e brake.Entry) error {
	_, err := s.Take(ctx, e)
	return err
}

func console(ctx context.Context) context.Context {
	return ward.WithActor(ctx, ward.Actor{Via: ward.ViaConsole})
}

func TestMeters(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.limits = map[brake.Kind][]brake.Limit{brake.Erase: {{Window: time.Hour, Most: 3}, {Window: 24 * time.Hour, Most: 10, Share: 0.01}}, brake.Lock: {{Window: time.Hour, Most: 50}}}
	w.devices = 2500
	s := w.server(t, w.anchor)
	take(t, s, erase(1))
	w.now = w.now.Add(2 * time.Hour)
	take(t, s, erase(2))
	got, err := s.Meters(t.Context())
	want := []brake.Meter{
		{Kind: brake.Erase, Limit: w.limits[brake.Erase][0], Count: 1, Most: 3},
		{Kind: brake.Erase, Limit: w.limits[brake.Erase][1], Count: 2, Most: 25},
		{Kind: brake.Lock, Limit: w.limits[brake.Lock][0], Most: 50},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("Meters mismatch, %v (-want +got):\n%s", err, diff)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	w := newWorld()
	good := brake.Config{Journal: w.journal, Anchor: w.anchor, Fleet: w.devices, Key: make([]byte, 32), Now: time.Now}
	if _, err := brake.New(good); err != nil {
		t.Error(err)
	}
	limit := func(k brake.Kind, l brake.Limit) func(*brake.Config) {
		return func(c *brake.Config) { c.Limits = map[brake.Kind][]brake.Limit{k: {l}} }
	}
	for name, spoil := range map[string]func(*brake.Config){
		"no journal":         func(c *brake.Config) { c.Journal = nil },
		"no anchor":          func(c *brake.Config) { c.Anchor = nil },
		"no fleet":           func(c *brake.Config) { c.Fleet = nil },
		"no clock":           func(c *brake.Config) { c.Now = nil },
		"a short key":        func(c *brake.Config) { c.Key = c.Key[:31] },
		"an unknown kind":    limit("x", brake.Limit{Window: time.Hour, Most: 1}),
		"no window":          limit(brake.Erase, brake.Limit{Most: 1}),
		"nothing allowed":    limit(brake.Erase, brake.Limit{Window: time.Hour}),
		"more than the lot":  limit(brake.Erase, brake.Limit{Window: time.Hour, Most: 1, Share: 1.1}),
		"a negative site":    limit(brake.Erase, brake.Limit{Window: time.Hour, Most: 1, PerSite: -1}),
		"a negative persons": limit(brake.Erase, brake.Limit{Window: time.Hour, Most: 1, PerPerson: -1}),
	} {
		c := good
		spoil(&c)
		if _, err := brake.New(c); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	for _, k := range brake.Kinds {
		if len(brake.DefaultLimits()[k]) == 0 {
			t.Errorf("%s has no limit by default", k)
		}
		if one, many := brake.Words(k); one == many || one == "" {
			t.Errorf("Words(%s) = %s, %s", k, one, many)
		}
	}
}
