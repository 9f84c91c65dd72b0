package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// bulk writes many rows of one table at once, in the unit of work in ctx: by COPY on
// PostgreSQL, by statements of many rows on SQLite. It is for filling an empty database.
func (db *DB) bulk(ctx context.Context, table, columns string, rows [][]any) error {
	if len(rows) == 0 {
		return nil
	}
	names := strings.Split(columns, ", ")
	if u, ok := ctx.Value(unitKey{}).(*postgresUnit); ok {
		if u.waiting.Len() > 0 {
			if _, err := u.exec(ctx, "SELECT 1", nil); err != nil { // what waits goes before
				return err
			}
		}
		if _, err := u.conn.CopyFrom(ctx, pgx.Identifier{table}, names, pgx.CopyFromRows(rows)); err != nil {
			return fmt.Errorf("write %s: %w", table, err)
		}
		return nil
	}
	const atOnce = 50
	for len(rows) > 0 {
		n := min(atOnce, len(rows))
		args := make([]any, 0, n*len(names))
		for _, r := range rows[:n] {
			args = append(args, r...)
		}
		if _, err := db.exec(ctx, manyValues(table, columns, len(names), n), args...); err != nil {
			return fmt.Errorf("write %s: %w", table, err)
		}
		rows = rows[n:]
	}
	return nil
}

// manyValues is an INSERT of n rows.
func manyValues(table, columns string, width, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "INSERT INTO %s (%s) VALUES ", table, columns)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('(')
		for j := range width {
			if j > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "$%d", i*width+j+1)
		}
		b.WriteByte(')')
	}
	return b.String()
}
