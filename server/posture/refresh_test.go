package posture_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestRefreshMany: many devices are asked once, woken one after another, and written to the
// audit log in one line; those out of the scope and those that are not enrolled are left out.
func TestRefreshMany(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r, log := newReader(t, db)
		begin := now()
		r.Now = func() time.Time { return begin }
		const n = 120
		var ids []ward.DeviceID
		for i := range n {
			id := ward.DeviceID(fmt.Sprintf("d%03d", i))
			insert(t, db, id, "SN"+string(id), "Phone")
			enrol(t, db, id, "U"+string(id))
			ids = append(ids, id, id)
		}
		insert(t, db, "invited", "", "Never enrolled")
		if _, err := db.Outbox().Lease(t.Context(), begin.Add(time.Hour), time.Nanosecond, 1000); err != nil {
			t.Fatal(err)
		}
		ctx := ward.WithActor(t.Context(), ward.Actor{Person: "p1"})
		asked, err := r.RefreshMany(ctx, append(ids, "invited", "nobody"), []string{"at Royal", "iOS"})
		if err != nil || asked != n {
			t.Fatalf("RefreshMany() = %d, %v; want %d", asked, err, n)
		}
		if diff := cmp.Diff([]string{"devices.refreshed "}, log.actions); diff != "" {
			t.Errorf("audit log mismatch (-want +got):\n%s", diff)
		}
		for _, tt := range []struct {
			after time.Duration
			want  int
		}{{0, 1}, {990 * time.Millisecond, 49}, {2 * time.Second, 51}, {3 * time.Second, 19}} {
			due, err := db.Outbox().Lease(t.Context(), begin.Add(tt.after), time.Hour, 1000)
			if err != nil || len(due) != tt.want {
				t.Errorf("%d devices are woken by %s, %v; want %d more", len(due), tt.after, err, tt.want)
			}
		}
		if asked, err = r.RefreshMany(ctx, ids, nil); err != nil || asked != 0 {
			t.Errorf("RefreshMany() again = %d, %v; want none, for all are being asked", asked, err)
		}
		scoped := ward.WithActor(t.Context(), ward.Actor{Person: "p2", Scope: ward.Scope{Groups: []string{"elsewhere"}}})
		enrol(t, db, ids[0], "U"+string(ids[0])) // it would be asked anew
		if asked, err = r.RefreshMany(scoped, ids, nil); err != nil || asked != 0 {
			t.Errorf("RefreshMany() out of scope = %d, %v; want none", asked, err)
		}
		if _, err := r.RefreshMany(ctx, nil, nil); ward.KindOf(err) != ward.Invalid {
			t.Errorf("RefreshMany() of none: %v, want invalid", err)
		}
	})
}
