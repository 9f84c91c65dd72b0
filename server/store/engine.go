package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib" // and the "pgx" driver
	"github.com/wardmdm/ward"
	"modernc.org/sqlite"
)

// dialect holds the few words in which the two databases differ.
type dialect struct {
	name  string
	types *strings.Replacer // in migrations
	lock  string            // suffix of a SELECT that claims rows
	hold  string            // suffix of a SELECT that keeps others from a row

	// What dumping and loading need to know of the schema.
	snapshot   sql.IsolationLevel
	tables     string // names of tables, those that others refer to first
	blobs      string // table.column of every column that holds bytes
	identities string // table and column of every identity; empty where nothing is to do
	override   string // after the column list of an INSERT that sets an identity
}

var (
	sqliteDialect = dialect{
		name:   "sqlite",
		types:  strings.NewReplacer("{{blob}}", "BLOB", "{{identity}}", "INTEGER PRIMARY KEY AUTOINCREMENT"),
		tables: `SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid`,
		blobs:  `SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND c.type = 'BLOB'`,
	}
	postgresDialect = dialect{
		name:  "postgres",
		types: strings.NewReplacer("{{blob}}", "BYTEA", "{{identity}}", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
		lock:  " FOR UPDATE SKIP LOCKED",
		hold:  " FOR NO KEY UPDATE",

		snapshot:   sql.LevelRepeatableRead,
		tables:     `SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace ORDER BY oid`,
		blobs:      `SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = current_schema() AND data_type = 'bytea'`,
		identities: `SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema() AND is_identity = 'YES'`,
		override:   " OVERRIDING SYSTEM VALUE",
	}
)

// openSQLite opens a file with one writer and four readers. synchronous=FULL: what
// was acknowledged survives a power cut. Pragmas stand in the DSN, for elsewhere
// they would hold for one connection only. Without temp_store each savepoint of a
// group commit would open a file; a later checkpoint copies a page once that many
// commits changed.
func (db *DB) openSQLite(ctx context.Context, path string) error {
	if path == "" {
		return errors.New("open database: the path is empty")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) // ours alone from the first byte
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_pragma=cache_size(-16000)&_pragma=wal_autocheckpoint(4000)&_pragma=temp_store(MEMORY)&_txlock=immediate"
	w, err := sql.Open("sqlite", dsn)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	w.SetMaxOpenConns(1)
	if db.writer, err = newWriter(ctx, w); err != nil {
		return errors.Join(fmt.Errorf("open database %s: %w", path, err), w.Close())
	}
	if db.pool, err = sql.Open("sqlite", dsn+"&_pragma=query_only(1)"); err != nil {
		return errors.Join(fmt.Errorf("open database: %w", err), db.writer.close())
	}
	db.pool.SetMaxOpenConns(4)
	db.pool.SetMaxIdleConns(4)
	db.reads = &keptStatements{pool: db.pool, kept: map[string]*sql.Stmt{}}
	db.dialect = sqliteDialect
	return nil
}

// openPostgres opens a pool whose idle size equals its size: the default of two
// idle connections makes a new login for most requests under load.
func (db *DB) openPostgres(ctx context.Context, dsn string) (err error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	if _, said := config.RuntimeParams["plan_cache_mode"]; !said {
		// Statements are prepared and find their rows by key: planning one anew for its
		// values costs more than running it.
		config.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	}
	db.pool = stdlib.OpenDB(*config)
	db.pool.SetMaxOpenConns(16)
	db.pool.SetMaxIdleConns(16)
	db.reads = pool{db.pool} // its driver keeps statements itself
	db.dialect = postgresDialect
	if err := db.pool.PingContext(ctx); err != nil {
		return errors.Join(fmt.Errorf("open database: %w", err), db.pool.Close())
	}
	return nil
}

// duplicate reports whether err says that a unique key exists already.
func duplicate(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code == "23505"
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() == 2067 || e.Code() == 1555 // SQLITE_CONSTRAINT_UNIQUE, _PRIMARYKEY
	}
	return false
}

// deadlock reports whether PostgreSQL gave a unit of work up so that another could go
// on; tried again it may succeed.
func deadlock(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "40P01" || e.Code == "40001")
}

// missing turns a missing row into a NotFound error with the message, and leaves
// other errors as they are.
func missing(err error, format string, args ...any) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ward.Errorf(ward.NotFound, format, args...)
	}
	return err
}

// scanAll reads every row with scan and closes rows.
func scanAll[T any](rows rowSet, err error, scan func(scanner) (T, error)) (out []T, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err says it
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// none turns a missing row into no error, where the caller can tell by the values.
func none(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}
