package web

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward/server/estate"

	"github.com/wardmdm/ward"
)

// TestTimelineByPage: whatever the sources and however many events share a moment, every
// event stands on one page, and later ones above.
func TestTimelineByPage(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	numbered := func(letter string, n int, every time.Duration) lineSource {
		return lineSource{letter, func(_ context.Context, before int64, atLeast int) (out []lineEvent, rest int64, err error) {
			for k := int64(n); k > 0 && len(out) < atLeast; k-- {
				if before == 0 || k < before {
					out = append(out, lineEvent{Text: fmt.Sprint(letter, k), key: k, time: start.Add(time.Duration(k) * every)})
					rest = k
				}
			}
			if len(out) < atLeast {
				rest = 0
			}
			return out, rest, nil
		}}
	}
	moments := lineSource{"k", func(_ context.Context, before int64, _ int) ([]lineEvent, int64, error) {
		var all []lineEvent
		for i := range 70 { // all at two moments
			all = append(all, lineEvent{Text: fmt.Sprint("k", i), time: start.Add(time.Duration(i%2) * time.Hour)})
		}
		return kept(all, before), 0, nil
	}}
	sources := []lineSource{numbered("a", 95, time.Minute), numbered("b", 3, time.Hour), numbered("c", 0, time.Hour), numbered("d", lineListed, time.Second), moments}
	seen, last, pages := map[string]bool{}, time.Time{}, 0
	for path := "/devices/d"; path != ""; pages++ {
		var v timeline
		path, _, _ = strings.Cut(path, "#")
		if err := v.read(httptest.NewRequestWithContext(t.Context(), "GET", path, nil), sources); err != nil {
			t.Fatal(err)
		}
		for _, e := range v.Events {
			if seen[e.Text] || !last.IsZero() && e.time.After(last) {
				t.Errorf("%s stands twice, or below an earlier one", e.Text)
			}
			seen[e.Text], last = true, e.time
		}
		if path = v.Older; pages > 20 {
			t.Fatal("the pages do not end")
		}
	}
	if want := 95 + 3 + lineListed + 70; len(seen) != want || pages != (want+lineListed-1)/lineListed {
		t.Errorf("%d events on %d pages, want %d on as few as can be", len(seen), pages, want)
	}
	for _, bad := range []string{"p", "px", "p1.c", "p-1", strings.Repeat("a1.", 30)} {
		var v timeline
		if err := v.read(httptest.NewRequestWithContext(t.Context(), "GET", "/devices/d?from="+url.QueryEscape(bad), nil), sources); ward.KindOf(err) != ward.Invalid {
			t.Errorf("from %q: %v, want it refused", bad, err)
		}
	}
}

// TestPassed: a page goes on after a device that is picked no more, where it stood.
func TestPassed(t *testing.T) {
	t.Parallel()
	var snap estate.Snapshot
	for i := range 6 {
		snap.Devices = append(snap.Devices, &estate.Device{ID: ward.DeviceID(fmt.Sprint("d", i))})
	}
	picked := []*estate.Device{snap.Devices[1], snap.Devices[3], snap.Devices[5]}
	for after, want := range map[ward.DeviceID]int{"": 0, "d0": 0, "d1": 1, "d2": 1, "d3": 2, "d4": 2, "d5": 3, "gone": 0} {
		if got := passed(&snap, picked, after); got != want {
			t.Errorf("passed(%q) = %d, want %d", after, got, want)
		}
	}
}
