package reconcile_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
)

// TestQuestionsAreSpread: 10,000 devices that enrol within one hour, and answer within
// minutes whatever they are asked, are asked evenly over the day from the second one on, and
// none of them too seldom.
func TestQuestionsAreSpread(t *testing.T) {
	t.Parallel()
	const devices, hours = 10_000, 96
	morning := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	want := profiles.State{WatchApps: []string{"net.whatsapp.WhatsApp"}}
	apps := reconcile.Attempt{State: "accepted"}
	for _, s := range planOf(want, reconcile.Observed{}, nil, morning) {
		if s.Deed == reconcile.AskApps {
			apps.Key = s.Key
		}
	}
	if apps.Key == "" {
		t.Fatal("a device is not asked for its apps")
	}
	var connections, questions [hours]int
	for i := range devices {
		got := reconcile.Observed{Of: ward.EnrolmentID(fmt.Sprintf("enr_%d", i))}
		at := morning.Add(time.Duration(i) * time.Hour / devices)
		for at.Before(morning.Add(hours * time.Hour)) {
			steps, next := reconcile.Plan(want, got, []reconcile.Attempt{apps}, reconcile.Case{}, at)
			if hour := int(at.Sub(morning) / time.Hour); len(steps) > 0 {
				connections[hour]++
				questions[hour] += len(steps)
			}
			answered := at.Add(time.Duration(i%7) * time.Minute)
			for _, s := range steps {
				switch s.Deed {
				case reconcile.AskInformation:
					got.Information = &reconcile.Known[reconcile.Information]{At: answered}
				case reconcile.AskSecurity:
					got.Security = &reconcile.Known[reconcile.Security]{At: answered}
				case reconcile.AskApps:
					if got.Apps != nil && answered.Sub(got.Apps.At) > 8*time.Hour {
						t.Fatalf("device %d is asked for its apps after %s", i, answered.Sub(got.Apps.At))
					}
					got.Apps, apps.Answered = &reconcile.Known[[]fleet.App]{At: answered}, answered
				case reconcile.AskProfiles:
					got.Profiles = &reconcile.Known[[]fleet.Profile]{At: answered}
				default:
					t.Fatalf("device %d is asked to %s", i, s.Deed)
				}
			}
			if !next.After(at) {
				t.Fatalf("device %d is planned again at %s, not after %s", i, next, at)
			}
			if at = next; len(steps) > 0 {
				at = answered.Add(time.Second)
			}
		}
	}
	for name, counts := range map[string][hours]int{"connections": connections, "questions": questions} {
		var sum, most int
		least := devices * 10
		for _, n := range counts[36:] {
			sum, most, least = sum+n, max(most, n), min(least, n)
		}
		mean := sum / len(counts[36:])
		if mean == 0 || most > mean*5/4 || least < mean*3/4 {
			t.Errorf("%s in an hour: %d to %d with a mean of %d; want them even", name, least, most, mean)
		}
	}
}

func planOf(want profiles.State, got reconcile.Observed, tried []reconcile.Attempt, at time.Time) []reconcile.Step {
	steps, _ := reconcile.Plan(want, got, tried, reconcile.Case{}, at)
	return steps
}

// TestDeclaredAppsAreNotAsked: a device tells of the apps that declarations manage by itself.
func TestDeclaredAppsAreNotAsked(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	got := reconcile.Observed{Information: &reconcile.Known[reconcile.Information]{At: at}}
	for declared, want := range map[bool]bool{true: false, false: true} {
		asked := false
		for _, s := range planOf(profiles.State{Apps: []profiles.App{{BundleID: "b", Declared: declared}}}, got, nil, at) {
			asked = asked || s.Deed == reconcile.AskManagedApps
		}
		v := reconcile.View{Want: profiles.State{Apps: []profiles.App{{BundleID: "b", Declared: declared}}}}
		wants := false
		for _, s := range v.Questions() {
			wants = wants || s.Deed == reconcile.AskManagedApps
		}
		if asked != want || wants != want {
			t.Errorf("declared %t: asked by itself %t, for a person %t; want %t", declared, asked, wants, want)
		}
	}
}
