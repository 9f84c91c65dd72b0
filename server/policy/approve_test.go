package policy_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// strict asks for a second person from two devices on.
func strict() policy.Rule { return policy.Rule{Above: 0.25, From: 1} }

// proposal makes a fleet of four and a proposal by ada.
func proposal(t *testing.T, db *store.DB) (*world, policy.Version, string) {
	t.Helper()
	w := newWorld(t, db)
	w.Rule = strict()
	for i := range 4 {
		w.device(ward.DeviceID(fmt.Sprint("d", i)), "Ward 7", true)
	}
	v, err := w.Submit(w.as("ada", "1"), policy.Draft{Text: version("first"), Reason: "start"})
	if err != nil || v.State != policy.Proposed || v.Changed != 4 || v.Devices != 4 {
		t.Fatalf("Submit() = %+v, %v; want a proposal that changes 4 of 4", v, err)
	}
	digest, err := v.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return w, v, digest
}

func TestSecondPerson(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, v, digest := proposal(t, db)
		if got := w.under(v.Generation); len(got) != 0 || w.epoch() != 0 {
			t.Fatalf("a proposal holds for %v, epoch %d", got, w.epoch())
		}
		denied := []struct {
			name   string
			ctx    context.Context
			digest string
			want   ward.Kind
		}{
			{"nobody", t.Context(), digest, ward.Forbidden},
			{"ward itself", ward.WithActor(t.Context(), ward.System), digest, ward.Forbidden},
			{"the console", ward.WithActor(t.Context(), ward.Actor{Person: "ben", Via: ward.ViaConsole}), digest, ward.Forbidden},
			{"the author", w.as("ada", "1"), digest, ward.Forbidden},
			{"the author's other token", w.as("ada", "2"), digest, ward.Forbidden},
			{"the author by session", ward.WithActor(t.Context(), ward.Actor{Person: "ada", Via: ward.ViaSession}), digest, ward.Forbidden},
			{"another digest", w.as("ben", "1"), "0", ward.Conflict},
		}
		for _, d := range denied {
			_, err := w.Approve(d.ctx, v.Generation, d.digest)
			wantKind(t, d.name, err, d.want)
		}
		if n := w.audit.count(policy.ActionDenied); n != len(denied) {
			t.Errorf("%d denials are audited, want %d", n, len(denied))
		}
		got, err := w.Approve(w.as("ben", "1"), v.Generation, digest)
		if err != nil || got.State != policy.Current || got.Approver != "ben" || got.ApproverName != "Name of ben" || got.Approved.IsZero() {
			t.Fatalf("Approve() = %+v, %v", got, err)
		}
		if n := len(w.under(v.Generation)); n != 4 || w.epoch() != 1 {
			t.Errorf("approved, it holds for %d devices, epoch %d", n, w.epoch())
		}
		kept, err := w.Version(t.Context(), v.Generation)
		if diff := cmp.Diff(got, kept); diff != "" || err != nil {
			t.Errorf("Version() %v, mismatch (-want +got)\n%s", err, diff)
		}
		_, err = w.Approve(w.as("cyd", "1"), v.Generation, digest)
		wantKind(t, "a second approval", err, ward.Conflict)
		// A change of words alone touches no device, so that one person does.
		if v, err = w.Submit(w.as("ada", "1"), policy.Draft{Text: version("second")}); err != nil || v.State != policy.Current || v.Changed != 0 {
			t.Errorf("a change of no device: %+v, %v", v, err)
		}
	})
}

// accounts are people by when they could first act.
type accounts struct {
	installed time.Time
	activated map[ward.PersonID]time.Time
	broken    error
}

func (a accounts) Installed(context.Context) (time.Time, error) { return a.installed, a.broken }

func (a accounts) Activated(_ context.Context, p ward.PersonID) (time.Time, error) {
	t, ok := a.activated[p]
	if !ok {
		return t, ward.Errorf(ward.NotFound, "There is nobody of that name.")
	}
	return t, nil
}

// TestNewAccount: an account that was made to approve can't, until others have had a week
// to notice it.
func TestNewAccount(t *testing.T) {
	t.Parallel()
	const week = 7 * 24 * time.Hour
	old := now().Add(-2 * week)
	for name, tc := range map[string]struct {
		people accounts
		want   ward.Kind // empty: they can
	}{
		"for longer":                {accounts{installed: old, activated: map[ward.PersonID]time.Time{"zoe": now().Add(-week - time.Second)}}, ""},
		"for nearly a week":         {accounts{installed: old, activated: map[ward.PersonID]time.Time{"zoe": now().Add(time.Hour - week)}}, ward.Forbidden},
		"since now":                 {accounts{installed: old, activated: map[ward.PersonID]time.Time{"zoe": now()}}, ward.Forbidden},
		"never signed in":           {accounts{installed: old, activated: map[ward.PersonID]time.Time{"zoe": {}}}, ward.Forbidden},
		"nobody":                    {accounts{installed: old}, ward.Forbidden},
		"in a new installation":     {accounts{installed: now().Add(time.Hour - week), activated: map[ward.PersonID]time.Time{"zoe": now()}}, ""},
		"in one just older":         {accounts{installed: now().Add(-week - time.Second), activated: map[ward.PersonID]time.Time{"zoe": now()}}, ward.Forbidden},
		"where nobody was ever put": {accounts{activated: map[ward.PersonID]time.Time{"zoe": now()}}, ward.Forbidden},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, v, digest := proposal(t, storetest.SQLite(t))
			w.People = tc.people
			got, err := w.Approve(w.as("zoe", "1"), v.Generation, digest)
			wantKind(t, "Approve", err, tc.want)
			if approved := got.State == policy.Current; approved != (tc.want == "") {
				t.Errorf("the policy is %q after %v", got.State, err)
			}
			if n := w.audit.count(policy.ActionDenied); (n == 1) != (tc.want == ward.Forbidden) {
				t.Errorf("%d denials are audited", n)
			}
		})
	}
	w, v, digest := proposal(t, storetest.SQLite(t))
	w.People = accounts{broken: errors.New("the database is gone")}
	if _, err := w.Approve(w.as("zoe", "1"), v.Generation, digest); err == nil || w.state(v.Generation) != policy.Proposed {
		t.Errorf("Approve without knowing = %v, and the policy is %s; want an error and a proposal", err, w.state(v.Generation))
	}
}

// TestApprovedOnce: of several approvals and a withdrawal at once one counts.
func TestApprovedOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w, v, digest := proposal(t, db)
		errs := make([]error, 8)
		var withdrawn error
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { _, errs[i] = w.Approve(w.as(ward.PersonID(fmt.Sprint("p", i)), "1"), v.Generation, digest) })
		}
		wg.Go(func() { _, withdrawn = w.Withdraw(w.as("ada", "1"), v.Generation, "no") })
		wg.Wait()
		n := 0
		for _, err := range append(errs, withdrawn) {
			if err == nil {
				n++
			} else if ward.KindOf(err) != ward.Conflict {
				t.Errorf("error %v, want a conflict", err)
			}
		}
		if n != 1 {
			t.Errorf("%d deeds succeeded, want one", n)
		}
	})
}

func TestProposalOvertaken(t *testing.T) {
	t.Parallel()
	w, v, digest := proposal(t, storetest.SQLite(t))
	other, err := w.Submit(w.as("cyd", "1"), policy.Draft{Text: version("second", "signal")})
	if err != nil || other.State != policy.Proposed {
		t.Fatal(other.State, err)
	}
	if _, err := w.Approve(w.as("ben", "1"), v.Generation, digest); err != nil {
		t.Fatal(err)
	}
	d, err := other.Digest()
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Approve(w.as("ben", "1"), other.Generation, d)
	wantKind(t, "a proposal that another version overtook", err, ward.Conflict)
	_, err = w.Withdraw(w.as("cyd", "1"), other.Generation, " ")
	wantKind(t, "without a reason", err, ward.Invalid)
	got, err := w.Withdraw(w.as("cyd", "1"), other.Generation, "overtaken")
	if err != nil || got.State != policy.Withdrawn || got.EndReason != "overtaken" || got.Ended.IsZero() {
		t.Errorf("Withdraw() = %+v, %v", got, err)
	}
	_, err = w.Withdraw(w.as("cyd", "1"), v.Generation, "no")
	wantKind(t, "a version in force", err, ward.Conflict)
	_, err = w.Approve(w.as("ben", "1"), 99, d)
	wantKind(t, "an unknown version", err, ward.NotFound)
}

// TestDigest: everything that an approver reads is in the digest.
func TestDigest(t *testing.T) {
	t.Parallel()
	base := policy.Version{Generation: 3, Text: "a", Files: map[string][]byte{"f": []byte("1")}, Reason: "r", Base: 2, PublishedBy: "ada", Rings: policy.Rings{Percent: []int{10, 100}}}
	seen := map[string]string{}
	for name, change := range map[string]func(*policy.Version){
		"nothing": func(*policy.Version) {}, "generation": func(v *policy.Version) { v.Generation = 4 }, "text": func(v *policy.Version) { v.Text = "b" },
		"file": func(v *policy.Version) { v.Files = map[string][]byte{"f": []byte("2")} }, "file name": func(v *policy.Version) { v.Files = map[string][]byte{"g": []byte("1")} },
		"reason": func(v *policy.Version) { v.Reason = "s" }, "base": func(v *policy.Version) { v.Base = 1 }, "author": func(v *policy.Version) { v.PublishedBy = "ben" },
		"rings": func(v *policy.Version) { v.Rings.Percent = []int{20, 100} }, "canary": func(v *policy.Version) { v.Rings.Canary = []string{"x"} },
	} {
		v := base
		change(&v)
		d, err := v.Digest()
		if err != nil || len(d) != 64 {
			t.Fatalf("%s: %q, %v", name, d, err)
		}
		if twin := seen[d]; twin != "" {
			t.Errorf("%s and %s have one digest", name, twin)
		}
		seen[d] = name
	}
}
