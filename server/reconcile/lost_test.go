package reconcile_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/reconcile"
)

// TestPlanOfALostCase: how often a lost phone is located, and what it is asked besides; a
// step in capitals is urgent.
func TestPlanOfALostCase(t *testing.T) {
	t.Parallel()
	located := profiles.State{LostMode: lostMode, Locate: true, LocateEvery: 15 * time.Minute, LocateFor: 4 * hour}
	once := located
	once.LocateFor = 5 * time.Minute
	signed := profiles.State{LostMode: lostMode, Signs: intent.Signs()}
	locked := profiles.State{Lock: lock, Signs: intent.Signs()}
	for _, tc := range []struct {
		name  string
		want  profiles.State
		tried []reconcile.Attempt
		steps []string
		next  time.Duration
	}{
		{"it is located once it is in lost mode", located, []reconcile.Attempt{accepted("lost-mode:c1", 0)}, []string{"LOCATE:C1:0"}, 15 * time.Minute},
		{"not before", located, []reconcile.Attempt{try("lost-mode:c1", command.Delivered, 0, 1)}, nil, 7 * day},
		{"and again in the next slot", located, []reconcile.Attempt{accepted("lost-mode:c1", 15*time.Minute), accepted("locate:c1:0", 14*time.Minute)}, []string{"LOCATE:C1:1"}, 15 * time.Minute},
		{"not within one", located, []reconcile.Attempt{accepted("lost-mode:c1", 14*time.Minute), accepted("locate:c1:0", 13*time.Minute)}, nil, time.Minute},
		{"not while a question is open", located, []reconcile.Attempt{accepted("lost-mode:c1", 20*time.Minute), try("locate:c1:0", command.Delivered, 19*time.Minute, 1)}, nil, 10 * time.Minute},
		{"a refusal is tried again within the slot", located, []reconcile.Attempt{accepted("lost-mode:c1", 5*time.Minute), try("locate:c1:0", command.Refused, 2*time.Minute, 1)}, []string{"LOCATE:C1:0"}, 10 * time.Minute},
		{"but not at once", located, []reconcile.Attempt{accepted("lost-mode:c1", 5*time.Minute), try("locate:c1:0", command.Refused, 20*time.Second, 1)}, nil, 40 * time.Second},
		{"in the last slot", located, []reconcile.Attempt{accepted("lost-mode:c1", 4*hour-time.Minute), accepted("locate:c1:14", 20*time.Minute)}, []string{"LOCATE:C1:15"}, 7 * day},
		{"no longer after it", located, []reconcile.Attempt{accepted("lost-mode:c1", 4*hour), accepted("locate:c1:15", 10*time.Minute)}, nil, 7 * day},
		{"but once at least", located, []reconcile.Attempt{accepted("lost-mode:c1", 9*day)}, []string{"LOCATE:C1:864"}, 7 * day},
		{"a shorter time than a slot is once", once, []reconcile.Attempt{accepted("lost-mode:c1", 20*time.Minute), accepted("locate:c1:0", 19*time.Minute)}, nil, 7 * day},
		{"another case's location is another's", located, []reconcile.Attempt{accepted("lost-mode:c1", 0), accepted("locate:c0:0", hour)}, []string{"LOCATE:C1:0"}, 15 * time.Minute},
		{"without a period once", profiles.State{LostMode: lostMode, Locate: true}, []reconcile.Attempt{accepted("lost-mode:c1", 9*day), accepted("locate:c1:0", 9*day)}, nil, 7 * day},

		{"signs are asked for after lost mode", signed, []reconcile.Attempt{accepted("lost-mode:c1", 0)}, []string{"sim:c1", "passcode:c1"}, 7 * day},
		{"also when it was refused", signed, []reconcile.Attempt{try("lost-mode:c1", command.Refused, time.Second, 1)}, []string{"sim:c1", "passcode:c1"}, 59 * time.Second},
		{"not before it was answered", signed, []reconcile.Attempt{try("lost-mode:c1", command.Delivered, 0, 1)}, nil, 7 * day},
		{"after a lock too", locked, []reconcile.Attempt{accepted("lock:c1", 0)}, []string{"sim:c1", "passcode:c1"}, 7 * day},
		{"every half hour", signed, []reconcile.Attempt{accepted("lost-mode:c1", hour), accepted("sim:c1", 30*time.Minute), accepted("passcode:c1", 29*time.Minute)}, []string{"sim:c1"}, time.Minute},
		{"a refusal waits as long", signed, []reconcile.Attempt{accepted("lost-mode:c1", hour), try("sim:c1", command.Refused, 29*time.Minute, 1), accepted("passcode:c1", 0)}, nil, time.Minute},
		{"and ends after six", signed, []reconcile.Attempt{accepted("lost-mode:c1", hour), try("sim:c1", command.Refused, hour, 6), accepted("passcode:c1", 0)}, nil, 30 * time.Minute},
		{"not while one is open", signed, []reconcile.Attempt{accepted("lost-mode:c1", 2*hour), try("sim:c1", command.Deferred, hour, 1), try("passcode:c1", command.Waiting, hour, 1)}, nil, 7 * day},
		{"less often after a day", signed, []reconcile.Attempt{accepted("lost-mode:c1", day), accepted("sim:c1", 5*hour), accepted("passcode:c1", 6*hour)}, []string{"passcode:c1"}, hour},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			steps, next := reconcile.Plan(tc.want, told(nil), tc.tried, reconcile.Case{ID: "c1"}, now)
			var got []string
			for _, s := range steps {
				if s.Deed == reconcile.EnableLostMode {
					continue
				}
				if s.Urgent {
					s.Key = strings.ToUpper(s.Key)
				}
				got = append(got, s.Key)
			}
			if diff := cmp.Diff(tc.steps, got); diff != "" {
				t.Errorf("Plan() mismatch (-want +got):\n%s", diff)
			}
			if wait := next.Sub(now); wait != tc.next {
				t.Errorf("planned again after %s, want %s", wait, tc.next)
			}
		})
	}
}

// TestLocatesThroughTheHours: a phone that answers at once is located as often as the policy
// says, and then left alone; one that is off is asked once when it comes back.
func TestLocatesThroughTheHours(t *testing.T) {
	t.Parallel()
	want := profiles.State{LostMode: lostMode, Locate: true, LocateEvery: 15 * time.Minute, LocateFor: 4 * hour}
	for _, tc := range []struct {
		name      string
		off       time.Duration // how long it does not answer, from the first question
		questions int
	}{
		{"it answers at once", 0, 16},
		{"it is off for an hour", hour, 13}, // the first, and one in each slot from the fourth on
		{"it is off for a day", day, 1},
	} {
		tried := []reconcile.Attempt{accepted("lost-mode:c1", 0)}
		questions := 0
		for at, end := now, now.Add(2*day); at.Before(end); {
			for i := range tried {
				if tried[i].State == command.Waiting && !at.Before(now.Add(tc.off)) {
					tried[i].State, tried[i].Answered = command.Accepted, at
				}
			}
			steps, next := reconcile.Plan(want, told(nil), tried, reconcile.Case{ID: "c1"}, at)
			for _, s := range steps {
				if s.Deed != reconcile.Locate || s.Case != "" {
					t.Fatalf("%s: the step %+v, want a location alone", tc.name, s)
				}
				questions++
				tried = append(tried, reconcile.Attempt{Key: s.Key, State: command.Waiting, Queued: at})
			}
			if step := at.Add(time.Minute); next.After(step) { // the device comes by anyway
				next = step
			}
			at = next
		}
		if questions != tc.questions {
			t.Errorf("%s: it was asked %d times, want %d", tc.name, questions, tc.questions)
		}
	}
}

// TestLostMac: the step to lock a Mac carries its case, for which its PIN is made.
func TestLostMac(t *testing.T) {
	t.Parallel()
	want := profiles.State{Lock: &profiles.Lock{Message: "Lost", NeedsPIN: true}}
	steps, _ := reconcile.Plan(want, told(nil), nil, reconcile.Case{ID: "c1"}, now)
	if len(steps) != 1 || steps[0].Deed != reconcile.Lock || steps[0].Case != "c1" || !steps[0].Lock.NeedsPIN || !steps[0].Urgent {
		t.Fatalf("the steps of a lost Mac are %+v, want a lock of case c1 with a PIN", steps)
	}
	if steps, _ = reconcile.Plan(want, told(nil), []reconcile.Attempt{accepted("lock:c1", hour)}, reconcile.Case{ID: "c1"}, now); len(steps) != 0 {
		t.Errorf("a locked Mac has the steps %+v, want none", steps)
	}
	steps, _ = reconcile.Plan(profiles.State{}, told(nil), []reconcile.Attempt{accepted("lock:c1", hour)}, reconcile.Case{}, now)
	for _, s := range steps {
		t.Errorf("a Mac that was found has the step %s: nothing takes its lock off from afar", s.Key)
	}
}

// TestSigns: what a lost device told says something, or is not known.
func TestSigns(t *testing.T) {
	t.Parallel()
	no, yes := false, true
	report := ago(hour)
	type verdict struct{ yes, known bool }
	passcode := func(told time.Duration, present *bool) reconcile.Observed {
		return reconcile.Observed{Security: known(reconcile.Security{PasscodePresent: present}, told)}
	}
	sim := func(told time.Duration, times int, changed time.Time) reconcile.Observed {
		return reconcile.Observed{SIM: known(reconcile.SIM{Times: times, Changed: changed}, told)}
	}
	for _, tc := range []struct {
		name     string
		got      reconcile.Observed
		passcode verdict
		sim      verdict
	}{
		{"nothing", reconcile.Observed{}, verdict{}, verdict{}},
		{"no passcode", passcode(time.Minute, &no), verdict{true, true}, verdict{}},
		{"a passcode", passcode(time.Minute, &yes), verdict{false, true}, verdict{}},
		{"nothing of it", passcode(time.Minute, nil), verdict{}, verdict{}},
		{"none before the report", passcode(2*hour, &no), verdict{}, verdict{}},
		{"the first card", sim(time.Minute, 1, time.Time{}), verdict{}, verdict{}},
		{"the same card again", sim(time.Minute, 2, time.Time{}), verdict{}, verdict{false, true}},
		{"another card", sim(time.Minute, 2, ago(time.Minute)), verdict{}, verdict{true, true}},
		{"another, and told again", sim(time.Minute, 3, ago(30*time.Minute)), verdict{}, verdict{true, true}},
		{"another in an earlier case", sim(time.Minute, 3, ago(2*hour)), verdict{}, verdict{false, true}},
		{"told before the report", sim(2*hour, 3, ago(2*hour)), verdict{}, verdict{}},
	} {
		off, known := tc.got.PasscodeOff(report)
		if got := (verdict{off, known}); got != tc.passcode {
			t.Errorf("%s: no passcode, known: %v, want %v", tc.name, got, tc.passcode)
		}
		changed, known := tc.got.SIMChanged(report)
		if got := (verdict{changed, known}); got != tc.sim {
			t.Errorf("%s: another SIM, known: %v, want %v", tc.name, got, tc.sim)
		}
	}
}

// TestConcernsOfALostCase: only steps of the open case still matter, and what a phone in
// lost mode does not tell is no fault of it.
func TestConcernsOfALostCase(t *testing.T) {
	t.Parallel()
	v := reconcile.View{Case: &profiles.Case{ID: "c1"}}
	for key, want := range map[string]bool{
		"lost-mode:c1": true, "lost-mode:c2": false, "locate:c1:7": true, "locate:c2:7": false, "locate:c1": true, "lock:c1": true,
		"sim:c1": false, "passcode:c1": false,
	} {
		if got := v.Concerns(key); got != want {
			t.Errorf("Concerns(%s) = %v, want %v", key, got, want)
		}
	}
	if (reconcile.View{}).Concerns("locate:c1:7") {
		t.Error("a location still matters though no case is open")
	}
}

// BenchmarkPlanOfALongCase: a case that locates for a week leaves many attempts.
func BenchmarkPlanOfALongCase(b *testing.B) {
	tried := []reconcile.Attempt{accepted("lost-mode:c1", 7*day)}
	for i := range 2016 {
		tried = append(tried, accepted(fmt.Sprintf("locate:c1:%d", i), time.Duration(2016-i)*5*time.Minute))
	}
	want := profiles.State{LostMode: lostMode, Locate: true, LocateEvery: 5 * time.Minute, LocateFor: 7 * day, Signs: intent.Signs()}
	for b.Loop() {
		reconcile.Plan(want, reconcile.Observed{}, tried, reconcile.Case{ID: "c1"}, now)
	}
}
