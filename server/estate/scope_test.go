package estate_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/estate"
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

// TestPastOfTheBounded: a device that has moved on is called by what it is called now, whoever
// has it, so that those who are bounded to where it was don't find it in the past any more.
func TestPastOfTheBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	w.insert(t, "stays", "moves")
	for _, id := range []ward.DeviceID{"stays", "moves"} {
		w.change(t, id, func(d *ward.Device) { d.Site = "Royal" })
	}
	w.present(t)
	then := w.clock()
	w.pass(time.Hour)
	w.change(t, "moves", func(d *ward.Device) { d.Site, d.Owner = "South", "Somebody Else" })
	w.present(t)
	past, err := w.At(t.Context(), then)
	if err != nil {
		t.Fatal(err)
	}
	royal := ward.Scope{Sites: []string{"Royal"}}
	for _, tt := range []struct {
		name string
		f    estate.Filter
		want []string
	}{
		{"everybody", estate.Filter{Sites: []string{"Royal"}}, []string{"moves", "stays"}},
		{"the bounded", estate.Filter{Scope: royal}, []string{"stays"}},
		{"the bounded who search", estate.Filter{Scope: royal, Search: "somebody"}, []string{}},
		{"those where it is now", estate.Filter{Scope: ward.Scope{Sites: []string{"South"}}}, []string{}},
	} {
		got := ids(past.Match(tt.f))
		slices.Sort(got)
		if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: devices of the past mismatch (-want +got):\n%s", tt.name, diff)
		}
	}
}
