package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/wardmdm/ward"
)

// lastSeen gathers heartbeats in memory: a durable write for each would be the most
// expensive part of an idle check-in. What a crash loses is the newest few seconds.
type lastSeen struct {
	mu sync.Mutex
	at map[ward.EnrolmentID]int64
	// written are those of the last write.
	written map[ward.EnrolmentID]int64
}

func newLastSeen() *lastSeen { return &lastSeen{at: map[ward.EnrolmentID]int64{}} }

// Seen notes that an enrolment was heard from at t.
func (db *DB) Seen(id ward.EnrolmentID, t time.Time) {
	db.last.mu.Lock()
	db.last.at[id] = micros(t)
	db.last.mu.Unlock()
}

// FlushSeen writes the gathered heartbeats. They are kept for the next call when
// that fails.
func (db *DB) FlushSeen(ctx context.Context) error {
	db.last.mu.Lock()
	at := db.last.at
	db.last.at = make(map[ward.EnrolmentID]int64, len(at))
	db.last.mu.Unlock()
	if len(at) == 0 {
		return nil // those that were written last stay
	}
	err := db.Do(ctx, func(ctx context.Context) error {
		for _, id := range slices.Sorted(maps.Keys(at)) { // one order, so that copies of the server do not deadlock
			t := at[id]
			if err := db.later(ctx, `INSERT INTO seen (enrolment_id, at) VALUES ($1, $2)
				ON CONFLICT (enrolment_id) DO UPDATE SET at = excluded.at WHERE seen.at < excluded.at`, string(id), t); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		db.last.mu.Lock()
		for id, t := range at {
			if db.last.at[id] < t {
				db.last.at[id] = t
			}
		}
		db.last.mu.Unlock()
		return fmt.Errorf("write last seen: %w", err)
	}
	db.last.mu.Lock()
	db.last.written = at
	db.last.mu.Unlock()
	return nil
}
