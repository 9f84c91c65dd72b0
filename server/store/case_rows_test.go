package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

var caseTime = time.Date(2026, 11, 3, 3, 0, 0, 123000, time.UTC)

func addCase(t *testing.T, db *store.DB, c lost.Case) {
	t.Helper()
	c.Kind, c.Reported, c.Aware = lost.Lost, caseTime, caseTime
	if ok, err := db.Cases().Add(t.Context(), c); !ok || err != nil {
		t.Fatalf("Add(%s) = %v, %v", c.ID, ok, err)
	}
}

func TestEventRows(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		want := []lost.Event{
			{At: caseTime, Kind: lost.EventReported, Text: "Łódź", Person: "ada", Name: "Ada"},
			{At: caseTime, Kind: lost.EventLocateAsked, Text: "x", Command: "u1", Purpose: "to send a porter"},
			{At: caseTime, Kind: lost.EventRevoked, Text: "x", Serials: []string{"1", "2"}},
			{At: caseTime, Kind: lost.EventProposed, Text: "x", Order: "o1"},
		}
		for _, e := range want {
			if err := db.Cases().AddEvent(t.Context(), "c1", e); err != nil {
				t.Fatal(err)
			}
		}
		got, err := db.Cases().Events(t.Context(), "c1")
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("Events mismatch, %v (-want +got)\n%s", err, diff)
		}
	})
}

func TestSnapshotRows(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		addCase(t, db, lost.Case{ID: "c1", Device: "d1", State: lost.Open})
		want := lost.Snapshot{
			Device: ward.Device{ID: "d1", Owner: "Nia", Created: caseTime}, Enrolment: ward.Enrolment{ID: "e1", Rights: ward.RightsAll, LastSeen: caseTime}, At: caseTime,
			Known: lost.Known{Encrypted: lost.Fact{Value: lost.Yes, At: caseTime, Text: "both"}, Exceptions: []string{"x"}, ExceptionsAt: caseTime, UsesKnown: true},
		}
		_, err := db.Cases().Snapshot(t.Context(), "c1")
		if ward.KindOf(err) != ward.NotFound {
			t.Errorf("before it is kept: %v", err)
		}
		if err := db.Cases().SaveSnapshot(t.Context(), "c1", want); err != nil {
			t.Fatal(err)
		}
		got, err := db.Cases().Snapshot(t.Context(), "c1")
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("Snapshot mismatch, %v (-want +got)\n%s", err, diff)
		}
		if err := db.Cases().SaveSnapshot(t.Context(), "none", want); ward.KindOf(err) != ward.NotFound {
			t.Errorf("of no case: %v", err)
		}
	})
}

// TestCasesThatWait: which cases the job of every minute looks at.
func TestCasesThatWait(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, ctx := db.Cases(), t.Context()
		for _, c := range []lost.Case{
			{ID: "open", Device: "d1", State: lost.Open},
			{ID: "live", Device: "d2", State: lost.Open, Drill: lost.Live},
			{ID: "dry", Device: "d1", State: lost.Rehearsal, Drill: lost.Dry},
			{ID: "dry too", Device: "d1", State: lost.Rehearsal, Drill: lost.Dry},
			{ID: "found", Device: "d3", State: lost.Found},
			{ID: "closed", Device: "d3", State: lost.Closed},
		} {
			addCase(t, db, c)
		}
		check := func(what string, list func(context.Context) ([]lost.Case, error), want ...ward.CaseID) {
			t.Helper()
			all, err := list(ctx)
			var got []ward.CaseID
			for _, c := range all {
				got = append(got, c.ID)
			}
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%s mismatch, %v (-want +got)\n%s", what, err, diff)
			}
		}
		check("undecided", s.Undecided, "open", "found")
		check("unescalated", s.Unescalated, "open", "live")
		for i, want := range []bool{true, false} {
			if ok, err := s.Once(ctx, "open", "propose", caseTime); ok != want || err != nil {
				t.Errorf("Once %d = %v, %v, want %v", i, ok, err, want)
			}
		}
		if steps, err := s.Steps(ctx, "open"); err != nil || len(steps) != 1 || !steps["propose"].Equal(caseTime) {
			t.Errorf("Steps = %v, %v", steps, err)
		}
		d := lost.Decision{Reasoning: "x", Person: "ada", At: caseTime}
		if err := s.AddDecision(ctx, "found", d); err != nil {
			t.Fatal(err)
		}
		if err := s.SetReal(ctx, "live", caseTime.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		check("undecided later", s.Undecided, "open", "live")
		check("unescalated later", s.Unescalated, "live")
		if err := s.SetReal(ctx, "found", caseTime); ward.KindOf(err) != ward.NotFound {
			t.Errorf("SetReal of a case that is not open: %v", err)
		}
		if err := s.SetAware(ctx, "none", caseTime); ward.KindOf(err) != ward.NotFound {
			t.Errorf("SetAware of no case: %v", err)
		}
		for _, bad := range []lost.Decision{{Person: "ada"}, {Reasoning: "x"}} {
			if err := s.AddDecision(ctx, "open", bad); err == nil {
				t.Errorf("the database takes the decision %+v", bad)
			}
		}
		all, err := s.List(ctx, lost.Filter{Which: lost.OnlyDrills, Limit: 10})
		if err != nil || len(all) != 2 {
			t.Errorf("drills: %+v, %v", all, err)
		}
	})
}

// TestGate: units of work that close the gate do so one after another, whatever the engine.
func TestGate(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const slot = 7
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				err := db.Do(context.Background(), func(ctx context.Context) error {
					if err := db.Cases().CloseGate(ctx, caseTime); err != nil {
						return err
					}
					all, err := db.Cases().Events(ctx, "c1")
					if err != nil || len(all) >= 5 {
						return err
					}
					return db.Cases().AddEvent(ctx, "c1", lost.Event{Kind: lost.EventFound, At: caseTime})
				})
				if err != nil {
					t.Error(err)
				}
				if _, err := db.Cases().AddTries(context.Background(), "k", slot, 1); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if all, err := db.Cases().Events(t.Context(), "c1"); len(all) != 5 || err != nil {
			t.Errorf("%d events, %v, want 5", len(all), err)
		}
		if n, err := db.Cases().AddTries(t.Context(), "k", slot, -1); n != 19 || err != nil {
			t.Errorf("tries = %d, %v, want 19", n, err)
		}
		if err := db.Cases().DropTries(t.Context(), slot+1); err != nil {
			t.Fatal(err)
		}
		if n, err := db.Cases().AddTries(t.Context(), "k", slot, 1); n != 1 || err != nil {
			t.Errorf("tries = %d, %v after they were dropped, want 1", n, err)
		}
	})
}

func TestCodeRows(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, ctx := db.Cases(), t.Context()
		save := func(c lost.Code) error { return s.SaveCode(ctx, c) }
		want := lost.Code{Device: "d1", Hash: "h2", Holder: "x", Made: caseTime, By: "ada"}
		for _, c := range []lost.Code{{Device: "d1", Hash: "h1", Holder: "y", Made: caseTime}, want} {
			if err := save(c); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.CodeByHash(ctx, "h2")
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("CodeByHash mismatch, %v (-want +got)\n%s", err, diff)
		}
		if _, err := s.CodeByHash(ctx, "h1"); ward.KindOf(err) != ward.NotFound {
			t.Errorf("the code before: %v", err)
		}
		if err := save(lost.Code{Device: "d2", Hash: "h2"}); err == nil {
			t.Error("two devices have one code")
		}
		for i, want := range []bool{true, false} {
			if had, err := s.DropCode(ctx, "d1"); had != want || err != nil {
				t.Errorf("DropCode %d = %v, %v, want %v", i, had, err, want)
			}
		}
		for id, email := range map[ward.DeviceID]string{"d1": "Nia@hospital.example", "d2": "nia@HOSPITAL.example", "d3": "ola@hospital.example", "d4": ""} {
			if err := db.Fleet().InsertDevice(ctx, ward.Device{ID: id, Email: email, Created: caseTime}); err != nil {
				t.Fatal(err)
			}
		}
		if ds, err := s.DevicesOf(ctx, "nia@hospital.example"); err != nil || len(ds) != 2 || ds[0].ID != "d1" || ds[1].ID != "d2" {
			t.Errorf("DevicesOf = %+v, %v", ds, err)
		}
		if ds, err := s.DevicesOf(ctx, ""); err != nil || len(ds) != 0 {
			t.Errorf("DevicesOf nobody = %+v, %v", ds, err)
		}
	})
}
