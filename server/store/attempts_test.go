package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestPurgeAttempts: of the steps of each thing the last that was accepted, the newest
// and what is open stay however old they are; what was overtaken goes.
func TestPurgeAttempts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		for _, id := range []string{"d1", "d2"} {
			if err := db.Fleet().InsertDevice(ctx, aDevice(id, "SN-"+id, id)); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		try := func(e ward.Enrolment, key string, s command.State) {
			t.Helper()
			n++
			uuid, err := db.Commands().Enqueue(ctx, command.New{UUID: fmt.Sprint("u", n), Enrolment: e.ID, RequestType: "Any", Body: []byte("x"), StepKey: key})
			if err != nil {
				t.Fatal(err)
			}
			if s.Open() {
				return
			}
			if _, _, err := db.Commands().Report(ctx, e.ID, store.Answer{UUID: uuid, State: s}); err != nil {
				t.Fatal(err)
			}
		}
		one, two := admitted(t, db, "d1"), admitted(t, db, "d2")
		for _, a := range []struct {
			key string
			s   command.State
		}{
			{"profile:p:1", command.Accepted},
			{"profile:p:2", command.Accepted},
			{"profile:p:3", command.Refused},
			{"profile:p:4", command.Refused},
			{"profile:q:1", command.Waiting},
			{"profile:q:2", command.Accepted},
			{"app:a.b:1", command.Accepted},
			{"declarations:", command.Accepted},
			{"declarations:1", command.Accepted},
			{"declarations:2", command.Waiting},
			{"apps:1", command.Accepted},
			{"apps:2", command.Accepted},
			{"information", command.Accepted},
			{"remove-profile:p", command.Accepted},
			{"lost-mode:c1", command.Accepted},
			{"lost-mode:c2", command.Accepted},
		} {
			try(one, a.key, a.s)
		}
		try(two, "profile:p:1", command.Accepted)
		keys := func() (out []string) {
			for _, e := range []ward.Enrolment{one, two} {
				all, err := db.Commands().Attempts(ctx, e.ID)
				if err != nil {
					t.Fatal(err)
				}
				for _, a := range all {
					out = append(out, string(e.Device)+" "+a.Key)
				}
			}
			return out
		}
		if n, err := db.Policies().PurgeAttempts(ctx, time.Now().Add(-time.Hour)); n != 0 || err != nil {
			t.Errorf("PurgeAttempts() of an hour ago = %d, %v; want none that old", n, err)
		}
		gone := []string{"d1 profile:p:1", "d1 profile:p:3", "d1 declarations:", "d1 apps:1"}
		want := slices.DeleteFunc(keys(), func(k string) bool { return slices.Contains(gone, k) })
		for _, n := range []int64{4, 0} {
			if got, err := db.Policies().PurgeAttempts(ctx, time.Now().Add(time.Hour)); got != n || err != nil {
				t.Errorf("PurgeAttempts() = %d, %v; want %d", got, err, n)
			}
		}
		if diff := cmp.Diff(want, keys()); diff != "" || len(want) != 13 {
			t.Errorf("what is left mismatch (-want +got)\n%s", diff)
		}
	})
}

// TestFleetAttempts: attempts and revocations are told of the devices that are asked
// about, however many, and of active enrolments only.
func TestFleetAttempts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, p := t.Context(), db.Policies()
		var ids []ward.DeviceID
		for i := range 103 { // more than a query asks about at once
			id := fmt.Sprintf("d%03d", i)
			if err := db.Fleet().InsertDevice(ctx, aDevice(id, "SN-"+id, id)); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, ward.DeviceID(id))
			e := admitted(t, db, ward.DeviceID(id))
			if _, err := db.Commands().Enqueue(ctx, command.New{UUID: id, Enrolment: e.ID, RequestType: "Any", Body: []byte("x"), StepKey: "profile:p:1"}); err != nil {
				t.Fatal(err)
			}
			if i > 1 {
				continue
			}
			for j, kind := range []ca.Kind{ca.KindNetwork, ca.KindApp, ca.KindNetwork} {
				c := certificate(fmt.Sprint(i, j), kind, ward.DeviceID(id))
				if c.Enrolment, c.App = e.ID, fmt.Sprint("hash", j); j < 2 {
					c.RevokedAt = certTime
				}
				insert(t, db.Certificates(), c)
			}
		}
		seen := map[ward.DeviceID]int{}
		err := p.Attempts(ctx, append(ids[2:], "nobody"), func(a policy.Attempt) error {
			if a.Key != "profile:p:1" || a.State != string(command.Waiting) || a.Tries != 1 || !a.Answered.IsZero() {
				t.Errorf("attempt = %+v", a)
			}
			seen[a.Device]++
			return nil
		})
		if err != nil || len(seen) != 101 || seen["d000"] != 0 || seen["d102"] != 1 {
			t.Errorf("Attempts() told of %d devices, %v; want those 101, once each", len(seen), err)
		}
		if err := p.Attempts(ctx, nil, func(policy.Attempt) error { t.Error("an attempt of no device"); return nil }); err != nil {
			t.Error(err)
		}
		var revoked []policy.Revocation
		err = p.Revoked(ctx, func(r policy.Revocation) error {
			revoked = append(revoked, r)
			return nil
		})
		slices.SortFunc(revoked, func(a, b policy.Revocation) int { return strings.Compare(string(a.Device), string(b.Device)) })
		want := []policy.Revocation{{Device: "d000", Profile: "hash0", At: certTime}, {Device: "d001", Profile: "hash0", At: certTime}}
		if diff := cmp.Diff(want, revoked); diff != "" || err != nil {
			t.Errorf("Revoked() %v, mismatch (-want +got)\n%s", err, diff)
		}
	})
}
