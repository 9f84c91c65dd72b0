package estate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestCurrentForTheBounded: who is bounded to a site and looks first has what changed judged
// for everybody, and drops nothing that lies beyond.
func TestCurrentForTheBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	w.insert(t, "in", "out")
	w.change(t, "out", func(d *ward.Device) { d.Site = "South" })
	ctx := ward.WithActor(t.Context(), ward.Actor{Person: "nora", Via: ward.ViaSession, Scope: ward.Scope{Sites: []string{"Royal"}}})
	for range 2 {
		got, err := w.Current(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"in", "out"}, ids(got.Devices)); diff != "" {
			t.Errorf("devices that are known mismatch (-want +got):\n%s", diff)
		}
		w.change(t, "out", func(d *ward.Device) { d.Owner = "another" })
	}
	if all := w.changes(t, "out"); len(all) != 1 {
		t.Errorf("%d changes of the device beyond are kept, want that it came", len(all))
	}
}
