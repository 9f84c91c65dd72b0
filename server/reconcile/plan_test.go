package reconcile_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

func known[T any](v T, told time.Duration) *reconcile.Known[T] {
	return &reconcile.Known[T]{Value: v, At: ago(told)}
}

const (
	profileID = profiles.MessagingProfile
	appID     = "org.example.m"
)

var (
	profileA = profiles.Profile{Identifier: profileID, Hash: "A"}
	profileB = profiles.Profile{Identifier: profileID, Hash: "B"}
	anApp    = profiles.App{BundleID: appID, Hash: "A"}
	certApp  = profiles.App{BundleID: appID, Hash: "A", NeedsCertificate: true, Delivery: intent.ByToken}
)

// told is what a device has told of itself an hour ago: nothing that is wanted is on it.
func told(change func(*reconcile.Observed)) reconcile.Observed {
	o := reconcile.Observed{
		Information: known(reconcile.Information{}, time.Hour), Security: known(reconcile.Security{}, time.Hour),
		Profiles: known([]fleet.Profile{}, time.Hour), Managed: known([]fleet.ManagedApp{}, time.Hour),
	}
	if change != nil {
		change(&o)
	}
	return o
}

func holds(o *reconcile.Observed) {
	o.Profiles = known([]fleet.Profile{{Identifier: profileID}}, time.Hour)
}

func status(s string) func(*reconcile.Observed) {
	return func(o *reconcile.Observed) {
		o.Managed = known([]fleet.ManagedApp{{BundleID: appID, Status: s}}, time.Hour)
	}
}

func credential(c reconcile.Credential) func(*reconcile.Observed) {
	return func(o *reconcile.Observed) {
		status("Managed")(o)
		o.Credentials = map[string]reconcile.Credential{appID: c}
	}
}

// try is an attempt that was queued a minute before its answer.
func try(key string, s command.State, answered time.Duration, tries int) reconcile.Attempt {
	a := reconcile.Attempt{Key: key, State: s, Tries: tries, Queued: ago(answered + time.Minute)}
	if !s.Open() {
		a.Answered = ago(answered)
	}
	return a
}

func accepted(key string, answered time.Duration) reconcile.Attempt {
	return try(key, command.Accepted, answered, 0)
}

const (
	keyA   = "profile:" + profileID + ":A"
	keyB   = "profile:" + profileID + ":B"
	keyApp = "app:" + appID + ":A"
	day    = 24 * time.Hour
	hour   = time.Hour
)

var (
	lostMode = &profiles.LostMode{Message: "Lost"}
	lock     = &profiles.Lock{Message: "Lost"}
	removal  = profiles.App{BundleID: appID, Hash: "A", Remove: true}
)

// TestPlan: what is left to do, by key; a step in capitals is urgent.
func TestPlan(t *testing.T) {
	t.Parallel()
	wantProfile := profiles.State{Profiles: []profiles.Profile{profileA}}
	wantApp := profiles.State{Apps: []profiles.App{anApp}}
	wantCert := profiles.State{Apps: []profiles.App{certApp}}
	caseOf := reconcile.Case{ID: "c1"}
	for _, tc := range []struct {
		name  string
		want  profiles.State
		got   reconcile.Observed
		tried []reconcile.Attempt
		c     reconcile.Case
		steps []string
		next  time.Duration // until it is planned again, 0 for not looked at
	}{
		{name: "a device that has told nothing is asked what it is, and no more", want: wantProfile, steps: []string{"information", "security"}, next: 7 * day},
		{name: "its apps are asked about by name", want: profiles.State{WatchApps: []string{"w"}}, steps: []string{"information", "security", "apps:50e721e49c01"}},
		{name: "what is asked is not asked twice", tried: []reconcile.Attempt{try("information", command.Waiting, 0, 1), try("security", command.Delivered, 0, 1)}},
		{name: "nor after NotNow", tried: []reconcile.Attempt{try("information", command.Deferred, 0, 1), try("security", command.Deferred, 0, 1)}},
		{name: "a device that has told all is left in peace for a day", got: told(nil), next: 23 * time.Hour},
		{name: "what was told long ago is asked again", got: told(func(o *reconcile.Observed) { o.Information.At, o.Profiles.At = ago(day), ago(day) }), steps: []string{"information", "profiles"}},
		{
			name: "apps go stale sooner", want: profiles.State{WatchApps: []string{"w"}}, got: told(func(o *reconcile.Observed) { o.Apps = known([]fleet.App{}, 6*hour) }),
			tried: []reconcile.Attempt{accepted("apps:50e721e49c01", 6*hour)}, steps: []string{"apps:50e721e49c01"},
		},
		{
			name: "another list of apps is another question", want: profiles.State{WatchApps: []string{"v"}}, got: told(func(o *reconcile.Observed) { o.Apps = known([]fleet.App{}, hour) }),
			tried: []reconcile.Attempt{accepted("apps:50e721e49c01", hour)}, steps: []string{"apps:4c94485e0c21"},
		},
		{name: "one that had nothing to tell is not asked at once again", got: told(func(o *reconcile.Observed) { o.Security = nil }), tried: []reconcile.Attempt{accepted("security", hour)}},

		{name: "a wanted profile is installed", want: wantProfile, got: told(nil), steps: []string{keyA}},
		{name: "not while its attempt is open", want: wantProfile, got: told(nil), tried: []reconcile.Attempt{try(keyA, command.Deferred, 0, 1)}},
		{name: "one that is there stays", want: wantProfile, got: told(holds), tried: []reconcile.Attempt{accepted(keyA, 2*hour)}},
		{name: "after it was accepted the list is asked for again", want: wantProfile, got: told(nil), tried: []reconcile.Attempt{accepted(keyA, time.Minute)}, steps: []string{"profiles"}},
		{name: "one that somebody removed comes back", want: wantProfile, got: told(nil), tried: []reconcile.Attempt{accepted(keyA, 2*hour)}, steps: []string{keyA}},
		{name: "but not at once", want: wantProfile, got: told(func(o *reconcile.Observed) { o.Profiles.At = ago(time.Minute) }), tried: []reconcile.Attempt{accepted(keyA, 30*time.Minute)}, next: 30 * time.Minute},
		{name: "another version replaces it", want: profiles.State{Profiles: []profiles.Profile{profileB}}, got: told(holds), tried: []reconcile.Attempt{accepted(keyA, 2*hour)}, steps: []string{keyB}},
		{name: "a policy that was taken back is installed again", want: wantProfile, got: told(holds), tried: []reconcile.Attempt{accepted(keyA, 3*hour), accepted(keyB, 2*hour)}, steps: []string{keyA}},
		{name: "one that is no longer wanted is removed", got: told(holds), tried: []reconcile.Attempt{accepted(keyA, 2*hour)}, steps: []string{"remove-profile:" + profileID}},
		{name: "once it was removed the list is asked for, not the removal", got: told(holds), tried: []reconcile.Attempt{accepted("remove-profile:"+profileID, time.Minute)}, steps: []string{"profiles"}},
		{name: "one that is said to be removed and is not is left for an hour", got: told(func(o *reconcile.Observed) { o.Profiles = known([]fleet.Profile{{Identifier: profileID}}, time.Minute) }), tried: []reconcile.Attempt{accepted("remove-profile:"+profileID, 20*time.Minute)}, next: 40 * time.Minute},
		{name: "profiles of others are not ours to remove", got: told(func(o *reconcile.Observed) {
			o.Profiles = known([]fleet.Profile{{Identifier: "com.example.wifi"}, {Identifier: "com.github.wardmdm.enrolment"}}, hour)
		})},

		{name: "a refusal waits a minute", want: wantProfile, got: told(nil), tried: []reconcile.Attempt{try(keyA, command.Refused, 30*time.Second, 1)}, next: 30 * time.Second},
		{name: "and is tried again", want: wantProfile, got: told(nil), tried: []reconcile.Attempt{try(keyA, command.Refused, time.Minute, 1)}, steps: []string{keyA}},
		{name: "the third waits sixteen", want: wantProfile, got: told(nil), tried: []reconcile.Attempt{try(keyA, command.Refused, 10*time.Minute, 3)}, next: 6 * time.Minute},
		{name: "the sixth is the last", want: wantProfile, got: told(nil), tried: []reconcile.Attempt{try(keyA, command.Refused, 300*day, 6)}},
		{name: "another version is another step", want: profiles.State{Profiles: []profiles.Profile{profileB}}, got: told(nil), tried: []reconcile.Attempt{try(keyA, command.Refused, time.Minute, 6)}, steps: []string{keyB}},
		{name: "what was withheld is made anew after a while", want: wantProfile, got: told(nil), tried: []reconcile.Attempt{try(keyA, command.Withheld, time.Minute, 1)}, steps: []string{keyA}},
		{name: "what was cancelled is made anew", want: wantProfile, got: told(nil), tried: []reconcile.Attempt{try(keyA, command.Cancelled, 0, 1)}, steps: []string{keyA}},

		{name: "a wanted app is installed", want: wantApp, got: told(nil), steps: []string{keyApp}},
		{name: "one that is there stays", want: wantApp, got: told(status("Managed")), tried: []reconcile.Attempt{accepted(keyApp, 2*hour)}},
		{name: "one on its way is looked after", want: wantApp, got: told(status("Installing")), tried: []reconcile.Attempt{accepted(keyApp, 2*hour)}, steps: []string{"managed-apps"}},
		{name: "a person who declined is not nagged", want: wantApp, got: told(status("UserRejected")), tried: []reconcile.Attempt{accepted("managed-apps", time.Minute), accepted(keyApp, 2*hour)}},
		{name: "but asked again another day", want: wantApp, got: told(status("UserRejected")), tried: []reconcile.Attempt{accepted(keyApp, day)}, steps: []string{keyApp}},
		{name: "an app of another version is installed over it", want: profiles.State{Apps: []profiles.App{{BundleID: appID, Hash: "B"}}}, got: told(status("Managed")), tried: []reconcile.Attempt{accepted(keyApp, 2*hour)}, steps: []string{"app:" + appID + ":B"}},

		{name: "an app that uses its token is left to it", want: wantCert, got: told(credential(reconcile.Credential{TokenIssued: ago(time.Minute)})), tried: []reconcile.Attempt{accepted(keyApp, 2*hour)}, next: 59 * time.Minute},
		{name: "one that did not gets another", want: wantCert, got: told(credential(reconcile.Credential{TokenIssued: ago(hour)})), tried: []reconcile.Attempt{accepted(keyApp, 2*hour)}, steps: []string{"configure-app:" + appID}},
		{name: "a certificate in its life needs no token", want: wantCert, got: told(credential(reconcile.Credential{TokenIssued: ago(day), ValidUntil: now.Add(5 * day), Life: 6 * day})), tried: []reconcile.Attempt{accepted(keyApp, 2*hour)}},
		{name: "in the last third it does", want: wantCert, got: told(credential(reconcile.Credential{TokenIssued: ago(5 * day), ValidUntil: now.Add(2 * day), Life: 6 * day})), tried: []reconcile.Attempt{accepted(keyApp, 2*hour)}, steps: []string{"configure-app:" + appID}},
		{name: "a revoked one makes the token before it useless", want: wantCert, got: told(credential(reconcile.Credential{TokenIssued: ago(2 * time.Minute), Revoked: ago(time.Minute)})), tried: []reconcile.Attempt{accepted(keyApp, 2*hour)}, steps: []string{"configure-app:" + appID}},
		{name: "the token is not issued while one is on its way", want: wantCert, got: told(credential(reconcile.Credential{TokenIssued: ago(hour)})), tried: []reconcile.Attempt{accepted(keyApp, 2*hour), try("configure-app:"+appID, command.Waiting, 0, 1)}},

		{name: "a lost phone gets nothing but its case", want: profiles.State{LostMode: lostMode, Locate: true, Profiles: []profiles.Profile{profileA}, Apps: []profiles.App{anApp}}, c: caseOf, steps: []string{"LOST-MODE:C1"}},
		{name: "it is located once it is in lost mode", want: profiles.State{LostMode: lostMode, Locate: true}, c: caseOf, tried: []reconcile.Attempt{accepted("lost-mode:c1", 0)}, steps: []string{"LOCATE:C1:0"}},
		{name: "once", want: profiles.State{LostMode: lostMode, Locate: true}, c: caseOf, tried: []reconcile.Attempt{accepted("lost-mode:c1", hour), accepted("locate:c1:0", 0)}},
		{name: "not before", want: profiles.State{LostMode: lostMode, Locate: true}, c: caseOf, tried: []reconcile.Attempt{try("lost-mode:c1", command.Delivered, 0, 1)}},
		{name: "a second case is another", want: profiles.State{LostMode: lostMode}, c: reconcile.Case{ID: "c2"}, tried: []reconcile.Attempt{accepted("lost-mode:c1", hour)}, steps: []string{"LOST-MODE:C2"}},
		{name: "a refused lost mode is tried again", want: profiles.State{LostMode: lostMode}, c: caseOf, tried: []reconcile.Attempt{try("lost-mode:c1", command.Refused, time.Minute, 1)}, steps: []string{"LOST-MODE:C1"}},
		{name: "a personal phone is locked first", want: profiles.State{Lock: lock, RemoveManagement: true}, c: caseOf, steps: []string{"LOCK:C1"}},
		{name: "and then let go", want: profiles.State{Lock: lock, RemoveManagement: true}, c: caseOf, tried: []reconcile.Attempt{accepted("lock:c1", 0)}, steps: []string{"REMOVE-MANAGEMENT:C1"}},
		{name: "also when it refused the lock", want: profiles.State{Lock: lock, RemoveManagement: true}, c: caseOf, tried: []reconcile.Attempt{try("lock:c1", command.Refused, 0, 1)}, steps: []string{"REMOVE-MANAGEMENT:C1"}},
		{name: "a stolen phone without lost mode loses its apps", want: profiles.State{Lock: lock, Apps: []profiles.App{removal}}, c: caseOf, tried: []reconcile.Attempt{accepted("lock:c1", 0)}, steps: []string{"REMOVE-APP:" + strings.ToUpper(appID) + ":C1"}},

		{name: "a found phone leaves lost mode", got: told(nil), tried: []reconcile.Attempt{accepted("lost-mode:c1", 2*time.Minute)}, steps: []string{"LOST-MODE-OFF:C1"}},
		{name: "also if it has fetched lost mode and not answered", got: told(nil), tried: []reconcile.Attempt{try("lost-mode:c1", command.Delivered, 0, 1)}, steps: []string{"LOST-MODE-OFF:C1"}},
		{name: "not if it never got there", got: told(nil), tried: []reconcile.Attempt{try("lost-mode:c1", command.Cancelled, 0, 1)}},
		{name: "not if it refused", got: told(nil), tried: []reconcile.Attempt{try("lost-mode:c1", command.Refused, 0, 1)}},
		{name: "not twice", got: told(nil), tried: []reconcile.Attempt{accepted("lost-mode:c1", hour), accepted("lost-mode-off:c1", 0)}},
		{name: "not if it says that it is out", got: told(func(o *reconcile.Observed) {
			o.Information = known(reconcile.Information{LostMode: new(bool)}, time.Minute)
		}), tried: []reconcile.Attempt{accepted("lost-mode:c1", hour)}},
		{name: "again after a second loss", got: told(nil), tried: []reconcile.Attempt{accepted("lost-mode:c1", 4*hour), accepted("lost-mode-off:c1", 3*hour), accepted("lost-mode:c2", hour)}, steps: []string{"LOST-MODE-OFF:C2"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			steps, next := reconcile.Plan(tc.want, tc.got, tc.tried, tc.c, now)
			var got []string
			for _, s := range steps {
				if s.Urgent {
					s.Key = strings.ToUpper(s.Key)
				}
				got = append(got, s.Key)
			}
			if diff := cmp.Diff(tc.steps, got); diff != "" {
				t.Errorf("Plan() mismatch (-want +got):\n%s", diff)
			}
			if wait := next.Sub(now); tc.next != 0 && wait != tc.next {
				t.Errorf("planned again after %s, want %s", wait, tc.next)
			}
			if !next.After(now) {
				t.Errorf("planned again at %s, which is not later", next)
			}
			again, nextAgain := reconcile.Plan(tc.want, tc.got, tc.tried, tc.c, now)
			if diff := cmp.Diff(steps, again); diff != "" || !next.Equal(nextAgain) {
				t.Errorf("the same values gave another plan:\n%s", diff)
			}
		})
	}
}

// TestPlanSettles: whatever is accepted and told leads to a plan with nothing left to do.
func TestPlanSettles(t *testing.T) {
	t.Parallel()
	want := profiles.State{Profiles: []profiles.Profile{profileA}, Apps: []profiles.App{certApp}, WatchApps: []string{"w"}}
	var got reconcile.Observed
	var tried []reconcile.Attempt
	at := now
	for round := range 10 {
		steps, _ := reconcile.Plan(want, got, tried, reconcile.Case{}, at)
		if len(steps) == 0 {
			if round < 3 || got.Managed == nil || len(got.Managed.Value) != 1 {
				t.Errorf("settled after %d rounds with %+v", round, got)
			}
			return
		}
		for _, s := range steps {
			at = at.Add(time.Second)
			tried = append(tried, reconcile.Attempt{Key: s.Key, State: command.Accepted, Queued: at, Answered: at})
			switch s.Deed {
			case reconcile.AskInformation:
				got.Information = &reconcile.Known[reconcile.Information]{At: at}
			case reconcile.AskSecurity:
				got.Security = &reconcile.Known[reconcile.Security]{At: at}
			case reconcile.AskApps:
				got.Apps = &reconcile.Known[[]fleet.App]{At: at}
			case reconcile.AskProfiles:
				got.Profiles = &reconcile.Known[[]fleet.Profile]{At: at, Value: installed[fleet.Profile](tried, "profile:", fleet.Profile{Identifier: profileID})}
			case reconcile.AskManagedApps:
				got.Managed = &reconcile.Known[[]fleet.ManagedApp]{At: at, Value: installed[fleet.ManagedApp](tried, "app:", fleet.ManagedApp{BundleID: appID, Status: "Managed"})}
			case reconcile.InstallApp:
				got.Credentials = map[string]reconcile.Credential{appID: {TokenIssued: at}}
			}
		}
	}
	t.Error("ten rounds were not enough")
}

// installed returns what a device holds once a step with the prefix was accepted.
func installed[T any](tried []reconcile.Attempt, prefix string, v T) []T {
	for _, a := range tried {
		if strings.HasPrefix(a.Key, prefix) {
			return []T{v}
		}
	}
	return nil
}

// TestDroppedAppIsRemoved: an app that Ward put on a device and the policy names no
// longer is removed, once; one that the person installed is left alone.
func TestDroppedAppIsRemoved(t *testing.T) {
	t.Parallel()
	drop := "drop-app:" + appID
	for _, tc := range []struct {
		name     string
		got      func(*reconcile.Observed)
		attempts []reconcile.Attempt
		want     bool
	}{
		{"Ward's own", status("Managed"), []reconcile.Attempt{accepted(keyApp, 24*time.Hour)}, true},
		{"not Ward's", status("Managed"), nil, false},
		{"gone already", status("ManagedButUninstalled"), []reconcile.Attempt{accepted(keyApp, 24*time.Hour)}, false},
		{"removed since the list was told", status("Managed"), []reconcile.Attempt{accepted(keyApp, 24*time.Hour), accepted(drop, time.Minute)}, false},
		{"refused just now", status("Managed"), []reconcile.Attempt{accepted(keyApp, 24*time.Hour), try(drop, command.Refused, time.Second, 1)}, false},
	} {
		steps, _ := reconcile.Plan(profiles.State{}, told(tc.got), tc.attempts, reconcile.Case{}, now)
		dropped := false
		for _, s := range steps {
			dropped = dropped || s.Key == drop && s.Deed == reconcile.RemoveApp && s.App.BundleID == appID
		}
		if dropped != tc.want {
			t.Errorf("%s: removed %v, want %v: %+v", tc.name, dropped, tc.want, steps)
		}
	}
}

// TestNewVersionKeepsTheBlock: while a newer version of the profile is on its way, the
// one that is there still keeps the blocked app from running.
func TestNewVersionKeepsTheBlock(t *testing.T) {
	t.Parallel()
	p, err := profiles.Parse(profiles.ExamplePolicy(), nil)
	if err != nil {
		t.Fatal(err)
	}
	yes := true
	for _, os := range []string{"15.8", "18.6"} {
		d := ward.Device{ID: "d", Platform: ward.IOS, OSVersion: os, Ownership: ward.Corporate}
		v := reconcile.View{Device: d, Want: profiles.Desired(profiles.Subject{Device: d, Supervised: ward.Supervised, Rights: ward.RightsAll}, p, now)}
		v.Got.Information = known(reconcile.Information{Supervised: &yes}, time.Hour)
		v.Got.Apps = known([]fleet.App{{BundleID: "net.whatsapp.WhatsApp"}}, time.Hour)
		if got := v.Deviations(); len(got) != 1 || got[0].Kind != reconcile.BlockedApp {
			t.Errorf("iOS %s without any version: %v, want the blocked app", os, got)
		}
		if os == "15.8" {
			v.Attempts = []reconcile.Attempt{accepted("profile:"+profiles.MessagingProfile+":older", 2*time.Hour)}
			v.Got.Profiles = known([]fleet.Profile{{Identifier: profiles.MessagingProfile}}, time.Hour)
		} else {
			v.Got.Declarations = known([]fleet.Declaration{{Identifier: "org.wardmdm.declaration.profile.messaging", Token: "older", Active: true, Valid: reconcile.Valid}}, time.Hour)
		}
		if got := v.Deviations(); len(got) != 0 {
			t.Errorf("iOS %s with an older version: %v, want none", os, got)
		}
	}
}
