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
	"github.com/wardmdm/ward/server/access"
)

// Sessions keeps the sessions of browsers for scs. Of a session's token only the hash
// is kept; its data is opaque and sealed for that hash, so that whoever reads the database finds
// no secret of an app that is being set up there, and whoever writes to it makes no session. What a session is of travels beside scs, in the
// access.Sitting of the request: without one, sessions are nobody's.
type Sessions struct{ db *DB }

// Sessions returns the store of sessions.
func (db *DB) Sessions() *Sessions { return &Sessions{db} }

var _ scs.CtxStore = (*Sessions)(nil)

// rotationGrace is how long the token before a rotation is still good: several requests of
// one page may be on their way with it.
const rotationGrace = time.Minute

func sessionHash(token string) string {
	h := sha256.Sum256([]byte(token))
	return hex.EncodeToString(h[:])
}

// DeleteCtx ends a session; an unknown one is no error. One that is about to move to a new
// token stays.
func (s *Sessions) DeleteCtx(ctx context.Context, token string) error {
	hash := sessionHash(token)
	if st := access.SittingFrom(ctx); st != nil && st.Found != "" {
		if st.Rotate && st.Begin == nil {
			return nil
		}
		hash, st.Found = st.Found, ""
	}
	if _, err := s.db.exec(ctx, `DELETE FROM session WHERE hash = $1`, hash); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}

// FindCtx returns the data of a session that has not expired.
func (s *Sessions) FindCtx(ctx context.Context, token string) (data []byte, found bool, err error) {
	hash, now := sessionHash(token), s.db.now()
	err = s.db.row(ctx, `SELECT hash, data FROM session WHERE hash = $1 AND expires_at > $2`, hash, micros(now)).Scan(&hash, &data)
	if errors.Is(err, sql.ErrNoRows) {
		err = s.db.row(ctx, `SELECT hash, data FROM session WHERE was_hash = $1 AND was_hash <> '' AND rotated_at > $2 AND expires_at > $3`,
			hash, micros(now.Add(-rotationGrace)), micros(now)).Scan(&hash, &data)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("find session: %w", err)
	}
	if data, err = s.db.secrets.Open(data, sealedSession, hash); err != nil {
		return nil, false, nil //nolint:nilerr // Ward did not write it, so it is nobody's session
	}
	if st := access.SittingFrom(ctx); st != nil {
		st.Found = hash
	}
	return data, true, nil
}

// CommitCtx keeps a session, over what was kept of it before. One that was ended meanwhile
// stays ended.
func (s *Sessions) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) (err error) {
	hash, now, st := sessionHash(token), micros(s.db.now()), access.SittingFrom(ctx)
	switch {
	case st != nil && st.Begin != nil:
		err = s.insert(ctx, hash, data, expiry, *st.Begin)
	case st != nil && st.Found != "" && st.Rotate:
		_, err = s.db.exec(ctx, `UPDATE session SET hash = $1, was_hash = CASE WHEN $2 THEN '' ELSE hash END, rotated_at = $3, seen_at = $3, data = $4, expires_at = $5 WHERE hash = $6`,
			hash, st.AtOnce, now, s.seal(data, hash), micros(expiry), st.Found)
	case st != nil && st.Found != "":
		_, err = s.db.exec(ctx, `UPDATE session SET data = $1, expires_at = $2, seen_at = $3 WHERE hash = $4`, s.seal(data, st.Found), micros(expiry), now, st.Found)
	default:
		err = s.insert(ctx, hash, data, expiry, access.Session{})
	}
	if err != nil {
		return fmt.Errorf("keep session: %w", err)
	}
	return nil
}

// sealedSession is what the data of sessions is sealed as.
const sealedSession = "session"

func (s *Sessions) seal(data []byte, hash string) []byte {
	return s.db.secrets.Seal(data, sealedSession, hash)
}

func (s *Sessions) insert(ctx context.Context, hash string, data []byte, expiry time.Time, x access.Session) error {
	_, err := s.db.exec(ctx, `INSERT INTO session (hash, data, expires_at, id, person_id, how, provider, subject, provider_session, address, browser, begun_at, seen_at, refresh, checked_at, answered_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
		ON CONFLICT (hash) DO UPDATE SET data = excluded.data, expires_at = excluded.expires_at`,
		hash, s.seal(data, hash), micros(expiry), x.ID, string(x.Person), string(x.How), x.Provider, x.Subject, x.ProviderSession, x.Address, x.Browser,
		micros(x.Begun), micros(x.Seen), s.db.sealText(x.Refresh, "refresh token", x.ID), micros(x.Checked), micros(x.Answered))
	return err
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
