package lost_test

import (
	"context"
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

func (w *world) supervise(e ward.Enrolment, s ward.Supervision) {
	w.t.Helper()
	if err := w.db.Fleet().SetSupervised(w.t.Context(), e.ID, s); err != nil {
		w.t.Fatal(err)
	}
}

// TestSound: a sound and a location are asked only of a phone that is in lost mode, and the
// answer says why else.
func TestSound(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, 0, 0)
		e := w.device("d1")
		c := w.report("d1")
		refused := func(what, says string) {
			t.Helper()
			for name, ask := range map[string]func() (string, error){
				"sound":  func() (string, error) { return w.Sound(w.as("ada"), c.ID) },
				"locate": func() (string, error) { return w.LocateNow(w.as("ada"), c.ID, "to send a porter") },
			} {
				_, err := ask()
				wantKind(t, what+": "+name, err, ward.Conflict)
				if err != nil && !strings.Contains(err.Error(), says) {
					t.Errorf("%s: %s: %v does not say %q", what, name, err, says)
				}
			}
		}
		refused("unsupervised", "not supervised")
		w.supervise(e, ward.Supervised)
		refused("not in lost mode", "not accepted lost mode yet")
		if got := w.accept(e); got != "EnableLostMode" {
			t.Fatalf("accepted %s", got)
		}
		uuid, err := w.Sound(w.as("ada"), c.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.LocateNow(w.as("ben"), c.ID, " to send a porter "); err != nil {
			t.Fatal(err)
		}
		_, err = w.LocateNow(w.as("ben"), c.ID, " ")
		wantKind(t, "a location for no purpose", err, ward.Invalid)
		_, err = w.Sound(t.Context(), c.ID)
		wantKind(t, "a sound by nobody", err, ward.Forbidden)
		r, _, _, err := db.Commands().Next(t.Context(), e.ID)
		if err != nil || r.UUID != uuid || r.RequestType != "PlayLostModeSound" || r.Case != c.ID || r.By != "ada" {
			t.Errorf("queued %+v, %v", r, err)
		}
		if got := w.audit.all(lost.ActionLocate); len(got) != 1 || got[0].detail["purpose"] != "to send a porter" || got[0].detail["device"] != "d1" {
			t.Errorf("audited %+v", got)
		}
		if n := w.audit.count(lost.ActionSound); n != 1 {
			t.Errorf("%d sounds are audited, want 1", n)
		}
		if _, err := w.Found(w.as("ada"), c.ID, ""); err != nil {
			t.Fatal(err)
		}
		refused("found", "no longer open")
	})
}

// TestSoundElsewhere: lost mode that was refused or ended, and what has none.
func TestSoundElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), 0, 0)
	e := w.device("d1")
	w.supervise(e, ward.Supervised)
	c := w.report("d1")
	r, _, _, err := w.db.Commands().Next(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.db.Commands().Report(t.Context(), e.ID, store.Answer{UUID: r.UUID, State: command.Refused}); err != nil {
		t.Fatal(err)
	}
	_, err = w.Sound(w.as("ada"), c.ID)
	if wantKind(t, "refused", err, ward.Conflict); err == nil || !strings.Contains(err.Error(), "refused lost mode") {
		t.Errorf("refused: %v", err)
	}
	w.add(ward.Device{ID: "mac", Platform: ward.MacOS, Ownership: ward.Corporate, State: ward.Managed, Created: start})
	_, err = w.Sound(w.as("ada"), w.report("mac").ID)
	if wantKind(t, "a Mac", err, ward.Conflict); err == nil || !strings.Contains(err.Error(), "Only an iPhone") {
		t.Errorf("a Mac: %v", err)
	}
	_, err = w.Sound(w.as("ada"), "none")
	wantKind(t, "no case", err, ward.NotFound)
}

func TestRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), 1, 50)
	e := w.device("d1")
	_, err := w.Restart(w.as("ada"), "d1")
	wantKind(t, "an unsupervised phone", err, ward.Conflict)
	w.supervise(e, ward.Supervised)
	uuid, err := w.Restart(w.as("ada"), "d1") // what was refused did not count
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Restart(w.as("ada"), "d1")
	wantKind(t, "beyond the brake", err, ward.Conflict)
	_, err = w.Lock(w.as("ada"), "d1", "", "")
	wantKind(t, "a lock beside it", err, ward.Conflict)
	r, _, _, err := w.db.Commands().Next(t.Context(), e.ID)
	if err != nil || r.UUID != uuid || r.RequestType != "RestartDevice" || r.By != "ada" || !r.Urgent {
		t.Errorf("queued %+v, %v", r, err)
	}
	if n := w.audit.count(lost.ActionRestart); n != 1 {
		t.Errorf("audited %d times, want once", n)
	}
	w.add(ward.Device{ID: "mac", Platform: ward.MacOS, Ownership: ward.Corporate, State: ward.Managed, Created: start})
	if _, err := w.Restart(w.as("ben"), "mac"); err != nil {
		t.Errorf("a Mac: %v", err)
	}
	w.add(ward.Device{ID: "pc", Platform: ward.Windows, Ownership: ward.Corporate, State: ward.Managed, Created: start})
	_, err = w.Restart(w.as("cay"), "pc")
	wantKind(t, "a PC", err, ward.Conflict)
	_, err = w.Restart(t.Context(), "mac")
	wantKind(t, "by nobody", err, ward.Forbidden)
}

// expiring notes when commands are to expire.
type expiring struct {
	command.Queue
	until map[string]time.Time
}

func (q expiring) Enqueue(ctx context.Context, n command.New) (string, error) {
	q.until[n.RequestType] = n.Expires
	return q.Queue.Enqueue(ctx, n)
}

// TestMomentsEnd: what a person asks for at the moment is not done hours later.
func TestMomentsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), 0, 0)
	q := expiring{w.Queue, map[string]time.Time{}}
	w.Queue = q
	e := w.device("d1")
	w.supervise(e, ward.Supervised)
	c := w.report("d1")
	w.accept(e)
	for _, err := range []error{
		second(w.Sound(w.as("ada"), c.ID)), second(w.LocateNow(w.as("ada"), c.ID, "x")), second(w.Restart(w.as("ada"), "d1")), second(w.Lock(w.as("ada"), "d1", "", "")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]time.Time{
		"PlayLostModeSound": start.Add(15 * time.Minute), "DeviceLocation": start.Add(15 * time.Minute), "RestartDevice": start.Add(time.Hour), "DeviceLock": {},
	}
	if diff := cmp.Diff(want, q.until); diff != "" {
		t.Errorf("expiry mismatch (-want +got)\n%s", diff)
	}
}

func second(_ string, err error) error { return err }

// TestHistory: the file says how often a location was asked for, by whom and why, and never
// where the device was.
func TestHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), 0, 0)
	e := w.device("d1")
	w.supervise(e, ward.Supervised)
	c := w.report("d1")
	w.accept(e)
	ask := func(by ward.PersonID) {
		t.Helper()
		w.pass(time.Minute)
		if by != "" {
			if _, err := w.LocateNow(w.as(by), c.ID, "to send a porter"); err != nil {
				t.Fatal(err)
			}
			return
		}
		if _, err := w.db.Commands().Enqueue(t.Context(), command.New{Enrolment: e.ID, RequestType: "DeviceLocation", Body: []byte("x"), Case: c.ID}); err != nil {
			t.Fatal(err)
		}
	}
	ask("")
	ask("ben")
	w.pass(time.Minute)
	if err := w.SetLocation(t.Context(), c.ID, lost.Location{Lat: 53.8, Lon: -1.5, At: start}); err != nil {
		t.Fatal(err)
	}
	w.pass(time.Minute)
	if _, err := w.ViewLocation(w.as("ada"), c.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.ViewLocationFor(w.as("cay"), c.ID, "for the police"); err != nil {
		t.Fatal(err)
	}
	_, err := w.ViewLocationFor(w.as("cay"), c.ID, "")
	wantKind(t, "a look for no purpose", err, ward.Invalid)
	got, err := w.History(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if got[i].Kind == lost.LookAsked {
			got[i].At = time.Time{} // the queue has a clock of its own
		}
	}
	at := func(m int) time.Time { return start.Add(time.Duration(m) * time.Minute) }
	want := []lost.Look{
		{At: at(3), Kind: lost.LookReceived, Name: "The device"},
		{At: at(4), Kind: lost.LookSeen, Person: "ada", Name: "Name of ada", Purpose: "to find the device"},
		{At: at(4), Kind: lost.LookSeen, Person: "cay", Name: "Name of cay", Purpose: "for the police"},
		{Kind: lost.LookAsked, Name: "Ward, as the policy says", Purpose: "to find the device", State: command.Waiting},
		{Kind: lost.LookAsked, Person: "ben", Name: "Name of ben", Purpose: "to send a porter", State: command.Waiting},
	}
	less := func(a, b lost.Look) int { return strings.Compare(string(a.Kind)+a.Name, string(b.Kind)+b.Name) }
	if diff := cmp.Diff(sorted(want, less), sorted(got, less)); diff != "" {
		t.Errorf("History mismatch (-want +got)\n%s", diff)
	}
}
