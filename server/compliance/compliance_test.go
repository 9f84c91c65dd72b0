package compliance_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const (
	messenger = "org.example.wardmessenger"
	whatsApp  = "net.whatsapp.WhatsApp"
)

func policy(t *testing.T) *profiles.Policy {
	t.Helper()
	p, err := profiles.Parse(profiles.ExamplePolicy(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func known[T any](v T) *reconcile.Known[T] {
	return &reconcile.Known[T]{Value: v, At: now.Add(-time.Hour)}
}

// good is a phone on which all is as it should be.
func good(p *profiles.Policy, s ward.Supervision) reconcile.View {
	d := ward.Device{ID: "d1", Platform: ward.IOS, OSVersion: "15.8", Ownership: ward.Corporate, Group: "g", State: ward.Managed}
	yes, supervised := true, s == ward.Supervised
	v := reconcile.View{
		Device:    d,
		Enrolment: ward.Enrolment{ID: "e1", State: ward.EnrolmentActive, Kind: "Device", Rights: ward.RightsAll, LastSeen: now.Add(-time.Minute)},
		Want:      profiles.Desired(profiles.Subject{Device: d, Supervised: s, Rights: ward.RightsAll, Kind: "Device", OSVersion: "15.8"}, p, now),
		Got: reconcile.Observed{
			Information: known(reconcile.Information{Supervised: &supervised, OSVersion: "18.6"}),
			Security:    known(reconcile.Security{PasscodePresent: &yes}),
			Apps:        known([]fleet.App{{BundleID: messenger}}),
			Managed:     known([]fleet.ManagedApp{{BundleID: messenger, Status: "Managed"}}),
			Credentials: map[string]reconcile.Credential{messenger: {ValidUntil: now.Add(24 * time.Hour), Life: 48 * time.Hour}},
		},
	}
	var held []fleet.Profile
	for _, w := range v.Want.Profiles {
		held = append(held, fleet.Profile{Identifier: w.Identifier})
		v.Attempts = append(v.Attempts, reconcile.Attempt{Key: "profile:" + w.Identifier + ":" + w.Hash, State: command.Accepted, Answered: now.Add(-2 * time.Hour)})
	}
	v.Got.Profiles = known(held)
	v.Policy, v.Generation = p, 1
	var declared []fleet.Declaration
	for _, w := range v.Want.Declarations {
		declared = append(declared, fleet.Declaration{Identifier: w.Identifier, Token: w.Token, Active: true, Valid: reconcile.Valid})
	}
	v.Got.Declarations = known(declared)
	return v
}

func TestAssess(t *testing.T) {
	t.Parallel()
	p := policy(t)
	old := now.Add(-compliance.TooOld - time.Minute)
	for _, tc := range []struct {
		name   string
		as     ward.Supervision
		change func(v *reconcile.View)
		state  compliance.State
		codes  []string
	}{
		{"all is as it should be", ward.Supervised, nil, compliance.Compliant, nil},
		{"unsupervised too", ward.Unsupervised, nil, compliance.Compliant, nil},
		{"an invitation that nobody used", ward.Supervised, func(v *reconcile.View) { v.Device.State, v.Enrolment = ward.Invited, ward.Enrolment{} }, compliance.Unknown, []string{"not-enrolled"}},
		{"invited, and its one enrolment ended", ward.Supervised, func(v *reconcile.View) { v.Device.State, v.Enrolment.State = ward.Invited, ward.EnrolmentEnded }, compliance.Unknown, []string{"not-enrolled"}},
		{"enrolling", ward.Supervised, func(v *reconcile.View) { v.Enrolment.State = ward.EnrolmentPending }, compliance.Unknown, []string{"enrolling"}},
		{"it left", ward.Supervised, func(v *reconcile.View) { v.Device.State, v.Enrolment.State = ward.Unenrolled, ward.EnrolmentEnded }, compliance.Retired, []string{"unenrolled"}},
		{"it accepted an erase", ward.Supervised, func(v *reconcile.View) { v.Device.State, v.EraseAccepted = ward.Erased, now }, compliance.Retired, []string{"erased"}},
		{"lost", ward.Supervised, func(v *reconcile.View) { v.Case = &profiles.Case{ID: "c1", Kind: profiles.CaseLost, Reported: now} }, compliance.Lost, []string{"lost"}},
		{"lost and gone", ward.Supervised, func(v *reconcile.View) {
			v.Case, v.Device.State, v.Enrolment.State = &profiles.Case{ID: "c1", Reported: now}, ward.Unenrolled, ward.EnrolmentEnded
		}, compliance.Retired, []string{"unenrolled", "lost"}},
		{"in quarantine", ward.Supervised, func(v *reconcile.View) { v.Device.Group = fleet.QuarantineGroup }, compliance.Unknown, []string{"quarantined"}},

		{"it has told nothing", ward.Supervised, func(v *reconcile.View) { v.Got = reconcile.Observed{} }, compliance.Unknown, []string{"never-told", "apps-unknown", "app-missing"}},
		{"it was not seen for long", ward.Supervised, func(v *reconcile.View) { v.Enrolment.LastSeen = old }, compliance.Unknown, []string{"not-seen"}},
		{"what apps it has is not known", ward.Supervised, func(v *reconcile.View) { v.Got.Apps = nil }, compliance.Unknown, []string{"apps-unknown"}},
		{"nor is what it said too long ago", ward.Supervised, func(v *reconcile.View) { v.Got.Apps.At = old }, compliance.Unknown, []string{"apps-unknown"}},
		{"whether it has a passcode is not known", ward.Supervised, func(v *reconcile.View) { v.Got.Security = nil }, compliance.Unknown, []string{"passcode-unknown"}},
		{"it does not say", ward.Supervised, func(v *reconcile.View) { v.Got.Security = known(reconcile.Security{}) }, compliance.Unknown, []string{"passcode-unknown"}},
		{"it said so too long ago", ward.Supervised, func(v *reconcile.View) { v.Got.Security.At = old }, compliance.Unknown, []string{"passcode-unknown"}},
		{"it has none", ward.Supervised, func(v *reconcile.View) { v.Got.Security = known(reconcile.Security{PasscodePresent: new(bool)}) }, compliance.NonCompliant, []string{"no-passcode"}},

		{"WhatsApp where it can't be opened", ward.Supervised, hasWhatsApp, compliance.Compliant, nil},
		{"WhatsApp where it can", ward.Unsupervised, hasWhatsApp, compliance.NonCompliant, []string{"blocked-app-present"}},
		{"WhatsApp before the profile is there", ward.Supervised, func(v *reconcile.View) {
			hasWhatsApp(v)
			v.Attempts = nil
		}, compliance.NonCompliant, []string{"blocked-app-present", "profile-missing", "profile-missing"}},
		{"WhatsApp after somebody removed the profile", ward.Supervised, func(v *reconcile.View) {
			hasWhatsApp(v)
			v.Got.Profiles = known([]fleet.Profile{})
		}, compliance.NonCompliant, []string{"blocked-app-present", "profile-missing", "profile-missing"}},
		{"WhatsApp on a phone whose supervision is not known", ward.Supervised, func(v *reconcile.View) {
			hasWhatsApp(v)
			v.Got.Information = known(reconcile.Information{})
		}, compliance.NonCompliant, []string{"blocked-app-present"}},
		{"another app is nobody's business", ward.Unsupervised, func(v *reconcile.View) {
			v.Got.Apps = known([]fleet.App{{BundleID: messenger}, {BundleID: "com.example.photos"}})
		}, compliance.Compliant, nil},

		{"the profile is on its way", ward.Supervised, func(v *reconcile.View) { v.Attempts[0].State = command.Delivered }, compliance.Pending, []string{"profile-missing"}},
		{"an older policy is back and not installed yet", ward.Supervised, func(v *reconcile.View) {
			v.Attempts = append(v.Attempts, reconcile.Attempt{Key: "profile:" + profiles.MessagingProfile + ":newer", State: command.Accepted, Answered: now.Add(-90 * time.Minute)})
		}, compliance.Pending, []string{"profile-missing"}},
		{"the app is on its way", ward.Supervised, func(v *reconcile.View) { v.Got.Managed.Value[0].Status = "Installing" }, compliance.Pending, []string{"app-missing"}},
		{"the app has no certificate", ward.Supervised, func(v *reconcile.View) { v.Got.Credentials = nil }, compliance.Pending, []string{"app-certificate-missing"}},
		{"its certificate ran out", ward.Supervised, func(v *reconcile.View) { v.Got.Credentials[messenger] = reconcile.Credential{ValidUntil: now} }, compliance.Pending, []string{"app-certificate-missing"}},
		{"the app's review is overdue", ward.Supervised, func(v *reconcile.View) {
			v.Want.Apps = slices.Clone(v.Want.Apps)
			v.Want.Apps[0].Overdue = true
		}, compliance.Pending, []string{"review-overdue"}},

		{"it refused the profile", ward.Supervised, func(v *reconcile.View) { v.Attempts[0].State = command.Refused }, compliance.NonCompliant, []string{"step-refused", "profile-missing"}},
		{"somebody forged a command", ward.Supervised, func(v *reconcile.View) { v.Attempts = append(v.Attempts, tried("security", command.Withheld)) }, compliance.NonCompliant, []string{"step-refused"}},
		{"it refused an older policy", ward.Supervised, func(v *reconcile.View) {
			v.Attempts = append(v.Attempts, tried("profile:"+profiles.MessagingProfile+":older", command.Refused), tried("app:"+messenger+":older", command.Refused), tried("apps:older", command.Refused))
		}, compliance.Compliant, nil},
		{"it refused lost mode, and the case is over", ward.Supervised, func(v *reconcile.View) { v.Attempts = append(v.Attempts, tried("lost-mode:c0", command.Refused)) }, compliance.Compliant, nil},
		{"it refused lost mode now", ward.Supervised, func(v *reconcile.View) {
			v.Case = &profiles.Case{ID: "c1", Reported: now}
			v.Attempts = append(v.Attempts, tried("lost-mode:c1", command.Refused))
		}, compliance.Lost, []string{"lost", "step-refused"}},
		{"it can't be told to leave lost mode", ward.Supervised, func(v *reconcile.View) { v.Attempts = append(v.Attempts, tried("lost-mode-off:c0", command.Refused)) }, compliance.NonCompliant, []string{"step-refused"}},
		{"it could not be removed and is there", ward.Supervised, func(v *reconcile.View) {
			v.Got.Profiles.Value = append(v.Got.Profiles.Value, fleet.Profile{Identifier: profiles.ProfilePrefix + "old"})
			v.Attempts = append(v.Attempts, tried("remove-profile:"+profiles.ProfilePrefix+"old", command.Refused))
		}, compliance.NonCompliant, []string{"step-refused"}},
		{"it could not be removed and is gone", ward.Supervised, func(v *reconcile.View) {
			v.Attempts = append(v.Attempts, tried("remove-profile:"+profiles.ProfilePrefix+"old", command.Refused))
		}, compliance.Compliant, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			v := good(p, tc.as)
			if tc.change != nil {
				tc.change(&v)
			}
			got := compliance.Assess(v, now)
			var codes []string
			for _, f := range got.Findings {
				codes = append(codes, f.Code)
				if f.Text == "" || strings.Contains(f.Text, "%!") || (f.State == compliance.Compliant) {
					t.Errorf("finding %+v says nothing", f)
				}
			}
			if diff := cmp.Diff(tc.codes, codes); diff != "" || got.State != tc.state {
				t.Errorf("Assess() is %s, want %s; codes mismatch (-want +got):\n%s", got.State, tc.state, diff)
			}
			if (got.Reason() == "") != (got.State == compliance.Compliant) {
				t.Errorf("reason %q for %s", got.Reason(), got.State)
			}
		})
	}
}

func hasWhatsApp(v *reconcile.View) {
	v.Got.Apps = known([]fleet.App{{BundleID: messenger}, {BundleID: whatsApp, Name: "WhatsApp"}})
}

func tried(key string, s command.State) reconcile.Attempt {
	return reconcile.Attempt{Key: key, State: s, Tries: 1, Answered: now.Add(-time.Minute), Error: "Error; X 1: no."}
}

// TestUnknownIsNeverCompliant: whatever part of what a phone told is taken away, or is
// too old, the phone does not become compliant by it.
func TestUnknownIsNeverCompliant(t *testing.T) {
	t.Parallel()
	p := policy(t)
	old := now.Add(-compliance.TooOld - time.Minute)
	for name, forget := range map[string]func(v *reconcile.View){
		"information": func(v *reconcile.View) { v.Got.Information = nil },
		"security":    func(v *reconcile.View) { v.Got.Security = nil },
		"apps":        func(v *reconcile.View) { v.Got.Apps = nil },
		"managed":     func(v *reconcile.View) { v.Got.Managed = nil },
		"credentials": func(v *reconcile.View) { v.Got.Credentials = nil },
		"attempts":    func(v *reconcile.View) { v.Attempts = nil },
		"contact":     func(v *reconcile.View) { v.Enrolment.LastSeen = old },
		"enrolment":   func(v *reconcile.View) { v.Enrolment = ward.Enrolment{} },
		"everything":  func(v *reconcile.View) { v.Got, v.Attempts = reconcile.Observed{}, nil },
	} {
		for _, as := range []ward.Supervision{ward.Supervised, ward.Unsupervised} {
			v := good(p, as)
			forget(&v)
			if got := compliance.Assess(v, now); got.State == compliance.Compliant {
				t.Errorf("without %s a phone is compliant", name)
			}
		}
	}
}

func TestErasedWords(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		seen time.Time
		want string
	}{
		{now, "erase accepted by the device at 21 Nov 2026 12:00:00 UTC, not seen since"},
		{now.Add(time.Hour), "erase accepted by the device at 21 Nov 2026 12:00:00 UTC, but it was seen again at 21 Nov 2026 13:00:00 UTC"},
	} {
		if got := compliance.ErasedWords(now, tc.seen); got != tc.want {
			t.Errorf("ErasedWords() = %q, want %q", got, tc.want)
		}
	}
	if got := compliance.Stamp(time.Time{}); got != "never" {
		t.Errorf("Stamp(zero) = %q, want never", got)
	}
}
