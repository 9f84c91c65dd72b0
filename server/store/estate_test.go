package store

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/seal"
)

// TestEstatePlan: what is asked of postures goes by keys, however long the history is.
func TestEstatePlan(t *testing.T) {
	t.Parallel()
	db := openEstate(t, filepath.Join(t.TempDir(), "ward.db"))
	for query, args := range map[string][]any{
		postureChanges: {"x", 1, 1}, posturesDue: {1}, postureHeads: {1}, postureRows: {1}, keptPosture: {"x"},
	} {
		rows, err := db.pool.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...) //nolint:rowserrcheck // scanAll asks
		steps, err := scanAll(rows, err, func(r scanner) (step string, err error) {
			var id, parent, unused int
			return step, r.Scan(&id, &parent, &unused, &step)
		})
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		for _, s := range steps {
			if strings.Contains(s, "TEMP B-TREE") || strings.HasPrefix(s, "SCAN") && s != "SCAN CONSTANT ROW" && !strings.Contains(s, "posture_due_tried") {
				t.Errorf("%s reads more than it tells:\n%s", query, strings.Join(steps, "\n"))
			}
		}
	}
}

func openEstate(t *testing.T, path string) *DB {
	t.Helper()
	db, err := Open(t.Context(), Options{URL: path, Master: seal.NewMaster([32]byte{1}), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// TestUpgradeEstate: every device of the release before is judged, and what counted as gone
// counts as retired.
func TestUpgradeEstate(t *testing.T) {
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
		if m.version > 25 { // the schema of the release before
			break
		}
		for _, stmt := range statements(sqliteDialect.types.Replace(m.sql)) {
			exec(stmt)
		}
		exec(`INSERT INTO schema_migration VALUES ($1, $2, 1)`, m.version, m.name)
	}
	for _, id := range []string{"d1", "d2"} {
		exec(`INSERT INTO device (id, serial, name, platform, model, os_version, ownership, grp, owner, email, state, reenrol, generation, check_at, created_at) VALUES ($1, '', '', 'ios', '', '', 'corporate', 'g', '', '', 'managed', FALSE, 0, 0, 1)`, id)
	}
	exec(`INSERT INTO verdict (device_id, state, code, until_at, then_state, then_code) VALUES ('d1', 'gone', 'unenrolled', 0, 'gone', ''), ('d2', 'compliant', '', 0, '', '')`)
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	db := openEstate(t, path)
	due, err := db.Estate().Due(t.Context(), 10)
	if diff := cmp.Diff([]ward.DeviceID{"d1", "d2"}, due); diff != "" || err != nil {
		t.Errorf("Due() mismatch (-want +got), %v:\n%s", err, diff)
	}
	for id, want := range map[ward.DeviceID]string{"d1": "retired", "d2": "compliant"} {
		if v, err := db.Authorize().Verdict(t.Context(), id); err != nil || string(v.State) != want {
			t.Errorf("Verdict(%s) = %+v, %v; want %s", id, v, err, want)
		}
	}
	if v, err := db.Authorize().Verdict(t.Context(), "d1"); err != nil || v.Then != "retired" {
		t.Errorf("Verdict(d1) turns into %q, %v; want retired", v.Then, err)
	}
}

// TestPostureMarks: whatever a posture follows from marks its device, in its own unit of work.
func TestPostureMarks(t *testing.T) {
	t.Parallel()
	db := openEstate(t, filepath.Join(t.TempDir(), "ward.db"))
	ctx := t.Context()
	d := ward.Device{ID: "d1", Platform: ward.IOS, Ownership: ward.Corporate, Group: "g", State: ward.Invited, Created: time.Now()}
	deeds := []struct {
		name string
		do   func(ctx context.Context) error
	}{
		{"insert", func(ctx context.Context) error { return db.Fleet().InsertDevice(ctx, d) }},
		{"update", func(ctx context.Context) error { return db.Fleet().UpdateDevice(ctx, d) }},
		{"state", func(ctx context.Context) error { return db.Fleet().SetDeviceState(ctx, "d1", ward.Managed) }},
		{"enrol", func(ctx context.Context) error {
			_, err := db.exec(ctx, `INSERT INTO enrolment (id, channel, parent, kind, epoch, latest, device_id, state, serial, supervised, rights, invitation, topic, push_token, push_magic, push_dead_at, tally, created_at, enrolled_at, ended_at, end_reason)
				VALUES ('e1', 'c1', '', 'Device', 1, TRUE, 'd1', 'active', '', '', 0, '', '', '', '', 0, 0, 1, 1, 0, '')`)
			if err != nil {
				return err
			}
			return db.markPosture(ctx, "d1")
		}},
		{"supervised", func(ctx context.Context) error { return db.Fleet().SetSupervised(ctx, "e1", ward.Supervised) }},
		{"lost", func(ctx context.Context) error {
			_, err := db.Cases().Add(ctx, lost.Case{ID: "k1", Device: "d1", Kind: lost.Lost, State: lost.Open, Reported: time.Now()})
			return err
		}},
		{"found", func(ctx context.Context) error {
			_, err := db.Cases().Move(ctx, "k1", lost.Open, lost.Found, time.Now())
			return err
		}},
		{"end", func(ctx context.Context) error { return db.Fleet().EndEnrolment(ctx, "e1", "checked out") }},
		{"delete", func(ctx context.Context) error { return db.Fleet().DeleteDevice(ctx, "d1") }},
	}
	for _, deed := range deeds {
		if err := deed.do(ctx); err != nil {
			t.Fatalf("%s: %v", deed.name, err)
		}
		if k, err := db.Estate().Posture(ctx, "d1"); err != nil || !k.Due {
			t.Errorf("%s: the posture is not due, %v", deed.name, err)
		}
		select {
		case <-db.PosturesDue():
		default:
			t.Errorf("%s: nobody is woken", deed.name)
		}
		if err := db.Estate().Judged(ctx, "d1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Fleet().SetSupervised(ctx, "e1", ward.Supervised); err != nil {
		t.Fatal(err)
	}
	if due, err := db.Estate().Due(ctx, 10); err != nil || len(due) != 0 {
		t.Errorf("Due() = %v, %v after a write that changed nothing", due, err)
	}
}
