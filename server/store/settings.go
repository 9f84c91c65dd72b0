package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
)

// Setting returns a setting of the installation, "" if it is not set.
func (db *DB) Setting(ctx context.Context, key string) (string, error) {
	var v string
	err := db.row(ctx, `SELECT value FROM setting WHERE key = $1`, key).Scan(&v)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("setting %s: %w", key, err)
	}
	return v, nil
}

// SetSetting keeps a setting of the installation.
func (db *DB) SetSetting(ctx context.Context, key, value string) error {
	if _, err := db.exec(ctx, `INSERT INTO setting (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value); err != nil {
		return fmt.Errorf("setting %s: %w", key, err)
	}
	return nil
}

// SetSecret keeps a secret of the installation, sealed.
func (db *DB) SetSecret(ctx context.Context, key string, value []byte) error {
	return db.SetSetting(ctx, key, base64.StdEncoding.EncodeToString(db.secrets.Seal(value, "setting", key)))
}

// Secret returns a secret of the installation, nil if it is not set.
func (db *DB) Secret(ctx context.Context, key string) ([]byte, error) {
	v, err := db.Setting(ctx, key)
	if err != nil || v == "" {
		return nil, err
	}
	sealed, err := base64.StdEncoding.DecodeString(v)
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", key, err)
	}
	b, err := db.secrets.Open(sealed, "setting", key)
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", key, err)
	}
	return b, nil
}
