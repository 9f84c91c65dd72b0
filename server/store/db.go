// Package store keeps everything that Ward knows in one SQL database: SQLite,
// embedded, by default, or PostgreSQL. It holds the SQL and nothing of the
// business: rules live in the packages whose interfaces it meets.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/wardmdm/ward/server/seal"
	"github.com/wardmdm/ward/server/unit"
)

// DB is the database. Its methods may be called by several goroutines.
type DB struct {
	dialect dialect
	pool    *sql.DB // readers on SQLite, everything on PostgreSQL
	reads   querier // the pool, on SQLite with its statements prepared
	writer  *writer // SQLite only
	now     func() time.Time
	queue   *seal.Box // commands on their way to devices
	secrets *seal.Box // unlock tokens, keys
	last    *lastSeen
	pushes  chan struct{}
}

// Options say how to open a database.
type Options struct {
	// URL is a PostgreSQL connection URL (postgres://…) or the path of an SQLite file.
	URL string
	// Master seals what the database must not be able to read or forge.
	Master *seal.Master
	// Now is the clock; times are kept in UTC.
	Now func() time.Time
}

// Open opens the database and brings its schema up to date. It refuses a database
// that a newer Ward has migrated.
func Open(ctx context.Context, o Options) (*DB, error) {
	if o.Master == nil || o.Now == nil {
		return nil, errors.New("open database: Master and Now are needed")
	}
	db := &DB{now: o.Now, queue: o.Master.Box("command queue"), secrets: o.Master.Box("secrets")}
	db.last, db.pushes = newLastSeen(), make(chan struct{}, 1)
	var err error
	if strings.HasPrefix(o.URL, "postgres://") || strings.HasPrefix(o.URL, "postgresql://") {
		err = db.openPostgres(ctx, o.URL)
	} else {
		err = db.openSQLite(ctx, o.URL)
	}
	if err != nil {
		return nil, err
	}
	if err := db.migrate(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Close writes what is still in memory and closes the database.
func (db *DB) Close() error {
	err := db.FlushSeen(context.Background())
	if db.writer != nil {
		err = errors.Join(err, db.writer.close())
	}
	if s, ok := db.reads.(*keptStatements); ok {
		err = errors.Join(err, s.close())
	}
	return errors.Join(err, db.pool.Close())
}

// Engine names the database engine, "sqlite" or "postgres".
func (db *DB) Engine() string { return db.dialect.name }

// Ping reports whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	if err := db.row(ctx, `SELECT 1`).Scan(&one); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	return nil
}

// querier is what a transaction, a connection and a pool have in common.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

type unitKey struct{}

// q returns the unit of work in ctx, or the pool for reads outside one.
func (db *DB) q(ctx context.Context) querier {
	if q, ok := ctx.Value(unitKey{}).(querier); ok {
		return q
	}
	return db.reads
}

// exec writes within the unit of work in ctx, making one of its own outside.
func (db *DB) exec(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = db.Do(ctx, func(ctx context.Context) error {
		res, err := db.q(ctx).ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	return n, err
}

func (db *DB) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return db.q(ctx).QueryContext(ctx, query, args...)
}

func (db *DB) row(ctx context.Context, query string, args ...any) *sql.Row {
	return db.q(ctx).QueryRowContext(ctx, query, args...)
}

var _ unit.Unit = (*DB)(nil)

// Do runs fn as one unit of work; see unit.Unit. A nested call joins the unit that
// is already in ctx. The error of fn is returned as it is.
func (db *DB) Do(ctx context.Context, fn func(ctx context.Context) error) error {
	if _, ok := ctx.Value(unitKey{}).(querier); ok {
		return fn(ctx)
	}
	if db.writer != nil {
		return db.writer.do(ctx, fn)
	}
	return db.doPostgres(ctx, fn)
}

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
	tx, err := db.pool.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	inner, hooks := unit.With(context.WithValue(ctx, unitKey{}, querier(tx)))
	done := false
	defer func() {
		if !done { // fn panicked
			_ = tx.Rollback() // the panic is the error that matters
		}
	}()
	if err := fn(inner); err != nil {
		done = true
		if rb := tx.Rollback(); rb != nil && !errors.Is(rb, sql.ErrTxDone) && ctx.Err() == nil {
			return errors.Join(err, fmt.Errorf("roll back: %w", rb))
		}
		return err
	}
	done = true
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	hooks.Run()
	return nil
}

// micros returns t as microseconds UTC, 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// fromMicros is the inverse of micros.
func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
