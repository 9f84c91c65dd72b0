package reconcile_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/micromdm/nanomdm/mdm"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/reconcile"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
	"golang.org/x/sync/errgroup"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// policies is a published policy.
type policies struct {
	p          *profiles.Policy
	generation int64
	err        error
}

func (p *policies) For(context.Context, ward.Device) (*profiles.Policy, int64, error) {
	return p.p, p.generation, p.err
}

func (p *policies) Epoch(context.Context) (int64, error) { return p.generation, p.err }

// cases are the open cases.
type cases map[ward.DeviceID]*profiles.Case

func (c cases) OpenCase(_ context.Context, id ward.DeviceID) (*profiles.Case, error) {
	return c[id], nil
}

// plain compiles a step into its own name.
type plain struct{}

func (plain) NewUUID() string { return rand.Text() }

func (plain) Compile(_ context.Context, s reconcile.Step, _ ward.Device, _ ward.Enrolment, _ string) (string, []byte, error) {
	if s.Deed == reconcile.AskSecurity && s.Urgent {
		return "", nil, errors.New("never")
	}
	return string(s.Deed), []byte(s.Key), nil
}

type fixture struct {
	*reconcile.Loop
	db     *store.DB
	policy *policies
	cases  cases
}

func newFixture(t *testing.T, db *store.DB) *fixture {
	t.Helper()
	p, c := &policies{}, cases{}
	return &fixture{&reconcile.Loop{
		Fleet: db.Fleet(), Policies: p, Cases: c, Credentials: db.AppTokens(), Drift: db.Drift(), Queue: db.Commands(), Compiler: plain{}, Watch: []string{"w"}, Now: func() time.Time { return time.Now().UTC() },
	}, db, p, c}
}

// enrol makes an enrolled device.
func (f *fixture) enrol(t *testing.T, id ward.DeviceID, group string) ward.Enrolment {
	t.Helper()
	ctx := t.Context()
	if err := f.Fleet.InsertDevice(ctx, ward.Device{ID: id, Name: string(id), Platform: ward.IOS, Ownership: ward.Corporate, Group: group, State: ward.Managed, Created: time.Now()}); err != nil {
		t.Fatal(err)
	}
	channel := "UDID-" + string(id)
	r := &mdm.Request{EnrollID: &mdm.EnrollID{Type: mdm.Device, ID: channel}}
	r = r.WithContext(fleet.WithAdmission(ctx, fleet.Admission{Device: id, Rights: ward.RightsAll}))
	a := &mdm.Authenticate{Enrollment: mdm.Enrollment{UDID: channel}, Topic: "topic", Raw: []byte("a")}
	if err := f.db.MDM().StoreAuthenticate(r, a); err != nil {
		t.Fatal(err)
	}
	u := &mdm.TokenUpdate{Enrollment: mdm.Enrollment{UDID: channel}, Push: mdm.Push{Topic: "topic", PushMagic: "m", Token: []byte{1}}, Raw: []byte("t")}
	if err := f.db.MDM().StoreTokenUpdate(r, u); err != nil {
		t.Fatal(err)
	}
	e, err := f.Fleet.Current(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// steps lists the steps that are open, in the order of their delivery.
func (f *fixture) steps(t *testing.T, e ward.Enrolment) (keys []string) {
	t.Helper()
	open, err := f.db.Commands().Open(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range open {
		keys = append(keys, c.StepKey)
	}
	return keys
}

func (f *fixture) replan(t *testing.T, id ward.DeviceID) {
	t.Helper()
	if err := f.Replan(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

const watch = "apps:50e721e49c01"

// TestReplanTogether: however many plan a device at once, each step is queued once.
func TestReplanTogether(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		for _, id := range []ward.DeviceID{"d1", "d2", "d3", "d4"} {
			e := f.enrol(t, id, "g")
			var g errgroup.Group
			for range 12 {
				g.Go(func() error { return f.Replan(t.Context(), id) })
			}
			if err := g.Wait(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"information", "security", watch}, f.steps(t, e)); diff != "" {
				t.Errorf("steps of %s mismatch (-want +got):\n%s", id, diff)
			}
		}
	})
}

// TestAnswered: an answer's facts are kept and what follows from them is queued; an
// answer to nothing changes nothing.
func TestAnswered(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		e := f.enrol(t, "d1", "g")
		f.replan(t, "d1")
		supervised := true
		info := &reconcile.Information{Supervised: &supervised, OSVersion: "18.6", Model: "iPhone15,4"}
		told := reconcile.Told{Information: info, Facts: []fleet.Fact{{Kind: fleet.Information, Value: []byte(`{"supervised":true}`), Observed: time.Now().UTC()}}}
		if err := f.Answered(t.Context(), e, command.Record{}, false, told); err != nil {
			t.Fatal(err)
		}
		if facts, err := f.Fleet.Facts(t.Context(), e.ID); err != nil || len(facts) != 0 {
			t.Errorf("%d facts after an answer to nothing, %v; want none", len(facts), err)
		}
		r, body, _, err := db.Commands().Next(t.Context(), e.ID)
		if err != nil || string(body) != "information" {
			t.Fatalf("the first command is %q, %v; want information", body, err)
		}
		if r, _, err = db.Commands().Report(t.Context(), e.ID, store.Answer{UUID: r.UUID, State: command.Accepted}); err != nil {
			t.Fatal(err)
		}
		if err := f.Answered(t.Context(), e, r, true, told); err != nil {
			t.Fatal(err)
		}
		d, err := f.Fleet.Device(t.Context(), "d1")
		if err != nil || d.OSVersion != "18.6" || d.Model != "iPhone15,4" {
			t.Errorf("device %+v, %v; want its model and version", d, err)
		}
		if e, err = f.Fleet.Enrolment(t.Context(), e.ID); err != nil || e.Supervised != ward.Supervised {
			t.Errorf("supervision %q, %v; want it known", e.Supervised, err)
		}
		if diff := cmp.Diff([]string{"security", watch, "profiles"}, f.steps(t, e)); diff != "" {
			t.Errorf("steps mismatch (-want +got):\n%s", diff)
		}
	})
}

// TestCaseMakesWay: a report of loss takes back what was waiting and goes first; its end
// takes back what the phone never fetched, and undoes what it did.
func TestCaseMakesWay(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		e := f.enrol(t, "d1", "g")
		if err := f.Fleet.SetFact(t.Context(), e.ID, fleet.Fact{Kind: fleet.Information, Value: []byte(`{"supervised":true}`), Observed: time.Now().UTC()}); err != nil {
			t.Fatal(err)
		}
		f.replan(t, "d1")
		f.cases["d1"] = &profiles.Case{ID: "c1", Kind: profiles.CaseLost}
		f.replan(t, "d1")
		if diff := cmp.Diff([]string{"lost-mode:c1"}, f.steps(t, e)); diff != "" {
			t.Fatalf("steps of a lost phone mismatch (-want +got):\n%s", diff)
		}
		delete(f.cases, "d1") // found before it fetched anything
		f.replan(t, "d1")
		if got := f.steps(t, e); slices.Contains(got, "lost-mode:c1") || slices.Contains(got, "lost-mode-off:c1") || len(got) == 0 {
			t.Errorf("steps of a phone that was found before it knew are %v, want the ordinary ones", got)
		}
		f.cases["d1"] = &profiles.Case{ID: "c2", Kind: profiles.CaseLost}
		f.replan(t, "d1")
		if _, body, _, err := db.Commands().Next(t.Context(), e.ID); err != nil || string(body) != "lost-mode:c2" {
			t.Fatalf("it was given %q, %v; want lost mode", body, err)
		}
		delete(f.cases, "d1") // found before it answered
		f.replan(t, "d1")
		if got := f.steps(t, e); len(got) < 2 || got[0] != "lost-mode:c2" || got[1] != "lost-mode-off:c2" {
			t.Errorf("steps of a phone that may be in lost mode are %v, want it on and off first", got)
		}
	})
}

// TestQuarantine: an adopted device is sent nothing until a person has sorted it, but is
// not left in lost mode.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	f := newFixture(t, storetest.SQLite(t))
	e := f.enrol(t, "d1", fleet.QuarantineGroup)
	f.replan(t, "d1")
	if got := f.steps(t, e); len(got) != 0 {
		t.Errorf("steps %v, want none", got)
	}
	if err := f.Fleet.SetFact(t.Context(), e.ID, fleet.Fact{Kind: fleet.Information, Value: []byte(`{"supervised":true}`), Observed: time.Now().UTC()}); err != nil {
		t.Fatal(err)
	}
	f.cases["d1"] = &profiles.Case{ID: "c1"}
	f.replan(t, "d1")
	r, _, _, err := f.db.Commands().Next(t.Context(), e.ID)
	if err != nil || r.StepKey != "lost-mode:c1" {
		t.Fatalf("it was given %q, %v; want lost mode", r.StepKey, err)
	}
	if _, _, err := f.db.Commands().Report(t.Context(), e.ID, store.Answer{UUID: r.UUID, State: command.Accepted}); err != nil {
		t.Fatal(err)
	}
	delete(f.cases, "d1")
	f.replan(t, "d1")
	if diff := cmp.Diff([]string{"lost-mode-off:c1"}, f.steps(t, e)); diff != "" {
		t.Errorf("steps mismatch (-want +got):\n%s", diff)
	}
}

// TestDue: devices are planned for a new policy in batches; one that fails does not keep
// the others waiting.
func TestDue(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		for _, id := range []ward.DeviceID{"d1", "d2", "d3"} {
			f.enrol(t, id, "g")
		}
		p, err := profiles.Parse(profiles.ExamplePolicy(), nil)
		if err != nil {
			t.Fatal(err)
		}
		f.policy.p, f.policy.generation = p, 1
		for _, want := range []int{2, 1, 0} {
			n, errs := f.Due(t.Context(), 2)
			if n != want || len(errs) != 0 {
				t.Errorf("Due() = %d, %v; want %d", n, errs, want)
			}
		}
		broken := f.enrol(t, "d0", "g")
		f.enrol(t, "d9", "g")
		if err := f.Fleet.SetFact(t.Context(), broken.ID, fleet.Fact{Kind: fleet.Apps, Value: []byte(`"no list"`), Observed: time.Now().UTC()}); err != nil {
			t.Fatal(err)
		}
		if n, errs := f.Due(t.Context(), 10); n != 2 || len(errs) != 1 {
			t.Errorf("Due() with a broken fact = %d, %v; want 2 and one error", n, errs)
		}
		if n, errs := f.Due(t.Context(), 10); n != 0 || len(errs) != 0 {
			t.Errorf("Due() at once again = %d, %v; want none: the broken one waits", n, errs)
		}
		f.policy.err = errors.New("boom")
		if _, errs := f.Due(t.Context(), 10); len(errs) != 1 {
			t.Errorf("Due() without a policy to read = %v, want its error", errs)
		}
	})
}

// credentials are what the record knows of the apps of every enrolment.
type credentials map[string]reconcile.Credential

func (c credentials) Credentials(context.Context, ward.EnrolmentID) (map[string]reconcile.Credential, error) {
	return c, nil
}

// TestRenews: an app certificate in the last third of its life is renewed for a device
// that complies, and for no other; a first certificate waits for nothing.
func TestRenews(t *testing.T) {
	t.Parallel()
	p, err := profiles.Parse(profiles.ExamplePolicy(), nil)
	if err != nil {
		t.Fatal(err)
	}
	const bundle = "org.example.wardmessenger"
	renew := reconcile.Credential{TokenIssued: time.Now().Add(-5 * time.Hour), ValidUntil: time.Now().Add(time.Hour), Life: 6 * time.Hour}
	for _, tc := range []struct {
		name     string
		c        reconcile.Credential
		complies bool
		want     bool
	}{
		{"it complies", renew, true, true},
		{"it does not", renew, false, false},
		{"it has none yet", reconcile.Credential{}, false, true},
		{"its one was revoked", reconcile.Credential{TokenIssued: time.Now().Add(-5 * time.Hour), Revoked: time.Now().Add(-time.Hour)}, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, storetest.SQLite(t))
			f.policy.p, f.policy.generation = p, 1
			f.Credentials = credentials{bundle: tc.c}
			f.Standing = func(v reconcile.View) reconcile.Standing {
				if v.Device.ID != "d1" || v.Policy != p || len(v.Attempts) == 0 {
					t.Errorf("asked of %s with %d attempts, want all that is known of d1", v.Device.ID, len(v.Attempts))
				}
				if tc.complies {
					return reconcile.Deserving
				}
				return reconcile.Undeserving
			}
			e := f.enrol(t, "d1", "g")
			for kind, v := range map[fleet.FactKind]string{fleet.Information: `{"supervised":true}`, fleet.ManagedApps: `[{"bundle_id":"` + bundle + `","status":"Managed"}]`} {
				if err := f.Fleet.SetFact(t.Context(), e.ID, fleet.Fact{Kind: kind, Value: []byte(v), Observed: time.Now().UTC()}); err != nil {
					t.Fatal(err)
				}
			}
			f.replan(t, "d1")
			for { // the app is accepted, and what is asked besides
				r, body, _, err := f.db.Commands().Next(t.Context(), e.ID)
				if err != nil {
					t.Fatal(err)
				}
				if body == nil {
					break
				}
				if _, _, err := f.db.Commands().Report(t.Context(), e.ID, store.Answer{UUID: r.UUID, State: command.Accepted}); err != nil {
					t.Fatal(err)
				}
			}
			f.replan(t, "d1")
			if got := slices.Contains(f.steps(t, e), "configure-app:"+bundle); got != tc.want {
				t.Errorf("a token is on its way: %v, want %v", got, tc.want)
			}
		})
	}
}
