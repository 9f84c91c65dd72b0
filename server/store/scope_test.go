package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/policy"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestScope: on both databases, who is bounded reads what lies within, by id and in lists,
// and who is not reads everything.
func TestScope(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, at := t.Context(), time.Date(2026, 11, 3, 3, 0, 0, 0, time.UTC)
		ok := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		for id, site := range map[string]string{"in": "North", "out": "South", "nowhere": ""} {
			d := ward.DeviceID(id)
			ok(db.Fleet().InsertDevice(ctx, ward.Device{ID: d, Serial: "S" + id, Name: "Phone " + id, Platform: ward.IOS, Ownership: ward.Corporate, Group: "wards", Site: site, State: ward.Managed, Created: at}))
			if _, err := db.Cases().Add(ctx, lost.Case{ID: ward.CaseID(id), Device: d, Kind: lost.Lost, State: lost.Open, Reported: at}); err != nil {
				t.Fatal(err)
			}
			ok(db.Orders().Add(ctx, order.Order{ID: ward.OrderID(id), Kind: order.Erase, RequestedBy: "ada", State: order.Requested, Created: at, Expires: at.Add(time.Hour), Targets: []order.Target{{Device: d, Enrolment: ward.EnrolmentID(id)}}}))
			ok(db.Invitations().InsertInvitation(ctx, enrollment.Invitation{ID: id, Device: d, Created: at, Expires: at.Add(time.Hour)}, "hash of "+id))
		}
		ok(db.Orders().Add(ctx, order.Order{ID: "both", Kind: order.Erase, RequestedBy: "ada", State: order.Requested, Created: at, Expires: at.Add(time.Hour), Targets: []order.Target{{Device: "in", Enrolment: "e1"}, {Device: "out", Enrolment: "e2"}}}))
		ok(db.Orders().Add(ctx, order.Order{ID: "brake", Kind: order.ReleaseBrake, RequestedBy: "ada", State: order.Requested, Created: at, Expires: at.Add(time.Hour)}))

		for name, tt := range map[string]struct {
			scope   ward.Scope
			devices int
			orders  int
			sees    map[string]bool
		}{
			"nothing bounds":       {ward.Scope{}, 3, 5, map[string]bool{"in": true, "out": true, "nowhere": true}},
			"a site":               {ward.Scope{Sites: []string{"North"}}, 1, 1, map[string]bool{"in": true}},
			"two sites, a group":   {ward.Scope{Sites: []string{"North", "South"}, Groups: []string{"wards"}}, 2, 3, map[string]bool{"in": true, "out": true}},
			"a group":              {ward.Scope{Groups: []string{"wards"}}, 3, 4, map[string]bool{"in": true, "out": true, "nowhere": true}},
			"what nothing lies in": {ward.Scope{Sites: []string{"North' OR TRUE --"}}, 0, 0, nil},
		} {
			as := ward.WithActor(ctx, ward.Actor{Person: "p", Via: ward.ViaSession, Scope: tt.scope})
			devices, err := db.Fleet().Devices(as, "", 10)
			ok(err)
			cases, err := db.Cases().List(as, lost.Filter{Limit: 10})
			ok(err)
			orders, err := db.Orders().List(as, order.Filter{Limit: 10})
			ok(err)
			invitations, err := db.Invitations().Invitations(as, enrollment.Query{Limit: 10, Now: at})
			ok(err)
			_, err = db.Policies().DriftList(as, policy.DriftFilter{Limit: 10})
			ok(err)
			_, err = db.Policies().DriftCounts(as, at)
			ok(err)
			got := []int{len(devices), len(cases), len(invitations), len(orders)}
			if diff := cmp.Diff([]int{tt.devices, tt.devices, tt.devices, tt.orders}, got); diff != "" {
				t.Errorf("%s: devices, cases, invitations and orders mismatch (-want +got):\n%s", name, diff)
			}
			for _, id := range []string{"in", "out", "nowhere"} {
				for what, read := range map[string]func(context.Context) error{
					"device":     func(ctx context.Context) error { _, err := db.Fleet().Device(ctx, ward.DeviceID(id)); return err },
					"case":       func(ctx context.Context) error { _, err := db.Cases().Case(ctx, ward.CaseID(id)); return err },
					"open case":  func(ctx context.Context) error { _, err := db.Cases().OpenCase(ctx, ward.DeviceID(id)); return err },
					"its device": func(ctx context.Context) error { _, err := db.Cases().CaseDevice(ctx, ward.CaseID(id)); return err },
					"order":      func(ctx context.Context) error { _, err := db.Orders().Order(ctx, ward.OrderID(id)); return err },
					"lock":       func(ctx context.Context) error { _, err := db.Orders().Lock(ctx, ward.OrderID(id)); return err },
					"invitation": func(ctx context.Context) error { _, err := db.Invitations().Invitation(ctx, id); return err },
				} {
					err := read(as)
					if seen := err == nil; seen != tt.sees[id] || err != nil && ward.KindOf(err) != ward.NotFound {
						t.Errorf("%s: %s %s: %v, want it seen: %v", name, what, id, err, tt.sees[id])
					}
				}
				found, err := db.Fleet().FindDevice(as, "S"+id)
				if ok(err); len(found) > 0 != tt.sees[id] {
					t.Errorf("%s: found %d by the serial number of %s", name, len(found), id)
				}
			}
		}
	})
}
