package estate

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/wardmdm/ward"
)

// How often the times at which devices were heard from are read from the record, and how many
// that are not written yet are taken in each time.
const (
	seenEvery = 30 * time.Second
	seenMost  = 200
)

// contact is when an enrolment was heard from.
type contact struct {
	enrolment ward.EnrolmentID
	at        time.Time
}

// contacts reads when devices were heard from, as it is written down.
func (s *Service) contacts(ctx context.Context) (all []contact, err error) {
	err = s.Store.LastSeen(ctx, func(id ward.EnrolmentID, at time.Time) { all = append(all, contact{id, at}) })
	if err != nil {
		return nil, fmt.Errorf("when devices were heard from: %w", err)
	}
	return all, nil
}

// heard takes in when devices were heard from, and what this process knows besides.
func (s *Service) heard(all []contact, now time.Time) {
	x := &s.index
	newer := map[*entry]*entry{}
	for _, c := range all {
		x.saw(newer, c.enrolment, c.at)
	}
	s.Store.LateSeen(math.MaxInt, func(id ward.EnrolmentID, at time.Time) { x.saw(newer, id, at) })
	x.seenAt = now
	x.swap(newer)
}

// late takes in the few that this process has just heard from.
func (s *Service) late() bool {
	newer := map[*entry]*entry{}
	s.Store.LateSeen(seenMost, func(id ward.EnrolmentID, at time.Time) { s.index.saw(newer, id, at) })
	s.index.swap(newer)
	return len(newer) > 0
}

// saw keeps an entry that was heard from later than is known.
func (x *index) saw(newer map[*entry]*entry, id ward.EnrolmentID, at time.Time) {
	old := x.by[x.byEnr[id]]
	if old == nil {
		return
	}
	if n := newer[old]; n != nil {
		if at.After(n.LastSeen) {
			n.LastSeen = at
		}
		return
	}
	if !at.After(old.LastSeen) {
		return
	}
	e := *old
	e.LastSeen = at
	newer[old] = &e
}

// swap puts entries in the places of older ones.
func (x *index) swap(newer map[*entry]*entry) {
	if len(newer) == 0 {
		return
	}
	order := make([]*entry, len(x.order))
	for i, e := range x.order {
		if n := newer[e]; n != nil {
			x.by[n.ID] = n
			e = n
		}
		order[i] = e
	}
	x.put(order)
}
