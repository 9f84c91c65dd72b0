package compliance_test

import (
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
)

// TestRulesOfThePosture: a rule's severity and grace decide what a finding costs, and a
// rule that is off finds nothing.
func TestRulesOfThePosture(t *testing.T) {
	t.Parallel()
	p := policy(t)
	blocked := reconcile.Deviation{Kind: reconcile.BlockedApp, Subject: "whatsapp"}
	breach := intent.Rule{On: true, Severity: intent.Breach}
	with := func(r intent.Rule, grace time.Duration) intent.Rule { r.Grace = grace; return r }
	for _, tc := range []struct {
		name  string
		rule  intent.Rule
		since time.Duration // ago; 0: not recorded yet
		want  compliance.State
		found bool
	}{
		{"a breach", breach, time.Hour, compliance.NonCompliant, true},
		{"a breach not recorded yet", breach, 0, compliance.NonCompliant, true},
		{"within its grace", with(breach, 2*time.Hour), time.Hour, compliance.InGrace, true},
		{"at the end of its grace", with(breach, time.Hour), time.Hour, compliance.NonCompliant, true},
		{"new, with grace", with(breach, time.Hour), 0, compliance.InGrace, true},
		{"advice", intent.Rule{On: true, Severity: intent.Advice}, 100 * time.Hour, compliance.Compliant, true},
		{"off", intent.Rule{}, time.Hour, compliance.Compliant, false},
	} {
		v := good(p, ward.Unsupervised)
		v.Got.Apps = known([]fleet.App{{BundleID: messenger}, {BundleID: whatsApp}})
		v.Want.Posture.BlockedApp = tc.rule
		if tc.since > 0 {
			v.Since = map[reconcile.Deviation]time.Time{blocked: now.Add(-tc.since)}
		}
		got := compliance.Assess(v, now)
		if got.State != tc.want || len(got.Findings) > 0 != tc.found {
			t.Errorf("%s: %s with %d findings, want %s with some: %v", tc.name, got.State, len(got.Findings), tc.want, tc.found)
		}
	}
}

// TestOldSystemAndStorage: versions of any length are compared, and storage is judged
// where the policy asks.
func TestOldSystemAndStorage(t *testing.T) {
	t.Parallel()
	p, no := policy(t), false
	rule := intent.Rule{On: true, Severity: intent.Breach}
	for _, tc := range []struct {
		name   string
		change func(v *reconcile.View)
		want   compliance.State
	}{
		{"an older system", func(v *reconcile.View) { v.Want.Posture.MinimumOS = map[ward.Platform]string{ward.IOS: "15.8.1"} }, compliance.NonCompliant},
		{"the very system", func(v *reconcile.View) { v.Want.Posture.MinimumOS = map[ward.Platform]string{ward.IOS: "15.8"} }, compliance.Compliant},
		{"another platform's minimum", func(v *reconcile.View) { v.Want.Posture.MinimumOS = map[ward.Platform]string{ward.MacOS: "26"} }, compliance.Compliant},
		{"storage not encrypted", func(v *reconcile.View) { v.Got.Security.Value.Encrypted = &no }, compliance.NonCompliant},
	} {
		v := good(p, ward.Supervised)
		v.Want.Posture.MinimumOSRule, v.Want.Posture.Encryption = rule, rule
		tc.change(&v)
		if got := compliance.Assess(v, now); got.State != tc.want {
			t.Errorf("%s: %s (%+v), want %s", tc.name, got.State, got.Findings, tc.want)
		}
	}
}
