package approver

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// maxDepth bounds how many generations of approvers may lie between one and the founders:
// people are replaced over decades, and what is deeper was made up.
const maxDepth = 32

// book is every record of an approver, with what is proven of it. Nothing is believed of a
// record but what its own hash, the passkeys of others and the root of trust say.
type book struct {
	roots  Trusted
	byID   map[string]*entry
	sorted []*entry // by registration
}

// entry is one record.
type entry struct {
	Approver
	sound   bool      // it says what its hash says
	from    time.Time // when it began to stand; zero as long as that is not proven
	end     time.Time // zero while it has not ended
	counted []vouch   // those that count, in order of their times
}

type vouch struct {
	whom *entry
	by   *entry
	Assertion
}

// open reads the records. Nothing is proven of them yet.
func (s *Service) open(ctx context.Context) (*book, error) {
	roots, err := s.Root.Read(ctx)
	if err != nil {
		return nil, err
	}
	all, err := s.Store.Approvers(ctx)
	if err != nil {
		return nil, err
	}
	b := &book{roots: roots, byID: make(map[string]*entry, len(all))}
	for _, a := range all {
		e := &entry{Approver: a, sound: sound(a), end: a.Ended}
		// An end stands in the root too, so that a row can't be brought back to life.
		if t, ok := roots.Ended[a.ID]; ok && (e.end.IsZero() || t.Before(e.end)) {
			e.end = t
		}
		e.Ended = e.end
		_, founder := roots.Founders[a.Hash]
		if e.Founder = founder && e.sound; e.Founder {
			e.from = a.At
		}
		b.byID[a.ID], b.sorted = e, append(b.sorted, e)
	}
	return b, nil
}

// prove finds out whether and since when an approver stands, and the same of all on whom
// that depends, as far back as maxDepth generations.
func (s *Service) prove(b *book, e *entry) {
	known := map[string]bool{e.ID: true}
	generation := []*entry{e}
	var vouches []vouch
	for depth := 0; depth < maxDepth && len(generation) > 0; depth++ {
		var before []*entry
		for _, g := range generation {
			if g.Founder || !g.sound {
				continue // nothing else can prove or disprove it
			}
			for _, a := range g.Vouches {
				by, ok := b.byID[a.Approver]
				if !ok {
					continue
				}
				vouches = append(vouches, vouch{g, by, a})
				if !known[by.ID] {
					known[by.ID] = true
					before = append(before, by)
				}
			}
		}
		generation = before
	}
	s.replay(b, vouches)
}

// proveAll finds out of every approver whether and since when they stand.
func (s *Service) proveAll(b *book) {
	for _, e := range b.sorted {
		s.prove(b, e)
	}
}

// replay goes through vouches in the order in which they were made. A vouch counts only if
// its maker stood by then, so two who vouch for each other, and nobody for them, never
// begin. Among vouches of one moment it goes round until nothing more follows.
func (s *Service) replay(b *book, vouches []vouch) {
	slices.SortStableFunc(vouches, func(x, y vouch) int {
		return cmp.Or(x.At.Compare(y.At), cmp.Compare(x.whom.ID, y.whom.ID), cmp.Compare(x.by.ID, y.by.ID))
	})
	for len(vouches) > 0 {
		n := 1
		for n < len(vouches) && vouches[n].At.Equal(vouches[0].At) {
			n++
		}
		waiting := slices.Clone(vouches[:n])
		for {
			left := slices.DeleteFunc(waiting, func(v vouch) bool { return s.counts(b, v) })
			if len(left) == len(waiting) || len(left) == 0 {
				break
			}
			waiting = left
		}
		vouches = vouches[n:]
	}
}

// counts reports whether a vouch counts, and keeps it if so. The second of two different
// people makes the approver stand.
func (s *Service) counts(b *book, v vouch) bool {
	e := v.whom
	if slices.ContainsFunc(e.counted, func(o vouch) bool { return o.by == v.by }) {
		return true
	}
	if v.At.Before(e.At) || !v.by.sound || !v.by.stood(v.At) || Same(v.by.Approver, e.Approver) {
		return false
	}
	if s.proves(b.roots, v.by.Approver, v.Assertion, ForApprover, e.Hash) != nil {
		return false
	}
	if e.from.IsZero() && slices.ContainsFunc(e.counted, func(o vouch) bool { return !Same(o.by.Approver, v.by.Approver) }) {
		e.from = v.At
	}
	e.counted = append(e.counted, v)
	return true
}

// people returns one entry for each human being among those that stand at t.
func (b *book) people(t time.Time) (out []*entry) {
	for _, e := range b.sorted {
		if e.stood(t) && !slices.ContainsFunc(out, func(o *entry) bool { return Same(o.Approver, e.Approver) }) {
			out = append(out, e)
		}
	}
	return out
}

// missing is how many vouches of different people an approver still lacks.
func (e *entry) missing() int {
	switch {
	case !e.from.IsZero():
		return 0
	case len(e.counted) > 0:
		return Quorum - 1
	}
	return Quorum
}
