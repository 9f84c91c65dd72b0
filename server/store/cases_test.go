package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

func TestCaseRows(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, at := t.Context(), time.Date(2026, 11, 3, 3, 0, 0, 0, time.UTC)
		want := lost.Case{
			ID: "c1", Device: "d1", Kind: lost.Stolen, State: lost.Open, ReportedBy: "ada", ReportedName: "Ada", Reported: at, LastSeenWhere: "Łódź", LastSeenAt: at,
			WasUnlocked: lost.No, Note: "n", Message: "m", Phone: "p", Footnote: "f",
			Identified: "by voice", DataOpen: lost.Yes, Drill: lost.Live, Aware: at,
		}
		add := func(id ward.CaseID) bool {
			t.Helper()
			c := want
			c.ID = id
			ok, err := db.Cases().Add(ctx, c)
			if err != nil {
				t.Fatal(err)
			}
			return ok
		}
		if !add("c1") || add("c2") {
			t.Fatal("a device must have one open case, and only one")
		}
		got, err := db.Cases().OpenCase(ctx, "d1")
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("OpenCase mismatch, %v (-want +got)\n%s", err, diff)
		}
		if d, err := db.Cases().CaseDevice(ctx, "c1"); d != "d1" || err != nil {
			t.Errorf("CaseDevice = %s, %v", d, err)
		}
		for i, want := range []bool{true, false} {
			if ok, err := db.Cases().Move(ctx, "c1", lost.Open, lost.Found, at); ok != want || err != nil {
				t.Errorf("Move %d = %v, %v, want %v", i, ok, err, want)
			}
		}
		if _, err := db.Cases().Move(ctx, "c1", lost.Found, lost.Open, at); err == nil {
			t.Error("a case was opened again")
		}
		if !add("c3") {
			t.Error("no new case for a device that was found")
		}
	})
}

// TestLocationIsSealed: a location in the database can be neither read nor moved to
// another case.
func TestLocationIsSealed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, at := t.Context(), time.Date(2026, 11, 3, 3, 0, 0, 0, time.UTC)
		if ok, err := db.Cases().AddLocation(ctx, "c1", lost.Location{Lat: 53.8, Lon: -1.5, At: at, Received: at}); !ok || err != nil {
			t.Fatalf("AddLocation = %v, %v", ok, err)
		}
		if err := db.Tamper(ctx, `UPDATE case_location SET case_id = 'c2'`); err != nil {
			t.Fatal(err)
		}
		if l, err := db.Cases().LastLocation(ctx, "c2"); err == nil || ward.KindOf(err) != ward.Internal {
			t.Errorf("a location that was moved reads as %+v, %v", l, err)
		}
	})
}
