package lost_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

func TestReport(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, 0, 0)
		e := w.device("d1")
		cs, err := w.Report(w.as("ada"), lost.Report{
			Devices: []ward.DeviceID{"d1"}, Kind: lost.Stolen, LastSeenWhere: " bus 36 ", LastSeenAt: start.Add(-time.Hour), WasUnlocked: lost.Yes, DataOpen: lost.No, Note: "grey cover", Footnote: "Ward 7",
			Identified: "help desk: called back on the number of the staff list",
		})
		if err != nil {
			t.Fatal(err)
		}
		want := lost.Case{
			ID: cs[0].ID, Device: "d1", Kind: lost.Stolen, State: lost.Open, ReportedBy: "ada", ReportedName: "Name of ada", Reported: start,
			LastSeenWhere: "bus 36", LastSeenAt: start.Add(-time.Hour), WasUnlocked: lost.Yes, DataOpen: lost.No, Note: "grey cover",
			Identified: "help desk: called back on the number of the staff list", Aware: start,
			Footnote: "Ward 7",
		}
		if diff := cmp.Diff([]lost.Case{want}, cs); diff != "" {
			t.Errorf("Report mismatch (-want +got)\n%s", diff)
		}
		kept, err := w.Case(t.Context(), cs[0].ID)
		if diff := cmp.Diff(want, kept); diff != "" || err != nil {
			t.Errorf("Case mismatch, %v (-want +got)\n%s", err, diff)
		}
		if got := w.open(e); w.state("d1") != ward.Lost || !slices.Equal(got, []string{"EnableLostMode"}) || w.revoked.Load() != 1 || w.audit.count(lost.ActionLost) != 1 {
			t.Errorf("after the report: state %s, queued %v, revocation list made %d times, audited %d times", w.state("d1"), got, w.revoked.Load(), w.audit.count(lost.ActionLost))
		}
	})
}

// TestReportIsWhole: when the plan can't be made, nothing of the report remains.
func TestReportIsWhole(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, 1, 50)
		e := w.device("d1")
		w.plan.fail.Store(true)
		if _, err := w.Report(w.as("ada"), lost.Report{Devices: []ward.DeviceID{"d1"}}); err == nil || ward.KindOf(err) != ward.Internal {
			t.Errorf("Report = %v, want the planner's error", err)
		}
		_, err := w.OpenCase(t.Context(), "d1")
		wantKind(t, "the case", err, ward.NotFound)
		if q := w.open(e); w.state("d1") != ward.Managed || len(q) != 0 || w.revoked.Load() != 0 {
			t.Errorf("after it failed: state %s, queued %v, revocation list made %d times", w.state("d1"), q, w.revoked.Load())
		}
		w.plan.fail.Store(false)
		w.report("d1") // nor did it count against the brake
	})
}

// TestReportedAtOnce: many reports of one device are one case.
func TestReportedAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, 1, 1)
		e := w.device("d1")
		ids := make([]ward.CaseID, 16)
		var wg sync.WaitGroup
		for i := range ids {
			wg.Go(func() {
				cs, err := w.Report(w.as(ward.PersonID(fmt.Sprint("p", i))), lost.Report{Devices: []ward.DeviceID{"d1", "d1"}})
				if err != nil || len(cs) != 2 || cs[0].ID != cs[1].ID {
					t.Errorf("Report = %+v, %v", cs, err)
					return
				}
				ids[i] = cs[0].ID
			})
		}
		wg.Wait()
		if got := slices.Compact(ids); len(got) != 1 {
			t.Errorf("cases %v, want one", got)
		}
		if q := w.open(e); len(q) != 1 || w.plan.runs.Load() != 1 || w.revoked.Load() != 1 {
			t.Errorf("queued %v, planned %d times, revoked %d times, want each once", q, w.plan.runs.Load(), w.revoked.Load())
		}
	})
}

func TestReportMistakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), 0, 0)
	w.device("d1")
	w.device("d2")
	tests := []struct {
		name  string
		r     lost.Report
		cases int
		want  ward.Kind
		says  string
	}{
		{"no device", lost.Report{}, 0, ward.Invalid, "at least one"},
		{"too many", lost.Report{Devices: make([]ward.DeviceID, 101)}, 0, ward.Invalid, "100 at most"},
		{"another kind", lost.Report{Devices: []ward.DeviceID{"d1"}, Kind: "eaten"}, 0, ward.Invalid, "eaten"},
		{"an answer about data", lost.Report{Devices: []ward.DeviceID{"d1"}, DataOpen: "maybe"}, 0, ward.Invalid, "patient data was open"},
		{"another drill", lost.Report{Devices: []ward.DeviceID{"d1"}, Drill: "wet"}, 0, ward.Invalid, "wet"},
		{"seen in the future", lost.Report{Devices: []ward.DeviceID{"d1"}, LastSeenAt: start.Add(2 * time.Hour)}, 0, ward.Invalid, "time to come"},
		{"another answer", lost.Report{Devices: []ward.DeviceID{"d1"}, WasUnlocked: "perhaps"}, 0, ward.Invalid, "perhaps"},
		{"a long note", lost.Report{Devices: []ward.DeviceID{"d1"}, Note: strings.Repeat("n", 2001), Kind: "x"}, 0, ward.Invalid, "note is too long"},
		{"an unknown device", lost.Report{Devices: []ward.DeviceID{"d9"}}, 0, ward.NotFound, "d9"},
		{"an unknown device among others", lost.Report{Devices: []ward.DeviceID{"d1", "d9", "d2"}}, 2, ward.NotFound, "d9"},
	}
	for _, tt := range tests {
		cs, err := w.Report(w.as("ada"), tt.r)
		wantKind(t, tt.name, err, tt.want)
		if len(cs) != tt.cases || err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %d cases, %v, want %d and a word of %q", tt.name, len(cs), err, tt.cases, tt.says)
		}
	}
	_, err := w.Report(t.Context(), lost.Report{Devices: []ward.DeviceID{"d1"}})
	wantKind(t, "nobody", err, ward.Forbidden)
}

func TestBrake(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, 4, 6)
		var ids []ward.DeviceID
		for i := range 12 {
			ids = append(ids, ward.DeviceID(fmt.Sprintf("d%02d", i)))
			w.device(ids[i])
		}
		errs := make([]error, len(ids))
		var wg sync.WaitGroup
		for i, id := range ids {
			wg.Go(func() { _, errs[i] = w.Report(w.as("eve"), lost.Report{Devices: []ward.DeviceID{id}}) })
		}
		wg.Wait()
		done := 0
		for _, err := range errs {
			if err == nil {
				done++
				continue
			}
			wantKind(t, "beyond the limit", err, ward.Conflict)
			if !strings.Contains(err.Error(), "brake") {
				t.Errorf("error %v does not name the brake", err)
			}
		}
		if held := w.audit.count(lost.ActionHeld); done != 4 || held != 8 {
			t.Errorf("one person did %d, %d attempts are audited as held, want 4 and 8", done, held)
		}
		cs, err := w.Report(w.as("ben"), lost.Report{Devices: ids}) // those that are lost already do not count
		wantKind(t, "the organisation's limit", err, ward.Conflict)
		fresh := 0
		for _, c := range cs {
			if c.ReportedBy == "ben" {
				fresh++
			}
		}
		if fresh != 2 {
			t.Errorf("a colleague reported %d, want the 2 that the organisation had left", fresh)
		}
		w.pass(time.Hour)
		w.device("fresh")
		_, err = w.Report(w.as("cay"), lost.Report{Devices: []ward.DeviceID{"fresh"}})
		wantKind(t, "what is held stays held, whatever the time", err, ward.Conflict)
		if _, err := w.Lock(w.as("eve"), ids[11], "", ""); err != nil {
			t.Errorf("a lock, which has a window of its own: %v", err)
		}
	})
}

// TestOwnDevice: whoever signed in and lost a device of their own is not held by a brake that
// holds an attack, and is not counted for the organisation.
func TestOwnDevice(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, 2, 2)
		phone := func(id ward.DeviceID, email string) ward.DeviceID {
			w.add(ward.Device{ID: id, Platform: ward.IOS, Ownership: ward.Corporate, State: ward.Managed, Created: start, Owner: "Nia Nurse", Email: email})
			return id
		}
		report := func(ctx context.Context, id ward.DeviceID) (lost.Case, error) {
			cs, err := w.Report(ctx, lost.Report{Devices: []ward.DeviceID{id}})
			if len(cs) != 1 {
				return lost.Case{}, err
			}
			return cs[0], err
		}
		own, err := report(w.as("nurse"), phone("mine", " nurse@HOSPITAL.example"))
		if err != nil || own.Identified != lost.BySignIn {
			t.Errorf("own device: identified %q, %v", own.Identified, err)
		}
		for i := range 2 {
			c, err := report(w.as("eve"), phone(ward.DeviceID(fmt.Sprint("x", i)), "")) // the first was not counted
			if err != nil || c.Identified != lost.NotRecorded {
				t.Errorf("device %d of somebody else: identified %q, %v", i, c.Identified, err)
			}
		}
		_, err = report(w.as("ben"), phone("x2", ""))
		wantKind(t, "the brake", err, ward.Conflict)
		program := ward.WithActor(t.Context(), ward.Actor{Person: "nurse", Name: "Nia", Via: ward.ViaToken, Token: "t1"})
		_, err = report(program, phone("mine2", "nurse@hospital.example"))
		wantKind(t, "a program with the holder's token", err, ward.Conflict)
		if _, err = report(w.as("nurse"), "mine2"); err != nil {
			t.Errorf("own device while the brake holds: %v", err)
		}
		_, err = report(w.as("nurse"), phone("mine3", "nurse@hospital.example"))
		wantKind(t, "a third device of one's own within the hour", err, ward.Conflict)
	})
}

func TestCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), 1, 50)
	w.device("d1")
	ran := 0
	do := func(ctx context.Context, err error) error {
		return w.Counted(ctx, brake.Revoke, "d1", func(context.Context) error { ran++; return err })
	}
	wantKind(t, "a deed that fails", do(w.as("ada"), ward.Errorf(ward.NotFound, "No.")), ward.NotFound)
	wantKind(t, "the first", do(w.as("ada"), nil), "")
	wantKind(t, "the second", do(w.as("ada"), nil), ward.Conflict)
	wantKind(t, "another person's", do(w.as("ben"), nil), "")
	wantKind(t, "nobody's", do(t.Context(), nil), ward.Forbidden)
	wantKind(t, "of no device", w.Counted(w.as("cay"), brake.Revoke, "", func(context.Context) error { ran++; return nil }), "")
	held := w.audit.all(lost.ActionHeld)
	if ran != 4 || len(held) != 1 || held[0].subject != "d1" || held[0].detail["deed"] != "revoke" || !strings.Contains(held[0].detail["why"], "one person") {
		t.Errorf("ran %d times, audited %+v", ran, held)
	}
}

// TestReportedAgain: what a second reporter knows is kept with the case.
func TestReportedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), 0, 0)
	w.device("d1")
	first := w.report("d1")
	cs, err := w.Report(w.as("ben"), lost.Report{Devices: []ward.DeviceID{"d1"}, Kind: lost.Stolen, LastSeenWhere: "bus 36", WasUnlocked: lost.Yes, DataOpen: lost.No, Identified: "by voice"})
	if err != nil || cs[0].ID != first.ID || cs[0].Kind != lost.Stolen {
		t.Fatalf("Report = %+v, %v", cs, err)
	}
	if c, err := w.Case(t.Context(), first.ID); err != nil || c.Kind != lost.Stolen || c.WasUnlocked != lost.Yes || c.DataOpen != lost.No || c.LastSeenWhere != "bus 36" {
		t.Errorf("the case keeps %+v, %v", c, err)
	}
	events, err := w.Timeline(t.Context(), first.ID)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(events, func(e lost.Event) bool { return e.Kind == lost.EventReportedAgain })
	if want := "Reported again; this case was open already. Reporter known by: by voice. Last seen: bus 36. Unlocked: yes. Patient data open: no."; i < 0 || events[i].Text != want || events[i].Person != "ben" {
		t.Errorf("the timeline says %+v, want %s", events[max(i, 0)], want)
	}
	if got := w.post.subjects(notify.CaseOpened); len(got) != 1 {
		t.Errorf("people were told %q, want once", got)
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), 0, 0)
	e := w.device("d1")
	uuid, err := w.Lock(w.as("ada"), "d1", " Call us ", "1")
	if err != nil {
		t.Fatal(err)
	}
	r, body, _, err := w.db.Commands().Next(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	if r.UUID != uuid || r.RequestType != "DeviceLock" || !r.Urgent || r.By != "ada" || string(body) != "lock Call us, 1" {
		t.Errorf("queued %+v with %q", r, body)
	}
	if n := w.audit.count(lost.ActionLock); n != 1 {
		t.Errorf("audited %d times, want once", n)
	}
	if err := w.db.Fleet().EndEnrolment(t.Context(), e.ID, "checked out"); err != nil {
		t.Fatal(err)
	}
	if err := w.db.Fleet().InsertDevice(t.Context(), ward.Device{ID: "pc", Platform: ward.Windows, State: ward.Managed}); err != nil {
		t.Fatal(err)
	}
	_, err = w.Lock(w.as("ada"), "d1", "", "")
	wantKind(t, "a device that left", err, ward.Conflict)
	_, err = w.Lock(w.as("ada"), "pc", "", "")
	wantKind(t, "a platform without a lock", err, ward.Invalid)
	_, err = w.Lock(w.as("ada"), "none", "", "")
	wantKind(t, "an unknown device", err, ward.NotFound)
	_, err = w.Lock(t.Context(), "d1", "", "")
	wantKind(t, "nobody", err, ward.Forbidden)
}
