package store

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward/server/seal"
)

// TestOpenCommandsPlan: what a check-in reads and writes of the queue goes by the small
// index of open commands, however long the history is. SQLite plans without statistics,
// so the plan for an empty table is the plan for a full one.
func TestOpenCommandsPlan(t *testing.T) {
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
	for name, query := range map[string]string{
		"contact": contact, "resume": resume, "next": next,
		"open commands": `SELECT seq FROM command WHERE enrolment_id = $1 AND ` + openCommand + ` ORDER BY urgent, seq`,
	} {
		args := []any{"x", int64(1)}[:strings.Count(query, "$2")+1]
		rows, err := db.pool.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...) //nolint:rowserrcheck // scanAll asks
		steps, err := scanAll(rows, err, func(r scanner) (step string, err error) {
			var id, parent, unused int
			return step, r.Scan(&id, &parent, &unused, &step)
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		plan := strings.Join(steps, "\n")
		if !strings.Contains(plan, "INDEX command_pending") || strings.Contains(plan, "command_history") || strings.Contains(plan, "SCAN command") {
			t.Errorf("%s does not go by the index of open commands:\n%s", name, plan)
		}
	}
}
