package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/micromdm/nanomdm/mdm"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/fleet"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/reconcile"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

var policyTime = time.Date(2026, 11, 22, 2, 0, 0, 5000, time.UTC)

// TestPolicyRows: a version comes back as it was kept, and is turned from the state
// that was read only.
func TestPolicyRows(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		p, ctx := db.Policies(), t.Context()
		want := policy.Version{
			Generation: 1, State: policy.Proposed, Text: "name: it’s\n", Files: map[string][]byte{"a/b.xml": {0, 1, 255}}, Note: "n", Reason: "r",
			Rings: policy.Rings{Canary: []string{"Ward 7"}, Percent: []int{10, 100}, Pause: 90 * time.Second, StopAt: 0.05},
			Base:  0, Devices: 7, Changed: 3, Together: 5, Published: policyTime, PublishedBy: "ada", AuthorName: "Ada",
		}
		if err := p.Insert(ctx, want); err != nil {
			t.Fatal(err)
		}
		got, err := p.Version(ctx, 1)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("Version() %v, mismatch (-want +got)\n%s", err, diff)
		}
		if err := p.Insert(ctx, want); ward.KindOf(err) != ward.Conflict {
			t.Errorf("a generation kept twice: %v, want a conflict", err)
		}
		own := want
		own.State, own.Approver = policy.Current, "ada"
		if ok, err := p.Turn(ctx, own, policy.Proposed); ok || err != nil {
			t.Errorf("who made it approves it: %v, %v", ok, err)
		}
		want.State, want.Approver, want.ApproverName, want.Approved = policy.Current, "ben", "Ben", policyTime.Add(time.Hour)
		for i, expect := range []bool{true, false} {
			if ok, err := p.Turn(ctx, want, policy.Proposed); ok != expect || err != nil {
				t.Errorf("turn %d: %v, %v", i, ok, err)
			}
		}
		got, err = p.Version(ctx, 1)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("Version() %v, mismatch (-want +got)\n%s", err, diff)
		}
		second := policy.Version{Generation: 2, State: policy.Current, Text: "x", Published: policyTime}
		if err := p.Insert(ctx, second); err == nil {
			t.Error("two versions are current")
		}
		second.State = policy.Rolling
		if err := p.Insert(ctx, second); err != nil {
			t.Fatal(err)
		}
		standing, err := p.Standing(ctx)
		if diff := cmp.Diff([]policy.Version{want, second}, standing); diff != "" || err != nil {
			t.Errorf("Standing() %v, mismatch (-want +got)\n%s", err, diff)
		}
		r := policy.Rollout{Generation: 2, Ring: 1, Started: policyTime, Opened: policyTime.Add(time.Second)}
		for range 2 {
			if err := p.SetRollout(ctx, r); err != nil {
				t.Fatal(err)
			}
			if got, err := p.Rollout(ctx, 2); got != r || err != nil {
				t.Errorf("Rollout() = %+v, %v, want %+v", got, err, r)
			}
			r.Ring, r.Stopped, r.Finished, r.Failed, r.Reason = 2, policyTime, policyTime, 4, "why"
		}
		if _, err := p.Rollout(ctx, 1); ward.KindOf(err) != ward.NotFound {
			t.Errorf("no rollout: %v, want not found", err)
		}
		for _, step := range []struct {
			moved bool
			want  int64
		}{{false, 0}, {true, 1}, {true, 2}} {
			if err := p.SetEpoch(ctx, step.moved, fmt.Sprint(step)); err != nil {
				t.Fatal(err)
			}
			if n, stamp, err := p.Epoch(ctx); n != step.want || stamp != fmt.Sprint(step) || err != nil {
				t.Errorf("Epoch() = %d, %q, %v, want %d", n, stamp, err, step.want)
			}
		}
	})
}

// TestSubjects: every device with an active enrolment is told once, with where it
// belongs and what it said.
func TestSubjects(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f, ctx := db.Fleet(), t.Context()
		d := aDevice("d1", "SN1", "Ward 7")
		d.Site, d.Role, d.OSVersion = "North", "nurse", "18.6"
		for _, d := range []ward.Device{d, aDevice("d2", "SN2", "never enrolled")} {
			if err := f.InsertDevice(ctx, d); err != nil {
				t.Fatal(err)
			}
		}
		got, err := f.Device(ctx, "d1")
		if diff := cmp.Diff(d, got); diff != "" || err != nil {
			t.Errorf("Device() %v, mismatch (-want +got)\n%s", err, diff)
		}
		e := admitted(t, db, "d1")
		if err := f.SetFact(ctx, e.ID, fact("installed_apps", `[]`)); err != nil {
			t.Fatal(err)
		}
		if err := f.SetFact(ctx, e.ID, fact("declarations", `[{"identifier":"x","token":"t","active":false,"valid":"invalid"}]`)); err != nil {
			t.Fatal(err)
		}
		seen := policyTime.Add(time.Minute)
		db.Seen(e.ID, seen)
		if err := db.FlushSeen(ctx); err != nil {
			t.Fatal(err)
		}
		want := policy.Subject{
			Device:     ward.Device{ID: "d1", Serial: "SN1", Platform: ward.IOS, OSVersion: "18.6", Ownership: ward.Corporate, Group: "g", Site: "North", Role: "nurse", Email: "ada@hospital.example"},
			Supervised: e.Supervised, Rights: e.Rights, Kind: e.Kind, Enrolled: e.Enrolled, LastSeen: seen,
		}
		for _, apps := range []bool{false, true} {
			var all []policy.Subject
			err := db.Policies().Subjects(ctx, apps, func(s policy.Subject) error {
				s.Device.State = "" // what management made of it is no matter here
				all = append(all, s)
				return nil
			})
			if apps {
				want.Apps = []byte("[]")
			}
			if len(all) == 1 && len(all[0].Apps) == 0 {
				all[0].Apps = nil
			}
			if diff := cmp.Diff([]policy.Subject{want}, all); diff != "" || err != nil {
				t.Errorf("Subjects(%v) %v, mismatch (-want +got)\n%s", apps, err, diff)
			}
		}
		var told []string
		err = db.Policies().Declared(ctx, []ward.DeviceID{"d1", "d2", "d3"}, func(id ward.DeviceID, raw []byte) error {
			told = append(told, fmt.Sprintf("%s %s", id, raw))
			return nil
		})
		if diff := cmp.Diff([]string{`d1 [{"identifier":"x","token":"t","active":false,"valid":"invalid"}]`}, told); diff != "" || err != nil {
			t.Errorf("Declared() %v, mismatch (-want +got)\n%s", err, diff)
		}
		stop := fmt.Errorf("stop")
		if err := db.Policies().Subjects(ctx, false, func(policy.Subject) error { return stop }); err != stop { //nolint:errorlint // the very error is returned
			t.Errorf("the caller's error came back as %v", err)
		}
	})
}

// admitted enrols a device as its check-ins do.
func admitted(t *testing.T, db *store.DB, id ward.DeviceID) ward.Enrolment {
	t.Helper()
	r := mdm.NewRequestWithContext(fleet.WithAdmission(t.Context(), fleet.Admission{Device: id, Rights: ward.RightsAll}), nil)
	r.EnrollID = &mdm.EnrollID{Type: mdm.Device, ID: "udid-" + string(id)}
	from := mdm.Enrollment{UDID: r.EnrollID.ID}
	if err := db.MDM().StoreAuthenticate(r, &mdm.Authenticate{Enrollment: from, Topic: "t", Raw: []byte("raw")}); err != nil {
		t.Fatal(err)
	}
	if err := db.MDM().StoreTokenUpdate(r, &mdm.TokenUpdate{Enrollment: from, Push: mdm.Push{Topic: "t", PushMagic: "m", Token: []byte{1}}, Raw: []byte("raw")}); err != nil {
		t.Fatal(err)
	}
	e, err := db.Fleet().Current(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func fact(kind fleet.FactKind, value string) fleet.Fact {
	return fleet.Fact{Kind: kind, Value: []byte(value), Observed: policyTime}
}

func TestDriftRows(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		gone, back := reconcile.Deviation{Kind: reconcile.DriftedProfile, Subject: "p"}, reconcile.Deviation{Kind: reconcile.BlockedApp, Subject: "whatsapp"}
		for i, all := range [][]reconcile.Deviation{{gone}, {gone, back}, {back}, {gone}, nil} {
			if err := db.Drift().Settle(ctx, "d1", all, policyTime.Add(time.Duration(i)*time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Drift().Settle(ctx, "d2", []reconcile.Deviation{gone}, policyTime); err != nil {
			t.Fatal(err)
		}
		list := func(f policy.DriftFilter) (out []string) {
			f.Limit = 10
			ds, err := db.Policies().DriftList(ctx, f)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range ds {
				righted := "open"
				if !d.Righted.IsZero() {
					righted = d.Righted.Sub(d.Found).String()
				}
				out = append(out, fmt.Sprint(d.Device, " ", d.Kind, " ", righted))
			}
			return out
		}
		for name, tt := range map[string]struct {
			filter policy.DriftFilter
			want   []string
		}{
			"all":          {policy.DriftFilter{}, []string{"d2 profile open", "d1 profile 1h0m0s", "d1 blocked-app 2h0m0s", "d1 profile 2h0m0s"}},
			"open":         {policy.DriftFilter{Open: true}, []string{"d2 profile open"}},
			"a device's":   {policy.DriftFilter{Device: "d1", Kind: "profile"}, []string{"d1 profile 1h0m0s", "d1 profile 2h0m0s"}},
			"the page two": {policy.DriftFilter{Before: 2}, []string{"d1 profile 2h0m0s"}},
			"nothing":      {policy.DriftFilter{Kind: "os"}, nil},
		} {
			if diff := cmp.Diff(tt.want, list(tt.filter)); diff != "" {
				t.Errorf("%s mismatch (-want +got)\n%s", name, diff)
			}
		}
		counts, err := db.Policies().DriftCounts(ctx, policyTime.Add(time.Hour))
		want := []policy.DriftCount{{Kind: "blocked-app", Found: 1, Righted: 1}, {Kind: "profile", Open: 1, Devices: 1, Found: 1, Righted: 1}}
		if diff := cmp.Diff(want, counts); diff != "" || err != nil {
			t.Errorf("DriftCounts() %v, mismatch (-want +got)\n%s", err, diff)
		}
		if n, err := db.Policies().PurgeDrift(ctx, policyTime.Add(3*time.Hour)); n != 1 || err != nil {
			t.Errorf("PurgeDrift() = %d, %v, want the one that was put right before", n, err)
		}
	})
}
