package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/declare"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

func publish(t *testing.T, db *store.DB, generations ...int64) {
	t.Helper()
	for _, g := range generations {
		if err := db.Policies().Insert(t.Context(), policy.Version{Generation: g, Text: "a: b\n", Published: time.Unix(g, 0)}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestArtifacts: what is put once is there once, whoever puts it again.
func TestArtifacts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, ctx := db.Declarations(), t.Context()
		one := declare.NewArtifact(declare.ProfileArtifact, []byte("<plist/>"))
		two := declare.NewArtifact(declare.DeclarationArtifact, []byte{0, 0xff})
		none := declare.NewArtifact(declare.ProfileArtifact, nil)
		for range 2 {
			if err := s.Put(ctx, 1, []declare.Artifact{two, one, none, one}); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []declare.Artifact{one, two} {
			got, err := s.Artifact(ctx, want.Hash)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("Artifact(%s): %v, mismatch (-want +got):\n%s", want.Hash, err, diff)
			}
		}
		if got, err := s.Artifact(ctx, none.Hash); err != nil || len(got.Body) != 0 {
			t.Errorf("the empty artifact = %q, %v", got.Body, err)
		}
		if _, err := s.Artifact(ctx, "0123"); ward.KindOf(err) != ward.NotFound {
			t.Errorf("an artifact that is not there: %v, want not found", err)
		}
		forged := one
		forged.Body = []byte("another")
		if err := s.Put(ctx, 1, []declare.Artifact{forged}); err == nil {
			t.Error("an artifact under another's hash was kept")
		}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				list := []declare.Artifact{one, two, declare.NewArtifact("profile", fmt.Append(nil, i))}
				if i%2 == 0 {
					list[0], list[1] = list[1], list[0]
				}
				if err := s.Put(context.WithoutCancel(ctx), int64(i), list); err != nil {
					t.Errorf("Put() by several at once: %v", err)
				}
			})
		}
		wg.Wait()
	})
}

// TestArtifactsJoinTheUnit: what a unit of work that fails has put is not there.
func TestArtifactsJoinTheUnit(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, boom := db.Declarations(), errors.New("boom")
		a := declare.NewArtifact("profile", []byte("x"))
		err := db.Do(t.Context(), func(ctx context.Context) error {
			if err := s.Put(ctx, 1, []declare.Artifact{a}); err != nil {
				return err
			}
			if _, err := s.Artifact(ctx, a.Hash); err != nil {
				t.Errorf("within the unit: %v", err)
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatalf("Do() = %v, want %v", err, boom)
		}
		if _, err := s.Artifact(t.Context(), a.Hash); ward.KindOf(err) != ward.NotFound {
			t.Errorf("after the unit: %v, want not found", err)
		}
	})
}

// TestPurgeArtifacts: what an old version made goes once it is out of use for long
// enough, and nothing else does.
func TestPurgeArtifacts(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, ctx := db.Declarations(), t.Context()
		art := func(i int) declare.Artifact { return declare.NewArtifact("profile", fmt.Append(nil, "made by ", i)) }
		there := func() (list []int) {
			for i := 1; i <= 5; i++ {
				if _, err := s.Artifact(ctx, art(i).Hash); err == nil {
					list = append(list, i)
				} else if ward.KindOf(err) != ward.NotFound {
					t.Fatal(err)
				}
			}
			return list
		}
		long, soon := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		for i := 1; i <= 5; i++ {
			if err := s.Put(ctx, int64(i), []declare.Artifact{art(i), art(1)}); err != nil { // every version makes the first
				t.Fatal(err)
			}
		}
		for _, tc := range []struct {
			name    string
			publish []int64
			keep    int
			before  time.Time
			want    []int
		}{
			{"no policy was ever published", nil, 1, soon, []int{1, 2, 3, 4, 5}},
			{"all were used lately", []int64{1, 2, 3, 4, 5}, 1, long, []int{1, 2, 3, 4, 5}},
			{"more versions are kept than there are", nil, 9, soon, []int{1, 2, 3, 4, 5}},
			{"the last two are kept", nil, 2, soon, []int{1, 4, 5}},
			{"none is kept, which keeps one", nil, 0, soon, []int{1, 5}},
		} {
			publish(t, db, tc.publish...)
			before := len(there())
			n, err := s.Purge(ctx, tc.keep, tc.before)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, there()); diff != "" || int(n) != before-len(tc.want) {
				t.Errorf("%s: %d deleted, left mismatch (-want +got):\n%s", tc.name, n, diff)
			}
		}
		if n, err := declare.PurgeArtifacts(ctx, s, time.Now()); err != nil || n != 0 {
			t.Errorf("PurgeArtifacts() = %d, %v; want nothing deleted, all is new", n, err)
		}
	})
}

func TestStatusReports(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s, ctx := db.Declarations(), t.Context()
		if _, err := s.LastReport(ctx, "e1"); ward.KindOf(err) != ward.NotFound {
			t.Errorf("before the first: %v, want not found", err)
		}
		long := bytes.Repeat([]byte{0, 0xff}, declare.MaxRaw)
		want := declare.RawReport{Received: time.Unix(7, 5000).UTC(), Full: true, Size: len(long), Body: long}
		for _, r := range []declare.RawReport{{Received: time.Unix(1, 0).UTC(), Size: 2, Body: []byte("{}")}, {Received: time.Unix(2, 0)}, want} {
			if err := s.KeepReport(ctx, "e1", r); err != nil {
				t.Fatal(err)
			}
		}
		want.Body = long[:declare.MaxRaw]
		got, err := s.LastReport(ctx, "e1")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("LastReport(): %v, mismatch (-want +got):\n%s", err, diff)
		}
		if _, err := s.LastReport(ctx, "e2"); ward.KindOf(err) != ward.NotFound {
			t.Errorf("another enrolment's: %v, want not found", err)
		}
	})
}
