package server

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/seed"
	"github.com/wardmdm/ward/server/store/storetest"
)

// seeded is a server with a made-up fleet.
func seeded(t *testing.T, url string, o seed.Options) (*Server, seed.Summary) {
	t.Helper()
	c := DefaultConfig()
	c.Data, c.DatabaseURL, c.Trial, c.PublicURL, c.Log.Level = t.TempDir(), url, true, "https://ward.example", "error"
	open := func() *Server {
		s, err := New(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if err := open().Close(); err != nil {
		t.Fatal(err)
	}
	sum, err := Seed(t.Context(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Seed(t.Context(), c, o); ward.KindOf(err) != ward.Conflict {
		t.Errorf("a second fleet: %v, want a conflict", err)
	}
	s := open()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, sum
}

func states(ds []*estate.Device) map[compliance.State]int {
	out := map[compliance.State]int{}
	for _, d := range ds {
		out[d.State]++
	}
	return out
}

// TestSeed: a made-up fleet stands as the server itself judges it, before and after it is
// planned, is not planned all at once, and has a past that agrees with itself.
func TestSeed(t *testing.T) {
	t.Parallel()
	for engine, url := range map[string]string{"sqlite": "", "postgres": storetest.PostgresURL(t)} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			o := seed.Options{Devices: 200, Days: 40, Sites: 3, Groups: 12, Random: 7}
			s, sum := seeded(t, url, o)
			ctx := ward.WithActor(t.Context(), ward.System)
			now, err := s.Estate.Current(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(sum.States, states(now.Devices)); diff != "" || len(now.Devices) != o.Devices {
				t.Errorf("%d devices, by state mismatch (-summary +present):\n%s", len(now.Devices), diff)
			}
			sameAsJudged(t, s, now)
			due, err := s.fleet.DuePlans(ctx, s.now(), mustEpoch(t, s), 1000)
			if err != nil || len(due) != 0 {
				t.Errorf("%d devices are to be planned at once, %v; want none", len(due), err)
			}
			for _, d := range now.Devices {
				if err := s.Loop.Replan(ctx, d.ID); err != nil {
					t.Fatal(err)
				}
			}
			again, err := s.Estate.Current(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(sum.States, states(again.Devices)); diff != "" {
				t.Errorf("by state after all are planned mismatch (-before +after):\n%s", diff)
			}
			past(t, s, now, o)
		})
	}
}

func mustEpoch(t *testing.T, s *Server) int64 {
	t.Helper()
	n, err := s.Policy.Epoch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// sameAsJudged compares what stands in the record with what the rules say now.
func sameAsJudged(t *testing.T, s *Server, now *estate.Snapshot) {
	t.Helper()
	rows, err := s.Devices.List(t.Context(), "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	type stand struct {
		State compliance.State
		Codes []string
	}
	want, got := map[ward.DeviceID]stand{}, map[ward.DeviceID]stand{}
	for _, r := range rows {
		x := stand{State: r.Assessment.State}
		for _, f := range r.Assessment.Findings {
			x.Codes = append(x.Codes, f.Code+" "+f.Subject)
		}
		slices.Sort(x.Codes)
		want[r.Device.ID] = x
	}
	for _, d := range now.Devices {
		x := stand{State: d.State}
		for _, f := range d.Findings {
			x.Codes = append(x.Codes, f.Code+" "+f.Subject)
		}
		slices.Sort(x.Codes)
		got[d.ID] = x
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("how devices stand mismatch (-as the server judges +as made):\n%s", diff)
	}
}

// past compares the days with what each time was asked by itself.
func past(t *testing.T, s *Server, now *estate.Snapshot, o seed.Options) {
	t.Helper()
	days, err := s.Estate.Trend(t.Context(), estate.Cut{}, 365)
	if err != nil || len(days) != o.Days+1 && len(days) != o.Days {
		t.Fatalf("%d days, %v; want %d", len(days), err, o.Days)
	}
	for _, d := range days {
		end, err := s.Estate.At(t.Context(), d.Day.AddDate(0, 0, 1))
		if err != nil {
			t.Fatal(err)
		}
		want := estate.DayOf(end.Devices, end.At)
		if diff := cmp.Diff(want, d); diff != "" {
			t.Errorf("%s mismatch (-asked by itself +kept):\n%s", d.Day, diff)
		}
	}
	if today := estate.DayOf(now.Devices, now.At); today.Devices == 0 || today.Blocked == 0 || today.AppReady == 0 {
		t.Errorf("today is %+v: nothing to see", today)
	}
	r, err := s.Estate.Removals(t.Context(), "", estate.Everything, now.At.AddDate(0, 0, -o.Days), now.At)
	if err != nil || r[""].Removed == 0 || r[""].P50 <= 0 || r[""].P95 < r[""].P50 || r[""].P95 > 40*24*time.Hour {
		t.Errorf("Removals() = %+v, %v; want some of a few days", r, err)
	}
}
