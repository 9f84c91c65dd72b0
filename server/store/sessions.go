package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/alexedwards/scs/v2"
)

// Sessions keeps the sessions of browsers for scs. Of a session's token only the hash
// is kept; its data is opaque.
type Sessions struct{ db *DB }

// Sessions returns the store of sessions.
func (db *DB) Sessions() *Sessions { return &Sessions{db} }

var _ scs.CtxStore = (*Sessions)(nil)

func sessionHash(token string) string {
	h := sha256.Sum256([]byte(token))
	return hex.EncodeToString(h[:])
}

// DeleteCtx ends a session; an unknown one is no error.
func (s *Sessions) DeleteCtx(ctx context.Context, token string) error {
	if _, err := s.db.exec(ctx, `DELETE FROM session WHERE hash = $1`, sessionHash(token)); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}

// FindCtx returns the data of a session that has not expired.
func (s *Sessions) FindCtx(ctx context.Context, token string) (data []byte, found bool, err error) {
	err = s.db.row(ctx, `SELECT data FROM session WHERE hash = $1 AND expires_at > $2`, sessionHash(token), micros(s.db.now())).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("find session: %w", err)
	}
	return data, true, nil
}

// CommitCtx keeps a session, over what was kept of it before.
func (s *Sessions) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error {
	if _, err := s.db.exec(ctx, `INSERT INTO session (hash, data, expires_at) VALUES ($1, $2, $3)
		ON CONFLICT (hash) DO UPDATE SET data = excluded.data, expires_at = excluded.expires_at`,
		sessionHash(token), data, micros(expiry)); err != nil {
		return fmt.Errorf("keep session: %w", err)
	}
	return nil
}

// Delete is DeleteCtx without a context; scs calls it only where it has none.
func (s *Sessions) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }

// Find is FindCtx without a context.
func (s *Sessions) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

// Commit is CommitCtx without a context.
func (s *Sessions) Commit(token string, data []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, data, expiry)
}

// DeleteExpired deletes the sessions that have expired and returns how many.
func (s *Sessions) DeleteExpired(ctx context.Context) (int64, error) {
	n, err := s.db.exec(ctx, `DELETE FROM session WHERE expires_at <= $1`, micros(s.db.now()))
	if err != nil {
		return 0, fmt.Errorf("delete expired sessions: %w", err)
	}
	return n, nil
}
