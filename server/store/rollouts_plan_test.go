package store

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward/server/seal"
)

// TestRolloutPlan: what a rollout reads of its devices it finds by their indexes, and
// scans no table, however many other devices there are.
func TestRolloutPlan(t *testing.T) {
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
	for name, query := range map[string]string{"attempts": attemptsOf(), "declarations": declarationsOf()} {
		rows, err := db.pool.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, make([]any, chunk)...) //nolint:rowserrcheck // scanAll asks
		steps, err := scanAll(rows, err, func(r scanner) (step string, err error) {
			var id, parent, unused int
			return step, r.Scan(&id, &parent, &unused, &step)
		})
		if plan := strings.Join(steps, "\n"); err != nil || strings.Contains(plan, "SCAN") || !strings.Contains(plan, "enrolment_device") {
			t.Errorf("%s, %v: not found by device:\n%s", name, err, plan)
		}
	}
}
