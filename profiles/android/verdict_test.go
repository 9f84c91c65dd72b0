package android

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward/profiles/intent"
)

// TestVerdicts holds what is promised where the kind of enrolment or the version decides.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	const full, cope, byod = intent.FullyManaged, intent.CompanyOwned, intent.WorkProfile
	for _, tt := range []struct {
		id        intent.ID
		enrolment intent.Enrolment
		version   int
		want      intent.Verdict
	}{
		{intent.BlockApps, full, 0, intent.Enforced},
		{intent.BlockApps, cope, 9, intent.Enforced},
		{intent.BlockApps, byod, 16, intent.Partly},
		{intent.BlockApps, "", 16, intent.Partly},
		{intent.BlockApps, intent.ByDevice, 16, intent.Partly},
		{intent.BlockStores, cope, 10, intent.Enforced},
		{intent.BlockStores, byod, 16, intent.Partly},
		{intent.ManagedOpenIn, full, 16, intent.Impossible},
		{intent.ManagedOpenIn, cope, 0, intent.Enforced},
		{intent.ManagedOpenIn, byod, 8, intent.Enforced},
		{intent.NoEnterpriseTrust, byod, 9, intent.Partly},
		{intent.NoEnterpriseTrust, byod, 10, intent.Enforced},
		{intent.NoEnterpriseTrust, full, 0, intent.Enforced},
		{intent.NoBackup, full, 0, intent.NotEnforced},
		{intent.NoBackup, full, 7, intent.NotEnforced},
		{intent.NoBackup, full, 8, intent.Enforced},
		{intent.NoHiddenApps, full, 15, intent.Enforced},
		{intent.NoHiddenApps, cope, 0, intent.NotEnforced},
		{intent.NoHiddenApps, cope, 14, intent.Partly},
		{intent.NoHiddenApps, cope, 15, intent.Enforced},
		{intent.NoHiddenApps, byod, 15, intent.Impossible},
		{intent.NoUSBTransfer, cope, 12, intent.Enforced},
		{intent.NoUSBTransfer, byod, 12, intent.Impossible},
		{intent.NoEraseByUser, full, 12, intent.Partly},
		{intent.NoEraseByUser, byod, 12, intent.Impossible},
		{intent.UpdateOS, full, 12, intent.Partly},
		{intent.UpdateOS, byod, 12, intent.Impossible},
		{intent.Passcode, full, 12, intent.Enforced},
		{intent.Passcode, byod, 12, intent.Partly},
		{intent.JoinWiFi, full, 11, intent.NotEnforced},
		{intent.JoinWiFi, full, 12, intent.Partly},
		{intent.UseDNS, full, 0, intent.NotEnforced},
		{intent.UseDNS, full, 9, intent.NotEnforced},
		{intent.UseDNS, full, 10, intent.Enforced},
		{intent.UseDNS, cope, 16, intent.Impossible},
		{intent.UseDNS, byod, 16, intent.Impossible},
		{intent.LoseDevice, full, 10, intent.Partly},
		{intent.LoseDevice, full, 11, intent.Enforced},
		{intent.LoseDevice, cope, 12, intent.Partly},
		{intent.LoseDevice, cope, 13, intent.Enforced},
		{intent.LoseDevice, byod, 16, intent.Partly},
	} {
		outcomes := compile(t, everything(), target(tt.enrolment, tt.version)).Outcomes
		i := slices.IndexFunc(outcomes, func(o intent.Outcome) bool { return o.ID == tt.id })
		if i < 0 || outcomes[i].Verdict != tt.want {
			t.Errorf("%s on %q %d: %+v, want %s", tt.id, tt.enrolment, tt.version, outcomes[max(i, 0)], tt.want)
		}
	}
}

func TestPasscode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		rule      intent.PasscodeRule
		enrolment intent.Enrolment
		want      []passwordRequirements
		lock      string
	}{
		{"none", intent.PasscodeRule{}, intent.FullyManaged, nil, ""},
		{"any", intent.PasscodeRule{Required: true}, intent.FullyManaged, []passwordRequirements{{"SCOPE_DEVICE", "SOMETHING", 0}}, ""},
		{"a length", intent.PasscodeRule{Required: true, MinimumLength: 6}, intent.CompanyOwned, []passwordRequirements{{"SCOPE_DEVICE", "NUMERIC", 6}}, ""},
		{"letters and digits", intent.PasscodeRule{Complex: true, MinimumLength: 8}, intent.WorkProfile, []passwordRequirements{{"SCOPE_PROFILE", "ALPHANUMERIC", 8}}, ""},
		{"a lock alone", intent.PasscodeRule{LockAfter: 90 * time.Second}, intent.FullyManaged, nil, "90000"},
		{"a lock that must not become none", intent.PasscodeRule{LockAfter: time.Microsecond}, intent.FullyManaged, nil, "1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := compile(t, intent.Wanted{Passcode: tt.rule}, target(tt.enrolment, 14))
			doc := document(t, r)
			if diff := cmp.Diff(tt.want, doc.PasswordPolicies); diff != "" {
				t.Errorf("passwordPolicies mismatch (-want +got):\n%s", diff)
			}
			if doc.MaximumTimeToLock != tt.lock {
				t.Errorf("maximumTimeToLock = %q, want %q", doc.MaximumTimeToLock, tt.lock)
			}
		})
	}
}

// TestAttestedCertificate: an app whose key is to be attested is told to get no certificate,
// and is given nothing to install one with.
func TestAttestedCertificate(t *testing.T) {
	t.Parallel()
	w := everything()
	w.Apps[0].Certificate = intent.Certificate{Delivery: intent.ByManagedApp, Attested: true}
	r := compile(t, w, target(intent.FullyManaged, 16))
	if got := told(r.Outcomes); !strings.Contains(got, "It gets no certificate: its key is to be attested") || strings.Contains(got, "fetches its certificate") {
		t.Errorf("told %s", got)
	}
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, never := range []string{"CERT_INSTALL", "privateKeyAlias"} {
		if strings.Contains(string(raw), never) {
			t.Errorf("the policy has %s: %s", never, raw)
		}
	}
}
