package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/wardmdm/ward/server/unit"
)

// maxTries bounds how often a unit of work is tried that PostgreSQL gave up for a
// deadlock with another.
const maxTries = 4

func (db *DB) doPostgres(ctx context.Context, fn func(ctx context.Context) error) error {
	for try := 1; ; try++ {
		err := db.oncePostgres(ctx, fn)
		if try == maxTries || !deadlock(err) {
			return err
		}
	}
}

func (db *DB) oncePostgres(ctx context.Context, fn func(ctx context.Context) error) error {
	conn, err := db.pool.Conn(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	var hooks *unit.Hooks
	err = conn.Raw(func(raw any) (err error) {
		c, ok := raw.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("begin: the driver is %T", raw)
		}
		hooks, err = runPostgres(ctx, c.Conn(), fn)
		if c.Conn().IsClosed() {
			return errors.Join(err, driver.ErrBadConn) // the pool makes a new one
		}
		return err
	})
	if closed := conn.Close(); err == nil && closed != nil && !errors.Is(closed, sql.ErrConnDone) {
		err = fmt.Errorf("give the connection back: %w", closed)
	}
	if err == nil {
		hooks.Run()
	}
	return err
}

// runPostgres runs fn as one transaction.
func runPostgres(ctx context.Context, conn *pgx.Conn, fn func(ctx context.Context) error) (*unit.Hooks, error) {
	u := &postgresUnit{conn: conn, waiting: &pgx.Batch{}}
	u.waiting.Queue("begin")
	inner, hooks := unit.With(context.WithValue(ctx, unitKey{}, asker(u)))
	committed := false
	defer func() {
		if !committed && u.begun && !conn.IsClosed() { // an error, or fn panicked
			if _, err := conn.Exec(context.WithoutCancel(ctx), "rollback"); err != nil {
				_ = conn.Close(context.WithoutCancel(ctx)) // the server rolls back what is cut
			}
		}
	}()
	if err := fn(inner); err != nil {
		return nil, err
	}
	if err := u.commit(ctx); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	committed = true
	return hooks, nil
}

// postgresUnit is a transaction that makes as few trips to the database as it can: its
// beginning, and writes whose outcome nobody waits for, travel with the next statement.
type postgresUnit struct {
	conn    *pgx.Conn
	waiting *pgx.Batch
	begun   bool
}

// later has a write travel with the next statement. Its error is that of the statement,
// or of the commit.
func (u *postgresUnit) later(query string, args []any) { u.waiting.Queue(query, args...) }

// send sends what waits and one statement more, and reads the answers before its own.
// The caller closes the results, which is when errors are told.
func (u *postgresUnit) send(ctx context.Context, query string, args []any) (pgx.BatchResults, error) {
	b := u.waiting
	before := b.Len()
	b.Queue(query, args...)
	u.waiting, u.begun = &pgx.Batch{}, true
	res := u.conn.SendBatch(ctx, b)
	for range before {
		if _, err := res.Exec(); err != nil {
			_ = res.Close() // it tells the same error
			return nil, err
		}
	}
	return res, nil
}

func (u *postgresUnit) commit(ctx context.Context) error {
	if !u.begun && u.waiting.Len() == 1 {
		return nil // nothing was asked of it
	}
	tag, err := u.exec(ctx, "commit", nil)
	if err == nil && tag.String() == "ROLLBACK" {
		err = pgx.ErrTxCommitRollback
	}
	return err
}

func (u *postgresUnit) exec(ctx context.Context, query string, args []any) (pgconn.CommandTag, error) {
	if u.waiting.Len() == 0 {
		return u.conn.Exec(ctx, query, args...)
	}
	res, err := u.send(ctx, query, args)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	tag, err := res.Exec()
	if closed := res.Close(); err == nil {
		err = closed
	}
	return tag, err
}

// affected is the number of rows that a write changed.
type affected int64

// RowsAffected meets outcome.
func (n affected) RowsAffected() (int64, error) { return int64(n), nil }

// ExecContext meets asker.
func (u *postgresUnit) ExecContext(ctx context.Context, query string, args ...any) (outcome, error) {
	tag, err := u.exec(ctx, query, args)
	return affected(tag.RowsAffected()), err
}

// QueryContext meets asker.
func (u *postgresUnit) QueryContext(ctx context.Context, query string, args ...any) (rowSet, error) {
	if u.waiting.Len() == 0 {
		rows, err := u.conn.Query(ctx, query, args...)
		if err != nil {
			return nil, err
		}
		return &postgresRows{Rows: rows}, nil
	}
	res, err := u.send(ctx, query, args)
	if err != nil {
		return nil, err
	}
	rows, err := res.Query()
	if err != nil {
		return nil, errors.Join(err, res.Close())
	}
	return &postgresRows{rows, res}, nil
}

// QueryRowContext meets asker.
func (u *postgresUnit) QueryRowContext(ctx context.Context, query string, args ...any) scanner {
	rows, err := u.QueryContext(ctx, query, args...)
	return postgresRow{rows, err}
}

// postgresRows are rows, and the batch whose last statement gave them.
type postgresRows struct {
	pgx.Rows
	batch pgx.BatchResults // nil outside one
}

// Close meets rowSet.
func (r *postgresRows) Close() error {
	r.Rows.Close()
	if r.batch == nil {
		return nil
	}
	return r.batch.Close()
}

// postgresRow is the first of some rows.
type postgresRow struct {
	rows rowSet
	err  error
}

// Scan meets scanner.
func (r postgresRow) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	var err error
	if r.rows.Next() {
		err = r.rows.Scan(dest...)
	} else if err = r.rows.Err(); err == nil {
		err = sql.ErrNoRows
	}
	if closed := r.rows.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = r.rows.Err()
	}
	return err
}
