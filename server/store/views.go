package store

import (
	"context"
	"fmt"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/view"
)

// Views keeps saved views.
type Views struct{ *DB }

var _ view.Store = Views{}

// SavedViews returns the store of saved views.
func (db *DB) SavedViews() Views { return Views{db} }

const viewColumns = `id, person, name, query, shared, created_at`

func scanView(r scanner) (v view.View, err error) {
	var made int64
	err = r.Scan(&v.ID, &v.Person, &v.Name, &v.Query, &v.Shared, &made)
	v.Made = fromMicros(made)
	return v, err
}

// Views meets view.Store.
func (db Views) Views(ctx context.Context, p ward.PersonID) (out []view.View, err error) {
	rows, err := db.query(ctx, `SELECT `+viewColumns+` FROM saved_view WHERE person = $1
		UNION SELECT `+viewColumns+` FROM saved_view WHERE shared ORDER BY name, id`, string(p))
	if err != nil {
		return nil, fmt.Errorf("saved views: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells
	for rows.Next() {
		v, err := scanView(rows)
		if err != nil {
			return nil, fmt.Errorf("saved views: %w", err)
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// View meets view.Store.
func (db Views) View(ctx context.Context, id string) (view.View, error) {
	v, err := scanView(db.row(ctx, `SELECT `+viewColumns+` FROM saved_view WHERE id = $1`, id))
	return v, missing(err, "There is no such view.")
}

// InsertView meets view.Store.
func (db Views) InsertView(ctx context.Context, v view.View) error {
	_, err := db.exec(ctx, `INSERT INTO saved_view (`+viewColumns+`) VALUES ($1, $2, $3, $4, $5, $6)`, v.ID, string(v.Person), v.Name, v.Query, v.Shared, micros(v.Made))
	if err != nil {
		return fmt.Errorf("save view: %w", err)
	}
	return nil
}

// DeleteView meets view.Store.
func (db Views) DeleteView(ctx context.Context, id string) error {
	if _, err := db.exec(ctx, `DELETE FROM saved_view WHERE id = $1`, id); err != nil {
		return fmt.Errorf("remove view: %w", err)
	}
	return nil
}
