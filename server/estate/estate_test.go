package estate_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/reconcile"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

var start = time.Date(2026, 3, 12, 9, 0, 0, 0, time.UTC)

// world is a record with devices, whose assessments the test says.
type world struct {
	*estate.Service
	db    *store.DB
	now   atomic.Int64
	says  map[ward.DeviceID]func(*reconcile.View) compliance.Assessment
	asked int
}

func newWorld(t *testing.T, db *store.DB) *world {
	t.Helper()
	w := &world{db: db, says: map[ward.DeviceID]func(*reconcile.View) compliance.Assessment{}}
	w.now.Store(start.UnixMicro())
	w.Service = w.another(t)
	return w
}

// another is a further copy of the server on the same record.
func (w *world) another(t *testing.T) *estate.Service {
	t.Helper()
	s, err := estate.New(estate.Options{Store: w.db.Estate(), Assess: w.assess, Overlap: w.db.PostureOverlap(), Now: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (w *world) clock() time.Time     { return time.UnixMicro(w.now.Load()).UTC() }
func (w *world) pass(d time.Duration) { w.now.Add(d.Microseconds()) }

func (w *world) assess(ctx context.Context, id ward.DeviceID) (v reconcile.View, a compliance.Assessment, err error) {
	w.asked++
	if v.Device, err = w.db.Fleet().Device(ctx, id); err != nil {
		return v, a, err
	}
	a.State = compliance.Compliant
	v.Enrolment = ward.Enrolment{ID: ward.EnrolmentID("enr_" + id), State: ward.EnrolmentActive, Enrolled: start.Add(-time.Hour)}
	if say := w.says[id]; say != nil {
		a = say(&v)
	}
	return v, a, nil
}

// finds has a device assessed with findings, the first of which decides.
func (w *world) finds(id ward.DeviceID, all ...compliance.Finding) {
	w.says[id] = func(*reconcile.View) compliance.Assessment {
		return compliance.Assessment{State: all[0].State, Findings: all}
	}
}

func (w *world) insert(t *testing.T, ids ...ward.DeviceID) {
	t.Helper()
	for _, id := range ids {
		d := ward.Device{ID: id, Serial: "SN" + string(id), Name: "Phone " + string(id), Owner: "Owner of " + string(id), Platform: ward.IOS, OSVersion: "26.1", Ownership: ward.Corporate, Group: "Ward 7", Site: "Royal", State: ward.Managed, Created: start}
		if err := w.db.Fleet().InsertDevice(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
}

// change writes a device's row, by which it is judged anew.
func (w *world) change(t *testing.T, id ward.DeviceID, how func(*ward.Device)) {
	t.Helper()
	d, err := w.db.Fleet().Device(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	how(&d)
	if err := w.db.Fleet().UpdateDevice(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

func (w *world) present(t *testing.T) *estate.Snapshot {
	t.Helper()
	s, err := w.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (w *world) changes(t *testing.T, id ward.DeviceID) []estate.Change {
	t.Helper()
	all, err := w.Changes(t.Context(), id, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func ids(all []*estate.Device) (out []string) {
	for _, d := range all {
		out = append(out, string(d.ID))
	}
	return out
}

// TestCurrent: whoever changed something sees it in the present at once; a new name moves a
// device and is no change of its posture; a device that is deleted leaves.
func TestCurrent(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.insert(t, "d10", "d2", "d1")
		w.finds("d10", compliance.Finding{State: compliance.NonCompliant, Code: "no-passcode", Text: "It has no passcode.", Cure: "Set one."})
		first := w.present(t)
		if diff := cmp.Diff([]string{"d10", "d1", "d2"}, ids(first.Devices)); diff != "" {
			t.Fatalf("Current() mismatch (-want +got):\n%s", diff)
		}
		if d := first.Devices[0]; d.Reason() != "It has no passcode." || d.State != compliance.NonCompliant || d.Serial != "SNd10" || !d.Since.Equal(start) || !d.Managed {
			t.Errorf("Current()[0] = %+v; want what was assessed", d)
		}
		w.pass(time.Minute)
		delete(w.says, "d10")
		w.change(t, "d10", func(d *ward.Device) { d.OSVersion = "26.2" })
		w.change(t, "d1", func(d *ward.Device) { d.Name, d.Owner = "Zebra", "Ada" })
		if diff := cmp.Diff([]string{"d2", "d10", "d1"}, ids(w.present(t).Devices)); diff != "" {
			t.Errorf("Current() after changes mismatch (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"d10", "d1", "d2"}, ids(first.Devices)); diff != "" {
			t.Errorf("the snapshot before has changed (-want +got):\n%s", diff)
		}
		if n := len(w.changes(t, "d1")); n != 1 {
			t.Errorf("a new name made a change of the posture: %d, want the first alone", n)
		}
		if all := w.changes(t, "d10"); len(all) != 2 || all[0].Device.State != compliance.Compliant || all[1].Device.State != compliance.NonCompliant || all[1].Device.Name != "Phone d10" || all[1].Device.Findings[0].Text == "It has no passcode." {
			t.Errorf("Changes() = %+v; want two, the newest first, with the names of now and the words of all", all)
		}
		if err := w.db.Fleet().DeleteDevice(t.Context(), "d2"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"d10", "d1"}, ids(w.present(t).Devices)); diff != "" {
			t.Errorf("Current() after a deletion mismatch (-want +got):\n%s", diff)
		}
		if _, err := w.Device(t.Context(), "d2"); ward.KindOf(err) != ward.NotFound {
			t.Errorf("Device() of one that was deleted: %v, want not found", err)
		}
		if all := w.changes(t, "d2"); len(all) != 2 || all[0].Device.State != "" || all[1].Device.State != compliance.Compliant {
			t.Errorf("Changes() of one that was deleted = %+v; want its past and the end of it", all)
		}
		if fresh := w.another(t); fresh != nil {
			if s, err := fresh.Current(t.Context()); err != nil || !slices.Equal(ids(s.Devices), []string{"d10", "d1"}) {
				t.Errorf("another copy says %v, %v", s, err)
			}
		}
	})
}

// TestRecordOnlyChanges: what moves with each answer of a device is no change, and nothing is
// written for it.
func TestRecordOnlyChanges(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.insert(t, "d1")
		told := start
		until := start.Add(72 * time.Hour)
		w.says["d1"] = func(v *reconcile.View) compliance.Assessment {
			v.Got.Information = &reconcile.Known[reconcile.Information]{At: told}
			return compliance.Assessment{State: compliance.InGrace, Findings: []compliance.Finding{
				{State: compliance.InGrace, Code: "no-passcode", Text: fmt.Sprint("as of ", told), Until: until},
				{State: compliance.Compliant, Code: "exception", Subject: "whatsapp", Text: "until", Since: told},
			}}
		}
		mark := func() {
			w.change(t, "d1", func(*ward.Device) {})
			w.present(t)
		}
		mark()
		for range 5 {
			w.pass(time.Hour)
			told, until = w.clock(), until.Add(time.Hour) // its beginning is not recorded, so its grace seems to move
			mark()
		}
		all := w.changes(t, "d1")
		if len(all) != 1 {
			t.Fatalf("%d changes, want one:\n%s", len(all), cmp.Diff(all[0].Device, all[1].Device))
		}
		d, err := w.Device(t.Context(), "d1")
		if err != nil || !d.Findings[0].Until.Equal(start.Add(72*time.Hour)) || !d.Findings[0].Since.Equal(start) || !d.Findings[1].Since.Equal(start) || !d.Told.Equal(told) || d.Findings[0].Text != fmt.Sprint("as of ", told) {
			t.Errorf("Device() = %+v, %v; want it since the beginning, told just now", d, err)
		}
		w.pass(time.Hour)
		w.finds("d1", compliance.Finding{State: compliance.NonCompliant, Code: "no-passcode"})
		mark()
		d, err = w.Device(t.Context(), "d1")
		if err != nil || !d.Since.Equal(start.Add(6*time.Hour)) || !d.Findings[0].Since.Equal(start) {
			t.Errorf("Device() = %+v, %v; want the state since now and the finding since the beginning", d, err)
		}
	})
}

// TestRecordInLoop: the loop's own unit of work keeps the posture, and writes nothing when it
// is as it was.
func TestRecordInLoop(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.insert(t, "d1")
		record := func() (next time.Time) {
			t.Helper()
			err := db.Do(t.Context(), func(ctx context.Context) error {
				v, _, err := w.assess(ctx, "d1")
				if err != nil {
					return err
				}
				v.Enrolment.LastSeen = start
				next, err = w.Record(ctx, v)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return next
		}
		next := record()
		if want := start.Add(compliance.TooOld + time.Microsecond); !next.Equal(want) {
			t.Errorf("Record() = %s, want %s: when what it told is too old", next, want)
		}
		before, err := db.Estate().Posture(t.Context(), "d1")
		if err != nil || before.Seq == 0 || before.Due {
			t.Fatalf("Posture() = %+v, %v; want one that is not due", before, err)
		}
		record()
		after, err := db.Estate().Posture(t.Context(), "d1")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("it was written again (-want +got):\n%s", diff)
		}
	})
}

// TestCatchUpGoesOn: a device that can't be judged does not keep the others waiting.
func TestCatchUpGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	w.insert(t, "a", "b", "c")
	broken := true
	assess := w.assess
	w.Assess = func(ctx context.Context, id ward.DeviceID) (reconcile.View, compliance.Assessment, error) {
		if id == "a" && broken {
			return reconcile.View{}, compliance.Assessment{}, fmt.Errorf("its facts can't be read")
		}
		return assess(ctx, id)
	}
	if _, err := w.CatchUp(t.Context(), 1); err == nil {
		t.Error("CatchUp() of a broken one alone says nothing")
	}
	if n, err := w.CatchUp(t.Context(), 2); n != 2 || err != nil {
		t.Errorf("CatchUp() = %d, %v; want the two others before the broken one", n, err)
	}
	if got := ids(w.present(t).Devices); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("Current() = %v, want what can be judged", got)
	}
	broken = false
	if got := ids(w.present(t).Devices); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("Current() = %v, want all", got)
	}
}

// TestSeen: heartbeats show without being written for it, and after they were.
func TestSeen(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.insert(t, "d1", "d2")
		w.present(t)
		w.pass(time.Second)
		heard := w.clock()
		db.Seen("enr_d1", heard)
		if d := w.present(t).Devices[0]; d.ID != "d1" || !d.LastSeen.Equal(heard) {
			t.Errorf("%s was seen %s, want %s", d.ID, d.LastSeen, heard)
		}
		w.pass(time.Second)
		db.Seen("enr_d2", w.clock())
		if err := db.FlushSeen(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := w.present(t).Devices[1]; !d.LastSeen.Equal(w.clock()) {
			t.Errorf("%s was seen %s, want %s: it was just written", d.ID, d.LastSeen, w.clock())
		}
		s, err := w.another(t).Current(t.Context())
		if err != nil || !s.Devices[0].LastSeen.Equal(heard) {
			t.Errorf("another copy says %s, %v; want %s", s.Devices[0].LastSeen, err, heard)
		}
		w.change(t, "d1", func(d *ward.Device) { d.Name = "Anew" })
		if d := w.present(t).Devices[0]; d.Name != "Anew" || !d.LastSeen.Equal(heard) {
			t.Errorf("%s was seen %s, want %s as before", d.Name, d.LastSeen, heard)
		}
	})
}

// TestOutOfOrder: on PostgreSQL a posture whose number was given first may become visible
// last. It is taken in all the same.
func TestOutOfOrder(t *testing.T) {
	t.Parallel()
	db := storetest.Postgres(t)
	w := newWorld(t, db)
	w.insert(t, "d1", "d2")
	w.present(t)
	wrote, release, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- db.Do(t.Context(), func(ctx context.Context) error {
			d, err := db.Fleet().Device(ctx, "d1")
			if err != nil {
				return err
			}
			d.Name = "Late"
			if err := db.Fleet().UpdateDevice(ctx, d); err != nil {
				return err
			}
			if err := w.record(ctx, "d1"); err != nil {
				return err
			}
			close(wrote)
			<-release
			return nil
		})
	}()
	<-wrote
	w.change(t, "d2", func(d *ward.Device) { d.Name = "Early" })
	if s := w.present(t); s.Devices[0].Name != "Early" || s.Devices[1].Name != "Phone d1" {
		t.Fatalf("Current() = %v; want the one that committed alone", ids(s.Devices))
	}
	early, err := db.Estate().Posture(t.Context(), "d2")
	if err != nil {
		t.Fatal(err)
	}
	w.pass(2 * time.Second)
	w.present(t)
	close(release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	late, err := db.Estate().Posture(t.Context(), "d1")
	if err != nil || late.Seq >= early.Seq {
		t.Fatalf("numbers %d and %d, %v: they did not commit in the other order", late.Seq, early.Seq, err)
	}
	w.present(t)
	if d, err := w.Device(t.Context(), "d1"); err != nil || d.Name != "Late" {
		t.Errorf("Device() = %+v, %v; want what committed late", d, err)
	}
}

func (w *world) record(ctx context.Context, id ward.DeviceID) error {
	v, _, err := w.assess(ctx, id)
	if err != nil {
		return err
	}
	if _, err = w.Record(ctx, v); err != nil {
		return err
	}
	_, err = w.db.Estate().Due(ctx, 1) // what waits to be written is
	return err
}

// TestWatch: watchers are told after something changed, once.
func TestWatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told := w.Watch(ctx)
	follow := func(want bool) {
		t.Helper()
		if err := w.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case <-told:
			if !want {
				t.Error("told of nothing")
			}
		default:
			if want {
				t.Error("not told")
			}
		}
	}
	w.insert(t, "d1")
	follow(true)
	w.change(t, "d1", func(d *ward.Device) { d.Name = "x" })
	follow(false) // too soon
	w.pass(time.Second)
	follow(true)
	w.pass(time.Second)
	follow(false)
}
