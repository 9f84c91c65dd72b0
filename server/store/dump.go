package store

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/wardmdm/ward"
)

// dumpHeader begins a dump.
type dumpHeader struct {
	Ward   string `json:"ward"` // "dump"
	Schema int    `json:"schema"`
}

// dumpRow is one row of one table. Bytes are base64, as JSON has it.
type dumpRow struct {
	Table string         `json:"t"`
	Row   map[string]any `json:"r"`
}

// Dump writes everything in the database, as of one moment, as JSON lines that Load
// reads into either engine. Sealed values stay sealed.
func (db *DB) Dump(ctx context.Context, w io.Writer) error {
	tx, err := db.pool.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: db.dialect.snapshot})
	if err != nil {
		return fmt.Errorf("dump: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	var schema int
	if err := tx.QueryRowContext(ctx, `SELECT MAX(version) FROM schema_migration`).Scan(&schema); err != nil {
		return fmt.Errorf("dump: %w", err)
	}
	if err := enc.Encode(dumpHeader{"dump", schema}); err != nil {
		return fmt.Errorf("dump: %w", err)
	}
	tables, err := db.tables(ctx, tx)
	if err != nil {
		return fmt.Errorf("dump: %w", err)
	}
	for _, t := range tables {
		if err := dumpTable(ctx, tx, t, enc); err != nil {
			return fmt.Errorf("dump %s: %w", t, err)
		}
	}
	return out.Flush()
}

// tables lists the tables that hold data, in an order in which rows that others refer
// to come first.
func (db *DB) tables(ctx context.Context, q querier) ([]string, error) {
	rows, err := q.QueryContext(ctx, db.dialect.tables) //nolint:rowserrcheck // scanAll checks it
	names, err := scanAll(rows, err, func(r scanner) (n string, err error) { return n, r.Scan(&n) })
	return slices.DeleteFunc(names, func(n string) bool { return n == "schema_migration" || strings.HasPrefix(n, "sqlite_") }), err
}

func dumpTable(ctx context.Context, q querier, table string, enc *json.Encoder) error {
	rows, err := q.QueryContext(ctx, `SELECT * FROM "`+table+`"`)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.ColumnTypes()
	if err != nil {
		return err
	}
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			return err
		}
		row := make(map[string]any, len(columns))
		for i, c := range columns {
			v := *values[i].(*any)
			if kind := c.DatabaseTypeName(); strings.HasPrefix(kind, "BOOL") {
				if n, ok := v.(int64); ok {
					v = n != 0
				}
			}
			if b, ok := v.([]byte); ok && len(b) == 0 {
				v = []byte{} // SQLite gives no bytes as nil, which would be read as NULL
			}
			row[c.Name()] = v
		}
		if err := enc.Encode(dumpRow{table, row}); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Load reads a dump into an empty database of the same schema, in one unit of work: a
// dump that breaks off changes nothing. It refuses a database that holds devices or
// people.
func (db *DB) Load(ctx context.Context, r io.Reader) error {
	dec := json.NewDecoder(bufio.NewReaderSize(r, 1<<20))
	dec.UseNumber()
	var h dumpHeader
	if err := dec.Decode(&h); err != nil || h.Ward != "dump" {
		return ward.Errorf(ward.Invalid, "This is not a backup made by ward backup.")
	}
	return db.Do(ctx, func(ctx context.Context) error {
		var schema, rows int
		if err := db.row(ctx, `SELECT (SELECT MAX(version) FROM schema_migration), (SELECT COUNT(*) FROM device) + (SELECT COUNT(*) FROM person)`).Scan(&schema, &rows); err != nil {
			return fmt.Errorf("load: %w", err)
		}
		if h.Schema != schema {
			return ward.Errorf(ward.Conflict, "The backup is of schema %d and this program's is %d: restore it with the program that made it, then upgrade.", h.Schema, schema)
		}
		if rows > 0 {
			return ward.Errorf(ward.Conflict, "The database is not empty: restore into a new one.")
		}
		tables, err := db.tables(ctx, db.q(ctx))
		if err != nil {
			return fmt.Errorf("load: %w", err)
		}
		for _, t := range slices.Backward(tables) { // rows that the migrations made come with the dump
			if _, err := db.exec(ctx, `DELETE FROM "`+t+`"`); err != nil {
				return fmt.Errorf("load: empty %s: %w", t, err)
			}
		}
		blobs, err := db.blobs(ctx)
		if err != nil {
			return fmt.Errorf("load: %w", err)
		}
		for {
			var d dumpRow
			err := dec.Decode(&d)
			if errors.Is(err, io.EOF) {
				return db.resetIdentities(ctx, tables)
			}
			if err != nil {
				return ward.Errorf(ward.Invalid, "The backup is damaged.").Because(err)
			}
			if !slices.Contains(tables, d.Table) {
				return ward.Errorf(ward.Invalid, "The backup holds rows of a table %q that there is none of.", d.Table)
			}
			if err := db.loadRow(ctx, d, blobs); err != nil {
				return fmt.Errorf("load %s: %w", d.Table, err)
			}
		}
	})
}

// blobs names the columns that hold bytes, as table.column.
func (db *DB) blobs(ctx context.Context) (map[string]bool, error) {
	rows, err := db.query(ctx, db.dialect.blobs)
	names, err := scanAll(rows, err, func(r scanner) (n string, err error) { return n, r.Scan(&n) })
	out := make(map[string]bool, len(names))
	for _, n := range names {
		out[n] = true
	}
	return out, err
}

func (db *DB) loadRow(ctx context.Context, d dumpRow, blobs map[string]bool) error {
	var names, marks []string
	var args []any
	for _, name := range slices.Sorted(maps.Keys(d.Row)) {
		if strings.ContainsAny(name, `"`) {
			return ward.Errorf(ward.Invalid, "The backup names a column %q.", name)
		}
		v := d.Row[name]
		switch x := v.(type) {
		case json.Number:
			n, err := x.Int64()
			if err != nil {
				return err
			}
			v = n
		case string:
			if blobs[d.Table+"."+name] {
				var b []byte
				if err := json.Unmarshal([]byte(`"`+x+`"`), &b); err != nil {
					return err
				}
				v = b
			}
		}
		names, args = append(names, `"`+name+`"`), append(args, v)
		marks = append(marks, fmt.Sprintf("$%d", len(args)))
	}
	_, err := db.exec(ctx, `INSERT INTO "`+d.Table+`" (`+strings.Join(names, ", ")+`)`+db.dialect.override+` VALUES (`+strings.Join(marks, ", ")+`)`, args...)
	return err
}

// resetIdentities has PostgreSQL's counters go on behind the loaded rows; SQLite's do
// by themselves.
func (db *DB) resetIdentities(ctx context.Context, tables []string) error {
	if db.dialect.identities == "" {
		return nil
	}
	rows, err := db.query(ctx, db.dialect.identities)
	type identity struct{ table, column string }
	ids, err := scanAll(rows, err, func(r scanner) (i identity, err error) { return i, r.Scan(&i.table, &i.column) })
	if err != nil {
		return err
	}
	for _, i := range ids {
		if !slices.Contains(tables, i.table) {
			continue
		}
		if _, err := db.exec(ctx, fmt.Sprintf(`SELECT setval(pg_get_serial_sequence('"%s"', '%s'), GREATEST((SELECT COALESCE(MAX("%s"), 0) FROM "%s"), 1))`, i.table, i.column, i.column, i.table)); err != nil {
			return err
		}
	}
	return nil
}
