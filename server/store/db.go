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

	"github.com/wardmdm/ward/server/command"
	"github.com/wardmdm/ward/server/seal"
	"github.com/wardmdm/ward/server/unit"
)

// DB is the database. Its methods may be called by several goroutines.
type DB struct {
	dialect dialect
	pool    *sql.DB // readers on SQLite, everything on PostgreSQL
	reads   asker   // the pool, on SQLite with its statements prepared
	writer  *writer // SQLite only
	now     func() time.Time
	queue   *seal.Box // commands on their way to devices
	secrets *seal.Box // unlock tokens, keys
	last    *lastSeen
	pushes  chan struct{}
	// postures wakes whoever judges devices.
	postures chan struct{}
	guard    command.Guard // see SetGuard
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
	db.last, db.pushes, db.postures = newLastSeen(), make(chan struct{}, 1), make(chan struct{}, 1)
	var err error
	if IsServer(o.URL) {
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

// IsServer reports whether a database URL is the address of PostgreSQL rather than the
// path of a file.
func IsServer(url string) bool {
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
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

// asker is what a unit of work, a connection and a pool have in common.
type asker interface {
	ExecContext(ctx context.Context, query string, args ...any) (outcome, error)
	QueryContext(ctx context.Context, query string, args ...any) (rowSet, error)
	QueryRowContext(ctx context.Context, query string, args ...any) scanner
}

// querier is what database/sql's own have in common.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// outcome is what a write tells.
type outcome interface{ RowsAffected() (int64, error) }

// rowSet are the rows of a query.
type rowSet interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close() error
}

type unitKey struct{}

// within returns the unit of work in ctx, or the readers outside one.
func (db *DB) within(ctx context.Context) asker {
	if q, ok := ctx.Value(unitKey{}).(asker); ok {
		return q
	}
	return db.reads
}

// q returns what reads the schema, which no unit of work changes.
func (db *DB) q(context.Context) querier { return db.pool }

// exec writes within the unit of work in ctx, making one of its own outside.
func (db *DB) exec(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = db.Do(ctx, func(ctx context.Context) error {
		res, err := db.within(ctx).ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	return n, err
}

// later writes within the unit of work in ctx. Its error may be told only by the
// statement after it, or by the commit.
func (db *DB) later(ctx context.Context, query string, args ...any) error {
	if u, ok := ctx.Value(unitKey{}).(*postgresUnit); ok {
		u.later(query, args)
		return nil
	}
	_, err := db.exec(ctx, query, args...)
	return err
}

func (db *DB) query(ctx context.Context, query string, args ...any) (rowSet, error) {
	return db.within(ctx).QueryContext(ctx, query, args...)
}

func (db *DB) row(ctx context.Context, query string, args ...any) scanner {
	return db.within(ctx).QueryRowContext(ctx, query, args...)
}

var _ unit.Unit = (*DB)(nil)

// Do runs fn as one unit of work; see unit.Unit. A nested call joins the unit that
// is already in ctx. The error of fn is returned as it is.
func (db *DB) Do(ctx context.Context, fn func(ctx context.Context) error) error {
	if _, ok := ctx.Value(unitKey{}).(asker); ok {
		return fn(ctx)
	}
	if db.writer != nil {
		return db.writer.do(ctx, fn)
	}
	return db.doPostgres(ctx, fn)
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
