package main

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the "sqlite" driver
)

// age writes n answered commands for each enrolment straight into the database of a
// server that is not running. Their sealed bodies are no commands: nobody reads them
// any more. The sizes are those of a short question and its answer.
func (at *place) age(ctx context.Context, n int) error {
	driver, url, filler := "pgx", at.database, "decode(repeat('00', CAST($2 AS INTEGER)), 'hex'), decode(repeat('00', CAST($3 AS INTEGER)), 'hex')"
	if url == "" {
		driver, url, filler = "sqlite", "file:"+filepath.Join(at.dir, "server", "ward.db"), "zeroblob($2), zeroblob($3)"
	}
	db, err := sql.Open(driver, url)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	//nolint:gosec // one of two constants is put in
	_, err = db.ExecContext(ctx, `WITH RECURSIVE old (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM old WHERE i < CAST($1 AS INTEGER))
		INSERT INTO command (uuid, enrolment_id, request_type, urgent, pending, deferred, state, step_key, case_id, order_id, requested_by, created_at, delivered_at, deliveries, not_now_at, answered_at, error, sealed, answer)
		SELECT 'OLD-' || old.i, e.id, 'DeviceInformation', 1, FALSE, FALSE, 'accepted', '', '', '', '', CAST($4 AS BIGINT) + old.i, CAST($4 AS BIGINT) + old.i, 1, 0, CAST($4 AS BIGINT) + old.i, '', `+filler+`
		FROM old CROSS JOIN enrolment e`, n, 400, 900, time.Now().AddDate(0, -1, 0).UnixMicro())
	if err != nil {
		return join(fmt.Errorf("write history: %w", err), db.Close())
	}
	if driver == "pgx" { // as autovacuum does in a database that grew by itself
		_, err = db.ExecContext(ctx, "VACUUM ANALYZE")
	}
	return join(err, db.Close())
}

// create makes an empty database in the cluster.
func (c *cluster) create(ctx context.Context, name string) (string, error) {
	db, err := sql.Open("pgx", c.url)
	if err != nil {
		return "", err
	}
	_, err = db.ExecContext(ctx, "CREATE DATABASE "+name)
	return "postgres:///" + name + "?host=" + c.dir + "&user=ward&sslmode=disable", join(err, db.Close())
}
