package store

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward/server/seal"
)

// TestNotificationsPlan: asking whether something is due, which is done every few seconds,
// goes by the small index of what waits, however long the log is.
func TestNotificationsPlan(t *testing.T) {
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
	rows, err := db.pool.QueryContext(t.Context(), "EXPLAIN QUERY PLAN SELECT 1 FROM notification WHERE "+dueNotification, "email", int64(1)) //nolint:rowserrcheck // scanAll asks
	steps, err := scanAll(rows, err, func(r scanner) (step string, err error) {
		var id, parent, unused int
		return step, r.Scan(&id, &parent, &unused, &step)
	})
	if err != nil {
		t.Fatal(err)
	}
	if plan := strings.Join(steps, "\n"); !strings.Contains(plan, "INDEX notification_due") {
		t.Errorf("it does not go by the index of what waits:\n%s", plan)
	}
}
