package lost_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/notify"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// run has the job run on several copies of the server at once.
func (w *world) run(copies ...*lost.Service) {
	w.t.Helper()
	var wg sync.WaitGroup
	for _, s := range copies {
		wg.Go(func() {
			if err := s.Escalate(w.t.Context()); err != nil {
				w.t.Errorf("Escalate: %v", err)
			}
		})
	}
	wg.Wait()
}

// says reports how often a timeline has an entry of a kind, and its last text.
func (w *world) says(c lost.Case, k lost.EventKind) (n int, text string) {
	w.t.Helper()
	events, err := w.Timeline(w.t.Context(), c.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range events {
		if e.Kind == k {
			n, text = n+1, e.Text
		}
	}
	return n, text
}

// TestEscalate: an erase is proposed once its time has come, once, whichever copy of the
// server sees it first.
func TestEscalate(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, 0, 0)
		w.device("d1")
		c := w.report("d1")
		copies := []*lost.Service{w.Service, w.copy(nil), w.Service, w.copy(nil)}
		w.pass(24*time.Hour - time.Microsecond)
		w.run(copies...)
		if len(w.orders.proposed) != 0 {
			t.Errorf("proposed early: %q", w.orders.proposed)
		}
		w.pass(time.Microsecond)
		for range 3 {
			w.run(copies...)
		}
		if diff := cmp.Diff([]string{"d1: Not found: it has been missing for 24 hours"}, w.orders.proposed); diff != "" {
			t.Errorf("proposals mismatch (-want +got)\n%s", diff)
		}
		if n, text := w.says(c, lost.EventProposed); n != 1 || !strings.Contains(text, "24 hours") {
			t.Errorf("the timeline says it %d times: %s", n, text)
		}
		if got := w.post.subjects(notify.CaseEscalated); len(got) != 1 || w.audit.count(lost.ActionProposed) != 1 {
			t.Errorf("told %q, audited %d times, want each once", got, w.audit.count(lost.ActionProposed))
		}
		if f, err := w.File(t.Context(), c.ID); err != nil || len(f.Orders) != 1 || f.Orders[0] != "order-of-"+string(c.ID) {
			t.Errorf("the file names the orders %v, %v", f.Orders, err)
		}
	})
}

func TestEscalateOnSigns(t *testing.T) {
	t.Parallel()
	hour := start.Add(time.Hour)
	tests := []struct {
		name   string
		signs  lost.Signs
		policy *lost.Escalation
		after  time.Duration
		want   string
	}{
		{"nothing", lost.Signs{}, nil, time.Hour, ""},
		{"another SIM", lost.Signs{SIMChanged: hour}, nil, time.Hour, "its SIM was changed, as it told at 3 November 2026 04:00:00 UTC"},
		{"no passcode", lost.Signs{PasscodeOff: hour}, nil, time.Hour, "its passcode was taken off, as it told at 3 November 2026 04:00:00 UTC"},
		{"signs from before the report", lost.Signs{SIMChanged: start.Add(-time.Hour), PasscodeOff: start}, nil, time.Hour, ""},
		{"signs that the policy does not name", lost.Signs{SIMChanged: hour}, &lost.Escalation{ProposeOn: []string{lost.SignPasscode}}, 100 * time.Hour, ""},
		{"a policy without a time", lost.Signs{}, &lost.Escalation{}, 1000 * time.Hour, ""},
		{"a policy of 90 minutes", lost.Signs{}, &lost.Escalation{ProposeAfter: 90 * time.Minute}, 90 * time.Minute, "it has been missing for 1h30m0s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, storetest.SQLite(t), 0, 0)
			w.device("d1")
			w.report("d1")
			w.facts.signs = tt.signs
			if tt.policy != nil {
				w.Escalations = policy(*tt.policy)
			}
			w.pass(tt.after)
			w.run(w.Service)
			var want []string
			if tt.want != "" {
				want = []string{"d1: Not found: " + tt.want}
			}
			if diff := cmp.Diff(want, w.orders.proposed); diff != "" {
				t.Errorf("proposals mismatch (-want +got)\n%s", diff)
			}
		})
	}
}

// TestNotProposed: where there can be no erase, that is said once, and not tried again.
func TestNotProposed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		d      ward.Device
		before func(w *world, c lost.Case)
		says   string
	}{
		{"personal", ward.Device{Ownership: ward.Personal}, nil, "personal device"},
		{"left", ward.Device{Ownership: ward.Corporate}, func(w *world, c lost.Case) {
			e, err := w.db.Fleet().Current(w.t.Context(), c.Device)
			if err == nil {
				err = w.db.Fleet().EndEnrolment(w.t.Context(), e.ID, "checked out")
			}
			if err != nil {
				w.t.Fatal(err)
			}
		}, "not enrolled"},
		{"ordered already", ward.Device{Ownership: ward.Corporate}, func(w *world, c lost.Case) { w.erase(c) }, "ordered already"},
		{"refused", ward.Device{Ownership: ward.Corporate}, func(w *world, _ lost.Case) {
			w.orders.refuse = ward.Errorf(ward.Conflict, "The engine says no.")
		}, "The engine says no."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, storetest.SQLite(t), 0, 0)
			tt.d.ID, tt.d.Platform, tt.d.State, tt.d.Created = "d1", ward.IOS, ward.Managed, start
			w.add(tt.d)
			c := w.report("d1")
			if tt.before != nil {
				tt.before(w, c)
			}
			w.pass(24 * time.Hour)
			w.run(w.Service, w.Service)
			w.orders.refuse = nil
			w.run(w.Service)
			if n, text := w.says(c, lost.EventNotProposed); n != 1 || !strings.Contains(text, tt.says) || len(w.orders.proposed) != 0 {
				t.Errorf("the timeline says %d times %q, proposed %q; want once and %q", n, text, w.orders.proposed, tt.says)
			}
			if n := w.audit.count(lost.ActionNotProposed); n != 1 {
				t.Errorf("audited %d times, want once", n)
			}
		})
	}
}

// TestEscalateLater: what fails for a moment is tried again and holds no other case up; what
// is over is not proposed for.
func TestEscalateLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), 0, 0)
	for _, id := range []ward.DeviceID{"d1", "found"} {
		w.device(id)
	}
	w.report("d1")
	c := w.report("found")
	if _, err := w.Report(w.as("ada"), lost.Report{Devices: []ward.DeviceID{"found"}, Drill: lost.Dry}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Found(w.as("ada"), c.ID, ""); err != nil {
		t.Fatal(err)
	}
	w.pass(24 * time.Hour)
	w.orders.refuse = errors.New("the database is away")
	if err := w.Escalate(t.Context()); err == nil || len(w.post.subjects(notify.CaseDeadline)) != 2 {
		t.Errorf("Escalate = %v, reminded of %d cases; want an error and both", err, len(w.post.subjects(notify.CaseDeadline)))
	}
	w.orders.refuse = nil
	w.run(w.Service)
	if len(w.orders.proposed) != 1 {
		t.Errorf("proposed %q, want one for the case that is open", w.orders.proposed)
	}
}

// TestReminders: people are reminded at 24, 48, 66 and 72 hours until it is decided, once
// each, whichever copy of the server looks.
func TestReminders(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, 0, 0)
		for _, id := range []ward.DeviceID{"d1", "d2", "d3"} {
			w.device(id)
		}
		w.report("d1")
		w.decide(w.report("d2"))
		if _, err := w.Report(w.as("ada"), lost.Report{Devices: []ward.DeviceID{"d3"}, Drill: lost.Live}); err != nil {
			t.Fatal(err)
		}
		other := w.copy(nil)
		last := time.Duration(0)
		for _, at := range []time.Duration{1, 23, 24, 25, 47, 48, 49, 65, 66, 67, 71, 72, 73, 100} {
			w.pass(at*time.Hour - last)
			last = at * time.Hour
			w.run(w.Service, other)
		}
		want := []string{"48 hours left for a breach assessment", "24 hours left for a breach assessment", "6 hours left for a breach assessment", "The 72 hours for a breach assessment are over"}
		if diff := cmp.Diff(want, w.post.subjects(notify.CaseDeadline)); diff != "" {
			t.Errorf("reminders mismatch (-want +got)\n%s", diff)
		}
	})
}

// TestReminderOvertaken: a server that was down reminds of where things stand, not of each
// hour that passed; and a clock that was set earlier is what counts.
func TestReminderOvertaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t), 0, 0)
	w.device("d1")
	c := w.report("d1")
	if _, err := w.SetAware(w.as("ada"), c.ID, start.Add(-40*time.Hour), "The ward told its manager then."); err != nil {
		t.Fatal(err)
	}
	w.pass(10 * time.Hour)
	w.run(w.Service)
	w.pass(16*time.Hour + time.Minute)
	w.run(w.Service)
	w.run(w.Service)
	want := []string{"22 hours left for a breach assessment", "6 hours left for a breach assessment"}
	if diff := cmp.Diff(want, w.post.subjects(notify.CaseDeadline)); diff != "" {
		t.Errorf("reminders mismatch (-want +got)\n%s", diff)
	}
}

type policy lost.Escalation

func (p policy) For(context.Context, ward.DeviceID) (lost.Escalation, error) {
	return lost.Escalation(p), nil
}
