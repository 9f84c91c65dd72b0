package store

import "context"

// Tamper changes the database behind the store's back, as a thief with SQL would.
func (db *DB) Tamper(ctx context.Context, q string, args ...any) error {
	_, err := db.exec(ctx, q, args...)
	return err
}
