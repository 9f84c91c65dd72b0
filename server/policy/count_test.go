package policy_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/store/storetest"
)

// excepting is the example policy with an exception for WhatsApp for each scope, from a
// day on for ten days.
func excepting(note string, from time.Time, scopes ...string) []byte {
	text := string(version(note))
	for i, s := range scopes {
		if i == 0 {
			text += "\nexceptions:\n"
		}
		text += fmt.Sprintf("  - {id: EX-%d, app: whatsapp, for: {%s}, who: a, reason: b, approver: c, from: %s, expires: %s, review: d}\n",
			i, s, from.Format(time.DateOnly), from.AddDate(0, 0, 10).Format(time.DateOnly))
	}
	return []byte(text)
}

// at turns the world's clock ahead.
func (w *world) at(ahead time.Duration) {
	rule := w.Rule
	w.Service = policy.New(w.db.Policies(), w.audit, func() time.Time { return now().Add(ahead) }, func() { w.moved++ })
	w.Rule = rule
}

// submit submits a draft by ada and checks what becomes of it.
func (w *world) submit(text []byte, want policy.State, changed, together int) policy.Version {
	w.t.Helper()
	v, err := w.Submit(w.as("ada", "1"), policy.Draft{Text: text})
	if err != nil || v.State != want || v.Changed != changed || v.Together != together {
		w.t.Errorf("Submit() = %s, changes %d, together %d, %v; want %s, %d and %d", v.State, v.Changed, v.Together, err, want, changed, together)
	}
	return v
}

// approve has ben approve a proposal.
func (w *world) approve(v policy.Version) {
	w.t.Helper()
	digest, err := v.Digest()
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.Approve(w.as("ben", "1"), v.Generation, digest); err != nil {
		w.t.Fatal(err)
	}
}

// wards makes a fleet of a device in each of n wards with one policy in force that two
// persons agreed to.
func wards(t *testing.T, n int) *world {
	t.Helper()
	w := newWorld(t, storetest.SQLite(t))
	w.Rule = strict()
	for i := range n {
		w.device(ward.DeviceID(fmt.Sprint("d", i)), fmt.Sprint("Ward ", i), true)
	}
	w.approve(w.submit(version("first"), policy.Proposed, n, n))
	return w
}

// TestFutureException: an exception for the whole fleet that begins next month changes
// the whole fleet, and so does taking it away again.
func TestFutureException(t *testing.T) {
	t.Parallel()
	begins := now().Truncate(24*time.Hour).AddDate(0, 0, 30)
	for name, scopes := range map[string][]string{
		"wards": {"ward: ward 0", "ward: Ward 1", "ward: Ward 2", "ward: Ward 3"}, "site": {"site: north"},
		"devices": {"device: d0", "device: S-d1", "device: d2", "device: d3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := wards(t, 4)
			text := excepting("later", begins, scopes...)
			p, err := w.Plan(t.Context(), text, nil)
			if err != nil || p.Changed != 4 || !p.SecondPerson || !cmp.Equal([]policy.Later{{At: begins, Devices: 4}}, p.Later) {
				t.Fatalf("Plan() = %d changed, second person %v, later %v, %v; want all four from %s on", p.Changed, p.SecondPerson, p.Later, err, begins)
			}
			for _, k := range p.Kinds {
				if len(k.Changes) != 0 {
					t.Errorf("at once %v changes", k.Changes)
				}
			}
			w.approve(w.submit(text, policy.Proposed, 4, 4))
			w.submit(version("without it"), policy.Proposed, 4, 4)
			w.submit(excepting("other words", begins, scopes...), policy.Current, 0, 0)
		})
	}
}

// TestSlices: a change of the whole fleet that one person makes in slices, each small
// enough, needs a second person as soon as the slices together do.
func TestSlices(t *testing.T) {
	t.Parallel()
	w, began := wards(t, 8), now().AddDate(0, 0, -1)
	w.submit(excepting("slice", began, "ward: Ward 0", "ward: Ward 1"), policy.Current, 2, 2)
	two := excepting("slices", began, "ward: Ward 0", "ward: Ward 1", "ward: Ward 2", "ward: Ward 3")
	if p, err := w.Plan(t.Context(), two, nil); err != nil || p.Changed != 2 || p.Together != 4 || !p.SecondPerson {
		t.Errorf("Plan() = %d, together %d, second person %v, %v; want 2, 4 and one", p.Changed, p.Together, p.SecondPerson, err)
	}
	v := w.submit(two, policy.Proposed, 2, 4)
	// Back and forth counts too: each was touched.
	w.submit(version("back"), policy.Current, 2, 2)
	w.submit(excepting("others", began, "ward: Ward 4", "ward: Ward 5"), policy.Proposed, 2, 4)
	_, err := w.Approve(w.as("ben", "1"), v.Generation, digest(t, v))
	wantKind(t, "approval of what was overtaken", err, ward.Conflict)
	// What two persons agreed to starts afresh.
	w.approve(w.submit(excepting("agreed", began, "ward: Ward 0", "ward: Ward 1", "ward: Ward 2", "ward: Ward 3"), policy.Proposed, 4, 4))
	w.submit(excepting("more", began, "ward: Ward 0", "ward: Ward 1", "ward: Ward 2", "ward: Ward 3", "ward: Ward 4"), policy.Current, 1, 1)
	// A day later the slices are another day's.
	w.at(25 * time.Hour)
	w.submit(excepting("next day", began, "ward: Ward 0", "ward: Ward 1", "ward: Ward 2", "ward: Ward 3", "ward: Ward 4", "ward: Ward 5", "ward: Ward 6"), policy.Current, 2, 2)
}

// TestNewDevices: what a device had before it enrolled is no matter: a fleet that grew
// under a policy did not change by it.
func TestNewDevices(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	w.Rule = strict()
	w.submit(version("first"), policy.Current, 0, 0)
	for i := range 8 {
		w.device(ward.DeviceID(fmt.Sprint("d", i)), fmt.Sprint("Ward ", i), true)
	}
	began := now().AddDate(0, 0, -1)
	w.submit(excepting("a slice", began, "ward: Ward 0", "ward: Ward 1"), policy.Current, 2, 2)
	w.submit(excepting("another", began, "ward: Ward 2", "ward: Ward 3"), policy.Proposed, 4, 4)
}

// TestManyVersions: whoever publishes very often in a day can't outrun the count.
func TestManyVersions(t *testing.T) {
	t.Parallel()
	w := wards(t, 4)
	for i := range 22 {
		w.submit(version(fmt.Sprint("number ", i)), policy.Current, 0, map[bool]int{true: 4}[i >= 21])
	}
	w.submit(excepting("a slice", now().AddDate(0, 0, -1), "ward: Ward 0"), policy.Proposed, 1, 4)
}

// TestRollbackFurther: one person goes straight back; further back counts like
// publishing.
func TestRollbackFurther(t *testing.T) {
	t.Parallel()
	w := wards(t, 8)
	for _, except := range []string{"signal", "whatsapp"} {
		w.approve(w.submit(version("but "+except, except), policy.Proposed, 8, 8))
	}
	v, err := w.Rollback(w.as("ada", "1"), 1, "all of it was wrong")
	if err != nil || v.State != policy.Proposed || v.Base != 3 || v.Changed != 8 || v.Text != string(version("first")) || w.state(3) != policy.Current {
		t.Fatalf("Rollback(1) = %s on %d, changes %d, %v; want a proposal", v.State, v.Base, v.Changed, err)
	}
	_, err = w.Approve(w.as("ada", "1"), v.Generation, digest(t, v))
	wantKind(t, "approval by its author", err, ward.Forbidden)
	w.approve(v)
	if len(w.under(4)) != 8 {
		t.Errorf("approved, it holds for %v", w.under(4))
	}
	if v, err = w.Rollback(w.as("ada", "1"), 0, "it was right"); err != nil || v.State != policy.Current || v.Note != "but whatsapp" || v.Changed != 8 {
		t.Errorf("straight back = %s to %q, changes %d, %v", v.State, v.Note, v.Changed, err)
	}
	if v, err = w.Rollback(w.as("ada", "1"), 4, "and forth"); err != nil || v.State != policy.Proposed {
		t.Errorf("back and forth = %s, %v; want a proposal", v.State, err)
	}
	// Going straight back on what two persons agreed to is no slice of one person's.
	began := now().AddDate(0, 0, -1)
	text := strings.Replace(string(excepting("small", began, "ward: Ward 0")), "whatsapp, for", "viber, for", 1)
	text = strings.Replace(text, "  categories: [consumer-messaging]\n", "  categories: [consumer-messaging]\n  except: [whatsapp]\n", 1)
	w.submit([]byte(text), policy.Current, 1, 1)
	if v, err = w.Rollback(w.as("ada", "1"), 1, "small as well"); err != nil || v.State != policy.Proposed {
		t.Errorf("further back after it = %s, %v; want a proposal", v.State, err)
	}
}

func digest(t *testing.T, v policy.Version) string {
	t.Helper()
	d, err := v.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// meddler is a store in which something happens once all devices were looked at, or what
// stands was read.
type meddler struct {
	policy.Store
	counted, stood func()
}

func (m *meddler) Subjects(ctx context.Context, apps bool, fn func(policy.Subject) error) error {
	err := m.Store.Subjects(ctx, apps, fn)
	if f := m.counted; f != nil {
		m.counted = nil
		f()
	}
	return err
}

func (m *meddler) Standing(ctx context.Context) ([]policy.Version, error) {
	vs, err := m.Store.Standing(ctx)
	if f := m.stood; f != nil {
		m.stood = nil
		f()
	}
	return vs, err
}

// TestPublishedMeanwhile: a version that was counted against one that holds no longer is
// not published on that count.
func TestPublishedMeanwhile(t *testing.T) {
	t.Parallel()
	w := wards(t, 4)
	between := &meddler{Store: w.db.Policies()}
	other := policy.New(between, w.audit, now, nil)
	for _, tt := range []struct {
		name string
		deed func() error
	}{
		{"publish", func() error { _, err := other.Publish(w.as("cyd", "1"), version("mine")); return err }},
		{"roll back", func() error { _, err := other.Rollback(w.as("cyd", "1"), 1, "why"); return err }},
	} {
		was := w.epoch()
		between.counted = func() { w.submit(version(tt.name+" meanwhile"), policy.Current, 0, 0) }
		wantKind(t, tt.name, tt.deed(), ward.Conflict)
		if w.epoch() != was+1 {
			t.Errorf("%s: %d versions came into force, want the other alone", tt.name, w.epoch()-was)
		}
	}
}

// TestRingMeanwhile: a ring that opens while a version is counted has it counted anew.
func TestRingMeanwhile(t *testing.T) {
	t.Parallel()
	w, _ := rolling(t, storetest.SQLite(t), canaries(10, 50))
	between := &meddler{Store: w.db.Policies()}
	between.counted = func() { w.advance(time.Now().Add(pause + time.Hour)) }
	v, err := policy.New(between, w.audit, now, nil).Submit(w.as("cyd", "1"), policy.Draft{Text: version("third"), Replace: true})
	if err != nil || v.State != policy.Current || v.Generation != 3 || w.audit.count(policy.ActionOpened) != 1 {
		t.Errorf("Submit() = %s %d, %v, %d rings opened", v.State, v.Generation, err, w.audit.count(policy.ActionOpened))
	}
}

// TestAdvanceMeanwhile: a rollout that ends while its progress is looked at is left alone.
func TestAdvanceMeanwhile(t *testing.T) {
	t.Parallel()
	w, _ := rolling(t, storetest.SQLite(t), canaries())
	between := &meddler{Store: w.db.Policies()}
	between.stood = func() {
		if _, err := w.Rollback(w.as("ada", "1"), 0, "meanwhile"); err != nil {
			t.Error(err)
		}
	}
	if err := policy.New(between, w.audit, now, nil).Advance(t.Context(), time.Now().Add(3*pause)); err != nil {
		t.Errorf("Advance() = %v", err)
	}
	if w.state(3) != policy.Current || w.state(2) != policy.Withdrawn {
		t.Errorf("3 is %s, 2 is %s", w.state(3), w.state(2))
	}
}
