package store_test

import (
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
	"github.com/wardmdm/ward/server/notice"
	"github.com/wardmdm/ward/server/store"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestInvitationStates: lists and counts agree with what an invitation says of itself, and
// somebody who is bounded to a site sees its own alone.
func TestInvitationStates(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		s := db.Invitations()
		for _, i := range []enrollment.Invitation{
			{ID: "1", Name: "Ada_Byron", Device: "d1", Site: "North", Expires: now.Add(time.Hour)},
			{ID: "2", Name: "Ben", Device: "d2", Site: "South", Expires: now},
			{ID: "3", Name: "Cleo", Device: "d3", Site: "North", Expires: now.Add(time.Hour), Revoked: now},
			{ID: "4", Name: "Dot", Device: "d4", Site: "North", Expires: now, Used: now},
		} {
			if err := s.InsertInvitation(t.Context(), i, "hash"+i.ID); err != nil {
				t.Fatal(err)
			}
			if err := db.Fleet().InsertDevice(t.Context(), ward.Device{ID: i.Device, Site: i.Site, Email: i.Name + "@Example.org"}); err != nil {
				t.Fatal(err)
			}
		}
		for state, id := range map[enrollment.State]string{enrollment.Open: "1", enrollment.Expired: "2", enrollment.Revoked: "3", enrollment.Used: "4"} {
			got, err := s.Invitations(t.Context(), enrollment.Query{State: state, Now: now, Limit: 10})
			if err != nil || len(got) != 1 || got[0].ID != id || got[0].State(now) != state {
				t.Errorf("%s = %+v, %v; want %s", state, got, err, id)
			}
		}
		north := ward.WithActor(t.Context(), ward.Actor{Name: "Maud", Via: ward.ViaSession, Scope: ward.Scope{Sites: []string{"North"}}})
		counts, err := s.CountInvitations(north, enrollment.Query{Now: now})
		if err != nil || counts[enrollment.Open] != 1 || counts[enrollment.Expired] != 0 || counts[enrollment.Used] != 1 {
			t.Errorf("counts of North = %v, %v", counts, err)
		}
		for search, want := range map[string]int{"ada_": 1, "_": 1, "%": 0, "e": 2} {
			if got, err := s.Invitations(t.Context(), enrollment.Query{Search: search, Now: now, Limit: 10}); err != nil || len(got) != want && search != "e" {
				t.Errorf("search %q = %d, %v; want %d", search, len(got), err, want)
			}
		}
		own, err := db.Fleet().DevicesByEmail(t.Context(), "ben@example.ORG")
		if err != nil || len(own) != 1 || own[0].ID != "d2" {
			t.Errorf("DevicesByEmail() = %+v, %v; want d2", own, err)
		}
	})
}

// TestNotices: an acknowledgement is kept once, with its text, until the person is forgotten.
func TestNotices(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		now, n := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), db.Notices()
		a := notice.Acknowledgement{Person: "p1", Name: "Ada", Email: "ada@example.org", Version: "v1", At: now}
		for i, want := range []bool{true, false} {
			if fresh, err := n.Acknowledge(t.Context(), a, "Read this."); fresh != want || err != nil {
				t.Errorf("Acknowledge() #%d = %t, %v; want %t", i, fresh, err, want)
			}
		}
		if at, err := n.Acknowledged(t.Context(), "p1", "v1"); !at.Equal(now) || err != nil {
			t.Errorf("Acknowledged() = %s, %v", at, err)
		}
		if v, err := n.Versions(t.Context()); err != nil || len(v) != 1 || v[0].Count != 1 || v[0].Text != "Read this." {
			t.Errorf("Versions() = %+v, %v", v, err)
		}
		if gone, err := n.Forget(t.Context(), "p1"); gone != 1 || err != nil {
			t.Errorf("Forget() = %d, %v", gone, err)
		}
		if all, err := n.Acknowledgements(t.Context(), ""); len(all) != 0 || err != nil {
			t.Errorf("Acknowledgements() = %v, %v; want none", all, err)
		}
	})
}

// TestHealthMeasures: an empty record is measured without a fault.
func TestHealthMeasures(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		now := time.Now().UTC()
		if h, err := db.Health(t.Context(), now, now.AddDate(0, 0, -7)); err != nil || h != (store.Health{}) {
			t.Errorf("Health() = %+v, %v; want nothing", h, err)
		}
		if size, ahead, err := db.Size(t.Context(), now); err != nil || size == 0 || ahead.Abs() > time.Minute {
			t.Errorf("Size() = %d, %s, %v", size, ahead, err)
		}
		if e, err := db.TokensEnding(t.Context(), now, now.AddDate(1, 0, 0)); err != nil || len(e) != 0 {
			t.Errorf("TokensEnding() = %v, %v", e, err)
		}
	})
}
