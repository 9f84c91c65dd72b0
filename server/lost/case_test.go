package lost_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestFound: a phone that was found is not erased by an order that it never fetched.
func TestFound(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, 0, 0)
		e := w.device("d1")
		c := w.report("d1")
		w.erase(c)
		w.pass(time.Hour)
		c, err := w.Found(w.as("ben"), c.ID, "in the canteen")
		if err != nil {
			t.Fatal(err)
		}
		if c.State != lost.Found || !c.Found.Equal(start.Add(time.Hour)) || w.state("d1") != ward.Managed {
			t.Errorf("found: case %+v, device %s", c, w.state("d1"))
		}
		if q := w.open(e); !slices.Equal(q, []string{"DisableLostMode"}) { // what was never fetched is taken back
			t.Errorf("queued %v", q)
		}
		_, err = w.Found(w.as("ben"), c.ID, "")
		wantKind(t, "found twice", err, ward.Conflict)
		if again := w.report("d1"); again.ID == c.ID {
			t.Error("a second loss is in the first case")
		}
	})
}

func TestClose(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), 0, 0)
	tests := []struct {
		name  string
		state ward.DeviceState // of the device before the case is closed
		found bool
		want  ward.Kind
	}{
		{"lost", ward.Lost, false, ward.Conflict},
		{"managed", ward.Managed, false, ward.Conflict},
		{"erased", ward.Erased, false, ""},
		{"unenrolled", ward.Unenrolled, false, ""},
		{"found", ward.Lost, true, ""},
	}
	for _, tt := range tests {
		id := ward.DeviceID(tt.name)
		w.device(id)
		c := w.report(id)
		if tt.found {
			if _, err := w.Found(w.as("ada"), c.ID, ""); err != nil {
				t.Fatal(err)
			}
		} else {
			w.setState(id, tt.state)
		}
		_, err := w.Close(w.as("ada"), c.ID, "done")
		wantKind(t, tt.name+" and undecided", err, ward.Conflict)
		w.decide(c)
		_, err = w.Close(w.as("ada"), c.ID, "done")
		wantKind(t, tt.name, err, tt.want)
		if c, err = w.Case(t.Context(), c.ID); err != nil || (c.State == lost.Closed) != (tt.want == "") {
			t.Errorf("%s: the case is %s, %v", tt.name, c.State, err)
		}
		_, err = w.Close(w.as("ada"), c.ID, "done")
		wantKind(t, tt.name+" again", err, ward.Conflict)
		_, err = w.Close(w.as("ada"), c.ID, "")
		wantKind(t, tt.name+" without a note", err, ward.Invalid)
	}
	open, err := w.List(t.Context(), lost.Filter{State: lost.Open})
	if err != nil || len(open) != 2 {
		t.Errorf("%d cases are open, %v, want 2", len(open), err)
	}
	all, err := w.List(t.Context(), lost.Filter{Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	rest, err := w.List(t.Context(), lost.Filter{Limit: 3, After: all[2].ID})
	if err != nil || len(rest) != 2 || rest[0].Device != "managed" {
		t.Errorf("second page is %+v, %v", rest, err)
	}
}

// TestEnrolled: only an erase that the device accepted ends a case, and only if it comes back
// by another identity.
func TestEnrolled(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, 0, 0)
		w.device("d1")
		c := w.report("d1")
		told := func(what string, e ward.Enrolment, before, after ward.DeviceState, state lost.State, words string) {
			t.Helper()
			w.setState("d1", before)
			if err := w.Enrolled(t.Context(), e); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if got, err := w.Case(t.Context(), c.ID); err != nil || got.State != state || w.state("d1") != after {
				t.Errorf("%s: case %s, %v, device %s; want %s, %s", what, got.State, err, w.state("d1"), state, after)
			}
			events, err := w.Timeline(t.Context(), c.ID)
			if err != nil {
				t.Fatal(err)
			}
			if words != "" && !slices.ContainsFunc(events, func(e lost.Event) bool { return strings.Contains(e.Text, words) }) {
				t.Errorf("%s: the timeline does not say %q: %+v", what, words, events)
			}
			if fresh := slices.ContainsFunc(events, func(e lost.Event) bool { return strings.Contains(e.Text, "came back fresh") }); fresh != (state == lost.Found) {
				t.Errorf("%s: the timeline says that it came back fresh: %v", what, fresh)
			}
		}
		e := w.enrol("d1") // by other means, such as a restore
		told("enrolled anew without an erase", e, ward.Managed, ward.Lost, lost.Open, "")
		w.erase(c)
		if got := w.accept(e); got != "EraseDevice" {
			t.Fatalf("accepted %s", got)
		}
		told("come back with its identity", w.enrolAgain("d1"), ward.Erased, ward.Lost, lost.Open, "came back with the same identity: it was not erased")
		if got := w.audit.count(lost.ActionNotErased); got != 1 {
			t.Errorf("audited %d times, want once", got)
		}
		told("come back fresh", w.enrol("d1"), ward.Managed, ward.Managed, lost.Found, "it was erased and came back fresh")
		told("without an open case", w.enrol("d1"), ward.Managed, ward.Managed, lost.Found, "")
	})
}

func TestLocation(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, 0, 0)
		w.device("d1")
		c := w.report("d1")
		_, err := w.ViewLocation(w.as("ada"), c.ID)
		wantKind(t, "before there is one", err, ward.NotFound)
		older := lost.Location{Lat: 53.8, Lon: -1.55, Accuracy: 12.5, At: start.Add(time.Minute)}
		newer := lost.Location{Lat: -33.9, Lon: 151.2, Accuracy: -1, At: start.Add(2 * time.Minute)}
		for _, l := range []lost.Location{newer, older, newer} {
			if err := w.SetLocation(t.Context(), c.ID, l); err != nil {
				t.Fatal(err)
			}
		}
		got, err := w.ViewLocation(w.as("ada"), c.ID)
		newer.Received = start
		if diff := cmp.Diff(newer, got); diff != "" || err != nil {
			t.Errorf("ViewLocation mismatch, %v (-want +got)\n%s", err, diff)
		}
		_, err = w.ViewLocation(ward.WithActor(t.Context(), ward.System), c.ID)
		wantKind(t, "seen by no person", err, ward.Forbidden)
		if set, seen := w.audit.count(lost.ActionLocated), w.audit.count(lost.ActionLocationViewed); set != 2 || seen != 1 {
			t.Errorf("audited %d locations and %d looks, want 2 and 1", set, seen)
		}
		if kept, err := w.Case(t.Context(), c.ID); err != nil || !kept.Located.Equal(start) {
			t.Errorf("Located is %s, %v", kept.Located, err)
		}
		if _, err := w.Found(w.as("ada"), c.ID, ""); err != nil {
			t.Fatal(err)
		}
		late := lost.Location{Lat: 1, Lon: 1, At: start.Add(time.Hour)}
		if err := w.SetLocation(t.Context(), c.ID, late); err != nil || w.audit.count(lost.ActionLocationDropped) != 1 {
			t.Errorf("a late location: %v, audited as dropped %d times", err, w.audit.count(lost.ActionLocationDropped))
		}
		if n, err := w.PurgeLocations(t.Context(), start); n != 0 || err != nil {
			t.Errorf("PurgeLocations = %d, %v before their time", n, err)
		}
		if n, err := w.PurgeLocations(t.Context(), start.Add(time.Second)); n != 2 || err != nil {
			t.Errorf("PurgeLocations = %d, %v, want 2", n, err)
		}
		_, err = w.ViewLocation(w.as("ada"), c.ID)
		wantKind(t, "after the retention", err, ward.NotFound)
	})
}

func TestLocationThatIsNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), 0, 0)
	for name, l := range map[string]lost.Location{
		"north of the pole": {Lat: 90.1, At: start}, "beyond the date line": {Lon: -181, At: start}, "no number": {Lat: math.NaN(), At: start},
		"infinite": {Accuracy: math.Inf(1), At: start}, "no time": {Lat: 1},
	} {
		wantKind(t, name, w.SetLocation(t.Context(), "c", l), ward.Invalid)
	}
	wantKind(t, "an unknown case", w.SetLocation(t.Context(), "c", lost.Location{At: start}), ward.NotFound)
}

func TestTimeline(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), 0, 0)
	e := w.device("d1")
	c := w.report("d1")
	if err := w.SetLocation(t.Context(), c.ID, lost.Location{Lat: 53.8, Lon: 1.5, At: start}); err != nil {
		t.Fatal(err)
	}
	if got := w.accept(e); got != "EnableLostMode" {
		t.Fatalf("accepted %s", got)
	}
	w.erase(c)
	w.report("d1")
	events, err := w.Timeline(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	got := map[lost.EventKind]int{}
	for _, e := range events {
		got[e.Kind]++
		if strings.Contains(e.Text, "53.8") {
			t.Errorf("the timeline tells the location: %s", e.Text)
		}
	}
	want := map[lost.EventKind]int{lost.EventReported: 1, lost.EventRevoked: 1, lost.EventLocated: 1, lost.EventReportedAgain: 1, lost.EventCommand: 2}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Timeline mismatch (-want +got)\n%s", diff)
	}
	i := slices.IndexFunc(events, func(e lost.Event) bool { return e.RequestType == "EnableLostMode" })
	if ev := events[i]; ev.State != command.Accepted || ev.Answered.IsZero() || !strings.HasPrefix(ev.Text, "Lost mode on: accepted by the device at ") {
		t.Errorf("lost mode's entry is %+v", ev)
	}
	_, err = w.Timeline(context.Background(), "none")
	wantKind(t, "an unknown case", err, ward.NotFound)
}

func TestWords(t *testing.T) {
	t.Parallel()
	at := func(minute int) time.Time { return start.Add(time.Duration(minute) * time.Minute) }
	tests := []struct {
		name string
		r    command.Record
		c    lost.Contact
		want string
	}{
		{"never seen", command.Record{RequestType: "DeviceLock", State: command.Waiting, Created: at(1)}, lost.Contact{}, "Lock: waiting for the device"},
		{"waiting", command.Record{RequestType: "EnableLostMode", State: command.Waiting, Created: at(1)}, lost.Contact{LastSeen: at(0)}, "Lost mode on: waiting, the device has not been seen since 3 November 2026 03:00:00 UTC"},
		{"busy", command.Record{RequestType: "EnableLostMode", State: command.Waiting, Created: at(1)}, lost.Contact{LastSeen: at(2)}, "Lost mode on: waiting, the device was last seen at 3 November 2026 03:02:00 UTC"},
		{"delivered", command.Record{RequestType: "DeviceLocation", State: command.Delivered, Delivered: at(1)}, lost.Contact{LastSeen: at(1)}, "Tell the location: delivered at 3 November 2026 03:01:00 UTC, not answered yet, not seen since"},
		{"delivered and seen", command.Record{RequestType: "DeviceLocation", State: command.Delivered, Delivered: at(1)}, lost.Contact{LastSeen: at(2)}, "Tell the location: delivered at 3 November 2026 03:01:00 UTC, not answered yet"},
		{"not now", command.Record{RequestType: "SecurityInfo", State: command.Deferred, NotNow: at(1)}, lost.Contact{}, "SecurityInfo: the device asked at 3 November 2026 03:01:00 UTC to be asked later"},
		{"lock accepted", command.Record{RequestType: "DeviceLock", State: command.Accepted, Answered: at(1)}, lost.Contact{LastSeen: at(1)}, "Lock: accepted by the device at 3 November 2026 03:01:00 UTC"},
		{"erase accepted", command.Record{RequestType: "EraseDevice", State: command.Accepted, Answered: at(1)}, lost.Contact{LastSeen: at(1)}, "Erase: accepted by the device at 3 November 2026 03:01:00 UTC, not seen since"},
		{"not erased", command.Record{RequestType: "EraseDevice", State: command.Accepted, Answered: at(1)}, lost.Contact{LastSeen: at(3)}, "Erase: accepted by the device at 3 November 2026 03:01:00 UTC, but it was seen again at 3 November 2026 03:03:00 UTC, so it has not been erased yet"},
		{"back fresh", command.Record{RequestType: "EraseDevice", State: command.Accepted, Answered: at(1)}, lost.Contact{LastSeen: at(1), Afresh: at(9)}, "Erase: accepted by the device at 3 November 2026 03:01:00 UTC; it was erased and came back fresh at 3 November 2026 03:09:00 UTC"},
		{"refused", command.Record{RequestType: "EraseDevice", State: command.Refused, Answered: at(1), Error: "no right"}, lost.Contact{}, "Erase: refused by the device at 3 November 2026 03:01:00 UTC: no right"},
		{"taken back", command.Record{RequestType: "EraseDevice", State: command.Cancelled, Answered: at(1)}, lost.Contact{}, "Erase: taken back at 3 November 2026 03:01:00 UTC"},
		{"withheld", command.Record{RequestType: "EraseDevice", State: command.Withheld, Answered: at(1), Error: "its row fails its seal"}, lost.Contact{}, "Erase: withheld at 3 November 2026 03:01:00 UTC: its row fails its seal"},
		{"held", command.Record{RequestType: "EraseDevice", State: command.Held, Created: at(1), Error: "the brake holds erasures"}, lost.Contact{}, "Erase: held back, and not given to the device: the brake holds erasures"},
		{"expired", command.Record{RequestType: "PlayLostModeSound", State: command.Expired, Answered: at(16)}, lost.Contact{}, "Play a sound: not fetched in time, and given up at 3 November 2026 03:16:00 UTC"},
		{"located", command.Record{RequestType: "RestartDevice", State: command.Accepted, Answered: at(1)}, lost.Contact{}, "Restart: accepted by the device at 3 November 2026 03:01:00 UTC"},
	}
	for _, tt := range tests {
		if got := lost.Words(tt.r, tt.c); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}
