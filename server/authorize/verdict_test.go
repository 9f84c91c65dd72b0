package authorize_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/profiles/intent"
	"github.com/wardmdm/ward/server/authorize"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/reconcile"
)

// view is a device that told everything and has a passcode.
func view(seen time.Time, change func(*reconcile.View)) reconcile.View {
	yes := true
	v := reconcile.View{
		Device:    ward.Device{ID: "d1", Platform: ward.IOS, State: ward.Managed, Group: "Ward 7"},
		Enrolment: ward.Enrolment{ID: "e1", Device: "d1", State: ward.EnrolmentActive, Kind: "Device", LastSeen: seen, Enrolled: seen.Add(-time.Hour)},
		Policy:    &profiles.Policy{},
		Got: reconcile.Observed{
			Information: &reconcile.Known[reconcile.Information]{At: seen},
			Security:    &reconcile.Known[reconcile.Security]{Value: reconcile.Security{PasscodePresent: &yes}, At: seen},
		},
	}
	if change != nil {
		change(&v)
	}
	return v
}

func noPasscode(grace time.Duration, since time.Time) func(*reconcile.View) {
	return func(v *reconcile.View) {
		no := false
		v.Got.Security.Value.PasscodePresent = &no
		v.Want.Posture.Passcode = intent.Rule{On: true, Severity: intent.Breach, Grace: grace}
		v.Since = map[reconcile.Deviation]time.Time{{Kind: reconcile.NoPasscode}: since}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	fraction := noon.Add(500 * time.Millisecond)
	for _, c := range []struct {
		name string
		view reconcile.View
		want authorize.Verdict // Until is zero where it is the horizon
	}{
		{"complies", view(noon, nil), authorize.Verdict{State: compliance.Compliant}},
		{"in its grace", view(noon, noPasscode(3*time.Hour, noon.Add(-time.Hour))), authorize.Verdict{
			State: compliance.InGrace, Code: "no-passcode", Until: noon.Add(2 * time.Hour), Then: compliance.NonCompliant, ThenCode: "no-passcode",
		}},
		{"in its grace, which ends within a second", view(noon, noPasscode(time.Hour, fraction.Add(-time.Hour))), authorize.Verdict{
			State: compliance.InGrace, Code: "no-passcode", Until: noon.Add(time.Second), Then: compliance.NonCompliant, ThenCode: "no-passcode",
		}},
		{"in a grace longer than the horizon", view(noon, noPasscode(90*24*time.Hour, noon)), authorize.Verdict{
			State: compliance.Unknown, // by then it is not known any more
		}},
		{"beyond its grace", view(noon, noPasscode(0, noon.Add(-time.Hour))), authorize.Verdict{State: compliance.NonCompliant, Code: "no-passcode"}},
		{"soon silent for too long", view(noon.Add(-compliance.TooOld+time.Hour), nil), authorize.Verdict{
			State: compliance.Compliant, Until: noon.Add(time.Hour + time.Second), Then: compliance.Unknown, ThenCode: "not-seen",
		}},
		{"silent for too long", view(noon.Add(-2*compliance.TooOld), nil), authorize.Verdict{State: compliance.Unknown, Code: "not-seen"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := authorize.Judge(c.view, noon)
			if c.want.State == compliance.Unknown && c.want.Code == "" { // a grace that the horizon ends
				c.want.State, c.want.Code = compliance.InGrace, "no-passcode"
			}
			c.want.Device = "d1"
			if c.want.Until.IsZero() {
				c.want.Until = got.Until
				if left := got.Until.Sub(noon); left < 24*time.Hour || left > 48*time.Hour {
					t.Errorf("it holds for %s, want one to two days", left)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("Judge() mismatch (-want +got)\n%s", diff)
			}
			if again := authorize.Judge(c.view, noon.Add(300*time.Millisecond)); again != got {
				t.Errorf("a moment later it is another: %+v, then %+v", got, again)
			}
		})
	}
}

// TestVerdictsAgreeWithAssess: at every time up to its horizon a verdict lets in whom
// judging the same view then lets in.
func TestVerdictsAgreeWithAssess(t *testing.T) {
	t.Parallel()
	for hours := range 90 {
		for _, grace := range []time.Duration{0, time.Hour, 25*time.Hour + 17*time.Second, 60 * time.Hour} {
			v := view(noon.Add(-time.Duration(hours)*time.Hour), noPasscode(grace, noon.Add(-30*time.Minute)))
			verdict := authorize.Judge(v, noon)
			for _, at := range []time.Duration{0, time.Minute, 30 * time.Minute, time.Hour, 5 * time.Hour, 23 * time.Hour} {
				now := noon.Add(at)
				s := compliant()
				s.NotAfter, s.Verdict = now.Add(time.Hour), verdict
				fresh := s
				fresh.Verdict = authorize.Judge(v, now)
				rules, want := authorize.Rules{}, authorize.Want{Kind: authorize.App}
				if got, is := rules.Decide(s, want, now), rules.Decide(fresh, want, now); (got == authorize.Allowed) != (is == authorize.Allowed) {
					t.Fatalf("silent %d h, grace %s, %s later: %s by the verdict %+v, %s judged anew", hours, grace, at, got, verdict, is)
				}
			}
		}
	}
}

func TestJudged(t *testing.T) {
	t.Parallel()
	s, r := newService(t)
	s.Now = func() time.Time { return noon }
	soon := view(noon, noPasscode(time.Hour, noon.Add(-55*time.Minute)))
	next, err := s.Judged(t.Context(), soon)
	if want := noon.Add(5 * time.Minute); err != nil || !next.Equal(want) {
		t.Errorf("Judged() = %s, %v; want it judged again when the grace ends, %s", next, err, want)
	}
	next, err = s.Judged(t.Context(), view(noon.Add(-compliance.TooOld+time.Hour), nil))
	if want := noon.Add(50*time.Minute + time.Second); err != nil || !next.Equal(want) {
		t.Errorf("Judged() = %s, %v; want it judged again shortly before it counts as silent, %s", next, err, want)
	}
	r.fail = errors.New("down")
	if _, err := s.Judged(context.WithoutCancel(t.Context()), soon); !errors.Is(err, r.fail) {
		t.Errorf("Judged() = %v, want the database's error: what is not kept must not count", err)
	}
}
