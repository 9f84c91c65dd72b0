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

var _ querier = (*keptStatements)(nil)

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
		_ = st.Close() // nothing uses it
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

// ExecContext meets querier.
func (s *keptStatements) ExecContext(ctx context.Context, q string, args ...any) (sql.Result, error) {
	return s.pool.ExecContext(ctx, q, args...)
}

// QueryContext meets querier.
func (s *keptStatements) QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	if st := s.of(ctx, q); st != nil {
		return st.QueryContext(ctx, args...)
	}
	return s.pool.QueryContext(ctx, q, args...)
}

// QueryRowContext meets querier.
func (s *keptStatements) QueryRowContext(ctx context.Context, q string, args ...any) *sql.Row {
	if st := s.of(ctx, q); st != nil {
		return st.QueryRowContext(ctx, args...)
	}
	return s.pool.QueryRowContext(ctx, q, args...)
}
