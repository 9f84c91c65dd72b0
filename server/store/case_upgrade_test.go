package store

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wardmdm/ward/server/seal"
)

// TestUpgradeCases: cases from before there was a clock have one from their report, and
// nobody is woken for those that ended.
func TestUpgradeCases(t *testing.T) {
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
		if m.version >= 21 {
			break
		}
		for _, stmt := range statements(sqliteDialect.types.Replace(m.sql)) {
			exec(stmt)
		}
		exec(`INSERT INTO schema_migration VALUES ($1, $2, 1)`, m.version, m.name)
	}
	for _, state := range []string{"open", "found", "closed"} {
		exec(`INSERT INTO lost_case (id, device_id, kind, state, reported_by, reported_name, reported_at, seen_where, seen_at, was_unlocked, note, message, phone, footnote, found_at, closed_at)
			VALUES ($1, $1, 'lost', $1, 'ada', 'Ada', 7, '', 0, '', '', '', '', '', 0, 0)`, state)
		exec(`INSERT INTO case_event (case_id, kind, text, person, name, at) VALUES ($1, 'reported', 'Reported lost', 'ada', 'Ada', 7)`, state)
	}
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
	cases, err := db.Cases().Undecided(t.Context())
	if err != nil || len(cases) != 2 {
		t.Fatalf("Undecided = %+v, %v, want the open one and the one that was found", cases, err)
	}
	for _, c := range cases {
		steps, err := db.Cases().Steps(t.Context(), c.ID)
		if _, ended := steps["remind:72"]; err != nil || ended != (c.ID == "found") || micros(c.Aware) != 7 || c.Identified != "not recorded" {
			t.Errorf("case %+v has the steps %v, %v", c, steps, err)
		}
		if es, err := db.Cases().Events(t.Context(), c.ID); err != nil || len(es) != 1 || es[0].Text != "Reported lost" {
			t.Errorf("events of case %s: %+v, %v", c.ID, es, err)
		}
	}
	for name, query := range map[string]string{"undecided": undecided, "unescalated": unescalated} {
		rows, err := db.pool.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query) //nolint:rowserrcheck // scanAll asks
		steps, err := scanAll(rows, err, func(r scanner) (step string, err error) {
			var id, parent, unused int
			return step, r.Scan(&id, &parent, &unused, &step)
		})
		if plan := strings.Join(steps, "\n"); err != nil || !strings.Contains(plan, "lost_case USING INDEX lost_case_") {
			t.Errorf("%s reads every case, %v:\n%s", name, err, plan)
		}
	}
}
