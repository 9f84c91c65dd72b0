package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/wardmdm/ward/server/unit"
)

// maxBatch bounds how many units of work share one commit.
const maxBatch = 256

// errClosed is returned for work handed in after Close.
var errClosed = errors.New("database is closed")

// writer is SQLite's one writer. Units of work that arrive together share one
// transaction, each within its own savepoint, and are answered after its commit.
type writer struct {
	db   *sql.DB
	conn *sql.Conn
	jobs chan *job
	quit chan struct{}
	done chan struct{}
	once sync.Once
	stmt map[string]*sql.Stmt
}

type job struct {
	ctx   context.Context
	fn    func(ctx context.Context) error
	hooks *unit.Hooks
	err   chan error
}

func newWriter(ctx context.Context, db *sql.DB) (*writer, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	w := &writer{db: db, conn: conn, jobs: make(chan *job, maxBatch), quit: make(chan struct{}), done: make(chan struct{}), stmt: map[string]*sql.Stmt{}}
	go w.run() //nolint:contextcheck // it outlives whoever opens the database
	return w, nil
}

func (w *writer) close() error {
	w.once.Do(func() { close(w.quit) })
	<-w.done
	return errors.Join(w.conn.Close(), w.db.Close())
}

// do hands in a unit of work and waits for its commit. The caller's cancellation
// does not reach it once handed in: it would roll back its neighbours.
func (w *writer) do(ctx context.Context, fn func(ctx context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j := &job{fn: fn, err: make(chan error, 1)}
	inner := context.WithValue(context.WithoutCancel(ctx), unitKey{}, asker(w))
	j.ctx, j.hooks = unit.With(inner)
	select {
	case w.jobs <- j:
	case <-w.quit:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-j.err:
		if err == nil {
			j.hooks.Run()
		}
		return err
	case <-w.done:
		select {
		case err := <-j.err:
			return err
		default:
			return errClosed
		}
	}
}

func (w *writer) run() {
	defer close(w.done)
	batch := make([]*job, 0, maxBatch)
	for {
		select {
		case j := <-w.jobs:
			batch = append(batch[:0], j)
		case <-w.quit:
			return
		}
		runtime.Gosched() // what is about to arrive shares the commit
	drain:
		for len(batch) < maxBatch {
			select {
			case j := <-w.jobs:
				batch = append(batch, j)
			default:
				break drain
			}
		}
		w.commit(batch)
	}
}

// commit runs a batch in one transaction and answers every member.
func (w *writer) commit(batch []*job) {
	ctx := context.Background()
	errs := make([]error, len(batch))
	err := w.raw(ctx, "BEGIN IMMEDIATE")
	if err == nil {
		err = w.members(ctx, batch, errs)
		if err == nil {
			err = w.raw(ctx, "COMMIT")
		}
		if err != nil {
			if rb := w.raw(ctx, "ROLLBACK"); rb != nil {
				err = errors.Join(err, rb)
			}
		}
	}
	for i, j := range batch {
		if errs[i] == nil && err != nil {
			errs[i] = fmt.Errorf("commit: %w", err)
		}
		j.err <- errs[i]
	}
}

// members runs each member within a savepoint. The error it returns is one of the
// transaction itself: a savepoint that fails ends the batch, for what follows it
// could be kept although its commit reported an error.
func (w *writer) members(ctx context.Context, batch []*job, errs []error) error {
	for i, j := range batch {
		if len(batch) == 1 {
			errs[i] = protect(j)
			return errs[i]
		}
		if err := w.raw(ctx, "SAVEPOINT member"); err != nil {
			return err
		}
		errs[i] = protect(j)
		if errs[i] != nil {
			if err := w.raw(ctx, "ROLLBACK TO member"); err != nil {
				return err
			}
		}
		if err := w.raw(ctx, "RELEASE member"); err != nil {
			return err
		}
	}
	return nil
}

// protect turns a panic of one member into its error, so that its neighbours live.
func protect(j *job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("unit of work panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return j.fn(j.ctx)
}

func (w *writer) raw(ctx context.Context, q string) error {
	_, err := w.ExecContext(ctx, q)
	return err
}

// prepared returns the statement for q, prepared once for the life of the writer.
// Only the writer's own goroutine calls it.
func (w *writer) prepared(ctx context.Context, q string) (*sql.Stmt, error) {
	if s, ok := w.stmt[q]; ok {
		return s, nil
	}
	s, err := w.conn.PrepareContext(ctx, q)
	if err != nil {
		return nil, err
	}
	w.stmt[q] = s
	return s, nil
}

// ExecContext meets asker on the writer's connection.
func (w *writer) ExecContext(ctx context.Context, q string, args ...any) (outcome, error) {
	s, err := w.prepared(ctx, q) //nolint:sqlclosecheck // it is kept for the life of the database
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

// QueryContext meets asker on the writer's connection.
func (w *writer) QueryContext(ctx context.Context, q string, args ...any) (rowSet, error) {
	s, err := w.prepared(ctx, q) //nolint:sqlclosecheck // it is kept for the life of the database
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...) //nolint:rowserrcheck // whoever reads the rows asks
}

// QueryRowContext meets asker on the writer's connection.
func (w *writer) QueryRowContext(ctx context.Context, q string, args ...any) scanner {
	s, err := w.prepared(ctx, q) //nolint:sqlclosecheck // it is kept for the life of the database
	if err != nil {              // the row must carry the error: ask the connection itself
		return w.conn.QueryRowContext(ctx, q, args...)
	}
	return s.QueryRowContext(ctx, args...)
}
