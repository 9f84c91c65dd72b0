package evidence_test

import (
	"strings"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/access"
	"github.com/wardmdm/ward/server/store/storetest"
)

// TestEraseTheOneMeant: of two accounts with one address the one is erased that was named by
// its id, and none where the address alone was said.
func TestEraseTheOneMeant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	var ids []ward.PersonID
	for _, name := range []string{"Asha Rao", "Asha Rao (2)"} {
		p, err := w.access.CreatePerson(w.system(), access.NewPerson{Name: name, Email: "asha.rao@example.org", Roles: []ward.Role{ward.RoleStaff}})
		w.must(err)
		ids = append(ids, p.ID)
	}
	_, err := w.access.CreatePerson(w.system(), access.NewPerson{Name: "Ada Byron", Roles: []ward.Role{ward.RoleAdmin}})
	w.must(err)
	admin := ward.WithActor(w.Context(), ward.Actor{Person: "person-root", Name: "Root", Via: ward.ViaSession, Roles: []ward.Role{ward.RoleAdmin}})
	if _, err := w.Erase(admin, "asha.rao@example.org"); ward.KindOf(err) != ward.Conflict || !strings.Contains(err.Error(), "Several accounts") {
		t.Fatalf("erasing an address that two accounts have = %v, want a conflict", err)
	}
	_, err = w.Erase(admin, string(ids[0]))
	w.must(err)
	for i, id := range ids {
		p, err := w.access.Person(w.Context(), id)
		w.must(err)
		if erased := !p.ErasedAt.IsZero(); erased != (i == 0) {
			t.Errorf("%s is erased: %v; want only the first, which was named", id, erased)
		}
	}
	_, err = w.Erase(admin, "asha.rao@example.org") // now it is plain who is meant
	w.must(err)
}
