package store

import (
	"context"
	"fmt"
	"time"
)

// Counts are the numbers that an operator watches.
type Counts struct {
	Devices          map[string]int // by state
	OpenCommands     int
	OwedPushes       int
	Drift            map[string]int       // what is otherwise than the policy wants, by kind
	PushCertificates map[string]time.Time // expiry by topic
	OpenCases        int                  // of lost devices, without drills
	WaitingOrders    int                  // for signatures
	AuditEntries     int64                // in the tree of the audit log
	Streams          []StreamPlace
}

// Counts counts. It reads small indexes only.
func (db *DB) Counts(ctx context.Context) (c Counts, err error) {
	c.Devices, c.Drift, c.PushCertificates = map[string]int{}, map[string]int{}, map[string]time.Time{}
	type pair struct {
		key string
		n   int64
	}
	scan := func(r scanner) (p pair, err error) { return p, r.Scan(&p.key, &p.n) }
	rows, err := db.query(ctx, `SELECT state, COUNT(*) FROM device GROUP BY state`)
	states, err := scanAll(rows, err, scan)
	if err != nil {
		return c, fmt.Errorf("count devices: %w", err)
	}
	for _, p := range states {
		c.Devices[p.key] = int(p.n)
	}
	if err := db.row(ctx, `SELECT (SELECT COUNT(*) FROM command WHERE pending), (SELECT COUNT(*) FROM push)`).Scan(&c.OpenCommands, &c.OwedPushes); err != nil {
		return c, fmt.Errorf("count commands: %w", err)
	}
	rows, err = db.query(ctx, `SELECT kind, COUNT(*) FROM drift WHERE righted_at = 0 GROUP BY kind`)
	drift, err := scanAll(rows, err, scan)
	if err != nil {
		return c, fmt.Errorf("count drift: %w", err)
	}
	for _, p := range drift {
		c.Drift[p.key] = int(p.n)
	}
	rows, err = db.query(ctx, `SELECT topic, not_after FROM push_certificate`)
	topics, err := scanAll(rows, err, scan)
	if err != nil {
		return c, fmt.Errorf("push certificates: %w", err)
	}
	for _, p := range topics {
		c.PushCertificates[p.key] = fromMicros(p.n)
	}
	if err := db.row(ctx, `SELECT (SELECT COUNT(*) FROM lost_case WHERE state = 'open' AND drill = ''), (SELECT COUNT(*) FROM orders WHERE state = 'requested' AND expires_at > $1),
		COALESCE((SELECT MAX(tree_index) FROM audit_entry WHERE tree_index >= 0), -1) + 1`, micros(db.now())).Scan(&c.OpenCases, &c.WaitingOrders, &c.AuditEntries); err != nil {
		return c, fmt.Errorf("count cases and orders: %w", err)
	}
	c.Streams, err = db.StreamPlaces(ctx)
	return c, err
}

// CountEnrolments returns how many enrolments live.
func (db *DB) CountEnrolments(ctx context.Context) (n int, err error) {
	return n, db.row(ctx, `SELECT COUNT(*) FROM enrolment WHERE latest AND state <> 'ended'`).Scan(&n)
}

// PurgeAnswers deletes commands that were answered before t with what devices answered,
// and returns how many. It deletes in small units of work, so that others get their
// turn. An accepted erase stays: it is the proof of it.
func (db *DB) PurgeAnswers(ctx context.Context, t time.Time) (total int64, err error) {
	for {
		n, err := db.exec(ctx, `DELETE FROM command WHERE seq IN (SELECT seq FROM command
			WHERE answered_at > 0 AND answered_at < $1 AND NOT pending AND request_type <> 'EraseDevice' ORDER BY answered_at LIMIT 500)`, micros(t))
		total += n
		if err != nil || n == 0 {
			return total, err
		}
	}
}
