package posture_test

import (
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestScope: devices out of somebody's scope are not there for them, under no name.
func TestScope(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t)
	r, _ := newReader(t, db)
	all := ward.WithActor(t.Context(), ward.Actor{Person: "p1"})
	for _, id := range []ward.DeviceID{"a", "b", "c", "d"} {
		insert(t, db, id, "SN"+string(id), "Phone")
		if id == "b" || id == "d" {
			if err := r.Move(all, id, "Ward 9"); err != nil {
				t.Fatal(err)
			}
		}
	}
	nine := ward.WithActor(t.Context(), ward.Actor{Person: "p2", Scope: ward.Scope{Groups: []string{"Ward 9"}}})
	rows, err := r.List(nine, "", 1)
	if err != nil || len(rows) != 1 || rows[0].Device.ID != "b" {
		t.Errorf("List() = %v, %v; want b", rows, err)
	}
	if rows, err = r.List(nine, "b", 5); err != nil || len(rows) != 1 || rows[0].Device.ID != "d" {
		t.Errorf("List() = %v, %v; want d", rows, err)
	}
	for word, want := range map[string]ward.Kind{"a": ward.NotFound, "SNc": ward.NotFound, "b": "", "SNd": "", "Phone": ward.Conflict} {
		if _, err := r.Find(nine, word); ward.KindOf(err) != want {
			t.Errorf("Find(%q) = %v, want %q", word, err, want)
		}
	}
	for name, err := range map[string]error{
		"Refresh": r.Refresh(nine, "a"), "Release": r.Release(nine, "a"), "Move": r.Move(nine, "a", "Ward 9"),
	} {
		if ward.KindOf(err) != ward.NotFound {
			t.Errorf("%s out of scope: %v, want not found", name, err)
		}
	}
	if _, err := r.Row(nine, "a"); ward.KindOf(err) != ward.NotFound {
		t.Errorf("Row() out of scope: %v, want not found", err)
	}
}
