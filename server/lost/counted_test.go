package lost_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/brake"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// gateless is a store whose gate was taken out of the database.
type gateless struct{ lost.Store }

func (gateless) CloseGate(context.Context, time.Time) error {
	return fmt.Errorf("the gate is gone: %w", brake.ErrTampered)
}

// TestTampered: whoever changes the brake's journal keeps nobody from reporting a lost device or
// from locking it, and gets no fleet locked by it either.
func TestTampered(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, 0, 0)
		id := func(i int) ward.DeviceID { return ward.DeviceID(fmt.Sprintf("d%02d", i)) }
		for i := range 16 {
			w.phone(id(i), fmt.Sprintf("n%d@hospital.example", i))
		}
		code := w.code(ward.WithActor(t.Context(), ward.System), id(15)) // an entry of the journal, of which another anchor knows nothing
		w.cases = gateless{db.Cases()}
		s := w.copy(nil)
		report := func(who ward.PersonID, i int) (lost.Case, error) {
			cs, err := s.Report(w.as(who), lost.Report{Devices: []ward.DeviceID{id(i)}})
			if len(cs) != 1 {
				return lost.Case{}, err
			}
			return cs[0], err
		}
		for i := range 10 {
			if _, err := report("eve", i); err != nil || w.state(id(i)) != ward.Lost {
				t.Fatalf("report %d: %v, the device is %s", i, err, w.state(id(i)))
			}
		}
		_, err := report("eve", 10)
		wantKind(t, "one person's eleventh", err, ward.Conflict)
		if held := w.audit.all(lost.ActionHeld); len(held) != 1 || held[0].subject != "d10" || !strings.Contains(held[0].detail["why"], "10 reports of lost devices") {
			t.Errorf("audited as held: %+v", held)
		}
		if _, err := s.ReportByCode(t.Context(), code, "", lost.Report{}); err != nil {
			t.Errorf("by recovery code: %v", err)
		}
		if _, err := s.Lock(w.as("eve"), "d11", "", ""); err != nil { // reports do not use up locks
			t.Errorf("Lock: %v", err)
		}
		got := w.audit.all(lost.ActionUncounted)
		if len(got) != 12 || got[0].subject != "d00" || got[0].detail["deed"] != "report" || got[0].detail["person"] != "eve" || got[0].detail["case"] == "" || got[11].detail["deed"] != "lock" {
			t.Errorf("audited as uncounted: %+v", got)
		}

		err = s.Counted(w.as("ada"), brake.Revoke, "d11", func(context.Context) error { t.Error("a revocation went on uncounted"); return nil })
		if wantKind(t, "a revocation", err, ward.Unavailable); !errors.Is(err, brake.ErrTampered) || !strings.Contains(err.Error(), "all revocations have to wait") || !strings.Contains(err.Error(), "ward brake reset") {
			t.Errorf("a revocation: %v", err)
		}
		_, err = s.MakeCode(w.as("ada"), "d11")
		if wantKind(t, "a recovery code", err, ward.Unavailable); !strings.Contains(fmt.Sprint(err), "all recovery codes have to wait") {
			t.Errorf("a recovery code: %v", err)
		}
		w.pass(time.Hour)
		if _, err := report("eve", 10); err != nil {
			t.Errorf("an hour later: %v", err)
		}
	})
}

// TestCountedSince: a report that could not be counted is counted when the device is reported
// again, once, so that what locks it is not taken for a forgery.
func TestCountedSince(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), 2, 50)
	for _, id := range []ward.DeviceID{"d1", "d2", "d3", "d4"} {
		w.device(id)
	}
	w.report("d1")
	tampered := w.copy(nil)
	cs, err := tampered.Report(w.as("ben"), lost.Report{Devices: []ward.DeviceID{"d2"}})
	if err != nil {
		t.Fatal(err)
	}
	says := func(words string) bool {
		t.Helper()
		events, err := w.Timeline(t.Context(), cs[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(events, func(e lost.Event) bool { return strings.Contains(e.Text, words) })
	}
	if !says("report the device again") || says("has counted") {
		t.Error("the timeline does not say that the report was not counted")
	}
	if _, err := tampered.Report(w.as("ben"), lost.Report{Devices: []ward.DeviceID{"d2"}}); err != nil || says("has counted") {
		t.Errorf("again while it is tampered: %v", err)
	}
	before := w.plan.runs.Load()
	for range 3 { // the journal is settled
		if _, err := w.Report(w.as("ben"), lost.Report{Devices: []ward.DeviceID{"d1", "d2"}}); err != nil {
			t.Fatal(err)
		}
	}
	if !says("has counted") || w.plan.runs.Load() != before+1 {
		t.Errorf("planned %d times, want once", w.plan.runs.Load()-before)
	}
	if _, err := w.Report(w.as("ben"), lost.Report{Devices: []ward.DeviceID{"d3"}}); err != nil {
		t.Errorf("the second that is counted of ben: %v", err)
	}
	_, err = w.Report(w.as("ben"), lost.Report{Devices: []ward.DeviceID{"d4"}})
	wantKind(t, "the third", err, ward.Conflict)
}

// TestDay: the default windows bound a day, not only an hour: of one person, and of all.
func TestDay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), 0, 0)
	done := 0
	try := func(k brake.Kind, who ward.PersonID) error {
		return w.Counted(w.as(who), k, "", func(context.Context) error { done++; return nil })
	}
	for _, k := range []brake.Kind{brake.Lock, brake.Report, brake.Revoke} {
		done = 0
		for range 6 { // hours
			w.pass(time.Hour)
			for range 9 {
				if err := try(k, "eve"); err != nil {
					wantKind(t, string(k), err, ward.Conflict)
				}
			}
		}
		if done != 50 {
			t.Errorf("%s: one person did %d within six hours, want 50", k, done)
		}
		for i := range 20 {
			w.pass(15 * time.Minute)
			for range 9 {
				if err := try(k, ward.PersonID(fmt.Sprint("p", i))); err != nil && done < 200 {
					t.Fatalf("%s: deed %d: %v", k, done, err)
				}
			}
		}
		if done != 200 {
			t.Errorf("%s: all did %d within half a day, want 200", k, done)
		}
		w.pass(24 * time.Hour)
	}
}

// TestFoundIsTold: whoever says that devices are found is told of, and stopped by the brake.
func TestFoundIsTold(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, 2, 50)
		lose := func(id ward.DeviceID, email string, r lost.Report) lost.Case {
			t.Helper()
			w.phone(id, email)
			r.Devices = []ward.DeviceID{id}
			cs, err := w.Report(w.as("p-"+ward.PersonID(id)), r)
			if err != nil {
				t.Fatal(err)
			}
			return cs[0]
		}
		found := func(who ward.PersonID, c lost.Case) error {
			_, err := w.Found(w.as(who), c.ID, "in the canteen")
			return err
		}
		stolen := lose("d1", "", lost.Report{Kind: lost.Stolen})
		if err := found("eve", stolen); err != nil {
			t.Fatal(err)
		}
		if err := found("eve", lose("d2", "", lost.Report{Drill: lost.Live})); err != nil {
			t.Fatal(err)
		}
		dry := lose("d3", "", lost.Report{Drill: lost.Dry})
		if err := found("eve", dry); err != nil {
			t.Errorf("a dry run, which unlocks nothing: %v", err)
		}
		third := lose("d4", "", lost.Report{})
		wantKind(t, "one person's third", found("eve", third), ward.Conflict)
		if held := w.audit.all(lost.ActionHeld); w.state("d4") != ward.Lost || len(held) != 1 || held[0].subject != "d4" || held[0].detail["deed"] != "lock" {
			t.Errorf("held: the device is %s, audited %+v", w.state("d4"), held)
		}
		wantKind(t, "one that was found already", found("eve", stolen), ward.Conflict)
		if err := found("ben", third); err != nil {
			t.Errorf("a colleague: %v", err)
		}
		w.post.mu.Lock()
		defer w.post.mu.Unlock()
		var told []notify.Message
		for _, m := range w.post.got {
			if m.Topic == notify.CaseFound {
				told = append(told, m)
			}
		}
		if len(told) != 3 {
			t.Fatalf("told %+v, want 3", told)
		}
		if m := told[0]; !m.Urgent || m.Link != "/cases/"+string(stolen.ID) || m.Case != stolen.ID || m.Device != "d1" || !strings.Contains(m.Body, "Name of eve says") || strings.Contains(m.Body, "canteen") {
			t.Errorf("told of the stolen one: %+v", m)
		}
		if m := told[1]; m.Urgent || !strings.HasPrefix(m.Subject, "Drill: ") {
			t.Errorf("told of the drill: %+v", m)
		}
	})
}

// TestFoundOwn: whoever signed in and found a device of their own fills nobody's window, and no
// hold keeps them from it.
func TestFoundOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), 9, 1)
	w.phone("mine", "nurse@hospital.example")
	w.phone("other", "")
	own, err := w.Report(w.as("nurse"), lost.Report{Devices: []ward.DeviceID{"mine"}})
	if err != nil {
		t.Fatal(err)
	}
	c := w.report("other")
	if _, err := w.Found(w.as("nurse"), own[0].ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Found(w.as("eve"), c.ID, ""); err != nil {
		t.Errorf("the organisation's first: %v", err)
	}
	own, err = w.Report(w.as("nurse"), lost.Report{Devices: []ward.DeviceID{"mine"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Lock(w.as("ben"), "other", "", "")
	wantKind(t, "the organisation's second, which begins a hold", err, ward.Conflict)
	program := ward.WithActor(t.Context(), ward.Actor{Person: "nurse", Name: "Nia", Via: ward.ViaToken, Token: "t1"})
	_, err = w.Found(program, own[0].ID, "")
	wantKind(t, "a program with the holder's token", err, ward.Conflict)
	if _, err := w.Found(w.as("nurse"), own[0].ID, ""); err != nil {
		t.Errorf("one's own while the brake holds: %v", err)
	}
}
