package web

import (
	"context"

	"github.com/wardmdm/ward"
)

// View is a filter of devices under a name.
type View struct {
	ID     string
	Name   string
	Query  string // of the address
	Owner  ward.PersonID
	Shared bool // everybody sees it
}

// Views keeps saved views. The store's meets it.
type Views interface {
	// Views lists those of a person and the shared ones, by name.
	Views(ctx context.Context, p ward.PersonID) ([]View, error)
	InsertView(ctx context.Context, v View) error
	// DeleteView removes one; NotFound if there is none.
	DeleteView(ctx context.Context, id string) error
}
