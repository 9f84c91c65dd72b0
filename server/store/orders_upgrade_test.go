package store

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/order"
	"github.com/wardmdm/ward/server/seal"
)

// TestUpgradeOrders: orders from before signatures keep their record; those that wait are
// closed, and what their devices did not fetch is taken back.
func TestUpgradeOrders(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ward.db")
	raw, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	exec := func(q string, args ...any) {
		t.Helper()
		if _, err := raw.ExecContext(t.Context(), q, args...); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	exec(`CREATE TABLE schema_migration (version BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)`)
	all, err := readMigrations()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.version > 20 { // the schema of the release before
			break
		}
		for _, stmt := range statements(sqliteDialect.types.Replace(m.sql)) {
			exec(stmt)
		}
		exec(`INSERT INTO schema_migration VALUES ($1, $2, 1)`, m.version, m.name)
	}
	for id, state := range map[string]string{"asked": "requested", "queued": "issued", "done": "issued"} {
		exec(`INSERT INTO orders (id, kind, hash, preserve_data_plan, disallow_proximity_setup, reason, case_id, requested_by, requested_name, state, created_at, expires_at, closed_by, closed_name, closed_at, closed_reason)
			VALUES ($1, 'erase', 'h', 1, 0, 'why', '', 'ada', 'Ada', $2, 5, 9, '', '', 0, '')`, id, state)
		exec(`INSERT INTO order_target (order_id, device_id, enrolment_id, name, outcome, command, delivered_at, answered_at, error) VALUES ($1, 'd', 'e', 'n', $2, CASE WHEN $1 = 'asked' THEN '' ELSE $1 END, 0, 0, '')`, id, map[string]string{"queued": "waiting", "done": "accepted"}[id])
		if state == "issued" {
			exec(`INSERT INTO order_approval (order_id, hash, requested_by, person, name, via, token, at) VALUES ($1, 'h', 'ada', 'ben', 'Ben', 'token', 't', 6)`, id)
		}
	}
	exec(`INSERT INTO command (uuid, enrolment_id, request_type, sealed, urgent, pending, deferred, state, step_key, case_id, order_id, requested_by, created_at, delivered_at, deliveries, not_now_at, answered_at, error)
		VALUES ('queued', 'e', 'EraseDevice', 'x', 0, TRUE, FALSE, 'waiting', '', '', 'queued', 'ada', 7, 0, 0, 0, 0, '')`)
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), Options{URL: path, Master: seal.NewMaster([32]byte{1}), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	for id, want := range map[string]struct {
		state   order.State
		outcome order.Outcome
		yes     int
	}{"asked": {order.Expired, "", 0}, "queued": {order.Issued, order.Superseded, 1}, "done": {order.Issued, order.Accepted, 1}} {
		o, err := db.Orders().Order(t.Context(), ward.OrderID(id))
		if err != nil {
			t.Fatal(err)
		}
		if o.State != want.state || len(o.Approvals) != want.yes || !o.Options.PreserveDataPlan || o.Options.DisallowProximitySetup || o.Targets[0].Outcome != want.outcome {
			t.Errorf("order %s is %+v, want %+v", id, o, want)
		}
	}
	if r, err := db.Commands().Command(t.Context(), "queued", "e"); err != nil || r.State != command.Cancelled || r.State.Open() {
		t.Errorf("%+v, %v", r, err)
	}
}
