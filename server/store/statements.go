package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// maxStatements bounds the statements that are kept. Nearly all texts are constants;
// those that are put together must not fill the memory.
const maxStatements = 256

// keptStatements keeps prepared what is read from SQLite: parsing and planning a query
// costs more than running it.
type keptStatements struct {
	pool *sql.DB
	mu   sync.RWMutex
	kept map[string]*sql.Stmt
}

var _ asker = (*keptStatements)(nil)

// of returns the statement for q, nil if it is not kept.
func (s *keptStatements) of(ctx context.Context, q string) *sql.Stmt {
	s.mu.RLock()
	st, ok := s.kept[q]
	full := len(s.kept) >= maxStatements
	s.mu.RUnlock()
	if ok || full {
		return st
	}
	st, err := s.pool.PrepareContext(ctx, q)
	if err != nil {
		return nil // the pool says what is wrong when it is asked itself
	}
	s.mu.Lock()
	other, ok := s.kept[q]
	if !ok {
		s.kept[q] = st
	}
	s.mu.Unlock()
	if ok { // somebody else was quicker
		st.Close() //nolint:errcheck,sqlclosecheck // nothing uses it, and nothing fails by it
		return other
	}
	return st
}

func (s *keptStatements) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for q, st := range s.kept {
		errs = append(errs, st.Close())
		delete(s.kept, q)
	}
	return errors.Join(errs...)
}

// ExecContext meets asker.
func (s *keptStatements) ExecContext(ctx context.Context, q string, args ...any) (outcome, error) {
	return s.pool.ExecContext(ctx, q, args...)
}

// QueryContext meets asker.
func (s *keptStatements) QueryContext(ctx context.Context, q string, args ...any) (rowSet, error) {
	if st := s.of(ctx, q); st != nil { //nolint:sqlclosecheck // it is kept for the life of the database
		return st.QueryContext(ctx, args...) //nolint:rowserrcheck // whoever reads the rows asks
	}
	return s.pool.QueryContext(ctx, q, args...) //nolint:rowserrcheck // whoever reads the rows asks
}

// QueryRowContext meets asker.
func (s *keptStatements) QueryRowContext(ctx context.Context, q string, args ...any) scanner {
	if st := s.of(ctx, q); st != nil { //nolint:sqlclosecheck // it is kept for the life of the database
		return st.QueryRowContext(ctx, args...)
	}
	return s.pool.QueryRowContext(ctx, q, args...)
}

// pool is a pool of connections as it is.
type pool struct{ *sql.DB }

// ExecContext meets asker.
func (p pool) ExecContext(ctx context.Context, q string, args ...any) (outcome, error) {
	return p.DB.ExecContext(ctx, q, args...)
}

// QueryContext meets asker.
func (p pool) QueryContext(ctx context.Context, q string, args ...any) (rowSet, error) {
	return p.DB.QueryContext(ctx, q, args...) //nolint:rowserrcheck // whoever reads the rows asks
}

// QueryRowContext meets asker.
func (p pool) QueryRowContext(ctx context.Context, q string, args ...any) scanner {
	return p.DB.QueryRowContext(ctx, q, args...)
}
