package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/wardmdm/ward"
)

// maxPage bounds a page of entries.
const maxPage = 500

// Filter says which entries to list. Empty fields match everything.
type Filter struct {
	Action  string    // exactly this action
	Subject string    // the id the deed was done to
	Actor   string    // the id of the person or device that acted, or the name of what has neither
	From    time.Time // at or after this time; zero does not bound
	Until   time.Time // before this time; zero does not bound
	After   int64     // the id of the last entry already seen; 0 for the first page
	Oldest  bool      // oldest first; otherwise newest first
	Limit   int       // entries on a page, 500 at most; 0 means 100
}

// Query is a Filter in the words of the store.
type Query struct {
	Action        string
	SubjectLookup string
	ActorLookup   string
	From          time.Time
	Until         time.Time
	After         int64
	Oldest        bool
	Limit         int
}

// Recorded is an entry as a person reads it.
type Recorded struct {
	ID     int64
	Index  int64 // position in the tree from 0; -1 for an entry not yet in it
	At     time.Time
	Action string

	Actor   ward.Actor // without roles; zero if erased
	Subject string
	Person  ward.PersonID
	Detail  map[string]string

	ActorErased   bool // the actor was forgotten
	SubjectErased bool // the person that the subject belongs to was forgotten
	Damaged       bool // the stored row is not what was committed to: someone altered it
}

// Unsequenced returns how many entries are not in the tree, counting no further than limit,
// and when the oldest of these was written; zero where there is none.
func (s *Service) Unsequenced(ctx context.Context, limit int) (n int, oldest time.Time, err error) {
	rows, err := s.store.Unsequenced(ctx, limit)
	if err != nil || len(rows) == 0 {
		return 0, time.Time{}, err
	}
	return len(rows), rows[0].At, nil
}

// List returns a page of the entries that match f.
func (s *Service) List(ctx context.Context, f Filter) ([]Recorded, error) {
	if f.Limit <= 0 {
		f.Limit = 100
	}
	rows, err := s.store.Entries(ctx, Query{
		Action:        f.Action,
		SubjectLookup: s.blind("subject", f.Subject),
		ActorLookup:   s.blind("actor", f.Actor),
		From:          f.From,
		Until:         f.Until,
		After:         f.After,
		Oldest:        f.Oldest,
		Limit:         min(f.Limit, maxPage),
	})
	if err != nil {
		return nil, fmt.Errorf("list audit log: %w", err)
	}
	out := make([]Recorded, len(rows))
	have := boxes{}
	for i, r := range rows {
		if out[i], err = s.read(ctx, have, r); err != nil {
			return nil, fmt.Errorf("audit entry %d: %w", r.ID, err)
		}
	}
	return out, nil
}

// Entry returns one entry, or a *ward.Error of kind NotFound.
func (s *Service) Entry(ctx context.Context, id int64) (Recorded, error) {
	r, err := s.store.Entry(ctx, id)
	if err != nil {
		return Recorded{}, err
	}
	return s.read(ctx, boxes{}, r)
}

// read opens a row. What the leaf says counts, not the columns beside it.
func (s *Service) read(ctx context.Context, have boxes, r Row) (Recorded, error) {
	out := Recorded{ID: r.ID, Index: r.Index}
	var l leaf
	if err := json.Unmarshal([]byte(r.Leaf), &l); err != nil {
		out.Damaged = true
		return out, nil
	}
	var err error
	if out.At, err = time.Parse(time.RFC3339Nano, l.At); err != nil {
		out.Damaged = true
		return out, nil
	}
	out.Action = l.Action
	var who whoPart
	if out.ActorErased, err = s.readPart(ctx, have, r.Who, l.Who, &who, &out.Damaged); err != nil {
		return Recorded{}, err
	}
	out.Actor = ward.Actor{Person: who.Person, Name: who.Name, Via: who.Via, Token: who.Token, Device: who.Device}
	var what whatPart
	if out.SubjectErased, err = s.readPart(ctx, have, r.What, l.What, &what, &out.Damaged); err != nil {
		return Recorded{}, err
	}
	out.Subject, out.Person, out.Detail = what.Subject, what.Person, what.Detail
	return out, nil
}

// readPart decodes a part into v, which stays as it is when the part is erased or
// damaged.
func (s *Service) readPart(ctx context.Context, have boxes, p Part, commitment string, v any, damaged *bool) (erased bool, err error) {
	o, err := s.open(ctx, have, p, commitment)
	switch {
	case errors.Is(err, errErased):
		return true, nil
	case errors.Is(err, errDamaged):
		*damaged = true
		return false, nil
	case err != nil:
		return false, err
	}
	return false, json.Unmarshal(o.text, v)
}

// Sequenced returns up to limit entries that have their place in the tree, in the order of
// the tree, from an index on. What it returned once it returns always: who follows the log
// by it misses nothing, whichever copy of the server wrote it.
func (s *Service) Sequenced(ctx context.Context, from int64, limit int) ([]Recorded, error) {
	rows, err := s.store.Sequenced(ctx, from, math.MaxInt64, min(max(limit, 1), maxPage))
	if err != nil {
		return nil, fmt.Errorf("follow audit log: %w", err)
	}
	out := make([]Recorded, len(rows))
	have := boxes{}
	for i, r := range rows {
		if out[i], err = s.read(ctx, have, r); err != nil {
			return nil, fmt.Errorf("audit entry %d: %w", r.ID, err)
		}
	}
	return out, nil
}
