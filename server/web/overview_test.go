package web

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/posture"
)

// TestOverviewIsShared reads a fleet once for many readers, and anew when that is older
// than ten times what it took, or when somebody has changed something.
func TestOverviewIsShared(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 3, 3, 0, 0, 0, time.UTC)
	reads, fail := 0, error(nil)
	o := overview{
		now: func() time.Time { return now }, gate: make(chan struct{}, 1),
		list: func(context.Context, ward.DeviceID, int) ([]posture.Row, error) {
			reads++
			now = now.Add(300 * time.Millisecond)
			return []posture.Row{{Device: ward.Device{ID: "d"}}}, fail
		},
	}
	var got []int
	read := func(pass time.Duration) {
		now = now.Add(pass)
		if _, err := o.current(t.Context()); err != nil {
			t.Fatal(err)
		}
		got = append(got, reads)
	}
	read(0)
	read(2 * time.Second)
	read(time.Second)
	o.forget(t.Context())
	read(0)
	if diff := cmp.Diff([]int{1, 1, 2, 3}, got); diff != "" {
		t.Errorf("reads mismatch (-want +got):\n%s", diff)
	}
	o.forget(t.Context())
	fail = errors.New("the database is gone")
	if _, err := o.current(t.Context()); !errors.Is(err, fail) {
		t.Errorf("current = %v, want the database's error", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o.gate <- struct{}{} // somebody is reading
	if _, err := o.current(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("current = %v, want Canceled: the reader has gone", err)
	}
}

// TestOverviewReadsAll pages through a fleet and puts what is urgent first.
func TestOverviewReadsAll(t *testing.T) {
	t.Parallel()
	states := []compliance.State{compliance.Compliant, compliance.Retired, compliance.NonCompliant, compliance.Lost, compliance.Unknown, compliance.Pending, compliance.InGrace}
	var all []posture.Row
	for i := range 450 {
		all = append(all, posture.Row{Device: ward.Device{ID: ward.DeviceID(fmt.Sprintf("d%03d", i)), Name: fmt.Sprintf("N%03d", 450-i)}, Assessment: compliance.Assessment{State: states[i%len(states)]}})
	}
	o := overview{now: time.Now, gate: make(chan struct{}, 1), list: func(_ context.Context, after ward.DeviceID, limit int) ([]posture.Row, error) {
		from := 0
		for from < len(all) && all[from].Device.ID <= after {
			from++
		}
		return all[from:min(from+limit, len(all))], nil
	}}
	s, err := o.current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var order []compliance.State
	for i, l := range s.lines {
		if i == 0 || order[len(order)-1] != l.State {
			order = append(order, l.State)
		} else if s.lines[i-1].Name > l.Name {
			t.Fatalf("%s stands before %s", s.lines[i-1].Name, l.Name)
		}
	}
	if diff := cmp.Diff(attention, order); diff != "" || len(s.lines) != 450 {
		t.Errorf("%d devices, states mismatch (-want +got):\n%s", len(s.lines), diff)
	}
}

func TestCompareNames(t *testing.T) {
	t.Parallel()
	want := []string{"", "7", "a", "iPhone 1", "iphone 2", "iPhone 2b", "iPhone 10", "iPhone 010x", "Zoë"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, compareNames)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order mismatch (-want +got):\n%s", diff)
	}
}

func TestStart(t *testing.T) {
	t.Parallel()
	snap := &snapshot{lines: []line{{ID: "a", State: "lost"}, {ID: "b", State: "unknown"}, {ID: "c", State: "lost"}, {ID: "d", State: "unknown"}}}
	lost := []line{snap.lines[0], snap.lines[2]}
	for _, tt := range []struct {
		after ward.DeviceID
		want  int
	}{{"", 0}, {"a", 1}, {"b", 1}, {"d", 0}, {"gone", 0}} {
		if got := start(snap, lost, tt.after); got != tt.want {
			t.Errorf("start(after %q) = %d, want %d", tt.after, got, tt.want)
		}
	}
}

func TestAgo(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 23, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		0: "just now", 59 * time.Second: "just now", time.Minute: "1 min ago", 59 * time.Minute: "59 min ago", time.Hour: "1 h ago", 47 * time.Hour: "47 h ago",
		48 * time.Hour: "2 days ago", 59 * 24 * time.Hour: "59 days ago", 60 * 24 * time.Hour: "22 Sep 2026", -30 * time.Second: "in less than a minute", -90 * time.Minute: "in 1 h",
	} {
		if got := at(now.Add(-d), now).Ago; got != want {
			t.Errorf("%v ago = %q, want %q", d, got, want)
		}
	}
	if never := at(time.Time{}, now); never.Ago != "never" || never.Known() {
		t.Errorf("the zero time = %+v, want never", never)
	}
}

// FuzzLocal makes sure that after signing in nobody is led to another site.
func FuzzLocal(f *testing.F) {
	for _, s := range []string{"/devices", "//evil.example", "/\\evil.example", "https://evil.example", "/%2f/evil.example", "/devices?q=//x", "/\n/evil.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, next string) {
		got := local(next)
		if len(got) == 0 || got[0] != '/' || len(got) > 1 && (got[1] == '/' || got[1] == '\\') {
			t.Errorf("local(%q) = %q, which may lead elsewhere", next, got)
		}
	})
}
