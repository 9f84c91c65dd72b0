package source_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward/profiles/intent"
)

// TestEscalation: what is not said is the default, and no field erases by itself.
func TestEscalation(t *testing.T) {
	t.Parallel()
	changed := func(change func(*intent.Escalation)) intent.Escalation {
		e := intent.DefaultEscalation()
		change(&e)
		return e
	}
	for name, tc := range map[string]struct {
		text string
		want intent.Escalation
	}{
		"no section":       {"", intent.DefaultEscalation()},
		"words alone":      {"lost: {message: Lost}", intent.DefaultEscalation()},
		"an empty section": {"lost: {escalation: {}}", intent.DefaultEscalation()},
		"one field":        {"lost: {escalation: {locate_every: 1h}}", changed(func(e *intent.Escalation) { e.LocateEvery = time.Hour })},
		"one sign":         {"lost: {escalation: {propose_erase_when: sim_changed}}", changed(func(e *intent.Escalation) { e.ProposeOn = []string{intent.SIMChanged} })},
		"no sign":          {"lost: {escalation: {propose_erase_when: []}}", changed(func(e *intent.Escalation) { e.ProposeOn = nil })},
		"all": {
			"lost: {escalation: {locate_every: 5m, locate_for: 1w, propose_erase_after: 90d, propose_erase_when: [passcode_off, sim_changed]}}",
			intent.Escalation{LocateEvery: 5 * time.Minute, LocateFor: 7 * 24 * time.Hour, ProposeAfter: 90 * 24 * time.Hour, ProposeOn: []string{intent.PasscodeOff, intent.SIMChanged}},
		},
	} {
		if diff := cmp.Diff(tc.want, parse(t, record+tc.text).Lost.Escalation); diff != "" {
			t.Errorf("%s: the escalation mismatch (-want +got):\n%s", name, diff)
		}
	}
}

func TestEscalationRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{locate_evry: 15m}":                               `line 10, column 21: escalation has no field "locate_evry"; did you mean "locate_every"?`,
		"{locate_every: 15}":                               "line 10, column 35: locate_every must be a span of time such as",
		"{locate_every: 1m}":                               "line 10, column 35: locate_every must be between 5m and 1d",
		"{locate_for: 2w}":                                 "line 10, column 33: locate_for must be between 5m and 7d",
		"{propose_erase_after: 30m}":                       "line 10, column 42: propose_erase_after must be between 1h and 90d",
		"{propose_erase_when: [sim_change]}":               `line 10, column 42: propose_erase_when can't be "sim_change"; did you mean "sim_changed"?`,
		"{propose_erase_when: [sim_changed, sim_changed]}": `propose_erase_when lists "sim_changed" twice`,
		"{erase_after: 24h}":                               "nothing erases a device by itself",
		"{auto_erase: true}":                               "nothing erases a device by itself",
		"24h":                                              "escalation must be a list of fields",
	} {
		got := strings.Join(details(t, record+"lost: {escalation: "+text+"}", nil), "\n")
		if !strings.Contains(got, want) {
			t.Errorf("%s: mistakes are\n%s\nwant among them\n%s", text, got, want)
		}
	}
}
