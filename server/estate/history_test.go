package estate_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/reconcile"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
	"pgregory.net/rapid"
)

const blocked = "blocked-app-present"

// has is a device that has a blocked app.
func has(app string) compliance.Finding {
	return compliance.Finding{State: compliance.NonCompliant, Code: blocked, Subject: app, Text: "Has it.", Cure: "Delete it."}
}

// kept is what is checked of a device of the past: all but when it was heard from, which
// midnights ask for.
type kept struct {
	ID                     ward.DeviceID
	Name, Site, Group, OS  string
	State                  compliance.State
	Since, Enrolled        time.Time
	Codes, Subjects, Words []string
	Until                  time.Time
	Managed                bool
}

func keptOf(d estate.Device) kept {
	k := kept{ID: d.ID, Name: d.Name, Site: d.Site, Group: d.Group, OS: d.OSVersion, State: d.State, Since: d.Since.Truncate(time.Minute), Enrolled: d.Enrolled.Truncate(time.Minute), Managed: d.Managed}
	for _, f := range d.Findings {
		text, _ := estate.Words(f.Code, f.Subject)
		k.Codes, k.Subjects, k.Words, k.Until = append(k.Codes, f.Code), append(k.Subjects, f.Subject), append(k.Words, text), f.Until.Truncate(time.Second)
	}
	return k
}

// scan is the past by all changes of every device, one after the other.
func scan(t *rapid.T, w *world, all []ward.DeviceID, at time.Time) map[ward.DeviceID]kept {
	out := map[ward.DeviceID]kept{}
	for _, id := range all {
		changes, err := w.Changes(context.Background(), id, 0, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(changes, func(c estate.Change) bool { return !c.At.After(at) }) // the newest are first
		if i < 0 || changes[i].Device.State == "" {
			continue
		}
		k := keptOf(changes[i].Device)
		if k.Name == "" { // deleted since
			k.Name = string(id)
		}
		out[id] = k
	}
	return out
}

// TestAt: whatever happened and whenever midnights were kept, any past time reads as a scan of
// all changes until then does, in the order of a snapshot.
func TestAt(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.insert(t, "d1")
		w.present(t)
		all := []ward.DeviceID{"d1"}
		alive := slices.Clone(all)
		rapid.Check(t, func(rt *rapid.T) {
			for range rapid.IntRange(1, 4).Draw(rt, "steps") {
				w.pass(time.Duration(rapid.IntRange(1, 30*3600).Draw(rt, "seconds")) * time.Second)
				switch what := rapid.IntRange(0, 9).Draw(rt, "what"); {
				case what == 0 || len(alive) == 0:
					id := ward.DeviceID(fmt.Sprintf("d%d", len(all)+1))
					w.insert(t, id)
					all, alive = append(all, id), append(alive, id)
				case what == 1 && len(alive) > 3:
					if err := w.db.Fleet().DeleteDevice(t.Context(), alive[0]); err != nil {
						rt.Fatal(err)
					}
					alive = alive[1:]
				case what == 2:
					if err := w.Midnight(t.Context()); err != nil {
						rt.Fatal(err)
					}
				default:
					id := rapid.SampledFrom(alive).Draw(rt, "device")
					if rapid.Bool().Draw(rt, "wrong") {
						w.finds(id, has(rapid.SampledFrom([]string{"whatsapp", "telegram"}).Draw(rt, "app")), compliance.Finding{State: compliance.InGrace, Code: "no-passcode", Until: w.clock().Add(time.Hour)})
					} else {
						delete(w.says, id)
					}
					w.change(t, id, func(d *ward.Device) {
						d.Group = fmt.Sprintf("Ward %d", rapid.IntRange(1, 3).Draw(rt, "ward"))
					})
				}
				w.present(t)
			}
			since := w.clock().Sub(start)
			at := start.Add(time.Duration(rapid.Int64Range(0, int64(since)).Draw(rt, "at")))
			got, err := w.At(t.Context(), at)
			if err != nil {
				rt.Fatal(err)
			}
			have := map[ward.DeviceID]kept{}
			for _, d := range got.Devices {
				have[d.ID] = keptOf(*d)
				for _, f := range d.Findings {
					if text, cure := estate.Words(f.Code, f.Subject); f.Text != text || f.Cure != cure {
						rt.Fatalf("a finding of the past reads %q, %q; want general words", f.Text, f.Cure)
					}
				}
			}
			if diff := cmp.Diff(scan(rt, w, all, at), have); diff != "" {
				rt.Fatalf("At(%s) mismatch (-scan of all changes +got):\n%s", at, diff)
			}
			inOrder(rt, got.Devices)
		})
	})
}

func inOrder(t *rapid.T, ds []*estate.Device) {
	sorted := slices.IsSortedFunc(ds, func(a, b *estate.Device) int {
		if x, y := slices.Index(estate.Attention, a.State), slices.Index(estate.Attention, b.State); x != y {
			return x - y
		}
		return estate.CompareNames(a.Name, b.Name)
	})
	if !sorted {
		t.Fatalf("devices of the past stand in the order %v", ids(ds))
	}
}

// TestAtLimits: what is to come and what was before the record are refused.
func TestAtLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	if at, err := w.Recorded(t.Context()); err != nil || !at.IsZero() {
		t.Errorf("Recorded() = %s, %v of an empty record, want zero", at, err)
	}
	if _, err := w.At(t.Context(), start); ward.KindOf(err) != ward.Invalid {
		t.Errorf("At() of an empty record = %v, want invalid", err)
	}
	w.insert(t, "d1")
	w.present(t)
	w.pass(time.Hour)
	if at, err := w.Recorded(t.Context()); err != nil || !at.Equal(start) {
		t.Errorf("Recorded() = %s, %v; want %s", at, err, start)
	}
	for at, want := range map[time.Time]ward.Kind{start.Add(-time.Second): ward.Invalid, start: "", w.clock(): "", w.clock().Add(time.Second): ward.Invalid} {
		if _, err := w.At(t.Context(), at); ward.KindOf(err) != want && (err != nil || want != "") {
			t.Errorf("At(%s) = %v, want kind %q", at, err, want)
		}
	}
}

// TestMidnight: a server that was down for days makes up for them, two copies make each day
// once, and what a day says is what the devices were at its end.
func TestMidnight(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.insert(t, "d1", "d2", "d3")
		w.present(t)
		w.pass(24 * time.Hour)
		w.finds("d1", has("whatsapp"))
		w.change(t, "d1", func(d *ward.Device) { d.Model = "iPhone15,4" })
		w.present(t)
		w.pass(3 * 24 * time.Hour)
		delete(w.says, "d1")
		w.change(t, "d1", func(d *ward.Device) { d.Model = "iPhone15,5" })
		w.present(t)
		w.pass(24 * time.Hour)
		errs := make(chan error, 2)
		for _, s := range []*estate.Service{w.Service, w.another(t)} {
			go func() { errs <- s.Midnight(t.Context()) }()
		}
		for range 2 {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		for _, tc := range []struct {
			cut  estate.Cut
			want []int
		}{
			{estate.Cut{}, []int{0, 1, 1, 1, 0}},
			{estate.Cut{By: estate.BySite, Value: "Royal"}, []int{0, 1, 1, 1, 0}},
			{estate.Cut{By: estate.ByApp, Value: "whatsapp"}, []int{0, 1, 1, 1, 0}},
			{estate.Cut{By: estate.ByApp, Value: "signal"}, []int{0, 0, 0, 0, 0}},
		} {
			days, err := w.Trend(t.Context(), tc.cut, 30)
			if err != nil {
				t.Fatal(err)
			}
			var got []int
			for i, d := range days {
				got = append(got, d.Blocked)
				if want := start.Truncate(24*time.Hour).AddDate(0, 0, i); !d.Day.Equal(want) || d.Devices != 3 || d.States[compliance.Compliant] != 3-d.Blocked && tc.cut.Value != "signal" {
					t.Errorf("%v, day %d is %+v, want 3 devices on %s", tc.cut, i, d, want)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("%v: blocked apps a day %v, want %v", tc.cut, got, tc.want)
			}
		}
		r, err := w.Removals(t.Context(), "", estate.ByGroup, start, w.clock())
		want := map[string]estate.Removal{"Ward 7": {Removed: 1, P50: 3 * 24 * time.Hour, P95: 3 * 24 * time.Hour}}
		if diff := cmp.Diff(want, r); err != nil || diff != "" {
			t.Errorf("Removals(), %v, mismatch (-want +got):\n%s", err, diff)
		}
	})
}

// TestSilence: an app that was seen before and after a silence was there all along; one that
// was gone after it was not seen to go.
func TestSilence(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	w.insert(t, "d1", "d2")
	silent := compliance.Finding{State: compliance.Unknown, Code: "apps-unknown"}
	step := func(what string, says map[ward.DeviceID][]compliance.Finding) {
		for id, all := range says {
			delete(w.says, id)
			if len(all) > 0 {
				w.finds(id, all...)
			}
			w.change(t, id, func(d *ward.Device) { d.Model = what })
		}
		w.present(t)
		w.pass(24 * time.Hour)
	}
	step("seen", map[ward.DeviceID][]compliance.Finding{"d1": {has("whatsapp")}, "d2": {has("whatsapp")}})
	step("silent", map[ward.DeviceID][]compliance.Finding{"d1": {silent}, "d2": {silent}})
	step("back", map[ward.DeviceID][]compliance.Finding{"d1": {has("whatsapp")}, "d2": nil})
	step("gone", map[ward.DeviceID][]compliance.Finding{"d1": nil})
	r, err := w.Removals(t.Context(), "whatsapp", estate.Everything, start, w.clock())
	want := map[string]estate.Removal{"": {Removed: 1, P50: 3 * 24 * time.Hour, P95: 3 * 24 * time.Hour}}
	if diff := cmp.Diff(want, r); err != nil || diff != "" {
		t.Errorf("Removals(), %v, mismatch (-want +got):\n%s", err, diff)
	}
	there, err := w.Removals(t.Context(), "whatsapp", estate.BySite, start, start.Add(36*time.Hour))
	if err != nil || there["Royal"].Present != 1 {
		t.Errorf("while both were silent it was on %v, %v; want the one that has it afterwards too", there, err)
	}
	if _, err := w.Removals(t.Context(), "", "colour", start, w.clock()); ward.KindOf(err) != ward.Invalid {
		t.Errorf("Removals by colour = %v, want invalid", err)
	}
}

// TestForget: what is left begins with a midnight, and reads as before; the days stay.
func TestForget(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.insert(t, "d1", "d2")
		r := rand.New(rand.NewPCG(3, 4))
		for range 12 {
			id := ward.DeviceID([]string{"d1", "d2"}[r.IntN(2)])
			delete(w.says, id)
			if r.IntN(2) == 0 {
				w.finds(id, has("whatsapp"))
			}
			w.change(t, id, func(d *ward.Device) { d.Group = fmt.Sprint("Ward ", r.IntN(3)) })
			w.present(t)
			w.pass(12 * time.Hour)
		}
		if err := w.Midnight(t.Context()); err != nil {
			t.Fatal(err)
		}
		at := start.Add(100 * time.Hour)
		before, err := w.At(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := w.Forget(t.Context(), start.Add(80*time.Hour)); err != nil || n == 0 {
			t.Fatalf("Forget() = %d, %v; want some rows", n, err)
		}
		first, err := w.Recorded(t.Context())
		if want := start.Add(80 * time.Hour).Truncate(24 * time.Hour); err != nil || !first.Equal(want) {
			t.Errorf("Recorded() = %s, %v; want the midnight before, %s", first, err, want)
		}
		again, err := w.another(t).At(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		for i, d := range before.Devices {
			if diff := cmp.Diff(keptOf(*d), keptOf(*again.Devices[i])); diff != "" {
				t.Errorf("At(%s) afterwards mismatch (-before +after):\n%s", at, diff)
			}
		}
		if days, err := w.Trend(t.Context(), estate.Cut{}, 30); err != nil || len(days) != 6 {
			t.Errorf("%d days are left, %v; want all 6", len(days), err)
		}
	})
}

// TestSeenAtMidnight: a device on which nothing changes, but that is heard from, does not
// count as silent; one that is not does.
func TestSeenAtMidnight(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	w.insert(t, "d1", "d2")
	for _, id := range []ward.DeviceID{"d1", "d2"} {
		w.says[id] = func(v *reconcile.View) compliance.Assessment {
			v.Enrolment.LastSeen = start
			return compliance.Assessment{State: compliance.Compliant}
		}
	}
	w.present(t)
	w.pass(-9*time.Hour + 5*time.Minute) // to just after midnight
	for range 9 {
		w.pass(24 * time.Hour)
		w.db.Seen("enr_d1", w.clock().Add(-time.Hour))
		if err := w.Midnight(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	days, err := w.Trend(t.Context(), estate.Cut{}, 30)
	if err != nil || len(days) != 9 || days[6].NotSeen7 != 0 || days[8].NotSeen7 != 1 {
		t.Errorf("the days are %+v, %v; want one silent device from the eighth day on", days, err)
	}
	s, err := w.At(t.Context(), start.Add(9*24*time.Hour-10*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range s.Devices {
		if days := int(s.At.Sub(d.LastSeen) / (24 * time.Hour)); (d.ID == "d1") != (days < 2) {
			t.Errorf("%s was heard from %d days before", d.ID, days)
		}
	}
}
