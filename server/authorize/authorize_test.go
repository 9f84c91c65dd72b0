package authorize_test

import (
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/authorize"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/fleet"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// compliant is an app's certificate on a device about which nothing is wrong.
func compliant() authorize.Subject {
	return authorize.Subject{
		Serial: "7", Kind: authorize.App, App: "org.example.chat", NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour),
		Device: "d1", State: ward.Managed, Group: "Ward 7", Email: "ada@hospital.example", Enrolment: ward.EnrolmentActive,
		Verdict: authorize.Verdict{Device: "d1", State: compliance.Compliant, Until: noon.Add(time.Hour)},
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	verdict := func(s compliance.State) func(*authorize.Subject) {
		return func(x *authorize.Subject) { x.Verdict.State = s }
	}
	turned := func(s compliance.State) func(*authorize.Subject) {
		return func(x *authorize.Subject) { x.Verdict.Until, x.Verdict.Then = noon, s }
	}
	for _, c := range []struct {
		name   string
		change func(*authorize.Subject)
		want   authorize.Reason
		loose  authorize.Reason // with AllowUnknown; empty: the same
	}{
		{"complies", func(*authorize.Subject) {}, authorize.Allowed, ""},
		{"settings on their way", verdict(compliance.Pending), authorize.Allowed, ""},
		{"in its grace", verdict(compliance.InGrace), authorize.Allowed, ""},
		{"beyond its grace", verdict(compliance.NonCompliant), authorize.NonCompliant, ""},
		{"not known", verdict(compliance.Unknown), authorize.Stale, authorize.Allowed},
		{"never judged", verdict(""), authorize.Stale, authorize.Allowed},
		{"a state of tomorrow's", verdict("odd"), authorize.Stale, authorize.Allowed},
		{"verdict of a lost device, found since", verdict(compliance.Lost), authorize.NonCompliant, ""},
		{"verdict run out", turned(""), authorize.Stale, authorize.Allowed},
		{"grace run out", turned(compliance.NonCompliant), authorize.NonCompliant, ""},
		{"silent for too long", turned(compliance.Unknown), authorize.Stale, authorize.Allowed},
		{"reported lost", func(s *authorize.Subject) { s.State = ward.Lost }, authorize.Lost, ""},
		{"an open case", func(s *authorize.Subject) { s.Case = true }, authorize.Lost, ""},
		{"lost and revoked", func(s *authorize.Subject) { s.State, s.Revoked = ward.Lost, noon }, authorize.Lost, ""},
		{"revoked", func(s *authorize.Subject) { s.Revoked = noon.Add(-time.Minute) }, authorize.Revoked, ""},
		{"expired", func(s *authorize.Subject) { s.NotAfter = noon.Add(-time.Second) }, authorize.Expired, ""},
		{"not valid yet", func(s *authorize.Subject) { s.NotBefore = noon.Add(time.Second) }, authorize.Expired, ""},
		{"in its last moment", func(s *authorize.Subject) { s.NotAfter = noon }, authorize.Allowed, ""},
		{"unenrolled", func(s *authorize.Subject) { s.State = ward.Unenrolled }, authorize.Unenrolled, ""},
		{"erased", func(s *authorize.Subject) { s.State = ward.Erased }, authorize.Unenrolled, ""},
		{"invited", func(s *authorize.Subject) { s.State = ward.Invited }, authorize.Unenrolled, ""},
		{"no such device", func(s *authorize.Subject) { s.State = "" }, authorize.Unenrolled, ""},
		{"enrolled anew since", func(s *authorize.Subject) { s.Enrolment = ward.EnrolmentEnded }, authorize.Unenrolled, ""},
		{"enrolling", func(s *authorize.Subject) { s.Enrolment = ward.EnrolmentPending }, authorize.Unenrolled, ""},
		{"no enrolment", func(s *authorize.Subject) { s.Enrolment = "" }, authorize.Unenrolled, ""},
		{"an identity", func(s *authorize.Subject) { s.Kind = "device" }, authorize.WrongKind, ""},
		{"a network certificate", func(s *authorize.Subject) { s.Kind = authorize.Network }, authorize.WrongKind, ""},
		{"the server's own", func(s *authorize.Subject) { s.Kind, s.Device = "server", "" }, authorize.WrongKind, ""},
		{"no device", func(s *authorize.Subject) { s.Device = "" }, authorize.WrongKind, ""},
		{"another app", func(s *authorize.Subject) { s.App = "org.example.other" }, authorize.WrongApp, ""},
		{"quarantined", func(s *authorize.Subject) { s.Group = fleet.QuarantineGroup }, authorize.Quarantined, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := compliant()
			c.change(&s)
			want := authorize.Want{Kind: authorize.App, App: "org.example.chat"}
			if got := (authorize.Rules{}).Decide(s, want, noon); got != c.want {
				t.Errorf("Decide() = %s, want %s", got, c.want)
			}
			if c.loose == "" {
				c.loose = c.want
			}
			if got := (authorize.Rules{AllowUnknown: true}).Decide(s, want, noon); got != c.loose {
				t.Errorf("with AllowUnknown Decide() = %s, want %s", got, c.loose)
			}
		})
	}
	other := compliant()
	other.App = "org.example.other"
	if got := (authorize.Rules{}).Decide(other, authorize.Want{Kind: authorize.App}, noon); got != authorize.Allowed {
		t.Errorf("where any app is wanted: %s, want allowed", got)
	}
	network := compliant()
	network.Kind, network.App = authorize.Network, "the hash of a profile"
	if got := (authorize.Rules{}).Decide(network, authorize.Want{Kind: authorize.Network}, noon); got != authorize.Allowed {
		t.Errorf("a network certificate where one is wanted: %s, want allowed", got)
	}
}

func TestReasonsHaveWords(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range authorize.Reasons() {
		if text := r.Text(); text == string(r) || seen[text] {
			t.Errorf("%s says %q: want words of its own", r, text)
		}
		seen[r.Text()] = true
	}
}
