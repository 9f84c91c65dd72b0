package profiles_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/intent"
)

func mac(model, os string, change func(*profiles.Subject)) profiles.Subject {
	s := profiles.Subject{
		Device:     ward.Device{Platform: ward.MacOS, Model: model, OSVersion: os, Ownership: ward.Corporate},
		Supervised: ward.Supervised, Rights: ward.RightsAll, Kind: "Device",
	}
	if change != nil {
		change(&s)
	}
	return s
}

// TestLostMac: a work Mac is locked by a PIN where the command does not deactivate it; no
// other Mac is locked, and each says why.
func TestLostMac(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		subject profiles.Subject
		locks   bool
		verdict intent.Verdict
		why     string
	}{
		{"Apple silicon", mac("Mac15,12", "15.6", nil), true, intent.Partly, "Nothing takes the lock off from afar, also once the Mac is found"},
		{"Apple silicon, just new enough", mac("MacBookAir10,1", "11.5", nil), true, intent.Partly, "PIN of six digits"},
		{"Apple silicon, too old", mac("MacBookAir10,1", "11.4", nil), false, intent.NotEnforced, "deactivates a Mac with Apple silicon"},
		{"Apple silicon, version unknown", mac("MacBookPro18,3", "", nil), false, intent.NotEnforced, "deactivates"},
		{"model unknown, too old", mac("", "11.4", nil), false, intent.NotEnforced, "deactivates"},
		{"a virtual machine, too old", mac("VirtualMac2,1", "11.4", nil), false, intent.NotEnforced, "deactivates"},
		{"Intel, old", mac("MacBookPro16,1", "11.4", nil), true, intent.Partly, "PIN"},
		{"Intel, version unknown", mac("MacPro7,1", "", nil), true, intent.Partly, "PIN"},
		{"personal", mac("Mac15,12", "15.6", func(s *profiles.Subject) { s.Device.Ownership = ward.Personal }), false, intent.NotEnforced, "personal Mac is never locked"},
		{"ownership unknown", mac("Mac15,12", "15.6", func(s *profiles.Subject) { s.Device.Ownership = "" }), false, intent.NotEnforced, "personal Mac is never locked"},
		{"user enrolment", mac("Mac15,12", "15.6", func(s *profiles.Subject) { s.Kind, s.Supervised = "User Enrollment (Device)", ward.Unsupervised }), false, intent.Impossible, "user enrolment"},
		{"without the right", mac("Mac15,12", "15.6", func(s *profiles.Subject) { s.Rights &^= ward.RightLockAndPasscode }), false, intent.Impossible, "without the right"},
	} {
		for _, p := range []*profiles.Policy{nil, examplePolicy(t)} {
			s := missing(tc.subject, profiles.CaseStolen)
			s.Case.Phone = "1234"
			st := profiles.Desired(s, p, now)
			if (st.Lock != nil) != tc.locks || tc.locks && (!st.Lock.NeedsPIN || st.Lock.Message == "" || st.Lock.Phone != "1234") {
				t.Errorf("%s: the lock is %+v, want one with a PIN: %v", tc.name, st.Lock, tc.locks)
			}
			if st.LostMode != nil || st.Locate || st.RemoveManagement || !st.RevokeApps || len(st.Signs) != 0 {
				t.Errorf("%s: it is to do more than lock: %+v", tc.name, st)
			}
			lost := slices.DeleteFunc(slices.Clone(st.Limits), func(o intent.Outcome) bool { return o.ID != intent.LoseDevice })
			if len(lost) != 1 || lost[0].Verdict != tc.verdict || !strings.Contains(lost[0].Why, tc.why) {
				t.Errorf("%s: the limits of a lost Mac are %+v, want %s because %q", tc.name, lost, tc.verdict, tc.why)
			}
		}
	}
	p := examplePolicy(t)
	before := slices.Clone(profiles.Desired(mac("Mac15,12", "15.6", nil), p, now).Limits)
	profiles.Desired(missing(mac("MacBookAir10,1", "15.6", nil), profiles.CaseLost), p, now)
	if diff := cmp.Diff(before, profiles.Desired(mac("Mac15,12", "15.6", nil), p, now).Limits); diff != "" {
		t.Errorf("a case leaked into what the class shares (-before +after):\n%s", diff)
	}
}

// TestLocatesAsThePolicySays: how often and for how long, and what is asked, follow the
// policy and what the enrolment allows.
func TestLocatesAsThePolicySays(t *testing.T) {
	t.Parallel()
	s := missing(supervised("18.6"), profiles.CaseLost)
	st := profiles.Desired(s, nil, now)
	if st.LocateEvery != 15*time.Minute || st.LocateFor != 4*time.Hour {
		t.Errorf("without a policy: every %s for %s, want every 15m for 4h", st.LocateEvery, st.LocateFor)
	}
	p := parse(t, record+"lost: {escalation: {locate_every: 1h, locate_for: 1d, propose_erase_when: [passcode_off]}}")
	st = profiles.Desired(s, p, now)
	if st.LocateEvery != time.Hour || st.LocateFor != 24*time.Hour {
		t.Errorf("every %s for %s, want every 1h for 24h", st.LocateEvery, st.LocateFor)
	}
	if diff := cmp.Diff([]intent.Sign{intent.PasscodeOff}, st.Signs); diff != "" {
		t.Errorf("a SIM that the policy makes nothing of is asked for (-want +got):\n%s", diff)
	}
	without := s
	without.Rights = ward.RightsAll &^ (ward.RightNetworkInformation | ward.RightSecurity)
	if got := profiles.Desired(without, nil, now).Signs; len(got) != 0 {
		t.Errorf("without the rights it is asked for %v", got)
	}
	for _, s := range []profiles.Subject{personal("18.6"), userEnrolled("18.6"), phone("18.6", ward.Personal, ward.Supervised)} {
		if st := profiles.Desired(missing(s, profiles.CaseLost), nil, now); len(st.Signs) != 0 || st.Locate || st.LocateEvery != 0 {
			t.Errorf("a personal phone is asked for %v, located %v", st.Signs, st.Locate)
		}
	}
}
