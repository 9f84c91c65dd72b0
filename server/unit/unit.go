// Package unit says what a unit of work is: a piece of work whose writes are
// committed together or not at all, carried in the context so that every store
// method called with that context joins it. It knows no database.
package unit

import "context"

// Unit runs functions as units of work. store.DB meets it.
type Unit interface {
	// Do runs fn in a unit of work and returns once its commit is durable. Called
	// within a unit, it joins that unit. fn may run more than once, when the database gave
	// a first try up for another's sake; its last run counts. It must be quick: on SQLite it runs on the one
	// writer, among the work of others, so it may do no network and no slow
	// cryptography, wait for no goroutine, and use only the context it is given.
	Do(ctx context.Context, fn func(ctx context.Context) error) error
}

type hooksKey struct{}

// Hooks are the functions to run once a unit of work is durable.
type Hooks struct{ after []func() }

// With returns a context that collects hooks for one unit of work. Only a store
// calls it.
func With(ctx context.Context) (context.Context, *Hooks) {
	h := new(Hooks)
	return context.WithValue(ctx, hooksKey{}, h), h
}

// Run runs the hooks in the order they were added. A nil Hooks has none.
func (h *Hooks) Run() {
	if h == nil {
		return
	}
	for _, f := range h.after {
		f()
	}
}

// AfterCommit has f run when the unit of work in ctx is durable; f is dropped when
// the unit fails. Outside a unit f runs at once.
func AfterCommit(ctx context.Context, f func()) {
	if h, ok := ctx.Value(hooksKey{}).(*Hooks); ok {
		h.after = append(h.after, f)
		return
	}
	f()
}
