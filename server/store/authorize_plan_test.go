package store

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward/server/seal"
)

// TestAuthorizePlan: the question that is asked most goes by keys alone.
func TestAuthorizePlan(t *testing.T) {
	t.Parallel()
	db, err := Open(t.Context(), Options{URL: filepath.Join(t.TempDir(), "ward.db"), Master: seal.NewMaster([32]byte{1}), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	rows, err := db.pool.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+authorizeSubject, "x") //nolint:rowserrcheck // scanAll asks
	steps, err := scanAll(rows, err, func(r scanner) (step string, err error) {
		var id, parent, unused int
		return step, r.Scan(&id, &parent, &unused, &step)
	})
	if err != nil {
		t.Fatal(err)
	}
	searches := 0
	for _, s := range steps {
		if strings.Contains(s, "SCAN") {
			t.Errorf("it reads a whole table: %s", s)
		}
		if strings.Contains(s, "SEARCH") {
			searches++
		}
	}
	if searches != 5 {
		t.Errorf("it looks in %d places, want 5:\n%s", searches, strings.Join(steps, "\n"))
	}
}
