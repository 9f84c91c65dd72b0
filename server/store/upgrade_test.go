package store

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/wardmdm/ward/server/seal"
)

// TestUpgradePolicies: policies that were published before versions had states are in
// force as they were, and no device is planned anew for the upgrade.
func TestUpgradePolicies(t *testing.T) {
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
		if m.version > 7 { // the schema of the release before
			break
		}
		for _, stmt := range statements(sqliteDialect.types.Replace(m.sql)) {
			exec(stmt)
		}
		exec(`INSERT INTO schema_migration VALUES ($1, $2, 1)`, m.version, m.name)
	}
	for generation, text := range []string{"first", "second"} {
		exec(`INSERT INTO policy (generation, text, published_at, published_by) VALUES ($1, $2, 5, 'ada')`, generation+1, text)
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
	standing, err := db.Policies().Standing(t.Context())
	if err != nil || len(standing) != 1 || standing[0].Generation != 2 || standing[0].Text != "second" || standing[0].PublishedBy != "ada" || !standing[0].Rings.AtOnce() {
		t.Errorf("Standing() = %+v, %v; want the newest", standing, err)
	}
	if v, err := db.Policies().Version(t.Context(), 1); err != nil || v.State != "superseded" || v.Files != nil {
		t.Errorf("Version(1) = %+v, %v", v, err)
	}
	if n, _, err := db.Policies().Epoch(t.Context()); n != 2 || err != nil {
		t.Errorf("Epoch() = %d, %v; want the generation that devices are planned for", n, err)
	}
}
