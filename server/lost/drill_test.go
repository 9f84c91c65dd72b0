package lost_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

func (w *world) drill(id ward.DeviceID, d lost.Drill) lost.Case {
	w.t.Helper()
	cs, err := w.Report(w.as("ada"), lost.Report{Devices: []ward.DeviceID{id}, Drill: d})
	if err != nil {
		w.t.Fatal(err)
	}
	return cs[0]
}

// TestDryRun: a rehearsal touches nothing, stands in no real case's way, and says what would
// be done.
func TestDryRun(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, 1, 1)
		e := w.device("d1")
		w.supervise(e, ward.Supervised)
		for range 3 { // the brake does not count it
			w.drill("d1", lost.Dry)
		}
		c := w.drill("d1", lost.Dry)
		if c.State != lost.Rehearsal || c.Drill != lost.Dry {
			t.Errorf("the case is %+v", c)
		}
		if q := w.open(e); len(q) != 0 || w.state("d1") != ward.Managed || w.revoked.Load() != 0 || w.plan.runs.Load() != 0 || len(w.post.got) != 0 {
			t.Errorf("it touched something: queued %v, state %s, revoked %d, planned %d, told %v", q, w.state("d1"), w.revoked.Load(), w.plan.runs.Load(), w.post.got)
		}
		_, err := w.OpenCase(t.Context(), "d1")
		wantKind(t, "an open case", err, ward.NotFound)
		_, err = w.Sound(w.as("ada"), c.ID)
		wantKind(t, "a sound in a rehearsal", err, ward.Conflict)
		w.pass(100 * time.Hour)
		w.run(w.Service)
		if len(w.orders.proposed) != 0 || len(w.post.got) != 0 {
			t.Errorf("a rehearsal escalated: %q, %v", w.orders.proposed, w.post.got)
		}
		events, err := w.Timeline(t.Context(), c.ID)
		if err != nil {
			t.Fatal(err)
		}
		var would []string
		for _, e := range events {
			if e.Kind == lost.EventWould {
				would = append(would, e.Text)
			}
		}
		want := []string{
			"The device's app certificates would be revoked, and it would be refused wherever apps and networks ask",
			"EnableLostMode would be sent", "DeviceLocation would be sent, once lost mode is accepted", "The people on call would be told",
			"If it were not found, an erase would be proposed after 24 hours", "The 72 hours for a breach assessment would run until 6 November 2026 03:00:00 UTC",
		}
		if diff := cmp.Diff(want, would); diff != "" {
			t.Errorf("what would be done mismatch (-want +got)\n%s", diff)
		}
		if loss := w.report("d1"); loss.State != lost.Open || w.state("d1") != ward.Lost {
			t.Errorf("a real loss during a rehearsal: %+v, device %s", loss, w.state("d1"))
		}
		if c, err = w.Found(w.as("ada"), c.ID, "here"); err != nil || c.State != lost.Found || w.state("d1") != ward.Lost {
			t.Errorf("found in a rehearsal: %+v, %v, device %s", c, err, w.state("d1"))
		}
		if c, err = w.Close(w.as("ada"), c.ID, "done"); err != nil || c.State != lost.Closed {
			t.Errorf("closed: %+v, %v", c, err)
		}
	})
}

func TestWouldBeSent(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		d          ward.Device
		supervised ward.Supervision
		kind       lost.Kind
		want       string
	}{
		{"personal", ward.Device{Platform: ward.IOS, Ownership: ward.Personal}, "", lost.Lost, "RemoveProfile"},
		{"lost, unsupervised", ward.Device{Platform: ward.IOS, Ownership: ward.Corporate}, "", lost.Lost, "DeviceLock"},
		{"stolen, unsupervised", ward.Device{Platform: ward.IOS, Ownership: ward.Corporate}, ward.Unsupervised, lost.Stolen, "RemoveApplication"},
		{"supervised", ward.Device{Platform: ward.IOS, Ownership: ward.Corporate}, ward.Supervised, lost.Stolen, "EnableLostMode"},
		{"a Mac", ward.Device{Platform: ward.MacOS, Ownership: ward.Corporate}, ward.Supervised, lost.Lost, "DeviceLock"},
		{"not enrolled", ward.Device{Platform: ward.IOS, Ownership: ward.Corporate, State: ward.Unenrolled}, "", lost.Lost, "No command"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, storetest.SQLite(t), 0, 0)
			tt.d.ID, tt.d.Created = "d1", start
			if tt.d.State == "" {
				tt.d.State = ward.Managed
				w.supervise(w.add(tt.d), tt.supervised)
			} else if err := w.db.Fleet().InsertDevice(t.Context(), tt.d); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Report(w.as("ada"), lost.Report{Devices: []ward.DeviceID{"d1"}, Kind: tt.kind, Drill: lost.Dry}); err != nil {
				t.Fatal(err)
			}
			ds, err := w.Drills(t.Context(), lost.Filter{})
			if err != nil || len(ds) != 1 || !slices.ContainsFunc(ds[0].Would, func(s string) bool { return strings.Contains(s, tt.want) }) {
				t.Errorf("Drills = %+v, %v, want one that says %s", ds, err, tt.want)
			}
		})
	}
}

// TestLiveDrill: a live drill is a real case in all but the assessment, and marked; the list
// of drills is evidence with its times.
func TestLiveDrill(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, 0, 0)
		if last, due, err := w.DueDrill(t.Context()); !last.IsZero() || !due.IsZero() || err != nil {
			t.Errorf("DueDrill = %s, %s, %v before the first", last, due, err)
		}
		e := w.device("d1")
		w.device("d2")
		w.report("d2")
		c := w.drill("d1", lost.Live)
		w.pass(time.Minute)
		w.drill("d2", lost.Dry)
		if q := w.open(e); c.State != lost.Open || w.state("d1") != ward.Lost || !slices.Equal(q, []string{"EnableLostMode"}) {
			t.Errorf("the case is %+v, queued %v", c, q)
		}
		w.accept(e)
		if got := w.post.subjects(notify.CaseOpened); !slices.Equal(got, []string{"A device was reported lost", "Drill: A device was reported lost"}) {
			t.Errorf("told %q", got)
		}
		if _, text := w.says(c, lost.EventReported); !strings.HasPrefix(text, "Drill: Reported lost") {
			t.Errorf("the timeline says %q", text)
		}
		ds, err := w.Drills(t.Context(), lost.Filter{})
		if err != nil || len(ds) != 2 || ds[0].Case.Drill != lost.Dry || ds[1].Case.ID != c.ID {
			t.Fatalf("Drills = %+v, %v", ds, err)
		}
		if d := ds[1]; d.Queued < 0 || d.Delivered < 0 || d.Accepted < 0 || ds[0].Accepted >= 0 {
			t.Errorf("times of the drills: %+v", ds)
		}
		only, err := w.List(t.Context(), lost.Filter{Which: lost.OnlyReal})
		if err != nil || len(only) != 1 || only[0].Device != "d2" {
			t.Errorf("real cases: %+v, %v", only, err)
		}
		last, due, err := w.DueDrill(t.Context())
		if err != nil || !last.Equal(start.Add(time.Minute)) || !due.Equal(last.Add(90*24*time.Hour)) {
			t.Errorf("DueDrill = %s, %s, %v", last, due, err)
		}
		if _, err := w.Found(w.as("ada"), c.ID, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Close(w.as("ada"), c.ID, "rehearsed"); err != nil {
			t.Errorf("a drill can be closed undecided: %v", err)
		}
	})
}

// TestDrillInEarnest: a device that is stolen while it is in a live drill is in no drill.
func TestDrillInEarnest(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, 0, 0)
		w.device("d1")
		c := w.drill("d1", lost.Live)
		w.pass(time.Hour)
		if again := w.drill("d1", lost.Live); again.ID != c.ID || again.Drill != lost.Live {
			t.Errorf("the drill again: %+v", again)
		}
		loss := w.report("d1")
		kept, err := w.Case(t.Context(), c.ID)
		if err != nil || loss.ID != c.ID || kept.Drill != lost.Real || !kept.Aware.Equal(start.Add(time.Hour)) {
			t.Errorf("reported in earnest: %+v, %v", kept, err)
		}
		if n := w.audit.count(lost.ActionReal); n != 1 || len(w.post.subjects(notify.CaseOpened)) != 2 {
			t.Errorf("audited %d times, told %q", n, w.post.subjects(notify.CaseOpened))
		}
		if _, err := w.Found(w.as("ada"), c.ID, ""); err != nil {
			t.Fatal(err)
		}
		_, err = w.Close(w.as("ada"), c.ID, "done")
		wantKind(t, "undecided", err, ward.Conflict)
	})
}
