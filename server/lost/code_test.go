package lost_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// phone adds an enrolled phone of a nurse.
func (w *world) phone(id ward.DeviceID, email string) ward.Enrolment {
	w.t.Helper()
	return w.add(ward.Device{ID: id, Platform: ward.IOS, Ownership: ward.Corporate, State: ward.Managed, Created: start, Owner: "Nia Nurse", Email: email})
}

func (w *world) code(ctx context.Context, id ward.DeviceID) string {
	w.t.Helper()
	code, err := w.MakeCode(ctx, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return code
}

func TestReportByCode(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, 1, 1)
		e := w.phone("d1", "nia@hospital.example")
		w.phone("d2", "NIA@hospital.example")
		w.phone("d3", "ola@hospital.example")
		code := w.code(ward.WithActor(t.Context(), ward.System), "d1")
		if !regexp.MustCompile(`^([2-9ACDEFGHJKMNPQRTUWXY]{4}-){4}[2-9ACDEFGHJKMNPQRTUWXY]{4}$`).MatchString(code) {
			t.Errorf("the code is %q", code)
		}
		ds, err := w.ByCode(t.Context(), code, "192.0.2.1")
		if err != nil || len(ds) != 2 || ds[0].ID != "d1" || ds[1].ID != "d2" {
			t.Errorf("ByCode = %+v, %v, want the holder's two devices", ds, err)
		}
		_, err = w.ReportByCode(t.Context(), code, "192.0.2.1", lost.Report{Devices: []ward.DeviceID{"d1", "d3"}})
		wantKind(t, "another's device", err, ward.Forbidden)
		_, err = w.ReportByCode(t.Context(), code, "192.0.2.1", lost.Report{Drill: lost.Dry})
		wantKind(t, "a drill", err, ward.Invalid)
		if _, err := w.Report(w.as("eve"), lost.Report{Devices: []ward.DeviceID{"d3"}}); err != nil { // fills the window
			t.Fatal(err)
		}

		typed := strings.ToLower(strings.ReplaceAll(code, "-", " "))
		cs, err := w.ReportByCode(t.Context(), typed, "192.0.2.1", lost.Report{Message: "Keep it", Phone: "666", WasUnlocked: lost.Yes})
		if err != nil || len(cs) != 1 {
			t.Fatalf("ReportByCode = %+v, %v", cs, err)
		}
		c := cs[0]
		if c.Device != "d1" || c.ReportedBy != "" || c.ReportedName != "Nia Nurse" || c.Identified != lost.ByCode || c.Message == "Keep it" || c.Phone == "666" || c.WasUnlocked != lost.Yes {
			t.Errorf("the case is %+v", c)
		}
		if got := w.open(e); !slices.Equal(got, []string{"EnableLostMode"}) {
			t.Errorf("queued %v", got)
		}
		by := w.audit.all(lost.ActionLost)
		if last := by[len(by)-1]; last.by.Via != ward.ViaDevice || last.by.Device != "d1" || last.by.Name != "Nia Nurse" || last.detail["identified"] != "recovery code" {
			t.Errorf("audited %+v", last)
		}
		if got := w.post.subjects(notify.CaseOpened); len(got) != 2 {
			t.Errorf("told %q", got)
		}
	})
}

// TestCodeEnds: a code is good until another is made, its device is erased or dropped, or its
// holder changes; every other code is answered alike.
func TestCodeEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), 0, 0)
	w.phone("d1", "nia@hospital.example")
	system := ward.WithActor(t.Context(), ward.System)
	old := w.code(system, "d1")
	var said []string
	bad := func(what, code string) {
		t.Helper()
		_, err := w.ByCode(t.Context(), code, what) // each from an address of its own
		wantKind(t, what, err, ward.NotFound)
		said = append(said, fmt.Sprint(err))
	}
	good := func(what, code string) {
		t.Helper()
		if _, err := w.ByCode(t.Context(), code, what); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	good("fresh", old)
	code := w.code(system, "d1")
	bad("replaced", old)
	bad("empty", "")
	bad("nonsense", "0OIL-\x00ß漢-'; DROP TABLE device")
	bad("very long", strings.Repeat("A", 1<<20))
	bad("one character less", code[:len(code)-1])
	bad("one character more", code+"A")
	d, err := w.db.Fleet().Device(t.Context(), "d1")
	if err != nil {
		t.Fatal(err)
	}
	d.Email = "ola@hospital.example"
	if err := w.db.Fleet().UpdateDevice(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	bad("of the holder before", code)
	code = w.code(system, "d1")
	w.setState("d1", ward.Unenrolled)
	good("of a device that left: a thief may have removed its management", code)
	w.setState("d1", ward.Erased)
	bad("of a device that was erased", code)
	_, err = w.MakeCode(system, "d1")
	wantKind(t, "for a device that was erased", err, ward.Conflict)
	w.setState("d1", ward.Managed)
	for range 2 {
		if err := w.DropCode(system, "d1"); err != nil {
			t.Fatal(err)
		}
	}
	bad("of a device that is retired", code)
	if got := slices.Compact(said); len(got) != 1 {
		t.Errorf("codes that are not good are told apart: %q", got)
	}
	if n := w.audit.count(lost.ActionCodeDropped); n != 1 || w.audit.count(lost.ActionCodeMade) != 3 {
		t.Errorf("audited %d dropped, %d made, want 1 and 3", n, w.audit.count(lost.ActionCodeMade))
	}
	_, err = w.MakeCode(t.Context(), "d1")
	wantKind(t, "made by nobody", err, ward.Forbidden)
	_, err = w.MakeCode(system, "none")
	wantKind(t, "for no device", err, ward.NotFound)
}

// TestCodeTries: one address has twenty wrong tries in ten minutes, over all copies of the
// server, and no flood of wrong codes keeps a right one out, from its own address either.
func TestCodeTries(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, 0, 0)
		w.phone("d1", "nia@hospital.example")
		code := w.code(ward.WithActor(t.Context(), ward.System), "d1")
		copies := []*lost.Service{w.Service, w.copy(nil)}
		for range 30 {
			if _, err := w.ByCode(t.Context(), code, "hospital"); err != nil {
				t.Fatalf("right codes are not counted: %v", err)
			}
		}
		kinds := make([]ward.Kind, 40)
		var wg sync.WaitGroup
		for i := range kinds {
			wg.Go(func() {
				_, err := copies[i%2].ByCode(t.Context(), "wrong", "thief")
				kinds[i] = ward.KindOf(err)
			})
		}
		wg.Wait()
		tally := map[ward.Kind]int{}
		for _, k := range kinds {
			tally[k]++
		}
		if tally[ward.NotFound] != 20 || tally[ward.Unavailable] != 20 {
			t.Errorf("of 40 wrong codes at once: %v, want 20 answered and 20 refused", tally)
		}
		if _, err := w.ByCode(t.Context(), code, "thief"); err != nil { // who may be behind the same address as the hospital
			t.Errorf("a right code from the address: %v", err)
		}
		_, err := w.ByCode(t.Context(), "wrong", "thief")
		wantKind(t, "a wrong code after a right one", err, ward.Unavailable)
		if _, err := db.Cases().AddTries(t.Context(), "", start.Unix()/600, 2000); err != nil { // a thousand thieves
			t.Fatal(err)
		}
		_, err = w.ByCode(t.Context(), "wrong", "another thief")
		wantKind(t, "a wrong code in a flood", err, ward.Unavailable)
		if _, err := w.ByCode(t.Context(), code, "hospital"); err != nil {
			t.Errorf("a right code in a flood: %v", err)
		}
		w.pass(10 * time.Minute)
		_, err = w.ByCode(t.Context(), "wrong", "thief")
		wantKind(t, "ten minutes later", err, ward.NotFound)
	})
}

// TestCodesMadeByOne: whoever may make codes can't lock the fleet by them.
func TestCodesMadeByOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), 2, 50)
	var held int
	codes := make([]string, 4)
	for i := range codes {
		id := ward.DeviceID(fmt.Sprint("d", i))
		w.phone(id, fmt.Sprintf("n%d@hospital.example", i))
		codes[i] = w.code(w.as("eve"), id)
		if _, err := w.ReportByCode(t.Context(), codes[i], "", lost.Report{}); ward.KindOf(err) == ward.Conflict {
			held++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if held != 2 {
		t.Errorf("%d of 4 reports were held, want 2", held)
	}
	w.pass(7 * 24 * time.Hour)
	if _, err := w.ReportByCode(t.Context(), codes[3], "", lost.Report{}); err != nil {
		t.Errorf("a week later the code is its holder's: %v", err)
	}
}
