package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/store/storetest"
)

func TestRingsOf(t *testing.T) {
	t.Parallel()
	r := policy.Rings{Canary: []string{"Ward 7", "IT"}, Percent: []int{10, 50, 100}, Pause: time.Hour, StopAt: 0.05}
	var got [4]int
	for i := range 10000 {
		ring := r.Of(ward.Device{ID: ward.DeviceID(fmt.Sprintf("dev_%d", i)), Group: "Ward 8"})
		got[ring]++
		if again := r.Of(ward.Device{ID: ward.DeviceID(fmt.Sprintf("dev_%d", i)), Group: "another"}); again != ring {
			t.Fatalf("dev_%d stands in ring %d and in ring %d", i, ring, again)
		}
	}
	for ring, want := range map[int]int{0: 0, 1: 1000, 2: 4000, 3: 5000} {
		if d := got[ring] - want; d < -300 || d > 300 {
			t.Errorf("ring %d has %d of 10000 devices, want about %d", ring, got[ring], want)
		}
	}
	for _, g := range r.Canary {
		if ring := r.Of(ward.Device{ID: "x", Group: g}); ring != 0 {
			t.Errorf("a device of %s stands in ring %d, want the first", g, ring)
		}
	}
	if ring := (policy.Rings{}).Of(ward.Device{ID: "x"}); ring != 0 || (policy.Rings{}).Count() != 1 {
		t.Errorf("without rings a device stands in ring %d", ring)
	}
	names := []string{r.Name(0), r.Name(1), r.Name(3), (policy.Rings{}).Name(0), r.String()}
	want := []string{"Ward 7, IT", "to 10 %", "to 100 %", "every device", "Ward 7, IT, to 10 %, to 50 %, to 100 %; 1h0m0s between rings; stops at 5 % failures"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("names mismatch (-want +got)\n%s", diff)
	}
}

func TestRingsMistakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	for name, tt := range map[string]struct {
		rings policy.Rings
		want  string
	}{
		"descending":       {policy.Rings{Percent: []int{50, 10}}, "ascend"},
		"above a hundred":  {policy.Rings{Percent: []int{10, 101}}, "ascend"},
		"zero":             {policy.Rings{Percent: []int{0}}, "ascend"},
		"a nameless group": {policy.Rings{Canary: []string{" "}}, "canary"},
		"a group twice":    {policy.Rings{Canary: []string{"a", "a"}}, "canary"},
		"a pause alone":    {policy.Rings{Pause: time.Hour}, "need rings"},
		"a year's pause":   {policy.Rings{Percent: []int{10}, Pause: 365 * 24 * time.Hour}, "30 days"},
		"a share above 1":  {policy.Rings{Percent: []int{10}, StopAt: 5}, "between 0 and 1"},
	} {
		_, err := w.Submit(w.as("ada", "1"), policy.Draft{Text: version("x"), Rings: tt.rings})
		if ward.KindOf(err) != ward.Invalid || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want invalid with %q", name, err, tt.want)
		}
	}
	_, err := w.Submit(w.as("ada", "1"), policy.Draft{Text: []byte("nonsense: 1\n"), Rings: policy.Rings{Percent: []int{0}}, Reason: strings.Repeat("x", 3000)})
	if err == nil || !strings.Contains(err.Error(), "nonsense") || !strings.Contains(err.Error(), "ascend") || !strings.Contains(err.Error(), "reason is too long") {
		t.Errorf("mistakes of all sorts: %v, want all of them at once", err)
	}
	if v, err := w.Submit(w.as("ada", "1"), policy.Draft{Text: version("x"), Rings: policy.Rings{Percent: []int{100}, Pause: time.Hour, StopAt: 0.1}}); err != nil || v.State != policy.Current || !cmp.Equal(v.Rings, policy.Rings{}) {
		t.Errorf("one ring: %s, %+v, %v; want every device at once", v.State, v.Rings, err)
	}
	if v, err := w.Version(t.Context(), 2); ward.KindOf(err) != ward.NotFound {
		t.Errorf("a draft with mistakes was kept: %+v, %v", v, err)
	}
}
