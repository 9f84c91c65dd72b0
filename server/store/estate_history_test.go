package store_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// day0 is a midnight that the tests of the past count from.
var day0 = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// span ends a span of a blocked app in the record, or lets it stand for zero days.
func span(t *testing.T, e store.Estate, id, app, group string, from time.Time, days float64, how estate.Ending) {
	t.Helper()
	s := estate.Span{Device: ward.DeviceID(id), Code: "blocked-app-present", Subject: app, Site: "Infirmary", Group: group, Platform: ward.IOS, Ownership: ward.Corporate, From: from}
	err := e.Do(t.Context(), func(ctx context.Context) error {
		if err := e.BeginSpan(ctx, s); err != nil || days == 0 {
			return err
		}
		return e.EndSpan(ctx, s.Device, s.Code, app, from.Add(time.Duration(days*24*float64(time.Hour))), how)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSpansOfApps: percentiles are by the nearest rank, of what was put right in the span of
// time and of nothing else; what stands is counted with the oldest.
func TestSpansOfApps(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		e := db.Estate()
		for i := range 10 { // 1 to 10 days
			span(t, e, fmt.Sprint("d", i), "whatsapp", []string{"Ward 1", "Ward 2"}[i%2], day0, float64(i+1), estate.Cured)
		}
		span(t, e, "x1", "telegram", "Ward 1", day0, 2, estate.Cured)
		span(t, e, "x2", "whatsapp", "Ward 1", day0, 2, estate.Forgotten)
		span(t, e, "x3", "whatsapp", "Ward 1", day0, 2, estate.Left)
		span(t, e, "x4", "whatsapp", "Ward 1", day0, 0, "")
		span(t, e, "x5", "whatsapp", "Ward 2", day0.AddDate(0, 0, 3), 0, "")
		span(t, e, "x6", "whatsapp", "Ward 2", day0.AddDate(0, 0, 90), 0, "") // after the span of time
		const days = 24 * time.Hour
		for _, tc := range []struct {
			app  string
			by   estate.Dimension
			to   int // days after day0
			want []estate.Went
			now  []estate.Standing
		}{
			{"whatsapp", estate.Everything, 31, []estate.Went{{Count: 10, P50: 5 * days, P95: 10 * days}}, []estate.Standing{{Count: 2, Oldest: day0}}},
			{"", estate.ByApp, 31, []estate.Went{{Value: "telegram", Count: 1, P50: 2 * days, P95: 2 * days}, {Value: "whatsapp", Count: 10, P50: 5 * days, P95: 10 * days}}, []estate.Standing{{Value: "whatsapp", Count: 2, Oldest: day0}}},
			{"whatsapp", estate.ByGroup, 31, []estate.Went{{Value: "Ward 1", Count: 5, P50: 5 * days, P95: 9 * days}, {Value: "Ward 2", Count: 5, P50: 6 * days, P95: 10 * days}}, []estate.Standing{{Value: "Ward 1", Count: 1, Oldest: day0}, {Value: "Ward 2", Count: 1, Oldest: day0.AddDate(0, 0, 3)}}},
			{"whatsapp", estate.Everything, 4, []estate.Went{{Count: 4, P50: 2 * days, P95: 4 * days}}, []estate.Standing{{Count: 8, Oldest: day0}}},
			{"signal", estate.BySite, 31, nil, nil},
		} {
			to := day0.AddDate(0, 0, tc.to)
			went, err := e.Went(t.Context(), "blocked-app-present", tc.app, tc.by, estate.Cured, day0, to)
			if err != nil {
				t.Fatal(err)
			}
			byValue := cmpopts.SortSlices(func(a, b estate.Went) bool { return a.Value < b.Value })
			if diff := cmp.Diff(tc.want, went, byValue); diff != "" {
				t.Errorf("%q by %q until day %d went mismatch (-want +got):\n%s", tc.app, tc.by, tc.to, diff)
			}
			there, err := e.Standing(t.Context(), "blocked-app-present", tc.app, tc.by, to)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.now, there, cmpopts.SortSlices(func(a, b estate.Standing) bool { return a.Value < b.Value })); diff != "" {
				t.Errorf("%q by %q on day %d standing mismatch (-want +got):\n%s", tc.app, tc.by, tc.to, diff)
			}
		}
	})
}

// TestSaveMidnight: the second copy of the server to make a midnight changes nothing, and of
// an app every recorded day is told.
func TestSaveMidnight(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		e := db.Estate()
		days := func(devices, blocked int, at time.Time) map[estate.Cut]estate.Day {
			d := estate.Day{Day: at.AddDate(0, 0, -1), Devices: devices, States: map[compliance.State]int{compliance.Compliant: devices}, Blocked: blocked}
			out := map[estate.Cut]estate.Day{{}: d, {By: estate.BySite, Value: "Infirmary"}: d}
			if blocked > 0 {
				out[estate.Cut{By: estate.ByApp, Value: "whatsapp"}] = estate.Day{Day: d.Day, Blocked: blocked}
			}
			return out
		}
		one, two := day0.AddDate(0, 0, 1), day0.AddDate(0, 0, 2)
		for _, c := range []struct {
			at    time.Time
			n     int
			first bool
		}{{one, 5, true}, {one, 9, false}, {two, 7, true}} {
			if first, err := e.SaveMidnight(t.Context(), c.at, []byte{byte(c.n)}, days(c.n, map[bool]int{true: 2}[c.at.Equal(two)], c.at)); err != nil || first != c.first {
				t.Fatalf("SaveMidnight(%s) = %v, %v; want %v", c.at, first, err, c.first)
			}
		}
		if body, err := e.Frame(t.Context(), one); err != nil || !slices.Equal(body, []byte{5}) {
			t.Errorf("the frame is %v, %v; want that of the first", body, err)
		}
		oldest, newest, err := e.Frames(t.Context(), two.Add(-1))
		if err != nil || !oldest.Equal(one) || !newest.Equal(one) {
			t.Errorf("Frames() = %s, %s, %v; want the first twice", oldest, newest, err)
		}
		for _, c := range []struct {
			cut     estate.Cut
			devices []int
			blocked []int
		}{
			{estate.Cut{}, []int{5, 7}, []int{0, 2}},
			{estate.Cut{By: estate.BySite, Value: "Infirmary"}, []int{5, 7}, []int{0, 2}},
			{estate.Cut{By: estate.ByApp, Value: "whatsapp"}, []int{5, 7}, []int{0, 2}},
			{estate.Cut{By: estate.ByApp, Value: "signal"}, []int{5, 7}, []int{0, 0}},
			{estate.Cut{By: estate.BySite, Value: "x"}, nil, nil},
		} {
			got, err := e.Days(t.Context(), c.cut, day0, two)
			if err != nil {
				t.Fatal(err)
			}
			var devices, blocked []int
			for i, d := range got {
				devices, blocked = append(devices, d.Devices), append(blocked, d.Blocked)
				if !d.Day.Equal(day0.AddDate(0, 0, i)) || d.States[compliance.Compliant] != d.Devices {
					t.Errorf("day %d of %v is %+v", i, c.cut, d)
				}
			}
			if !slices.Equal(devices, c.devices) || !slices.Equal(blocked, c.blocked) {
				t.Errorf("%v: %v devices, %v blocked; want %v, %v", c.cut, devices, blocked, c.devices, c.blocked)
			}
		}
	})
}
