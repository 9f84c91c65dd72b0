package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock is the PostgreSQL advisory lock under which one copy migrates.
const migrationLock = 0x77617264

type migration struct {
	version int
	name    string
	sql     string
}

// readMigrations returns the migrations in order of their numbers.
func readMigrations() ([]migration, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	var out []migration
	for _, n := range names {
		base := strings.TrimSuffix(strings.TrimPrefix(n, "migrations/"), ".sql")
		num, name, _ := strings.Cut(base, "_")
		v, err := strconv.Atoi(num)
		if err != nil {
			return nil, fmt.Errorf("migration %s: its name must begin with a number", n)
		}
		b, err := migrations.ReadFile(n)
		if err != nil {
			return nil, err
		}
		out = append(out, migration{v, name, string(b)})
	}
	return out, nil
}

func (db *DB) migrate(ctx context.Context) error {
	all, err := readMigrations()
	if err != nil {
		return err
	}
	return db.Do(ctx, func(ctx context.Context) error {
		if db.dialect.name == "postgres" {
			if _, err := db.exec(ctx, `SELECT pg_advisory_xact_lock($1)`, migrationLock); err != nil {
				return fmt.Errorf("migrate: %w", err)
			}
		}
		if _, err := db.exec(ctx, `CREATE TABLE IF NOT EXISTS schema_migration (version BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_at BIGINT NOT NULL)`); err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
		var have int
		if err := db.row(ctx, `SELECT COALESCE(MAX(version), 0) FROM schema_migration`).Scan(&have); err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
		if newest := all[len(all)-1].version; have > newest {
			return fmt.Errorf("the database is at schema %d and this program knows only %d: run the newer program, or restore the backup made before the upgrade", have, newest)
		}
		for _, m := range all {
			if m.version <= have {
				continue
			}
			for _, stmt := range statements(db.dialect.types.Replace(m.sql)) {
				if _, err := db.exec(ctx, stmt); err != nil {
					return fmt.Errorf("migration %04d_%s: %w", m.version, m.name, err)
				}
			}
			if _, err := db.exec(ctx, `INSERT INTO schema_migration (version, name, applied_at) VALUES ($1, $2, $3)`, m.version, m.name, micros(db.now())); err != nil {
				return fmt.Errorf("migration %04d_%s: %w", m.version, m.name, err)
			}
		}
		return nil
	})
}

// statements splits a migration at the semicolons that end lines; comments go.
func statements(sql string) (out []string) {
	var b strings.Builder
	for line := range strings.Lines(sql) {
		if strings.HasPrefix(strings.TrimSpace(line), "--") {
			continue
		}
		b.WriteString(line)
		if strings.HasSuffix(strings.TrimSpace(line), ";") {
			out = append(out, strings.TrimSpace(b.String()))
			b.Reset()
		}
	}
	if s := strings.TrimSpace(b.String()); s != "" {
		out = append(out, s)
	}
	return out
}
